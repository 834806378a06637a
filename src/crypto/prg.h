// Prg is the seekable stream of one 128-bit key: AES-128 in counter mode. Two holders of a key draw the same bytes at
// the same position in any order and with any number of threads; a position is used for one purpose only, once.
// From docs/protocols/porthos.md, section 1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/ids.h"
#include "tensor/ring_tensor.h"

namespace treville {

// Key is a 128-bit secret; it is wiped when it goes. It has no operator<<.
class Key {
 public:
  static constexpr size_t kBytes = 16;
  Key() = default;  // all zero: not a usable key until assigned
  explicit Key(std::span<const std::byte, kBytes> bytes);
  static Key random();  // from the operating system
  Key(const Key&) = default;
  Key& operator=(const Key&) = default;
  ~Key();
  std::span<const std::byte, kBytes> bytes() const { return bytes_; }

 private:
  std::array<std::byte, kBytes> bytes_{};
};

// PrgPosition says what a draw is for. (inference, step, purpose, block) names one stream of at most 2^32 AES blocks.
// `inference` counts the inputs of a session and is the tensor's number for model set-up; `purpose` is the
// protocol's own list of draws inside a step; `block` is the block of elements.
struct PrgPosition {
  uint32_t inference = 0;
  uint32_t step = 0;
  uint16_t purpose = 0;
  uint16_t block = 0;
  auto operator<=>(const PrgPosition&) const = default;
};

class Prg {
 public:
  // audit, when given, is called for every draw: tests use it to show that no position is drawn twice.
  using Audit = std::function<void(const PrgPosition&, size_t bytes)>;
  explicit Prg(const Key& key, Audit audit = {});
  ~Prg();
  Prg(Prg&&) noexcept;
  Prg& operator=(Prg&&) noexcept;

  // fill writes the stream at `position` into out. Thread-compatible: one Prg per thread (clone).
  void fill(const PrgPosition& position, std::span<std::byte> out);
  // tensor draws uniform ring elements; a dry tensor when is_dry (nothing is drawn, the audit is not called).
  RingTensor tensor(const PrgPosition& position, Ring ring, Shape shape, bool is_dry);
  Prg clone() const;

 private:
  struct Impl;
  explicit Prg(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace treville
