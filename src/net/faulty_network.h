// FaultyNetwork disturbs another Network at one message, as sockets and peers do: for tests that a party meets every
// fault with a clear error within its deadline, and reveals nothing.
#pragma once

#include <chrono>
#include <memory>

#include "net/network.h"

namespace treville {

struct Fault {
  enum class Kind : uint8_t {
    kDrop,        // the message is never sent
    kDelay,       // it is sent after `time`
    kTruncate,    // it loses its last byte (an empty one gains a byte)
    kCorruptTag,  // it carries the tag of the next step
    kClose,       // the party stops instead of sending it
    kStall,       // the party hangs for `time` instead of sending it, then fails
  };
  Kind kind = Kind::kDrop;
  PartyId peer = PartyId::kDealer;
  Phase phase = Phase::kOffline;
  int64_t message = 0;  // which message sent on that channel, from 0
  std::chrono::milliseconds time = std::chrono::milliseconds(0);
};

// make_faulty_network wraps `inner`; all messages but one pass unchanged. abort ends a stall.
std::unique_ptr<Network> make_faulty_network(std::unique_ptr<Network> inner, const Fault& fault);

}  // namespace treville
