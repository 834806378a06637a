#include "party/rendezvous.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "net/frame.h"

namespace treville {
namespace {

using asio::awaitable;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using Status = TlsStream::Status;
using std::chrono::milliseconds;

constexpr auto kFirstRetry = milliseconds(50), kLastRetry = milliseconds(1000);
constexpr auto kTellTime = milliseconds(500);  // to tell one party why this one stops
constexpr auto kLinger = milliseconds(2000);   // to tell parties that are just starting
constexpr auto kProgressEvery = milliseconds(1000), kProgressLater = milliseconds(10000);

// Broken is a connection that failed below our own messages; a caller may try again unless it was refused.
struct Broken {
  bool refused = false;
  std::string problem;
};

// Wire is a TlsStream whose waiting is a coroutine's.
class Wire {
 public:
  Wire(asio::io_context& io, TlsStream connected) : stream(std::move(connected)), descriptor_(io, stream.socket()) {}
  ~Wire() { release(); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  awaitable<void> handshake() {
    co_await complete([this] { return stream.handshake(); });
  }
  awaitable<void> read(std::span<std::byte> out) {
    while (!out.empty()) {
      const size_t bytes = co_await complete([&] { return stream.read(out); });
      out = out.subspan(bytes);
    }
  }
  awaitable<void> write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const size_t written = co_await complete([&] { return stream.write(bytes); });
      bytes = bytes.subspan(written);
    }
    co_await complete([this] { return stream.flush(); });
  }
  void cancel() {
    cancelled_ = true;
    if (descriptor_.is_open()) descriptor_.cancel();
  }
  TlsStream release() {
    if (descriptor_.is_open()) descriptor_.release();
    return std::move(stream);
  }

  TlsStream stream;

 private:
  // complete repeats a step until it is done; throws Broken.
  template <class Step>
  awaitable<size_t> complete(Step step) {
    while (true) {
      if (cancelled_) throw Broken{false, "it took too long"};
      const TlsStream::Result result = step();
      if (result.status == Status::kDone) co_return result.bytes;
      if (result.status == Status::kEnd) throw Broken{false, "the connection was closed"};
      if (result.status == Status::kLost) throw Broken{false, stream.problem()};
      if (result.status == Status::kRefused) throw Broken{true, stream.problem()};
      asio::error_code ignored;
      const auto event = result.status == Status::kWantRead ? asio::posix::descriptor_base::wait_read
                                                            : asio::posix::descriptor_base::wait_write;
      co_await descriptor_.async_wait(event, asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  asio::posix::stream_descriptor descriptor_;
  bool cancelled_ = false;
};

// Watchdog cancels a connection that takes too long.
class Watchdog {
 public:
  Watchdog(asio::io_context& io, milliseconds time, const std::shared_ptr<Wire>& wire) : timer_(io, time) {
    timer_.async_wait([wire](const asio::error_code& stopped) {
      if (!stopped) wire->cancel();
    });
  }

 private:
  asio::steady_timer timer_;
};

struct Link {
  std::shared_ptr<Wire> wire;
  int64_t process_id = 0;
};

class Meeting {
 public:
  Meeting(const Federation& federation, PartyId self, const Digest& program, const Digest& config,
          const RendezvousOptions& options);
  Joined run();

 private:
  using Strays = std::list<std::shared_ptr<Wire>>;

  bool calls(PartyId peer) const { return self_ < peer; }
  Link& link(PartyId peer, Phase phase) { return links_[index_of(peer)][phase == Phase::kOnline ? 1 : 0]; }
  const Member& member(PartyId party) const { return federation_.member(party); }
  bool connected(PartyId peer) { return link(peer, Phase::kOffline).wire && link(peer, Phase::kOnline).wire; }
  Hello our_hello(Phase phase) const;

  void spawn(awaitable<void> task);
  awaitable<void> accept_all();
  awaitable<void> admit(Strays::iterator stray);
  awaitable<void> call(PartyId peer, Phase phase);
  awaitable<void> call_once(PartyId peer, Phase phase);
  awaitable<void> watch(PartyId peer);
  awaitable<void> say_ready();
  awaitable<void> tell(PartyId peer, std::shared_ptr<Wire> wire);
  awaitable<void> linger();
  awaitable<void> keep_time();
  void enter(PartyId peer, Phase phase, std::shared_ptr<Wire> wire, const Hello& theirs);
  void proceed();
  void fail(const std::string& text, const std::string& told, std::optional<PartyId> knows = {});
  void stop_when_all_know();
  void fail_ours(const std::string& problem, std::optional<PartyId> knows = {}) {
    fail(problem, fmt::format("{}: {}", label(self_), problem), knows);
  }
  std::string waiting_for();
  std::string missing();
  Joined result();

  const Federation& federation_;
  const PartyId self_;
  const Digest program_, config_;
  const RendezvousOptions options_;
  const TlsContext context_;
  std::vector<Digest> callers_;  // certificates that may call us
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  Strays strays_;
  Link links_[3][2];
  std::optional<SessionId> ready_[3];  // what each party said
  std::string last_problem_[3];        // why calling a party failed
  std::string turned_away_;            // the last caller that was
  bool saying_ready_ = false, said_ready_ = false;
  std::optional<std::string> failure_;
  std::string told_;    // what the others are told about it
  bool knows_[3] = {};  // who was told, or told us
  std::exception_ptr bug_;
};

std::string own_file(const std::string& file, const char* what, const Member& member) {
  if (file.empty()) {
    throw UserError("party {} ('{}') has no '{}' in the federation file, which this party needs to be it", member.id,
                    member.name, what);
  }
  return file;
}

Meeting::Meeting(const Federation& federation, PartyId self, const Digest& program, const Digest& config,
                 const RendezvousOptions& options)
    : federation_(federation),
      self_(self),
      program_(program),
      config_(config),
      options_(options),
      context_(own_file(member(self).certificate, "certificate", member(self)),
               own_file(member(self).key, "key", member(self))) {
  for (PartyId peer : kAllParties) {
    if (peer < self) callers_.push_back(member(peer).fingerprint);
  }
  int listening = options.listening_socket;
  if (callers_.empty()) {
    if (listening >= 0) ::close(listening);
    return;
  }
  if (listening < 0) listening = listen_at(member(self).listen).socket;
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &length);
  acceptor_.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), listening);
}

Hello Meeting::our_hello(Phase phase) const {
  return {kWireVersion, self_, phase, static_cast<int64_t>(::getpid()), program_, config_};
}

// spawn runs a task; what it does not catch itself is our own bug or ends the meeting.
void Meeting::spawn(awaitable<void> task) {
  asio::co_spawn(io_, std::move(task), [this](std::exception_ptr error) {
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const PeerError& problem) {
      fail_ours(problem.what());
    } catch (...) {
      bug_ = error;
      io_.stop();
    }
  });
}

awaitable<void> Meeting::accept_all() {
  while (true) {
    asio::error_code error;
    tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;
    if (error) {  // out of descriptors, or a connection that went at once
      asio::steady_timer pause(io_, kFirstRetry);
      co_await pause.async_wait(asio::use_awaitable);
      continue;
    }
    set_socket_buffers(socket.native_handle(), options_.socket_buffer_bytes);
    TlsStream stream(context_, socket.release(), TlsStream::Side::kServer, callers_);
    if (strays_.size() >= options_.max_strays) strays_.front()->cancel();
    strays_.push_back(std::make_shared<Wire>(io_, std::move(stream)));
    spawn(admit(std::prev(strays_.end())));
  }
}

// admit finds out who called. Strangers are dropped without a word.
awaitable<void> Meeting::admit(Strays::iterator stray) {
  const std::shared_ptr<Wire> wire = *stray;
  const std::string address = wire->stream.peer_address();
  try {
    const Watchdog watchdog(io_, options_.stray_timeout, wire);
    co_await wire->handshake();
    HelloBytes bytes;
    co_await wire->read(bytes);
    const Hello theirs = decode(bytes);
    const HelloBytes ours = encode(our_hello(theirs.phase));
    co_await wire->write(ours);
    const Digest shown = wire->stream.peer_fingerprint();
    for (PartyId peer : kAllParties) {
      if (peer < self_ && member(peer).fingerprint == shown) enter(peer, theirs.phase, wire, theirs);
    }
  } catch (const Broken& broken) {
    if (broken.refused || turned_away_.empty()) turned_away_ = fmt::format("{} ({})", address, broken.problem);
  } catch (const PeerError& error) {  // authenticated, but not speaking our language: not worth the session
    turned_away_ = fmt::format("{} ({})", address, error.what());
  }
  strays_.erase(stray);
}

awaitable<void> Meeting::call(PartyId peer, Phase phase) {
  milliseconds pause = kFirstRetry;
  while (true) {
    try {
      co_await call_once(peer, phase);
      co_return;
    } catch (const Broken& broken) {
      if (broken.refused) {
        throw PeerError(
            "{} at {} and we do not accept each other's certificates ({}). Check that both federation files list the "
            "current certificates of both",
            label(peer), to_string(member(peer).address), broken.problem);
      }
      last_problem_[index_of(peer)] = broken.problem;
    }
    asio::steady_timer timer(io_, pause);
    co_await timer.async_wait(asio::use_awaitable);
    pause = std::min<milliseconds>(pause * 2, kLastRetry);
  }
}

awaitable<void> Meeting::call_once(PartyId peer, Phase phase) {
  const Address& address = member(peer).address;
  asio::error_code error;
  tcp::resolver resolver(io_);
  const auto endpoints = co_await resolver.async_resolve(address.host, std::to_string(address.port),
                                                         asio::redirect_error(asio::use_awaitable, error));
  if (error) throw Broken{false, error.message()};
  const auto socket = std::make_shared<tcp::socket>(io_);
  asio::steady_timer limit(io_, options_.stray_timeout);
  limit.async_wait([socket](const asio::error_code& stopped) {
    if (!stopped) socket->close();
  });
  error = asio::error::host_not_found;
  for (const auto& found : endpoints) {
    const tcp::endpoint endpoint = found.endpoint();
    asio::error_code ignored;
    socket->close(ignored);
    socket->open(endpoint.protocol(), ignored);
    set_socket_buffers(socket->native_handle(), options_.socket_buffer_bytes);
    co_await socket->async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (!error) break;
  }
  limit.cancel();
  if (error || !socket->is_open()) throw Broken{false, error.message()};
  const auto wire = std::make_shared<Wire>(
      io_, TlsStream(context_, socket->release(), TlsStream::Side::kClient, {member(peer).fingerprint}));
  const Watchdog watchdog(io_, options_.stray_timeout, wire);
  co_await wire->handshake();
  const HelloBytes ours = encode(our_hello(phase));
  co_await wire->write(ours);
  HelloBytes bytes;
  co_await wire->read(bytes);
  enter(peer, phase, wire, decode(bytes));
}

// enter takes a connection whose certificate is the peer's into the session, if both sides run the same.
void Meeting::enter(PartyId peer, Phase phase, std::shared_ptr<Wire> wire, const Hello& theirs) {
  if (failure_) {
    if (phase == Phase::kOnline) spawn(tell(peer, std::move(wire)));
    return;
  }
  const std::string difference = disagreement(our_hello(phase), theirs);
  if (!difference.empty()) {
    const std::string text = fmt::format("{} and {} disagree. {}", label(self_), label(peer), difference);
    return fail(text, text, peer);
  }
  if (theirs.party != peer || theirs.phase != phase) {
    return fail_ours(
        fmt::format("the certificate of {} is shown by who says to be {}. The federation files number the "
                    "parties differently",
                    label(peer), label(theirs.party)));
  }
  Link& place = link(peer, phase);
  if (place.wire) return;  // a second process of the same party: the first one stays
  place = {std::move(wire), theirs.process_id};
  if (phase == Phase::kOnline) spawn(watch(peer));
  proceed();
}

// watch reads what a peer says once it is connected: that it is ready, or why it stops.
awaitable<void> Meeting::watch(PartyId peer) {
  const std::shared_ptr<Wire> wire = link(peer, Phase::kOnline).wire;
  try {
    std::array<std::byte, kVerdictHeadBytes> head;
    co_await wire->read(head);
    std::vector<std::byte> body(verdict_length(head));
    co_await wire->read(body);
    const Verdict verdict = decode(head, body);
    if (verdict.kind == Verdict::Kind::kStop) {
      fail(verdict.reason, verdict.reason, peer);
      co_return;
    }
    ready_[index_of(peer)] = verdict.session;
    proceed();
  } catch (const Broken& broken) {
    fail_ours(fmt::format("{} left while the session was being opened ({})", label(peer), broken.problem), peer);
  }
}

awaitable<void> Meeting::say_ready() {
  const std::vector<std::byte> bytes = encode(Verdict{Verdict::Kind::kReady, *ready_[0], {}});
  for (PartyId peer : kAllParties) {
    if (peer == self_) continue;
    try {
      co_await link(peer, Phase::kOnline).wire->write(bytes);
    } catch (const Broken&) {
      co_return;  // watch finds out why
    }
  }
  said_ready_ = true;
  proceed();
}

// proceed says ready once everything stands (party 0 first, it names the session), and ends when all have said so.
void Meeting::proceed() {
  bool all_connected = true, all_ready = said_ready_;
  for (PartyId peer : kAllParties) {
    if (peer == self_) continue;
    all_connected &= connected(peer);
    all_ready &= ready_[index_of(peer)].has_value();
  }
  if (failure_ || !all_connected) return;
  if (!saying_ready_ && (self_ == PartyId::kDealer || ready_[0])) {
    saying_ready_ = true;
    if (self_ == PartyId::kDealer) random_bytes(ready_[0].emplace());
    spawn(say_ready());
  }
  if (!all_ready) return;
  for (PartyId peer : kAllParties) {
    if (peer != self_ && ready_[index_of(peer)] != ready_[0]) {
      return fail_ours(fmt::format("{} is in another session than party 0. Start all parties again", label(peer)));
    }
  }
  io_.stop();
}

// fail ends the meeting, after a moment in which the others are told, also one that is only just starting.
void Meeting::fail(const std::string& text, const std::string& told, std::optional<PartyId> knows) {
  if (knows) knows_[index_of(*knows)] = true;
  if (failure_) return stop_when_all_know();
  failure_ = text;
  told_ = told;
  for (PartyId peer : kAllParties) {
    const std::shared_ptr<Wire>& wire = link(peer, Phase::kOnline).wire;
    if (wire && !knows_[index_of(peer)]) spawn(tell(peer, wire));
  }
  spawn(linger());
  stop_when_all_know();
}

void Meeting::stop_when_all_know() {
  const bool all = std::ranges::all_of(kAllParties, [&](PartyId p) { return p == self_ || knows_[index_of(p)]; });
  if (all) io_.stop();
}

awaitable<void> Meeting::tell(PartyId peer, std::shared_ptr<Wire> wire) {
  const std::vector<std::byte> bytes = encode(Verdict{Verdict::Kind::kStop, {}, told_});
  try {
    const Watchdog watchdog(io_, kTellTime, wire);
    co_await wire->write(bytes);
  } catch (const Broken&) {  // it is gone: nobody to tell
  }
  knows_[index_of(peer)] = true;
  stop_when_all_know();
}

awaitable<void> Meeting::linger() {
  asio::steady_timer timer(io_, kLinger);
  co_await timer.async_wait(asio::use_awaitable);
  io_.stop();
}

awaitable<void> Meeting::keep_time() {
  const Clock::time_point end = Clock::now() + federation_.start_deadline;
  Clock::time_point next_repeat = Clock::now();
  std::string shown;
  while (Clock::now() < end) {
    asio::steady_timer timer(io_, std::min<Clock::duration>(kProgressEvery, end - Clock::now()));
    co_await timer.async_wait(asio::use_awaitable);
    const std::string now_waiting = waiting_for();
    if (options_.progress && (now_waiting != shown || Clock::now() >= next_repeat)) {
      options_.progress(now_waiting);
      shown = now_waiting;
      next_repeat = Clock::now() + kProgressLater;
    }
  }
  const std::string problem = missing();
  for (PartyId peer : kAllParties) knows_[index_of(peer)] |= !connected(peer);  // nobody there to tell
  fail_ours(problem);
}

std::string Meeting::waiting_for() {
  std::string absent, unready;
  for (PartyId peer : kAllParties) {
    if (peer == self_) continue;
    const auto add = [](std::string& text, const std::string& what) {
      text += (text.empty() ? "waiting for " : ", and for ") + what;
    };
    if (connected(peer)) {
      if (!ready_[index_of(peer)]) add(unready, label(peer) + " to be ready");
    } else if (calls(peer)) {
      add(absent, label(peer) + " at " + to_string(member(peer).address));
    } else {
      add(absent, label(peer) + " to call us at " + to_string(member(self_).listen));
    }
  }
  return absent.empty() ? unready : absent;
}

std::string Meeting::missing() {
  const double seconds = std::chrono::duration<double>(federation_.start_deadline).count();
  std::string text, unready;
  for (PartyId peer : kAllParties) {
    if (peer == self_) continue;
    std::string& last = last_problem_[index_of(peer)];
    if (connected(peer)) {
      if (!ready_[index_of(peer)]) unready += fmt::format("{} is connected, but not ready. ", label(peer));
    } else if (calls(peer)) {
      text += fmt::format("{} did not answer at {} within {:g} s{}. ", label(peer), to_string(member(peer).address),
                          seconds, last.empty() ? "" : " (" + last + ")");
    } else {
      text += fmt::format("{} did not call us at {} within {:g} s. ", label(peer), to_string(member(self_).listen),
                          seconds);
    }
  }
  if (!turned_away_.empty()) text += fmt::format("Turned away: {}. ", turned_away_);
  return text + (text.empty() ? unready : "") +
         "Start all three parties and check the addresses in the federation file";
}

Joined Meeting::result() {
  Joined joined;
  joined.session = *ready_[0];
  for (PartyId peer : kAllParties) {
    if (peer == self_) continue;
    Link &offline = link(peer, Phase::kOffline), &online = link(peer, Phase::kOnline);
    const TlsStream& stream = online.wire->stream;
    joined.infos.push_back(
        {peer, stream.peer_name(), stream.peer_address(), stream.version(), stream.cipher(), online.process_id});
    joined.peers.push_back({peer, offline.wire->release(), online.wire->release()});
  }
  return joined;
}

Joined Meeting::run() {
  if (acceptor_.is_open()) spawn(accept_all());
  for (PartyId peer : kAllParties) {
    if (!calls(peer)) continue;
    spawn(call(peer, Phase::kOffline));
    spawn(call(peer, Phase::kOnline));
  }
  spawn(keep_time());
  io_.run();
  if (bug_) std::rethrow_exception(bug_);
  if (failure_) throw PeerError("the session could not be opened: {}", *failure_);
  return result();
}

}  // namespace

Joined rendezvous(const Federation& federation, PartyId self, const Digest& program, const Digest& config,
                  const RendezvousOptions& options) {
  return Meeting(federation, self, program, config, options).run();
}

Listener listen_at(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int looked_up = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (looked_up != 0) throw UserError("{}: {}", to_string(address), ::gai_strerror(looked_up));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  const int listening = ::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (listening < 0 || ::bind(listening, list->ai_addr, list->ai_addrlen) != 0 || ::listen(listening, SOMAXCONN) != 0) {
    const std::string problem = std::strerror(errno);
    if (listening >= 0) ::close(listening);
    throw UserError(
        "cannot listen at {}: {}. Set 'listen' in the federation file to an address of this machine that is free",
        to_string(address), problem);
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&bound), &length);
  const in_port_t network_order = bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                                              : reinterpret_cast<const sockaddr_in&>(bound).sin_port;
  return {listening, ntohs(network_order)};
}

}  // namespace treville
