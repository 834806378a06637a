#include "net/tls_network.h"

#include <utility>

#include "net/frame.h"
#include "net/tls_connection.h"

namespace treville {
namespace {

class TlsChannel final : public Channel {
 public:
  TlsChannel(TlsConnection& connection, Phase phase, bool keep_transcript)
      : connection_(connection), phase_(phase), transcript_(keep_transcript) {}

  void send(const MessageTag& tag, Buffer payload) override {
    check_sendable(payload);
    payload.count_in(nullptr);
    Frame frame{kind_of(phase_), tag, std::move(payload)};
    const int64_t bytes = frame.bytes();
    transcript_.add(frame);
    connection_.send(phase_, std::move(frame));
    sent_.count(bytes);
  }
  Buffer receive(const MessageTag& tag, size_t bytes) override {
    Buffer payload = connection_.receive(phase_, tag, bytes);
    received_.count(kFrameHeaderBytes + static_cast<int64_t>(bytes));
    payload.count_in(MeterScope::current());
    return payload;
  }
  Traffic sent() const override { return sent_.read(); }
  Traffic received() const override { return received_.read(); }
  Digest transcript() const { return transcript_.digest(); }

 private:
  TlsConnection& connection_;
  const Phase phase_;
  TrafficCounter sent_, received_;
  Transcript transcript_;
};

}  // namespace

struct TlsNetwork::Impl {
  Impl(PartyId self, const TlsNetworkOptions& options) : shared(self, options) {}
  // All threads end before the first connection goes, because a failure in one wakes the others.
  ~Impl() {
    for (const auto& connection : connections) connection->close();
    for (const auto& connection : connections) connection->join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  TlsShared shared;
  std::vector<std::unique_ptr<TlsConnection>> connections;
  std::unique_ptr<TlsChannel> channels[3][3];
};

TlsNetwork::TlsNetwork(PartyId self, std::vector<TlsPeer> peers, const TlsNetworkOptions& options)
    : impl_(std::make_unique<Impl>(self, options)) {
  TlsShared& shared = impl_->shared;
  std::vector<std::unique_ptr<TlsConnection>>& connections = impl_->connections;
  connections.reserve(2 * peers.size());
  shared.on_failure = [&connections] {
    for (const auto& connection : connections) connection->wake();
  };
  for (TlsPeer& peer : peers) {
    CHECK(peer.party != self && peer.offline && peer.online, "party {} is no connected peer", peer.party);
    connections.push_back(
        std::make_unique<TlsConnection>(shared, peer.party, Phase::kOffline, std::move(peer.offline)));
    connections.push_back(std::make_unique<TlsConnection>(shared, peer.party, Phase::kOnline, std::move(peer.online)));
    for (Phase phase : {Phase::kOffline, Phase::kOnline, Phase::kSetup}) {
      TlsConnection& connection = *connections[connections.size() - (phase == Phase::kOnline ? 1 : 2)];
      impl_->channels[index_of(peer.party)][static_cast<size_t>(phase)] =
          std::make_unique<TlsChannel>(connection, phase, options.keep_transcript);
    }
  }
  for (const auto& connection : connections) connection->start();
}

TlsNetwork::~TlsNetwork() = default;

PartyId TlsNetwork::self() const { return impl_->shared.self; }

Channel& TlsNetwork::channel(PartyId peer, Phase phase) {
  const auto& found = impl_->channels[index_of(peer)][static_cast<size_t>(phase)];
  CHECK(found != nullptr, "party {} is no peer", peer);
  return *found;
}

void TlsNetwork::set_step_name(Phase phase, std::string name) { impl_->shared.set_step_name(phase, std::move(name)); }

Digest TlsNetwork::transcript(PartyId peer, Phase phase) const {
  const auto& found = impl_->channels[index_of(peer)][static_cast<size_t>(phase)];
  CHECK(found != nullptr, "party {} is no peer", peer);
  return found->transcript();
}

void TlsNetwork::check() const {
  if (impl_->shared.failed()) throw PeerError(impl_->shared.failure());
}

void TlsNetwork::abort(const std::string& reason) {
  impl_->shared.fail(reason, fmt::format("{} stopped the session: {}", label(self()), reason));
}

TlsStats TlsNetwork::stats() const {
  TlsStats stats;
  for (const auto& connection : impl_->connections) connection->add_to(stats);
  return stats;
}

}  // namespace treville
