#include "mpc/linear.h"

#include <algorithm>
#include <utility>

#include "kernels/elementwise.h"

namespace treville {
namespace {

SharedForm joint_form(const Shared& a, const Shared& b) {
  return a.form() == SharedForm::kMasked && b.form() == SharedForm::kMasked ? SharedForm::kMasked
                                                                            : SharedForm::kAdditive;
}

Bits shifted(const Shared& x, Bits shift) { return std::min(bits_of(x.ring()), x.modulus() + shift); }

// check_planes: a party that holds an additive value's plane holds a masked value's too. The converse does not hold:
// H has no plane of an additive value, and then none of the result.
void check_planes(const Shared& masked, const Shared& additive) {
  CHECK(masked.has_plane() || !additive.has_plane(), "a plane of an additive value without one of the masked");
}

bool both_have_planes(const Shared& a, const Shared& b) {
  if (a.form() == b.form()) {
    CHECK(a.has_plane() == b.has_plane(), "operands of one form, but only one of them has a plane");
  } else if (a.form() == SharedForm::kMasked) {
    check_planes(a, b);
  } else {
    check_planes(b, a);
  }
  return a.has_plane() && b.has_plane();
}

// moved applies f to the plane, if there is one, and gives the result its shape.
template <class F>
Shared moved(const Shared& x, Shape shape, const F& f) {
  std::optional<RingTensor> plane;
  if (x.has_plane()) {
    plane = f(x.plane());
    CHECK(plane->shape() == shape, "expected shape {}, got {}", to_string(shape), to_string(plane->shape()));
  }
  return Shared(x.form(), x.ring(), x.modulus(), std::move(shape), std::move(plane));
}

// window_counts lists, for every output along one axis, how many elements of its window are not padding.
std::vector<int64_t> window_counts(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                                   int64_t pad) {
  std::vector<int64_t> counts(static_cast<size_t>(out));
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t at = o * stride - pad + k * dilation;
      counts[static_cast<size_t>(o)] += at >= 0 && at < in;
    }
    CHECK(counts[static_cast<size_t>(o)] > 0, "window {} holds nothing but padding", o);
  }
  return counts;
}

bool all_equal(const std::vector<int64_t>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

// reciprocal is round(2^bits / count).
uint64_t reciprocal(Bits bits, int64_t count) {
  const auto n = static_cast<uint64_t>(count);
  return ((uint64_t{1} << bits.value()) + n / 2) / n;
}

RingTensor reciprocals(const PoolGeometry& p, Ring ring, const std::vector<int64_t>& rows,
                       const std::vector<int64_t>& columns, Bits bits, bool is_dry) {
  RingTensor factors = RingTensor::make(ring, output_shape(p), is_dry);
  if (is_dry) return factors;
  dispatch(ring, [&](auto word) {
    using Word = decltype(word);
    auto* to = factors.as<Word>().data();
    for (int64_t b = 0; b < p.batch; ++b) {
      for (int64_t row : rows) {
        for (int64_t column : columns) {
          to = std::fill_n(to, p.channels, static_cast<Word>(reciprocal(bits, row * column)));
        }
      }
    }
  });
  return factors;
}

}  // namespace

Shared add(Shared a, const Shared& b, Bits shift_a, Bits shift_b, bool subtract) {
  CHECK(a.ring() == b.ring() && a.shape() == b.shape(), "operands {} and {}", to_string(a.shape()),
        to_string(b.shape()));
  const SharedForm form = joint_form(a, b);
  const Ring ring = a.ring();
  const Bits modulus = std::min(shifted(a, shift_a), shifted(b, shift_b));
  Shape shape = a.shape();
  if (!both_have_planes(a, b)) return Shared(form, ring, modulus, std::move(shape), std::nullopt);
  std::optional<RingTensor> plane = std::move(a).take_plane();
  if (shift_a > Bits(0)) shift_left_in_place(*plane, shift_a);
  if (!subtract) {
    add_shifted(*plane, b.plane(), shift_b);
  } else {
    // a - b = -(b - a)
    negate_in_place(*plane);
    add_shifted(*plane, b.plane(), shift_b);
    negate_in_place(*plane);
  }
  return Shared(form, ring, modulus, std::move(shape), std::move(plane));
}

Shared scale(Shared x, int64_t factor) {
  if (x.has_plane() && factor != 1) multiply_scalar(x.plane(), static_cast<uint64_t>(factor));
  return x;
}

Shared sum_pool(const Shared& x, const PoolGeometry& pool) {
  return moved(x, output_shape(pool), [&](const RingTensor& plane) { return sum_pool(pool, plane); });
}

Shared average_counts(Shared x, const PoolGeometry& pool, Bits bits) {
  CHECK(x.shape() == output_shape(pool), "expected {}, got {}", to_string(output_shape(pool)), to_string(x.shape()));
  CHECK(bits >= Bits(1) && bits < bits_of(x.ring()), "{} bits", bits);
  if (!x.has_plane()) return x;
  const std::vector<int64_t> rows =
      window_counts(pool.in_h, pool.out_h, pool.kernel_h, pool.stride_h, pool.dilation_h, pool.pad_top);
  const std::vector<int64_t> columns =
      window_counts(pool.in_w, pool.out_w, pool.kernel_w, pool.stride_w, pool.dilation_w, pool.pad_left);
  if (all_equal(rows) && all_equal(columns)) {
    multiply_scalar(x.plane(), reciprocal(bits, rows[0] * columns[0]));
  } else {
    multiply_elementwise(x.plane(), reciprocals(pool, x.ring(), rows, columns, bits, x.plane().is_dry()));
  }
  return x;
}

Shared sum_axes(const Shared& x, const std::vector<int>& axes) {
  Shape shape = x.shape();
  for (int axis : axes) shape[axis] = 1;
  return moved(x, std::move(shape), [&](const RingTensor& plane) { return sum_axes(plane, axes); });
}

Shared reshape(Shared x, Shape shape) {
  CHECK(shape.elements() == x.shape().elements(), "cannot reshape {} to {}", to_string(x.shape()), to_string(shape));
  const SharedForm form = x.form();
  const Ring ring = x.ring();
  const Bits modulus = x.modulus();
  std::optional<RingTensor> plane = std::move(x).take_plane();
  if (plane) plane = std::move(*plane).reshaped(shape);
  return Shared(form, ring, modulus, std::move(shape), std::move(plane));
}

Shared transpose(const Shared& x, const std::vector<int>& permutation) {
  std::vector<int64_t> dims;
  for (int axis : permutation) dims.push_back(x.shape()[axis]);
  return moved(x, Shape(dims), [&](const RingTensor& plane) { return transpose(plane, permutation); });
}

Shared pad(const Shared& x, const std::vector<int64_t>& before, const std::vector<int64_t>& after) {
  Shape shape = x.shape();
  CHECK(before.size() == shape.dims().size() && after.size() == before.size(), "pads for {}", to_string(shape));
  for (size_t i = 0; i < before.size(); ++i) shape[static_cast<int>(i)] += before[i] + after[i];
  return moved(x, std::move(shape), [&](const RingTensor& plane) { return pad(plane, before, after); });
}

Shared slice(const Shared& x, const std::vector<int64_t>& starts, const std::vector<int64_t>& steps, Shape result) {
  return moved(x, result, [&](const RingTensor& plane) { return slice(plane, starts, steps, result); });
}

Shared gather(const Shared& x, int axis, const std::vector<int64_t>& indices) {
  Shape shape = x.shape();
  shape[axis] = static_cast<int64_t>(indices.size());
  return moved(x, std::move(shape), [&](const RingTensor& plane) { return gather(plane, axis, indices); });
}

Shared concat(const std::vector<const Shared*>& parts, const std::vector<Bits>& shifts, int axis) {
  CHECK(!parts.empty() && parts.size() == shifts.size(), "{} parts, {} shifts", parts.size(), shifts.size());
  const Shared& first = *parts[0];
  SharedForm form = first.form();
  Bits modulus = bits_of(first.ring());
  Shape shape = first.shape();
  shape[axis] = 0;
  bool has_plane = true;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Shared& part = *parts[i];
    CHECK(part.ring() == first.ring(), "parts have different rings");
    if (part.form() == SharedForm::kAdditive) form = SharedForm::kAdditive;
    modulus = std::min(modulus, shifted(part, shifts[i]));
    shape[axis] += part.shape()[axis];
    has_plane = both_have_planes(first, part) && has_plane;
  }
  if (!has_plane) return Shared(form, first.ring(), modulus, std::move(shape), std::nullopt);
  std::vector<RingTensor> shifted_planes;
  shifted_planes.reserve(parts.size());
  std::vector<const RingTensor*> planes;
  for (size_t i = 0; i < parts.size(); ++i) {
    const RingTensor* plane = &parts[i]->plane();
    if (shifts[i] > Bits(0)) {
      plane = &shifted_planes.emplace_back(plane->clone());
      shift_left_in_place(shifted_planes.back(), shifts[i]);
    }
    planes.push_back(plane);
  }
  return Shared(form, first.ring(), modulus, std::move(shape), concat(planes, axis));
}

}  // namespace treville
