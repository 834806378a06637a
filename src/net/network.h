// Network carries framed messages between the parties of one session. There is one Channel per peer and phase:
// offline sends block while the bounded queue is full, online sends never block, receives have a deadline.
// LocalNetwork (memory), TlsNetwork (TLS 1.3 over TCP), DryNetwork (records events) and FaultyNetwork (tests)
// implement it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "crypto/hash.h"
#include "tensor/buffer.h"

namespace treville {

// MessageTag names a message inside its channel; both sides know which one comes next, so a difference means that the
// parties are out of step. `part` is the protocol's own list of messages inside a step, `block` the block of elements.
struct MessageTag {
  uint32_t inference = 0;
  uint32_t step = 0;
  uint16_t part = 0;
  uint16_t block = 0;
  bool operator==(const MessageTag&) const = default;
};

// kFrameHeaderBytes precede every payload on the wire: length (4, payload bytes), inference (4), step (4), part (2),
// block (2), little-endian. They count in the bytes of a channel.
inline constexpr int64_t kFrameHeaderBytes = 16;
inline constexpr int64_t kMaxFrameBytes = int64_t{1} << 30;

// Traffic counts frames in one direction of one channel: headers and payloads, without TLS records.
struct Traffic {
  int64_t messages = 0;
  int64_t bytes = 0;
  bool operator==(const Traffic&) const = default;
};

class Channel {
 public:
  virtual ~Channel() = default;
  // send takes the payload over. Offline and set-up channels block while their bounded queue is full (at least one
  // message always fits); online channels never block. Throws PeerError when the connection is gone.
  virtual void send(const MessageTag& tag, Buffer payload) = 0;
  // The payload leaves the caller's memory meter with send and enters it with receive; queues are bounded apart.
  // receive returns the next message, which must carry `tag` and have `bytes` bytes of payload. Throws PeerError that
  // names peer, phase and step when it does not, when the peer is gone, or after the deadline without any sign of life.
  virtual Buffer receive(const MessageTag& tag, size_t bytes) = 0;
  virtual Traffic sent() const = 0;
  virtual Traffic received() const = 0;
};

// TrafficRow is one directed pair in one phase, as seen by its sender.
struct TrafficRow {
  PartyId from;
  PartyId to;
  Phase phase;
  Traffic traffic;
};

class Network {
 public:
  virtual ~Network() = default;
  virtual PartyId self() const = 0;
  virtual bool is_dry() const { return false; }
  // channel to another party; set-up messages of a model travel on Phase::kSetup, which shares the offline
  // connection but is metered apart. A channel may be used by one thread at a time for each direction.
  virtual Channel& channel(PartyId peer, Phase phase) = 0;
  // set_step_name tells messages of errors what runs now ("step 12 relu conv1"); any thread, cheap.
  virtual void set_step_name(Phase phase, std::string name) = 0;
  // transcript is the hash of all frames sent from self to peer in a phase, where the network was made to keep it.
  virtual Digest transcript(PartyId peer, Phase phase) const = 0;
  // check throws PeerError when the session has failed, for waits that are not on a channel.
  virtual void check() const {}
  // abort wakes every blocked call in this process with the given reason; other parties are told before it closes.
  virtual void abort(const std::string& reason) = 0;
  // sent_traffic lists what this party sent, one row per peer and phase.
  std::vector<TrafficRow> sent_traffic();
};

}  // namespace treville
