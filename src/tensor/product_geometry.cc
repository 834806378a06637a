#include "tensor/product_geometry.h"

namespace treville {

Shape left_shape(const ProductGeometry& product) {
  if (const auto* matmul = std::get_if<BatchMatmul>(&product)) return {matmul->batch, matmul->rows, matmul->inner};
  return std::get<Elementwise>(product).shape;
}

Shape right_shape(const ProductGeometry& product) {
  if (const auto* matmul = std::get_if<BatchMatmul>(&product)) return {matmul->batch, matmul->inner, matmul->cols};
  return std::get<Elementwise>(product).shape;
}

Shape output_shape(const ProductGeometry& product) {
  if (const auto* matmul = std::get_if<BatchMatmul>(&product)) return {matmul->batch, matmul->rows, matmul->cols};
  return std::get<Elementwise>(product).shape;
}

int64_t macs(const ProductGeometry& product) {
  const auto* matmul = std::get_if<BatchMatmul>(&product);
  return output_shape(product).elements() * (matmul != nullptr ? matmul->inner : 1);
}

}  // namespace treville
