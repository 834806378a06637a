// Rendezvous brings three parties together that start in any order: it listens and calls until this party has two
// connections to each other one, both sides agree on what they run, and all three are ready. The party with the lower
// id calls. Whoever else connects (port scans, health checks, strangers) is dropped after a short time and never in the
// way.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "net/tls_network.h"
#include "party/federation.h"
#include "party/hello.h"

namespace treville {

struct RendezvousOptions {
  // stray_timeout is what one connection gets for its handshake and hello.
  std::chrono::milliseconds stray_timeout = std::chrono::seconds(5);
  // max_strays is how many unauthenticated connections are held at once; one more drops the oldest.
  size_t max_strays = 32;
  int socket_buffer_bytes = 0;  // of the kernel, each way; 0: the system adapts them
  int listening_socket = -1;    // taken over when given, instead of listening at the member's address
  // progress is told what this party waits for, at most once a second.
  std::function<void(const std::string&)> progress;
};

// Joined is the result: the session's id, proposed by party 0, and both connections to each peer.
struct Joined {
  SessionId session{};
  std::vector<TlsPeer> peers;
  std::vector<PeerInfo> infos;
};

// rendezvous throws UserError when this party's own files or address are wrong, and PeerError, at all parties that are
// connected, when they disagree, one stops, or one is missing at the start deadline.
Joined rendezvous(const Federation& federation, PartyId self, const Digest& program, const Digest& config,
                  const RendezvousOptions& options);

struct Listener {
  int socket = -1;
  uint16_t port = 0;
};
// listen_at opens a listening socket; port 0 takes a free one. Throws UserError.
Listener listen_at(const Address& address);

}  // namespace treville
