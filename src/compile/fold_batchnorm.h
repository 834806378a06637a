// fold_batchnorm moves constant factors and offsets per channel into the linear layers around them: batch norms, in
// one node or spelled as products and sums, disappear into the weights of the layer before (or, for scaled inputs, the
// layer after). What cannot be folded is at least merged into one batch norm. Runs on NHWC graphs.
#pragma once

#include "graph/graph.h"

namespace treville {

void fold_batchnorm(Graph& graph);

}  // namespace treville
