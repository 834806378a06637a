#include "ops/windows.h"

#include <algorithm>

namespace treville::ops {
namespace {

const Ints kToNhwc = {0, 2, 3, 1};
const Ints kToNchw = {0, 3, 1, 2};

// Axis is one direction of a window.
struct Axis {
  int64_t extent, kernel, stride, dilation, before, after;
  int64_t span() const { return (kernel - 1) * dilation + 1; }
  int64_t out() const { return (extent + before + after - span()) / stride + 1; }
};

Ints read_numbers(InferContext& context, const std::string& key, size_t count, int64_t least, Ints otherwise) {
  Ints values = context.node().get_ints(key, otherwise);
  const bool fits = values.size() == count && *std::min_element(values.begin(), values.end()) >= least;
  if (!fits) {
    context.fail(
        fmt::format("{} is {}, expected {} numbers of at least {}", key, to_string(Shape(values)), count, least));
  }
  return values;
}

// pad_same: the output has ceil(extent / stride) positions; the odd element of padding goes behind ("same_upper") or
// in front ("same_lower").
void pad_same(Axis& axis, bool upper) {
  const int64_t out = (axis.extent + axis.stride - 1) / axis.stride;
  const int64_t total = std::max<int64_t>(0, (out - 1) * axis.stride + axis.span() - axis.extent);
  axis.before = upper ? total / 2 : total - total / 2;
  axis.after = total - axis.before;
}

// pad_for_ceil replaces the padding behind by what a last, partial window needs.
void pad_for_ceil(Axis& axis) {
  const int64_t room = axis.extent + axis.before + axis.after - axis.span();
  int64_t out = (room + axis.stride - 1) / axis.stride + 1;
  if ((out - 1) * axis.stride >= axis.extent + axis.before) --out;
  axis.after = std::max<int64_t>(0, (out - 1) * axis.stride + axis.span() - axis.extent - axis.before);
}

void resolve_axis(InferContext& context, const std::string& auto_pad, Axis& axis) {
  if (auto_pad == "same_upper" || auto_pad == "same_lower") {
    pad_same(axis, auto_pad == "same_upper");
    return;
  }
  if (auto_pad == "valid") axis.before = axis.after = 0;
  if (axis.extent + axis.before + axis.after < axis.span()) {
    context.fail(
        fmt::format("a kernel of extent {} (dilation included) does not fit an input of extent {} with padding {} "
                    "and {}",
                    axis.span(), axis.extent, axis.before, axis.after));
  }
}

int64_t count_inside(int64_t first, int64_t kernel, int64_t dilation, int64_t low, int64_t high) {
  int64_t count = 0;
  for (int64_t tap = 0; tap < kernel; ++tap) {
    const int64_t at = first + tap * dilation;
    if (at >= low && at < high) ++count;
  }
  return count;
}

bool all_equal(const Ints& values) {
  return std::all_of(values.begin(), values.end(), [&](int64_t value) { return value == values[0]; });
}

}  // namespace

bool is_nchw(const Node& node) { return node.get_string("layout", "NHWC") == "NCHW"; }

ImageShape image_of(const Node& node, const Shape& s) {
  return is_nchw(node) ? ImageShape{s[0], s[2], s[3], s[1]} : ImageShape{s[0], s[1], s[2], s[3]};
}

Shape image_shape(const Node& node, const ImageShape& i) {
  return is_nchw(node) ? Shape{i.batch, i.channels, i.height, i.width} : Shape{i.batch, i.height, i.width, i.channels};
}

ImageShape read_image(InferContext& context) {
  const std::string layout = context.node().get_string("layout", "NHWC");
  if (layout != "NHWC" && layout != "NCHW") context.fail(fmt::format("layout \"{}\" is not NHWC or NCHW", layout));
  const Shape& shape = context.shape(0);
  if (shape.rank() != 4)
    context.fail(fmt::format("expected an image of rank 4 ({}), found {}", layout, to_string(shape)));
  if (context.dtype(0) != DType::kFloat) context.fail("expected a float image, found integers");
  return image_of(context.node(), shape);
}

FloatTensor to_nhwc(const Node& node, const FloatTensor& x) { return is_nchw(node) ? transpose(x, kToNhwc) : x; }

FloatTensor from_nhwc(const Node& node, FloatTensor y) { return is_nchw(node) ? transpose(y, kToNchw) : std::move(y); }

void resolve_window(InferContext& context, const ImageShape& image, int64_t kernel_h, int64_t kernel_w) {
  Node& node = context.node();
  const std::string auto_pad = node.get_string("auto_pad", "explicit");
  if (auto_pad != "explicit" && auto_pad != "valid" && auto_pad != "same_upper" && auto_pad != "same_lower")
    context.fail(fmt::format("auto_pad \"{}\" is not explicit, valid, same_upper or same_lower", auto_pad));
  if (kernel_h < 1 || kernel_w < 1) context.fail(fmt::format("the kernel is {} x {}", kernel_h, kernel_w));
  const Ints strides = read_numbers(context, "strides", 2, 1, {1, 1});
  const Ints dilations = read_numbers(context, "dilations", 2, 1, {1, 1});
  const Ints pads = read_numbers(context, "pads", 4, 0, {0, 0, 0, 0});
  Axis rows{image.height, kernel_h, strides[0], dilations[0], pads[0], pads[2]};
  Axis columns{image.width, kernel_w, strides[1], dilations[1], pads[1], pads[3]};
  const bool ceil_mode = node.get_int("ceil_mode", 0) != 0;
  resolve_axis(context, auto_pad, rows);
  resolve_axis(context, auto_pad, columns);
  const bool is_pool = node.op != "Conv";
  if (is_pool && !node.has("explicit_pads"))
    node.attributes["explicit_pads"] = Ints{rows.before, columns.before, rows.after, columns.after};
  if (ceil_mode && auto_pad != "same_upper" && auto_pad != "same_lower") {
    pad_for_ceil(rows);
    pad_for_ceil(columns);
  }
  node.attributes["strides"] = strides;
  node.attributes["dilations"] = dilations;
  node.attributes["pads"] = Ints{rows.before, columns.before, rows.after, columns.after};
  node.attributes["auto_pad"] = std::string("explicit");
  if (is_pool) node.attributes["ceil_mode"] = int64_t{0};
}

ConvGeometry conv_geometry(const Node& node, const Shape& x, const Shape& weight) {
  const ImageShape image = image_of(node, x);
  const Ints strides = node.get_ints("strides", {1, 1}), dilations = node.get_ints("dilations", {1, 1});
  const Ints pads = node.get_ints("pads", {0, 0, 0, 0});
  const Axis rows{image.height, weight[0], strides[0], dilations[0], pads[0], pads[2]};
  const Axis columns{image.width, weight[1], strides[1], dilations[1], pads[1], pads[3]};
  ConvGeometry g;
  g.batch = image.batch;
  g.in_h = image.height, g.in_w = image.width, g.in_c = image.channels;
  g.out_h = rows.out(), g.out_w = columns.out(), g.out_c = weight[3];
  g.kernel_h = weight[0], g.kernel_w = weight[1];
  g.stride_h = strides[0], g.stride_w = strides[1];
  g.dilation_h = dilations[0], g.dilation_w = dilations[1];
  g.pad_top = pads[0], g.pad_left = pads[1];
  g.groups = node.get_int("groups", 1);
  return g;
}

PoolGeometry pool_geometry(const Node& node, const Shape& x) {
  const Ints kernel = node.get_ints("kernel");
  const ConvGeometry c = conv_geometry(node, x, Shape{kernel[0], kernel[1], 1, 1});
  PoolGeometry g;
  g.batch = c.batch;
  g.in_h = c.in_h, g.in_w = c.in_w, g.channels = c.in_c;
  g.out_h = c.out_h, g.out_w = c.out_w;
  g.kernel_h = c.kernel_h, g.kernel_w = c.kernel_w;
  g.stride_h = c.stride_h, g.stride_w = c.stride_w;
  g.dilation_h = c.dilation_h, g.dilation_w = c.dilation_w;
  g.pad_top = c.pad_top, g.pad_left = c.pad_left;
  return g;
}

int64_t TapCounts::uniform() const {
  if (rows.empty() || columns.empty() || !all_equal(rows) || !all_equal(columns)) return 0;
  return rows[0] * columns[0];
}

TapCounts tap_counts(const PoolGeometry& g, const Ints& extended) {
  TapCounts counts;
  for (int64_t y = 0; y < g.out_h; ++y) {
    counts.rows.push_back(
        count_inside(y * g.stride_h - g.pad_top, g.kernel_h, g.dilation_h, -extended[0], g.in_h + extended[2]));
  }
  for (int64_t x = 0; x < g.out_w; ++x) {
    counts.columns.push_back(
        count_inside(x * g.stride_w - g.pad_left, g.kernel_w, g.dilation_w, -extended[1], g.in_w + extended[3]));
  }
  return counts;
}

}  // namespace treville::ops
