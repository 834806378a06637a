// Who may know a value, as a type. Shared has no comparison and no conversion; the one way to see it is
// Protocol::reveal. docs/protocols/porthos.md, section 2.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "base/ids.h"
#include "kernels/linear.h"
#include "tensor/ring_tensor.h"

namespace treville {

enum class SharedForm : uint8_t { kMasked, kAdditive };

// Shared: a value held by the parties together; `plane` is what this party holds of it in this pass.
//   additive  D: yD            E: yE      H: nothing
//   masked    D: yD = -lambda  E: yE = m  H: lambda
// so that D's and E's planes always add up to the value: a masked value *is* an additive one, and H's lambda is what
// makes it masked. In the offline pass E has no plane, in the online pass D and H have none. A cleartext protocol
// holds the value itself. The value is known modulo 2^modulus; planes may carry higher bits, which never leave.
class Shared {
 public:
  Shared(SharedForm form, Ring ring, Bits modulus, Shape shape, std::optional<RingTensor> plane)
      : form_(form), ring_(ring), modulus_(modulus), shape_(std::move(shape)), plane_(std::move(plane)) {}
  Shared(Shared&&) = default;
  Shared& operator=(Shared&&) = default;
  Shared clone() const {
    return Shared(form_, ring_, modulus_, shape_, plane_ ? std::optional<RingTensor>(plane_->clone()) : std::nullopt);
  }

  SharedForm form() const { return form_; }
  Ring ring() const { return ring_; }
  Bits modulus() const { return modulus_; }
  const Shape& shape() const { return shape_; }
  bool has_plane() const { return plane_.has_value(); }
  RingTensor& plane() {
    CHECK(plane_.has_value(), "this party holds nothing of this value in this pass");
    return *plane_;
  }
  const RingTensor& plane() const {
    CHECK(plane_.has_value(), "this party holds nothing of this value in this pass");
    return *plane_;
  }
  // take_plane moves the plane out, if there is one.
  std::optional<RingTensor> take_plane() && { return std::move(plane_); }

 private:
  SharedForm form_;
  Ring ring_;
  Bits modulus_;
  Shape shape_;
  std::optional<RingTensor> plane_;
};

// Owned: a weight of one party, ready to be applied: the kernel holds what this party has of it in this pass
// (D: W0, E: W, H: W1), or there is none.
struct Owned {
  LinearMap map;
  Ring ring = Ring::k32;
  std::shared_ptr<const LinearKernel> kernel;
};

// Public: a value that reveal made known to this party, modulo 2^modulus.
struct Public {
  RingTensor value;
  Bits modulus;
};

}  // namespace treville
