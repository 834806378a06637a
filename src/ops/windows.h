// Windows: how a convolution or pool slides over an image of one to three spatial dimensions. The shape rule resolves
// auto_pad, ceil_mode and "global" of a node into explicit pads; afterwards the geometry follows from the node and the
// shapes alone, for either layout ("NHWC": channels last, "NCHW": channels second, whatever the rank). At run time
// there are windows over rows and columns alone: one dimension is a row of an image of height 1, and three are planes.
#pragma once

#include "ops/common.h"
#include "tensor/linear_map.h"

namespace treville::ops {

// ImageShape is the extent of an image tensor by meaning, whatever the layout.
struct ImageShape {
  int64_t batch = 1;
  Ints spatial;
  int64_t channels = 1;
};

// is_nchw reads the layout of a node that works on images.
bool is_nchw(const Node& node);
ImageShape image_of(const Node& node, const Shape& shape);
Shape image_shape(const Node& node, const ImageShape& image);
// read_image checks that the first input is a float image (rank 3 to 5, known layout).
ImageShape read_image(InferContext& context);

// The tensors of an NCHW node as NHWC and back; for NHWC nodes nothing moves.
FloatTensor to_nhwc(const Node& node, const FloatTensor& x);
FloatTensor from_nhwc(const Node& node, FloatTensor y);

// read_window_list reads `count` numbers of at least `least` from an attribute; absent: all are `otherwise`.
Ints read_window_list(InferContext& context, const std::string& key, size_t count, int64_t least, int64_t otherwise);
// read_auto_pad checks and gives auto_pad.
std::string read_auto_pad(InferContext& context);

// resolve_window checks strides, dilations, pads and the kernel, and rewrites the node: pads hold what is used,
// auto_pad is "explicit", ceil_mode 0; explicit_pads keeps the model's own pads of a pool. Windows that start in the
// padding behind are dropped in ceil mode, as ONNX says. SAME follows TensorFlow's formula.
void resolve_window(InferContext& context, const ImageShape& image, const Ints& kernel);

// WindowGeometry: a window over [batch, in..., channels]; lists have one number for each spatial dimension, `before` is
// the padding in front.
struct WindowGeometry {
  int64_t batch = 1, channels = 1;
  Ints in, out, kernel, strides, dilations, before;
  size_t dims() const { return in.size(); }
};
// window_of is the geometry of a node whose window is resolved; x in the node's layout.
WindowGeometry window_of(const Node& node, const Shape& x, const Ints& kernel);
// plane is the window over rows and columns (the last two dimensions; height 1 where there is one), for images of
// `batch` planes; conv_plane the same as a convolution.
PoolGeometry plane(const WindowGeometry& window, int64_t batch);
ConvGeometry conv_plane(const WindowGeometry& window, int64_t batch, int64_t out_channels, int64_t groups);

// TapCounts: for each dimension and each output position along it, the number of kernel positions that count; a window
// has the product of one number of each.
struct TapCounts {
  std::vector<Ints> counts;
  // uniform is the common count of all windows, or 0 when they differ.
  int64_t uniform() const;
};
// tap_counts counts the positions inside the image extended by `extended` = all befores, then all afters.
TapCounts tap_counts(const WindowGeometry& window, const Ints& extended);

}  // namespace treville::ops
