// Local operations on shared values: they act on each party's plane alike and need no interaction. A result is masked
// when all operands are; otherwise it is additive and H drops its plane. The modulus of a sum is the smaller one, of a
// left shift by n min(l, modulus + n). All take and give dry planes too.
#pragma once

#include <vector>

#include "mpc/value.h"
#include "tensor/linear_map.h"

namespace treville {

Shared add(Shared a, const Shared& b, Bits shift_a, Bits shift_b, bool subtract);
Shared scale(Shared x, int64_t factor);  // * a public integer
Shared sum_pool(const Shared& x, const PoolGeometry& pool);
// average_counts multiplies each window's sum by round(2^bits / elements of the window that are not padding).
Shared average_counts(Shared x, const PoolGeometry& pool, Bits bits);
Shared sum_axes(const Shared& x, const std::vector<int>& axes);
Shared reshape(Shared x, Shape shape);
Shared transpose(const Shared& x, const std::vector<int>& permutation);
Shared pad(const Shared& x, const std::vector<int64_t>& before, const std::vector<int64_t>& after);
Shared slice(const Shared& x, const std::vector<int64_t>& starts, const std::vector<int64_t>& steps, Shape result);
Shared gather(const Shared& x, int axis, const std::vector<int64_t>& indices);
Shared concat(const std::vector<const Shared*>& parts, const std::vector<Bits>& shifts, int axis);

}  // namespace treville
