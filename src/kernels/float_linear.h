// Linear maps over floats: what a model means before fixed point. The compiler's float reference runs on these.
#pragma once

#include "tensor/float_tensor.h"
#include "tensor/linear_map.h"

namespace treville {

// apply_float returns W * x with output_shape(map); weight and x have the map's shapes up to a reshape. Sums are in
// single precision, in any order, on all cores.
FloatTensor apply_float(const LinearMap& map, const FloatTensor& weight, const FloatTensor& x);

// matmul_float multiplies [rows, inner] by [inner, cols].
FloatTensor matmul_float(const FloatTensor& a, const FloatTensor& b);

}  // namespace treville
