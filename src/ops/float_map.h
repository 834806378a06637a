// Linear maps in float: their application and the range of their results.
#pragma once

#include "ops/op.h"
#include "tensor/float_tensor.h"
#include "tensor/linear_map.h"

namespace treville::ops {

// apply_float returns W * x in float, with output_shape(map).
FloatTensor apply_float(const LinearMap& map, const FloatTensor& weight, const FloatTensor& x);

// range_of_product bounds W * x + bias over all outputs when every element of x lies in `x`; the outputs are the last
// axis of the weight, all other axes are summed over. bias may be null.
Interval range_of_product(const FloatTensor& weight, const Interval& x, const FloatTensor* bias);

}  // namespace treville::ops
