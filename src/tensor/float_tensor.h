// FloatTensor and IntTensor are the plain tensors of a float model: row-major, never secret at run time of a protocol.
// Constant is either of them: a weight, or a shape, axis or index that the graph computes with.
#pragma once

#include <variant>
#include <vector>

#include "tensor/shape.h"

namespace treville {

struct FloatTensor {
  Shape shape;
  std::vector<float> values;

  FloatTensor() = default;
  explicit FloatTensor(Shape s) : shape(std::move(s)), values(static_cast<size_t>(shape.elements())) {}
  FloatTensor(Shape s, std::vector<float> v) : shape(std::move(s)), values(std::move(v)) {}
};

struct IntTensor {
  Shape shape;
  std::vector<int64_t> values;

  IntTensor() = default;
  explicit IntTensor(Shape s) : shape(std::move(s)), values(static_cast<size_t>(shape.elements())) {}
  IntTensor(Shape s, std::vector<int64_t> v) : shape(std::move(s)), values(std::move(v)) {}
};

using Constant = std::variant<FloatTensor, IntTensor>;
const Shape& shape_of(const Constant& constant);
// to_floats gives the values as floats, whichever they are.
FloatTensor to_floats(const Constant& constant);

}  // namespace treville
