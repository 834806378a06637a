// Elementwise kernels over ring tensors, all modulo 2^l, vectorised. Shapes of operands must be equal unless said.
// Every function takes dry tensors and then only produces dry results of the right shape.
#pragma once

#include <cstdint>

#include "tensor/linear_map.h"
#include "tensor/ring_tensor.h"

namespace treville {

void add_in_place(RingTensor& y, const RingTensor& x);
void subtract_in_place(RingTensor& y, const RingTensor& x);
void negate_in_place(RingTensor& y);
// add_shifted: y += x << shift.
void add_shifted(RingTensor& y, const RingTensor& x, Bits shift);
void shift_left_in_place(RingTensor& y, Bits shift);
// truncate_share: y = ((y + offset) mod 2^modulus) >> shift, logically; what section 5 of the protocol does to one
// share.
void truncate_share(RingTensor& y, uint64_t offset, Bits shift, Bits modulus);
// reduce: y = y mod 2^modulus.
void reduce(RingTensor& y, Bits modulus);
// multiply_scalar: y *= c. multiply_elementwise: y *= c with c of y's shape.
void multiply_scalar(RingTensor& y, uint64_t c);
void multiply_elementwise(RingTensor& y, const RingTensor& c);
// add_channel: y[..., c] += v[c], v of shape [channels].
void add_channel(RingTensor& y, const RingTensor& v);
// sum_pool adds the elements of every window; padding adds zero.
RingTensor sum_pool(const PoolGeometry& pool, const RingTensor& x);
// sum_axes adds over the given axes (sorted), keeping them as dimensions of extent 1.
RingTensor sum_axes(const RingTensor& x, const std::vector<int>& axes);
// Data movement, any rank. pad fills with zeros. slice: start and step per axis (step may be negative), result extents.
RingTensor transpose(const RingTensor& x, const std::vector<int>& permutation);
RingTensor concat(const std::vector<const RingTensor*>& parts, int axis);
RingTensor pad(const RingTensor& x, const std::vector<int64_t>& before, const std::vector<int64_t>& after);
// gather takes the elements at `indices` along an axis.
RingTensor gather(const RingTensor& x, int axis, const std::vector<int64_t>& indices);
RingTensor slice(const RingTensor& x, const std::vector<int64_t>& starts, const std::vector<int64_t>& steps,
                 const Shape& result);
// gather_rows: result[i, :] = x[index[i], :] with x as [rows, width]; index -1 gives zeros.
RingTensor gather_rows(const RingTensor& x, int64_t width, const std::vector<int64_t>& index);

}  // namespace treville
