#include "tensor/ring_tensor.h"

#include <cstring>

namespace treville {
namespace {

size_t bytes_for(Ring ring, const Shape& shape) {
  return static_cast<size_t>(shape.elements()) * static_cast<size_t>(bytes_of(ring));
}

}  // namespace

RingTensor RingTensor::stored(Ring ring, Shape shape) {
  RingTensor tensor;
  tensor.storage_ = Buffer::stored(bytes_for(ring, shape));
  tensor.ring_ = ring;
  tensor.shape_ = std::move(shape);
  return tensor;
}

RingTensor RingTensor::zeros(Ring ring, Shape shape) {
  RingTensor tensor = stored(ring, std::move(shape));
  if (tensor.bytes() > 0) std::memset(tensor.storage_.data(), 0, tensor.bytes());
  return tensor;
}

RingTensor RingTensor::dry(Ring ring, Shape shape) {
  RingTensor tensor;
  tensor.storage_ = Buffer::dry(bytes_for(ring, shape));
  tensor.ring_ = ring;
  tensor.shape_ = std::move(shape);
  return tensor;
}

RingTensor RingTensor::adopt(Ring ring, Shape shape, Buffer storage) {
  CHECK(storage.bytes() == bytes_for(ring, shape), "{} elements of {} bits need {} bytes, not {}", to_string(shape),
        bits_of(ring), bytes_for(ring, shape), storage.bytes());
  RingTensor tensor;
  tensor.storage_ = std::move(storage);
  tensor.ring_ = ring;
  tensor.shape_ = std::move(shape);
  return tensor;
}

RingTensor RingTensor::clone() const {
  RingTensor tensor;
  tensor.storage_ = storage_.clone();
  tensor.ring_ = ring_;
  tensor.shape_ = shape_;
  return tensor;
}

RingTensor RingTensor::reshaped(Shape shape) && {
  CHECK(shape.elements() == elements(), "cannot reshape {} to {}", to_string(shape_), to_string(shape));
  shape_ = std::move(shape);
  return std::move(*this);
}

}  // namespace treville
