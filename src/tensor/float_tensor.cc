#include "tensor/float_tensor.h"

namespace treville {

const Shape& shape_of(const Constant& constant) {
  return std::visit([](const auto& tensor) -> const Shape& { return tensor.shape; }, constant);
}

}  // namespace treville
