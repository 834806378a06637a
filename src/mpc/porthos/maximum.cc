#include "mpc/porthos/maximum.h"

#include <bit>

#include "kernels/bit_planes.h"
#include "kernels/elementwise.h"
#include "kernels/select_loops.h"
#include "mpc/porthos/comparison.h"
#include "mpc/porthos/reduction.h"

namespace treville::porthos {
namespace {

// Constants dealt for each element, all as planes: delta, -r and -delta r for the value, and the last two again for a
// payload. delta is shared once, modulo the larger ring.
enum Row : int { kDelta, kB, kDeltaB, kPayloadB, kPayloadDeltaB };

struct Selection {
  Ring ring;
  Bits residue;    // K: values
  Bits payload{};  // n: what is selected along, 0 for nothing

  int rows() const { return payload.value() > 0 ? 5 : 3; }
  int width(int row) const {
    if (row == kDelta) return std::max(residue, payload).value();
    return row < kPayloadB ? residue.value() : payload.value();
  }
  int constant_planes() const {
    int planes = 0;
    for (int row = 0; row < rows(); ++row) planes += width(row);
    return planes;
  }
  Comparison comparison(int round) const {
    return {.ring = ring,
            .k = residue,
            .payload = payload,
            .constant_planes = constant_planes(),
            .round = round,
            .plan = BorrowPlan::make(residue.value() - 1)};
  }
};

// Candidates are the planes of values and payloads; payload is empty where nothing is selected along.
struct Candidates {
  RingTensor value, payload;
};

// D for one block of the differences.
void deal_block(Pass& pass, const Selection& selection, int round, const Block& block, const Candidates& difference) {
  const Comparison comparison = selection.comparison(round);
  const bool with_payload = selection.payload.value() > 0;
  const Ring ring = selection.ring;
  const RingTensor r = open_dealer(pass, Purpose::kOpening, round, block, difference.value);
  const RingTensor r2 =
      with_payload ? open_dealer(pass, Purpose::kPayloadOpening, round, block, difference.payload) : RingTensor();
  BitPlanes r_planes(block.count, selection.residue.value(), pass.is_dry());
  BitPlanes bits(block.count, comparison.dealt() + comparison.constant_planes, pass.is_dry());
  if (!pass.is_dry()) {
    dispatch(ring, [&](auto zero) {
      using Word = decltype(zero);
      to_planes<Word>(r.as<Word>(), 0, selection.residue.value(), r_planes);
    });
  }
  const RingTensor delta = expanded(deal_comparison(pass, comparison, block, r_planes, bits), 0, ring);
  RingTensor half = pass.words(Purpose::kConstants, round, block, ring, selection.rows());
  if (!pass.is_dry()) {
    dispatch(ring, [&](auto zero) {
      using Word = decltype(zero);
      const int64_t n = block.count;
      Word* row = half.as<Word>().data();
      const Word* d = delta.as<Word>().data();
      const auto& select = select_loops<Word>();
      select.deal_bit(d, row + kDelta * n, n);
      select.deal_choice(r.as<Word>().data(), d, row + kB * n, row + kDeltaB * n, n);
      if (with_payload) {
        select.deal_choice(r2.as<Word>().data(), d, row + kPayloadB * n, row + kPayloadDeltaB * n, n);
      }
      int at = comparison.dealt();
      for (int i = 0; i < selection.rows(); ++i) {
        const std::span<const Word> values(row + i * n, static_cast<size_t>(n));
        to_planes<Word>(values, 0, selection.width(i), bits, at);
        at += selection.width(i);
      }
    });
  }
  pass.send_planes(kH, Phase::kOffline, Message::kDealtBits, round, block, std::move(bits));
}

// dealt_rows gives H its constants as words.
RingTensor dealt_rows(Pass& pass, const Selection& selection, const OpenComparison::State& state) {
  RingTensor rows = RingTensor::make(selection.ring, {selection.rows(), state.block.count}, pass.is_dry());
  if (pass.is_dry()) return rows;
  dispatch(selection.ring, [&](auto zero) {
    using Word = decltype(zero);
    const auto n = static_cast<size_t>(state.block.count);
    int at = state.dealt.planes() - selection.constant_planes();
    for (int i = 0; i < selection.rows(); ++i) {
      from_planes<Word>(state.dealt, at, selection.width(i), rows.as<Word>().subspan(static_cast<size_t>(i) * n, n));
      at += selection.width(i);
    }
  });
  return rows;
}

// close_block: this party's shares of the selected differences of one block.
Candidates close_block(Pass& pass, const Selection& selection, const OpenComparison::State& state, int round) {
  const bool evaluator = pass.self() == kE;
  const bool with_payload = selection.payload.value() > 0;
  const Ring ring = selection.ring;
  const int64_t n = state.block.count;
  const RingTensor constants = evaluator ? pass.words(Purpose::kConstants, round, state.block, ring, selection.rows())
                                         : dealt_rows(pass, selection, state);
  const RingTensor e = expanded(state.e, 0, ring);
  Candidates result;
  result.value = unpacked(state.opened, 0, selection.residue.value(), ring);
  if (with_payload) {
    result.payload = unpacked(state.opened, selection.residue.value(), selection.payload.value(), ring);
  }
  if (pass.is_dry()) return result;
  dispatch(ring, [&](auto zero) {
    using Word = decltype(zero);
    const Word* row = constants.as<Word>().data();
    const Word* mask = e.as<Word>().data();
    const auto choose = select_loops<Word>().choose;
    choose(evaluator, mask, row, row + kB * n, row + kDeltaB * n, Word{1} << (selection.residue.value() - 1),
           result.value.as<Word>().data(), n);
    if (!with_payload) return;
    choose(evaluator, mask, row, row + kPayloadB * n, row + kPayloadDeltaB * n, Word{0},
           result.payload.as<Word>().data(), n);
  });
  return result;
}

RingTensor lambda_of(Pass& pass, Purpose purpose, int round, const Block& block, Ring ring) {
  return pass.words(purpose, round, block, ring).reshaped({block.count});
}

// D: deals, and its shares of the selected differences are -lambda.
Candidates select_dealer(Pass& pass, const Selection& selection, int round, Candidates difference) {
  for (const Block& block : blocks_of(difference.value.elements())) {
    deal_block(pass, selection, round, block, difference);
    pass.fill_block(Purpose::kCloseMask, round, block, difference.value);
    if (selection.payload.value() > 0) pass.fill_block(Purpose::kPayloadMask, round, block, difference.payload);
  }
  negate_in_place(difference.value);
  if (selection.payload.value() > 0) negate_in_place(difference.payload);
  return difference;
}

// E: opens, and takes H's closing.
Candidates select_evaluator(Pass& pass, const Selection& selection, int round, Candidates difference) {
  const bool with_payload = selection.payload.value() > 0;
  const int64_t elements = difference.value.elements();
  OpenComparison comparison(pass, selection.comparison(round), elements);
  comparison.run(&difference.value, with_payload ? &difference.payload : nullptr,
                 [&](const OpenComparison::State& state) {
                   const Candidates own = close_block(pass, selection, state, round);
                   set_block(difference.value, state.block, own.value);
                   if (with_payload) set_block(difference.payload, state.block, own.payload);
                 });
  for (const Block& block : blocks_of(elements)) {
    auto close = [&](RingTensor& sum, Message message, Bits modulus) {
      add_block(sum, block, pass.receive_residues(kH, Phase::kOnline, message, round, block, selection.ring, modulus));
    };
    close(difference.value, Message::kClose, selection.residue);
    if (with_payload) close(difference.payload, Message::kPayloadClose, selection.payload);
  }
  return difference;
}

// H: answers, and closes with lambda.
void select_helper(Pass& pass, const Selection& selection, int round, int64_t elements) {
  OpenComparison comparison(pass, selection.comparison(round), elements);
  comparison.run(nullptr, nullptr, [&](const OpenComparison::State& state) {
    Candidates own = close_block(pass, selection, state, round);
    auto close = [&](RingTensor sum, Purpose purpose, Message message, Bits modulus) {
      add_in_place(sum, lambda_of(pass, purpose, round, state.block, selection.ring));
      pass.send_residues(kE, Phase::kOnline, message, round, state.block, std::move(sum), modulus);
    };
    close(std::move(own.value), Purpose::kCloseMask, Message::kClose, selection.residue);
    if (selection.payload.value() > 0) {
      close(std::move(own.payload), Purpose::kPayloadMask, Message::kPayloadClose, selection.payload);
    }
  });
}

// gather takes pieces of a row out of [outer, pieces, inner].
RingTensor gather(const RingTensor& x, int64_t outer, int64_t pieces, int64_t inner,
                  const std::vector<int64_t>& which) {
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(outer) * which.size());
  for (int64_t o = 0; o < outer; ++o) {
    for (const int64_t piece : which) rows.push_back(o * pieces + piece);
  }
  return gather_rows(x, inner, rows).reshaped({outer, static_cast<int64_t>(which.size()), inner});
}

// Tree walks the levels of a reduction over the middle axis of [outer, pieces, inner].
class Tree {
 public:
  Tree(Pass& pass, const Selection& selection) : pass_(pass), selection_(selection) {}

  // reduce replaces the pieces by the maxima of the plan's windows; without planes it only plays its part.
  void reduce(std::optional<Candidates>& candidates, int64_t outer, int64_t pieces, int64_t inner,
              const Reduction& plan) {
    for (const ReductionLevel& level : plan.levels) {
      const auto pairs = static_cast<int64_t>(level.left.size());
      if (candidates) {
        candidates = level_of(*candidates, outer, pieces, inner, level);
      } else if (pass_.plays(kH, Phase::kOnline)) {
        select_helper(pass_, selection_, round_, outer * pairs * inner);
      }
      pieces = pairs + static_cast<int64_t>(level.carry.size());
      ++round_;
    }
    if (!candidates) return;
    candidates->value = gather(candidates->value, outer, pieces, inner, plan.outputs);
    if (with_payload()) candidates->payload = gather(candidates->payload, outer, pieces, inner, plan.outputs);
  }

 private:
  bool with_payload() const { return selection_.payload.value() > 0; }

  // level_of: max(left, right) = right + relu(left - right), then the carried pieces.
  Candidates level_of(const Candidates& row, int64_t outer, int64_t pieces, int64_t inner,
                      const ReductionLevel& level) {
    auto take = [&](const RingTensor& x, const std::vector<int64_t>& which) {
      return gather(x, outer, pieces, inner, which);
    };
    Candidates right{take(row.value, level.right), with_payload() ? take(row.payload, level.right) : RingTensor()};
    Candidates chosen{take(row.value, level.left), with_payload() ? take(row.payload, level.left) : RingTensor()};
    subtract_in_place(chosen.value, right.value);
    if (with_payload()) subtract_in_place(chosen.payload, right.payload);
    chosen = pass_.self() == kD ? select_dealer(pass_, selection_, round_, std::move(chosen))
                                : select_evaluator(pass_, selection_, round_, std::move(chosen));
    add_in_place(chosen.value, right.value);
    if (with_payload()) add_in_place(chosen.payload, right.payload);
    if (level.carry.empty()) return chosen;
    auto join = [&](const RingTensor& maxima, const RingTensor& x) {
      const RingTensor carried = take(x, level.carry);
      return concat({&maxima, &carried}, 1);
    };
    return {join(chosen.value, row.value), with_payload() ? join(chosen.payload, row.payload) : RingTensor()};
  }

  Pass& pass_;
  Selection selection_;
  int round_ = 0;
};

// windows_of lists for every output position of one axis the input positions that are not padding.
std::vector<std::vector<int64_t>> windows_of(int64_t outputs, int64_t inputs, int64_t kernel, int64_t stride,
                                             int64_t dilation, int64_t pad) {
  std::vector<std::vector<int64_t>> windows;
  for (int64_t o = 0; o < outputs; ++o) {
    std::vector<int64_t>& window = windows.emplace_back();
    for (int64_t i = 0; i < kernel; ++i) {
      const int64_t at = o * stride - pad + i * dilation;
      if (at >= 0 && at < inputs) window.push_back(at);
    }
  }
  return windows;
}

// keep_used renumbers the positions that windows read and returns them.
std::vector<int64_t> keep_used(std::vector<std::vector<int64_t>>& windows, int64_t inputs) {
  std::vector<int64_t> number(static_cast<size_t>(inputs), -1), used;
  for (const auto& window : windows) {
    for (const int64_t at : window) number[static_cast<size_t>(at)] = 0;
  }
  for (int64_t at = 0; at < inputs; ++at) {
    if (number[static_cast<size_t>(at)] < 0) continue;
    number[static_cast<size_t>(at)] = static_cast<int64_t>(used.size());
    used.push_back(at);
  }
  for (auto& window : windows) {
    for (int64_t& at : window) at = number[static_cast<size_t>(at)];
  }
  return used;
}

}  // namespace

Bits index_bits(int64_t columns) {
  return Bits(std::max(1, static_cast<int>(std::bit_width(static_cast<uint64_t>(columns - 1)))));
}

std::optional<RingTensor> max_pool(Pass& pass, const PoolGeometry& pool, Bits residue, Ring ring,
                                   const RingTensor* share) {
  auto rows = windows_of(pool.out_h, pool.in_h, pool.kernel_h, pool.stride_h, pool.dilation_h, pool.pad_top);
  const auto columns = windows_of(pool.out_w, pool.in_w, pool.kernel_w, pool.stride_w, pool.dilation_w, pool.pad_left);
  const std::vector<int64_t> used = keep_used(rows, pool.in_h);
  const auto height = static_cast<int64_t>(used.size());
  std::optional<Candidates> candidates;
  if (share != nullptr) {
    candidates.emplace();
    candidates->value = gather(*share, pool.batch, pool.in_h, pool.in_w * pool.channels, used);
  }
  Tree tree(pass, {.ring = ring, .residue = residue});
  tree.reduce(candidates, pool.batch * height, pool.in_w, pool.channels, plan_reduction(columns));
  tree.reduce(candidates, pool.batch, height, pool.out_w * pool.channels, plan_reduction(rows));
  if (!candidates) return std::nullopt;
  return std::move(candidates->value).reshaped(output_shape(pool));
}

std::optional<RingTensor> arg_max(Pass& pass, int64_t rows, int64_t columns, Bits residue, Ring ring,
                                  const RingTensor* share) {
  const Selection selection{.ring = ring, .residue = residue, .payload = index_bits(columns)};
  std::vector<std::vector<int64_t>> window(1);
  for (int64_t i = 0; i < columns; ++i) window[0].push_back(i);
  std::optional<Candidates> candidates;
  if (share != nullptr) {  // the index is public: E's share is the index itself, D's is zero
    candidates.emplace(Candidates{share->clone(), RingTensor::make(ring, {rows, columns}, pass.is_dry())});
    if (!pass.is_dry()) {
      dispatch(ring, [&](auto zero) {
        using Word = decltype(zero);
        const std::span<Word> out = candidates->payload.as<Word>();
        for (size_t i = 0; i < out.size(); ++i) {
          out[i] = pass.self() == kE ? static_cast<Word>(i % static_cast<size_t>(columns)) : Word{0};
        }
      });
    }
  }
  Tree(pass, selection).reduce(candidates, rows, columns, 1, plan_reduction(window));
  if (!candidates) return std::nullopt;
  return std::move(candidates->payload).reshaped({rows});
}

}  // namespace treville::porthos
