// Concat joins along an axis, Stack along a new one.
#include <algorithm>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

void check_types(const InferContext& context) {
  for (int i = 1; i < context.input_count(); ++i)
    if (context.dtype(i) != context.dtype(0)) context.fail("some parts are integer, others float. Add a cast.");
}

void infer_concat(InferContext& context) {
  check_inputs(context, 1, 1 << 20);
  check_types(context);
  Shape result = context.shape(0);
  const int64_t axis = axis_of(context, context.node().get_int("axis", 0), result);
  int64_t extent = 0;
  for (int i = 0; i < context.input_count(); ++i) {
    const Shape& part = context.shape(i);
    Shape expected = result;
    if (part.rank() == result.rank()) expected[static_cast<int>(axis)] = part[static_cast<int>(axis)];
    if (part != expected)
      context.fail(
          fmt::format("cannot join {} and {} along axis {}", to_string(context.shape(0)), to_string(part), axis));
    extent += part[static_cast<int>(axis)];
  }
  result[static_cast<int>(axis)] = extent;
  context.results = {result};
}

void infer_stack(InferContext& context) {
  check_inputs(context, 1, 1 << 20);
  check_types(context);
  const Shape& part = context.shape(0);
  for (int i = 1; i < context.input_count(); ++i) {
    if (context.shape(i) != part)
      context.fail(fmt::format("cannot stack {} and {}", to_string(part), to_string(context.shape(i))));
  }
  Ints dims = part.dims();
  const auto axis = normal_axis(context.node().get_int("axis", 0), part.rank() + 1);
  if (!axis)
    context.fail(
        fmt::format("axis {} is outside of a stack of {}", context.node().get_int("axis", 0), to_string(part)));
  dims.insert(dims.begin() + *axis, context.input_count());
  context.results = {Shape(dims)};
}

int joined_axis(const Node& node, const Shape& result) {
  return static_cast<int>(*normal_axis(node.get_int("axis", 0), result.rank()));
}

// join copies blocks: `inner` elements along and below the axis of each part for every index above it.
std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& first) {
    using Tensor = std::decay_t<decltype(first)>;
    const Shape& result = output_shape(graph, node);
    Tensor y(result);
    const Ints& dims = result.dims();
    int64_t outer = 1;
    for (int axis = 0; axis < joined_axis(node, result); ++axis) outer *= dims[static_cast<size_t>(axis)];
    auto to = y.values.begin();
    for (int64_t i = 0; i < outer; ++i) {
      for (const Constant* part : inputs) {
        const auto& values = std::get<Tensor>(*part).values;
        const auto inner = static_cast<int64_t>(values.size()) / outer;
        to = std::copy_n(values.begin() + i * inner, inner, to);
      }
    }
    return y;
  });
}

Interval range(const RangeContext& context) {
  Interval all = context.inputs[0];
  for (const Interval& part : context.inputs) all = hull(all, part);
  return all;
}

// lower: the parts of a stack first get their new axis.
void lower(LowerContext& context) {
  const int axis = joined_axis(context.node(), context.output_shape());
  const bool is_stack = context.node().op == "Stack";
  std::vector<SlotId> parts;
  for (size_t i = 0; i < context.node().inputs.size(); ++i) {
    if (context.constant(static_cast<int>(i)) != nullptr)
      context.fail("joining secrets with constants is not supported (supported: secrets with secrets)");
    SlotId part = context.operand(static_cast<int>(i));
    Shape shape = context.output_shape();
    shape[axis] = is_stack ? 1 : context.type(part).shape[axis];
    if (shape[axis] > 0) parts.push_back(reshape(context, part, shape));
  }
  if (parts.size() == 1) return finish(context, parts[0]);
  auto aligned = context.align(std::move(parts));
  Ints shifts;
  for (Bits shift : aligned.shifts) shifts.push_back(shift.value());
  context.set_result(context.emit(ConcatStep{std::move(aligned.slots), std::move(shifts), axis}));
}

}  // namespace

constinit const OpDef kConcat{"Concat", infer_concat, evaluate, range, lower};
constinit const OpDef kStack{"Stack", infer_stack, evaluate, range, lower};

}  // namespace treville::ops
