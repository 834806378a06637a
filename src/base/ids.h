// Small types that must not be mixed up: parties, bit counts, slots and steps.
#pragma once

#include <fmt/format.h>

#include <array>
#include <compare>
#include <cstdint>

namespace treville {

// PartyId names one of the three parties of a session.
enum class PartyId : uint8_t { kDealer = 0, kEvaluator = 1, kHelper = 2 };
inline constexpr std::array<PartyId, 3> kAllParties = {PartyId::kDealer, PartyId::kEvaluator, PartyId::kHelper};
inline constexpr int index_of(PartyId party) { return static_cast<int>(party); }

// Bits counts bits: a scale (fraction bits), a width k, a modulus q, a truncation f.
class Bits {
 public:
  constexpr Bits() = default;
  constexpr explicit Bits(int value) : value_(value) {}
  constexpr int value() const { return value_; }
  constexpr auto operator<=>(const Bits&) const = default;
  constexpr Bits operator+(Bits other) const { return Bits(value_ + other.value_); }
  constexpr Bits operator-(Bits other) const { return Bits(value_ - other.value_); }

 private:
  int value_ = 0;
};

// SlotId numbers a value of a Program; StepId a step (its index).
enum class SlotId : uint32_t {};
enum class StepId : uint32_t {};
inline constexpr uint32_t index_of(SlotId slot) { return static_cast<uint32_t>(slot); }
inline constexpr uint32_t index_of(StepId step) { return static_cast<uint32_t>(step); }

// Ring is the ring shares live in: Z_2^32 or Z_2^64.
enum class Ring : uint8_t { k32 = 32, k64 = 64 };
inline constexpr Bits bits_of(Ring ring) { return Bits(static_cast<int>(ring)); }
inline constexpr int bytes_of(Ring ring) { return static_cast<int>(ring) / 8; }

// Phase of a message: the offline half never depends on an input; set-up is once per model.
enum class Phase : uint8_t { kOffline = 0, kOnline = 1, kSetup = 2 };
inline constexpr const char* name_of(Phase phase) {
  return phase == Phase::kOffline ? "offline" : phase == Phase::kOnline ? "online" : "setup";
}

}  // namespace treville

template <>
struct fmt::formatter<treville::PartyId> : fmt::formatter<int> {
  auto format(treville::PartyId party, fmt::format_context& context) const {
    return fmt::formatter<int>::format(treville::index_of(party), context);
  }
};
template <>
struct fmt::formatter<treville::Bits> : fmt::formatter<int> {
  auto format(treville::Bits bits, fmt::format_context& context) const {
    return fmt::formatter<int>::format(bits.value(), context);
  }
};
