// The inner loop of depthwise convolutions, vectorised over channels.
#pragma once

#include <cstdint>
#include <span>

namespace treville {

// DepthwiseTap says where one kernel position finds its operands, in words from the bases of input and weight.
struct DepthwiseTap {
  int64_t x, weight;
};

// depthwise_pixel computes y[c] (+)= sum over taps of x[tap.x + c] * weight[tap.weight + c] for c < channels.
void depthwise_pixel(std::span<const DepthwiseTap> taps, const uint32_t* x, const uint32_t* weight, int64_t channels,
                     uint32_t* y, bool add);
void depthwise_pixel(std::span<const DepthwiseTap> taps, const uint64_t* x, const uint64_t* weight, int64_t channels,
                     uint64_t* y, bool add);

}  // namespace treville
