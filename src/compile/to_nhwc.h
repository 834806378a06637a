// to_nhwc rewrites image operations of layout NCHW to NHWC, the layout of the run time. Each gets a transpose before
// and after it; the transposes are then carried down through everything that does not care about the order of axes, so
// that nearly all of them meet their inverse. Inputs and outputs keep the model's own layout.
#pragma once

#include "graph/graph.h"

namespace treville {

// to_nhwc needs all shapes and leaves all shapes inferred.
void to_nhwc(Graph& graph);

}  // namespace treville
