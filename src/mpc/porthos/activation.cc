#include "mpc/porthos/activation.h"

#include <algorithm>

#include "kernels/bit_planes.h"
#include "kernels/elementwise.h"
#include "kernels/elementwise_loops.h"
#include "kernels/select_loops.h"
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

// ReluRows of five rows of n words: the full-width ones, then the narrow ones.
template <class Word>
ReluRows<Word> relu_rows(Word* full, Word* narrow, size_t n) {
  return {full, full + kB0 * n, full + kDeltaB0 * n, narrow, narrow + n};
}

// deal_constants: D turns r and the mask words of delta into H's half of all constants; `half` holds E's and is
// overwritten, as is delta1.
template <class Word>
void deal_constants(const Activation& a, const RingTensor& r, RingTensor& delta1, const RingTensor& delta2,
                    RingTensor& half) {
  const int64_t elements = r.elements();
  const auto n = static_cast<size_t>(elements);
  Word* d = delta1.as<Word>().data();
  Word* row = half.as<Word>().data();
  if (a.kind == Activation::Kind::kClip) {
    const Word* second = delta2.as<Word>().data();
    select_loops<Word>().deal_bit(second, row + kDelta2 * n, elements);
    loops<Word>().exclusive_or(d, second, elements);
  }
  if (a.kind == Activation::Kind::kNonNegative) {
    select_loops<Word>().deal_bit(d, row + kDelta * n, elements);
    return;
  }
  Word* narrow = row + static_cast<size_t>(full_rows(a)) * n;
  select_loops<Word>().deal_relu(r.as<Word>().data(), d, a.k.value(), relu_rows(row, narrow, n), elements);
}

// Closing runs on this many elements at a time, so that what it unpacks stays in the first cache; a multiple of 64.
constexpr int64_t kRun = 1024;
constexpr int kMostNarrowRows = 2;

// RunShares is what a party closes a run of elements with. `e` has one mask word per element for each bound; the
// rows of constants of the block begin at the run.
template <class Word>
struct RunShares {
  ReluShares<Word> relu;
  const Word* delta2;  // of a clip
  Word e[2][kRun];
};

// close_run writes this party's share of the result (section 7, "Result" and "Variants").
template <class Word>
void close_run(const Activation& a, RunShares<Word>& shares, int64_t n, Word* out) {
  const auto& select = select_loops<Word>();
  const ReluShares<Word>& relu = shares.relu;
  switch (a.kind) {
    case Activation::Kind::kRelu:
      select.close_relu(relu, shares.e[0], out, n);
      return;
    case Activation::Kind::kClip:
      loops<Word>().exclusive_or(shares.e[0], shares.e[1], n);
      select.close_relu(relu, shares.e[0], out, n);
      select.close_bit(relu.evaluator, shares.e[1], shares.delta2, static_cast<Word>(a.upper), out, n);
      return;
    case Activation::Kind::kLeaky: {
      Word negative[kRun];
      select.close_relu(relu, shares.e[0], out, n);
      select.close_negative(relu, shares.e[0], negative, n);
      loops<Word>().shift_left(out, a.slope_bits.value(), n);
      loops<Word>().scale(negative, static_cast<Word>(a.slope), n);
      loops<Word>().add(out, negative, n);
      return;
    }
    case Activation::Kind::kNonNegative:
      std::fill_n(out, n, Word{0});
      select.close_bit(relu.evaluator, shares.e[0], relu.rows.delta, 1, out, n);
      return;
  }
}

// close_block makes this party's share of one block's result. E draws its constants; H's narrow rows of l - k bits are
// the last planes that D dealt.
RingTensor close_block(Pass& pass, const Activation& a, Ring ring, const OpenComparison::State& state) {
  const bool evaluator = pass.self() == kE;
  const Block& block = state.block;
  const int width = (bits_of(ring) - a.k).value();
  RingTensor drawn;
  if (evaluator) drawn = pass.words(Purpose::kConstants, 0, block, ring, full_rows(a) + narrow_rows(a));
  RingTensor result = RingTensor::make(ring, {block.count}, pass.is_dry());
  if (pass.is_dry()) return result;
  dispatch(ring, [&](auto zero) {
    using Word = decltype(zero);
    const auto n = static_cast<size_t>(block.count);
    const Word* full = (evaluator ? drawn : state.constants).template as<Word>().data();
    Word x[kRun], unpacked_rows[kMostNarrowRows * kRun];
    RunShares<Word> shares;
    for (int64_t first = 0; first < block.count; first += kRun) {
      const auto at = static_cast<size_t>(first);
      const auto count = static_cast<size_t>(std::min(kRun, block.count - first));
      from_planes<Word>(state.opened, 0, a.k.value(), {x, count}, first);
      for (int bound = 0; bound < state.e.planes(); ++bound) {
        expand_mask<Word>(state.e.plane(bound).subspan(at / 64), {shares.e[bound], count});
      }
      const Word* narrow = unpacked_rows;
      size_t narrow_stride = kRun;
      if (evaluator) {
        narrow = full + static_cast<size_t>(full_rows(a)) * n + at;
        narrow_stride = n;
      } else {
        const int planes_at = state.dealt.planes() - narrow_rows(a) * width;
        for (int row = 0; row < narrow_rows(a); ++row) {
          from_planes<Word>(state.dealt, planes_at + row * width, width, {unpacked_rows + row * kRun, count}, first);
        }
      }
      shares.relu = {evaluator,
                     a.k.value(),
                     x,
                     {full + at, full + kB0 * n + at, full + kDeltaB0 * n + at, narrow, narrow + narrow_stride}};
      shares.delta2 = full + kDelta2 * n + at;
      close_run(a, shares, static_cast<int64_t>(count), result.as<Word>().data() + first);
    }
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
      loops<Word>().add_constant(second.as<Word>().data(), static_cast<Word>(a.upper), block.count);
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
