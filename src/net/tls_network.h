// TlsNetwork carries the frames of a session over TLS 1.3: two connections to each peer, offline (set-up included) and
// online, so that answers never queue behind a stream that the other side is too busy to take. One I/O thread owns each
// connection; callers see queues. Opening the connections is the work of open_session (party).
//
// Life and death: every connection sends a heartbeat when it was idle for a second. A peer from which nothing came for
// `liveness` is stalled or dead, however busy it is; a connection on which nothing came for `deadline` is broken. The
// first failure ends the session: blocked calls throw it, the other peers are told its text before everything closes.
// A party that finishes normally says goodbye; what it sent is still received.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "net/network.h"
#include "net/tls_stream.h"

namespace treville {

struct TlsNetworkOptions {
  // offline_queue_bytes bounds what waits to be sent, and again what waits to be received, per offline connection; at
  // least one message always fits.
  int64_t offline_queue_bytes = int64_t{16} << 20;
  // max_frame_bytes is the longest payload accepted from a peer.
  int64_t max_frame_bytes = kMaxFrameBytes - 1;
  std::chrono::milliseconds heartbeat = std::chrono::seconds(1);
  std::chrono::milliseconds liveness = std::chrono::seconds(4);
  std::chrono::milliseconds deadline = std::chrono::seconds(30);
  bool keep_transcript = false;
};

// TlsPeer is another party with its two established connections, handshakes done.
struct TlsPeer {
  PartyId party = PartyId::kDealer;
  TlsStream offline;
  TlsStream online;
};

// TlsStats counts what Traffic leaves out, over all connections of this party.
struct TlsStats {
  int64_t raw_sent = 0;  // bytes on the sockets: TLS records, handshakes and heartbeats included
  int64_t raw_received = 0;
  int64_t handshake_bytes = 0;  // both ways, before the first frame
  int64_t frames_sent = 0;      // bytes of frames written to and read from TLS: what Traffic sums up to
  int64_t frames_received = 0;
  int64_t heartbeats = 0;  // sent
};

class TlsNetwork final : public Network {
 public:
  TlsNetwork(PartyId self, std::vector<TlsPeer> peers, const TlsNetworkOptions& options = {});
  // Sends what is queued, says goodbye and closes; waits for a peer that is alive and slow.
  ~TlsNetwork() override;

  PartyId self() const override;
  Channel& channel(PartyId peer, Phase phase) override;
  void set_step_name(Phase phase, std::string name) override;
  Digest transcript(PartyId peer, Phase phase) const override;
  void check() const override;
  void abort(const std::string& reason) override;
  TlsStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treville
