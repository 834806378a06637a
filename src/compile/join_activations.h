// join_activations replaces a concatenation of activations by one activation of the concatenation: as many elements,
// but one interaction instead of several, and a maximum behind it can then go first (max_before_relu).
#pragma once

#include "graph/graph.h"

namespace treville {

void join_activations(Graph& graph);

}  // namespace treville
