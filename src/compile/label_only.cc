#include "compile/label_only.h"

#include <algorithm>

#include "base/error.h"
#include "compile/infer_shapes.h"
#include "compile/uses.h"
#include "ops/softmax.h"

namespace treville {

void label_only(Graph& graph) {
  if (graph.outputs.size() != 1)
    throw UserError("{}: revealing the label only needs a model with one output, found {}", graph.name,
                    graph.outputs.size());
  ValueId logits = graph.outputs[0];
  const Uses uses(graph);
  if (const int producer = uses.producer(logits); producer >= 0) {
    const Node& last = graph.nodes[static_cast<size_t>(producer)];
    if (last.op == "ArgMax") return;
    if (ops::is_softmax(last.op)) logits = last.inputs[0];
  }
  const Shape shape = *graph.value(logits).shape;
  const int64_t rows = shape.rank() < 2 ? 1 : shape[0];
  const int64_t columns = shape.elements() / std::max<int64_t>(rows, 1);
  const auto first = shape.dims().begin() + (shape.rank() < 2 ? 0 : 1);
  const bool one_axis = std::count_if(first, shape.dims().end(), [](int64_t dim) { return dim != 1; }) == 1;
  if (!one_axis || !is_float(graph, logits))
    throw UserError("{}: the output of shape {} does not hold one score per class", graph.name, to_string(shape));
  const std::string name = graph.value(graph.outputs[0]).name;
  logits = graph.add_node("Reshape", name + "_scores", {logits}, {{"shape", std::vector<int64_t>{rows, columns}}});
  infer_node(graph, graph.nodes.back());
  graph.outputs[0] = graph.add_node("ArgMax", name + "_label", {logits},
                                    {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}}, DType::kInt);
  infer_node(graph, graph.nodes.back());
  graph.remove_dead();
}

}  // namespace treville
