#include "compile/graph_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "compile/fold_constants.h"
#include "compile/infer_shapes.h"

namespace treville {

const Shape& GraphBuilder::shape(ValueId value) const {
  CHECK(graph_.value(value).shape.has_value(), "the shape of \"{}\" is not known", graph_.value(value).name);
  return *graph_.value(value).shape;
}

ValueId GraphBuilder::add(const std::string& op, std::vector<ValueId> inputs,
                          std::map<std::string, Attribute> attributes) {
  const std::string name = fmt::format("{}/{}_{}", replaced_.name, op, count_++);
  const ValueId result = graph_.add_node(op, name, std::move(inputs), std::move(attributes));
  graph_.nodes.back().origin = replaced_.origin.empty() ? replaced_.op : replaced_.origin;
  infer_node(graph_, graph_.nodes.back());
  if (fold_node(graph_, graph_.nodes.back())) graph_.nodes.pop_back();
  return result;
}

ValueId GraphBuilder::twin(ValueId value, const std::string& part) {
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    Node& node = graph_.nodes[i];
    if (node.outputs[0] != value) continue;
    node.attributes["twin"] = replaced_.name + "/" + part;
    break;
  }
  return value;
}

const Node* GraphBuilder::producer(ValueId value) const {
  const auto found = std::find_if(graph_.nodes.rbegin(), graph_.nodes.rend(), [&](const Node& node) {
    return std::find(node.outputs.begin(), node.outputs.end(), value) != node.outputs.end();
  });
  return found == graph_.nodes.rend() ? nullptr : &*found;
}

ValueId GraphBuilder::constant(Constant tensor) {
  return graph_.add_constant(fmt::format("{}/constant_{}", replaced_.name, count_++), std::move(tensor));
}

// The output keeps its id and name: readers and the graph's outputs stay as they are.
void GraphBuilder::finish(ValueId result, ValueId output) {
  const bool same_shape = graph_.value(result).shape == graph_.value(output).shape;
  Node node;
  node.name = graph_.value(output).name;
  node.origin = replaced_.origin.empty() ? replaced_.op : replaced_.origin;
  node.op = same_shape ? "Identity" : "Reshape";
  node.inputs = {result};
  node.outputs = {output};
  if (!same_shape) node.attributes["shape"] = shape(output).dims();
  if (same_shape && graph_.nodes.size() > first_ && graph_.nodes.back().outputs == std::vector<ValueId>{result}) {
    graph_.nodes.back().outputs[0] = output;  // the last node itself gives it
    return;
  }
  graph_.nodes.push_back(std::move(node));
}

}  // namespace treville
