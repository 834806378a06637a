#include "kernels/linear.h"

#include <gtest/gtest.h>

#include "kernels/kernels_test_util.h"

namespace treville {
namespace {

constexpr uint64_t kSeed = 90125;

// conv_of fills the output extents of a convolution with the given padding on both sides.
ConvGeometry conv_of(ConvGeometry g) {
  g.out_h = (g.in_h + 2 * g.pad_top - (g.kernel_h - 1) * g.dilation_h - 1) / g.stride_h + 1;
  g.out_w = (g.in_w + 2 * g.pad_left - (g.kernel_w - 1) * g.dilation_w - 1) / g.stride_w + 1;
  return g;
}

std::vector<LinearMap> edge_maps() {
  std::vector<LinearMap> maps;
  for (int64_t rows : {1, 2, 5, 6, 7, 13, 50}) {
    for (int64_t inner : {1, 3, 64, 300}) {
      for (int64_t cols : {1, 5, 8, 16, 17, 33, 70}) maps.push_back(MatmulGeometry{rows, inner, cols});
    }
  }
  for (int64_t c : {1, 3, 5, 17, 32}) {
    for (int64_t o : {1, 3, 8, 17}) {
      maps.push_back(conv_of({.batch = 2, .in_h = 7, .in_w = 9, .in_c = c, .out_c = o}));
      maps.push_back(conv_of({.batch = 2,
                              .in_h = 7,
                              .in_w = 9,
                              .in_c = c,
                              .out_c = o,
                              .kernel_h = 3,
                              .kernel_w = 3,
                              .pad_top = 1,
                              .pad_left = 1}));
      maps.push_back(conv_of({.in_h = 9,
                              .in_w = 8,
                              .in_c = c,
                              .out_c = o,
                              .kernel_h = 3,
                              .kernel_w = 2,
                              .stride_h = 2,
                              .stride_w = 3,
                              .dilation_h = 2,
                              .dilation_w = 3,
                              .pad_top = 2,
                              .pad_left = 1}));
    }
    maps.push_back(conv_of({.batch = 2,
                            .in_h = 6,
                            .in_w = 5,
                            .in_c = c,
                            .out_c = c,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .stride_h = 2,
                            .stride_w = 1,
                            .pad_top = 1,
                            .pad_left = 1,
                            .groups = c}));
    maps.push_back(conv_of({.in_h = 6,
                            .in_w = 5,
                            .in_c = c,
                            .out_c = 3 * c,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .dilation_h = 2,
                            .dilation_w = 2,
                            .pad_top = 2,
                            .pad_left = 2,
                            .groups = c}));
    maps.push_back(conv_of({.in_h = 6,
                            .in_w = 5,
                            .in_c = 2 * c,
                            .out_c = 3 * 2,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .pad_top = 1,
                            .pad_left = 1,
                            .groups = 2}));
    // Narrow groups, of which several share a panel.
    for (int64_t groups : {3, 4, 6}) {
      maps.push_back(conv_of({.batch = 2,
                              .in_h = 5,
                              .in_w = 4,
                              .in_c = 2 * groups,
                              .out_c = c * groups,
                              .kernel_h = 3,
                              .kernel_w = 2,
                              .pad_top = 1,
                              .pad_left = 1,
                              .groups = groups}));
      maps.push_back(conv_of({.in_h = 5, .in_w = 4, .in_c = c * groups, .out_c = 2 * groups, .groups = groups}));
    }
    maps.push_back(ChannelGeometry{11, c});
  }
  // Padding larger than the kernel: some windows see nothing but zeros.
  maps.push_back(conv_of(
      {.in_h = 3, .in_w = 3, .in_c = 4, .out_c = 6, .kernel_h = 2, .kernel_w = 2, .pad_top = 5, .pad_left = 4}));
  maps.push_back(conv_of({.in_h = 3,
                          .in_w = 3,
                          .in_c = 4,
                          .out_c = 4,
                          .kernel_h = 2,
                          .kernel_w = 2,
                          .pad_top = 5,
                          .pad_left = 4,
                          .groups = 4}));
  // A stride over a 1x1 kernel, and one with padding.
  maps.push_back(conv_of({.batch = 2, .in_h = 9, .in_w = 9, .in_c = 6, .out_c = 10, .stride_h = 2, .stride_w = 2}));
  maps.push_back(conv_of({.in_h = 4, .in_w = 4, .in_c = 6, .out_c = 10, .pad_top = 1, .pad_left = 1}));
  // More rows, depth and columns than one cache block.
  maps.push_back(conv_of(
      {.in_h = 14, .in_w = 14, .in_c = 70, .out_c = 40, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1}));
  maps.push_back(MatmulGeometry{150, 700, 50});
  maps.push_back(MatmulGeometry{3, 1030, 1100});
  maps.push_back(ChannelGeometry{1000, 3});
  return maps;
}

std::string describe(const LinearMap& map) {
  const auto* conv = std::get_if<ConvGeometry>(&map);
  return fmt::format("input {} weight {} output {} groups {} seed {}", to_string(input_shape(map)),
                     to_string(weight_shape(map)), to_string(output_shape(map)), conv ? conv->groups : 1, kSeed);
}

template <class Word>
class LinearKernels : public ::testing::Test {};
using Words = ::testing::Types<uint32_t, uint64_t>;
TYPED_TEST_SUITE(LinearKernels, Words);

TYPED_TEST(LinearKernels, EveryTargetMatchesTheReference) {
  using Word = TypeParam;
  std::mt19937_64 random(kSeed);
  for (const LinearMap& map : edge_maps()) {
    SCOPED_TRACE(describe(map));
    const RingTensor weight = random_tensor<Word>(weight_shape(map), random);
    const RingTensor x = random_tensor<Word>(input_shape(map), random);
    const RingTensor expected = apply_reference(map, weight, x);
    for_each_target([&] {
      const LinearKernel kernel(map, weight);
      const RingTensor y = kernel.apply(x);
      ASSERT_EQ(y.shape(), output_shape(map));
      ASSERT_EQ(values_of<Word>(y), values_of<Word>(expected));
    });
  }
}

TYPED_TEST(LinearKernels, AccumulateAddsInPlace) {
  using Word = TypeParam;
  std::mt19937_64 random(kSeed + 1);
  for (const LinearMap& map : edge_maps()) {
    SCOPED_TRACE(describe(map));
    const RingTensor x = random_tensor<Word>(input_shape(map), random);
    const LinearKernel kernel(map, random_tensor<Word>(weight_shape(map), random));
    RingTensor y = random_tensor<Word>(output_shape(map), random);
    const RingTensor product = kernel.apply(x);
    std::vector<Word> expected = values_of<Word>(y);
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += product.as<Word>()[i];
    kernel.accumulate(x, y);
    ASSERT_EQ(values_of<Word>(y), expected);
  }
}

TYPED_TEST(LinearKernels, ReferenceMatchesAHandComputedConvolution) {
  using Word = TypeParam;
  const Ring ring = sizeof(Word) == 4 ? Ring::k32 : Ring::k64;
  const LinearMap map = ConvGeometry{.in_h = 2,
                                     .in_w = 2,
                                     .in_c = 1,
                                     .out_h = 2,
                                     .out_w = 2,
                                     .out_c = 1,
                                     .kernel_h = 2,
                                     .kernel_w = 2,
                                     .pad_top = 1,
                                     .pad_left = 0};
  RingTensor x = RingTensor::stored(ring, input_shape(map)), weight = RingTensor::stored(ring, weight_shape(map));
  const Word inputs[] = {1, 2, 3, 4}, weights[] = {10, 20, 30, static_cast<Word>(-1)};
  std::copy_n(inputs, 4, x.as<Word>().begin());
  std::copy_n(weights, 4, weight.as<Word>().begin());
  const Word expected[] = {1 * 30 - 2, 2 * 30, 1 * 10 + 2 * 20 + 3 * 30 - 4, 2 * 10 + 4 * 30};
  EXPECT_EQ(values_of<Word>(apply_reference(map, weight, x)), std::vector<Word>(expected, expected + 4));
}

TYPED_TEST(LinearKernels, DryTensorsGiveDryResults) {
  const Ring ring = sizeof(TypeParam) == 4 ? Ring::k32 : Ring::k64;
  for (const LinearMap& map : edge_maps()) {
    auto meter = std::make_shared<MemoryMeter>();
    MeterScope scope(meter);
    const LinearKernel kernel(map, RingTensor::dry(ring, weight_shape(map)));
    const RingTensor x = RingTensor::dry(ring, input_shape(map));
    RingTensor y = kernel.apply(x);
    EXPECT_TRUE(y.is_dry());
    EXPECT_EQ(y.shape(), output_shape(map));
    kernel.accumulate(x, y);
    EXPECT_TRUE(y.is_dry());
    EXPECT_EQ(kernel.ring(), ring);
  }
}

TYPED_TEST(LinearKernels, RefuseWrongShapes) {
  const Ring ring = sizeof(TypeParam) == 4 ? Ring::k32 : Ring::k64;
  const LinearMap map = MatmulGeometry{2, 3, 4};
  EXPECT_THROW(LinearKernel(map, RingTensor::dry(ring, {3, 5})), BugError);
  const LinearKernel kernel(map, RingTensor::dry(ring, {3, 4}));
  EXPECT_THROW(kernel.apply(RingTensor::dry(ring, {2, 4})), BugError);
  EXPECT_THROW(kernel.apply(RingTensor::dry(ring == Ring::k32 ? Ring::k64 : Ring::k32, {2, 3})), BugError);
}

}  // namespace
}  // namespace treville
