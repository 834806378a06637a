// Convolution over one to three spatial dimensions by two-dimensional ones: what Conv and ConvTranspose share. With a
// depth, each kernel plane is one two-dimensional convolution of the input planes it meets, and the results add up.
#pragma once

#include "ops/lowering.h"
#include "ops/windows.h"

namespace treville::ops {

// Convolution: weight [kernel..., in/groups, out] and a window of the same kernel; bias [out] or null.
struct Convolution {
  WindowGeometry window;
  const FloatTensor& weight;
  const FloatTensor* bias = nullptr;
  int64_t groups = 1;
  int64_t out_channels() const { return weight.shape[weight.shape.rank() - 1]; }
  // result is [batch, out..., out channels].
  Shape result() const;
};

// convolve_float gives the result for x [batch, in..., channels].
FloatTensor convolve_float(const Convolution& conv, const FloatTensor& x);
// lower_convolution emits one linear step (of several terms when there is a depth) and gives its slot, of shape
// result().
SlotId lower_convolution(LowerContext& context, const Convolution& conv, SlotId x);

// check_groups fails unless the groups divide the channels.
void check_groups(const InferContext& context, int64_t groups, int64_t in_channels, int64_t out_channels);

}  // namespace treville::ops
