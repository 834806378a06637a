#include "mpc/porthos/rescale.h"

#include "kernels/bit_planes.h"
#include "kernels/elementwise.h"
#include "kernels/elementwise_loops.h"
#include "kernels/select_loops.h"

namespace treville::porthos {
namespace {

// D for one block, from lambda_k (whole words; reduced here): g -> E, p's half -> H.
void deal_block(Pass& pass, Bits k, const Block& block, const RingTensor& share, const RingTensor& lambda_k) {
  const Ring ring = share.ring();
  const int width = (bits_of(ring) - k).value();
  RingTensor g = RingTensor::make(ring, {block.count}, pass.is_dry());
  const BitPlanes sign = pass.planes(Purpose::kRescaleSign, 0, block, 1);
  RingTensor product = pass.words(Purpose::kRescaleProduct, 0, block, ring);
  BitPlanes p(block.count, width, pass.is_dry());
  const RingTensor sg = expanded(sign, 0, ring);
  if (!pass.is_dry()) {
    dispatch(ring, [&](auto zero) {
      using Word = decltype(zero);
      const Word* mask = lambda_k.as<Word>().data();
      loops<Word>().sum_of(g.as<Word>().data(), mask, part_of<Word>(share, block).data(), block.count);
      select_loops<Word>().deal_carry(sg.as<Word>().data(), mask, k.value() - 1, product.as<Word>().data(),
                                      block.count);
      to_planes<Word>(product.as<Word>(), 0, width, p);
    });
  }
  pass.send_residues(kE, Phase::kOffline, Message::kRescaleValue, 0, block, std::move(g), k);
  pass.send_planes(kH, Phase::kOffline, Message::kRescaleProduct, 0, block, std::move(p));
}

// H for one block: (sigma ? p_H : lt - p_H) + mu -> E.
void answer_block(Pass& pass, Bits k, const Block& block, Ring ring) {
  const int width = (bits_of(ring) - k).value();
  const BitPlanes p = pass.receive_planes(kD, Phase::kOffline, Message::kRescaleProduct, 0, block, width);
  const BitPlanes sigma = pass.receive_planes(kE, Phase::kOnline, Message::kRescaleSign, 0, block, 1);
  const RingTensor lambda_k = pass.words(Purpose::kRescaleMask, 0, block, ring);
  RingTensor reply = pass.words(Purpose::kRescaleCarry, 0, block, ring);
  BitPlanes planes(block.count, width, pass.is_dry());
  const RingTensor s = expanded(sigma, 0, ring), half = unpacked(p, 0, width, ring);
  if (!pass.is_dry()) {
    dispatch(ring, [&](auto zero) {
      using Word = decltype(zero);
      select_loops<Word>().answer_carry(s.as<Word>().data(), lambda_k.as<Word>().data(), half.as<Word>().data(),
                                        k.value(), reply.as<Word>().data(), block.count);
      to_planes<Word>(reply.as<Word>(), 0, width, planes);
    });
  }
  pass.send_planes(kE, Phase::kOnline, Message::kRescaleCarry, 0, block, std::move(planes));
}

// E, first half: m_k from g, sigma -> H. The block of `masked` becomes m_k; returns sigma.
BitPlanes ask_block(Pass& pass, Bits k, const Block& block, const RingTensor& share, RingTensor& masked) {
  const Ring ring = share.ring();
  const RingTensor g = pass.receive_residues(kD, Phase::kOffline, Message::kRescaleValue, 0, block, ring, k);
  BitPlanes sigma = pass.planes(Purpose::kRescaleSign, 0, block, 1);
  BitPlanes message(block.count, 1, pass.is_dry());
  if (!pass.is_dry()) {
    dispatch(ring, [&](auto zero) {
      using Word = decltype(zero);
      const std::span<Word> out = part_of<Word>(masked, block);
      select_loops<Word>().mask_sum(part_of<Word>(share, block).data(), g.as<Word>().data(), Word{1} << (k.value() - 2),
                                    k.value(), out.data(), block.count);
      to_planes<Word>(out, k.value() - 1, 1, message);
    });
    xor_planes(sigma, 0, message, 0, 1);
    copy_planes(message, 0, sigma, 0, 1);
  }
  pass.send_planes(kH, Phase::kOnline, Message::kRescaleSign, 0, block, std::move(message));
  return sigma;
}

// E, second half: m = m_k + 2^k (w + mu) - 2^(k-2).
void finish_block(Pass& pass, Bits k, const Block& block, const BitPlanes& sigma, RingTensor& masked) {
  const Ring ring = masked.ring();
  const int width = (bits_of(ring) - k).value();
  const BitPlanes carry = pass.receive_planes(kH, Phase::kOnline, Message::kRescaleCarry, 0, block, width);
  const RingTensor product = pass.words(Purpose::kRescaleProduct, 0, block, ring);
  const RingTensor s = expanded(sigma, 0, ring), w = unpacked(carry, 0, width, ring);
  if (pass.is_dry()) return;
  dispatch(ring, [&](auto zero) {
    using Word = decltype(zero);
    select_loops<Word>().add_carry(s.as<Word>().data(), w.as<Word>().data(), product.as<Word>().data(),
                                   Word{1} << (k.value() - 2), k.value(), part_of<Word>(masked, block).data(),
                                   block.count);
  });
}

// lambda = lambda_k + 2^k mu for one block.
void put_mask(Pass& pass, Bits k, const Block& block, const RingTensor& lambda_k, RingTensor& lambda) {
  const RingTensor mu = pass.words(Purpose::kRescaleCarry, 0, block, lambda.ring());
  if (pass.is_dry()) return;
  dispatch(lambda.ring(), [&](auto zero) {
    using Word = decltype(zero);
    select_loops<Word>().join_masks(lambda_k.as<Word>().data(), mu.as<Word>().data(), k.value(),
                                    part_of<Word>(lambda, block).data(), block.count);
  });
}

}  // namespace

std::optional<RingTensor> rescale_offline(Pass& pass, Bits k, const RingTensor* share, Ring ring, const Shape& shape) {
  if (pass.self() == kE) return std::nullopt;
  RingTensor lambda = RingTensor::make(ring, shape, pass.is_dry());
  for (const Block& block : blocks_of(shape.elements())) {
    const RingTensor lambda_k = pass.words(Purpose::kRescaleMask, 0, block, ring);
    if (pass.self() == kD) deal_block(pass, k, block, *share, lambda_k);
    put_mask(pass, k, block, lambda_k, lambda);
  }
  if (pass.self() == kD) negate_in_place(lambda);
  return lambda;
}

std::optional<RingTensor> rescale_online(Pass& pass, Bits k, const RingTensor* share, Ring ring, const Shape& shape) {
  if (pass.self() == kD) return std::nullopt;
  const std::vector<Block> blocks = blocks_of(shape.elements());
  if (pass.self() == kH) {
    for (const Block& block : blocks) answer_block(pass, k, block, ring);
    return std::nullopt;
  }
  RingTensor masked = RingTensor::make(ring, shape, pass.is_dry());
  std::vector<BitPlanes> sigma;
  for (const Block& block : blocks) sigma.push_back(ask_block(pass, k, block, *share, masked));
  for (const Block& block : blocks) {
    finish_block(pass, k, block, sigma[static_cast<size_t>(block.index)], masked);
  }
  return masked;
}

}  // namespace treville::porthos
