#include "tensor/buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace treville {

Buffer Buffer::dry(size_t bytes) {
  Buffer buffer;
  buffer.bytes_ = bytes;
  buffer.meter_ = MeterScope::current();
  if (buffer.meter_) buffer.meter_->add(static_cast<int64_t>(bytes));
  return buffer;
}

Buffer Buffer::stored(size_t bytes) {
  constexpr size_t kAlign = 64;
  std::byte* data = nullptr;
  if (bytes > 0) {
    CHECK(bytes < (size_t{1} << 46), "a buffer of {} bytes", bytes);
    // One more line, so that kernels may read a whole vector at the end.
    data = static_cast<std::byte*>(std::aligned_alloc(kAlign, (bytes + 2 * kAlign - 1) / kAlign * kAlign));
    if (data == nullptr) throw std::bad_alloc();
  }
  Buffer buffer = dry(bytes);
  buffer.data_ = data;
  return buffer;
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      meter_(std::move(other.meter_)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    meter_ = std::move(other.meter_);
  }
  return *this;
}

Buffer::~Buffer() { release(); }

void Buffer::release() noexcept {
  std::free(data_);
  if (meter_) meter_->remove(static_cast<int64_t>(bytes_));
  data_ = nullptr;
  bytes_ = 0;
  meter_.reset();
}

void Buffer::count_in(std::shared_ptr<MemoryMeter> meter) {
  if (meter) meter->add(static_cast<int64_t>(bytes_));
  if (meter_) meter_->remove(static_cast<int64_t>(bytes_));
  meter_ = std::move(meter);
}

Buffer Buffer::clone() const {
  if (is_dry()) return dry(bytes_);
  Buffer copy = stored(bytes_);
  if (bytes_ > 0) std::memcpy(copy.data_, data_, bytes_);
  return copy;
}

}  // namespace treville
