// Concat joins along an axis, Stack along a new one. A constant among the parts is added into a gap of zeros.
#include <algorithm>
#include <optional>

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

// Part of a result: its extent along the joined axis, and a slot or a constant.
struct Part {
  int64_t extent = 1;
  std::optional<SlotId> slot;
  const FloatTensor* constant = nullptr;
};

std::vector<Part> parts_of(LowerContext& context, int axis) {
  const bool is_stack = context.node().op == "Stack";
  std::vector<Part> parts;
  for (size_t i = 0; i < context.node().inputs.size(); ++i) {
    const int input = static_cast<int>(i);
    Part part{is_stack ? 1 : context.input_shape(input)[axis], {}, float_constant(context, input)};
    if (part.extent == 0) continue;
    Shape shape = context.output_shape();
    shape[axis] = part.extent;
    if (part.constant == nullptr) part.slot = reshape(context, require_secret(context, input), shape);
    parts.push_back(part);
  }
  return parts;
}

// with_gaps puts zeros in the places of constants: each secret part is padded by the constants around it.
std::vector<SlotId> with_gaps(LowerContext& context, const std::vector<Part>& parts, int axis) {
  std::vector<SlotId> slots;
  const auto rank = static_cast<size_t>(context.output_shape().rank()), at = static_cast<size_t>(axis);
  int64_t gap = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].slot) {
      gap += parts[i].extent;
      continue;
    }
    Ints before(rank, 0), after(rank, 0);
    before[at] = gap;
    gap = 0;
    const bool is_last = std::none_of(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1, parts.end(),
                                      [](const Part& part) { return part.slot.has_value(); });
    for (size_t next = i + 1; is_last && next < parts.size(); ++next) after[at] += parts[next].extent;
    const double bound = context.type(*parts[i].slot).bound;
    const bool pads = before[at] > 0 || after[at] > 0;
    slots.push_back(pads ? context.emit(PadStep{*parts[i].slot, before, after}, bound) : *parts[i].slot);
    if (is_last) break;
  }
  return slots;
}

// placed has the constants in their places and 0 in those of the secrets.
FloatTensor placed(const Shape& result, const std::vector<Part>& parts, int axis) {
  FloatTensor all(result);
  const Ints strides = strides_of(result);
  int64_t first = 0;
  for (const Part& part : parts) {
    Shape shape = result;
    shape[axis] = part.extent;
    if (part.constant != nullptr)
      walk(shape, first * strides[static_cast<size_t>(axis)], strides,
           [&](size_t from, size_t to) { all.values[to] = part.constant->values[from]; });
    first += part.extent;
  }
  return all;
}

void lower(LowerContext& context) {
  const int axis = joined_axis(context.node(), context.output_shape());
  const std::vector<Part> parts = parts_of(context, axis);
  const bool has_constants =
      std::any_of(parts.begin(), parts.end(), [](const Part& part) { return part.constant != nullptr; });
  double bound = 0;
  for (const Part& part : parts)
    if (part.slot) bound = std::max(bound, context.type(*part.slot).bound);
  std::vector<SlotId> slots = with_gaps(context, parts, axis);
  if (slots.empty()) context.fail("it joins no secret of any element");
  SlotId joined = slots[0];
  if (slots.size() > 1) {
    auto aligned = context.align(std::move(slots));
    Ints shifts;
    for (Bits shift : aligned.shifts) shifts.push_back(shift.value());
    ConcatStep step{std::move(aligned.slots), std::move(shifts), axis};
    joined = has_constants ? context.emit(std::move(step), bound) : context.emit(std::move(step));
  }
  if (has_constants) joined = context.add_constant(joined, placed(context.output_shape(), parts, axis));
  finish(context, joined);
}

}  // namespace

constinit const OpDef kConcat{"Concat", infer_concat, evaluate, range, lower};
constinit const OpDef kStack{"Stack", infer_stack, evaluate, range, lower};

}  // namespace treville::ops
