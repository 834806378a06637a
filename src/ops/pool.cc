// MaxPool and AveragePool. TensorFlow's SAME average and ONNX's without count_include_pad divide by the elements of the
// window that lie in the image; count_include_pad counts the model's own padding too, but never what ceil_mode adds.
#include <algorithm>
#include <limits>

#include "ops/lowering.h"
#include "ops/ops.h"
#include "ops/windows.h"

namespace treville::ops {
namespace {

const Ints kNoPads = {0, 0, 0, 0};

// Precision of round(2^bits / count): relative 2^-kAverageBits, at least 2^-kFewestAverageBits.
constexpr int kAverageBits = 10;
constexpr int kFewestAverageBits = 6;

void resolve_kernel(InferContext& context, const ImageShape& image) {
  Node& node = context.node();
  if (node.get_int("global", 0) != 0) {
    node.attributes["kernel"] = Ints{image.height, image.width};
    for (const char* key : {"global", "strides", "dilations", "pads", "auto_pad", "ceil_mode"})
      node.attributes.erase(key);
  }
  const Ints kernel = node.get_ints("kernel");
  if (kernel.size() != 2) context.fail(fmt::format("kernel is {}, expected two numbers", to_string(Shape(kernel))));
  resolve_window(context, image, kernel[0], kernel[1]);
}

void infer(InferContext& context) {
  check_inputs(context, 1, 1);
  const ImageShape image = read_image(context);
  resolve_kernel(context, image);
  const PoolGeometry g = pool_geometry(context.node(), context.shape(0));
  const TapCounts counts = tap_counts(g, kNoPads);
  const bool has_empty = std::count(counts.rows.begin(), counts.rows.end(), 0) +
                             std::count(counts.columns.begin(), counts.columns.end(), 0) >
                         0;
  if (has_empty) {
    context.fail(fmt::format("a window of {} x {} over {} lies in padding {} alone", g.kernel_h, g.kernel_w,
                             to_string(context.shape(0)), to_string(Shape(context.node().get_ints("pads")))));
  }
  context.results = {image_shape(context.node(), {g.batch, g.out_h, g.out_w, g.channels})};
}

// pool_windows calls f(output element, input element) for every element of every window, and sets outputs to `start`.
template <class F>
FloatTensor pool_windows(const PoolGeometry& g, const FloatTensor& x, float start, F f) {
  FloatTensor y(treville::output_shape(g));
  std::fill(y.values.begin(), y.values.end(), start);
  float* to = y.values.data();
  for (int64_t n = 0; n < g.batch; ++n)
    for (int64_t oy = 0; oy < g.out_h; ++oy)
      for (int64_t ox = 0; ox < g.out_w; ++ox, to += g.channels)
        for (int64_t ky = 0; ky < g.kernel_h; ++ky)
          for (int64_t kx = 0; kx < g.kernel_w; ++kx) {
            const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
            const int64_t ix = ox * g.stride_w - g.pad_left + kx * g.dilation_w;
            if (iy < 0 || iy >= g.in_h || ix < 0 || ix >= g.in_w) continue;
            const float* from = x.values.data() + ((n * g.in_h + iy) * g.in_w + ix) * g.channels;
            for (int64_t c = 0; c < g.channels; ++c) f(to[c], from[c]);
          }
  return y;
}

std::vector<Constant> evaluate_max(const Graph&, const Node& node, Inputs inputs) {
  const FloatTensor& x = floats(inputs[0]);
  FloatTensor y = pool_windows(pool_geometry(node, x.shape), to_nhwc(node, x), -std::numeric_limits<float>::infinity(),
                               [](float& largest, float value) { largest = std::max(largest, value); });
  return one(from_nhwc(node, std::move(y)));
}

bool counts_pads(const Node& node) { return node.get_int("count_include_pad", 0) != 0; }

// own_pads is the padding that the divisor counts.
Ints own_pads(const Node& node) {
  return counts_pads(node) ? node.get_ints("explicit_pads", node.get_ints("pads", kNoPads)) : kNoPads;
}

std::vector<Constant> evaluate_average(const Graph&, const Node& node, Inputs inputs) {
  const FloatTensor& x = floats(inputs[0]);
  const PoolGeometry g = pool_geometry(node, x.shape);
  FloatTensor y = pool_windows(g, to_nhwc(node, x), 0, [](float& sum, float value) { sum += value; });
  const TapCounts counts = tap_counts(g, own_pads(node));
  walk(Shape{g.batch, g.out_h, g.out_w, g.channels}, 0, {0, g.out_w, 1, 0}, [&](size_t i, size_t window) {
    const auto columns = static_cast<size_t>(g.out_w);
    y.values[i] /= static_cast<float>(counts.rows[window / columns] * counts.columns[window % columns]);
  });
  return one(from_nhwc(node, std::move(y)));
}

Interval range_average(const RangeContext& context) {
  const bool counts_zeros = own_pads(context.node) != kNoPads;
  return counts_zeros ? hull(context.inputs[0], {0, 0}) : context.inputs[0];
}

PoolGeometry geometry(LowerContext& context) {
  CHECK(!is_nchw(context.node()), "a pool is still NCHW");
  return pool_geometry(context.node(), context.input_shape(0));
}

void lower_max(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const auto t = context.truncation(x, LowerContext::Use::kMaximum);
  context.set_result(context.emit(MaxPoolStep{x, geometry(context), t.truncate, t.k}));
}

// pad_counted makes the padding that the divisor counts part of the image, so that only uncounted padding is left.
SlotId pad_counted(LowerContext& context, SlotId x, PoolGeometry& g, const Ints& own) {
  const double bound = context.type(x).bound;
  x = context.emit(PadStep{x, {0, own[0], own[1], 0}, {0, own[2], own[3], 0}}, bound);
  g.in_h += own[0] + own[2];
  g.in_w += own[1] + own[3];
  g.pad_top -= own[0];
  g.pad_left -= own[1];
  return x;
}

// divide_by_linear multiplies the sums by a constant of one factor for each window.
void divide_by_linear(LowerContext& context, SlotId sums, const PoolGeometry& g) {
  const TapCounts counts = tap_counts(g, kNoPads);
  FloatTensor factor(Shape{g.out_h * g.out_w * g.channels});
  walk(Shape{g.out_h, g.out_w, g.channels}, 0, {g.out_w, 1, 0}, [&](size_t i, size_t window) {
    const auto columns = static_cast<size_t>(g.out_w);
    factor.values[i] = 1 / static_cast<float>(counts.rows[window / columns] * counts.columns[window % columns]);
  });
  finish(context, scale_channels(context, sums, factor, nullptr));
}

void lower_average(LowerContext& context) {
  PoolGeometry g = geometry(context);
  const Ints own = own_pads(context.node());
  SlotId x = with_room(context, require_secret(context, 0), g.kernel_h * g.kernel_w);
  if (const int64_t count = tap_counts(g, own).uniform())
    return context.set_result(context.emit(SumPoolStep{x, g, Bits(0), count}));
  if (own != kNoPads) x = pad_counted(context, x, g, own);
  int count_bits = 0;
  while (int64_t{1} << count_bits < g.kernel_h * g.kernel_w) ++count_bits;
  // The average times 2^bits must fit the modulus, with a sign and a bit for the rounded factor.
  const SlotType& type = context.type(x);
  const int room = type.modulus.value() - 2 - integer_bits(type);
  if (room >= count_bits + kFewestAverageBits) {
    const Bits bits(std::min(room, count_bits + kAverageBits));
    return context.set_result(context.emit(SumPoolStep{x, g, bits, 1}));
  }
  const double bound = type.bound * static_cast<double>(g.kernel_h * g.kernel_w);
  divide_by_linear(context, context.emit(SumPoolStep{x, g, Bits(0), 1}, bound), g);
}

}  // namespace

constinit const OpDef kMaxPool{"MaxPool", infer, evaluate_max, same_range, lower_max};
constinit const OpDef kAveragePool{"AveragePool", infer, evaluate_average, range_average, lower_average};

}  // namespace treville::ops
