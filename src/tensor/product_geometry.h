// ProductGeometry is the geometry of a product of two values that are both secret: what the protocols, the kernels and
// the program know of it. A product with a weight in the clear to its owner is a LinearMap instead.
#pragma once

#include <cstdint>
#include <variant>

#include "tensor/shape.h"

namespace treville {

// Elementwise: both operands and the result have the one shape.
struct Elementwise {
  Shape shape;
  bool operator==(const Elementwise&) const = default;
};

// BatchMatmul: left [batch, rows, inner], right [batch, inner, cols], result [batch, rows, cols].
struct BatchMatmul {
  int64_t batch = 1, rows = 1, inner = 1, cols = 1;
  bool operator==(const BatchMatmul&) const = default;
};

using ProductGeometry = std::variant<Elementwise, BatchMatmul>;

Shape left_shape(const ProductGeometry& product);
Shape right_shape(const ProductGeometry& product);
Shape output_shape(const ProductGeometry& product);
// macs counts the multiplications of one application.
int64_t macs(const ProductGeometry& product);

}  // namespace treville
