// Linear layers with weights owned by E, and their set-up: W = W0 + W1 with W0 from the key of dealer and evaluator and
// W1 sent to H once per model. From docs/protocols/porthos.md, sections 3 and 4.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "mpc/porthos/pass.h"
#include "mpc/protocol.h"

namespace treville::porthos {

// set_up_weights returns this party's part of every weight: D W0, E W, H W1.
//   weights  at E, unless dry; null elsewhere
//   on_part  sees each part as it is there, before it becomes a kernel
std::vector<Owned> set_up_weights(Session& session, std::span<const WeightSpec> specs,
                                  const std::vector<const RingTensor*>* weights,
                                  const std::function<void(const RingTensor&)>& on_part = {});

// linear_offline, linear_online: this pass's plane of sum W_i x_i + bias, where it holds one; H sends u to E.
//   cost  H -> E offline: one residue modulo 2^modulus for each element of the result, however many terms
std::optional<RingTensor> linear_offline(Pass& pass, std::span<const SharedTerm> terms, Ring ring, const Shape& result,
                                         Bits modulus);
std::optional<RingTensor> linear_online(Pass& pass, std::span<const SharedTerm> terms, const RingTensor* bias,
                                        Ring ring, const Shape& result, Bits modulus);

// add_constant_in_place: y += constant, of y's shape or [channels].
void add_constant_in_place(RingTensor& y, const RingTensor& constant);

}  // namespace treville::porthos
