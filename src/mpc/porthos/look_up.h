// Public tables indexed by a truncated secret value, and shares of their entries: one round trip, however many tables.
// From docs/protocols/porthos.md, section 11.
#pragma once

#include <optional>
#include <span>

#include "mpc/porthos/pass.h"
#include "tensor/look_up_table.h"

namespace treville::porthos {

// look_up_offline, look_up_online: this pass's plane of the entries, masked over the whole ring (D: -lambda, H: lambda,
// E: m), of look_up_shape.
//   share  the truncated plane where this pass holds one (D offline, E online), modulo at least 2^n
//   cost   for S bits of all tables together: 2^n - 1 bits and l - j for bit j of each table D -> H offline; n + S bits
//          E -> H and S + l for each table H -> E online. One table of 12 bits, n = 8, l = 32: 573 and 64 bits
std::optional<RingTensor> look_up_offline(Pass& pass, Bits n, std::span<const LookUpTable* const> tables,
                                          const RingTensor* share, Ring ring, const Shape& shape);
std::optional<RingTensor> look_up_online(Pass& pass, Bits n, std::span<const LookUpTable* const> tables,
                                         const RingTensor* share, Ring ring, const Shape& shape);

}  // namespace treville::porthos
