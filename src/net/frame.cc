#include "net/frame.h"

namespace treville {
namespace {

constexpr uint32_t kLengthMask = (uint32_t{1} << 30) - 1;

void put(std::byte* at, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}

uint32_t get(const std::byte* at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= std::to_integer<uint32_t>(at[i]) << (8 * i);
  return value;
}

const char* role(PartyId party) {
  return party == PartyId::kDealer ? "dealer" : party == PartyId::kEvaluator ? "evaluator" : "helper";
}

std::string describe(FrameKind kind, const MessageTag& tag, size_t bytes) {
  return fmt::format("{}inference {}, step {}, part {}, block {}, {} bytes", kind == FrameKind::kSetup ? "set-up " : "",
                     tag.inference, tag.step, tag.part, tag.block, bytes);
}

}  // namespace

HeaderBytes encode_header(const FrameHeader& header) {
  HeaderBytes bytes;
  put(&bytes[0], header.length | (static_cast<uint32_t>(header.kind) << 30), 4);
  put(&bytes[4], header.tag.inference, 4);
  put(&bytes[8], header.tag.step, 4);
  put(&bytes[12], header.tag.part, 2);
  put(&bytes[14], header.tag.block, 2);
  return bytes;
}

FrameHeader decode_header(const HeaderBytes& bytes) {
  FrameHeader header;
  const uint32_t first = get(&bytes[0], 4);
  header.kind = static_cast<FrameKind>(first >> 30);
  header.length = first & kLengthMask;
  header.tag.inference = get(&bytes[4], 4);
  header.tag.step = get(&bytes[8], 4);
  header.tag.part = static_cast<uint16_t>(get(&bytes[12], 2));
  header.tag.block = static_cast<uint16_t>(get(&bytes[14], 2));
  return header;
}

std::string label(PartyId party) { return fmt::format("party {} ({})", party, role(party)); }

std::string where(PartyId self, Phase phase, const std::string& step_name) {
  std::string text = label(self) + ", " + name_of(phase);
  if (!step_name.empty()) text += ", " + step_name;
  return text;
}

std::string mismatch(const Frame& frame, PartyId from, FrameKind kind, const MessageTag& tag, size_t bytes) {
  if (frame.kind == kind && frame.tag == tag && frame.payload.bytes() == bytes) return {};
  return fmt::format("expected {} from {}, got {}. The parties run different programs or versions.",
                     describe(kind, tag, bytes), label(from), describe(frame.kind, frame.tag, frame.payload.bytes()));
}

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

void check_sendable(const Buffer& payload) {
  CHECK(!payload.is_dry(), "a dry buffer cannot be sent");
  CHECK(payload.bytes() < static_cast<size_t>(kMaxFrameBytes), "a message of {} bytes", payload.bytes());
}

void Transcript::add(const Frame& frame) {
  if (!hash_) return;
  hash_->update(encode_header({frame.kind, frame.tag, static_cast<uint32_t>(frame.payload.bytes())}));
  hash_->update({frame.payload.data(), frame.payload.bytes()});
}

Digest Transcript::digest() const {
  CHECK(hash_ != nullptr, "this network was made without a transcript");
  return hash_->digest();
}

}  // namespace treville
