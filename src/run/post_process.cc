#include "run/post_process.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "base/error.h"

namespace treville {
namespace {

size_t columns_of(const Shape& shape) { return shape.rank() == 0 ? 1 : static_cast<size_t>(shape[shape.rank() - 1]); }

void softmax(std::span<float> row) {
  const float largest = *std::max_element(row.begin(), row.end());
  float sum = 0;
  for (float& value : row) sum += value = std::exp(value - largest);
  for (float& value : row) value /= sum;
}

// largest_first gives the indices of a row by falling value.
std::vector<size_t> largest_first(std::span<const float> row) {
  std::vector<size_t> order(row.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
  return order;
}

}  // namespace

FloatTensor post_process(const FloatTensor& revealed, PostProcess post, int64_t top) {
  const size_t columns = columns_of(revealed.shape);
  FloatTensor result = revealed;
  if (post == PostProcess::kNone || columns == 0) return result;
  if (post == PostProcess::kSoftmax) {
    for (size_t at = 0; at < result.values.size(); at += columns)
      softmax(std::span(result.values).subspan(at, columns));
    return result;
  }
  CHECK(revealed.shape.rank() > 0 && top >= 1 && static_cast<size_t>(top) <= columns, "the top {} of {}", top,
        to_string(revealed.shape));
  result.shape[result.shape.rank() - 1] = top;
  result.values.clear();
  for (size_t at = 0; at < revealed.values.size(); at += columns) {
    const auto row = std::span(revealed.values).subspan(at, columns);
    const std::vector<size_t> order = largest_first(row);
    for (size_t i = 0; i < static_cast<size_t>(top); ++i)
      result.values.push_back(post == PostProcess::kTopValues ? row[order[i]] : static_cast<float>(order[i]));
  }
  return result;
}

}  // namespace treville
