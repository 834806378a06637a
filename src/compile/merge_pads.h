// merge_pads gives the zeros of a Pad node to the convolution or maximum that reads it, which pad on their own: a
// convolution always, a maximum when what was padded is never negative, so that a zero does not win against anything.
#pragma once

#include "graph/graph.h"

namespace treville {

void merge_pads(Graph& graph);

}  // namespace treville
