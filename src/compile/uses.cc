#include "compile/uses.h"

namespace treville {

Uses::Uses(const Graph& graph) : counts_(graph.value_count(), 0), producers_(graph.value_count(), -1) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId input : graph.nodes[i].inputs) ++counts_[index_of(input)];
    for (ValueId output : graph.nodes[i].outputs) producers_[index_of(output)] = static_cast<int>(i);
  }
  for (ValueId output : graph.outputs) ++counts_[index_of(output)];
}

const FloatTensor* float_constant(const Graph& graph, ValueId value) {
  const Constant* constant = graph.constant(value);
  return constant ? std::get_if<FloatTensor>(constant) : nullptr;
}

const IntTensor* int_constant(const Graph& graph, ValueId value) {
  const Constant* constant = graph.constant(value);
  return constant ? std::get_if<IntTensor>(constant) : nullptr;
}

std::optional<std::vector<int64_t>> list_of(const Graph& graph, const Node& node, const std::string& key,
                                            size_t input) {
  if (node.has(key)) return node.get_ints(key);
  if (input >= node.inputs.size()) return std::nullopt;
  const IntTensor* tensor = int_constant(graph, node.inputs[input]);
  return tensor ? std::optional(tensor->values) : std::nullopt;
}

std::optional<std::vector<float>> per_channel(const FloatTensor& constant, const Shape& result) {
  const Shape& shape = constant.shape;
  if (shape.rank() > result.rank() || result.rank() == 0) return std::nullopt;
  for (int axis = 0; axis + 1 < shape.rank(); ++axis)
    if (shape[axis] != 1) return std::nullopt;
  const auto channels = static_cast<size_t>(result[result.rank() - 1]);
  if (constant.values.size() == 1) return std::vector<float>(channels, constant.values[0]);
  if (constant.values.size() != channels) return std::nullopt;
  return constant.values;
}

}  // namespace treville
