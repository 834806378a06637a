// QuantizeLinear and DequantizeLinear of ONNX: integers that stand for floats, with one scale and zero point for all
// elements, one for each position of an axis, or one for each block of positions of an axis. Both run at compile time
// alone: integers are never secret, and what a model quantises only to read it as floats again the importer replaces.
#include <algorithm>
#include <cmath>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

int64_t block_of(const Node& node) { return node.get_int("block", 0); }

bool is_single(const Shape& parameters) { return parameters.elements() == 1 && parameters.rank() <= 1; }

// parameters_fit: a tensor of scales of that shape belongs to a tensor of shape x.
bool parameters_fit(const Node& node, const Shape& x, const Shape& parameters) {
  if (is_single(parameters)) return true;
  const auto axis = normal_axis(node.get_int("axis", 1), x.rank());
  if (!axis || block_of(node) < 0) return false;
  const int at = static_cast<int>(*axis);
  if (block_of(node) == 0) return parameters == Shape{x[at]};
  Shape blocks = x;
  blocks[at] = (x[at] + block_of(node) - 1) / block_of(node);
  return parameters == blocks;
}

// parameter_indices gives for each element of x the index of its scale and zero point.
Ints parameter_indices(const Node& node, const Shape& x, const Shape& parameters) {
  Ints indices(static_cast<size_t>(x.elements()), 0);
  if (is_single(parameters)) return indices;
  const auto axis = static_cast<int>(*normal_axis(node.get_int("axis", 1), x.rank()));
  const int64_t stride = strides_of(x)[static_cast<size_t>(axis)], block = std::max<int64_t>(block_of(node), 1);
  const int64_t blocks = (x[axis] + block - 1) / block;
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const int64_t position = at / stride % x[axis] / block, outer = at / (stride * x[axis]);
    indices[i] = block_of(node) == 0 ? position : (outer * blocks + position) * stride + at % stride;
  }
  return indices;
}

void check_parameters(InferContext& context) {
  check_inputs(context, 3, 3);
  if (context.dtype(1) != DType::kFloat || context.dtype(2) != DType::kInt)
    context.fail("expected a float scale and an integer zero point");
  if (!parameters_fit(context.node(), context.shape(0), context.shape(1)) || context.shape(1) != context.shape(2)) {
    context.fail(fmt::format("scales of shape {} and zero points of shape {} do not fit {}",
                             to_string(context.shape(1)), to_string(context.shape(2)), to_string(context.shape(0))));
  }
  context.results = {context.shape(0)};
}

void infer_quantise(InferContext& context) {
  check_parameters(context);
  if (context.dtype(0) != DType::kFloat) context.fail("expected floats, found integers");
  context.dtypes = {DType::kInt};
}

void infer_dequantise(InferContext& context) {
  check_parameters(context);
  if (context.dtype(0) != DType::kInt) context.fail("expected integers, found floats");
  context.dtypes = {DType::kFloat};
}

std::vector<Constant> evaluate_quantise(const Graph&, const Node& node, Inputs inputs) {
  const FloatTensor &x = floats(inputs[0]), &scale = floats(inputs[1]);
  const IntTensor& zero = integers(inputs[2]);
  const Ints indices = parameter_indices(node, x.shape, scale.shape);
  const auto low = static_cast<double>(node.get_int("low", 0)), high = static_cast<double>(node.get_int("high", 255));
  IntTensor y(x.shape);
  for (size_t i = 0; i < y.values.size(); ++i) {
    const auto at = static_cast<size_t>(indices[i]);
    const double value = std::nearbyint(x.values[i] / scale.values[at]) + static_cast<double>(zero.values[at]);
    y.values[i] = static_cast<int64_t>(std::clamp(std::isnan(value) ? 0 : value, low, high));
  }
  return one(std::move(y));
}

std::vector<Constant> evaluate_dequantise(const Graph&, const Node& node, Inputs inputs) {
  const IntTensor &x = integers(inputs[0]), &zero = integers(inputs[2]);
  const FloatTensor& scale = floats(inputs[1]);
  const Ints indices = parameter_indices(node, x.shape, scale.shape);
  FloatTensor y(x.shape);
  for (size_t i = 0; i < y.values.size(); ++i) {
    const auto at = static_cast<size_t>(indices[i]);
    y.values[i] = static_cast<float>(x.values[i] - zero.values[at]) * scale.values[at];
  }
  return one(std::move(y));
}

}  // namespace

constinit const OpDef kQuantizeLinear{"QuantizeLinear", infer_quantise, evaluate_quantise, nullptr, nullptr};
constinit const OpDef kDequantizeLinear{"DequantizeLinear", infer_dequantise, evaluate_dequantise, nullptr, nullptr};

}  // namespace treville::ops
