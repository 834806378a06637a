// Where values enter and leave: inputs of D or E, outputs to any receiver, outputs kept as shares.
// From docs/protocols/porthos.md, section 3.
#pragma once

#include <optional>

#include "mpc/porthos/pass.h"
#include "mpc/value.h"

namespace treville::porthos {

// input_offline, input_online: this pass's plane of [[x]] (D: -lambda, H: lambda, E: m); for E's input lambda is 0.
//   value  at the owner, online
std::optional<RingTensor> input_offline(Pass& pass, PartyId owner, Ring ring, const Shape& shape);
std::optional<RingTensor> input_online(Pass& pass, PartyId owner, const RingTensor* value, Ring ring,
                                       const Shape& shape);

// reveal_offline, reveal_online: D gives yD + s, E gives yE - s, modulo 2^modulus; the receiver adds them.
// `handover` carries D's half from its offline to its online walk where D receives.
void reveal_offline(Pass& pass, const Shared& x, PartyId recipient, Handover& handover);
std::optional<Public> reveal_online(Pass& pass, const Shared& x, PartyId recipient, Handover& handover);

// shares: D's half yD + s (offline pass) or E's half yE - s (online pass), nothing elsewhere.
std::optional<Public> shares(Pass& pass, const Shared& x);

}  // namespace treville::porthos
