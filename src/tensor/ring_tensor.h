// RingTensor is a dense tensor over Z_2^32 or Z_2^64, row-major (NHWC). It is *stored*, or *dry*: a shape without
// storage, with which a protocol runs to find its exact cost. Copies are explicit (clone).
#pragma once

#include <span>

#include "base/ids.h"
#include "tensor/buffer.h"
#include "tensor/shape.h"

namespace treville {

class RingTensor {
 public:
  RingTensor() = default;
  // stored has uninitialised elements, zeros has zeros, dry none. make chooses between stored and dry.
  static RingTensor stored(Ring ring, Shape shape);
  static RingTensor zeros(Ring ring, Shape shape);
  static RingTensor dry(Ring ring, Shape shape);
  static RingTensor make(Ring ring, Shape shape, bool is_dry) {
    return is_dry ? dry(ring, std::move(shape)) : stored(ring, std::move(shape));
  }

  // adopt takes a received buffer, whose size must fit.
  static RingTensor adopt(Ring ring, Shape shape, Buffer storage);

  Ring ring() const { return ring_; }
  const Shape& shape() const { return shape_; }
  int64_t elements() const { return shape_.elements(); }
  size_t bytes() const { return storage_.bytes(); }
  bool is_dry() const { return storage_.is_dry(); }
  RingTensor clone() const;
  // reshaped gives the same elements another shape with as many elements.
  RingTensor reshaped(Shape shape) &&;
  // as<uint32_t> or as<uint64_t>, which must be the ring's word; the tensor must be stored.
  template <class Word>
  std::span<Word> as() {
    CHECK(sizeof(Word) * 8 == static_cast<size_t>(ring_), "wrong word for the ring");
    return storage_.as<Word>();
  }
  template <class Word>
  std::span<const Word> as() const {
    CHECK(sizeof(Word) * 8 == static_cast<size_t>(ring_), "wrong word for the ring");
    return storage_.as<Word>();
  }
  Buffer& storage() { return storage_; }
  const Buffer& storage() const { return storage_; }

 private:
  Ring ring_ = Ring::k32;
  Shape shape_;
  Buffer storage_;
};

// dispatch calls f(uint32_t{}) or f(uint64_t{}) for the ring: templates on the ring live below this call.
template <class F>
decltype(auto) dispatch(Ring ring, F&& f) {
  return ring == Ring::k32 ? f(uint32_t{}) : f(uint64_t{});
}

}  // namespace treville
