// Relu, Clip, LeakyRelu. A clip is brought to min(max(x, 0), upper), and a one-sided one to a relu, by adding
// constants.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

using Use = LowerContext::Use;

void infer(InferContext& context) {
  check_inputs(context, 1, 1);
  if (context.dtype(0) != DType::kFloat) context.fail("expected floats, found integers");
  context.results = {context.shape(0)};
}

template <class F>
std::vector<Constant> map_floats(Inputs inputs, F f) {
  FloatTensor y = floats(inputs[0]);
  for (float& value : y.values) value = f(value);
  return one(std::move(y));
}

// --- Relu ------------------------------------------------------------------------------------------------------------

std::vector<Constant> evaluate_relu(const Graph&, const Node&, Inputs inputs) {
  return map_floats(inputs, [](float x) { return std::max(x, 0.0F); });
}

Interval range_relu(const RangeContext& context) {
  return {std::max(context.inputs[0].low, 0.0), std::max(context.inputs[0].high, 0.0)};
}

void lower_relu(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const auto t = context.truncation(x, Use::kActivation);
  context.set_result(context.emit(ReluStep{x, t.truncate, t.k}));
}

// --- Clip ------------------------------------------------------------------------------------------------------------

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// bounds_of: where min exceeds max the result is max everywhere, as in ONNX and TensorFlow.
Interval bounds_of(const Node& node) {
  const double high = node.get_float("max", kInfinity);
  return {std::min(node.get_float("min", -kInfinity), high), high};
}

std::vector<Constant> evaluate_clip(const Graph&, const Node& node, Inputs inputs) {
  const Interval bounds = bounds_of(node);
  const auto low = static_cast<float>(bounds.low), high = static_cast<float>(bounds.high);
  return map_floats(inputs, [=](float x) { return std::min(std::max(x, low), high); });
}

Interval range_clip(const RangeContext& context) {
  const Interval bounds = bounds_of(context.node), x = context.inputs[0];
  return {std::clamp(x.low, bounds.low, bounds.high), std::clamp(x.high, bounds.low, bounds.high)};
}

FloatTensor channel_constant(const Shape& shape, double value) {
  const Shape channels = shape.rank() == 0 ? Shape{} : Shape{shape[shape.rank() - 1]};
  FloatTensor constant(channels);
  std::fill(constant.values.begin(), constant.values.end(), static_cast<float>(value));
  return constant;
}

// Inner values: sums whose bound grows with the constant.
SlotId shifted(LowerContext& context, SlotId x, double value) {
  if (value == 0) return x;
  const double bound = context.type(x).bound + std::abs(value);
  return context.add_constant(x, channel_constant(context.type(x).shape, value), bound);
}

SlotId negative(LowerContext& context, SlotId x) {
  const double bound = context.type(x).bound;
  return context.emit(ScaleStep{x, -1, Bits(0)}, bound);
}

SlotId relu(LowerContext& context, SlotId x) {
  const double bound = context.type(x).bound;
  const auto t = context.truncation(x, Use::kActivation, bound);
  return context.emit(ReluStep{x, t.truncate, t.k}, bound);
}

// clip gives min(max(x, 0), upper); where the range of x ends below upper, that is a relu.
SlotId clip(LowerContext& context, SlotId x, double upper) {
  const SlotType type = context.type(x);
  if (type.bound <= upper) return relu(context, x);
  if (type.modulus < bits_of(type.ring))  // a maximum: the step opens more than is known of it
    x = with_room(context, x, static_cast<int64_t>(std::ceil(1 + upper / type.bound)));
  const auto t = context.truncation(x, Use::kActivation, type.bound + upper);
  const int64_t integer = std::llround(std::ldexp(upper, t.scale.value()) * static_cast<double>(type.divisor));
  if (integer < 1)
    context.fail(fmt::format("its interval is narrower than the {} fraction bits its operand keeps", t.scale));
  return context.emit(ClipStep{x, t.truncate, t.k, integer}, upper);
}

void lower_clip(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const Interval bounds = bounds_of(context.node());
  const bool has_low = std::isfinite(bounds.low), has_high = std::isfinite(bounds.high);
  if (!has_low && !has_high) return context.set_result(x);
  if (bounds.low == bounds.high) context.fail("min is not below max, so its result is a constant");
  SlotId y = x;
  double last = bounds.low;  // what the last addition restores
  if (has_low && has_high) {
    y = clip(context, shifted(context, x, -bounds.low), bounds.high - bounds.low);
  } else if (has_low) {
    y = relu(context, shifted(context, x, -bounds.low));  // max(x, a) = relu(x - a) + a
  } else {
    last = bounds.high;  // min(x, b) = b - relu(b - x)
    y = negative(context, relu(context, shifted(context, negative(context, x), bounds.high)));
  }
  if (last != 0) y = context.add_constant(y, channel_constant(context.type(y).shape, last));
  context.set_result(y);
}

// --- LeakyRelu -------------------------------------------------------------------------------------------------------

double alpha_of(const Node& node) { return node.get_float("alpha", 0.01); }

std::vector<Constant> evaluate_leaky_relu(const Graph&, const Node& node, Inputs inputs) {
  const auto alpha = static_cast<float>(alpha_of(node));
  return map_floats(inputs, [=](float x) { return x < 0 ? alpha * x : x; });
}

Interval range_leaky_relu(const RangeContext& context) {
  const double alpha = alpha_of(context.node);
  const auto leaky = [&](double x) { return x < 0 ? alpha * x : x; };
  const Interval x = context.inputs[0];
  Interval y = hull({leaky(x.low), leaky(x.low)}, {leaky(x.high), leaky(x.high)});
  if (x.low <= 0 && x.high >= 0) y = hull(y, {0, 0});
  return y;
}

// A slope as slope * 2^-bits: the fewest bits that come within half of 2^-wanted, or the most that are there.
constexpr int kFewestSlopeBits = 6;
int wanted_slope_bits(Ring ring) { return ring == Ring::k32 ? 10 : 20; }

int slope_bits(double alpha, int wanted, int most) {
  for (int bits = 0; bits < most; ++bits) {
    const double slope = std::ldexp(std::nearbyint(std::ldexp(alpha, bits)), -bits);
    if (std::abs(slope - alpha) <= std::ldexp(1.0, -wanted - 1) * std::min(1.0, 16 * std::abs(alpha))) return bits;
  }
  return most;
}

void lower_leaky_relu(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const double alpha = alpha_of(context.node());
  const auto t = context.truncation(x, Use::kActivation);
  const int growth = static_cast<int>(std::ceil(std::log2(std::max(1.0, std::abs(alpha)))));
  const int room = bits_of(context.type(x).ring).value() - t.k.value() - growth;
  if (room < kFewestSlopeBits) {
    context.fail(
        fmt::format("its slope needs {} bits beside the {} of its operand, more than the {}-bit ring has. Use the "
                    "64-bit ring.",
                    kFewestSlopeBits + growth, t.k, bits_of(context.type(x).ring)));
  }
  // A result that is masked later needs more room than the ring's.
  const int most = std::max(kFewestSlopeBits, std::min(room, context.scale_limit() - t.scale.value()));
  const int wanted = wanted_slope_bits(context.type(x).ring);
  const int bits = slope_bits(alpha, wanted, std::min(most, wanted + 4));
  const int64_t slope = std::llround(std::ldexp(alpha, bits));
  context.set_result(context.emit(LeakyReluStep{x, t.truncate, t.k, slope, Bits(bits)}));
}

}  // namespace

constinit const OpDef kRelu{"Relu", infer, evaluate_relu, range_relu, lower_relu};
constinit const OpDef kClip{"Clip", infer, evaluate_clip, range_clip, lower_clip};
constinit const OpDef kLeakyRelu{"LeakyRelu", infer, evaluate_leaky_relu, range_leaky_relu, lower_leaky_relu};

}  // namespace treville::ops
