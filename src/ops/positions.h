// Where gathers and scatters by constant indices read and write: positions in the row-major order of a tensor. The pass
// expand_composites makes of them one Gather of a flat tensor.
#pragma once

#include "ops/common.h"

namespace treville::ops {

// gathered_positions says, for a GatherElements or GatherND node, which element of the data each element of the result
// is.
Ints gathered_positions(const Node& node, const Shape& data, const IntTensor& indices);
// scattered_positions says, for a ScatterElements or ScatterND node, to which element of the data each update goes.
Ints scattered_positions(const Node& node, const Shape& data, const IntTensor& indices);

}  // namespace treville::ops
