// The table of protocols: what a caller must know of each before it has a session.
#pragma once

#include <string_view>

#include "mpc/protocol.h"

namespace treville {

struct ProtocolInfo {
  std::string_view name;
  std::span<const PartyId> parties;  // who takes part
  ProtocolPasses (*set_up)(Session& session, std::span<const WeightSpec> specs,
                           const std::vector<const RingTensor*>* weights);
};

// find_protocol throws UserError for an unknown name.
const ProtocolInfo& find_protocol(std::string_view name);

}  // namespace treville
