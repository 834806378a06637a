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
  EXPECT_THAT(OneNode("Pad", {x}, {{"pads", Ints{0, 0, 0, 0}}, {"mode", std::string("spiral")}}).message(),
              HasSubstr("supported: constant, reflect, symmetric, edge, wrap"));
}

TEST(Pad, CopiesElementsOfTheTensorItself) {
  const FloatTensor x = tensor({4}, {1, 2, 3, 4});
  const auto padded = [&](const char* mode, Ints pads) {
    return OneNode("Pad", {x}, {{"pads", pads}, {"mode", std::string(mode)}}).floats().values;
  };
  EXPECT_EQ(padded("reflect", {2, 3}), (std::vector<float>{3, 2, 1, 2, 3, 4, 3, 2, 1}));
  EXPECT_EQ(padded("symmetric", {2, 3}), (std::vector<float>{2, 1, 1, 2, 3, 4, 4, 3, 2}));
  EXPECT_EQ(padded("edge", {2, 1}), (std::vector<float>{1, 1, 1, 2, 3, 4, 4}));
  EXPECT_EQ(padded("wrap", {1, 2}), (std::vector<float>{4, 1, 2, 3, 4, 1, 2}));
  EXPECT_EQ(padded("reflect", {-1, 1}), (std::vector<float>{2, 3, 4, 3}));
  const FloatTensor one(Shape{1}, {7});
  EXPECT_EQ(OneNode("Pad", {one}, {{"pads", Ints{2, 1}}, {"mode", std::string("reflect")}}).floats().values,
            (std::vector<float>{7, 7, 7, 7}));
}

TEST(Tile, RepeatsAlongEveryAxis) {
  expect_near(OneNode("Tile", {tensor({1, 2}, {1, 2}), list({2, 2})}).floats(),
              tensor({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2}), 0);
  EXPECT_THAT(OneNode("Tile", {tensor({2}, {1, 2}), list({2, 2})}).message(), HasSubstr("2 repeats for [2]"));
}

TEST(Expand, BroadcastsBothWays) {
  expect_near(OneNode("Expand", {tensor({2, 1}, {1, 2}), list({1, 1, 2})}).floats(), tensor({1, 2, 2}, {1, 1, 2, 2}),
              0);
  EXPECT_THAT(OneNode("Expand", {tensor({2}, {1, 2}), list({3})}).message(), HasSubstr("cannot expand [2] to [3]"));
}

TEST(Part, SplitsUnequallyOnlyWhereItMay) {
  const FloatTensor x = counting_tensor({7});
  const auto part = [&](int64_t index, int64_t equal) {
    return OneNode("Part", {x}, {{"axis", int64_t{0}}, {"parts", int64_t{3}}, {"index", index}, {"equal", equal}});
  };
  EXPECT_EQ(part(0, 0).floats().values, (std::vector<float>{0, 1, 2}));
  EXPECT_EQ(part(2, 0).floats().values, (std::vector<float>{6}));
  EXPECT_THAT(part(0, 1).message(), HasSubstr("does not split into 3 equal parts"));
}

TEST(Blocks, FollowTheOrdersOfOnnxAndTensorFlow) {
  const FloatTensor x = tensor({1, 2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(OneNode("SpaceToDepth", {x}, {{"block", int64_t{2}}}).floats().values, x.values);
  EXPECT_EQ(OneNode("SpaceToDepth", {x}, {{"block", int64_t{2}}, {"mode", std::string("CRD")}}).floats().values,
            (std::vector<float>{0, 2, 4, 6, 1, 3, 5, 7}));
  for (const char* mode : {"DCR", "CRD"}) {
    const Attributes attributes = {{"block", int64_t{2}}, {"mode", std::string(mode)}, {"layout", std::string("NCHW")}};
    const FloatTensor wide = counting_tensor({2, 3, 4, 6});
    const FloatTensor deep = OneNode("SpaceToDepth", {wide}, attributes).floats();
    EXPECT_EQ(deep.shape, (Shape{2, 12, 2, 3}));
    expect_near(OneNode("DepthToSpace", {deep}, attributes).floats(), wide, 0);
  }
}

TEST(Blocks, OfTheBatchUndoEachOther) {
  const FloatTensor x = counting_tensor({1, 4, 4, 1});
  const Attributes pads = {{"block", Ints{2, 2}}, {"pads", Ints{0, 2, 0, 0}}};
  const FloatTensor batches = OneNode("SpaceToBatch", {x}, pads).floats();
  EXPECT_EQ(batches.shape, (Shape{4, 2, 3, 1}));
  EXPECT_EQ(std::vector<float>(batches.values.begin(), batches.values.begin() + 6),
            (std::vector<float>{0, 0, 2, 0, 8, 10}));
  expect_near(OneNode("BatchToSpace", {batches}, pads).floats(), x, 0);
  // TensorFlow's operands: the block, and pairs of pads.
  OneNode operands("SpaceToBatch", {x, list({2, 2}), IntTensor(Shape{2, 2}, {0, 0, 2, 0})});
  expect_near(operands.floats(), batches, 0);
}

FloatTensor resized(const FloatTensor& x, Ints sizes, const char* mode, const char* coordinates,
                    const char* rounding = "round_prefer_floor") {
  return OneNode("Resize", {x},
                 {{"sizes", std::move(sizes)},
                  {"mode", std::string(mode)},
                  {"coordinate_mode", std::string(coordinates)},
                  {"nearest_mode", std::string(rounding)}})
      .floats();
}

TEST(Resize, FindsPositionsByEveryCoordinateMode) {
  const FloatTensor x = tensor({1, 4, 1}, {0, 1, 2, 3});
  const auto linear = [&](const char* coordinates, int64_t size) {
    return resized(x, {size}, "linear", coordinates).values;
  };
  EXPECT_EQ(linear("half_pixel", 8), (std::vector<float>{0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3}));
  EXPECT_EQ(linear("asymmetric", 8), (std::vector<float>{0, 0.5, 1, 1.5, 2, 2.5, 3, 3}));
  EXPECT_EQ(linear("align_corners", 7), (std::vector<float>{0, 0.5, 1, 1.5, 2, 2.5, 3}));
  EXPECT_EQ(linear("align_corners", 1), (std::vector<float>{0}));
  EXPECT_EQ(linear("half_pixel", 1), (std::vector<float>{1.5}));
  EXPECT_EQ(linear("pytorch_half_pixel", 1), (std::vector<float>{0}));
  EXPECT_EQ(linear("half_pixel", 2), (std::vector<float>{0.5, 2.5}));
  const auto nearest = [&](const char* coordinates, const char* rounding, int64_t size) {
    return resized(x, {size}, "nearest", coordinates, rounding).values;
  };
  EXPECT_EQ(nearest("asymmetric", "floor", 8), (std::vector<float>{0, 0, 1, 1, 2, 2, 3, 3}));
  EXPECT_EQ(nearest("half_pixel", "round_prefer_floor", 2), (std::vector<float>{0, 2}));
  EXPECT_EQ(nearest("half_pixel", "round_prefer_ceil", 2), (std::vector<float>{1, 3}));
  EXPECT_EQ(nearest("tf_half_pixel_for_nn", "floor", 3), (std::vector<float>{0, 2, 3}));
  EXPECT_EQ(nearest("asymmetric", "ceil", 3), (std::vector<float>{0, 2, 3}));
}

TEST(Resize, ReadsSizesAndScalesOfEitherLayout) {
  const FloatTensor x = counting_tensor({1, 1, 2, 2});
  const Attributes nchw = {{"layout", std::string("NCHW")},
                           {"coordinate_mode", std::string("asymmetric")},
                           {"nearest_mode", std::string("floor")}};
  const FloatTensor twice = tensor({1, 1, 4, 4}, {0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3});
  expect_near(OneNode("Resize", {x, list({1, 1, 4, 4})}, nchw).floats(), twice, 0);
  expect_near(OneNode("Resize", {x, tensor({4}, {1, 1, 2, 2})}, nchw).floats(), twice, 0);
  EXPECT_THAT(OneNode("Resize", {x, list({1, 2, 4, 4})}, nchw).message(), HasSubstr("along batch or channels"));
  EXPECT_THAT(OneNode("Resize", {x}, {{"mode", std::string("area")}}).message(), HasSubstr("nearest, linear, cubic"));
}

TEST(TopK, GivesValuesAndIndicesAndTheLowerIndexOnTies) {
  OneNode node("TopK", {tensor({2, 4}, {1, 3, 3, 2, -1, -4, -1, -1}), list({3})}, {{"axis", int64_t{1}}});
  EXPECT_EQ(node.floats().values, (std::vector<float>{3, 3, 2, -1, -1, -1}));
  node.graph.nodes[0].outputs.push_back(node.graph.add_value({"indices", DType::kInt, Shape{2, 3}, {}}));
  const FloatTensor x = std::get<FloatTensor>(node.operand(0));
  const Constant held = x;
  const std::vector<const Constant*> inputs = {&held};
  EXPECT_EQ(std::get<IntTensor>(node.def().evaluate(node.graph, node.node(), inputs)[1]).values,
            (Ints{1, 2, 3, 0, 2, 3}));
  OneNode smallest("TopK", {tensor({3, 1}, {2, 1, 2})},
                   {{"axis", int64_t{0}}, {"k", int64_t{2}}, {"largest", int64_t{0}}});
  EXPECT_EQ(smallest.floats().values, (std::vector<float>{1, 2}));
  EXPECT_THAT(OneNode("TopK", {tensor({2}, {1, 2}), list({3})}).message(), HasSubstr("k is 3"));
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

TEST(Positions, GatherElementsAndSlices) {
  const FloatTensor x = tensor({2, 2}, {1, 2, 3, 4});
  const IntTensor chosen(Shape{2, 2}, {0, 0, -1, 0});
  expect_near(OneNode("GatherElements", {x, chosen}, {{"axis", int64_t{1}}}).floats(), tensor({2, 2}, {1, 1, 4, 3}), 0);
  const FloatTensor cube = counting_tensor({2, 2, 2});
  expect_near(OneNode("GatherND", {cube, IntTensor(Shape{2, 2}, {0, 1, 1, 0})}).floats(), tensor({2, 2}, {2, 3, 4, 5}),
              0);
  expect_near(OneNode("GatherND", {cube, IntTensor(Shape{2, 1}, {1, 0})}, {{"batch_dims", int64_t{1}}}).floats(),
              tensor({2, 2}, {2, 3, 4, 5}), 0);
  EXPECT_THAT(OneNode("GatherND", {cube, list({2})}).message(), HasSubstr("an index is 2"));
  EXPECT_THAT(OneNode("GatherElements", {x, list({0})}).message(), HasSubstr("do not fit"));
}

TEST(Positions, ScatterReplacesOrCombines) {
  const FloatTensor x = tensor({4}, {1, 2, 3, 4}), updates = tensor({3}, {10, 20, 30});
  const IntTensor twice(Shape{3, 1}, {3, 1, 3});
  const auto scattered = [&](const char* how) {
    return OneNode("ScatterND", {x, twice, updates}, {{"reduction", std::string(how)}}).floats();
  };
  expect_near(scattered("none"), tensor({4}, {1, 20, 3, 30}), 0);
  expect_near(scattered("add"), tensor({4}, {1, 22, 3, 44}), 0);
  expect_near(scattered("mul"), tensor({4}, {1, 40, 3, 1200}), 0);
  expect_near(scattered("min"), tensor({4}, {1, 2, 3, 4}), 0);
  expect_near(
      OneNode("ScatterElements", {tensor({2, 2}, {1, 2, 3, 4}), IntTensor(Shape{1, 2}, {1, 0}), tensor({1, 2}, {7, 8})},
              {{"axis", int64_t{0}}})
          .floats(),
      tensor({2, 2}, {1, 8, 7, 4}), 0);
  EXPECT_THAT(OneNode("ScatterND", {x, twice, tensor({2}, {1, 2})}).message(), HasSubstr("updates of shape [2]"));
  EXPECT_THAT(OneNode("ScatterND", {x, twice, updates}, {{"reduction", std::string("mean")}}).message(),
              HasSubstr("none, add, mul, max, min"));
}

TEST(Pad, SpreadsPadsOfSomeAxes) {
  const FloatTensor x = tensor({1, 2}, {1, 2});
  const FloatTensor y = OneNode("Pad", {x, list({1, 0})}, {{"axes", Ints{-1}}}).floats();
  expect_near(y, tensor({1, 3}, {0, 1, 2}), 0);
  EXPECT_THAT(OneNode("Pad", {x, list({1, 0})}, {{"axes", Ints{0, 1}}}).message(), HasSubstr("4 pads for 2 axes"));
}

TEST(Resize, KeepsTheAspectOfItsAxes) {
  const auto sizes = [](const char* policy) {
    return OneNode("Resize", {counting_tensor({1, 1, 2, 4}), list({7, 8})},
                   {{"layout", std::string("NCHW")}, {"axes", Ints{2, 3}}, {"aspect", std::string(policy)}})
        .infer();
  };
  EXPECT_EQ(sizes("stretch"), (Shape{1, 1, 7, 8}));
  EXPECT_EQ(sizes("not_larger"), (Shape{1, 1, 4, 8}));
  EXPECT_EQ(sizes("not_smaller"), (Shape{1, 1, 7, 14}));
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
