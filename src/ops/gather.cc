// Gather takes indices along an axis; they take the axis' place in the result. Negative indices count from the end.
#include <algorithm>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

void infer(InferContext& context) {
  check_inputs(context, 2, 2);
  const Shape &x = context.shape(0), &indices = context.shape(1);
  const int64_t axis = axis_of(context, context.node().get_int("axis", 0), x);
  if (context.dtype(1) != DType::kInt) context.fail("its indices are not integers");
  const int64_t extent = x[static_cast<int>(axis)];
  if (const Constant* constant = context.constant(1)) {
    for (int64_t index : integers(constant).values)
      if (index < -extent || index >= extent)
        context.fail(fmt::format("index {} is outside of axis {} of {}", index, axis, to_string(x)));
  }
  Ints dims = x.dims();
  dims.erase(dims.begin() + axis);
  dims.insert(dims.begin() + axis, indices.dims().begin(), indices.dims().end());
  context.results = {Shape(dims)};
}

int64_t gathered_axis(const Node& node, const Shape& shape) {
  return *normal_axis(node.get_int("axis", 0), shape.rank());
}

Ints positions_of(const Constant* constant, int64_t extent) {
  Ints positions = integers(constant).values;
  for (int64_t& position : positions)
    if (position < 0) position += extent;
  return positions;
}

std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    const int64_t axis = gathered_axis(node, x.shape), extent = x.shape[static_cast<int>(axis)];
    const Ints positions = positions_of(inputs[1], extent);
    for (int64_t position : positions)
      if (position < 0 || position >= extent)
        fail_node(graph, node, fmt::format("an index is outside of {}", to_string(x.shape)));
    auto y = take(x, static_cast<int>(axis), positions);
    y.shape = output_shape(graph, node);
    return y;
  });
}

void lower(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const Constant* indices = context.constant(1);
  if (indices == nullptr) context.fail("computed indices are not supported (supported: constants)");
  const Shape shape = context.type(x).shape;
  const auto axis = static_cast<int>(gathered_axis(context.node(), shape));
  const Ints positions = positions_of(indices, shape[axis]);
  if (positions.empty()) context.fail("it takes no elements");
  finish(context, gathered(context, x, axis, positions));
}

}  // namespace

constinit const OpDef kGather{"Gather", infer, evaluate, same_range, lower};

}  // namespace treville::ops
