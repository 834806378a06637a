#include "party/local_parties.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "net/dry_network.h"

namespace treville {
namespace {

Key derive_key(const std::optional<uint64_t>& seed, std::string_view name) {
  if (!seed) return Key::random();
  const Digest digest = sha256(fmt::format("treville test seed {} {}", *seed, name));
  return Key(std::span(digest).first<Key::kBytes>());
}

// place_keys gives a party the keys that session.h says it holds.
void place_keys(SessionKeys& keys, PartyId party, const SessionKeys& all) {
  if (party != PartyId::kHelper) keys.dealer_evaluator = all.dealer_evaluator;
  if (party != PartyId::kHelper) keys.weights = all.weights;
  if (party != PartyId::kEvaluator) keys.dealer_helper = all.dealer_helper;
}

}  // namespace

std::array<Session, 3> make_local_sessions(const LocalOptions& options) {
  const SessionKeys all{derive_key(options.seed, "dealer-evaluator"), derive_key(options.seed, "dealer-helper"),
                        derive_key(options.seed, "weights")};
  const Key id = derive_key(options.seed, "session id");
  auto networks = make_local_networks(options.network);
  std::array<Session, 3> sessions;
  for (PartyId party : kAllParties) {
    const auto index = static_cast<size_t>(index_of(party));
    Session& session = sessions[index];
    session.self = party;
    std::ranges::copy(id.bytes(), session.id.begin());
    session.program = options.program;
    place_keys(session.keys, party, all);
    session.network = std::move(networks[index]);
    for (PartyId peer : kAllParties) {
      if (peer != party)
        session.peers.push_back({peer, fmt::format("party {}", peer), "memory", "memory", "none", getpid()});
    }
  }
  return sessions;
}

Session make_dry_session(PartyId self) {
  Session session;
  session.self = self;
  place_keys(session.keys, self, {Key::random(), Key::random(), Key::random()});
  session.network = std::make_unique<DryNetwork>(self);
  return session;
}

}  // namespace treville
