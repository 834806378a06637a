// max_before_relu lets a maximum go before a monotone activation: max(relu(x)) = relu(max(x)), and the activation then
// works on the few elements that are left.
#pragma once

#include "graph/graph.h"

namespace treville {

void max_before_relu(Graph& graph);

}  // namespace treville
