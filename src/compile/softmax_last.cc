#include "compile/softmax_last.h"

#include "compile/infer_shapes.h"
#include "compile/uses.h"
#include "ops/softmax.h"

namespace treville {
namespace {

bool only_reshapes(const Node& node) {
  return node.op == "Reshape" || node.op == "Flatten" || node.op == "Squeeze" || node.op == "Unsqueeze" ||
         node.op == "Transpose" || node.op == "Identity";
}

// ending_softmax is the index of a softmax from which only reshapes lead to `output`, or -1.
int ending_softmax(const Graph& graph, ValueId output, const Uses& uses) {
  for (ValueId value = output; uses.producer(value) >= 0 && uses.count(value) == 1;) {
    const int producer = uses.producer(value);
    const Node& node = graph.nodes[static_cast<size_t>(producer)];
    if (ops::is_softmax(node.op)) return producer;
    if (!only_reshapes(node)) return -1;
    value = node.inputs[0];
  }
  return -1;
}

// single_axis: all axes but the first and `axis` have extent one, so that reshapes cannot mix the classes.
bool single_axis(const Shape& shape, int axis) {
  for (int i = 0; i < shape.rank(); ++i)
    if (i != axis && i != 0 && shape[i] != 1) return false;
  return shape.rank() > 0 && (axis != 0 || shape.rank() == 1);
}

}  // namespace

void softmax_last(Graph& graph) {
  for (ValueId& output : graph.outputs) {
    const int found = ending_softmax(graph, output, Uses(graph));
    if (found < 0) continue;
    Node& softmax = graph.nodes[static_cast<size_t>(found)];
    const ValueId logits = softmax.inputs[0];
    const Shape shape = *graph.value(logits).shape;
    const auto given = static_cast<int>(softmax.get_int("axis", -1));
    const int axis = given < 0 ? given + shape.rank() : given;
    if (softmax.outputs[0] == output && axis == shape.rank() - 1) continue;
    if (!single_axis(shape, axis)) continue;
    const std::string name = softmax.name, op = softmax.op;
    const std::vector<int64_t> flat = {shape.elements() / shape[axis], shape[axis]};
    const ValueId reshaped = graph.add_node("Reshape", name + "_logits", {logits}, {{"shape", flat}});
    infer_node(graph, graph.nodes.back());
    output = graph.add_node(op, name, {reshaped}, {{"axis", int64_t{1}}});
    infer_node(graph, graph.nodes.back());
  }
  graph.remove_dead();
}

}  // namespace treville
