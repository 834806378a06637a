// Hello is what two parties tell each other on a new connection, before any frame: fixed-size messages, so that nothing
// is read that was not checked first. Each side sends its hello and compares the other's; when all connections of a
// party stand it says ready on the online one, with the session's id. A party that disagrees says stop with the reason.
//
//   hello: "TREVILLE" (8) | version (4) | party (1) | phase (1) | zero (2) | process (8) | program (32) | config (32)
//   verdict: kind (1: ready, 2: stop) | zero (1) | length (2) | session id or text (length, at most 1024)
//
// Numbers are little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "base/ids.h"
#include "crypto/hash.h"
#include "party/session.h"

namespace treville {

inline constexpr uint32_t kWireVersion = 1;
inline constexpr size_t kHelloBytes = 88;
inline constexpr size_t kVerdictHeadBytes = 4;
inline constexpr size_t kMaxVerdictBytes = 1024;

struct Hello {
  uint32_t version = kWireVersion;
  PartyId party = PartyId::kDealer;
  Phase phase = Phase::kOffline;
  int64_t process_id = 0;
  Digest program{};
  Digest config{};
};

using HelloBytes = std::array<std::byte, kHelloBytes>;
HelloBytes encode(const Hello& hello);
// decode returns what was sent; throws PeerError when it is no hello of any version. The rest is only filled in when
// the version is ours.
Hello decode(const HelloBytes& bytes);

// disagreement says in what the peer's hello differs from ours, and what to do; empty when they agree.
std::string disagreement(const Hello& ours, const Hello& theirs);

struct Verdict {
  enum class Kind : uint8_t { kReady = 1, kStop = 2 };
  Kind kind = Kind::kReady;
  SessionId session{};  // ready
  std::string reason;   // stop
};
std::vector<std::byte> encode(const Verdict& verdict);
// verdict_length gives how many bytes follow the head; throws PeerError when it is too many.
size_t verdict_length(const std::array<std::byte, kVerdictHeadBytes>& head);
Verdict decode(const std::array<std::byte, kVerdictHeadBytes>& head, std::span<const std::byte> body);

}  // namespace treville
