// With x^ = m_x + rho_x opened to H, x = x^ - lambda_x - rho_x; D knows both masks, H lambda and E rho. Then
//   x y = m_x m_y  -  x^ lambda_y - lambda_x y^ + lambda_x lambda_y  +  (lambda_x rho_y + rho_x lambda_y)
//         E           H                                                  D shares it between E and H
#include "mpc/porthos/product.h"

#include "kernels/elementwise.h"
#include "kernels/product.h"

namespace treville::porthos {
namespace {

RingTensor drawn(Pass& pass, Purpose purpose, Ring ring, const Shape& shape) {
  RingTensor result = RingTensor::make(ring, shape, pass.is_dry());
  for (const Block& block : blocks_of(shape.elements())) pass.fill_block(purpose, 0, block, result);
  return result;
}

// deal: D sends H its half of lambda_x rho_y + rho_x lambda_y.
void deal(Pass& pass, const Factors& f) {
  const RingTensor rho_left = drawn(pass, Purpose::kProductLeft, f.ring, left_shape(f.geometry));
  RingTensor sum = RingTensor();
  if (f.is_square) {
    sum = product(f.geometry, *f.left, rho_left);
    shift_left_in_place(sum, Bits(1));
  } else {
    sum = product(f.geometry, rho_left, *f.right);
    accumulate_product(f.geometry, *f.left, drawn(pass, Purpose::kProductRight, f.ring, right_shape(f.geometry)), sum);
  }
  // The planes are -lambda, so `sum` has the wrong sign.
  for (const Block& block : blocks_of(sum.elements())) {
    RingTensor half = pass.words(Purpose::kProductShare, 0, block, f.ring).reshaped({block.count});
    add_in_place(half, words_of(sum, block));
    negate_in_place(half);
    pass.send(kH, Phase::kOffline, Message::kProductShare, 0, block.index, std::move(half.storage()));
  }
}

// E: one block of x^ = m + rho -> H.
void open(Pass& pass, Purpose purpose, Message message, const Block& block, const RingTensor& m) {
  RingTensor opened = pass.words(purpose, 0, block, m.ring()).reshaped({block.count});
  add_in_place(opened, words_of(m, block));
  pass.send(kH, Phase::kOnline, message, 0, block.index, std::move(opened.storage()));
}

// H's share without what D dealt: lambda_x (lambda_y - y^) - x^ lambda_y. Takes the opened values.
RingTensor answer(const ProductGeometry& geometry, RingTensor x, RingTensor y, const RingTensor& lambda_x,
                  const RingTensor& lambda_y) {
  negate_in_place(x);
  negate_in_place(y);
  add_in_place(y, lambda_y);
  RingTensor sum = product(geometry, lambda_x, y);
  accumulate_product(geometry, x, lambda_y, sum);
  return sum;
}

// square_answer: lambda (lambda - 2 x^), elementwise.
RingTensor square_answer(RingTensor x, const RingTensor& lambda) {
  shift_left_in_place(x, Bits(1));
  negate_in_place(x);
  add_in_place(x, lambda);
  multiply_elementwise(x, lambda);
  return x;
}

// close: H adds what D dealt and lambda' to one block of its share, -> E.
void close(Pass& pass, const Block& block, RingTensor share) {
  const Ring ring = share.ring();
  add_in_place(share,
               pass.receive_residues(kD, Phase::kOffline, Message::kProductShare, 0, block, ring, bits_of(ring)));
  add_in_place(share, pass.words(Purpose::kProductMask, 0, block, ring).reshaped({block.count}));
  pass.send(kE, Phase::kOnline, Message::kProductClose, 0, block.index, std::move(share.storage()));
}

RingTensor receive_opened(Pass& pass, Message message, const Block& block, Ring ring) {
  return pass.receive_residues(kE, Phase::kOnline, message, 0, block, ring, bits_of(ring));
}

RingTensor receive_all(Pass& pass, Message message, Ring ring, const Shape& shape) {
  RingTensor result = RingTensor::make(ring, shape, pass.is_dry());
  for (const Block& block : blocks_of(shape.elements()))
    set_block(result, block, receive_opened(pass, message, block, ring));
  return result;
}

// H: an elementwise product is answered block by block, one of matrices when both operands are there.
void answer_online(Pass& pass, const Factors& f, Handover& handover) {
  const auto take = [&](const Shape& shape) {
    RingTensor lambda = pass.is_dry() ? RingTensor::dry(f.ring, shape) : handover.take(pass.network());
    return std::move(lambda).reshaped(shape);
  };
  const RingTensor left = take(left_shape(f.geometry));
  const RingTensor right = f.is_square ? RingTensor() : take(right_shape(f.geometry));
  const std::vector<Block> blocks = blocks_of(output_shape(f.geometry).elements());
  if (std::holds_alternative<BatchMatmul>(f.geometry)) {
    RingTensor x = receive_all(pass, Message::kProductLeft, f.ring, left.shape());
    RingTensor y = receive_all(pass, Message::kProductRight, f.ring, right.shape());
    const RingTensor share = answer(f.geometry, std::move(x), std::move(y), left, right);
    for (const Block& block : blocks) close(pass, block, words_of(share, block));
    return;
  }
  for (const Block& block : blocks) {
    RingTensor x = receive_opened(pass, Message::kProductLeft, block, f.ring);
    if (f.is_square) {
      close(pass, block, square_answer(std::move(x), words_of(left, block)));
    } else {
      RingTensor y = receive_opened(pass, Message::kProductRight, block, f.ring);
      close(pass, block,
            answer(Elementwise{{block.count}}, std::move(x), std::move(y), words_of(left, block),
                   words_of(right, block)));
    }
  }
}

// E opens in the order in which H reads.
void open_online(Pass& pass, const Factors& f) {
  const std::vector<Block> left = blocks_of(f.left->elements());
  const std::vector<Block> right = f.is_square ? std::vector<Block>() : blocks_of(f.right->elements());
  const bool in_turns = std::holds_alternative<Elementwise>(f.geometry);
  for (const Block& block : left) {
    open(pass, Purpose::kProductLeft, Message::kProductLeft, block, *f.left);
    if (in_turns && !f.is_square) open(pass, Purpose::kProductRight, Message::kProductRight, block, *f.right);
  }
  if (in_turns) return;
  for (const Block& block : right) open(pass, Purpose::kProductRight, Message::kProductRight, block, *f.right);
}

}  // namespace

std::optional<RingTensor> product_offline(Pass& pass, const Factors& f, Handover& handover) {
  if (pass.self() == kE) return std::nullopt;
  if (pass.self() == kD) {
    deal(pass, f);
  } else {
    handover.put(f.left->clone().reshaped(left_shape(f.geometry)));
    if (!f.is_square) handover.put(f.right->clone().reshaped(right_shape(f.geometry)));
  }
  RingTensor lambda = drawn(pass, Purpose::kProductMask, f.ring, output_shape(f.geometry));
  if (pass.self() == kD) negate_in_place(lambda);
  return lambda;
}

std::optional<RingTensor> product_online(Pass& pass, const Factors& f, Handover& handover) {
  if (pass.self() == kD) return std::nullopt;
  if (pass.self() == kH) {
    answer_online(pass, f, handover);
    return std::nullopt;
  }
  open_online(pass, f);
  RingTensor masked = product(f.geometry, *f.left, *f.right);
  for (const Block& block : blocks_of(masked.elements())) {
    add_block(masked, block, pass.words(Purpose::kProductShare, 0, block, f.ring));
    add_block(masked, block,
              pass.receive_residues(kH, Phase::kOnline, Message::kProductClose, 0, block, f.ring, bits_of(f.ring)));
  }
  return masked;
}

}  // namespace treville::porthos
