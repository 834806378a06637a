// GraphBuilder appends the nodes that one node is replaced by: it names them after it, infers their shapes and computes
// what is constant at once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace treville {

class GraphBuilder {
 public:
  // Nodes are appended to graph.nodes; `replaced` is not among them.
  GraphBuilder(Graph& graph, const Node& replaced) : graph_(graph), replaced_(replaced), first_(graph.nodes.size()) {}

  const Graph& graph() const { return graph_; }
  const Shape& shape(ValueId value) const;
  // add gives the result of an operation: a constant when all operands are.
  ValueId add(const std::string& op, std::vector<ValueId> inputs, std::map<std::string, Attribute> attributes = {});
  // twin marks a result as one of several that play the same part (time steps): they are planned with one range.
  ValueId twin(ValueId value, const std::string& part);
  ValueId constant(Constant tensor);
  // producer is the node that computes a value, among those that are there already, or null.
  const Node* producer(ValueId value) const;
  ValueId number(double value) { return constant(FloatTensor(Shape{}, {static_cast<float>(value)})); }
  // finish makes `result` the value that readers of `output` read, in its shape.
  void finish(ValueId result, ValueId output);

 private:
  Graph& graph_;
  const Node& replaced_;
  const size_t first_;  // nodes before it are not this builder's
  int count_ = 0;
};

}  // namespace treville
