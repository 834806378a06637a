#include "tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace treville {

int64_t Shape::elements() const {
  int64_t count = 1;
  for (int64_t dim : dims_) {
    CHECK(dim >= 0, "dimension {} of a shape is not known", dim);
    CHECK(!__builtin_mul_overflow(count, dim, &count), "a shape has too many elements");
  }
  return count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape.dims(), ",")); }

}  // namespace treville
