// Frame is one message on its way: what all transports share. The header on the wire is 16 bytes, little-endian:
// length (4), inference (4), step (4), part (2), block (2). Lengths stay below 2^30; the two highest bits of the length
// say what the frame is, so that set-up messages share the offline connection and heartbeats and aborts need no other.
#pragma once

#include <array>
#include <atomic>
#include <string>

#include "net/network.h"

namespace treville {

enum class FrameKind : uint8_t { kData = 0, kSetup = 1, kHeartbeat = 2, kAbort = 3 };

struct Frame {
  FrameKind kind = FrameKind::kData;
  MessageTag tag;
  Buffer payload;
  int64_t bytes() const { return kFrameHeaderBytes + static_cast<int64_t>(payload.bytes()); }
};

struct FrameHeader {
  FrameKind kind = FrameKind::kData;
  MessageTag tag;
  uint32_t length = 0;
};

using HeaderBytes = std::array<std::byte, static_cast<size_t>(kFrameHeaderBytes)>;
HeaderBytes encode_header(const FrameHeader& header);
FrameHeader decode_header(const HeaderBytes& bytes);

inline FrameKind kind_of(Phase phase) { return phase == Phase::kSetup ? FrameKind::kSetup : FrameKind::kData; }
// connection_of: set-up shares the offline connection.
inline Phase connection_of(Phase phase) { return phase == Phase::kOnline ? Phase::kOnline : Phase::kOffline; }

// label prints "party 1 (evaluator)".
std::string label(PartyId party);
// where prints "party 1 (evaluator), online, step 12 relu conv1": the beginning of every message about a channel.
std::string where(PartyId self, Phase phase, const std::string& step_name);
// mismatch explains a frame that is not the one expected, or returns an empty string when it is.
std::string mismatch(const Frame& frame, PartyId from, FrameKind kind, const MessageTag& tag, size_t bytes);
// printable keeps a peer's text from doing anything but being read: control characters become spaces.
std::string printable(std::string text);
// check_sendable CHECKs that a payload is stored and fits a frame.
void check_sendable(const Buffer& payload);

// TrafficCounter is a Traffic that other threads may read while it grows.
class TrafficCounter {
 public:
  void count(int64_t bytes) {
    messages_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  Traffic read() const { return {messages_.load(std::memory_order_relaxed), bytes_.load(std::memory_order_relaxed)}; }

 private:
  std::atomic<int64_t> messages_{0};
  std::atomic<int64_t> bytes_{0};
};

// Transcript hashes frames, headers and payloads, where it is kept.
class Transcript {
 public:
  explicit Transcript(bool keep) : hash_(keep ? std::make_unique<Hash>() : nullptr) {}
  void add(const Frame& frame);
  Digest digest() const;

 private:
  std::unique_ptr<Hash> hash_;
};

}  // namespace treville
