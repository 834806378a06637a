// ReLU, clip, leaky ReLU and the sign bit of a truncated additive value: from the comparison to a masked result over
// the whole ring.
// From docs/protocols/porthos.md, section 7.
#pragma once

#include <optional>

#include "mpc/porthos/pass.h"

namespace treville::porthos {

struct Activation {
  enum class Kind : uint8_t { kRelu, kClip, kLeaky, kNonNegative };
  Kind kind = Kind::kRelu;
  Bits k;
  uint64_t upper = 0;  // clip: min(max(y, 0), upper)
  int64_t slope = 0;   // leaky: y >= 0 ? y << slope_bits : slope * y
  Bits slope_bits{};
};

// activation_offline: D deals, D and H make their planes (-lambda and lambda).
// activation_online: E opens, E and H close; E's plane is m.
//   share  the truncated plane where this pass holds one (D offline, E online), modulo at least 2^k
//   cost   k = 20, l = 32, for a ReLU: 213 bits D -> H offline, 30 E -> H and 42 H -> E online, two round trips
std::optional<RingTensor> activation_offline(Pass& pass, const Activation& activation, const RingTensor* share,
                                             Ring ring, const Shape& shape);
std::optional<RingTensor> activation_online(Pass& pass, const Activation& activation, const RingTensor* share,
                                            Ring ring, const Shape& shape);

}  // namespace treville::porthos
