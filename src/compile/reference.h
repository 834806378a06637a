// The float reference: runs a graph node by node with the operations' float meaning, in memory bounded by what is
// still needed. It measures ranges, checks passes, and is what `compare` holds the secure result against.
#pragma once

#include <functional>
#include <vector>

#include "graph/graph.h"

namespace treville {

// ValueObserver sees each input and each computed value once, in order.
using ValueObserver = std::function<void(ValueId, const Constant&)>;

// float_run returns the graph's outputs. inputs are in the order of graph.inputs and have exactly their shapes, else
// UserError. Shapes must have been inferred.
std::vector<Constant> float_run(const Graph& graph, const std::vector<FloatTensor>& inputs,
                                const ValueObserver& observer = {});

}  // namespace treville
