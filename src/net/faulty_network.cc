#include "net/faulty_network.h"

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

namespace treville {
namespace {

class FaultyNetwork;

class FaultyChannel final : public Channel {
 public:
  FaultyChannel(FaultyNetwork& network, Channel& inner) : network_(network), inner_(inner) {}
  void send(const MessageTag& tag, Buffer payload) override;
  Buffer receive(const MessageTag& tag, size_t bytes) override { return inner_.receive(tag, bytes); }
  Traffic sent() const override { return inner_.sent(); }
  Traffic received() const override { return inner_.received(); }

 private:
  FaultyNetwork& network_;
  Channel& inner_;
  int64_t messages_ = 0;
};

class FaultyNetwork final : public Network {
 public:
  FaultyNetwork(std::unique_ptr<Network> inner, const Fault& given)
      : fault(given), inner_(std::move(inner)), channel_(*this, inner_->channel(given.peer, given.phase)) {}

  PartyId self() const override { return inner_->self(); }
  bool is_dry() const override { return inner_->is_dry(); }
  Channel& channel(PartyId peer, Phase phase) override {
    if (peer == fault.peer && phase == fault.phase) return channel_;
    return inner_->channel(peer, phase);
  }
  void set_step_name(Phase phase, std::string name) override { inner_->set_step_name(phase, std::move(name)); }
  Digest transcript(PartyId peer, Phase phase) const override { return inner_->transcript(peer, phase); }
  void check() const override { inner_->check(); }
  void abort(const std::string& reason) override {
    {
      std::lock_guard lock(mutex_);
      aborted_ = true;
    }
    changed_.notify_all();
    inner_->abort(reason);
  }

  // pause returns after the fault's time, or at once when the party aborts.
  void pause() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, fault.time, [this] { return aborted_; });
  }

  const Fault fault;

 private:
  std::unique_ptr<Network> inner_;
  FaultyChannel channel_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool aborted_ = false;
};

Buffer truncated(const Buffer& payload) {
  Buffer shorter = Buffer::stored(payload.bytes() == 0 ? 1 : payload.bytes() - 1);
  std::memset(shorter.data(), 0, shorter.bytes());
  if (payload.bytes() > 1) std::memcpy(shorter.data(), payload.data(), shorter.bytes());
  return shorter;
}

void FaultyChannel::send(const MessageTag& tag, Buffer payload) {
  const Fault& fault = network_.fault;
  if (messages_++ != fault.message) return inner_.send(tag, std::move(payload));
  switch (fault.kind) {
    case Fault::Kind::kDrop:
      return;
    case Fault::Kind::kDelay:
      network_.pause();
      return inner_.send(tag, std::move(payload));
    case Fault::Kind::kTruncate:
      return inner_.send(tag, truncated(payload));
    case Fault::Kind::kCorruptTag: {
      MessageTag other = tag;
      other.step += 1;
      return inner_.send(other, std::move(payload));
    }
    case Fault::Kind::kClose:
      network_.abort("injected fault: closed");
      throw PeerError("injected fault: closed");
    case Fault::Kind::kStall:
      network_.pause();
      throw PeerError("injected fault: stalled");
  }
}

}  // namespace

std::unique_ptr<Network> make_faulty_network(std::unique_ptr<Network> inner, const Fault& fault) {
  return std::make_unique<FaultyNetwork>(std::move(inner), fault);
}

}  // namespace treville
