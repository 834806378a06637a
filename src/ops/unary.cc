// Neg, Sqrt, Rsqrt. Roots appear where models compute with weights (a batch normalisation written out) and run in the
// clear only.
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

void infer_float(InferContext& context) {
  infer(context);
  if (context.dtype(0) != DType::kFloat) context.fail("expected floats, found integers");
}

std::vector<Constant> evaluate_neg(const Graph&, const Node&, Inputs inputs) {
  return of_either(inputs[0], [](auto tensor) {
    using Number = std::decay_t<decltype(tensor.values[0])>;
    for (auto& value : tensor.values) {
      if constexpr (std::is_same_v<Number, int64_t>) {
        value = static_cast<int64_t>(0 - static_cast<uint64_t>(value));
      } else {
        value = -value;
      }
    }
    return tensor;
  });
}

std::vector<Constant> evaluate_sqrt(const Graph&, const Node&, Inputs inputs) {
  FloatTensor y = floats(inputs[0]);
  for (float& value : y.values) value = std::sqrt(value);
  return one(std::move(y));
}

std::vector<Constant> evaluate_rsqrt(const Graph&, const Node&, Inputs inputs) {
  FloatTensor y = floats(inputs[0]);
  for (float& value : y.values) value = static_cast<float>(1 / std::sqrt(static_cast<double>(value)));
  return one(std::move(y));
}

Interval range_neg(const RangeContext& context) { return {-context.inputs[0].high, -context.inputs[0].low}; }

Interval range_sqrt(const RangeContext& context) {
  const Interval& x = context.inputs[0];
  if (x.low < 0) fail_node(context.graph, context.node, "its operand may be negative");
  return {std::sqrt(x.low), std::sqrt(x.high)};
}

Interval range_rsqrt(const RangeContext& context) {
  const Interval& x = context.inputs[0];
  if (x.low <= 0) fail_node(context.graph, context.node, "its operand may be 0 or negative");
  return {1 / std::sqrt(x.high), 1 / std::sqrt(x.low)};
}

void lower_neg(LowerContext& context) {
  context.set_result(context.emit(ScaleStep{require_secret(context, 0), -1, Bits(0)}));
}

}  // namespace

constinit const OpDef kNeg{"Neg", infer, evaluate_neg, range_neg, lower_neg};
constinit const OpDef kSqrt{"Sqrt", infer_float, evaluate_sqrt, range_sqrt, nullptr};
constinit const OpDef kRsqrt{"Rsqrt", infer_float, evaluate_rsqrt, range_rsqrt, nullptr};

}  // namespace treville::ops
