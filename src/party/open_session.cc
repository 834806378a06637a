#include "party/open_session.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace treville {
namespace {

constexpr char kDealerEvaluatorLabel[] = "EXPORTER-treville-dealer-evaluator";
constexpr char kDealerHelperLabel[] = "EXPORTER-treville-dealer-helper";
constexpr char kWeightsLabel[] = "EXPORTER-treville-weights";

// config_digest covers what the hello does not say itself: who the parties are, and the options.
Digest config_digest(const Federation& federation, const std::string& config) {
  Hash hash;
  hash.update("treville config 1\n");
  for (const Member& member : federation.members) hash.update(member.fingerprint);
  hash.update(config);
  return hash.digest();
}

// derive_keys takes the pairwise keys from the online connections (docs/protocols/porthos.md, section 1). Both ends of
// a connection derive the same key; no third party can.
SessionKeys derive_keys(PartyId self, const std::vector<TlsPeer>& peers, const SessionId& session,
                        const Digest& program) {
  std::vector<std::byte> context(session.begin(), session.end());
  context.insert(context.end(), program.begin(), program.end());
  SessionKeys keys;
  for (const TlsPeer& peer : peers) {
    const auto pair = std::minmax(self, peer.party);
    if (pair.first != PartyId::kDealer) continue;
    if (pair.second == PartyId::kEvaluator) {
      keys.dealer_evaluator = peer.online.export_key(kDealerEvaluatorLabel, context);
      keys.weights = peer.online.export_key(kWeightsLabel, context);
    } else {
      keys.dealer_helper = peer.online.export_key(kDealerHelperLabel, context);
    }
  }
  return keys;
}

}  // namespace

Session open_session(const Federation& federation, PartyId self, const Digest& program, const SessionOptions& options) {
  Joined joined = rendezvous(federation, self, program, config_digest(federation, options.config), options.rendezvous);
  Session session;
  session.self = self;
  session.id = joined.session;
  session.program = program;
  session.keys = derive_keys(self, joined.peers, session.id, program);
  session.peers = std::move(joined.infos);
  TlsNetworkOptions network = options.network;
  network.liveness = federation.silence_deadline;
  network.heartbeat = std::min(network.heartbeat, network.liveness / 4);
  session.network = std::make_unique<TlsNetwork>(self, std::move(joined.peers), network);
  return session;
}

}  // namespace treville
