// Windows: how a convolution or pool slides over an image. The shape rule resolves auto_pad, ceil_mode and "global" of
// a node into explicit pads; afterwards the geometry follows from the node and the shapes alone, for either layout.
#pragma once

#include "ops/common.h"
#include "tensor/linear_map.h"

namespace treville::ops {

// ImageShape is the extent of an image tensor by meaning, whatever the layout.
struct ImageShape {
  int64_t batch = 1, height = 1, width = 1, channels = 1;
};

// is_nchw reads the layout of a node that works on images.
bool is_nchw(const Node& node);
ImageShape image_of(const Node& node, const Shape& shape);
Shape image_shape(const Node& node, const ImageShape& image);
// read_image checks that the first input is an image (rank 4, known layout).
ImageShape read_image(InferContext& context);

// The tensors of an NCHW node as NHWC and back; for NHWC nodes nothing moves.
FloatTensor to_nhwc(const Node& node, const FloatTensor& x);
FloatTensor from_nhwc(const Node& node, FloatTensor y);

// resolve_window checks strides, dilations, pads and the kernel, and rewrites the node: pads hold what is used,
// auto_pad is "explicit", ceil_mode 0; explicit_pads keeps the model's own pads of a pool. Windows that start in the
// right padding are dropped in ceil mode, as ONNX says. SAME follows TensorFlow's formula.
void resolve_window(InferContext& context, const ImageShape& image, int64_t kernel_h, int64_t kernel_w);

// conv_geometry and pool_geometry of a node whose window is resolved; x in the node's layout.
ConvGeometry conv_geometry(const Node& node, const Shape& x, const Shape& weight);
PoolGeometry pool_geometry(const Node& node, const Shape& x);

// TapCounts: for each output row and column the number of kernel positions that count; a window has rows[i] *
// columns[j].
struct TapCounts {
  Ints rows, columns;
  // uniform is the common count of all windows, or 0 when they differ.
  int64_t uniform() const;
};
// tap_counts counts the positions inside the image extended by `extended` = top, left, bottom, right.
TapCounts tap_counts(const PoolGeometry& pool, const Ints& extended);

}  // namespace treville::ops
