#include "kernels/elementwise.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/elementwise_loops.h"

namespace treville {
namespace {

void check_same(const RingTensor& y, const RingTensor& x) {
  CHECK(y.ring() == x.ring(), "operands have different rings");
  CHECK(y.shape() == x.shape(), "operands have shapes {} and {}", to_string(y.shape()), to_string(x.shape()));
}

void check_shift(const RingTensor& y, Bits shift) {
  CHECK(shift >= Bits(0) && shift < bits_of(y.ring()), "a shift of {} bits in a ring of {}", shift, bits_of(y.ring()));
}

// low_bits is the mask of the lowest `bits` bits.
uint64_t low_bits(const RingTensor& y, Bits bits) {
  CHECK(bits >= Bits(0) && bits <= bits_of(y.ring()), "a modulus of {} bits in a ring of {}", bits, bits_of(y.ring()));
  return bits == Bits(64) ? ~uint64_t{0} : (uint64_t{1} << bits.value()) - 1;
}

// Axis is one loop of a walk over two strided operands; strides count elements and may be zero or negative.
struct Axis {
  int64_t extent, from, to;
};

// merged drops the axes of one element and joins neighbours that are one run in both operands.
std::vector<Axis> merged(const std::vector<Axis>& axes) {
  std::vector<Axis> result;
  for (const Axis& axis : axes) {
    if (axis.extent == 1) continue;
    if (!result.empty() && result.back().from == axis.from * axis.extent && result.back().to == axis.to * axis.extent) {
      result.back() = {result.back().extent * axis.extent, axis.from, axis.to};
    } else {
      result.push_back(axis);
    }
  }
  if (result.empty()) result.push_back({1, 1, 1});
  return result;
}

// walk runs the outer axes and calls leaf(inner axis, from, to).
template <class Word, class Leaf>
void walk(std::span<const Axis> axes, const Word* from, Word* to, const Leaf& leaf) {
  if (axes.size() == 1) return leaf(axes[0], from, to);
  for (int64_t i = 0; i < axes[0].extent; ++i) {
    walk(axes.subspan(1), from + i * axes[0].from, to + i * axes[0].to, leaf);
  }
}

template <class Word>
void copy_run(const Axis& axis, const Word* from, Word* to) {
  if (axis.from == 1 && axis.to == 1) {
    std::memcpy(to, from, static_cast<size_t>(axis.extent) * sizeof(Word));
  } else {
    for (int64_t i = 0; i < axis.extent; ++i) to[i * axis.to] = from[i * axis.from];
  }
}

// copy copies every element of the axes.
template <class Word>
void copy(const std::vector<Axis>& axes, const Word* from, Word* to) {
  for (const Axis& axis : axes) {
    if (axis.extent == 0) return;
  }
  const std::vector<Axis> loops = merged(axes);
  walk<Word>(loops, from, to, copy_run<Word>);
}

std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> strides(static_cast<size_t>(shape.rank()));
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  return strides;
}

// tiled repeats v until a row is long enough for vector loops; a whole number of times.
template <class Word>
std::vector<Word> tiled(std::span<const Word> v) {
  constexpr size_t kRow = 512;
  std::vector<Word> row(v.begin(), v.end());
  while (!v.empty() && row.size() < kRow) row.insert(row.end(), v.begin(), v.end());
  return row;
}

void check_pool(const PoolGeometry& pool, const RingTensor& x) {
  CHECK(x.elements() == input_shape(pool).elements(), "a pool over {} got {}", to_string(input_shape(pool)),
        to_string(x.shape()));
}

template <class Word>
void sum_window(const PoolGeometry& p, const Word* image, int64_t out_y, int64_t out_x, Word* y) {
  for (int64_t ky = 0; ky < p.kernel_h; ++ky) {
    const int64_t in_y = out_y * p.stride_h - p.pad_top + ky * p.dilation_h;
    if (in_y < 0 || in_y >= p.in_h) continue;
    for (int64_t kx = 0; kx < p.kernel_w; ++kx) {
      const int64_t in_x = out_x * p.stride_w - p.pad_left + kx * p.dilation_w;
      if (in_x < 0 || in_x >= p.in_w) continue;
      loops<Word>().add(y, image + (in_y * p.in_w + in_x) * p.channels, p.channels);
    }
  }
}

}  // namespace

void add_in_place(RingTensor& y, const RingTensor& x) {
  check_same(y, x);
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    loops<Word>().add(y.as<Word>().data(), x.as<Word>().data(), y.elements());
  });
}

void subtract_in_place(RingTensor& y, const RingTensor& x) {
  check_same(y, x);
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    loops<Word>().subtract(y.as<Word>().data(), x.as<Word>().data(), y.elements());
  });
}

void negate_in_place(RingTensor& y) {
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    loops<Word>().negate(y.as<Word>().data(), y.elements());
  });
}

void add_shifted(RingTensor& y, const RingTensor& x, Bits shift) {
  check_same(y, x);
  check_shift(y, shift);
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    loops<Word>().add_shifted(y.as<Word>().data(), x.as<Word>().data(), shift.value(), y.elements());
  });
}

void shift_left_in_place(RingTensor& y, Bits shift) {
  check_shift(y, shift);
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    loops<Word>().shift_left(y.as<Word>().data(), shift.value(), y.elements());
  });
}

void truncate_share(RingTensor& y, uint64_t offset, Bits shift, Bits modulus) {
  check_shift(y, shift);
  const uint64_t mask = low_bits(y, modulus);
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    loops<Word>().truncate(y.as<Word>().data(), static_cast<Word>(offset), static_cast<Word>(mask), shift.value(),
                           y.elements());
  });
}

void reduce(RingTensor& y, Bits modulus) { truncate_share(y, 0, Bits(0), modulus); }

void multiply_scalar(RingTensor& y, uint64_t c) {
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    loops<Word>().scale(y.as<Word>().data(), static_cast<Word>(c), y.elements());
  });
}

void multiply_elementwise(RingTensor& y, const RingTensor& c) {
  check_same(y, c);
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    loops<Word>().multiply(y.as<Word>().data(), c.as<Word>().data(), y.elements());
  });
}

void add_channel(RingTensor& y, const RingTensor& v) {
  CHECK(y.ring() == v.ring(), "operands have different rings");
  CHECK(y.shape().rank() > 0 && v.elements() == y.shape()[y.shape().rank() - 1], "channels of {} and {}",
        to_string(y.shape()), to_string(v.shape()));
  if (y.is_dry() || y.elements() == 0) return;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    const std::vector<Word> row = tiled(v.as<Word>());
    const auto length = static_cast<int64_t>(row.size());
    Word* values = y.as<Word>().data();
    for (int64_t at = 0; at < y.elements(); at += length) {
      loops<Word>().add(values + at, row.data(), std::min(length, y.elements() - at));
    }
  });
}

RingTensor sum_pool(const PoolGeometry& pool, const RingTensor& x) {
  check_pool(pool, x);
  if (x.is_dry()) return RingTensor::dry(x.ring(), output_shape(pool));
  RingTensor y = RingTensor::zeros(x.ring(), output_shape(pool));
  dispatch(x.ring(), [&](auto word) {
    using Word = decltype(word);
    const Word* image = x.as<Word>().data();
    Word* pixel = y.as<Word>().data();
    for (int64_t b = 0; b < pool.batch; ++b, image += pool.in_h * pool.in_w * pool.channels) {
      for (int64_t out_y = 0; out_y < pool.out_h; ++out_y) {
        for (int64_t out_x = 0; out_x < pool.out_w; ++out_x, pixel += pool.channels) {
          sum_window(pool, image, out_y, out_x, pixel);
        }
      }
    }
  });
  return y;
}

RingTensor sum_axes(const RingTensor& x, const std::vector<int>& axes) {
  Shape shape = x.shape();
  for (int axis : axes) {
    CHECK(axis >= 0 && axis < shape.rank(), "axis {} of {}", axis, to_string(x.shape()));
    shape[axis] = 1;
  }
  if (x.is_dry()) return RingTensor::dry(x.ring(), shape);
  RingTensor y = RingTensor::zeros(x.ring(), shape);
  if (x.elements() == 0) return y;
  const std::vector<int64_t> from = dense_strides(x.shape()), to = dense_strides(shape);
  std::vector<Axis> all;
  for (size_t i = 0; i < from.size(); ++i) {
    const bool summed = std::find(axes.begin(), axes.end(), static_cast<int>(i)) != axes.end();
    all.push_back({x.shape()[static_cast<int>(i)], from[i], summed ? 0 : to[i]});
  }
  dispatch(x.ring(), [&](auto word) {
    using Word = decltype(word);
    const std::vector<Axis> merged_axes = merged(all);
    walk<Word>(merged_axes, x.as<Word>().data(), y.as<Word>().data(), [](const Axis& a, const Word* in, Word* out) {
      if (a.to == 0) {
        *out += loops<Word>().sum(in, a.extent);
      } else {
        loops<Word>().add(out, in, a.extent);
      }
    });
  });
  return y;
}

RingTensor transpose(const RingTensor& x, const std::vector<int>& permutation) {
  std::vector<int> sorted = permutation;
  std::sort(sorted.begin(), sorted.end());
  CHECK(static_cast<int>(sorted.size()) == x.shape().rank(), "{} axes permute {}", sorted.size(), to_string(x.shape()));
  std::vector<int64_t> dims;
  for (size_t i = 0; i < sorted.size(); ++i) {
    CHECK(sorted[i] == static_cast<int>(i), "not a permutation of the axes of {}", to_string(x.shape()));
    dims.push_back(x.shape()[permutation[i]]);
  }
  RingTensor y = RingTensor::make(x.ring(), Shape(dims), x.is_dry());
  if (y.is_dry()) return y;
  const std::vector<int64_t> from = dense_strides(x.shape()), to = dense_strides(y.shape());
  std::vector<Axis> axes;
  for (size_t i = 0; i < dims.size(); ++i) axes.push_back({dims[i], from[static_cast<size_t>(permutation[i])], to[i]});
  dispatch(x.ring(), [&](auto word) {
    using Word = decltype(word);
    copy<Word>(axes, x.as<Word>().data(), y.as<Word>().data());
  });
  return y;
}

RingTensor concat(const std::vector<const RingTensor*>& parts, int axis) {
  CHECK(!parts.empty(), "concat of nothing");
  Shape shape = parts[0]->shape();
  CHECK(axis >= 0 && axis < shape.rank(), "axis {} of {}", axis, to_string(shape));
  shape[axis] = 0;
  bool is_dry = false;
  for (const RingTensor* part : parts) {
    Shape expected = part->shape();
    if (axis < expected.rank()) expected[axis] = shape[axis];
    CHECK(expected == shape && part->ring() == parts[0]->ring(), "concat of {} and {} over axis {}",
          to_string(parts[0]->shape()), to_string(part->shape()), axis);
    shape[axis] += part->shape()[axis];
    is_dry |= part->is_dry();
  }
  RingTensor y = RingTensor::make(parts[0]->ring(), shape, is_dry);
  if (is_dry || y.elements() == 0) return y;
  int64_t outer = 1;
  for (int i = 0; i < axis; ++i) outer *= shape[i];
  const int64_t row = y.elements() / outer;
  dispatch(y.ring(), [&](auto word) {
    using Word = decltype(word);
    int64_t at = 0;
    for (const RingTensor* part : parts) {
      const int64_t width = part->elements() / outer;
      copy<Word>({{outer, width, row}, {width, 1, 1}}, part->as<Word>().data(), y.as<Word>().data() + at);
      at += width;
    }
  });
  return y;
}

RingTensor pad(const RingTensor& x, const std::vector<int64_t>& before, const std::vector<int64_t>& after) {
  Shape shape = x.shape();
  const auto rank = static_cast<size_t>(shape.rank());
  CHECK(before.size() == rank && after.size() == rank, "pad of {} with {} and {} extents", to_string(shape),
        before.size(), after.size());
  for (size_t i = 0; i < rank; ++i) {
    CHECK(before[i] >= 0 && after[i] >= 0, "a negative pad of axis {}; slice instead", i);
    shape[static_cast<int>(i)] += before[i] + after[i];
  }
  if (x.is_dry()) return RingTensor::dry(x.ring(), shape);
  RingTensor y = RingTensor::zeros(x.ring(), shape);
  if (x.elements() == 0) return y;
  const std::vector<int64_t> from = dense_strides(x.shape()), to = dense_strides(shape);
  std::vector<Axis> axes;
  int64_t start = 0;
  for (size_t i = 0; i < rank; ++i) {
    axes.push_back({x.shape()[static_cast<int>(i)], from[i], to[i]});
    start += before[i] * to[i];
  }
  dispatch(x.ring(), [&](auto word) {
    using Word = decltype(word);
    copy<Word>(axes, x.as<Word>().data(), y.as<Word>().data() + start);
  });
  return y;
}

RingTensor slice(const RingTensor& x, const std::vector<int64_t>& starts, const std::vector<int64_t>& steps,
                 const Shape& result) {
  const auto rank = static_cast<size_t>(x.shape().rank());
  CHECK(starts.size() == rank && steps.size() == rank && result.rank() == x.shape().rank(), "slice of {} to {}",
        to_string(x.shape()), to_string(result));
  RingTensor y = RingTensor::make(x.ring(), result, x.is_dry());
  if (y.elements() == 0) return y;
  const std::vector<int64_t> from = dense_strides(x.shape()), to = dense_strides(result);
  std::vector<Axis> axes;
  int64_t start = 0;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t extent = x.shape()[static_cast<int>(i)], count = result[static_cast<int>(i)];
    const int64_t last = starts[i] + (count - 1) * steps[i];
    CHECK(starts[i] >= 0 && starts[i] < extent && last >= 0 && last < extent, "slice {} to {} of axis {} of {}",
          starts[i], last, i, to_string(x.shape()));
    axes.push_back({count, from[i] * steps[i], to[i]});
    start += starts[i] * from[i];
  }
  if (y.is_dry()) return y;
  dispatch(x.ring(), [&](auto word) {
    using Word = decltype(word);
    copy<Word>(axes, x.as<Word>().data() + start, y.as<Word>().data());
  });
  return y;
}

RingTensor gather(const RingTensor& x, int axis, const std::vector<int64_t>& indices) {
  const int64_t extent = x.shape()[axis];
  for (int64_t index : indices) CHECK(index >= 0 && index < extent, "index {} of axis {}", index, axis);
  Shape shape = x.shape();
  shape[axis] = static_cast<int64_t>(indices.size());
  RingTensor y = RingTensor::make(x.ring(), shape, x.is_dry());
  if (y.is_dry() || y.elements() == 0) return y;
  int64_t inner = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  const int64_t outer = x.elements() / (inner * extent);
  dispatch(x.ring(), [&](auto word) {
    using Word = decltype(word);
    const Word* from = x.as<Word>().data();
    Word* to = y.as<Word>().data();
    for (int64_t i = 0; i < outer; ++i, from += extent * inner)
      for (int64_t index : indices) to = std::copy_n(from + index * inner, inner, to);
  });
  return y;
}

RingTensor gather_rows(const RingTensor& x, int64_t width, const std::vector<int64_t>& index) {
  CHECK(width > 0 && x.elements() % width == 0, "{} is not made of rows of {}", to_string(x.shape()), width);
  const int64_t rows = x.elements() / width;
  for (int64_t row : index) CHECK(row >= -1 && row < rows, "row {} of {}", row, rows);
  RingTensor y = RingTensor::make(x.ring(), {static_cast<int64_t>(index.size()), width}, x.is_dry());
  if (y.is_dry()) return y;
  dispatch(x.ring(), [&](auto word) {
    using Word = decltype(word);
    const size_t bytes = static_cast<size_t>(width) * sizeof(Word);
    Word* to = y.as<Word>().data();
    for (int64_t row : index) {
      if (row < 0) {
        std::memset(to, 0, bytes);
      } else {
        std::memcpy(to, x.as<Word>().data() + row * width, bytes);
      }
      to += width;
    }
  });
  return y;
}

}  // namespace treville
