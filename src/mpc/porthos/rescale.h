// Rescale: a truncated additive value becomes masked over the whole ring again, without an activation.
// From docs/protocols/porthos.md, section 9.
#pragma once

#include <optional>

#include "mpc/porthos/pass.h"

namespace treville::porthos {

// rescale_offline, rescale_online: this pass's plane of [[y']] for |y'| < 2^(k-2) (D: -lambda, H: lambda, E: m).
//   share  the truncated plane where this pass holds one, modulo at least 2^k
//   cost   k D -> E and l - k D -> H offline, 1 E -> H and l - k H -> E online: one round trip
std::optional<RingTensor> rescale_offline(Pass& pass, Bits k, const RingTensor* share, Ring ring, const Shape& shape);
std::optional<RingTensor> rescale_online(Pass& pass, Bits k, const RingTensor* share, Ring ring, const Shape& shape);

}  // namespace treville::porthos
