// Convolutions and products run in oneDNN on the tensors where they lie; only weights are reordered to the layout its
// kernel likes. Paddings that oneDNN does not take are made explicit first.
#include "kernels/float_linear.h"

#include <omp.h>

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <utility>

#include "base/error.h"

namespace treville {
namespace {

using dnnl::memory;

memory::desc strided(const memory::dims& dims, const memory::dims& strides) {
  return memory::desc(dims, memory::data_type::f32, strides);
}

// view is oneDNN's memory over values that it will only read, or write if they are a result.
memory view(const memory::desc& desc, const dnnl::engine& engine, const std::vector<float>& values) {
  return memory(desc, engine, const_cast<float*>(values.data()));
}

// extent_of is how much input an axis of windows spans.
int64_t extent_of(int64_t out, int64_t stride, int64_t kernel, int64_t dilation) {
  return (out - 1) * stride + (kernel - 1) * dilation + 1;
}

// needs_explicit_padding: a pad as large as the kernel, or windows that end before the input does.
bool needs_explicit_padding(int64_t in, int64_t extent, int64_t pad, int64_t kernel_extent) {
  const int64_t after = extent - in - pad;
  return pad >= kernel_extent || after < 0 || after >= kernel_extent;
}

// pad_explicitly copies x into exactly the image that the windows cover, and takes the padding out of g.
FloatTensor pad_explicitly(ConvGeometry& g, const FloatTensor& x) {
  ConvGeometry padded = g;
  padded.in_h = extent_of(g.out_h, g.stride_h, g.kernel_h, g.dilation_h);
  padded.in_w = extent_of(g.out_w, g.stride_w, g.kernel_w, g.dilation_w);
  padded.pad_top = padded.pad_left = 0;
  FloatTensor y(input_shape(padded));
  const int64_t rows = std::min(g.in_h, padded.in_h - g.pad_top);
  const int64_t width = std::min(g.in_w, padded.in_w - g.pad_left) * g.in_c;
  const ConvGeometry given = std::exchange(g, padded);
  if (rows <= 0 || width <= 0) return y;
  for (int64_t b = 0; b < g.batch; ++b) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t to = ((b * g.in_h + row + given.pad_top) * g.in_w + given.pad_left) * g.in_c;
      std::copy_n(x.values.begin() + (b * given.in_h + row) * given.in_w * g.in_c, width, y.values.begin() + to);
    }
  }
  return y;
}

// OneThreadFor keeps oneDNN on this thread while a small map runs: waiting for each other costs its threads more than
// the work does, and most where something else runs beside.
class OneThreadFor {
 public:
  explicit OneThreadFor(int64_t macs) : threads_(omp_get_max_threads()) {
    constexpr int64_t kSmall = 8'000'000;
    if (macs < kSmall) omp_set_num_threads(1);
  }
  ~OneThreadFor() { omp_set_num_threads(threads_); }
  OneThreadFor(const OneThreadFor&) = delete;
  OneThreadFor& operator=(const OneThreadFor&) = delete;

 private:
  int threads_;
};

void run(const dnnl::primitive& primitive, const dnnl::engine& engine, std::unordered_map<int, memory> arguments) {
  dnnl::stream stream(engine);
  primitive.execute(stream, arguments);
  stream.wait();
}

FloatTensor convolve(const ConvGeometry& g, const FloatTensor& weight, const FloatTensor& x) {
  const int64_t in_group = g.in_c / g.groups, out_group = g.out_c / g.groups;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const auto image = [](int64_t batch, int64_t c, int64_t h, int64_t w) {
    return strided({batch, c, h, w}, {h * w * c, 1, w * c, c});
  };
  const memory::desc x_desc = image(g.batch, g.in_c, g.in_h, g.in_w);
  const memory::desc y_desc = image(g.batch, g.out_c, g.out_h, g.out_w);
  const memory::dims weight_dims = {g.groups, out_group, in_group, g.kernel_h, g.kernel_w};
  const memory::desc weight_desc =
      strided(weight_dims, {out_group, 1, g.out_c, g.kernel_w * in_group * g.out_c, in_group * g.out_c});
  const memory::desc any_weight(weight_dims, memory::data_type::f32, memory::format_tag::any);
  const dnnl::convolution_forward::desc operation(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x_desc, any_weight, y_desc,
      {g.stride_h, g.stride_w}, {g.dilation_h - 1, g.dilation_w - 1}, {g.pad_top, g.pad_left},
      {extent_of(g.out_h, g.stride_h, g.kernel_h, g.dilation_h) - g.in_h - g.pad_top,
       extent_of(g.out_w, g.stride_w, g.kernel_w, g.dilation_w) - g.in_w - g.pad_left});
  const dnnl::convolution_forward::primitive_desc chosen(operation, engine);

  FloatTensor y(output_shape(g));
  memory given = view(weight_desc, engine, weight.values), packed(chosen.weights_desc(), engine);
  run(dnnl::reorder(given, packed), engine, {{DNNL_ARG_FROM, given}, {DNNL_ARG_TO, packed}});
  run(dnnl::convolution_forward(chosen), engine,
      {{DNNL_ARG_SRC, view(x_desc, engine, x.values)},
       {DNNL_ARG_WEIGHTS, packed},
       {DNNL_ARG_DST, view(y_desc, engine, y.values)}});
  return y;
}

FloatTensor apply_map(const ConvGeometry& g, const FloatTensor& weight, const FloatTensor& x) {
  const bool odd = needs_explicit_padding(g.in_h, extent_of(g.out_h, g.stride_h, g.kernel_h, g.dilation_h), g.pad_top,
                                          extent_of(1, 1, g.kernel_h, g.dilation_h)) ||
                   needs_explicit_padding(g.in_w, extent_of(g.out_w, g.stride_w, g.kernel_w, g.dilation_w), g.pad_left,
                                          extent_of(1, 1, g.kernel_w, g.dilation_w));
  if (!odd) return convolve(g, weight, x);
  ConvGeometry padded = g;
  const FloatTensor image = pad_explicitly(padded, x);
  return convolve(padded, weight, image);
}

FloatTensor apply_map(const MatmulGeometry& g, const FloatTensor& weight, const FloatTensor& x) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const memory::desc a = strided({g.rows, g.inner}, {g.inner, 1}), b = strided({g.inner, g.cols}, {g.cols, 1});
  const memory::desc c = strided({g.rows, g.cols}, {g.cols, 1});
  const dnnl::matmul::primitive_desc chosen(dnnl::matmul::desc(a, b, c), engine);
  FloatTensor y(Shape{g.rows, g.cols});
  run(dnnl::matmul(chosen), engine,
      {{DNNL_ARG_SRC, view(a, engine, x.values)},
       {DNNL_ARG_WEIGHTS, view(b, engine, weight.values)},
       {DNNL_ARG_DST, view(c, engine, y.values)}});
  return y;
}

FloatTensor apply_map(const ChannelGeometry& g, const FloatTensor& weight, const FloatTensor& x) {
  FloatTensor y(Shape{g.outer, g.channels}, x.values);
  auto value = y.values.begin();
  for (int64_t o = 0; o < g.outer; ++o) {
    for (float w : weight.values) *value++ *= w;
  }
  return y;
}

}  // namespace

FloatTensor apply_float(const LinearMap& map, const FloatTensor& weight, const FloatTensor& x) {
  CHECK(weight.shape.elements() == weight_shape(map).elements() && x.shape.elements() == input_shape(map).elements(),
        "weight {} and input {} do not fit the map, which takes {} and {}", to_string(weight.shape), to_string(x.shape),
        to_string(weight_shape(map)), to_string(input_shape(map)));
  if (macs(map) == 0) return FloatTensor(output_shape(map));
  const OneThreadFor small(macs(map));
  try {
    return std::visit([&](const auto& g) { return apply_map(g, weight, x); }, map);
  } catch (const dnnl::error& error) {
    throw BugError(fmt::format("oneDNN refuses a map from {} to {}: {}", to_string(input_shape(map)),
                               to_string(output_shape(map)), error.what()));
  }
}

FloatTensor matmul_float(const FloatTensor& a, const FloatTensor& b) {
  CHECK(a.shape.rank() == 2 && b.shape.rank() == 2 && a.shape[1] == b.shape[0], "a product of {} and {}",
        to_string(a.shape), to_string(b.shape));
  return apply_float(MatmulGeometry{a.shape[0], a.shape[1], b.shape[1]}, b, a);
}

}  // namespace treville
