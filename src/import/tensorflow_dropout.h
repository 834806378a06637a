// Graphs that were frozen while training still hold dropout, written out: x / keep_prob * floor(keep_prob + random),
// or, in later versions, x * scale * cast(random >= rate). At inference keep_prob is 1 and the whole is x.
#pragma once

#include <optional>
#include <vector>

#include "import/tensorflow.h"

namespace treville::import {

// dropped_input gives the x of a dropout whose last product is node i, or nothing when node i is no such product.
// edges[j] are the data inputs of node j.
std::optional<Edge> dropped_input(const tf_format::GraphDef& graph, const std::vector<std::vector<Edge>>& edges,
                                  size_t i);

}  // namespace treville::import
