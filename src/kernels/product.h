// Products of two tensors over Z_2^32 or Z_2^64, neither of which is known before: what each party computes on its
// planes when both factors are secret. docs/protocols/porthos.md, section 10.
#pragma once

#include "tensor/product_geometry.h"
#include "tensor/ring_tensor.h"

namespace treville {

// product returns left * right modulo 2^l with output_shape(geometry); operands have their shapes up to a reshape.
// accumulate_product adds it to y. Dry in, dry out.
RingTensor product(const ProductGeometry& geometry, const RingTensor& left, const RingTensor& right);
void accumulate_product(const ProductGeometry& geometry, const RingTensor& left, const RingTensor& right,
                        RingTensor& y);

}  // namespace treville
