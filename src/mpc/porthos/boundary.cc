#include "mpc/porthos/boundary.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "kernels/elementwise_loops.h"

namespace treville::porthos {
namespace {

// half: this pass's share of an output, re-randomised: D yD + s, E yE - s, one block, whole words.
RingTensor half(Pass& pass, const RingTensor& plane, const Block& block) {
  RingTensor result = pass.words(Purpose::kOutput, 0, block, plane.ring()).reshaped({block.count});
  if (pass.self() == kE) negate_in_place(result);
  if (!pass.is_dry()) {
    dispatch(plane.ring(), [&](auto zero) {
      using Word = decltype(zero);
      loops<Word>().add(result.as<Word>().data(), part_of<Word>(plane, block).data(), block.count);
    });
  }
  return result;
}

RingTensor all_halves(Pass& pass, const Shared& x) {
  RingTensor result = RingTensor::make(x.ring(), x.shape(), pass.is_dry());
  for (const Block& block : blocks_of(x.shape().elements())) set_block(result, block, half(pass, x.plane(), block));
  return result;
}

RingTensor receive_halves(Pass& pass, PartyId from, const Shared& x) {
  const bool dealer = from == kD;
  RingTensor result = RingTensor::make(x.ring(), x.shape(), pass.is_dry());
  for (const Block& block : blocks_of(x.shape().elements())) {
    set_block(result, block,
              pass.receive_residues(from, dealer ? Phase::kOffline : Phase::kOnline,
                                    dealer ? Message::kOutputDealer : Message::kOutputEvaluator, 0, block, x.ring(),
                                    x.modulus()));
  }
  return result;
}

void send_halves(Pass& pass, PartyId to, const Shared& x) {
  for (const Block& block : blocks_of(x.shape().elements())) {
    pass.send_residues(to, pass.phase(), pass.self() == kD ? Message::kOutputDealer : Message::kOutputEvaluator, 0,
                       block, half(pass, x.plane(), block), x.modulus());
  }
}

// send_masked: D sends m = x + lambda for one block of its input.
void send_masked(Pass& pass, const RingTensor& value, const Block& block) {
  RingTensor m = pass.words(Purpose::kInputMask, 0, block, value.ring());
  if (!pass.is_dry()) {
    dispatch(value.ring(), [&](auto zero) {
      using Word = decltype(zero);
      loops<Word>().add(m.as<Word>().data(), part_of<Word>(value, block).data(), block.count);
    });
  }
  pass.send(kE, Phase::kOnline, Message::kInput, 0, block.index, std::move(m.storage()));
}

}  // namespace

std::optional<RingTensor> input_offline(Pass& pass, PartyId owner, Ring ring, const Shape& shape) {
  if (pass.self() == kE) return std::nullopt;
  if (owner == kE) {
    return pass.is_dry() ? RingTensor::dry(ring, shape) : RingTensor::zeros(ring, shape);
  }
  RingTensor lambda = RingTensor::make(ring, shape, pass.is_dry());
  for (const Block& block : blocks_of(shape.elements())) pass.fill_block(Purpose::kInputMask, 0, block, lambda);
  if (pass.self() == kD) negate_in_place(lambda);
  return lambda;
}

std::optional<RingTensor> input_online(Pass& pass, PartyId owner, const RingTensor* value, Ring ring,
                                       const Shape& shape) {
  if (pass.self() == owner) {
    CHECK(value != nullptr && value->elements() == shape.elements() && value->ring() == ring,
          "party {} owns an input of {}, {} bits, and gives none of that kind", owner, to_string(shape), bits_of(ring));
  }
  if (pass.self() == kE && owner == kE) return value->clone().reshaped(shape);
  if (owner == kE || pass.self() == kH) return std::nullopt;
  const std::vector<Block> blocks = blocks_of(shape.elements());
  if (pass.self() == kD) {
    for (const Block& block : blocks) send_masked(pass, *value, block);
    return std::nullopt;
  }
  RingTensor masked = RingTensor::make(ring, shape, pass.is_dry());
  for (const Block& block : blocks) {
    set_block(masked, block, pass.receive_residues(kD, Phase::kOnline, Message::kInput, 0, block, ring, bits_of(ring)));
  }
  return masked;
}

void reveal_offline(Pass& pass, const Shared& x, PartyId recipient, Handover& handover) {
  if (pass.self() != kD) return;
  if (recipient == kD) {
    handover.put(all_halves(pass, x));
    return;
  }
  send_halves(pass, recipient, x);
}

std::optional<Public> reveal_online(Pass& pass, const Shared& x, PartyId recipient, Handover& handover) {
  if (pass.self() == kE && recipient != kE) send_halves(pass, recipient, x);
  if (pass.self() != recipient) return std::nullopt;
  RingTensor value = recipient == kE ? all_halves(pass, x) : receive_halves(pass, kE, x);
  if (recipient == kD) {
    RingTensor half = pass.is_dry() ? RingTensor::dry(x.ring(), x.shape()) : handover.take(pass.network());
    add_in_place(value, std::move(half).reshaped(x.shape()));
  } else {
    add_in_place(value, receive_halves(pass, kD, x));
  }
  reduce(value, x.modulus());
  return Public{std::move(value), x.modulus()};
}

std::optional<Public> shares(Pass& pass, const Shared& x) {
  if (!pass.holds_plane()) return std::nullopt;
  RingTensor value = all_halves(pass, x);
  reduce(value, x.modulus());
  return Public{std::move(value), x.modulus()};
}

}  // namespace treville::porthos
