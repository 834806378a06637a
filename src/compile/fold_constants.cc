#include "compile/fold_constants.h"

#include <algorithm>

#include "ops/op.h"

namespace treville {

bool fold_node(Graph& graph, const Node& node) {
  // A Shape node reads the shape of its input, which is known, not the values.
  const bool is_known = node.op == "Shape" || std::all_of(node.inputs.begin(), node.inputs.end(),
                                                          [&](ValueId id) { return graph.constant(id) != nullptr; });
  if (!is_known) return false;
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
