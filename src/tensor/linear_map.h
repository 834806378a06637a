// LinearMap is the geometry of a map y = W * x that is linear in x: what both the protocols and the kernels need to
// know of a convolution or a matrix product. Tensors are NHWC; weights are laid out as said at each geometry.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "tensor/shape.h"

namespace treville {

// ConvGeometry: input [batch, in_h, in_w, in_c], weight [kernel_h, kernel_w, in_c / groups, out_c],
// output [batch, out_h, out_w, out_c]. Padding elements are zero; pad_top and pad_left may be anything >= 0, what is
// missing at the bottom and right follows from the output extent. Depthwise is groups == in_c.
struct ConvGeometry {
  int64_t batch = 1;
  int64_t in_h = 1, in_w = 1, in_c = 1;
  int64_t out_h = 1, out_w = 1, out_c = 1;
  int64_t kernel_h = 1, kernel_w = 1;
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  int64_t groups = 1;
  bool operator==(const ConvGeometry&) const = default;
};

// MatmulGeometry: input [rows, inner], weight [inner, cols], output [rows, cols]. Leading dimensions of a tensor are
// folded into rows by a reshape.
struct MatmulGeometry {
  int64_t rows = 1, inner = 1, cols = 1;
  bool operator==(const MatmulGeometry&) const = default;
};

// ChannelGeometry: input and output [outer, channels], weight [channels]; y[o,c] = x[o,c] * w[c].
struct ChannelGeometry {
  int64_t outer = 1, channels = 1;
  bool operator==(const ChannelGeometry&) const = default;
};

using LinearMap = std::variant<ConvGeometry, MatmulGeometry, ChannelGeometry>;

Shape input_shape(const LinearMap& map);
Shape weight_shape(const LinearMap& map);
Shape output_shape(const LinearMap& map);
// macs counts the multiply-accumulates of one application; kernel positions over padding count too.
int64_t macs(const LinearMap& map);

// PoolGeometry: a window over [batch, in_h, in_w, c]; padding never takes part in a maximum and adds zero to a sum.
struct PoolGeometry {
  int64_t batch = 1;
  int64_t in_h = 1, in_w = 1, channels = 1;
  int64_t out_h = 1, out_w = 1;
  int64_t kernel_h = 1, kernel_w = 1;
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  bool operator==(const PoolGeometry&) const = default;
};
Shape input_shape(const PoolGeometry& pool);
Shape output_shape(const PoolGeometry& pool);

}  // namespace treville
