// ArgMax and ArgMin: the index of the largest or smallest element along an axis; on ties the lower index, or with
// last = 1 the higher one: that of the first extremum when the elements are reversed, counted back by the recipient.
#include <algorithm>
#include <numeric>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

int64_t compared_axis(const Node& node, const Shape& shape) {
  return *normal_axis(node.get_int("axis", 0), shape.rank());
}

void infer(InferContext& context) {
  check_inputs(context, 1, 1);
  Shape shape = context.shape(0);
  const auto axis = static_cast<int>(axis_of(context, context.node().get_int("axis", 0), shape));
  if (shape[axis] == 0) context.fail(fmt::format("axis {} of {} is empty", axis, to_string(shape)));
  Ints dims = shape.dims();
  dims[static_cast<size_t>(axis)] = 1;
  if (context.node().get_int("keepdims", 1) == 0) dims.erase(dims.begin() + axis);
  context.results = {Shape(dims)};
  context.dtypes = {DType::kInt};
}

// last_axis moves the compared axis to the end.
Ints last_axis(int rank, int64_t axis) {
  Ints permutation;
  for (int64_t i = 0; i < rank; ++i)
    if (i != axis) permutation.push_back(i);
  permutation.push_back(axis);
  return permutation;
}

template <bool kMin>
std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  IntTensor y(output_shape(graph, node));
  std::visit(
      [&](const auto& given_x) {
        const int64_t axis = compared_axis(node, given_x.shape);
        const auto x = transpose(given_x, last_axis(given_x.shape.rank(), axis));
        const int64_t columns = given_x.shape[static_cast<int>(axis)];
        const bool last = node.get_int("last", 0) != 0;
        auto row = x.values.begin();
        for (int64_t& index : y.values) {
          auto best = row;
          for (auto at = row; at != row + columns; ++at) {
            const bool better = kMin ? *at < *best : *at > *best;
            if (better || (last && *at == *best)) best = at;
          }
          index = best - row;
          row += columns;
        }
      },
      *inputs[0]);
  return one(std::move(y));
}

Interval range(const RangeContext& context) {
  const Shape& shape = input_shape(context.graph, context.node, 0);
  return {0, static_cast<double>(shape[static_cast<int>(compared_axis(context.node, shape))] - 1)};
}

template <bool kMin>
void lower(LowerContext& context) {
  if (!is_graph_output(context))
    context.fail("the index of an extremum inside the model is not supported (supported: as an output)");
  SlotId x = require_secret(context, 0);
  const Shape shape = context.type(x).shape;
  const int64_t axis = compared_axis(context.node(), shape), columns = shape[static_cast<int>(axis)];
  if (columns < 2)
    context.fail(fmt::format("axis {} of {} has one element: there is nothing to compare", axis, to_string(shape)));
  const double bound = context.type(x).bound;
  if (context.node().get_int("last", 0) != 0) {
    Ints backwards(static_cast<size_t>(columns));
    std::iota(backwards.rbegin(), backwards.rend(), int64_t{0});
    x = gathered(context, x, static_cast<int>(axis), backwards);
  }
  if (kMin) x = context.emit(ScaleStep{x, -1, Bits(0)}, bound);
  if (axis != shape.rank() - 1) x = context.emit(TransposeStep{x, last_axis(shape.rank(), axis)}, bound);
  x = reshape(context, x, Shape{shape.elements() / columns, columns});
  const auto t = context.truncation(x, LowerContext::Use::kMaximum);
  finish(context, context.emit(ArgMaxStep{x, t.truncate, t.k}, static_cast<double>(columns - 1)));
}

}  // namespace

constinit const OpDef kArgMax{"ArgMax", infer, evaluate<false>, range, lower<false>};
constinit const OpDef kArgMin{"ArgMin", infer, evaluate<true>, range, lower<true>};

}  // namespace treville::ops
