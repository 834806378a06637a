// Session is one party's side of one run: who it is, its channels, its keys and its meters. The keys are fresh per
// session and are wiped with it. Seeds can be given only through LocalParties (tests) in memory.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "crypto/hash.h"
#include "crypto/prg.h"
#include "net/network.h"

namespace treville {

class Store;

using SessionId = std::array<std::byte, 16>;

// SessionKeys are what a party holds of the pairwise keys: D all three, E dealer_evaluator and weights, H
// dealer_helper. weights is k_W, drawn anew whenever the weights change.
struct SessionKeys {
  std::optional<Key> dealer_evaluator;
  std::optional<Key> dealer_helper;
  std::optional<Key> weights;
};

// PeerInfo is what the handshake established about another party; for reports.
struct PeerInfo {
  PartyId party;
  std::string name;  // subject of its certificate
  std::string address;
  std::string tls_version;  // "TLSv1.3"; "memory" for LocalNetwork
  std::string cipher;
  int64_t process_id = 0;
};

struct Session {
  PartyId self = PartyId::kDealer;
  SessionId id{};
  Digest program{};
  SessionKeys keys;
  std::unique_ptr<Network> network;
  std::vector<PeerInfo> peers;
  Prg::Audit audit;  // tests only: sees every draw

  // What the party keeps between sessions (src/store); null where no party of the session does. A party that wants to
  // keep nothing among others that do has a store that keeps nothing.
  std::shared_ptr<Store> store;
  // online_only: every inference of this session comes from a record, so D and H need no weights.
  bool online_only = false;
  // model names the weights: E gives the id of its weights file, the set-up tells the others. With a store only.
  std::array<std::byte, 16> model{};
  bool weights_kept = false;  // by the set-up: nothing was sent, because all parties still had their parts

  bool is_dry() const { return network->is_dry(); }
};

}  // namespace treville
