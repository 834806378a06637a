#include "net/tls_connection.h"

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

namespace treville {
namespace {

using Clock = std::chrono::steady_clock;
using Status = TlsStream::Status;
using std::chrono::milliseconds;

constexpr size_t kMaxAbortText = 1024;
constexpr size_t kCoalesceBelow = 16 * 1024;  // shorter payloads are copied behind their header
constexpr size_t kStageBytes = 64 * 1024;
constexpr int kMovesPerTurn = 64;  // reads, then writes, before the other direction and the timers get their turn
// kRootCauseWait: how long a closed connection waits for the reason to arrive on the online one.
constexpr auto kRootCauseWait = milliseconds(1000);
constexpr auto kAbortTime = milliseconds(1000);  // to tell the others why, before everything closes
constexpr auto kDrainPoll = milliseconds(5);

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

TlsShared::TlsShared(PartyId own, const TlsNetworkOptions& given) : self(own), options(given) {
  for (PartyId peer : kAllParties) heard(peer, Clock::now());
}

void TlsShared::set_step_name(Phase phase, std::string name) {
  std::lock_guard lock(mutex_);
  step_names_[static_cast<size_t>(phase)] = std::move(name);
}

std::string TlsShared::here(Phase phase) const {
  std::lock_guard lock(mutex_);
  return where(self, phase, step_names_[static_cast<size_t>(phase)]);
}

void TlsShared::fail(const std::string& text, const std::string& told) {
  {
    std::lock_guard lock(mutex_);
    if (failed_) return;
    failure_ = text;
    told_ = told;
    failed_.store(true, std::memory_order_release);
  }
  on_failure();
}

std::string TlsShared::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

std::string TlsShared::told() const {
  std::lock_guard lock(mutex_);
  return told_;
}

void TlsShared::heard(PartyId peer, Clock::time_point now) {
  last_heard_[static_cast<size_t>(index_of(peer))].store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

Clock::duration TlsShared::silence(PartyId peer, Clock::time_point now) const {
  const auto last = last_heard_[static_cast<size_t>(index_of(peer))].load(std::memory_order_relaxed);
  return now.time_since_epoch() - Clock::duration(last);
}

// What the I/O thread alone touches stands apart from what the mutex guards.
struct TlsConnection::Impl {
  Impl(TlsShared& common, PartyId other, Phase which, TlsStream connected)
      : shared(common),
        peer(other),
        phase(which),
        stream(std::move(connected)),
        descriptor(io, stream.socket()),
        timer(io),
        drain_timer(io),
        tick(std::clamp<Clock::duration>(std::min(common.options.heartbeat, common.options.liveness) / 4,
                                         milliseconds(5), milliseconds(250))) {
    raw_sent = stream.raw_sent();
    raw_received = stream.raw_received();
    handshake_bytes = raw_sent + raw_received;
    last_sent = last_read = last_tick = Clock::now();
    shared.heard(peer, last_read);
  }

  bool bounded() const { return phase == Phase::kOffline; }
  int64_t bound() const { return shared.options.offline_queue_bytes; }

  // The callers' side.
  void kick();
  [[noreturn]] void throw_failure(Phase channel);
  [[noreturn]] void throw_gone(std::unique_lock<std::mutex>& lock, Phase channel, const char* what);

  // The I/O thread.
  void run();
  void pump();
  void arm();
  bool read_turn();
  bool room();
  void take(size_t bytes);
  void take_header();
  void deliver();
  bool write_turn();
  bool fill_stage();
  void stage_frame(Frame frame);
  void on_tick();
  void watch_peer(Clock::time_point now);
  void start_failing();
  void close_when_drained();
  void peer_left();
  void lost(const std::string& problem);
  void lost_writing();
  void give_up(const std::string& problem);
  void set_gone();

  TlsShared& shared;
  const PartyId peer;
  const Phase phase;
  TlsStream stream;
  asio::io_context io{1};
  asio::posix::stream_descriptor descriptor;  // waits for the socket that `stream` owns
  asio::steady_timer timer, drain_timer;
  const Clock::duration tick;
  std::thread thread;
  std::atomic<bool> kicked{false};

  std::mutex mutex;  // guards from here
  std::condition_variable can_send, can_receive;
  std::deque<Frame> outbox, inbox;
  int64_t outbox_bytes = 0, inbox_bytes = 0;
  bool paused = false;   // reading waits for room in the inbox
  bool closing = false;  // this party wants to end
  bool gone = false;     // the peer left, or the connection is lost: nothing more will come
                         // to here

  std::atomic<int64_t> raw_sent{0}, raw_received{0}, frames_sent{0}, frames_received{0}, heartbeats{0};
  int64_t handshake_bytes = 0;

  // The I/O thread alone.
  HeaderBytes header;
  size_t header_got = 0;
  std::optional<Frame> incoming;
  size_t payload_got = 0;
  std::vector<std::byte> stage;  // headers and short payloads, being written
  size_t stage_at = 0;
  Buffer current;  // a long payload, being written behind the stage
  size_t current_at = 0;
  bool read_waiting = false, write_waiting = false, write_blocked = false;
  bool read_ended = false, write_ended = false, said_goodbye = false, failing = false, done = false;
  std::optional<Clock::time_point> lost_at;
  std::string lost_problem;
  Clock::time_point last_sent, last_read, last_tick, failing_until;
};

// --- the callers' side

void TlsConnection::Impl::kick() {
  if (!kicked.exchange(true)) {
    asio::post(io, [this] {
      kicked = false;
      pump();
    });
  }
}

void TlsConnection::Impl::throw_failure(Phase channel) {
  throw PeerError("{}: {}", shared.here(channel), shared.failure());
}

// throw_gone waits a moment for the reason, which travels on the online connection, before it blames the closing.
void TlsConnection::Impl::throw_gone(std::unique_lock<std::mutex>& lock, Phase channel, const char* what) {
  can_receive.wait_for(lock, kRootCauseWait, [this] { return shared.failed(); });
  lock.unlock();
  const std::string problem = fmt::format("{} left the session while we were {} it", label(peer), what);
  shared.fail(problem, fmt::format("{}: {}", shared.here(channel), problem));
  throw_failure(channel);
}

TlsConnection::TlsConnection(TlsShared& shared, PartyId peer, Phase phase, TlsStream stream)
    : impl_(std::make_unique<Impl>(shared, peer, phase, std::move(stream))) {}

TlsConnection::~TlsConnection() {
  close();
  join();
  impl_->descriptor.release();
}

void TlsConnection::start() {
  impl_->thread = std::thread([this] { impl_->run(); });
}

void TlsConnection::send(Phase phase, Frame frame) {
  Impl& c = *impl_;
  const int64_t bytes = frame.bytes();
  std::unique_lock lock(c.mutex);
  c.can_send.wait(lock, [&] {
    return c.shared.failed() || c.gone || !c.bounded() || c.outbox.empty() || c.outbox_bytes + bytes <= c.bound();
  });
  if (c.shared.failed()) c.throw_failure(phase);
  if (c.gone) c.throw_gone(lock, phase, "sending to");
  c.outbox.push_back(std::move(frame));
  c.outbox_bytes += bytes;
  lock.unlock();
  c.kick();
}

Buffer TlsConnection::receive(Phase phase, const MessageTag& tag, size_t bytes) {
  Impl& c = *impl_;
  std::unique_lock lock(c.mutex);
  c.can_receive.wait(lock, [&] { return c.shared.failed() || !c.inbox.empty() || c.gone; });
  if (c.shared.failed()) c.throw_failure(phase);
  if (c.inbox.empty()) c.throw_gone(lock, phase, "waiting for");
  Frame frame = std::move(c.inbox.front());
  c.inbox.pop_front();
  c.inbox_bytes -= frame.bytes();
  const bool resume = c.paused && c.inbox_bytes <= c.bound() / 2;
  if (resume) c.paused = false;
  lock.unlock();
  if (resume) c.kick();
  const std::string problem = mismatch(frame, c.peer, kind_of(phase), tag, bytes);
  if (!problem.empty()) {
    c.shared.fail(problem, fmt::format("{}: {}", c.shared.here(phase), problem));
    throw PeerError("{}: {}", c.shared.here(phase), problem);
  }
  return std::move(frame.payload);
}

void TlsConnection::wake() {
  { std::lock_guard lock(impl_->mutex); }
  impl_->can_send.notify_all();
  impl_->can_receive.notify_all();
  impl_->kick();
}

void TlsConnection::close() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->closing = true;
    impl_->paused = false;
  }
  impl_->kick();
}

void TlsConnection::join() {
  if (impl_->thread.joinable()) impl_->thread.join();
}

void TlsConnection::add_to(TlsStats& stats) const {
  stats.raw_sent += impl_->raw_sent;
  stats.raw_received += impl_->raw_received;
  stats.handshake_bytes += impl_->handshake_bytes;
  stats.frames_sent += impl_->frames_sent;
  stats.frames_received += impl_->frames_received;
  stats.heartbeats += impl_->heartbeats;
}

// --- the I/O thread

void TlsConnection::Impl::run() {
  try {
    on_tick();
    pump();
    io.run();
  } catch (const std::exception& error) {
    set_gone();
    give_up(error.what());
  }
}

// pump does what can be done without waiting, then waits for the socket, a kick or the timer.
void TlsConnection::Impl::pump() {
  if (done) return;
  if (shared.failed() && !failing) start_failing();
  bool more = read_turn();
  can_receive.notify_one();
  more |= write_turn();
  close_when_drained();
  raw_sent = stream.raw_sent();
  raw_received = stream.raw_received();
  if (done) {
    set_gone();
    descriptor.cancel();
    io.stop();
    return;
  }
  arm();
  if (more) kick();
}

void TlsConnection::Impl::arm() {
  bool reading;
  {
    std::lock_guard lock(mutex);
    reading = !paused && !read_ended;
  }
  if (reading && !read_waiting) {
    read_waiting = true;
    descriptor.async_wait(asio::posix::descriptor_base::wait_read, [this](const asio::error_code&) {
      read_waiting = false;
      pump();
    });
  }
  if (write_blocked && !write_waiting) {
    write_waiting = true;
    descriptor.async_wait(asio::posix::descriptor_base::wait_write, [this](const asio::error_code&) {
      write_waiting = write_blocked = false;
      pump();
    });
  }
}

// room says whether another frame may be read now; if not, receive resumes the reading.
bool TlsConnection::Impl::room() {
  std::lock_guard lock(mutex);
  if (bounded() && !closing && inbox_bytes >= bound() && !inbox.empty()) paused = true;
  return !paused;
}

// read_turn returns whether there may be more to read at once.
bool TlsConnection::Impl::read_turn() {
  for (int i = 0; i < kMovesPerTurn; ++i) {
    if (read_ended) return false;
    const bool between_frames = !incoming && header_got == 0;
    if (between_frames && !room()) return false;
    const std::span<std::byte> target =
        incoming ? incoming->payload.as<std::byte>().subspan(payload_got) : std::span(header).subspan(header_got);
    const TlsStream::Result result = stream.read(target);
    switch (result.status) {
      case Status::kDone:
        last_read = Clock::now();
        shared.heard(peer, last_read);
        take(result.bytes);
        break;
      case Status::kWantRead:
        return false;
      case Status::kWantWrite:
        write_blocked = true;
        return false;
      case Status::kEnd:
        peer_left();
        return false;
      case Status::kLost:
      case Status::kRefused:
        lost(stream.problem());
        return false;
    }
  }
  return true;
}

void TlsConnection::Impl::take(size_t bytes) {
  if (incoming) {
    payload_got += bytes;
  } else {
    header_got += bytes;
    if (header_got < header.size()) return;
    take_header();
  }
  if (incoming && payload_got == incoming->payload.bytes()) deliver();
}

// take_header checks what a peer announces before anything is allocated for it.
void TlsConnection::Impl::take_header() {
  const FrameHeader announced = decode_header(header);
  header_got = 0;
  const bool data = announced.kind == FrameKind::kData || (announced.kind == FrameKind::kSetup && bounded());
  const int64_t limit = data                                      ? shared.options.max_frame_bytes
                        : announced.kind == FrameKind::kAbort     ? static_cast<int64_t>(kMaxAbortText)
                        : announced.kind == FrameKind::kHeartbeat ? 0
                                                                  : -1;
  if (announced.length > limit) {
    read_ended = true;
    give_up(
        fmt::format("{} announced a frame of {} bytes, at most {} are accepted. The parties run different versions.",
                    label(peer), announced.length, limit));
    return;
  }
  incoming = Frame{announced.kind, announced.tag, Buffer::stored(announced.length)};
  payload_got = 0;
}

void TlsConnection::Impl::deliver() {
  Frame frame = std::move(*incoming);
  incoming.reset();
  if (frame.kind == FrameKind::kHeartbeat) return;
  if (frame.kind == FrameKind::kAbort) {
    const std::string text = printable({reinterpret_cast<const char*>(frame.payload.data()), frame.payload.bytes()});
    shared.fail(text, text);
    return;
  }
  frames_received += frame.bytes();
  std::lock_guard lock(mutex);
  if (closing) return;
  inbox_bytes += frame.bytes();
  inbox.push_back(std::move(frame));
}

// write_turn returns whether there is more to write at once.
bool TlsConnection::Impl::write_turn() {
  if (write_ended || write_blocked) return false;
  for (int i = 0; i < kMovesPerTurn; ++i) {
    const bool staged = stage_at < stage.size();
    const std::span<const std::byte> piece =
        staged ? std::span<const std::byte>(stage).subspan(stage_at)
               : std::span<const std::byte>(current.data(), current.bytes()).subspan(current_at);
    if (piece.empty()) {
      if (fill_stage()) continue;
      const TlsStream::Result flushed = stream.flush();
      if (flushed.status == Status::kWantWrite) write_blocked = true;
      if (flushed.status == Status::kLost) lost_writing();
      return false;
    }
    const TlsStream::Result result = stream.write(piece);
    if (result.status == Status::kWantWrite) write_blocked = true;
    if (result.status == Status::kLost || result.status == Status::kRefused) lost_writing();
    if (result.status != Status::kDone) return false;
    (staged ? stage_at : current_at) += result.bytes;
    last_sent = Clock::now();
  }
  return true;
}

// fill_stage takes the next frames from the outbox; false when there are none.
bool TlsConnection::Impl::fill_stage() {
  stage.clear();
  stage_at = 0;
  current = Buffer();
  current_at = 0;
  std::unique_lock lock(mutex);
  while (!outbox.empty() && stage.size() < kStageBytes && current.bytes() == 0) {
    Frame frame = std::move(outbox.front());
    outbox.pop_front();
    outbox_bytes -= frame.bytes();
    const bool resume = outbox_bytes <= bound() / 2;  // a sender that was full gets to send a while
    lock.unlock();
    if (resume) can_send.notify_one();
    stage_frame(std::move(frame));
    lock.lock();
  }
  return !stage.empty();
}

void TlsConnection::Impl::stage_frame(Frame frame) {
  const HeaderBytes bytes = encode_header({frame.kind, frame.tag, static_cast<uint32_t>(frame.payload.bytes())});
  stage.insert(stage.end(), bytes.begin(), bytes.end());
  if (frame.kind == FrameKind::kData || frame.kind == FrameKind::kSetup) frames_sent += frame.bytes();
  const std::byte* data = frame.payload.data();
  if (frame.payload.bytes() < kCoalesceBelow) {
    stage.insert(stage.end(), data, data + frame.payload.bytes());
    return;
  }
  // The beginning of a long payload fills up the last record behind its header; the rest is written where it lies.
  current_at = (kCoalesceBelow - stage.size() % kCoalesceBelow) % kCoalesceBelow;
  stage.insert(stage.end(), data, data + current_at);
  current = std::move(frame.payload);
}

void TlsConnection::Impl::on_tick() {
  const Clock::time_point now = Clock::now();
  const bool idle = stage_at == stage.size() && current_at == current.bytes();
  if (idle && !write_ended && !failing && !said_goodbye && now - last_sent >= shared.options.heartbeat) {
    std::lock_guard lock(mutex);
    if (outbox.empty() && !gone) {
      outbox.push_back(Frame{FrameKind::kHeartbeat, {}, {}});
      outbox_bytes += kFrameHeaderBytes;
      heartbeats += 1;
    }
  }
  watch_peer(now);
  last_tick = now;
  timer.expires_after(tick);
  timer.async_wait([this](const asio::error_code& stopped) {
    if (stopped || done) return;
    on_tick();
    pump();
  });
}

// watch_peer is where silence becomes a failure. A tick that comes late means that this process itself was stopped:
// then the peer gets its time anew.
void TlsConnection::Impl::watch_peer(Clock::time_point now) {
  const TlsNetworkOptions& options = shared.options;
  if (now - last_tick > tick + options.liveness / 4) {
    last_read = now;
    shared.heard(peer, now);
  }
  bool waiting_for_room, closed;
  {
    std::lock_guard lock(mutex);
    waiting_for_room = paused;
    closed = closing;
  }
  if (waiting_for_room) last_read = now;
  if (lost_at && now - *lost_at >= kRootCauseWait) give_up(lost_problem);
  if (read_ended || failing) return;
  std::string problem;
  if (phase == Phase::kOnline && shared.silence(peer, now) >= options.liveness) {
    problem = fmt::format("{} gave no sign of life for {:.1f} s: it is stopped, dead or cut off", label(peer),
                          seconds(shared.silence(peer, now)));
  } else if (now - last_read >= options.deadline) {
    problem = fmt::format("nothing came from {} on the {} connection for {:.1f} s", label(peer), name_of(phase),
                          seconds(now - last_read));
  }
  if (problem.empty()) return;
  if (closed) done = true;
  give_up(problem);
}

// start_failing tells the peer why (online), or just closes: nothing that is queued matters any more.
void TlsConnection::Impl::start_failing() {
  failing = true;
  failing_until = Clock::now() + kAbortTime;
  if (phase == Phase::kOffline || read_ended || write_ended) {
    done = true;
    return;
  }
  std::string text = shared.told();
  text.resize(std::min(text.size(), kMaxAbortText));
  Frame frame{FrameKind::kAbort, {}, Buffer::stored(text.size())};
  std::memcpy(frame.payload.data(), text.data(), text.size());
  std::lock_guard lock(mutex);
  outbox.clear();
  outbox_bytes = frame.bytes();
  outbox.push_back(std::move(frame));
}

// close_when_drained ends the connection once everything was sent and the peer's kernel has it.
void TlsConnection::Impl::close_when_drained() {
  bool sent_all;
  {
    std::lock_guard lock(mutex);
    if (!closing && !failing) return;
    sent_all = outbox.empty() && stage_at == stage.size() && current_at == current.bytes();
  }
  if ((failing && Clock::now() >= failing_until) || write_ended || lost_at) done = true;
  if (done || write_blocked || !sent_all) return;
  if (!said_goodbye) {
    const TlsStream::Result result = stream.say_goodbye();
    if (result.status == Status::kWantWrite) {
      write_blocked = true;
      return;
    }
    said_goodbye = true;
    if (result.status != Status::kDone) done = true;
  }
  if (read_ended || stream.unsent() == 0) done = true;
  if (done) return;
  drain_timer.expires_after(kDrainPoll);
  drain_timer.async_wait([this](const asio::error_code& stopped) {
    if (!stopped) pump();
  });
}

void TlsConnection::Impl::set_gone() {
  {
    std::lock_guard lock(mutex);
    gone = true;
    outbox.clear();
    outbox_bytes = 0;
  }
  can_send.notify_all();
  can_receive.notify_all();
}

void TlsConnection::Impl::peer_left() {
  read_ended = write_ended = true;
  incoming.reset();
  set_gone();
}

void TlsConnection::Impl::lost(const std::string& problem) {
  read_ended = write_ended = true;
  incoming.reset();
  if (said_goodbye || lost_at) return;
  lost_problem = fmt::format("the {} connection to {} was lost ({})", name_of(phase), label(peer), problem);
  lost_at = Clock::now();
  set_gone();
  // A party that fails closes its offline connection while its reason travels on the online one.
  if (phase == Phase::kOnline) give_up(lost_problem);
}

// lost_writing leaves the verdict on the online connection to the reading side: the peer's reason may be waiting there.
void TlsConnection::Impl::lost_writing() {
  write_ended = true;
  if (phase == Phase::kOffline) lost(stream.problem());
}

void TlsConnection::Impl::give_up(const std::string& problem) {
  shared.fail(problem, fmt::format("{}: {}", shared.here(phase), problem));
}

}  // namespace treville
