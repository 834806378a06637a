#include "store/replay_network.h"

#include "base/error.h"

namespace treville {

class ReplayNetwork::OfflineChannel final : public Channel {
 public:
  OfflineChannel(ReplayNetwork& owner, PartyId peer) : owner_(owner), peer_(peer) {}
  void send(const MessageTag&, Buffer) override { CHECK(false, "an online walk sends an offline message"); }
  Buffer receive(const MessageTag& tag, size_t bytes) override {
    CHECK(owner_.record_ != nullptr, "an offline message is asked for without a record");
    return owner_.record_->message(peer_, tag, bytes);
  }
  Traffic sent() const override { return owner_.inner_->channel(peer_, Phase::kOffline).sent(); }
  Traffic received() const override { return owner_.inner_->channel(peer_, Phase::kOffline).received(); }

 private:
  ReplayNetwork& owner_;
  const PartyId peer_;
};

ReplayNetwork::ReplayNetwork(std::unique_ptr<Network> inner) : inner_(std::move(inner)) {
  for (const PartyId peer : kAllParties) {
    offline_[static_cast<size_t>(index_of(peer))] = std::make_unique<OfflineChannel>(*this, peer);
  }
}

ReplayNetwork::~ReplayNetwork() = default;

Channel& ReplayNetwork::channel(PartyId peer, Phase phase) {
  if (phase != Phase::kOffline) return inner_->channel(peer, phase);
  return *offline_[static_cast<size_t>(index_of(peer))];
}

}  // namespace treville
