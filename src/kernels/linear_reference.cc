// The definition of every linear map: plain loops in the order of the formula. Targets and tricks are tested against
// it, so nothing here is clever.
#include <algorithm>

#include "kernels/linear.h"

namespace treville {
namespace {

template <class Word>
void apply_map(const ConvGeometry& g, const Word* weight, const Word* x, Word* y) {
  const int64_t in_group = g.in_c / g.groups, out_group = g.out_c / g.groups;
  for (int64_t b = 0; b < g.batch; ++b, x += g.in_h * g.in_w * g.in_c) {
    for (int64_t out_y = 0; out_y < g.out_h; ++out_y) {
      for (int64_t out_x = 0; out_x < g.out_w; ++out_x, y += g.out_c) {
        for (int64_t tap = 0; tap < g.kernel_h * g.kernel_w; ++tap) {
          const int64_t in_y = out_y * g.stride_h - g.pad_top + tap / g.kernel_w * g.dilation_h;
          const int64_t in_x = out_x * g.stride_w - g.pad_left + tap % g.kernel_w * g.dilation_w;
          if (in_y < 0 || in_y >= g.in_h || in_x < 0 || in_x >= g.in_w) continue;
          const Word* pixel = x + (in_y * g.in_w + in_x) * g.in_c;
          for (int64_t c = 0; c < in_group; ++c) {
            const Word* row = weight + (tap * in_group + c) * g.out_c;
            for (int64_t o = 0; o < g.out_c; ++o) y[o] += pixel[o / out_group * in_group + c] * row[o];
          }
        }
      }
    }
  }
}

template <class Word>
void apply_map(const MatmulGeometry& g, const Word* weight, const Word* x, Word* y) {
  for (int64_t r = 0; r < g.rows; ++r, x += g.inner, y += g.cols) {
    for (int64_t k = 0; k < g.inner; ++k) {
      for (int64_t c = 0; c < g.cols; ++c) y[c] += x[k] * weight[k * g.cols + c];
    }
  }
}

template <class Word>
void apply_map(const ChannelGeometry& g, const Word* weight, const Word* x, Word* y) {
  for (int64_t i = 0; i < g.outer * g.channels; ++i) y[i] += x[i] * weight[i % g.channels];
}

}  // namespace

RingTensor apply_reference(const LinearMap& map, const RingTensor& weight, const RingTensor& x) {
  CHECK(x.ring() == weight.ring(), "operands have different rings");
  CHECK(weight.elements() == weight_shape(map).elements() && x.elements() == input_shape(map).elements(),
        "weight {} and input {} do not fit the map", to_string(weight.shape()), to_string(x.shape()));
  if (x.is_dry() || weight.is_dry()) return RingTensor::dry(x.ring(), output_shape(map));
  RingTensor y = RingTensor::zeros(x.ring(), output_shape(map));
  dispatch(x.ring(), [&](auto word) {
    using Word = decltype(word);
    std::visit([&](const auto& g) { apply_map(g, weight.as<Word>().data(), x.as<Word>().data(), y.as<Word>().data()); },
               map);
  });
  return y;
}

}  // namespace treville
