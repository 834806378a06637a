// Neg, Abs, Sign, Floor, Ceil and Round: elementwise, of floats and integers alike.
#include <algorithm>
#include <cmath>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

void infer(InferContext& context) {
  check_inputs(context, 1, 1);
  context.results = {context.shape(0)};
}

struct Negative {
  float operator()(float x) const { return -x; }
  int64_t operator()(int64_t x) const { return static_cast<int64_t>(0 - static_cast<uint64_t>(x)); }
};
struct Magnitude {
  float operator()(float x) const { return std::abs(x); }
  int64_t operator()(int64_t x) const { return x < 0 ? Negative()(x) : x; }
};
struct SignOf {
  template <class Number>
  Number operator()(Number x) const {
    return static_cast<Number>((x > 0) - (x < 0));
  }
};
// Integers are whole already. Halves are rounded to the even neighbour, as in ONNX and TensorFlow.
template <float (*kRounded)(float)>
struct Whole {
  float operator()(float x) const { return kRounded(x); }
  int64_t operator()(int64_t x) const { return x; }
};
float floor_of(float x) { return std::floor(x); }
float ceil_of(float x) { return std::ceil(x); }
float round_of(float x) { return std::nearbyint(x); }

template <class F>
std::vector<Constant> evaluate(const Graph&, const Node&, Inputs inputs) {
  return of_either(inputs[0], [](auto tensor) {
    for (auto& value : tensor.values) value = F()(value);
    return tensor;
  });
}

Interval range_neg(const RangeContext& context) { return {-context.inputs[0].high, -context.inputs[0].low}; }

Interval range_abs(const RangeContext& context) {
  const Interval& x = context.inputs[0];
  const double least = x.low > 0 ? x.low : std::max(0.0, -x.high);
  return {least, x.magnitude()};
}

template <double (*kRounded)(double)>
Interval range_monotone(const RangeContext& context) {
  return {kRounded(context.inputs[0].low), kRounded(context.inputs[0].high)};
}
double sign_of_real(double x) { return SignOf()(x); }
double floor_of_real(double x) { return std::floor(x); }
double ceil_of_real(double x) { return std::ceil(x); }
double round_of_real(double x) { return std::nearbyint(x); }

void lower_neg(LowerContext& context) {
  context.set_result(context.emit(ScaleStep{require_secret(context, 0), -1, Bits(0)}));
}

// lower_floor: a truncation to integers gives the floor or one more, and the sign of what is left says which.
void lower_floor(LowerContext& context) {
  constexpr int kFinest = 20;  // more fraction bits would only make the sign dearer
  SlotId x = require_secret(context, 0);
  x = context.masked_at(x, kFinest);
  const SlotType type = context.type(x);
  const SlotId whole = context.masked_at(x, 0);
  if (type.scale == Bits(0)) return context.set_result(whole);
  CHECK(context.type(whole).scale == Bits(0), "the integer part has fraction bits");
  const SlotId rest = context.emit(AddStep{x, whole, Bits(0), type.scale, true}, 1);
  const SlotId is_below = context.emit(NonNegativeStep{rest, Bits(0), type.scale + Bits(2)}, 1);
  const SlotId sum = context.emit(AddStep{whole, is_below, Bits(0), Bits(0), false}, context.type(whole).bound + 1);
  FloatTensor minus_one(type.shape.rank() == 0 ? Shape{} : Shape{type.shape[type.shape.rank() - 1]});
  std::fill(minus_one.values.begin(), minus_one.values.end(), -1.0F);
  context.set_result(context.add_constant(sum, minus_one, context.type(whole).bound + 1));
}

}  // namespace

constinit const OpDef kNeg{"Neg", infer, evaluate<Negative>, range_neg, lower_neg};
constinit const OpDef kAbs{"Abs", infer, evaluate<Magnitude>, range_abs, nullptr};
constinit const OpDef kSign{"Sign", infer, evaluate<SignOf>, range_monotone<sign_of_real>, nullptr};
constinit const OpDef kFloor{"Floor", infer, evaluate<Whole<floor_of>>, range_monotone<floor_of_real>, lower_floor};
constinit const OpDef kCeil{"Ceil", infer, evaluate<Whole<ceil_of>>, range_monotone<ceil_of_real>, nullptr};
constinit const OpDef kRound{"Round", infer, evaluate<Whole<round_of>>, range_monotone<round_of_real>, nullptr};

}  // namespace treville::ops
