#include "ops/lowering.h"

#include <algorithm>
#include <cmath>

namespace treville::ops {
namespace {

// A gather of more pieces than this costs more to describe than it is worth.
constexpr size_t kMostPieces = 256;

// Run is a progression of indices, upwards or downwards.
struct Run {
  int64_t start = 0, step = 1, count = 1;
};

std::vector<Run> runs_of(const Ints& indices) {
  std::vector<Run> runs;
  for (size_t i = 0; i < indices.size();) {
    Run run{indices[i], 1, 1};
    size_t next = i + 1;
    if (next < indices.size() && indices[next] != indices[i]) {
      run.step = indices[next] - indices[i];
      while (next < indices.size() && indices[next] - indices[next - 1] == run.step) ++next;
    }
    run.count = static_cast<int64_t>(next - i);
    if (run.count == 1) run.step = 1;
    runs.push_back(run);
    i = next;
  }
  return runs;
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

SlotId pick(LowerContext& context, SlotId x, int axis, const Ints& indices) {
  const std::vector<Run> runs = runs_of(indices);
  if (runs.size() > kMostPieces) {
    context.fail(fmt::format("it takes {} separate pieces along axis {}, at most {} are supported", runs.size(), axis,
                             kMostPieces));
  }
  const Shape shape = context.type(x).shape;
  const double bound = context.type(x).bound;
  std::vector<SlotId> parts;
  for (const Run& run : runs) {
    SliceStep slice{x, Ints(shape.dims().size(), 0), Ints(shape.dims().size(), 1), shape};
    slice.starts[static_cast<size_t>(axis)] = run.start;
    slice.steps[static_cast<size_t>(axis)] = run.step;
    slice.shape[axis] = run.count;
    parts.push_back(slice.shape == shape && run.step == 1 ? x : context.emit(std::move(slice), bound));
  }
  if (parts.size() == 1) return parts[0];
  Ints shifts(parts.size(), 0);
  return context.emit(ConcatStep{std::move(parts), std::move(shifts), axis}, bound);
}

int integer_bits(const SlotType& type) {
  if (type.bound <= 0) return 0;
  const double largest = std::ldexp(type.bound, type.scale.value()) * static_cast<double>(type.divisor) + 2;
  return std::max(0, static_cast<int>(std::ceil(std::log2(largest))));
}

SlotId with_room(LowerContext& context, SlotId x, int64_t count) {
  const SlotType& type = context.type(x);
  const int growth = static_cast<int>(std::ceil(std::log2(static_cast<double>(std::max<int64_t>(count, 1)))));
  if (integer_bits(type) + growth + 1 <= type.modulus.value()) return x;
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
