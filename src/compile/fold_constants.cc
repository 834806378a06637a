#include "compile/fold_constants.h"

#include <algorithm>

#include "base/error.h"
#include "ops/op.h"

namespace treville {
namespace {

// Constants that grow come from fills and broadcasts. A small file could ask for many of any size: above the first
// limit all constants of the graph together must stay below the second one. (The largest layer of VGG-19 has 2^26.6
// weights.)
constexpr int64_t kMaxGrownElements = int64_t{1} << 22, kMaxAllElements = int64_t{1} << 28;

int64_t constant_elements(const Graph& graph) {
  int64_t elements = 0;
  for (size_t i = 0; i < graph.value_count(); ++i)
    if (const Constant* constant = graph.constant(ValueId(i))) elements += shape_of(*constant).elements();
  return elements;
}

void check_growth(const Graph& graph, const Node& node, const std::vector<const Constant*>& operands) {
  int64_t present = 0;
  for (const Constant* operand : operands) present += operand == nullptr ? 0 : shape_of(*operand).elements();
  for (ValueId output : node.outputs) {
    const Shape& shape = *graph.value(output).shape;
    if (shape.elements() <= std::max(present, kMaxGrownElements)) continue;
    if (shape.elements() <= kMaxAllElements - constant_elements(graph)) continue;
    throw UserError(
        "{}: node \"{}\" ({}) computes a constant of shape {} from {} elements (supported: {} in all constants)",
        graph.name, node.name, node.op, to_string(shape), present, kMaxAllElements);
  }
}

}  // namespace

bool fold_node(Graph& graph, const Node& node) {
  // A Shape node reads the shape of its input, which is known, not the values.
  const bool is_known = node.op == "Shape" || std::all_of(node.inputs.begin(), node.inputs.end(),
                                                          [&](ValueId id) { return graph.constant(id) != nullptr; });
  if (!is_known) return false;
  const OpDef* op = find_op(node.op);
  if (op == nullptr || op->evaluate == nullptr) return false;
  std::vector<const Constant*> operands;
  for (ValueId input : node.inputs) operands.push_back(graph.constant(input));
  check_growth(graph, node, operands);
  std::vector<Constant> results = op->evaluate(graph, node, operands);
  for (size_t i = 0; i < node.outputs.size(); ++i) graph.value(node.outputs[i]).constant = std::move(results[i]);
  return true;
}

void fold_constants(Graph& graph) {
  std::erase_if(graph.nodes, [&](const Node& node) { return fold_node(graph, node); });
  graph.remove_dead();
}

}  // namespace treville
