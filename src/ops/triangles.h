// Sums along an axis and triangles of matrices as constant matrices, which the pass expand_composites multiplies by.
#pragma once

#include "ops/common.h"

namespace treville::ops {

// cumulative_matrix is T [n,n] with which x T are the running sums of x [.., n] that a CumSum node gives.
FloatTensor cumulative_matrix(const Node& node, int64_t n);
// triangle_mask is 1 for the elements of a matrix that a Trilu node keeps, else 0.
FloatTensor triangle_mask(const Node& node, int64_t rows, int64_t columns);

}  // namespace treville::ops
