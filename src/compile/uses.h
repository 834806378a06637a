// Uses answers who produces and who reads a value of a graph; a snapshot, to be taken anew after a rewrite. Beside it
// stand the small questions that several passes ask of constants.
#pragma once

#include <optional>
#include <vector>

#include "graph/graph.h"

namespace treville {

class Uses {
 public:
  explicit Uses(const Graph& graph);
  // count is the number of node operands and graph outputs that read the value.
  int count(ValueId value) const { return counts_[index_of(value)]; }
  // producer is the index of the node that makes the value, or -1 for inputs and constants.
  int producer(ValueId value) const { return producers_[index_of(value)]; }

 private:
  std::vector<int> counts_, producers_;
};

// float_constant and int_constant are null when the value is not such a constant.
const FloatTensor* float_constant(const Graph& graph, ValueId value);
const IntTensor* int_constant(const Graph& graph, ValueId value);
// list_of reads a list that is an attribute or, failing that, the constant integer operand `input`.
std::optional<std::vector<int64_t>> list_of(const Graph& graph, const Node& node, const std::string& key, size_t input);
// per_channel spreads a constant that broadcasts along the last axis of `result` to one value per channel; absent when
// it varies along another axis or is larger than the result.
std::optional<std::vector<float>> per_channel(const FloatTensor& constant, const Shape& result);
// is_float tells whether a value is a secret or float edge, not a shape.
inline bool is_float(const Graph& graph, ValueId value) { return graph.value(value).dtype == DType::kFloat; }

}  // namespace treville
