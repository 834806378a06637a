// Porthos: three parties, semi-honest, at most one corrupted. The dealer and the helper prepare everything that does
// not depend on an input; the evaluator and the helper compute on it. docs/protocols/porthos.md is the specification.
#pragma once

#include <span>
#include <vector>

#include "mpc/protocol.h"

namespace treville {

// set_up_porthos runs the model set-up with the other parties and returns this party's passes, in the order of their
// threads: D offline and online, E online, H offline and online.
//   weights  at E, unless the run is dry; null elsewhere
//   cost     E -> H, once: the weights' size
ProtocolPasses set_up_porthos(Session& session, std::span<const WeightSpec> specs,
                              const std::vector<const RingTensor*>* weights);

}  // namespace treville
