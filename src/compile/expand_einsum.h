// expand_einsum writes Einsum nodes, whose shapes are known, as sums, transposes, reshapes and one matrix product each.
#pragma once

#include "graph/graph.h"

namespace treville {

void expand_einsum(Graph& graph);

}  // namespace treville
