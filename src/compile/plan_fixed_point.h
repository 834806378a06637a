// plan_fixed_point chooses for every value its fraction bits from its range: as many as the ring and the opened width
// k allow, shared between activations and weights so that both contribute alike to the error.
// docs/protocols/porthos.md, section 12, says what must hold; lower.cc applies the plan.
#pragma once

#include <vector>

#include "compile/fixed_point_plan.h"

namespace treville {

// plan_fixed_point: ranges by ValueId. Throws UserError naming the first layer whose range leaves no precision, and how
// many bits it lacks.
FixedPointPlan plan_fixed_point(const Graph& graph, const std::vector<ValueRange>& ranges, Ring ring, Bits k_max);

// Role of a node for scales. kLinear multiplies by constants (and reads a masked operand); kActivation and kMaximum
// truncate; kLocal keeps scales.
// kProduct multiplies two secrets (or one with itself), kFunction looks a function up; both read masked operands. kSign
// opens its operand like an activation and gives 0 or 1, kWhole rounds to integers.
enum class Role : uint8_t { kLinear, kActivation, kMaximum, kLocal, kProduct, kFunction, kSign, kWhole };
Role role_of(const Graph& graph, const Node& node);

// summed is the number of elements whose sum stands behind one result of the node (1 but for averages and sums).
int64_t summed(const Graph& graph, const Node& node);

}  // namespace treville
