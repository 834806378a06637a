#include "ops/windows.h"

#include "ops/ops_test_util.h"

namespace treville::ops {
namespace {

FloatTensor to_nchw_layout(const FloatTensor& x) { return transpose(x, {0, 3, 1, 2}); }
FloatTensor to_nhwc_layout(const FloatTensor& x) { return transpose(x, {0, 2, 3, 1}); }

// A convolution written down from its definition, in double, for explicit pads top,left,bottom,right.
FloatTensor conv_by_definition(const FloatTensor& x, const FloatTensor& w, Ints strides, Ints dilations, Ints pads,
                               int64_t groups) {
  const int64_t kh = w.shape[0], kw = w.shape[1], gi = w.shape[2], go = w.shape[3] / groups;
  const int64_t oh = (x.shape[1] + pads[0] + pads[2] - (kh - 1) * dilations[0] - 1) / strides[0] + 1;
  const int64_t ow = (x.shape[2] + pads[1] + pads[3] - (kw - 1) * dilations[1] - 1) / strides[1] + 1;
  FloatTensor y(Shape{x.shape[0], oh, ow, w.shape[3]});
  const auto at = [](const Shape& s, int64_t a, int64_t b, int64_t c, int64_t d) {
    return static_cast<size_t>(((a * s[1] + b) * s[2] + c) * s[3] + d);
  };
  for (int64_t n = 0; n < y.shape[0]; ++n)
    for (int64_t i = 0; i < oh; ++i)
      for (int64_t j = 0; j < ow; ++j)
        for (int64_t o = 0; o < w.shape[3]; ++o) {
          double sum = 0;
          for (int64_t p = 0; p < kh; ++p)
            for (int64_t q = 0; q < kw; ++q)
              for (int64_t c = 0; c < gi; ++c) {
                const int64_t row = i * strides[0] + p * dilations[0] - pads[0];
                const int64_t column = j * strides[1] + q * dilations[1] - pads[1];
                if (row < 0 || column < 0 || row >= x.shape[1] || column >= x.shape[2]) continue;
                sum += static_cast<double>(x.values[at(x.shape, n, row, column, o / go * gi + c)]) *
                       w.values[at(w.shape, p, q, c, o)];
              }
          y.values[at(y.shape, n, i, j, o)] = static_cast<float>(sum);
        }
  return y;
}

struct ConvCase {
  Shape x, w;
  Ints strides, dilations, pads;
  int64_t groups;
};

const ConvCase kConvCases[] = {
    {{1, 5, 5, 3}, {3, 3, 3, 4}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1},
    {{2, 6, 5, 2}, {3, 2, 2, 3}, {2, 1}, {1, 1}, {0, 1, 2, 0}, 1},  // asymmetric pads
    {{1, 9, 9, 2}, {2, 2, 2, 2}, {3, 4}, {1, 1}, {0, 0, 0, 0}, 1},  // stride larger than the kernel
    {{1, 9, 8, 2}, {3, 3, 2, 2}, {1, 1}, {2, 3}, {2, 3, 2, 3}, 1},  // dilation
    {{1, 4, 4, 6}, {3, 3, 2, 9}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 3},  // groups
    {{1, 4, 4, 3}, {3, 3, 1, 6}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 3},  // depthwise, multiplier 2
    {{1, 1, 1, 4}, {1, 1, 4, 5}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1},
};

TEST(Conv, EqualsItsDefinitionInBothLayouts) {
  std::mt19937 generator(7);
  for (const ConvCase& c : kConvCases) {
    const FloatTensor x = random_tensor(c.x, generator), w = random_tensor(c.w, generator);
    const FloatTensor bias = random_tensor(Shape{c.w[3]}, generator);
    FloatTensor expected = conv_by_definition(x, w, c.strides, c.dilations, c.pads, c.groups);
    for (size_t i = 0; i < expected.values.size(); ++i) expected.values[i] += bias.values[i % bias.values.size()];
    Attributes attributes = {
        {"strides", c.strides}, {"dilations", c.dilations}, {"pads", c.pads}, {"groups", c.groups}};
    expect_near(OneNode("Conv", {x, w, bias}, attributes).floats(), expected, 1e-4);
    attributes["layout"] = std::string("NCHW");
    const FloatTensor y = OneNode("Conv", {to_nchw_layout(x), w, bias}, attributes).floats();
    expect_near(to_nhwc_layout(y), expected, 1e-4);
  }
}

Ints resolved_pads(const Shape& x, const Shape& w, const char* auto_pad, const Ints& strides, Shape* result) {
  OneNode node("Conv", {FloatTensor(x), FloatTensor(w)}, {{"auto_pad", std::string(auto_pad)}, {"strides", strides}});
  *result = node.infer();
  EXPECT_EQ(node.node().get_string("auto_pad", ""), "explicit");
  EXPECT_EQ(node.infer(), *result) << "inferring again changes nothing";
  return node.node().get_ints("pads");
}

TEST(Conv, SamePaddingPutsTheOddElementWhereTheModeSays) {
  Shape y;
  EXPECT_EQ(resolved_pads({1, 6, 5, 1}, {3, 3, 1, 1}, "same_upper", {2, 2}, &y), (Ints{0, 1, 1, 1}));
  EXPECT_EQ(y, (Shape{1, 3, 3, 1}));
  EXPECT_EQ(resolved_pads({1, 6, 5, 1}, {3, 3, 1, 1}, "same_lower", {2, 2}, &y), (Ints{1, 1, 0, 1}));
  EXPECT_EQ(y, (Shape{1, 3, 3, 1}));
  // A stride beyond the kernel needs no padding, and none is taken away.
  EXPECT_EQ(resolved_pads({1, 7, 7, 1}, {1, 1, 1, 1}, "same_upper", {3, 3}, &y), (Ints{0, 0, 0, 0}));
  EXPECT_EQ(y, (Shape{1, 3, 3, 1}));
  EXPECT_EQ(resolved_pads({1, 7, 6, 1}, {3, 3, 1, 1}, "valid", {2, 2}, &y), (Ints{0, 0, 0, 0}));
  EXPECT_EQ(y, (Shape{1, 3, 2, 1}));
}

TEST(Conv, NamesTheShapesThatDoNotFit) {
  const auto message = [](Shape x, Shape w, Attributes attributes) {
    return OneNode("Conv", {FloatTensor(std::move(x)), FloatTensor(std::move(w))}, std::move(attributes)).message();
  };
  EXPECT_THAT(message({1, 4, 4, 3}, {3, 3, 4, 8}, {}), testing::HasSubstr("input [1,4,4,3] has 3 channels"));
  EXPECT_THAT(message({1, 4, 4, 3}, {3, 3, 1, 4}, {{"groups", int64_t{2}}}),
              testing::HasSubstr("2 groups do not divide 3"));
  EXPECT_THAT(message({1, 2, 2, 1}, {3, 3, 1, 1}, {}), testing::HasSubstr("does not fit an input of extent 2"));
  EXPECT_THAT(message({4, 1}, {3, 3, 1, 1}, {}), testing::HasSubstr("rank 3 to 5 (NHWC), found [4,1]"));
  EXPECT_THAT(message({4, 4, 1}, {3, 3, 1, 1}, {}), testing::HasSubstr("of rank 3, found [3,3,1,1]"));
  EXPECT_THAT(message({1, 4, 4, 1}, {3, 3, 1, 1}, {{"strides", Ints{0, 1}}}), testing::HasSubstr("strides is [0,1]"));
  EXPECT_THAT(OneNode("Conv", {FloatTensor(Shape{1, 4, 4, 1}), FloatTensor(Shape{1, 1, 1, 2}), FloatTensor(Shape{3})})
                  .message(),
              testing::HasSubstr("expected a bias [2], found [3]"));
}

Attributes pool(Ints kernel, Ints strides, Ints pads) {
  return {{"kernel", std::move(kernel)}, {"strides", std::move(strides)}, {"pads", std::move(pads)}};
}

TEST(MaxPool, IgnoresPaddingEvenWhenAllElementsAreNegative) {
  const FloatTensor x = tensor({1, 2, 2, 1}, {-4, -3, -2, -1});
  expect_near(OneNode("MaxPool", {x}, pool({2, 2}, {1, 1}, {1, 1, 1, 1})).floats(),
              tensor({1, 3, 3, 1}, {-4, -3, -3, -2, -1, -1, -2, -1, -1}), 0);
}

TEST(MaxPool, IsTheSameInBothLayoutsWithStridesAndDilation) {
  std::mt19937 generator(3);
  const FloatTensor x = random_tensor({2, 7, 6, 3}, generator);
  Attributes attributes = pool({2, 3}, {2, 1}, {0, 1, 1, 0});
  attributes["dilations"] = Ints{2, 1};
  const FloatTensor y = OneNode("MaxPool", {x}, attributes).floats();
  EXPECT_EQ(y.shape, (Shape{2, 3, 5, 3}));
  attributes["layout"] = std::string("NCHW");
  expect_near(to_nhwc_layout(OneNode("MaxPool", {to_nchw_layout(x)}, attributes).floats()), y, 0);
}

TEST(MaxPool, GlobalTakesTheWholeImage) {
  OneNode node("MaxPool", {counting_tensor({1, 2, 3, 4})}, {{"global", int64_t{1}}, {"layout", std::string("NCHW")}});
  expect_near(node.floats(), tensor({1, 2, 1, 1}, {11, 23}), 0);
  EXPECT_EQ(node.node().get_ints("kernel"), (Ints{3, 4}));
  EXPECT_EQ(node.infer(), (Shape{1, 2, 1, 1}));
}

TEST(MaxPool, CeilModeAddsAPartialWindowButNoneThatStartsInPadding) {
  Attributes attributes = pool({2, 2}, {2, 2}, {0, 0, 0, 0});
  attributes["ceil_mode"] = int64_t{1};
  OneNode partial("MaxPool", {counting_tensor({1, 5, 5, 1})}, attributes);
  expect_near(partial.floats(), tensor({1, 3, 3, 1}, {6, 8, 9, 16, 18, 19, 21, 23, 24}), 0);
  EXPECT_EQ(partial.node().get_ints("pads"), (Ints{0, 0, 1, 1}));
  EXPECT_EQ(partial.infer(), (Shape{1, 3, 3, 1}));
  // Extent 2, kernel 1, stride 2, padding 0 and 1: ceil gives 2 windows, of which the second starts in the padding.
  Attributes dropped = pool({1, 1}, {2, 2}, {0, 0, 1, 1});
  dropped["ceil_mode"] = int64_t{1};
  OneNode node("MaxPool", {counting_tensor({1, 2, 2, 1})}, dropped);
  expect_near(node.floats(), tensor({1, 1, 1, 1}, {0}), 0);
  EXPECT_EQ(node.infer(), (Shape{1, 1, 1, 1}));
}

TEST(MaxPool, RefusesAWindowOfPaddingAlone) {
  EXPECT_THAT(OneNode("MaxPool", {FloatTensor(Shape{1, 3, 3, 1})}, pool({2, 2}, {1, 1}, {2, 0, 0, 0})).message(),
              testing::HasSubstr("lies in padding [2,0,0,0] alone"));
}

TEST(AveragePool, TensorFlowsSameExcludesPadding) {
  const FloatTensor x = tensor({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  OneNode node("AveragePool", {x},
               {{"kernel", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"auto_pad", std::string("same_upper")}});
  expect_near(node.floats(), tensor({1, 2, 2, 1}, {3, 4.5, 7.5, 9}), 1e-6);
}

TEST(AveragePool, CountIncludePadCountsTheModelsOwnPads) {
  const FloatTensor x = tensor({1, 2, 2, 1}, {4, 8, 12, 16});
  Attributes attributes = pool({2, 2}, {1, 1}, {1, 1, 0, 0});
  attributes["count_include_pad"] = int64_t{0};
  expect_near(OneNode("AveragePool", {x}, attributes).floats(), tensor({1, 2, 2, 1}, {4, 6, 8, 10}), 1e-6);
  attributes["count_include_pad"] = int64_t{1};
  expect_near(OneNode("AveragePool", {x}, attributes).floats(), tensor({1, 2, 2, 1}, {1, 3, 4, 10}), 1e-6);
}

TEST(AveragePool, NeverCountsWhatCeilModeAdds) {
  const FloatTensor x = tensor({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  Attributes attributes = pool({2, 2}, {2, 2}, {0, 0, 0, 0});
  attributes["ceil_mode"] = int64_t{1};
  attributes["count_include_pad"] = int64_t{1};
  OneNode node("AveragePool", {x}, attributes);
  expect_near(node.floats(), tensor({1, 2, 2, 1}, {3, 4.5, 7.5, 9}), 1e-6);
  EXPECT_EQ(node.node().get_ints("explicit_pads"), (Ints{0, 0, 0, 0}));
  expect_near(node.floats(), tensor({1, 2, 2, 1}, {3, 4.5, 7.5, 9}), 1e-6);  // inferred twice
  // With own padding of one, the last window counts it but not the element beyond: 2 x 2 of 3 x 3 positions.
  Attributes padded = pool({3, 3}, {3, 3}, {1, 1, 1, 1});
  padded["ceil_mode"] = int64_t{1};
  padded["count_include_pad"] = int64_t{1};
  const FloatTensor y = OneNode("AveragePool", {x}, padded).floats();
  expect_near(y, tensor({1, 2, 2, 1}, {12.0F / 9, 9.0F / 6, 15.0F / 6, 9.0F / 4}), 1e-6);
}

TEST(AveragePool, IsTheSameInBothLayouts) {
  std::mt19937 generator(5);
  const FloatTensor x = random_tensor({2, 5, 4, 3}, generator);
  Attributes attributes = pool({3, 2}, {2, 2}, {1, 0, 1, 1});
  const FloatTensor y = OneNode("AveragePool", {x}, attributes).floats();
  attributes["layout"] = std::string("NCHW");
  expect_near(to_nhwc_layout(OneNode("AveragePool", {to_nchw_layout(x)}, attributes).floats()), y, 1e-6);
}

}  // namespace
}  // namespace treville::ops
