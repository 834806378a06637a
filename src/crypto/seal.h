// Seal keeps secrets on disk: AES-256-GCM under keys of 256 bits, and the derivation of keys from keys with
// HMAC-SHA256. Assumptions: AES is a pseudo-random permutation and no nonce is used twice under one key (callers say
// why theirs are not); HMAC-SHA256 is a pseudo-random function.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "crypto/hash.h"
#include "crypto/prg.h"

namespace treville {

// SealKey is a 256-bit secret; it is wiped when it goes. It has no operator<<.
class SealKey {
 public:
  static constexpr size_t kBytes = 32;
  SealKey() = default;  // all zero: not a usable key until assigned
  explicit SealKey(std::span<const std::byte, kBytes> bytes);
  static SealKey random();  // from the operating system
  SealKey(const SealKey&) = default;
  SealKey& operator=(const SealKey&) = default;
  ~SealKey();
  std::span<const std::byte, kBytes> bytes() const { return bytes_; }
  std::span<std::byte, kBytes> writable() { return bytes_; }

 private:
  std::array<std::byte, kBytes> bytes_{};
};

inline constexpr size_t kSealNonceBytes = 12, kSealTagBytes = 16;
using SealNonce = std::array<std::byte, kSealNonceBytes>;
using SealTag = std::array<std::byte, kSealTagBytes>;

// Sealer encrypts and decrypts in place under one key. `associated` is authenticated and not encrypted.
class Sealer {
 public:
  explicit Sealer(const SealKey& key);
  ~Sealer();
  Sealer(Sealer&&) noexcept;
  Sealer& operator=(Sealer&&) noexcept;

  SealTag seal(const SealNonce& nonce, std::span<const std::byte> associated, std::span<std::byte> text);
  // unseal returns whether text, tag, nonce and associated data are what seal made; if not, text is wiped.
  [[nodiscard]] bool unseal(const SealNonce& nonce, std::span<const std::byte> associated, std::span<std::byte> text,
                            const SealTag& tag);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// hmac is HMAC-SHA256 of label | 0 | context: the label (without a zero) says what the result is for.
Digest hmac(std::span<const std::byte> key, std::string_view label, std::span<const std::byte> context);
// derive gives keys for one use from keys with many.
SealKey derive(const SealKey& parent, std::string_view label, std::span<const std::byte> context);
Key derive(const Key& parent, std::string_view label, std::span<const std::byte> context);

}  // namespace treville
