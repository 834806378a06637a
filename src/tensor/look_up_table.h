// LookUpTable is a public function of a few bits: 2^n integers, in the order of the arguments -2^(n-1) to 2^(n-1) - 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "tensor/shape.h"

namespace treville {

// bits is the width of every entry; signed entries lie in [-2^(bits-1), 2^(bits-1)), others in [0, 2^bits).
struct LookUpTable {
  Bits bits{};
  bool is_signed = false;
  std::vector<int64_t> entries;
  bool operator==(const LookUpTable&) const = default;
};

// look_up_shape is the shape of several tables' entries at every element of a tensor: the tables come first.
inline Shape look_up_shape(size_t tables, const Shape& x) {
  std::vector<int64_t> dims = x.dims();
  dims.insert(dims.begin(), static_cast<int64_t>(tables));
  return Shape(std::move(dims));
}

}  // namespace treville
