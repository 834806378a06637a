// Buffer is a run of bytes, aligned to 64 and owned by one place: the storage of tensors and the payload of
// messages, moved and never copied silently. A dry buffer has a size and no storage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "tensor/memory_meter.h"

namespace treville {

class Buffer {
 public:
  Buffer() = default;
  // stored allocates `bytes` uninitialised bytes; dry only remembers the size. Both count in the thread's meter.
  static Buffer stored(size_t bytes);
  static Buffer dry(size_t bytes);
  static Buffer make(size_t bytes, bool is_dry) { return is_dry ? dry(bytes) : stored(bytes); }
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  Buffer clone() const;
  // count_in moves the bytes to another meter (or none): a message leaves its sender's and enters its receiver's.
  void count_in(std::shared_ptr<MemoryMeter> meter);
  size_t bytes() const { return bytes_; }
  bool is_dry() const { return bytes_ > 0 && data_ == nullptr; }
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  template <class T>
  std::span<T> as() {
    CHECK(!is_dry(), "a dry buffer has no data");
    return {reinterpret_cast<T*>(data_), bytes_ / sizeof(T)};
  }
  template <class T>
  std::span<const T> as() const {
    CHECK(!is_dry(), "a dry buffer has no data");
    return {reinterpret_cast<const T*>(data_), bytes_ / sizeof(T)};
  }

 private:
  void release() noexcept;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  std::shared_ptr<MemoryMeter> meter_;
};

}  // namespace treville
