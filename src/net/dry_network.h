// DryNetwork lets one party run alone without data: receive returns a dry buffer of the expected size at once, and
// every message is recorded. Matching the events of the three parties and replaying them gives bytes, rounds and a
// time.
#pragma once

#include <memory>
#include <vector>

#include "net/network.h"

namespace treville {

struct DryEvent {
  enum class Kind : uint8_t { kSend, kReceive };
  Kind kind = Kind::kSend;
  PartyId peer = PartyId::kDealer;
  Phase phase = Phase::kOffline;
  MessageTag tag;
  int64_t bytes = 0;  // payload, without the header
  bool operator==(const DryEvent&) const = default;
};

// DryNetwork is used by one thread. Payloads may be dry or stored; what they hold is ignored.
class DryNetwork final : public Network {
 public:
  explicit DryNetwork(PartyId self);
  ~DryNetwork() override;

  // events are all messages so far, in the order of the calls.
  const std::vector<DryEvent>& events() const;

  PartyId self() const override;
  bool is_dry() const override { return true; }
  Channel& channel(PartyId peer, Phase phase) override;
  void set_step_name(Phase, std::string) override {}
  // transcript is a BugError: a dry run has no bytes to hash.
  Digest transcript(PartyId peer, Phase phase) const override;
  // abort has nobody to tell.
  void abort(const std::string&) override {}

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treville
