#include "kernels/float_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"

namespace treville {
namespace {

constexpr uint64_t kSeed = 5150;

FloatTensor random_floats(const Shape& shape, std::mt19937_64& random) {
  FloatTensor tensor(shape);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& value : tensor.values) value = uniform(random);
  return tensor;
}

// convolve is the definition, in double precision.
std::vector<double> convolve(const ConvGeometry& g, const FloatTensor& weight, const FloatTensor& x) {
  const int64_t in_group = g.in_c / g.groups, out_group = g.out_c / g.groups;
  std::vector<double> y(static_cast<size_t>(output_shape(g).elements()));
  for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
    const int64_t o = i % g.out_c, out_x = i / g.out_c % g.out_w, out_y = i / g.out_c / g.out_w % g.out_h;
    const int64_t b = i / g.out_c / g.out_w / g.out_h;
    for (int64_t ky = 0; ky < g.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < g.kernel_w; ++kx) {
        const int64_t in_y = out_y * g.stride_h - g.pad_top + ky * g.dilation_h;
        const int64_t in_x = out_x * g.stride_w - g.pad_left + kx * g.dilation_w;
        if (in_y < 0 || in_y >= g.in_h || in_x < 0 || in_x >= g.in_w) continue;
        for (int64_t c = 0; c < in_group; ++c) {
          const int64_t from = ((b * g.in_h + in_y) * g.in_w + in_x) * g.in_c + o / out_group * in_group + c;
          const int64_t w = ((ky * g.kernel_w + kx) * in_group + c) * g.out_c + o;
          y[static_cast<size_t>(i)] += static_cast<double>(x.values[static_cast<size_t>(from)]) *
                                       static_cast<double>(weight.values[static_cast<size_t>(w)]);
        }
      }
    }
  }
  return y;
}

// expect_conv compares with the definition, within the rounding of single-precision sums.
void expect_conv(const ConvGeometry& g) {
  std::mt19937_64 random(kSeed);
  const FloatTensor weight = random_floats(weight_shape(g), random), x = random_floats(input_shape(g), random);
  SCOPED_TRACE(to_string(input_shape(g)) + " " + to_string(weight_shape(g)) + " " + to_string(output_shape(g)));
  const FloatTensor y = apply_float(g, weight, x);
  const std::vector<double> expected = convolve(g, weight, x);
  ASSERT_EQ(y.shape, output_shape(g));
  const double tolerance = 1e-6 * std::sqrt(static_cast<double>(g.kernel_h * g.kernel_w * g.in_c / g.groups)) + 1e-6;
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(y.values[i], expected[i], 4 * tolerance) << i;
}

TEST(FloatLinear, ConvolutionsMatchTheDefinition) {
  for (int64_t c : {1, 3, 5, 16}) {
    for (int64_t o : {1, 6, 17}) {
      expect_conv({.batch = 2, .in_h = 7, .in_w = 9, .in_c = c, .out_h = 7, .out_w = 9, .out_c = o});
      expect_conv({.batch = 2,
                   .in_h = 7,
                   .in_w = 9,
                   .in_c = c,
                   .out_h = 7,
                   .out_w = 9,
                   .out_c = o,
                   .kernel_h = 3,
                   .kernel_w = 3,
                   .pad_top = 1,
                   .pad_left = 1});
      expect_conv({.in_h = 8,
                   .in_w = 9,
                   .in_c = c,
                   .out_h = 4,
                   .out_w = 3,
                   .out_c = o,
                   .kernel_h = 3,
                   .kernel_w = 2,
                   .stride_h = 2,
                   .stride_w = 3,
                   .dilation_h = 2,
                   .dilation_w = 2,
                   .pad_top = 1,
                   .pad_left = 0});
    }
  }
}

TEST(FloatLinear, GroupedAndDepthwiseConvolutionsMatchTheDefinition) {
  expect_conv({.batch = 2,
               .in_h = 6,
               .in_w = 5,
               .in_c = 8,
               .out_h = 6,
               .out_w = 5,
               .out_c = 12,
               .kernel_h = 3,
               .kernel_w = 3,
               .pad_top = 1,
               .pad_left = 1,
               .groups = 4});
  for (int64_t multiple : {1, 3}) {
    expect_conv({.in_h = 6,
                 .in_w = 5,
                 .in_c = 5,
                 .out_h = 3,
                 .out_w = 3,
                 .out_c = 5 * multiple,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .stride_h = 2,
                 .stride_w = 2,
                 .pad_top = 1,
                 .pad_left = 1,
                 .groups = 5});
  }
}

TEST(FloatLinear, OddPaddingsMatchTheDefinition) {
  // Windows wholly in the padding, windows that end before the input, and asymmetric padding.
  expect_conv({.in_h = 3,
               .in_w = 3,
               .in_c = 2,
               .out_h = 12,
               .out_w = 9,
               .out_c = 4,
               .kernel_h = 2,
               .kernel_w = 2,
               .pad_top = 5,
               .pad_left = 4});
  expect_conv({.in_h = 9, .in_w = 9, .in_c = 2, .out_h = 2, .out_w = 3, .out_c = 4, .kernel_h = 3, .kernel_w = 3});
  expect_conv({.in_h = 4,
               .in_w = 4,
               .in_c = 2,
               .out_h = 2,
               .out_w = 2,
               .out_c = 4,
               .kernel_h = 3,
               .kernel_w = 3,
               .stride_h = 2,
               .stride_w = 2});
  expect_conv({.in_h = 2,
               .in_w = 2,
               .in_c = 1,
               .out_h = 1,
               .out_w = 1,
               .out_c = 1,
               .kernel_h = 2,
               .kernel_w = 2,
               .pad_top = 7,
               .pad_left = 7});
}

TEST(FloatLinear, ProductsMatchTheDefinition) {
  std::mt19937_64 random(kSeed);
  for (auto [rows, inner, cols] : {std::array<int64_t, 3>{1, 1, 1}, {1, 300, 17}, {7, 33, 5}, {64, 128, 10}}) {
    const FloatTensor a = random_floats({rows, inner}, random), b = random_floats({inner, cols}, random);
    const FloatTensor c = matmul_float(a, b);
    ASSERT_EQ(c.shape, (Shape{rows, cols}));
    const ConvGeometry g{.in_w = rows, .in_c = inner, .out_w = rows, .out_c = cols};
    const std::vector<double> expected = convolve(g, b, a);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(c.values[i], expected[i], 1e-4) << "seed " << kSeed;
  }
  EXPECT_EQ(matmul_float(FloatTensor({2, 0}), FloatTensor({0, 3})).values, std::vector<float>(6, 0.0f));
  EXPECT_THROW(matmul_float(FloatTensor({2, 3}), FloatTensor({2, 3})), BugError);
}

TEST(FloatLinear, ChannelsScale) {
  const FloatTensor y =
      apply_float(ChannelGeometry{2, 3}, FloatTensor({3}, {1, 2, -3}), FloatTensor({2, 3}, {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(y.values, (std::vector<float>{1, 4, -9, 4, 10, -18}));
  EXPECT_THROW(apply_float(ChannelGeometry{2, 3}, FloatTensor({2}), FloatTensor({2, 3})), BugError);
}

}  // namespace
}  // namespace treville
