// LinearKernel applies a LinearMap over Z_2^32 or Z_2^64 to plain ring tensors: what each party computes on its own
// plane. The weight is packed once; apply may be called from several threads.
#pragma once

#include <memory>

#include "tensor/linear_map.h"
#include "tensor/ring_tensor.h"

namespace treville {

class LinearKernel {
 public:
  // weight has weight_shape(map); it may be dry (then the kernel only knows sizes). It is packed and not kept.
  LinearKernel(const LinearMap& map, const RingTensor& weight);
  ~LinearKernel();
  LinearKernel(LinearKernel&&) noexcept;
  LinearKernel& operator=(LinearKernel&&) noexcept;

  const LinearMap& map() const;
  Ring ring() const;
  // apply returns W * x modulo 2^l with output_shape(map); x has input_shape(map) up to a reshape. Dry in, dry out.
  RingTensor apply(const RingTensor& x) const;
  // accumulate adds W * x to y.
  void accumulate(const RingTensor& x, RingTensor& y) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// apply_reference is the definition: plain loops, no SIMD.
RingTensor apply_reference(const LinearMap& map, const RingTensor& weight, const RingTensor& x);

}  // namespace treville
