// CumSum: running sums along an axis. Trilu: the upper or lower triangle of the last two axes. Both are linear.
#include "ops/triangles.h"

#include <algorithm>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

void infer_cum_sum(InferContext& context) {
  check_inputs(context, 1, 2);
  Node& node = context.node();
  if (context.input_count() > 1) {
    const Ints axis = context.ints(1);
    if (axis.size() != 1) context.fail(fmt::format("its axis has {} elements", axis.size()));
    node.attributes["axis"] = axis[0];
    node.inputs.resize(1);
  }
  axis_of(context, node.get_int("axis", 0), context.shape(0));
  context.results = {context.shape(0)};
}

// adds: element `from` is part of the running sum at `to`.
bool adds(const Node& node, int64_t from, int64_t to) {
  const bool exclusive = node.get_int("exclusive", 0) != 0;
  if (from == to) return !exclusive;
  return node.get_int("reverse", 0) != 0 ? from > to : from < to;
}

std::vector<Constant> evaluate_cum_sum(const Graph&, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    std::decay_t<decltype(x)> y(x.shape);
    const auto axis = static_cast<int>(*normal_axis(node.get_int("axis", 0), x.shape.rank()));
    const int64_t n = x.shape[axis], stride = strides_of(x.shape)[static_cast<size_t>(axis)];
    const bool backwards = node.get_int("reverse", 0) != 0, exclusive = node.get_int("exclusive", 0) != 0;
    for (int64_t line = 0; n > 0 && line < x.shape.elements() / n; ++line) {
      const int64_t first = line / stride * n * stride + line % stride;
      typename decltype(y.values)::value_type sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(first + (backwards ? n - 1 - i : i) * stride);
        if (exclusive) y.values[at] = sum;
        sum += x.values[at];
        if (!exclusive) y.values[at] = sum;
      }
    }
    return y;
  });
}

Interval range_cum_sum(const RangeContext& context) {
  const Shape& shape = input_shape(context.graph, context.node, 0);
  const auto axis = static_cast<int>(*normal_axis(context.node.get_int("axis", 0), shape.rank()));
  return times(hull(context.inputs[0], {0, 0}), {0, static_cast<double>(shape[axis])});
}

void infer_trilu(InferContext& context) {
  check_inputs(context, 1, 2);
  Node& node = context.node();
  if (context.shape(0).rank() < 2)
    context.fail(fmt::format("expected matrices, found {}", to_string(context.shape(0))));
  if (context.input_count() > 1) {
    const Ints k = context.ints(1);
    if (k.size() != 1) context.fail(fmt::format("its k has {} elements", k.size()));
    node.attributes["k"] = k[0];
    node.inputs.resize(1);
  }
  context.results = {context.shape(0)};
}

bool keeps(const Node& node, int64_t row, int64_t column) {
  const int64_t k = node.get_int("k", 0);
  return node.get_int("upper", 1) != 0 ? column - row >= k : column - row <= k;
}

std::vector<Constant> evaluate_trilu(const Graph&, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](auto x) {
    const int64_t columns = x.shape[x.shape.rank() - 1], rows = x.shape[x.shape.rank() - 2];
    for (size_t i = 0; i < x.values.size(); ++i) {
      const auto at = static_cast<int64_t>(i);
      if (!keeps(node, at / columns % rows, at % columns)) x.values[i] = 0;
    }
    return x;
  });
}

Interval range_trilu(const RangeContext& context) { return hull(context.inputs[0], {0, 0}); }

}  // namespace

FloatTensor cumulative_matrix(const Node& node, int64_t n) {
  FloatTensor matrix(Shape{n, n});
  for (int64_t from = 0; from < n; ++from)
    for (int64_t to = 0; to < n; ++to)
      if (adds(node, from, to)) matrix.values[static_cast<size_t>(from * n + to)] = 1;
  return matrix;
}

FloatTensor triangle_mask(const Node& node, int64_t rows, int64_t columns) {
  FloatTensor mask(Shape{rows, columns});
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      if (keeps(node, row, column)) mask.values[static_cast<size_t>(row * columns + column)] = 1;
  return mask;
}

constinit const OpDef kCumSum{"CumSum", infer_cum_sum, evaluate_cum_sum, range_cum_sum, nullptr};
constinit const OpDef kTrilu{"Trilu", infer_trilu, evaluate_trilu, range_trilu, nullptr};

}  // namespace treville::ops
