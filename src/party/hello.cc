#include "party/hello.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "net/frame.h"

namespace treville {
namespace {

constexpr std::string_view kMagic = "TREVILLE";
constexpr size_t kVersionAt = 8, kPartyAt = 12, kPhaseAt = 13, kProcessAt = 16, kProgramAt = 24, kConfigAt = 56;

void put(std::byte* at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}

uint64_t get(const std::byte* at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= std::to_integer<uint64_t>(at[i]) << (8 * i);
  return value;
}

std::string short_hex(const Digest& digest) { return hex(std::span(digest).first(6)); }

}  // namespace

HelloBytes encode(const Hello& hello) {
  HelloBytes bytes{};
  std::ranges::copy(std::as_bytes(std::span(kMagic)), bytes.begin());
  put(&bytes[kVersionAt], hello.version, 4);
  bytes[kPartyAt] = static_cast<std::byte>(hello.party);
  bytes[kPhaseAt] = static_cast<std::byte>(hello.phase);
  put(&bytes[kProcessAt], static_cast<uint64_t>(hello.process_id), 8);
  std::ranges::copy(hello.program, &bytes[kProgramAt]);
  std::ranges::copy(hello.config, &bytes[kConfigAt]);
  return bytes;
}

Hello decode(const HelloBytes& bytes) {
  if (!std::ranges::equal(std::span(bytes).first(kMagic.size()), std::as_bytes(std::span(kMagic)))) {
    throw PeerError("what answers is not a treville party");
  }
  Hello hello;
  hello.version = static_cast<uint32_t>(get(&bytes[kVersionAt], 4));
  if (hello.version != kWireVersion) return hello;
  const auto party = std::to_integer<unsigned>(bytes[kPartyAt]), phase = std::to_integer<unsigned>(bytes[kPhaseAt]);
  if (party > 2 || phase > 1)
    throw PeerError("a hello names party {} and connection {}, which do not exist", party, phase);
  hello.party = static_cast<PartyId>(party);
  hello.phase = static_cast<Phase>(phase);
  hello.process_id = static_cast<int64_t>(get(&bytes[kProcessAt], 8));
  std::copy_n(&bytes[kProgramAt], hello.program.size(), hello.program.begin());
  std::copy_n(&bytes[kConfigAt], hello.config.size(), hello.config.begin());
  return hello;
}

std::string disagreement(const Hello& ours, const Hello& theirs) {
  if (ours.version != theirs.version) {
    return fmt::format(
        "version: we speak protocol version {}, it speaks {}. Install the same release of treville at all parties",
        ours.version, theirs.version);
  }
  if (ours.program != theirs.program) {
    return fmt::format("program: ours has digest {}, its program has {}. Give all parties the same program file",
                       short_hex(ours.program), short_hex(theirs.program));
  }
  if (ours.config != theirs.config) {
    return fmt::format(
        "configuration: ours has digest {}, its configuration has {}. Give all parties the same certificates "
        "and options",
        short_hex(ours.config), short_hex(theirs.config));
  }
  return {};
}

std::vector<std::byte> encode(const Verdict& verdict) {
  const bool ready = verdict.kind == Verdict::Kind::kReady;
  std::span<const std::byte> body =
      ready ? std::span<const std::byte>(verdict.session) : std::as_bytes(std::span(std::string_view(verdict.reason)));
  body = body.first(std::min(body.size(), kMaxVerdictBytes));
  std::vector<std::byte> bytes(kVerdictHeadBytes + body.size());
  bytes[0] = static_cast<std::byte>(verdict.kind);
  put(&bytes[2], body.size(), 2);
  std::ranges::copy(body, bytes.begin() + kVerdictHeadBytes);
  return bytes;
}

size_t verdict_length(const std::array<std::byte, kVerdictHeadBytes>& head) {
  const auto kind = std::to_integer<unsigned>(head[0]);
  const auto length = static_cast<size_t>(get(&head[2], 2));
  const bool ready = kind == static_cast<unsigned>(Verdict::Kind::kReady);
  const bool stop = kind == static_cast<unsigned>(Verdict::Kind::kStop);
  if (!(ready && length == SessionId{}.size()) && !(stop && length <= kMaxVerdictBytes)) {
    throw PeerError("a broken message while the session was opened (kind {}, {} bytes)", kind, length);
  }
  return length;
}

Verdict decode(const std::array<std::byte, kVerdictHeadBytes>& head, std::span<const std::byte> body) {
  CHECK(body.size() == verdict_length(head), "a verdict of {} bytes", body.size());
  Verdict verdict;
  verdict.kind = static_cast<Verdict::Kind>(head[0]);
  if (verdict.kind == Verdict::Kind::kReady) {
    std::ranges::copy(body, verdict.session.begin());
  } else {
    verdict.reason = printable({reinterpret_cast<const char*>(body.data()), body.size()});
  }
  return verdict;
}

}  // namespace treville
