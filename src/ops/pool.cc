// MaxPool and AveragePool. TensorFlow's SAME average and ONNX's without count_include_pad divide by the elements of the
// window that lie in the image; count_include_pad counts the model's own padding too, but never what ceil_mode adds.
#include <algorithm>
#include <limits>

#include "ops/lowering.h"
#include "ops/ops.h"
#include "ops/windows.h"

namespace treville::ops {
namespace {

// Precision of round(2^bits / count): relative 2^-kAverageBits, at least 2^-kFewestAverageBits.
constexpr int kAverageBits = 10;
constexpr int kFewestAverageBits = 6;

void resolve_kernel(InferContext& context, const ImageShape& image) {
  Node& node = context.node();
  if (node.get_int("global", 0) != 0) {
    node.attributes["kernel"] = image.spatial;
    for (const char* key : {"global", "strides", "dilations", "pads", "auto_pad", "ceil_mode"})
      node.attributes.erase(key);
  }
  resolve_window(context, image, node.get_ints("kernel"));
}

WindowGeometry pool_of(const Node& node, const Shape& x) { return window_of(node, x, node.get_ints("kernel")); }

Ints no_pads(const WindowGeometry& w) { return Ints(2 * w.dims(), 0); }

void infer(InferContext& context) {
  check_inputs(context, 1, 1);
  resolve_kernel(context, read_image(context));
  const WindowGeometry w = pool_of(context.node(), context.shape(0));
  for (const Ints& along : tap_counts(w, no_pads(w)).counts) {
    if (std::count(along.begin(), along.end(), 0) == 0) continue;
    context.fail(fmt::format("a window of {} over {} lies in padding {} alone", to_string(Shape(w.kernel)),
                             to_string(context.shape(0)), to_string(Shape(context.node().get_ints("pads")))));
  }
  context.results = {image_shape(context.node(), {w.batch, w.out, w.channels})};
}

// A window over planes is one over rows and columns, and then one over the depth of what that gave: of a maximum and,
// since an average's divisor is a product of one count for each dimension, of an average too. Each is a window of rows
// and columns over a tensor of another shape.
struct Stage {
  WindowGeometry window;
  Shape in, out;
};

std::vector<Stage> stages_of(const WindowGeometry& w) {
  if (w.dims() < 3) {
    const PoolGeometry g = plane(w, w.batch);
    return {{w, treville::input_shape(g), treville::output_shape(g)}};
  }
  const auto part = [&](size_t first, size_t count) {
    const auto cut = [&](const Ints& list) {
      const auto from = list.begin() + static_cast<std::ptrdiff_t>(first);
      return Ints(from, from + static_cast<std::ptrdiff_t>(count));
    };
    return WindowGeometry{w.batch,       w.channels,     cut(w.in),        cut(w.out),
                          cut(w.kernel), cut(w.strides), cut(w.dilations), cut(w.before)};
  };
  WindowGeometry rows = part(1, 2), depth = part(0, 1);
  rows.batch = w.batch * w.in[0];
  depth.channels = rows.out[0] * rows.out[1] * w.channels;
  // The depth goes by columns: [batch, 1, depth, rest].
  std::vector<Stage> stages;
  for (const WindowGeometry& stage : {rows, depth}) {
    const PoolGeometry g = plane(stage, stage.batch);
    stages.push_back({stage, treville::input_shape(g), treville::output_shape(g)});
  }
  if (depth.kernel[0] == 1 && depth.strides[0] == 1 && depth.in == depth.out) stages.pop_back();
  return stages;
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

std::vector<Constant> evaluate_max(const Graph& graph, const Node& node, Inputs inputs) {
  FloatTensor y = to_nhwc(node, floats(inputs[0]));
  for (const Stage& stage : stages_of(pool_of(node, floats(inputs[0]).shape))) {
    y = pool_windows(plane(stage.window, stage.window.batch), y, -std::numeric_limits<float>::infinity(),
                     [](float& largest, float value) { largest = std::max(largest, value); });
  }
  const ImageShape image = image_of(node, output_shape(graph, node));
  y.shape = image_shape(Node{}, image);
  return one(from_nhwc(node, std::move(y)));
}

bool counts_pads(const Node& node) { return node.get_int("count_include_pad", 0) != 0; }

// own_pads is the padding that the divisor counts, all befores and all afters.
Ints own_pads(const Node& node, const WindowGeometry& w) {
  return counts_pads(node) ? node.get_ints("explicit_pads", node.get_ints("pads", no_pads(w))) : no_pads(w);
}

// own_pads_of picks those of a stage: the last dimensions for rows and columns, the first for the depth.
Ints own_pads_of(const Ints& all, const WindowGeometry& stage, bool is_last) {
  const size_t dims = all.size() / 2, first = is_last ? 0 : dims - stage.dims();
  Ints own;
  for (size_t side : {size_t{0}, dims})
    for (size_t i = 0; i < stage.dims(); ++i) own.push_back(all[side + first + i]);
  return own;
}

// column_counts and row_counts of a stage, height 1 where there is one dimension.
Ints row_counts(const TapCounts& taps) { return taps.counts.size() > 1 ? taps.counts[0] : Ints{1}; }
const Ints& column_counts(const TapCounts& taps) { return taps.counts.back(); }

// divisors gives the number of elements of each window of a stage: [out_h, out_w].
FloatTensor divisors(const WindowGeometry& stage, const Ints& own) {
  const TapCounts taps = tap_counts(stage, own);
  const Ints rows = row_counts(taps);
  const Ints& columns = column_counts(taps);
  FloatTensor result(Shape{static_cast<int64_t>(rows.size()), static_cast<int64_t>(columns.size())});
  for (size_t i = 0; i < result.values.size(); ++i)
    result.values[i] = static_cast<float>(rows[i / columns.size()] * columns[i % columns.size()]);
  return result;
}

std::vector<Constant> evaluate_average(const Graph& graph, const Node& node, Inputs inputs) {
  const WindowGeometry w = pool_of(node, floats(inputs[0]).shape);
  const Ints own = own_pads(node, w);
  const std::vector<Stage> stages = stages_of(w);
  FloatTensor y = to_nhwc(node, floats(inputs[0]));
  for (size_t i = 0; i < stages.size(); ++i) {
    const WindowGeometry& stage = stages[i].window;
    y = pool_windows(plane(stage, stage.batch), y, 0, [](float& sum, float value) { sum += value; });
    const FloatTensor counts = divisors(stage, own_pads_of(own, stage, i > 0));
    walk(y.shape, 0, {0, counts.shape[1], 1, 0},
         [&](size_t to, size_t window) { y.values[to] /= counts.values[window]; });
  }
  y.shape = image_shape(Node{}, image_of(node, output_shape(graph, node)));
  return one(from_nhwc(node, std::move(y)));
}

Interval range_average(const RangeContext& context) {
  const Ints pads = counts_pads(context.node) ? context.node.get_ints("explicit_pads") : Ints{};
  const bool counts_zeros = std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
  return counts_zeros ? hull(context.inputs[0], {0, 0}) : context.inputs[0];
}

WindowGeometry geometry(LowerContext& context) {
  CHECK(!is_nchw(context.node()), "a pool is still NCHW");
  return pool_of(context.node(), context.input_shape(0));
}

void lower_max(LowerContext& context) {
  SlotId x = require_secret(context, 0);
  const double bound = context.type(x).bound;
  const std::vector<Stage> stages = stages_of(geometry(context));
  for (size_t i = 0; i < stages.size(); ++i) {
    x = reshape(context, x, stages[i].in);
    // A maximum of maxima opens no wider a value and truncates nothing more.
    const auto t = i == 0 ? context.truncation(x, LowerContext::Use::kMaximum)
                          : LowerContext::Truncation{Bits(0), context.type(x).modulus - Bits(1), context.type(x).scale};
    const MaxPoolStep step{x, plane(stages[i].window, stages[i].window.batch), t.truncate, t.k};
    // A maximum is no larger than its operand, whatever margin its own range got: it is known modulo no more bits.
    x = context.emit(step, i + 1 < stages.size() ? bound : std::min(bound, context.result_bound()));
  }
  finish(context, x);
}

// pad_counted makes the padding that the divisor counts part of the image, so that only uncounted padding is left.
SlotId pad_counted(LowerContext& context, SlotId x, PoolGeometry& g, const Ints& own) {
  const size_t dims = own.size() / 2;
  const int64_t top = dims > 1 ? own[0] : 0, bottom = dims > 1 ? own[dims] : 0;
  const int64_t left = own[dims - 1], right = own[2 * dims - 1];
  const double bound = context.type(x).bound;
  x = context.emit(PadStep{x, {0, top, left, 0}, {0, bottom, right, 0}}, bound);
  g.in_h += top + bottom;
  g.in_w += left + right;
  g.pad_top -= top;
  g.pad_left -= left;
  return x;
}

// divide_by_linear multiplies the sums by a constant of one factor for each window.
SlotId divide_by_linear(LowerContext& context, SlotId sums, const PoolGeometry& g, const FloatTensor& counts) {
  FloatTensor factor(Shape{g.out_h * g.out_w * g.channels});
  walk(Shape{g.out_h, g.out_w, g.channels}, 0, {g.out_w, 1, 0},
       [&](size_t i, size_t window) { factor.values[i] = 1 / counts.values[window]; });
  return scale_channels(context, sums, factor, nullptr);
}

bool has_pads(const Ints& pads) {
  return std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
}

int bits_for(int64_t count) {
  int bits = 0;
  while (int64_t{1} << bits < count) ++bits;
  return bits;
}

// average_stage gives the averages over one window of rows and columns, with the given bound. `later` elements of the
// result are summed afterwards.
SlotId average_stage(LowerContext& context, SlotId x, const WindowGeometry& window, const Ints& own, double bound,
                     int64_t later) {
  PoolGeometry g = plane(window, window.batch);
  const int64_t taps = g.kernel_h * g.kernel_w;
  x = with_room(context, x, taps);
  const double largest_sum = context.type(x).bound * static_cast<double>(taps);
  if (const int64_t count = tap_counts(window, own).uniform()) {
    if (count == 1 || !is_power_of_two(count)) return context.emit(SumPoolStep{x, g, Bits(0), count}, bound);
    return divided(context, context.emit(SumPoolStep{x, g, Bits(0), 1}, largest_sum), count, bound);
  }
  const FloatTensor counts = divisors(window, own);
  if (has_pads(own)) x = pad_counted(context, x, g, own);
  const int count_bits = bits_for(taps);
  // The average times 2^bits must fit the modulus, with a sign and a bit for the rounded factor.
  const SlotType& summed = context.type(x);
  const int within_plan = context.scale_limit() - summed.scale.value() - bits_for(summed.divisor);
  const int room = std::min(summed.modulus.value() - 2 - integer_bits(summed), within_plan) - bits_for(later);
  if (room >= count_bits + kFewestAverageBits) {
    const Bits bits(std::min(room, count_bits + kAverageBits));
    return context.emit(SumPoolStep{x, g, bits, 1}, bound);
  }
  x = with_room(context, x, 2 * taps);  // the sums are masked
  return divide_by_linear(context, context.emit(SumPoolStep{x, g, Bits(0), 1}, largest_sum), g, counts);
}

void lower_average(LowerContext& context) {
  const WindowGeometry w = geometry(context);
  const Ints own = own_pads(context.node(), w);
  const std::vector<Stage> stages = stages_of(w);
  SlotId x = require_secret(context, 0);
  const double bound = context.type(x).bound;
  for (size_t i = 0; i < stages.size(); ++i) {
    // An average is no larger than its operands, whatever margin its own range got.
    const bool is_last = i + 1 == stages.size();
    const double own_bound = is_last ? std::min(bound, context.result_bound()) : bound;
    const int64_t later = is_last ? 1 : w.kernel[0];
    const Ints counted = own_pads_of(own, stages[i].window, i > 0);
    x = average_stage(context, reshape(context, x, stages[i].in), stages[i].window, counted, own_bound, later);
  }
  finish(context, x);
}

}  // namespace

constinit const OpDef kMaxPool{"MaxPool", infer, evaluate_max, same_range, lower_max};
constinit const OpDef kAveragePool{"AveragePool", infer, evaluate_average, range_average, lower_average};

}  // namespace treville::ops
