#include "ops/convolution.h"

#include <algorithm>

#include "kernels/float_linear.h"

namespace treville::ops {
namespace {

// weight_plane is the weight of one kernel depth, [kernel_h, kernel_w, in/groups, out].
FloatTensor weight_plane(const Convolution& conv, const ConvGeometry& g, int64_t depth) {
  const Shape shape = weight_shape(LinearMap(g));
  const auto first = conv.weight.values.begin() + depth * shape.elements();
  return FloatTensor(shape, std::vector<float>(first, first + shape.elements()));
}

void add_bias(FloatTensor& y, const FloatTensor* bias) {
  if (bias == nullptr) return;
  for (size_t i = 0; i < y.values.size(); ++i) y.values[i] += bias->values[i % bias->values.size()];
}

// convolve_planes adds, for every output plane, the convolutions of the input planes its kernel meets.
FloatTensor convolve_planes(const Convolution& conv, const FloatTensor& x) {
  const WindowGeometry& w = conv.window;
  const ConvGeometry g = conv_plane(w, 1, conv.out_channels(), conv.groups);
  FloatTensor y(conv.result());
  const auto in_size = treville::input_shape(LinearMap(g)).elements();
  const auto out_size = treville::output_shape(LinearMap(g)).elements();
  for (int64_t k = 0; k < w.kernel[0]; ++k) {
    const FloatTensor weight = weight_plane(conv, g, k);
    for (int64_t o = 0; o < w.batch * w.out[0]; ++o) {
      const int64_t from = o % w.out[0] * w.strides[0] - w.before[0] + k * w.dilations[0];
      if (from < 0 || from >= w.in[0]) continue;
      const auto first = x.values.begin() + (o / w.out[0] * w.in[0] + from) * in_size;
      const FloatTensor image(treville::input_shape(LinearMap(g)), std::vector<float>(first, first + in_size));
      const FloatTensor part = apply_float(g, weight, image);
      float* to = y.values.data() + o * out_size;
      for (size_t i = 0; i < part.values.size(); ++i) to[i] += part.values[i];
    }
  }
  return y;
}

// padded_depth puts zero planes around x, so that every kernel plane meets whole planes.
SlotId padded_depth(LowerContext& context, const WindowGeometry& w, SlotId x) {
  const int64_t last = (w.out[0] - 1) * w.strides[0] + (w.kernel[0] - 1) * w.dilations[0] - w.before[0];
  const int64_t after = std::max<int64_t>(0, last - w.in[0] + 1);
  if (w.before[0] == 0 && after == 0) return x;
  const double bound = context.type(x).bound;
  return context.emit(PadStep{x, {0, w.before[0], 0, 0, 0}, {0, after, 0, 0, 0}}, bound);
}

}  // namespace

Shape Convolution::result() const {
  Ints dims = {window.batch};
  dims.insert(dims.end(), window.out.begin(), window.out.end());
  dims.push_back(out_channels());
  return Shape(dims);
}

FloatTensor convolve_float(const Convolution& conv, const FloatTensor& x) {
  const WindowGeometry& w = conv.window;
  FloatTensor y;
  if (w.dims() < 3) {
    const ConvGeometry g = conv_plane(w, w.batch, conv.out_channels(), conv.groups);
    y = apply_float(g, FloatTensor(weight_shape(LinearMap(g)), conv.weight.values), x);
    y.shape = conv.result();
  } else {
    y = convolve_planes(conv, x);
  }
  add_bias(y, conv.bias);
  return y;
}

SlotId lower_convolution(LowerContext& context, const Convolution& conv, SlotId x) {
  const WindowGeometry& w = conv.window;
  const bool has_depth = w.dims() == 3;
  const ConvGeometry g = conv_plane(w, w.batch * (has_depth ? w.out[0] : 1), conv.out_channels(), conv.groups);
  const Shape image = treville::input_shape(LinearMap(g));
  std::vector<LowerContext::Term> terms;
  if (!has_depth) {
    terms.push_back({reshape(context, x, image), g, FloatTensor(weight_shape(LinearMap(g)), conv.weight.values)});
  } else {
    x = padded_depth(context, w, context.masked(x, conv.weight));
    const double bound = context.type(x).bound;
    for (int64_t k = 0; k < w.kernel[0]; ++k) {
      const Shape met{w.batch, w.out[0], w.in[1], w.in[2], w.channels};
      const SliceStep planes{x, {0, k * w.dilations[0], 0, 0, 0}, {1, w.out[0] > 1 ? w.strides[0] : 1, 1, 1, 1}, met};
      const bool is_whole = met == context.type(x).shape;
      terms.push_back(
          {reshape(context, is_whole ? x : context.emit(planes, bound), image), g, weight_plane(conv, g, k)});
    }
  }
  return reshape(context, context.linear(std::move(terms), conv.bias), conv.result());
}

void check_groups(const InferContext& context, int64_t groups, int64_t in_channels, int64_t out_channels) {
  if (groups >= 1 && in_channels % groups == 0 && out_channels % groups == 0) return;
  context.fail(fmt::format("{} groups do not divide {} input channels and {} output channels", groups, in_channels,
                           out_channels));
}

}  // namespace treville::ops
