// RecordingNetwork keeps a copy of everything one party sends and receives: the party's view, for tests.
#pragma once

#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "net/network.h"

namespace treville::porthos {

struct Recorded {
  bool is_sent = false;
  PartyId peer{};
  Phase phase{};
  MessageTag tag;
  std::vector<std::byte> payload;
};

class RecordingNetwork final : public Network {
 public:
  explicit RecordingNetwork(std::unique_ptr<Network> inner) : inner_(std::move(inner)) {}

  // messages in the order of the calls; read them when the passes are over.
  const std::vector<Recorded>& messages() const { return messages_; }

  PartyId self() const override { return inner_->self(); }
  Channel& channel(PartyId peer, Phase phase) override {
    const std::lock_guard lock(mutex_);
    auto& tap = taps_[{peer, phase}];
    if (!tap) tap = std::make_unique<Tap>(*this, inner_->channel(peer, phase), peer, phase);
    return *tap;
  }
  void set_step_name(Phase phase, std::string name) override { inner_->set_step_name(phase, std::move(name)); }
  Digest transcript(PartyId peer, Phase phase) const override { return inner_->transcript(peer, phase); }
  void check() const override { inner_->check(); }
  void abort(const std::string& reason) override { inner_->abort(reason); }

 private:
  class Tap final : public Channel {
   public:
    Tap(RecordingNetwork& owner, Channel& inner, PartyId peer, Phase phase)
        : owner_(owner), inner_(inner), peer_(peer), phase_(phase) {}
    void send(const MessageTag& tag, Buffer payload) override {
      owner_.keep({true, peer_, phase_, tag, copy_of(payload)});
      inner_.send(tag, std::move(payload));
    }
    Buffer receive(const MessageTag& tag, size_t bytes) override {
      Buffer payload = inner_.receive(tag, bytes);
      owner_.keep({false, peer_, phase_, tag, copy_of(payload)});
      return payload;
    }
    Traffic sent() const override { return inner_.sent(); }
    Traffic received() const override { return inner_.received(); }

   private:
    static std::vector<std::byte> copy_of(const Buffer& payload) {
      return {payload.data(), payload.data() + payload.bytes()};
    }
    RecordingNetwork& owner_;
    Channel& inner_;
    PartyId peer_;
    Phase phase_;
  };

  void keep(Recorded message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  }

  std::unique_ptr<Network> inner_;
  std::mutex mutex_;
  std::map<std::pair<PartyId, Phase>, std::unique_ptr<Tap>> taps_;
  std::vector<Recorded> messages_;
};

}  // namespace treville::porthos
