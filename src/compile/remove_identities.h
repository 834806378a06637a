// remove_identities drops nodes that change nothing: Identity, Dropout, reshapes and transposes to the same, empty
// padding, whole slices, pools over one element, products with one and sums with zero.
#pragma once

#include "graph/graph.h"

namespace treville {

void remove_identities(Graph& graph);

}  // namespace treville
