#include "tensor/float_tensor.h"

namespace treville {

const Shape& shape_of(const Constant& constant) {
  return std::visit([](const auto& tensor) -> const Shape& { return tensor.shape; }, constant);
}

FloatTensor to_floats(const Constant& constant) {
  if (const auto* floats = std::get_if<FloatTensor>(&constant)) return *floats;
  const auto& integers = std::get<IntTensor>(constant);
  return FloatTensor(integers.shape, std::vector<float>(integers.values.begin(), integers.values.end()));
}

}  // namespace treville
