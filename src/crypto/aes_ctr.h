// The key stream of AES-128 in counter mode, which is all that the protocols draw. OpenSSL is its definition and runs
// everywhere. OpenSSL 3.0 encrypts one block per instruction; where an x86 processor has VAES, whose instructions take
// two blocks, the same bytes come in less than half of the time. Neither has a branch or an index that depends on data.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace treville {

class AesCtr {
 public:
  using Block = std::array<unsigned char, 16>;
  enum class Engine { kOpenSsl, kVaes };
  // has_vaes: whether Engine::kVaes runs on this machine. best is the engine to use.
  static bool has_vaes();
  static Engine best() { return has_vaes() ? Engine::kVaes : Engine::kOpenSsl; }

  explicit AesCtr(std::span<const std::byte, 16> key, Engine engine = best());
  ~AesCtr();
  AesCtr(AesCtr&&) noexcept;
  AesCtr& operator=(AesCtr&&) noexcept;

  // stream writes the encryptions of first, first + 1, ... to out, the last cut. Only the last four bytes of a block
  // count, big-endian, and they may not pass their end. One thread at a time.
  void stream(const Block& first, std::span<std::byte> out);
  AesCtr clone() const;

 private:
  struct Impl;
  explicit AesCtr(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace treville
