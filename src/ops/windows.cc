#include "ops/windows.h"

#include <algorithm>
#include <numeric>

namespace treville::ops {
namespace {

constexpr int kMostSpatial = 3;

// Axis is one direction of a window.
struct Axis {
  int64_t extent, kernel, stride, dilation, before, after;
  int64_t span() const { return (kernel - 1) * dilation + 1; }
  int64_t out() const { return (extent + before + after - span()) / stride + 1; }
};

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

// pads_of joins all befores and all afters.
Ints pads_of(const std::vector<Axis>& axes) {
  Ints pads;
  for (const Axis& axis : axes) pads.push_back(axis.before);
  for (const Axis& axis : axes) pads.push_back(axis.after);
  return pads;
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

// channels_last and channels_first are the permutations between the layouts.
Ints channels_last(int rank) {
  Ints permutation(static_cast<size_t>(rank));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::rotate(permutation.begin() + 1, permutation.begin() + 2, permutation.end());
  return permutation;
}
Ints channels_first(int rank) {
  Ints permutation(static_cast<size_t>(rank));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::rotate(permutation.begin() + 1, permutation.end() - 1, permutation.end());
  return permutation;
}

}  // namespace

bool is_nchw(const Node& node) { return node.get_string("layout", "NHWC") == "NCHW"; }

ImageShape image_of(const Node& node, const Shape& s) {
  const Ints& dims = s.dims();
  if (is_nchw(node)) return {dims[0], Ints(dims.begin() + 2, dims.end()), dims[1]};
  return {dims[0], Ints(dims.begin() + 1, dims.end() - 1), dims.back()};
}

Shape image_shape(const Node& node, const ImageShape& image) {
  Ints dims = {image.batch};
  if (is_nchw(node)) dims.push_back(image.channels);
  dims.insert(dims.end(), image.spatial.begin(), image.spatial.end());
  if (!is_nchw(node)) dims.push_back(image.channels);
  return Shape(dims);
}

ImageShape read_image(InferContext& context) {
  const std::string layout = context.node().get_string("layout", "NHWC");
  if (layout != "NHWC" && layout != "NCHW") context.fail(fmt::format("layout \"{}\" is not NHWC or NCHW", layout));
  const Shape& shape = context.shape(0);
  if (shape.rank() < 3 || shape.rank() > kMostSpatial + 2)
    context.fail(fmt::format("expected an image of rank 3 to 5 ({}), found {}", layout, to_string(shape)));
  if (context.dtype(0) != DType::kFloat) context.fail("expected a float image, found integers");
  return image_of(context.node(), shape);
}

FloatTensor to_nhwc(const Node& node, const FloatTensor& x) {
  return is_nchw(node) ? transpose(x, channels_last(x.shape.rank())) : x;
}

FloatTensor from_nhwc(const Node& node, FloatTensor y) {
  return is_nchw(node) ? transpose(y, channels_first(y.shape.rank())) : std::move(y);
}

Ints read_window_list(InferContext& context, const std::string& key, size_t count, int64_t least, int64_t otherwise) {
  Ints values = context.node().get_ints(key, Ints(count, otherwise));
  const bool fits = values.size() == count && *std::min_element(values.begin(), values.end()) >= least;
  if (!fits) {
    context.fail(
        fmt::format("{} is {}, expected {} numbers of at least {}", key, to_string(Shape(values)), count, least));
  }
  return values;
}

std::string read_auto_pad(InferContext& context) {
  std::string auto_pad = context.node().get_string("auto_pad", "explicit");
  if (auto_pad != "explicit" && auto_pad != "valid" && auto_pad != "same_upper" && auto_pad != "same_lower")
    context.fail(fmt::format("auto_pad \"{}\" is not explicit, valid, same_upper or same_lower", auto_pad));
  return auto_pad;
}

void resolve_window(InferContext& context, const ImageShape& image, const Ints& kernel) {
  Node& node = context.node();
  const size_t dims = image.spatial.size();
  const std::string auto_pad = read_auto_pad(context);
  if (kernel.size() != dims || *std::min_element(kernel.begin(), kernel.end()) < 1)
    context.fail(fmt::format("the kernel is {}, expected {} numbers of at least 1", to_string(Shape(kernel)), dims));
  const Ints strides = read_window_list(context, "strides", dims, 1, 1);
  const Ints dilations = read_window_list(context, "dilations", dims, 1, 1);
  const Ints pads = read_window_list(context, "pads", 2 * dims, 0, 0);
  std::vector<Axis> axes;
  for (size_t i = 0; i < dims; ++i) {
    axes.push_back({image.spatial[i], kernel[i], strides[i], dilations[i], pads[i], pads[i + dims]});
    resolve_axis(context, auto_pad, axes.back());
  }
  const bool is_pool = node.op != "Conv";
  if (is_pool && !node.has("explicit_pads")) node.attributes["explicit_pads"] = pads_of(axes);
  if (node.get_int("ceil_mode", 0) != 0 && auto_pad != "same_upper" && auto_pad != "same_lower")
    for (Axis& axis : axes) pad_for_ceil(axis);
  node.attributes["strides"] = strides;
  node.attributes["dilations"] = dilations;
  node.attributes["pads"] = pads_of(axes);
  node.attributes["auto_pad"] = std::string("explicit");
  if (is_pool) node.attributes["ceil_mode"] = int64_t{0};
}

WindowGeometry window_of(const Node& node, const Shape& x, const Ints& kernel) {
  const ImageShape image = image_of(node, x);
  const size_t dims = image.spatial.size();
  const Ints pads = node.get_ints("pads", Ints(2 * dims, 0));
  WindowGeometry window;
  window.batch = image.batch, window.channels = image.channels;
  window.in = image.spatial;
  window.kernel = kernel;
  window.strides = node.get_ints("strides", Ints(dims, 1));
  window.dilations = node.get_ints("dilations", Ints(dims, 1));
  window.before = Ints(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(dims));
  for (size_t i = 0; i < dims; ++i) {
    const Axis axis{image.spatial[i], kernel[i], window.strides[i], window.dilations[i], pads[i], pads[i + dims]};
    window.out.push_back(axis.out());
  }
  return window;
}

ConvGeometry conv_plane(const WindowGeometry& w, int64_t batch, int64_t out_channels, int64_t groups) {
  const size_t column = w.dims() - 1;
  ConvGeometry g;
  g.batch = batch, g.in_c = w.channels, g.out_c = out_channels, g.groups = groups;
  g.in_w = w.in[column], g.out_w = w.out[column], g.kernel_w = w.kernel[column];
  g.stride_w = w.strides[column], g.dilation_w = w.dilations[column], g.pad_left = w.before[column];
  if (w.dims() == 1) return g;
  const size_t row = column - 1;
  g.in_h = w.in[row], g.out_h = w.out[row], g.kernel_h = w.kernel[row];
  g.stride_h = w.strides[row], g.dilation_h = w.dilations[row], g.pad_top = w.before[row];
  return g;
}

PoolGeometry plane(const WindowGeometry& window, int64_t batch) {
  const ConvGeometry c = conv_plane(window, batch, 1, 1);
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
  int64_t product = 1;
  for (const Ints& along : counts) {
    if (along.empty() || !all_equal(along)) return 0;
    product *= along[0];
  }
  return product;
}

TapCounts tap_counts(const WindowGeometry& w, const Ints& extended) {
  TapCounts taps;
  for (size_t i = 0; i < w.dims(); ++i) {
    Ints along;
    for (int64_t o = 0; o < w.out[i]; ++o) {
      along.push_back(count_inside(o * w.strides[i] - w.before[i], w.kernel[i], w.dilations[i], -extended[i],
                                   w.in[i] + extended[i + w.dims()]));
    }
    taps.counts.push_back(std::move(along));
  }
  return taps;
}

}  // namespace treville::ops
