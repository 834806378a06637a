#include "ops/float_map.h"

#include <algorithm>

#include "ops/common.h"

namespace treville::ops {
namespace {

FloatTensor apply(const ConvGeometry& g, const FloatTensor& weight, const FloatTensor& x) {
  FloatTensor y(output_shape(LinearMap(g)));
  const int64_t group_in = g.in_c / g.groups, group_out = g.out_c / g.groups;
  size_t to = 0;
  for (int64_t n = 0; n < g.batch; ++n)
    for (int64_t oy = 0; oy < g.out_h; ++oy)
      for (int64_t ox = 0; ox < g.out_w; ++ox, to += static_cast<size_t>(g.out_c))
        for (int64_t ky = 0; ky < g.kernel_h; ++ky)
          for (int64_t kx = 0; kx < g.kernel_w; ++kx) {
            const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
            const int64_t ix = ox * g.stride_w - g.pad_left + kx * g.dilation_w;
            if (iy < 0 || iy >= g.in_h || ix < 0 || ix >= g.in_w) continue;
            const float* in = &x.values[static_cast<size_t>(((n * g.in_h + iy) * g.in_w + ix) * g.in_c)];
            for (int64_t c = 0; c < group_in; ++c) {
              const float* w = &weight.values[static_cast<size_t>(((ky * g.kernel_w + kx) * group_in + c) * g.out_c)];
              for (int64_t o = 0; o < g.out_c; ++o) y.values[to + static_cast<size_t>(o)] += in[o / group_out * group_in + c] * w[o];
            }
          }
  return y;
}

FloatTensor apply(const MatmulGeometry& g, const FloatTensor& weight, const FloatTensor& x) {
  FloatTensor y(Shape{g.rows, g.cols});
  for (int64_t r = 0; r < g.rows; ++r)
    for (int64_t i = 0; i < g.inner; ++i) {
      const float factor = x.values[static_cast<size_t>(r * g.inner + i)];
      for (int64_t c = 0; c < g.cols; ++c)
        y.values[static_cast<size_t>(r * g.cols + c)] += factor * weight.values[static_cast<size_t>(i * g.cols + c)];
    }
  return y;
}

FloatTensor apply(const ChannelGeometry& g, const FloatTensor& weight, const FloatTensor& x) {
  FloatTensor y(Shape{g.outer, g.channels}, x.values);
  for (size_t i = 0; i < y.values.size(); ++i) y.values[i] *= weight.values[i % weight.values.size()];
  return y;
}

}  // namespace

FloatTensor apply_float(const LinearMap& map, const FloatTensor& weight, const FloatTensor& x) {
  return std::visit([&](const auto& geometry) { return apply(geometry, weight, x); }, map);
}

Interval range_of_product(const FloatTensor& weight, const Interval& x, const FloatTensor* bias) {
  const int rank = weight.shape.rank();
  const auto outputs = static_cast<size_t>(rank == 0 ? 1 : weight.shape[rank - 1]);
  std::vector<Interval> sums(outputs);
  for (size_t i = 0; i < weight.values.size(); ++i) {
    const double w = weight.values[i];
    sums[i % outputs] = plus(sums[i % outputs], times(x, {w, w}));
  }
  for (size_t o = 0; bias && o < outputs; ++o) {
    const double b = bias->values[o];
    sums[o] = plus(sums[o], {b, b});
  }
  Interval all = sums.empty() ? Interval{} : sums[0];
  for (const Interval& sum : sums) all = hull(all, sum);
  return all;
}

}  // namespace treville::ops
