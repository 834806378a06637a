#include "compile/max_before_relu.h"

#include <utility>

#include "compile/uses.h"

namespace treville {
namespace {

bool is_monotone(const Node& node) {
  if (node.inputs.size() != 1) return false;
  return node.op == "Relu" || node.op == "Clip" || (node.op == "LeakyRelu" && node.get_float("alpha", 0.01) >= 0);
}

// swap_one finds activation -> maximum and exchanges the two operations in their places.
bool swap_one(Graph& graph) {
  const Uses uses(graph);
  for (Node& pool : graph.nodes) {
    if (pool.op != "MaxPool") continue;
    const int producer = uses.producer(pool.inputs[0]);
    if (producer < 0 || uses.count(pool.inputs[0]) != 1) continue;
    Node& activation = graph.nodes[static_cast<size_t>(producer)];
    if (!is_monotone(activation)) continue;
    std::swap(activation.name, pool.name);
    std::swap(activation.op, pool.op);
    std::swap(activation.origin, pool.origin);
    std::swap(activation.attributes, pool.attributes);
    graph.value(activation.outputs[0]).shape = graph.value(pool.outputs[0]).shape;
    graph.value(activation.outputs[0]).name = activation.name;
    graph.value(activation.outputs[0]).declared_range.reset();
    return true;
  }
  return false;
}

}  // namespace

void max_before_relu(Graph& graph) {
  while (swap_one(graph)) {
  }
}

}  // namespace treville
