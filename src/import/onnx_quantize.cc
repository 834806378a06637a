#include "import/onnx_quantize.h"

#include <algorithm>
#include <array>
#include <limits>

#include "import/node_rows.h"

namespace treville::import {
namespace {

// Parameters of a quantised tensor: the ids of scale and zero point, and the attributes of the graph's node.
struct Parameters {
  ValueId scale, zero;
  Attributes attributes;
};

Interval interval_of(const OnnxNode& node, ElementType type) {
  switch (type) {
    case ElementType::kInt8:
      return {-128, 127};
    case ElementType::kUint8:
      return {0, 255};
    case ElementType::kInt16:
      return {-32768, 32767};
    case ElementType::kUint16:
      return {0, 65535};
    case ElementType::kInt32:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    default:
      node.refuse("its type of integers is not supported (supported: 8 and 16 bits, signed or not)");
  }
}

// integer_type is that of the zero point, else that of an attribute, else the standard's default.
ElementType integer_type(const OnnxNode& node, size_t zero) {
  if (node.has_input(zero)) {
    const auto stored = node.stored_type(zero);
    if (!stored) node.refuse("its zero point is computed. Export the model so that it is a constant.");
    return *stored;
  }
  const int64_t given = node.get_int("output_dtype", 0);
  if (given == 0) return ElementType::kUint8;
  const auto type = onnx_element_type(given);
  if (!type) node.refuse("integers of type {} are not supported", given);
  return *type;
}

Parameters read_parameters(OnnxNode& node, size_t scale) {
  const Constant* held = node.constant(scale);
  const auto* scales = held ? std::get_if<FloatTensor>(held) : nullptr;
  if (scales == nullptr) node.refuse("its scale is computed. Export the model so that it is a constant.");
  const bool positive = std::all_of(scales->values.begin(), scales->values.end(), [](float s) { return s > 0; });
  if (!positive) node.fail("a scale is not above 0");
  Parameters parameters;
  parameters.scale = node.input(scale);
  const bool has_zero = node.has_input(scale + 1);
  if (has_zero && node.constant(scale + 1) == nullptr)
    node.refuse("its zero point is computed. Export the model so that it is a constant.");
  const Shape shape = scales->shape;
  parameters.zero =
      has_zero ? node.input(scale + 1) : node.constant_step(fmt::format("zero_{}", scale), IntTensor(shape));
  parameters.attributes = {{"axis", node.get_int("axis", 1)}, {"block", node.get_int("block_size", 0)}};
  return parameters;
}

bool same_constant(OnnxNode& node, ValueId a, ValueId b) {
  const Constant *left = node.graph().constant(a), *right = node.graph().constant(b);
  return left && right && left->index() == right->index() && to_floats(*left).values == to_floats(*right).values;
}

// is_non_negative: what computes the value, perhaps through moves and maxima, gives nothing below 0.
bool is_non_negative(OnnxNode& node, ValueId value) {
  static constexpr auto kAbove = std::to_array<std::string_view>({"Relu", "Sigmoid", "Softmax", "HardSigmoid", "Abs"});
  static constexpr auto kMoves = std::to_array<std::string_view>(
      {"MaxPool", "AveragePool", "ReduceMean", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity"});
  for (int steps = 0; steps < 16; ++steps) {
    const auto& declared = node.graph().value(value).declared_range;
    if (declared && declared->low >= 0) return true;
    const Node* made_by = producer(node, value);
    if (made_by == nullptr) return false;
    if (std::find(kAbove.begin(), kAbove.end(), made_by->op) != kAbove.end()) return true;
    if (made_by->op == "Clip") return made_by->has("min") && made_by->get_float("min", -1) >= 0;
    if (std::find(kMoves.begin(), kMoves.end(), made_by->op) == kMoves.end()) return false;
    value = made_by->inputs[0];
  }
  return false;
}

// unquantised is what a QuantizeLinear node of the graph was given. Integers that begin at the zero point cut what is
// below 0: exporters leave the activation out there. What is above their range, or around a range with both signs, is
// cut for the outliers of a calibration alone, and stays.
ValueId unquantised(OnnxNode& node, const Node& quantise) {
  const ValueId x = quantise.inputs[0];
  const FloatTensor scales = to_floats(*node.graph().constant(quantise.inputs[1]));
  const FloatTensor zeros = to_floats(*node.graph().constant(quantise.inputs[2]));
  const auto low = static_cast<double>(quantise.get_int("low", 0)),
             high = static_cast<double>(quantise.get_int("high", 0));
  if (scales.values.size() != 1) return x;
  const double scale = scales.values[0], zero = zeros.values[0];
  const Interval range{scale * (low - zero), scale * (high - zero)};
  if (range.low == 0 && !is_non_negative(node, x)) {
    const ValueId clipped = node.step("clipped", "Clip", {x}, {{"min", 0.0}, {"max", range.high}}, DType::kFloat);
    node.graph().value(clipped).declared_range = range;
    return clipped;
  }
  Value& value = node.graph().value(x);
  if (!value.declared_range) value.declared_range = range;
  return x;
}

// real_value is what quantised integers stand for, where a QuantizeLinear with the same parameters made them, perhaps
// with moves and maxima between: these are done on the floats instead.
std::optional<ValueId> real_value(OnnxNode& node, ValueId integers, const Parameters& parameters) {
  auto& known = node.state().real_values;
  const Node* made_by = producer(node, integers);
  if (made_by == nullptr) return {};
  const Node made = *made_by;
  if (made.op == "QuantizeLinear") {
    if (!same_constant(node, made.inputs[1], parameters.scale) || !same_constant(node, made.inputs[2], parameters.zero))
      node.refuse("it reads integers with another scale or zero point than they were written with");
    if (const auto found = known.find(integers); found != known.end()) return found->second;
    return known[integers] = unquantised(node, made);
  }
  static constexpr auto kMoves = std::to_array<std::string_view>(
      {"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Identity"});
  if (std::find(kMoves.begin(), kMoves.end(), made.op) == kMoves.end()) return {};
  const auto operand = real_value(node, made.inputs[0], parameters);
  if (!operand) return {};
  if (const auto found = known.find(integers); found != known.end()) return found->second;
  std::vector<ValueId> inputs = made.inputs;
  inputs[0] = *operand;
  return known[integers] = node.step("moved_" + made.op, made.op, inputs, made.attributes, DType::kFloat);
}

}  // namespace

ValueId dequantised(OnnxNode& node, size_t i) {
  const ValueId integers = node.input(i);
  const Parameters parameters = read_parameters(node, i + 1);
  if (node.constant(i) == nullptr) {
    if (const auto real = real_value(node, integers, parameters)) return *real;
    node.refuse("it reads integers that are computed otherwise than by QuantizeLinear. Give the float model.");
  }
  return node.step(fmt::format("real_{}", i), "DequantizeLinear", {integers, parameters.scale, parameters.zero},
                   parameters.attributes, DType::kFloat);
}

void import_dequantize_linear(OnnxNode& node) {
  if (node.constant(0) == nullptr) {
    const ValueId real = dequantised(node, 0);
    node.alias(real);
    if (node.result() != real)
      node.graph().value(node.result()).declared_range = node.graph().value(real).declared_range;
    return;
  }
  const Parameters parameters = read_parameters(node, 1);
  node.finish("DequantizeLinear", {node.input(0), parameters.scale, parameters.zero}, parameters.attributes,
              DType::kFloat);
}

void finish_quantised(OnnxNode& node, ValueId real, size_t scale) {
  Parameters parameters = read_parameters(node, scale);
  const Interval integers = interval_of(node, integer_type(node, scale + 1));
  parameters.attributes["low"] = static_cast<int64_t>(integers.low);
  parameters.attributes["high"] = static_cast<int64_t>(integers.high);
  node.finish("QuantizeLinear", {real, parameters.scale, parameters.zero}, parameters.attributes, DType::kInt);
}

void import_quantize_linear(OnnxNode& node) { finish_quantised(node, node.input(0), 1); }

}  // namespace treville::import
