#include "compile/fold_constants.h"

#include <algorithm>

#include "base/error.h"
#include "ops/op.h"

namespace treville {

bool fold_node(Graph& graph, const Node& node) {
  if (node.op == "Shape") {
    const auto& shape = graph.value(node.inputs[0]).shape;
    CHECK(shape.has_value(), "node {}: shape of its input is not known", node.name);
    graph.value(node.outputs[0]).constant = IntTensor(Shape{shape->rank()}, shape->dims());
    return true;
  }
  if (!std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return graph.constant(id); }))
    return false;
  const OpDef* op = find_op(node.op);
  if (op == nullptr || op->evaluate == nullptr) return false;
  std::vector<const Constant*> operands;
  for (ValueId input : node.inputs) operands.push_back(graph.constant(input));
  std::vector<Constant> results = op->evaluate(graph, node, operands);
  for (size_t i = 0; i < node.outputs.size(); ++i) graph.value(node.outputs[i]).constant = std::move(results[i]);
  return true;
}

void fold_constants(Graph& graph) {
  std::erase_if(graph.nodes, [&](const Node& node) { return fold_node(graph, node); });
  graph.remove_dead();
}

}  // namespace treville
