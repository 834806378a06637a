// Products of two masked values, elementwise or of matrices: one round trip.
// From docs/protocols/porthos.md, section 10.
#pragma once

#include <optional>

#include "mpc/porthos/pass.h"
#include "tensor/product_geometry.h"

namespace treville::porthos {

// Factors are this pass's planes of both operands (D: -lambda, H: lambda, offline; E: m, online); null where the pass
// has none. A square has left == right and opens its operand once.
struct Factors {
  ProductGeometry geometry;
  Ring ring;
  const RingTensor* left;
  const RingTensor* right;
  bool is_square;
};

// product_offline, product_online: this pass's plane of [[left * right]] (D: -lambda, H: lambda, E: m).
//   handover  carries H's lambdas of both operands from its offline to its online walk
//   cost      l bits D -> H offline for each element of the result; l E -> H online for each element of both operands
//             (of one, if they are the same), l H -> E for each of the result
std::optional<RingTensor> product_offline(Pass& pass, const Factors& factors, Handover& handover);
std::optional<RingTensor> product_online(Pass& pass, const Factors& factors, Handover& handover);

}  // namespace treville::porthos
