// Reduction plans maxima over windows as levels of pairwise maxima: which pairs, and which are shared between windows.
// A window of n elements is split into its first 2^j < n elements, 2^j as large as possible, and the rest, so that it
// takes ceil(log2 n) levels and overlapping windows meet in common pieces. Left operands always come first.
#pragma once

#include <cstdint>
#include <vector>

namespace treville::porthos {

// ReductionLevel turns a row of pieces into the next: the maxima of `left` and `right`, pair by pair, then the pieces
// of `carry` as they are. All are indices into the row before.
struct ReductionLevel {
  std::vector<int64_t> left, right, carry;
};

struct Reduction {
  std::vector<ReductionLevel> levels;
  std::vector<int64_t> outputs;  // where each window's maximum lies in the last row
  int64_t pairs() const {
    int64_t count = 0;
    for (const ReductionLevel& level : levels) count += static_cast<int64_t>(level.left.size());
    return count;
  }
};

// plan_reduction: every window lists its elements (indices into the first row), at least one.
Reduction plan_reduction(const std::vector<std::vector<int64_t>>& windows);

}  // namespace treville::porthos
