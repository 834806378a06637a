#include "kernels/linear.h"

#include "kernels/elementwise.h"

namespace treville {

struct LinearKernel::Impl {
  LinearMap map;
  RingTensor weight;
};

LinearKernel::LinearKernel(const LinearMap& map, const RingTensor& weight)
    : impl_(std::make_unique<Impl>(Impl{map, weight.clone()})) {
  CHECK(weight.shape().elements() == weight_shape(map).elements(), "weight {} does not fit the map, which takes {}",
        to_string(weight.shape()), to_string(weight_shape(map)));
}
LinearKernel::~LinearKernel() = default;
LinearKernel::LinearKernel(LinearKernel&&) noexcept = default;
LinearKernel& LinearKernel::operator=(LinearKernel&&) noexcept = default;

const LinearMap& LinearKernel::map() const { return impl_->map; }
Ring LinearKernel::ring() const { return impl_->weight.ring(); }

RingTensor LinearKernel::apply(const RingTensor& x) const { return apply_reference(impl_->map, impl_->weight, x); }

void LinearKernel::accumulate(const RingTensor& x, RingTensor& y) const {
  CHECK(y.elements() == output_shape(impl_->map).elements(), "output {} does not fit the map, which gives {}",
        to_string(y.shape()), to_string(output_shape(impl_->map)));
  RingTensor sum = apply(x);
  add_in_place(y, std::move(sum).reshaped(y.shape()));
}

}  // namespace treville
