// How far a fixed-point run of a compiled graph may be from its float run, estimated from the program's own scales.
//
// Every step that rounds is wrong by about one unit in the last place of the scale at which it holds its result, and
// quantised weights by half of theirs. The graph is run in float several times, each node's operands and results moved
// by random errors of that size (half of them with one sign for the whole tensor, as truncation always goes one way).
// How far the values move is what rounding does to this graph at these inputs, whatever its operations do to an error.
#pragma once

#include <vector>

#include "compile/compile.h"

namespace treville::testing {

// ErrorEstimate of one value: the largest move of an element. It is not decided where a comparison or a floor lies so
// near to its threshold that rounding may turn it, or where the errors leave a function's domain.
struct ErrorEstimate {
  double error = 0;
  bool is_decided = true;
};

// estimate_errors returns an estimate for each value of compiled.graph, by ValueId.
std::vector<ErrorEstimate> estimate_errors(const Compiled& compiled, const std::vector<FloatTensor>& inputs);

}  // namespace treville::testing
