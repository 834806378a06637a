// Operations that move elements, and those that compute shapes.
#include "ops/ops_test_util.h"

namespace treville::ops {
namespace {

using testing::HasSubstr;

TEST(Concat, JoinsAlongAnyAxis) {
  const FloatTensor a = tensor({1, 2}, {1, 2}), b = tensor({2, 2}, {3, 4, 5, 6});
  expect_near(OneNode("Concat", {a, b}, {{"axis", int64_t{0}}}).floats(), tensor({3, 2}, {1, 2, 3, 4, 5, 6}), 0);
  expect_near(OneNode("Concat", {b, tensor({2, 1}, {9, 8}), b}, {{"axis", int64_t{-1}}}).floats(),
              tensor({2, 5}, {3, 4, 9, 3, 4, 5, 6, 8, 5, 6}), 0);
  EXPECT_EQ(OneNode("Concat", {list({1}), list({2, 3})}, {{"axis", int64_t{0}}}).integers().values, (Ints{1, 2, 3}));
  EXPECT_THAT(OneNode("Concat", {a, b}, {{"axis", int64_t{1}}}).message(),
              HasSubstr("cannot join [1,2] and [2,2] along axis 1"));
}

TEST(Stack, AddsAnAxis) {
  EXPECT_EQ(OneNode("Stack", {number(3), number(4)}, {{"axis", int64_t{0}}}).integers().values, (Ints{3, 4}));
  expect_near(OneNode("Stack", {tensor({2}, {1, 2}), tensor({2}, {3, 4})}, {{"axis", int64_t{-1}}}).floats(),
              tensor({2, 2}, {1, 3, 2, 4}), 0);
}

TEST(Pad, AddsAValueAndCutsWhereNegative) {
  const FloatTensor x = counting_tensor({2, 3});
  expect_near(OneNode("Pad", {x}, {{"pads", Ints{0, 1, 1, 0}}, {"value", 9.0}}).floats(),
              tensor({3, 4}, {9, 0, 1, 2, 9, 3, 4, 5, 9, 9, 9, 9}), 0);
  expect_near(OneNode("Pad", {x, list({0, -1, 0, 1})}).floats(), tensor({2, 3}, {1, 2, 0, 4, 5, 0}), 0);
  EXPECT_THAT(OneNode("Pad", {x}, {{"pads", Ints{-3, 0, 1, 0}}}).message(), HasSubstr("cut more than [2,3] has"));
  EXPECT_THAT(OneNode("Pad", {x}, {{"pads", Ints{1, 1}}}).message(), HasSubstr("expected 4 pads for [2,3], found 2"));
  EXPECT_THAT(OneNode("Pad", {x}, {{"pads", Ints{0, 0, 0, 0}}, {"mode", std::string("reflect")}}).message(),
              HasSubstr("reflect"));
}

TEST(Reshape, CopiesZeroAndInfersOneDimension) {
  const FloatTensor x = counting_tensor({2, 3, 4});
  EXPECT_EQ(OneNode("Reshape", {x}, {{"shape", Ints{0, -1}}}).infer(), (Shape{2, 12}));
  EXPECT_EQ(OneNode("Reshape", {x, list({4, 6})}).floats().values, x.values);
  EXPECT_EQ(OneNode("Reshape", {FloatTensor(Shape{0, 3})}, {{"shape", Ints{3, 0}}, {"allow_zero", int64_t{1}}}).infer(),
            (Shape{3, 0}));
  EXPECT_THAT(OneNode("Reshape", {x}, {{"shape", Ints{5, -1}}}).message(),
              HasSubstr("cannot reshape [2,3,4] to [5,-1]"));
  EXPECT_THAT(OneNode("Reshape", {x}, {{"shape", Ints{-1, -1}}}).message(), HasSubstr("cannot reshape"));
  EXPECT_THAT(OneNode("Reshape", {x}, {{"shape", Ints{24, 0}}, {"allow_zero", int64_t{1}}}).message(),
              HasSubstr("cannot reshape"));
  EXPECT_THAT(OneNode("Reshape", {x, list({4, 6})}, {}, {1}).message(), HasSubstr("known at compile time"));
}

TEST(Reshape, FlattensSqueezesAndUnsqueezes) {
  const FloatTensor x = counting_tensor({2, 1, 3, 1});
  EXPECT_EQ(OneNode("Flatten", {x}).infer(), (Shape{2, 3}));
  EXPECT_EQ(OneNode("Flatten", {x}, {{"axis", int64_t{0}}}).infer(), (Shape{1, 6}));
  EXPECT_EQ(OneNode("Flatten", {x}, {{"axis", int64_t{4}}}).infer(), (Shape{6, 1}));
  EXPECT_EQ(OneNode("Flatten", {x}, {{"axis", int64_t{-1}}}).infer(), (Shape{6, 1}));
  EXPECT_EQ(OneNode("Squeeze", {x}).infer(), (Shape{2, 3}));
  EXPECT_EQ(OneNode("Squeeze", {x}, {{"axes", Ints{-1}}}).infer(), (Shape{2, 1, 3}));
  EXPECT_THAT(OneNode("Squeeze", {x}, {{"axes", Ints{0}}}).message(), HasSubstr("more than one element"));
  EXPECT_EQ(OneNode("Unsqueeze", {x}, {{"axes", Ints{0, -1}}}).infer(), (Shape{1, 2, 1, 3, 1, 1}));
  EXPECT_EQ(OneNode("Unsqueeze", {number(4), list({0})}).integers().shape, (Shape{1}));
  EXPECT_THAT(OneNode("Unsqueeze", {x}, {{"axes", Ints{0, 0}}}).message(), HasSubstr("do not name new axes"));
  EXPECT_EQ(OneNode("Dropout", {x}).floats().values, x.values);
}

Attributes slice(Ints starts, Ints ends, Ints axes, Ints steps) {
  return {
      {"starts", std::move(starts)}, {"ends", std::move(ends)}, {"axes", std::move(axes)}, {"steps", std::move(steps)}};
}

TEST(Slice, ClampsAndCountsFromTheEnd) {
  const FloatTensor x = counting_tensor({6});
  const auto values = [&](int64_t start, int64_t end, int64_t step) {
    return OneNode("Slice", {x}, slice({start}, {end}, {0}, {step})).floats().values;
  };
  EXPECT_EQ(values(1, 4, 1), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(values(-2, INT64_MAX, 1), (std::vector<float>{4, 5}));
  EXPECT_EQ(values(-100, 100, 2), (std::vector<float>{0, 2, 4}));
  EXPECT_EQ(values(100, -100, -1), (std::vector<float>{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(values(-1, INT64_MIN, -2), (std::vector<float>{5, 3, 1}));
  EXPECT_EQ(values(3, 0, -1), (std::vector<float>{3, 2, 1}));
  EXPECT_EQ(values(0, 6, INT64_MAX), (std::vector<float>{0}));
  EXPECT_EQ(values(5, INT64_MIN, INT64_MIN), (std::vector<float>{5}));
  EXPECT_TRUE(values(4, 2, 1).empty());
}

TEST(Slice, ReadsItsListsFromOperandsAndTheirDefaults) {
  const FloatTensor x = counting_tensor({2, 4});
  expect_near(OneNode("Slice", {x, list({1}), list({2})}).floats(), tensor({1, 4}, {4, 5, 6, 7}), 0);
  expect_near(OneNode("Slice", {x, list({3}), list({-5}), list({-1}), list({-2})}).floats(),
              tensor({2, 2}, {3, 1, 7, 5}), 0);
  EXPECT_EQ(OneNode("Slice", {list({5, 6, 7})}, slice({1}, {3}, {0}, {1})).integers().values, (Ints{6, 7}));
  EXPECT_THAT(OneNode("Slice", {x}, slice({0}, {1}, {2}, {1})).message(),
              HasSubstr("axis 2 is outside of shape [2,4]"));
  EXPECT_THAT(OneNode("Slice", {x}, slice({0}, {1}, {0}, {0})).message(), HasSubstr("a step is 0"));
}

FloatTensor strided(const FloatTensor& x, Ints begin, Ints end, Ints strides, Attributes masks) {
  return OneNode("StridedSlice", {x, list(std::move(begin)), list(std::move(end)), list(std::move(strides))},
                 std::move(masks))
      .floats();
}

TEST(StridedSlice, FollowsTensorFlowsMasks) {
  const FloatTensor x = counting_tensor({2, 3, 4});
  // x[1, ..., 2]
  expect_near(
      strided(x, {1, 0, 2}, {2, 0, 3}, {1, 1, 1}, {{"ellipsis_mask", int64_t{2}}, {"shrink_axis_mask", int64_t{5}}}),
      tensor({3}, {14, 18, 22}), 0);
  // x[:, ::-2, newaxis, -1]
  expect_near(strided(x, {0, 0, 0, -1}, {0, 0, 0, 0}, {1, -2, 1, 1},
                      {{"begin_mask", int64_t{3}},
                       {"end_mask", int64_t{3}},
                       {"new_axis_mask", int64_t{4}},
                       {"shrink_axis_mask", int64_t{8}}}),
              tensor({2, 2, 1}, {11, 3, 23, 15}), 0);
  // x[..., newaxis]
  EXPECT_EQ(strided(x, {0, 0}, {0, 0}, {1, 1}, {{"ellipsis_mask", int64_t{1}}, {"new_axis_mask", int64_t{2}}}).shape,
            (Shape{2, 3, 4, 1}));
  // x[0:100, 2:0:-1]: what is not named stays whole
  expect_near(strided(x, {1, 2}, {100, 0}, {1, -1}, {}), tensor({1, 2, 4}, {20, 21, 22, 23, 16, 17, 18, 19}), 0);
}

TEST(StridedSlice, TakesOneElementOfAShape) {
  const IntTensor shape = list({7, 8, 9});
  OneNode node("StridedSlice", {shape, list({-2}), list({0}), list({1})}, {{"shrink_axis_mask", int64_t{1}}});
  const IntTensor y = node.integers();
  EXPECT_EQ(y.shape, Shape{});
  EXPECT_EQ(y.values, (Ints{8}));
  EXPECT_THAT(
      OneNode("StridedSlice", {shape, list({3}), list({4}), list({1})}, {{"shrink_axis_mask", int64_t{1}}}).message(),
      HasSubstr("index 3 is outside of axis 0 of [3]"));
  EXPECT_THAT(OneNode("StridedSlice", {shape, list({0, 0}), list({1, 1}), list({1, 1})}).message(),
              HasSubstr("2 axes of [3]"));
}

TEST(Transpose, PermutesOrReverses) {
  const FloatTensor x = counting_tensor({2, 3, 1});
  expect_near(OneNode("Transpose", {x}).floats(), tensor({1, 3, 2}, {0, 3, 1, 4, 2, 5}), 0);
  expect_near(OneNode("Transpose", {x, list({1, 2, 0})}).floats(), tensor({3, 1, 2}, {0, 3, 1, 4, 2, 5}), 0);
  EXPECT_THAT(OneNode("Transpose", {x}, {{"perm", Ints{0, 0, 1}}}).message(),
              HasSubstr("does not permute the axes of [2,3,1]"));
}

TEST(Gather, PutsTheIndicesInPlaceOfTheAxis) {
  const FloatTensor x = counting_tensor({2, 3});
  expect_near(OneNode("Gather", {x, IntTensor(Shape{2, 2}, {2, 0, -1, 1})}, {{"axis", int64_t{1}}}).floats(),
              tensor({2, 2, 2}, {2, 0, 2, 1, 5, 3, 5, 4}), 0);
  EXPECT_EQ(OneNode("Gather", {list({4, 5, 6}), number(1)}).integers().shape, Shape{});
  EXPECT_EQ(OneNode("Gather", {list({4, 5, 6}), number(1)}).integers().values, (Ints{5}));
  EXPECT_THAT(OneNode("Gather", {x, list({3})}, {{"axis", int64_t{1}}}).message(),
              HasSubstr("index 3 is outside of axis 1"));
}

TEST(Shapes, AreReadWhole_OrInPart) {
  const FloatTensor x(Shape{2, 3, 4});
  EXPECT_EQ(OneNode("Shape", {x}).integers().values, (Ints{2, 3, 4}));
  EXPECT_EQ(OneNode("Shape", {x}, {{"start", int64_t{-2}}}).integers().values, (Ints{3, 4}));
  EXPECT_EQ(OneNode("Shape", {x}, {{"start", int64_t{1}}, {"end", int64_t{-1}}}).integers().values, (Ints{3}));
  EXPECT_TRUE(OneNode("Shape", {x}, {{"start", int64_t{2}}, {"end", int64_t{1}}}).integers().values.empty());
}

TEST(Shapes, AreFilledAndCounted) {
  EXPECT_EQ(OneNode("ConstantOfShape", {list({2, 2})}, {{"value", int64_t{3}}}).integers().values, (Ints{3, 3, 3, 3}));
  expect_near(OneNode("ConstantOfShape", {list({2})}).floats(), tensor({2}, {0, 0}), 0);
  expect_near(OneNode("Fill", {list({3}), tensor({}, {1.5})}).floats(), tensor({3}, {1.5, 1.5, 1.5}), 0);
  EXPECT_EQ(OneNode("Range", {number(5), number(0), number(-2)}).integers().values, (Ints{5, 3, 1}));
  expect_near(OneNode("Range", {tensor({}, {0}), tensor({}, {1}), tensor({}, {0.25})}).floats(),
              tensor({4}, {0, 0.25, 0.5, 0.75}), 0);
  EXPECT_THAT(OneNode("ConstantOfShape", {list({1 << 20, 1 << 20})}).message(),
              HasSubstr("cannot make a constant of shape"));
  EXPECT_THAT(OneNode("Range", {number(0), number(4), number(0)}).message(), HasSubstr("delta is 0"));
}

TEST(Cast, RoundsTowardZeroAndSaturates) {
  EXPECT_EQ(
      OneNode("Cast", {tensor({4}, {-1.9F, 1.9F, 1e30F, -1e30F})}, {{"to", std::string("int")}}).integers().values,
      (Ints{-1, 1, INT64_MAX, INT64_MIN}));
  expect_near(OneNode("Cast", {list({-3, 4})}, {{"to", std::string("float")}}).floats(), tensor({2}, {-3, 4}), 0);
}

TEST(Messages, NameModelNodeAndOperation) {
  OneNode node("Flatten", {FloatTensor(Shape{2})}, {{"axis", int64_t{5}}});
  node.node().origin = "FlattenOriginally";
  EXPECT_EQ(node.message(), "test: node \"node\" (FlattenOriginally): axis 5 is outside of shape [2]");
}

}  // namespace
}  // namespace treville::ops
