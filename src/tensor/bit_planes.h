// BitPlanes is the bit-sliced form: plane j holds bit j of every element, element e in bit e % 64 of word e / 64.
// A plane is ceil(elements / 64) words; bits past the last element may hold anything and are never read back.
// Planes lie one after the other and go on the wire as they lie in memory.
#pragma once

#include <span>

#include "tensor/buffer.h"

namespace treville {

class BitPlanes {
 public:
  BitPlanes() = default;
  BitPlanes(int64_t elements, int planes, bool is_dry)
      : elements_(elements), planes_(planes), storage_(Buffer::make(bytes_for(elements, planes), is_dry)) {}
  // adopt takes a received buffer, whose size must fit.
  static BitPlanes adopt(int64_t elements, int planes, Buffer storage);

  static constexpr int64_t words_for(int64_t elements) { return (elements + 63) / 64; }
  static constexpr size_t bytes_for(int64_t elements, int planes) {
    return static_cast<size_t>(words_for(elements) * planes * 8);
  }
  int64_t elements() const { return elements_; }
  int planes() const { return planes_; }
  int64_t words() const { return words_for(elements_); }
  bool is_dry() const { return storage_.is_dry(); }
  std::span<uint64_t> plane(int j) {
    return storage_.as<uint64_t>().subspan(static_cast<size_t>(j * words()), static_cast<size_t>(words()));
  }
  std::span<const uint64_t> plane(int j) const {
    return storage_.as<uint64_t>().subspan(static_cast<size_t>(j * words()), static_cast<size_t>(words()));
  }
  Buffer& storage() { return storage_; }
  const Buffer& storage() const { return storage_; }
  Buffer release() && { return std::move(storage_); }

 private:
  int64_t elements_ = 0;
  int planes_ = 0;
  Buffer storage_;
};

}  // namespace treville
