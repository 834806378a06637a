#include "compile/join_activations.h"

#include <algorithm>

#include "compile/uses.h"

namespace treville {
namespace {

bool is_activation(const Node& node) {
  return (node.op == "Relu" || node.op == "Clip" || node.op == "LeakyRelu") && node.inputs.size() == 1;
}

// joined_activation returns the activation that all parts of a concatenation share, or null.
const Node* joined_activation(const Graph& graph, const Node& concat, const Uses& uses) {
  const Node* first = nullptr;
  for (ValueId part : concat.inputs) {
    const int producer = uses.producer(part);
    if (producer < 0 || uses.count(part) != 1) return nullptr;
    const Node& node = graph.nodes[static_cast<size_t>(producer)];
    if (!is_activation(node)) return nullptr;
    if (first == nullptr) first = &node;
    if (node.op != first->op || node.attributes != first->attributes) return nullptr;
  }
  return first;
}

bool join_one(Graph& graph) {
  const Uses uses(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& concat = graph.nodes[i];
    if (concat.op != "Concat" || concat.inputs.size() < 2) continue;
    const Node* shared = joined_activation(graph, concat, uses);
    if (shared == nullptr) continue;
    for (ValueId& part : concat.inputs) part = graph.nodes[static_cast<size_t>(uses.producer(part))].inputs[0];
    Node activation = *shared;
    const Value& old = graph.value(concat.outputs[0]);
    const ValueId sum = graph.add_value({old.name + "_before_" + activation.op, old.dtype, old.shape, {}});
    activation.name = graph.nodes[i].name + "_" + activation.op;
    activation.inputs = {sum};
    activation.outputs = graph.nodes[i].outputs;
    graph.nodes[i].outputs = {sum};
    graph.nodes.insert(graph.nodes.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(activation));
    return true;
  }
  return false;
}

}  // namespace

void join_activations(Graph& graph) {
  while (join_one(graph)) graph.remove_dead();
}

}  // namespace treville
