// Hash is SHA-256, for digests of programs, configurations and transcripts.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace treville {

using Digest = std::array<std::byte, 32>;

class Hash {
 public:
  Hash();
  ~Hash();
  Hash(Hash&&) noexcept;
  Hash& operator=(Hash&&) noexcept;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  // digest returns the hash of what came so far; more may follow.
  Digest digest() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

Digest sha256(std::string_view text);
Digest sha256(std::span<const std::byte> bytes);
// hex prints all bytes in lower case.
std::string hex(std::span<const std::byte> bytes);
// random_bytes fills from the operating system; throws Error when that fails.
void random_bytes(std::span<std::byte> out);
// wipe overwrites memory in a way the compiler may not remove.
void wipe(std::span<std::byte> bytes);

}  // namespace treville
