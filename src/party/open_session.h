// open_session is how a party enters a run: it finds the other two, checks that all run the same program, and derives
// the session's keys from the TLS channels. Parties may start in any order.
#pragma once

#include <functional>
#include <string>

#include "net/tls_network.h"
#include "party/federation.h"
#include "party/rendezvous.h"
#include "party/session.h"

namespace treville {

struct SessionOptions {
  // config is whatever else must agree between the parties (the protocol and its options), as text.
  std::string config;
  TlsNetworkOptions network;  // its liveness comes from the federation
  RendezvousOptions rendezvous;
};

// open_session blocks until all three parties are connected and ready. Throws UserError for this party's own files and
// address, and PeerError when a party is missing at the start deadline or runs something else; the other parties get
// the reason too.
Session open_session(const Federation& federation, PartyId self, const Digest& program,
                     const SessionOptions& options = {});

}  // namespace treville
