// The lowering of smooth functions: look-ups of piecewise polynomials, with what is flat or straight at the ends of the
// argument's interval cut off by activations, and steep intervals cut into several.
#pragma once

#include <optional>
#include <vector>

#include "ops/op.h"
#include "ops/piecewise.h"

namespace treville::ops {

// Part is one of the intervals into which the arguments are cut: looked up, or a straight line.
struct Part {
  double low = 0, high = 0;
  std::optional<Piecewise> table;
  int64_t slope = 0;  // of the line, times 2^slope_bits
  int slope_bits = 0;
};

// FunctionPlan: x is cut into parts x_i = min(max(x, low_i), high_i), and f(x) is the sum of the parts' functions.
struct FunctionPlan {
  std::vector<Part> parts;  // from low to high; neighbours share an end
  double cost = 0;
};

// plan_function gives the cheapest plan whose error is at most kLargestError in all, or nothing.
std::optional<FunctionPlan> plan_function(const PiecewiseProblem& problem);

// lower_function lowers a node of a smooth function.
void lower_function(LowerContext& context);

}  // namespace treville::ops
