#include "mpc/protocols.h"

#include <array>

#include "base/error.h"
#include "base/suggest.h"
#include "mpc/clear.h"
#include "mpc/porthos/porthos.h"

namespace treville {
namespace {

constexpr std::array<PartyId, 1> kAlone = {PartyId::kEvaluator};

ProtocolPasses set_up_clear(Session&, std::span<const WeightSpec> specs,
                            const std::vector<const RingTensor*>* weights) {
  ProtocolPasses passes;
  passes.passes.push_back(make_clear(specs, weights));
  return passes;
}

const std::array kProtocols = {
    ProtocolInfo{"clear", kAlone, set_up_clear},
    ProtocolInfo{"porthos", kAllParties, set_up_porthos},
};

}  // namespace

std::vector<std::string_view> protocol_names() {
  std::vector<std::string_view> names;
  for (const ProtocolInfo& row : kProtocols) names.push_back(row.name);
  return names;
}

const ProtocolInfo& find_protocol(std::string_view name) {
  for (const ProtocolInfo& row : kProtocols)
    if (row.name == name) return row;
  throw UserError("unknown protocol '{}'{}", name, did_you_mean(name, protocol_names()));
}

ProtocolPasses set_up_protocol(std::string_view name, Session& session, std::span<const WeightSpec> specs,
                               const std::vector<const RingTensor*>* weights) {
  return find_protocol(name).set_up(session, specs, weights);
}

}  // namespace treville
