// TlsConnection moves frames over one TlsStream in a thread of its own: what is queued goes out, what comes in is
// queued, and when both are idle a heartbeat keeps the peer informed. Used by TlsNetwork only.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "net/frame.h"
#include "net/tls_network.h"

namespace treville {

// TlsShared is what the connections of one network have in common: the step names, the first failure, and when each
// peer was last heard of.
class TlsShared {
 public:
  TlsShared(PartyId self, const TlsNetworkOptions& options);
  const PartyId self;
  const TlsNetworkOptions options;

  void set_step_name(Phase phase, std::string name);
  std::string here(Phase phase) const;

  // fail records the first failure and wakes everybody (through on_failure); later ones are ignored. `told` is the
  // sentence for the other parties, who read it without our context.
  void fail(const std::string& text, const std::string& told);
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  std::string failure() const;
  std::string told() const;
  std::function<void()> on_failure;

  void heard(PartyId peer, std::chrono::steady_clock::time_point now);
  std::chrono::steady_clock::duration silence(PartyId peer, std::chrono::steady_clock::time_point now) const;

 private:
  mutable std::mutex mutex_;
  std::array<std::string, 3> step_names_;
  std::string failure_, told_;
  std::atomic<bool> failed_{false};
  std::array<std::atomic<std::chrono::steady_clock::rep>, 3> last_heard_{};
};

class TlsConnection {
 public:
  // phase is kOffline (bounded queues) or kOnline (unbounded).
  TlsConnection(TlsShared& shared, PartyId peer, Phase phase, TlsStream stream);
  ~TlsConnection();
  void start();

  // send queues a frame; offline it blocks while the queue is full. `phase` is for messages.
  void send(Phase phase, Frame frame);
  // receive takes the next frame, checks it against what is expected and throws PeerError when it differs.
  Buffer receive(Phase phase, const MessageTag& tag, size_t bytes);
  // wake makes blocked calls and the I/O thread look at the failure.
  void wake();
  // close sends what is queued, says goodbye and ends the I/O thread; returns at once.
  void close();
  // join waits for the I/O thread, after close.
  void join();
  void add_to(TlsStats& stats) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treville
