// expand_composites writes operations that are made of others as what they are made of: recurrent layers as one product
// for all time steps and sums, products and activations for each, normalisations as means, squares and roots, a softmax
// inside the model as an exponential over a sum, comparisons as a sign, extrema by relu. It runs on known shapes and
// before ranges are measured, so that every inner value has its own range. docs/fixed-point.md lists what becomes what.
#pragma once

#include "graph/graph.h"

namespace treville {

void expand_composites(Graph& graph);

}  // namespace treville
