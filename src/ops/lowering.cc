#include "ops/lowering.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "program/rules.h"

namespace treville::ops {
namespace {

// step_of gives the step of a progression of indices, or nothing.
std::optional<int64_t> step_of(const Ints& indices) {
  if (indices.size() == 1) return 1;
  const int64_t step = indices[1] - indices[0];
  for (size_t i = 2; i < indices.size(); ++i)
    if (indices[i] - indices[i - 1] != step) return {};
  return step == 0 ? std::nullopt : std::optional(step);
}

}  // namespace

const FloatTensor* float_constant(LowerContext& context, int input) {
  if (input >= static_cast<int>(context.node().inputs.size())) return nullptr;
  const Constant* constant = context.constant(input);
  return constant ? std::get_if<FloatTensor>(constant) : nullptr;
}

SlotId require_secret(LowerContext& context, int input) {
  if (context.constant(input) != nullptr) context.fail(fmt::format("input {} is a constant, expected a secret", input));
  return context.operand(input);
}

SlotId reshape(LowerContext& context, SlotId x, const Shape& shape) {
  if (context.type(x).shape == shape) return x;
  const double bound = context.type(x).bound;
  return context.emit(ReshapeStep{x, shape}, bound);
}

void finish(LowerContext& context, SlotId x) { context.set_result(reshape(context, x, context.output_shape())); }

SlotId scale_channels(LowerContext& context, SlotId x, const FloatTensor& factor, const FloatTensor* bias) {
  const Shape shape = context.type(x).shape;
  const int64_t channels = factor.shape.elements();
  const ChannelGeometry map{shape.elements() / std::max<int64_t>(channels, 1), channels};
  const FloatTensor weight(Shape{channels}, factor.values);
  x = reshape(context, x, Shape{map.outer, map.channels});
  return reshape(context, context.linear(x, map, weight, bias), shape);
}

SlotId gathered(LowerContext& context, SlotId x, int axis, const Ints& indices) {
  const Shape shape = context.type(x).shape;
  const double bound = context.type(x).bound;
  const auto count = static_cast<int64_t>(indices.size());
  if (const auto step = step_of(indices)) {
    if (count == shape[axis] && *step == 1) return x;
    SliceStep slice{x, Ints(shape.dims().size(), 0), Ints(shape.dims().size(), 1), shape};
    slice.starts[static_cast<size_t>(axis)] = indices[0];
    slice.steps[static_cast<size_t>(axis)] = *step;
    slice.shape[axis] = count;
    return context.emit(std::move(slice), bound);
  }
  std::vector<SlotId> parts;
  for (int64_t first = 0; first < count; first += kMaxIndices) {
    const auto begin = indices.begin() + first;
    parts.push_back(
        context.emit(GatherStep{x, axis, Ints(begin, begin + std::min(kMaxIndices, count - first))}, bound));
  }
  if (parts.size() == 1) return parts[0];
  Ints shifts(parts.size(), 0);
  return context.emit(ConcatStep{std::move(parts), std::move(shifts), axis}, bound);
}

SlotId expanded(LowerContext& context, SlotId x, const Shape& shape) {
  Ints dims(static_cast<size_t>(shape.rank() - context.type(x).shape.rank()), 1);
  dims.insert(dims.end(), context.type(x).shape.dims().begin(), context.type(x).shape.dims().end());
  x = reshape(context, x, Shape(dims));
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (context.type(x).shape[axis] != shape[axis])
      x = gathered(context, x, axis, Ints(static_cast<size_t>(shape[axis]), 0));
  return x;
}

bool is_power_of_two(int64_t divisor) { return std::has_single_bit(static_cast<uint64_t>(divisor)); }

SlotId emit_value(LowerContext& context, StepBody body, std::optional<double> bound) {
  return bound ? context.emit(std::move(body), *bound) : context.emit(std::move(body));
}

SlotId divided(LowerContext& context, SlotId x, int64_t power_of_two, std::optional<double> bound) {
  if (power_of_two == 1) return x;
  return emit_value(context, ScaleStep{x, 1, Bits(std::countr_zero(static_cast<uint64_t>(power_of_two)))}, bound);
}

int integer_bits(const SlotType& type) {
  if (type.bound <= 0) return 0;
  const double largest = std::ldexp(type.bound, type.scale.value()) * static_cast<double>(type.divisor) + 2;
  return std::max(0, static_cast<int>(std::ceil(std::log2(largest))));
}

SlotId with_room(LowerContext& context, SlotId x, int64_t count) {
  const SlotType& type = context.type(x);
  const int growth = static_cast<int>(std::ceil(std::log2(static_cast<double>(std::max<int64_t>(count, 1)))));
  // What is known modulo few bits may still have to be masked, which takes one more.
  const int spare = type.modulus < bits_of(type.ring) ? 2 : 1;
  if (integer_bits(type) + growth + spare <= type.modulus.value()) return x;
  const double bound = type.bound;
  const auto t = context.truncation(x, LowerContext::Use::kRescale, bound);
  return context.emit(RescaleStep{x, t.truncate, t.k}, bound);
}

bool is_graph_output(const LowerContext& context) {
  const auto& outputs = context.graph().outputs;
  return std::find(outputs.begin(), outputs.end(), context.node().outputs.at(0)) != outputs.end();
}

void pass_through(LowerContext& context) { finish(context, require_secret(context, 0)); }

}  // namespace treville::ops
