#include "run/post_process.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "base/error.h"

namespace treville {
namespace {

std::vector<float> softmax(std::span<const float> row, bool logarithm) {
  const float largest = *std::max_element(row.begin(), row.end());
  float sum = 0;
  for (float value : row) sum += std::exp(value - largest);
  std::vector<float> result;
  for (float value : row)
    result.push_back(logarithm ? value - largest - std::log(sum) : std::exp(value - largest) / sum);
  return result;
}

std::vector<float> kept(std::span<const float> row, PostProcess post, size_t top) {
  const bool largest = post == PostProcess::kTopValues || post == PostProcess::kTopIndices;
  const bool values = post == PostProcess::kTopValues || post == PostProcess::kLeastValues;
  std::vector<size_t> order(row.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return largest ? row[a] > row[b] : row[a] < row[b]; });
  std::vector<float> result;
  for (size_t i = 0; i < top; ++i) result.push_back(values ? row[order[i]] : static_cast<float>(order[i]));
  return result;
}

// along_axis replaces every row of elements along an axis by what `f` makes of it.
template <class F>
FloatTensor along_axis(const FloatTensor& x, int axis, int64_t extent, F f) {
  FloatTensor y = x;
  y.shape[axis] = extent;
  y.values.resize(static_cast<size_t>(y.shape.elements()));
  int64_t inner = 1;
  for (int i = axis + 1; i < x.shape.rank(); ++i) inner *= x.shape[i];
  const int64_t rows = x.shape.elements() / x.shape[axis];
  std::vector<float> row(static_cast<size_t>(x.shape[axis]));
  for (int64_t i = 0; i < rows; ++i) {
    const auto element = [&](int64_t length, size_t at) {
      return static_cast<size_t>((i / inner * length + static_cast<int64_t>(at)) * inner + i % inner);
    };
    for (size_t at = 0; at < row.size(); ++at) row[at] = x.values[element(x.shape[axis], at)];
    const std::vector<float> result = f(row);
    for (size_t at = 0; at < result.size(); ++at) y.values[element(extent, at)] = result[at];
  }
  return y;
}

}  // namespace

FloatTensor post_process(const FloatTensor& revealed, PostProcess post, int64_t top, int64_t axis) {
  FloatTensor result = revealed;
  const int rank = revealed.shape.rank();
  if (post == PostProcess::kIndexFromLast)
    for (float& index : result.values) index = static_cast<float>(top - 1) - index;
  if (post == PostProcess::kNone || post == PostProcess::kIndexFromLast || revealed.values.empty()) return result;
  if (rank == 0) {
    CHECK(!keeps_some(post), "the top {} of a single number", top);
    result.values[0] = post == PostProcess::kLogSoftmax ? 0.0F : 1.0F;
    return result;
  }
  const int along = axis < 0 ? rank - 1 : static_cast<int>(axis);
  CHECK(along < rank, "axis {} of {}", axis, to_string(revealed.shape));
  if (!keeps_some(post))
    return along_axis(revealed, along, revealed.shape[along],
                      [&](const auto& row) { return softmax(row, post == PostProcess::kLogSoftmax); });
  CHECK(top >= 1 && top <= revealed.shape[along], "the top {} of {}", top, to_string(revealed.shape));
  return along_axis(revealed, along, top, [&](const auto& row) { return kept(row, post, static_cast<size_t>(top)); });
}

}  // namespace treville
