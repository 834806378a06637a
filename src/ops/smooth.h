// The operations that apply one real function to every element: sigmoid, exponential, roots, powers and their like.
// Their float meaning, their range rule and the table that a look-up reads all come from the one function here.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace treville::ops {

using RealFunction = std::function<double(double)>;

// real_function is what a node of such an operation computes from each element; empty for any other operation.
RealFunction real_function(const Node& node);
// turning_points lists the arguments at which the function may have an extremum or a kink.
std::vector<double> turning_points(const Node& node);
// has_pole: the function is not defined, or not smooth, at 0, so its arguments must keep away from it.
bool has_pole(const Node& node);

}  // namespace treville::ops
