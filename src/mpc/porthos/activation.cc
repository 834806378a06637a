#include "mpc/porthos/activation.h"

#include "kernels/bit_planes.h"
#include "kernels/elementwise.h"
#include "mpc/porthos/comparison.h"

namespace treville::porthos {
namespace {

// The constants dealt for each element, additively, in the order of their rows. The full-width ones travel as words,
// those that are multiplied by 2^k as l - k planes.
enum Row : int {
  kDelta,
  kFullNonNegative,
  kB0 = kFullNonNegative,
  kDeltaB0,
  kFullRelu,
  kDelta2 = kFullRelu,
  kFullClip
};
int full_rows(const Activation& a) {
  if (a.kind == Activation::Kind::kNonNegative) return kFullNonNegative;
  return a.kind == Activation::Kind::kClip ? kFullClip : kFullRelu;
}
// rt and delta rt, where the value itself comes back.
int narrow_rows(const Activation& a) { return a.kind == Activation::Kind::kNonNegative ? 0 : 2; }

Comparison comparison_of(const Activation& a, Ring ring) {
  return {.ring = ring,
          .k = a.k,
          .bounds = a.kind == Activation::Kind::kClip ? 2 : 1,
          .constant_planes = narrow_rows(a) * (bits_of(ring) - a.k).value(),
          .constant_words = full_rows(a),
          .round = 0,
          .plan = BorrowPlan::make(a.k.value() - 1)};
}

// two_to: 2^k modulo 2^l, where k may be l.
template <class Word>
Word two_to(int k) {
  return static_cast<Word>((Word{1} << (k - 1)) << 1);
}

// deal_constants: D turns r and the mask words of delta into H's half of all constants; `half` holds E's and is
// overwritten, as is delta1.
template <class Word>
void deal_constants(const Activation& a, const RingTensor& r, RingTensor& delta1, const RingTensor& delta2,
                    RingTensor& half) {
  const int k = a.k.value();
  const auto n = static_cast<size_t>(r.elements());
  const bool clip = a.kind == Activation::Kind::kClip;
  Word* d = delta1.as<Word>().data();
  Word* row = half.as<Word>().data();
  if (clip) {
    const Word* second = delta2.as<Word>().data();
    for (size_t i = 0; i < n; ++i) row[kDelta2 * n + i] = (second[i] & 1) - row[kDelta2 * n + i];
    for (size_t i = 0; i < n; ++i) d[i] ^= second[i];
  }
  if (a.kind == Activation::Kind::kNonNegative) {
    for (size_t i = 0; i < n; ++i) row[i] = (d[i] & 1) - row[i];
    return;
  }
  const Word* in = r.as<Word>().data();
  const Word two_k = two_to<Word>(k), low = static_cast<Word>(two_k - 1);
  Word* narrow = row + static_cast<size_t>(full_rows(a)) * n;
  for (size_t i = 0; i < n; ++i) {
    const Word value = in[i] & low;
    const Word top = value >> (k - 1);
    const Word b0 = two_k - value;
    row[i] = (d[i] & 1) - row[i];
    row[n + i] = b0 - row[n + i];
    row[2 * n + i] = (d[i] & b0) - row[2 * n + i];
    narrow[i] = top - narrow[i];
    narrow[n + i] = (d[i] & top) - narrow[n + i];
  }
}

// close_share is this party's share of the result (section 7, "Result" and "Variants"). The evaluator adds what is
// public.
//   x      x^, k bits         e   one mask word per element for each bound
//   full   full_rows rows     narrow  narrow_rows rows, meaningful modulo 2^(l-k)
template <class Word>
void close_share(const Activation& a, bool evaluator, size_t n, const Word* x, const Word* e, const Word* full,
                 const Word* narrow, Word* out) {
  const int k = a.k.value();
  const Word offset = Word{1} << (k - 1), two_k = evaluator ? two_to<Word>(k) : Word{0};
  const Word one = evaluator ? 1 : 0, all = static_cast<Word>(Word{0} - one);
  auto times_2k = [k](Word value) { return static_cast<Word>((value << (k - 1)) << 1); };
  auto relu_at = [&](size_t i, Word chosen) {
    const Word top = static_cast<Word>(Word{0} - (x[i] >> (k - 1)));
    const Word shifted = x[i] - offset, delta = full[kDelta * n + i];
    const Word b = full[kB0 * n + i] + (top & (times_2k(narrow[i]) - two_k));
    const Word delta_b = full[kDeltaB0 * n + i] + (top & times_2k(narrow[n + i] - delta));
    const Word product = delta * shifted + delta_b;
    return static_cast<Word>(product + (chosen & ((all & shifted) + b - 2 * product)));
  };
  auto negative_at = [&](size_t i) {
    const Word below = (x[i] >> (k - 1)) - 1;  // all ones where the top bit is 0
    const Word shifted = x[i] - offset, delta = full[kDelta * n + i];
    const Word b = full[kB0 * n + i] - two_k + (below & times_2k(narrow[i]));
    const Word delta_b = full[kDeltaB0 * n + i] - times_2k(delta) + (below & times_2k(narrow[n + i]));
    const Word product = delta * shifted + delta_b;
    return static_cast<Word>((e[i] & product) + (~e[i] & ((all & shifted) + b - product)));
  };
  switch (a.kind) {
    case Activation::Kind::kRelu:
      for (size_t i = 0; i < n; ++i) out[i] = relu_at(i, e[i]);
      return;
    case Activation::Kind::kClip: {
      const auto upper = static_cast<Word>(a.upper);
      for (size_t i = 0; i < n; ++i) {
        const Word second = full[kDelta2 * n + i];
        out[i] = relu_at(i, e[i] ^ e[n + i]) + upper * (second + (e[n + i] & (one - 2 * second)));
      }
      return;
    }
    case Activation::Kind::kLeaky: {
      const auto slope = static_cast<Word>(a.slope);
      for (size_t i = 0; i < n; ++i) {
        out[i] = static_cast<Word>(relu_at(i, e[i]) << a.slope_bits.value()) + slope * negative_at(i);
      }
      return;
    }
    case Activation::Kind::kNonNegative:
      for (size_t i = 0; i < n; ++i) out[i] = full[i] + (e[i] & (one - 2 * full[i]));
      return;
  }
}

// unpacked_rows gives H its rows of l - k bits from what D dealt.
RingTensor unpacked_rows(Pass& pass, const Activation& a, Ring ring, const OpenComparison::State& state) {
  const int width = (bits_of(ring) - a.k).value();
  const int at = state.dealt.planes() - narrow_rows(a) * width;
  RingTensor rows = RingTensor::make(ring, {narrow_rows(a), state.block.count}, pass.is_dry());
  if (pass.is_dry()) return rows;
  dispatch(ring, [&](auto zero) {
    using Word = decltype(zero);
    const auto n = static_cast<size_t>(state.block.count);
    for (int row = 0; row < narrow_rows(a); ++row) {
      from_planes<Word>(state.dealt, at + row * width, width, rows.as<Word>().subspan(static_cast<size_t>(row) * n, n));
    }
  });
  return rows;
}

// close_block makes this party's share of one block's result.
RingTensor close_block(Pass& pass, const Activation& a, Ring ring, const OpenComparison::State& state) {
  const bool evaluator = pass.self() == kE;
  const Block& block = state.block;
  const int bounds = state.e.planes();
  const RingTensor own = evaluator ? pass.words(Purpose::kConstants, 0, block, ring, full_rows(a) + narrow_rows(a))
                                   : unpacked_rows(pass, a, ring, state);
  const RingTensor x = unpacked(state.opened, 0, a.k.value(), ring);
  RingTensor e = RingTensor::make(ring, {bounds, block.count}, pass.is_dry());
  RingTensor result = RingTensor::make(ring, {block.count}, pass.is_dry());
  if (pass.is_dry()) return result;
  dispatch(ring, [&](auto zero) {
    using Word = decltype(zero);
    const auto n = static_cast<size_t>(block.count);
    for (int bound = 0; bound < bounds; ++bound) {
      expand_mask<Word>(state.e.plane(bound), e.as<Word>().subspan(static_cast<size_t>(bound) * n, n));
    }
    const Word* rows = own.as<Word>().data();
    const Word* full = evaluator ? rows : state.constants.as<Word>().data();
    const Word* narrow = evaluator ? rows + static_cast<size_t>(full_rows(a)) * n : rows;
    close_share<Word>(a, evaluator, n, x.as<Word>().data(), e.as<Word>().data(), full, narrow,
                      result.as<Word>().data());
  });
  return result;
}

void deal_block(Pass& pass, const Activation& a, const Comparison& comparison, const Block& block,
                const RingTensor& share) {
  const int k = a.k.value();
  const int width = (bits_of(comparison.ring) - a.k).value();
  const int rows = full_rows(a);
  RingTensor r = open_dealer(pass, Purpose::kOpening, 0, block, share);
  BitPlanes r_planes(block.count, comparison.bounds * k, pass.is_dry());
  RingTensor second = comparison.bounds == 2 ? r.clone() : RingTensor();
  if (!pass.is_dry()) {
    dispatch(comparison.ring, [&](auto zero) {
      using Word = decltype(zero);
      to_planes<Word>(r.as<Word>(), 0, k, r_planes, 0);
      if (comparison.bounds == 1) return;
      for (Word& value : second.as<Word>()) value += static_cast<Word>(a.upper);
      to_planes<Word>(second.as<Word>(), 0, k, r_planes, k);
    });
  }
  BitPlanes bits(block.count, comparison.dealt() + comparison.constant_planes, pass.is_dry());
  const BitPlanes delta = deal_comparison(pass, comparison, block, r_planes, bits);
  RingTensor half = pass.words(Purpose::kConstants, 0, block, comparison.ring, rows + narrow_rows(a));
  RingTensor words = RingTensor::make(comparison.ring, {rows, block.count}, pass.is_dry());
  RingTensor delta1 = expanded(delta, 0, comparison.ring);
  const RingTensor delta2 = comparison.bounds == 2 ? expanded(delta, 1, comparison.ring) : RingTensor();
  if (!pass.is_dry()) {
    dispatch(comparison.ring, [&](auto zero) {
      using Word = decltype(zero);
      deal_constants<Word>(a, r, delta1, delta2, half);
      const std::span<const Word> all = half.as<Word>();
      const auto n = static_cast<size_t>(block.count);
      for (int row = 0; row < narrow_rows(a); ++row) {
        to_planes<Word>(all.subspan(static_cast<size_t>(rows + row) * n, n), 0, width, bits,
                        comparison.dealt() + row * width);
      }
      std::copy_n(all.begin(), words.elements(), words.as<Word>().begin());
    });
  }
  pass.send_planes(kH, Phase::kOffline, Message::kDealtBits, 0, block, std::move(bits));
  pass.send(kH, Phase::kOffline, Message::kDealtWords, 0, block.index, std::move(words.storage()));
}

}  // namespace

std::optional<RingTensor> activation_offline(Pass& pass, const Activation& activation, const RingTensor* share,
                                             Ring ring, const Shape& shape) {
  if (pass.self() == kE) return std::nullopt;
  const Comparison comparison = comparison_of(activation, ring);
  RingTensor lambda = RingTensor::make(ring, shape, pass.is_dry());
  for (const Block& block : blocks_of(shape.elements())) {
    if (pass.self() == kD) deal_block(pass, activation, comparison, block, *share);
    pass.fill_block(Purpose::kCloseMask, 0, block, lambda);
  }
  if (pass.self() == kD) negate_in_place(lambda);
  return lambda;
}

std::optional<RingTensor> activation_online(Pass& pass, const Activation& activation, const RingTensor* share,
                                            Ring ring, const Shape& shape) {
  if (pass.self() == kD) return std::nullopt;
  OpenComparison comparison(pass, comparison_of(activation, ring), shape.elements());
  if (pass.self() == kH) {
    comparison.run(nullptr, nullptr, [&](const OpenComparison::State& state) {
      RingTensor sum = close_block(pass, activation, ring, state);
      add_in_place(sum, pass.words(Purpose::kCloseMask, 0, state.block, ring).reshaped({state.block.count}));
      pass.send(kE, Phase::kOnline, Message::kClose, 0, state.block.index, std::move(sum.storage()));
    });
    return std::nullopt;
  }
  RingTensor masked = RingTensor::make(ring, shape, pass.is_dry());
  comparison.run(share, nullptr, [&](const OpenComparison::State& state) {
    const RingTensor own = close_block(pass, activation, ring, state);
    set_block(masked, state.block, own);
  });
  for (const Block& block : blocks_of(shape.elements())) {
    const RingTensor rest = pass.receive_residues(kH, Phase::kOnline, Message::kClose, 0, block, ring, bits_of(ring));
    add_block(masked, block, rest);
  }
  return masked;
}

}  // namespace treville::porthos
