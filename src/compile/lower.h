// lower turns the planned graph into a program in single-assignment form: every step has a slot of its own. Operations
// say how they become steps (ops/op.h); this file gives them slots, scales, truncations and quantised constants.
#pragma once

#include <vector>

#include "compile/compile.h"

namespace treville {

// Lowered: a program and the integers of its constants.
struct Lowered {
  Program program;
  std::vector<RingTensor> constants;
};

// lower: output_names are the names of the model's outputs, in order. Throws UserError listing all nodes that have no
// secure form.
Lowered lower(const Graph& graph, const FixedPointPlan& plan, const CompileOptions& options,
              const std::vector<std::string>& output_names);

// quantise_tensor gives round(x * factor * 2^scale) modulo the ring.
RingTensor quantise_tensor(const FloatTensor& x, Ring ring, double factor, int scale);

}  // namespace treville
