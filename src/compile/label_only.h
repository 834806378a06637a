// label_only ends the model with the index of its largest output, for the policy that reveals the label and nothing
// else. A softmax before it is dropped: it keeps the order.
#pragma once

#include "graph/graph.h"

namespace treville {

// label_only needs a single output of shape [rows, classes] (further axes of extent one do not matter), else UserError.
void label_only(Graph& graph);

}  // namespace treville
