// Random models: from a seed, a graph of a few inputs and some ten nodes of operations that compile securely, with
// random shapes, attributes and weights. Each node is evaluated as it is added, so that what grows too large, vanishes
// or lies near a pole is left out, and comparisons are placed where the values leave a gap.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace treville::testing {

struct RandomGraph {
  Graph graph;                      // shapes inferred
  std::vector<FloatTensor> inputs;  // within [-1, 1]; several are those of measure_ranges' first random run
};

// random_graph gives the same graph for the same seed.
RandomGraph random_graph(uint32_t seed);

}  // namespace treville::testing
