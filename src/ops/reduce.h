// The axes of a reduction, for its operations and for the passes that rewrite them.
#pragma once

#include "ops/common.h"

namespace treville::ops {

// reduced_axes gives the axes in order, from the attribute or the constant operand; none means all.
Ints reduced_axes(const Node& node, const Constant* constant, const Shape& shape);
// kept_shape is the shape with these axes reduced to extent one.
Shape kept_shape(const Shape& shape, const Ints& axes);
// reduced_count is the number of elements that become one.
int64_t reduced_count(const Shape& shape, const Ints& axes);

}  // namespace treville::ops
