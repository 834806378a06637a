#include "ops/common.h"

#include <algorithm>

namespace treville::ops {

void fail_node(const Graph& graph, const Node& node, const std::string& message) {
  const std::string model = graph.name.empty() ? "model" : graph.name;
  throw UserError("{}: node \"{}\" ({}): {}", model, node.name, node.origin.empty() ? node.op : node.origin, message);
}

const Shape& input_shape(const Graph& graph, const Node& node, size_t input) {
  const Value& value = graph.value(node.inputs.at(input));
  CHECK(value.shape.has_value(), "the shape of \"{}\" is not known", value.name);
  return *value.shape;
}

const Shape& output_shape(const Graph& graph, const Node& node) {
  const Value& value = graph.value(node.outputs.at(0));
  CHECK(value.shape.has_value(), "the shape of \"{}\" is not known", value.name);
  return *value.shape;
}

const FloatTensor& floats(const Constant* constant) {
  const FloatTensor* tensor = constant ? std::get_if<FloatTensor>(constant) : nullptr;
  CHECK(tensor != nullptr, "expected a float operand");
  return *tensor;
}

const IntTensor& integers(const Constant* constant) {
  const IntTensor* tensor = constant ? std::get_if<IntTensor>(constant) : nullptr;
  CHECK(tensor != nullptr, "expected an integer operand");
  return *tensor;
}

std::optional<Ints> list_of(const Node& node, const std::string& key, const Constant* constant) {
  if (node.has(key)) return node.get_ints(key);
  if (constant == nullptr) return {};
  return integers(constant).values;
}

std::optional<Ints> read_list(InferContext& context, const std::string& key, int input) {
  if (context.node().has(key)) return context.node().get_ints(key);
  if (input >= context.input_count()) return {};
  return context.ints(input);
}

void check_inputs(const InferContext& context, int least, int most) {
  const int count = context.input_count();
  if (count >= least && count <= most) return;
  const std::string wanted = least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
  context.fail(fmt::format("expected {} inputs, found {}", wanted, count));
}

std::optional<int64_t> normal_axis(int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) return {};
  return axis < 0 ? axis + rank : axis;
}

int64_t axis_of(const InferContext& context, int64_t axis, const Shape& shape) {
  const auto normal = normal_axis(axis, shape.rank());
  if (!normal) context.fail(fmt::format("axis {} is outside of shape {}", axis, to_string(shape)));
  return *normal;
}

Ints strides_of(const Shape& shape) {
  Ints strides(shape.dims().size(), 1);
  for (int axis = shape.rank() - 2; axis >= 0; --axis)
    strides[static_cast<size_t>(axis)] = strides[static_cast<size_t>(axis) + 1] * shape[axis + 1];
  return strides;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Ints dims(static_cast<size_t>(rank), 1);
  for (int axis = 0; axis < rank; ++axis) {
    const int in_a = axis - (rank - a.rank()), in_b = axis - (rank - b.rank());
    const int64_t da = in_a < 0 ? 1 : a[in_a], db = in_b < 0 ? 1 : b[in_b];
    if (da != db && da != 1 && db != 1) return {};
    dims[static_cast<size_t>(axis)] = da == 1 ? db : da;
  }
  return Shape(dims);
}

Ints broadcast_strides(const Shape& from, const Shape& to) {
  const Ints own = strides_of(from);
  Ints strides(to.dims().size(), 0);
  const int shift = to.rank() - from.rank();
  for (int axis = 0; axis < from.rank(); ++axis)
    if (from[axis] != 1) strides[static_cast<size_t>(axis + shift)] = own[static_cast<size_t>(axis)];
  return strides;
}

Shape permuted(const Shape& shape, const Ints& permutation) {
  Ints dims;
  for (int64_t axis : permutation) dims.push_back(shape[static_cast<int>(axis)]);
  return Shape(dims);
}

Interval hull(const Interval& a, const Interval& b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }

Interval plus(const Interval& a, const Interval& b) { return {a.low + b.low, a.high + b.high}; }

Interval times(const Interval& a, const Interval& b) {
  const auto [low, high] = std::minmax({a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
  return {low, high};
}

Interval same_range(const RangeContext& context) { return context.inputs.at(0); }

Interval range_of_product(const FloatTensor& weight, const Interval& x, const FloatTensor* bias) {
  const int rank = weight.shape.rank();
  const auto outputs = static_cast<size_t>(rank == 0 ? 1 : weight.shape[rank - 1]);
  std::vector<Interval> sums(outputs);
  for (size_t i = 0; i < weight.values.size(); ++i) {
    const double w = weight.values[i];
    sums[i % outputs] = plus(sums[i % outputs], times(x, {w, w}));
  }
  for (size_t o = 0; bias && o < outputs; ++o) {
    const double b = bias->values[o];
    sums[o] = plus(sums[o], {b, b});
  }
  Interval all = sums.empty() ? Interval{} : sums[0];
  for (const Interval& sum : sums) all = hull(all, sum);
  return all;
}

}  // namespace treville::ops
