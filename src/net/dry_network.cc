#include "net/dry_network.h"

#include "net/frame.h"

namespace treville {
namespace {

class DryChannel final : public Channel {
 public:
  DryChannel(std::vector<DryEvent>& events, PartyId peer, Phase phase) : events_(events), peer_(peer), phase_(phase) {}
  void send(const MessageTag& tag, Buffer payload) override {
    record(DryEvent::Kind::kSend, tag, payload.bytes(), sent_);
  }
  Buffer receive(const MessageTag& tag, size_t bytes) override {
    record(DryEvent::Kind::kReceive, tag, bytes, received_);
    return Buffer::dry(bytes);
  }
  Traffic sent() const override { return sent_; }
  Traffic received() const override { return received_; }

 private:
  void record(DryEvent::Kind kind, const MessageTag& tag, size_t bytes, Traffic& traffic) {
    CHECK(bytes < static_cast<size_t>(kMaxFrameBytes), "a message of {} bytes", bytes);
    events_.push_back({kind, peer_, phase_, tag, static_cast<int64_t>(bytes)});
    traffic.messages += 1;
    traffic.bytes += kFrameHeaderBytes + static_cast<int64_t>(bytes);
  }

  std::vector<DryEvent>& events_;
  const PartyId peer_;
  const Phase phase_;
  Traffic sent_, received_;
};

}  // namespace

struct DryNetwork::Impl {
  PartyId self = PartyId::kDealer;
  std::vector<DryEvent> events;
  std::unique_ptr<DryChannel> channels[3][3];
};

DryNetwork::DryNetwork(PartyId self) : impl_(std::make_unique<Impl>()) {
  impl_->self = self;
  for (PartyId peer : kAllParties) {
    for (Phase phase : {Phase::kOffline, Phase::kOnline, Phase::kSetup}) {
      impl_->channels[index_of(peer)][static_cast<size_t>(phase)] =
          std::make_unique<DryChannel>(impl_->events, peer, phase);
    }
  }
}

DryNetwork::~DryNetwork() = default;

const std::vector<DryEvent>& DryNetwork::events() const { return impl_->events; }

PartyId DryNetwork::self() const { return impl_->self; }

Channel& DryNetwork::channel(PartyId peer, Phase phase) {
  CHECK(peer != impl_->self, "party {} has no channel to itself", peer);
  return *impl_->channels[index_of(peer)][static_cast<size_t>(phase)];
}

Digest DryNetwork::transcript(PartyId, Phase) const {
  CHECK(false, "a dry run has no transcript");
  return {};
}

}  // namespace treville
