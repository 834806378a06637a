#include "compile/remove_identities.h"

#include <algorithm>
#include <string_view>

#include "compile/uses.h"

namespace treville {
namespace {

bool all_equal(const std::vector<int64_t>& list, int64_t value) {
  return std::all_of(list.begin(), list.end(), [&](int64_t element) { return element == value; });
}

// is_neutral: the constant operand of an elementwise node leaves the other one as it is.
bool is_neutral(const Graph& graph, const Node& node, float neutral) {
  const FloatTensor* constant = float_constant(graph, node.inputs[1]);
  return constant &&
         std::all_of(constant->values.begin(), constant->values.end(), [&](float value) { return value == neutral; });
}

bool keeps_order(const Graph& graph, const Node& node) {
  const Shape& shape = *graph.value(node.inputs[0]).shape;
  if (!node.has("perm")) return shape.rank() < 2;
  const std::vector<int64_t> perm = node.get_ints("perm");
  return std::is_sorted(perm.begin(), perm.end());
}

bool changes_nothing(const Graph& graph, const Node& node) {
  const std::string_view op = node.op;
  if (op == "Identity" || op == "Dropout") return true;
  const auto& before = graph.value(node.inputs[0]).shape;
  const auto& after = graph.value(node.outputs[0]).shape;
  if (!before || !after || *before != *after) return false;
  if (graph.value(node.inputs[0]).dtype != graph.value(node.outputs[0]).dtype) return false;
  if (op == "Reshape" || op == "Flatten" || op == "Squeeze" || op == "Unsqueeze") return true;
  if (op == "Cast" || op == "Concat") return true;
  // Pads that cut on one side and add on the other move what is there.
  if (op == "Pad") return all_equal(list_of(graph, node, "pads", 1).value_or(std::vector<int64_t>{1}), 0);
  if (op == "Transpose") return keeps_order(graph, node);
  if (op == "Slice") return all_equal(list_of(graph, node, "steps", 4).value_or(std::vector<int64_t>{}), 1);
  if (op == "Clip") return !node.has("min") && !node.has("max") && node.inputs.size() == 1;
  if (op == "MaxPool" || op == "AveragePool")
    return all_equal(node.get_ints("kernel"), 1) && all_equal(node.get_ints("strides", {1, 1}), 1);
  if (op == "Add" || op == "Sub") return is_neutral(graph, node, 0.0F);
  if (op == "Mul" || op == "Div") return is_neutral(graph, node, 1.0F);
  return false;
}

}  // namespace

void remove_identities(Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.inputs.empty() || node.outputs.empty() || !changes_nothing(graph, node)) continue;
    Value& kept = graph.value(node.inputs[0]);
    if (!kept.declared_range) kept.declared_range = graph.value(node.outputs[0]).declared_range;
    graph.replace_uses(node.outputs[0], node.inputs[0]);
  }
  graph.remove_dead();
}

}  // namespace treville
