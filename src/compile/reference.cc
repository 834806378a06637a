#include "compile/reference.h"

#include <optional>

#include "base/error.h"
#include "ops/op.h"

namespace treville {
namespace {

// last_readers gives for each value the index of the last node that reads it (-1: none); outputs are read at the end.
std::vector<int> last_readers(const Graph& graph) {
  std::vector<int> last(graph.value_count(), -1);
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (ValueId input : graph.nodes[i].inputs) last[index_of(input)] = static_cast<int>(i);
  for (ValueId output : graph.outputs) last[index_of(output)] = static_cast<int>(graph.nodes.size());
  return last;
}

void check_inputs(const Graph& graph, const std::vector<FloatTensor>& inputs) {
  if (inputs.size() != graph.inputs.size())
    throw UserError("model {}: expected {} inputs, found {}", graph.name, graph.inputs.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& value = graph.value(graph.inputs[i]);
    if (value.shape && inputs[i].shape != *value.shape)
      throw UserError("input {}: expected shape {}, found {}", value.name, to_string(*value.shape),
                      to_string(inputs[i].shape));
  }
}

}  // namespace

std::vector<Constant> float_run(const Graph& graph, const std::vector<FloatTensor>& inputs,
                                const ValueObserver& observer) {
  check_inputs(graph, inputs);
  std::vector<std::optional<Constant>> held(graph.value_count());
  const auto get = [&](ValueId id) -> const Constant* {
    if (const Constant* constant = graph.constant(id)) return constant;
    CHECK(held[index_of(id)].has_value(), "value {} is read before it is computed", graph.value(id).name);
    return &*held[index_of(id)];
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    held[index_of(graph.inputs[i])] = inputs[i];
    if (observer) observer(graph.inputs[i], inputs[i]);
  }
  const std::vector<int> last = last_readers(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const OpDef* op = find_op(node.op);
    CHECK(op != nullptr && op->evaluate != nullptr, "operation {} has no float meaning", node.op);
    std::vector<const Constant*> operands;
    for (ValueId input : node.inputs) operands.push_back(get(input));
    std::vector<Constant> results = op->evaluate(graph, node, operands);
    for (size_t j = 0; j < node.outputs.size(); ++j) {
      if (observer) observer(node.outputs[j], results[j]);
      if (last[index_of(node.outputs[j])] >= 0) held[index_of(node.outputs[j])] = std::move(results[j]);
    }
    for (ValueId input : node.inputs)
      if (last[index_of(input)] == static_cast<int>(i)) held[index_of(input)].reset();
  }
  std::vector<Constant> outputs;
  for (ValueId output : graph.outputs) outputs.push_back(*get(output));
  return outputs;
}

}  // namespace treville
