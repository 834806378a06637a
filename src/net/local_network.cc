#include "net/local_network.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "net/frame.h"

namespace treville {
namespace {

using Clock = std::chrono::steady_clock;

// Pipe is one direction of one connection of one pair.
struct Pipe {
  std::deque<Frame> frames;
  int64_t bytes = 0;
};

// Hub is what the three ends share. One mutex guards all: messages are blocks, so it is taken rarely and briefly.
struct Hub {
  explicit Hub(const LocalNetworkOptions& given) : options(given) {}

  Pipe& pipe(PartyId from, PartyId to, Phase phase) {
    const size_t connection = connection_of(phase) == Phase::kOnline ? 1 : 0;
    return pipes[static_cast<size_t>(index_of(from))][static_cast<size_t>(index_of(to))][connection];
  }
  void moved() {
    last_moved = Clock::now();
    changed.notify_all();
  }

  const LocalNetworkOptions options;
  std::mutex mutex;
  std::condition_variable changed;
  Pipe pipes[3][3][2];
  bool left[3] = {};
  std::string failure;  // the first abort: "party 0 (dealer) stopped: reason"
  Clock::time_point last_moved = Clock::now();
};

class LocalNetwork;

class LocalChannel final : public Channel {
 public:
  LocalChannel(LocalNetwork& network, PartyId peer, Phase phase, bool keep_transcript)
      : network_(network), peer_(peer), phase_(phase), transcript_(keep_transcript) {}
  void send(const MessageTag& tag, Buffer payload) override;
  Buffer receive(const MessageTag& tag, size_t bytes) override;
  Traffic sent() const override { return sent_.read(); }
  Traffic received() const override { return received_.read(); }
  Digest transcript() const { return transcript_.digest(); }

 private:
  template <class Ready>
  void wait(std::unique_lock<std::mutex>& lock, const char* what, Ready ready);
  [[noreturn]] void fail(const std::string& reason);

  LocalNetwork& network_;
  const PartyId peer_;
  const Phase phase_;
  TrafficCounter sent_, received_;
  Transcript transcript_;
};

class LocalNetwork final : public Network {
 public:
  LocalNetwork(std::shared_ptr<Hub> shared, PartyId self) : hub(std::move(shared)), self_(self) {
    for (PartyId peer : kAllParties) {
      for (Phase phase : {Phase::kOffline, Phase::kOnline, Phase::kSetup}) {
        slot(peer, phase) = std::make_unique<LocalChannel>(*this, peer, phase, hub->options.keep_transcript);
      }
    }
  }
  ~LocalNetwork() override {
    std::lock_guard lock(hub->mutex);
    hub->left[index_of(self_)] = true;
    hub->changed.notify_all();
  }

  PartyId self() const override { return self_; }
  Channel& channel(PartyId peer, Phase phase) override {
    CHECK(peer != self_, "party {} has no channel to itself", self_);
    return *slot(peer, phase);
  }
  void set_step_name(Phase phase, std::string name) override {
    std::lock_guard lock(hub->mutex);
    step_names[static_cast<size_t>(phase)] = std::move(name);
  }
  Digest transcript(PartyId peer, Phase phase) const override { return slot(peer, phase)->transcript(); }
  void check() const override {
    std::lock_guard lock(hub->mutex);
    if (!hub->failure.empty()) throw PeerError(hub->failure);
  }
  void abort(const std::string& reason) override {
    std::lock_guard lock(hub->mutex);
    if (hub->failure.empty()) hub->failure = fmt::format("{} stopped the session: {}", label(self_), reason);
    hub->changed.notify_all();
  }

  const std::shared_ptr<Hub> hub;
  std::array<std::string, 3> step_names;  // by phase, under the hub's mutex

 private:
  std::unique_ptr<LocalChannel>& slot(PartyId peer, Phase phase) {
    return channels_[static_cast<size_t>(index_of(peer))][static_cast<size_t>(phase)];
  }
  const std::unique_ptr<LocalChannel>& slot(PartyId peer, Phase phase) const {
    return channels_[static_cast<size_t>(index_of(peer))][static_cast<size_t>(phase)];
  }

  const PartyId self_;
  std::unique_ptr<LocalChannel> channels_[3][3];
};

// fail throws with the place; the hub's mutex is held.
void LocalChannel::fail(const std::string& reason) {
  const std::string& step = network_.step_names[static_cast<size_t>(phase_)];
  throw PeerError("{}: {}", where(network_.self(), phase_, step), reason);
}

// wait blocks until ready() or throws: when the session was aborted, the peer left, or nothing moves any more.
template <class Ready>
void LocalChannel::wait(std::unique_lock<std::mutex>& lock, const char* what, Ready ready) {
  Hub& hub = *network_.hub;
  while (true) {
    if (!hub.failure.empty()) fail(hub.failure);
    if (ready()) return;
    if (hub.left[index_of(peer_)]) fail(fmt::format("{} left the session while we were {} it", label(peer_), what));
    const Clock::time_point end = hub.last_moved + hub.options.deadline;
    if (Clock::now() >= end) {
      fail(fmt::format("{} gave no sign of life for {} ms while we were {} it", label(peer_),
                       hub.options.deadline.count(), what));
    }
    hub.changed.wait_until(lock, end);
  }
}

void LocalChannel::send(const MessageTag& tag, Buffer payload) {
  check_sendable(payload);
  payload.count_in(nullptr);
  Frame frame{kind_of(phase_), tag, std::move(payload)};
  const int64_t bytes = frame.bytes();
  transcript_.add(frame);
  Hub& hub = *network_.hub;
  std::unique_lock lock(hub.mutex);
  Pipe& pipe = hub.pipe(network_.self(), peer_, phase_);
  wait(lock, "sending to", [&] {
    if (hub.left[index_of(peer_)]) return false;
    return phase_ == Phase::kOnline || pipe.frames.empty() || pipe.bytes + bytes <= hub.options.offline_queue_bytes;
  });
  pipe.frames.push_back(std::move(frame));
  pipe.bytes += bytes;
  sent_.count(bytes);
  hub.moved();
}

Buffer LocalChannel::receive(const MessageTag& tag, size_t bytes) {
  Hub& hub = *network_.hub;
  std::unique_lock lock(hub.mutex);
  Pipe& pipe = hub.pipe(peer_, network_.self(), phase_);
  wait(lock, "waiting for", [&] { return !pipe.frames.empty(); });
  Frame& frame = pipe.frames.front();
  const std::string problem = mismatch(frame, peer_, kind_of(phase_), tag, bytes);
  if (!problem.empty()) {
    if (hub.failure.empty()) hub.failure = fmt::format("{} stopped the session: {}", label(network_.self()), problem);
    hub.changed.notify_all();
    fail(problem);
  }
  Buffer payload = std::move(frame.payload);
  const int64_t size = kFrameHeaderBytes + static_cast<int64_t>(payload.bytes());
  pipe.frames.pop_front();
  pipe.bytes -= size;
  received_.count(size);
  hub.moved();
  payload.count_in(MeterScope::current());
  return payload;
}

}  // namespace

std::array<std::unique_ptr<Network>, 3> make_local_networks(const LocalNetworkOptions& options) {
  auto hub = std::make_shared<Hub>(options);
  std::array<std::unique_ptr<Network>, 3> ends;
  for (PartyId party : kAllParties) {
    ends[static_cast<size_t>(index_of(party))] = std::make_unique<LocalNetwork>(hub, party);
  }
  return ends;
}

}  // namespace treville
