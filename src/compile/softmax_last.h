// softmax_last moves a softmax that ends the model behind the reshapes that follow it, as the last node, over the last
// axis: there the recipient computes it in the clear. Such an output is given as [batch, classes].
#pragma once

#include "graph/graph.h"

namespace treville {

void softmax_last(Graph& graph);

}  // namespace treville
