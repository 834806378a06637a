// Tile repeats a tensor along every axis, Expand repeats it along axes of extent one (numpy's broadcasting).
#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

// --- Tile ------------------------------------------------------------------------------------------------------------

Ints repeats_of(const Node& node, const Constant* constant) {
  return list_of(node, "repeats", constant).value_or(Ints{});
}

void infer_tile(InferContext& context) {
  check_inputs(context, 1, 2);
  Shape shape = context.shape(0);
  const Ints repeats = read_list(context, "repeats", 1).value_or(Ints{});
  if (repeats.size() != shape.dims().size())
    context.fail(fmt::format("{} repeats for {}", repeats.size(), to_string(shape)));
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int64_t count = repeats[static_cast<size_t>(axis)];
    if (count < 0 || __builtin_mul_overflow(shape[axis], count, &shape[axis]))
      context.fail(fmt::format("cannot repeat {} {} times along axis {}", to_string(context.shape(0)), count, axis));
  }
  context.results = {shape};
}

// repeated lists the indices 0..extent-1 `count` times.
Ints repeated(int64_t extent, int64_t count) {
  Ints indices;
  for (int64_t i = 0; i < extent * count; ++i) indices.push_back(i % extent);
  return indices;
}

std::vector<Constant> evaluate_tile(const Graph&, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](auto x) {
    const Ints repeats = repeats_of(node, given(inputs, 1));
    for (int axis = 0; axis < x.shape.rank(); ++axis) {
      const int64_t count = repeats[static_cast<size_t>(axis)];
      if (count != 1) x = take(x, axis, repeated(x.shape[axis], count));
    }
    return x;
  });
}

void lower_tile(LowerContext& context) {
  SlotId x = require_secret(context, 0);
  const Constant* constant = context.node().inputs.size() > 1 ? context.constant(1) : nullptr;
  const Ints repeats = repeats_of(context.node(), constant);
  if (context.output_shape().elements() == 0) context.fail("it gives no elements");
  for (int axis = 0; axis < context.output_shape().rank(); ++axis) {
    const int64_t count = repeats[static_cast<size_t>(axis)];
    if (count != 1) x = gathered(context, x, axis, repeated(context.type(x).shape[axis], count));
  }
  context.set_result(x);
}

// --- Expand ----------------------------------------------------------------------------------------------------------

void infer_expand(InferContext& context) {
  check_inputs(context, 1, 2);
  const auto wanted = read_list(context, "shape", 1);
  if (!wanted) context.fail("its shape is missing");
  const auto shape = broadcast(context.shape(0), Shape(*wanted));
  if (!shape)
    context.fail(fmt::format("cannot expand {} to {}", to_string(context.shape(0)), to_string(Shape(*wanted))));
  context.results = {*shape};
}

std::vector<Constant> evaluate_expand(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    const Shape& shape = output_shape(graph, node);
    return view(x, shape, 0, broadcast_strides(x.shape, shape));
  });
}

void lower_expand(LowerContext& context) {
  if (context.output_shape().elements() == 0) context.fail("it gives no elements");
  context.set_result(expanded(context, require_secret(context, 0), context.output_shape()));
}

}  // namespace

constinit const OpDef kTile{"Tile", infer_tile, evaluate_tile, same_range, lower_tile};
constinit const OpDef kExpand{"Expand", infer_expand, evaluate_expand, same_range, lower_expand};

}  // namespace treville::ops
