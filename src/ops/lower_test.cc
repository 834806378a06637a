// Lowering: the steps of every operation, run on real numbers, give its float meaning; and the right steps are chosen.
#include "ops/ops_test_util.h"

namespace treville::ops {
namespace {

using testing::HasSubstr;

struct Case {
  std::string op;
  std::vector<Constant> operands;
  Attributes attributes;
  std::vector<size_t> secrets = {0};
  double tolerance = 1e-4;
};

std::vector<Case> cases(std::mt19937& g) {
  const auto x = [&](Shape shape) { return random_tensor(shape, g, -2, 2); };
  return {
      {"Conv",
       {x({1, 5, 4, 4}), x({3, 2, 2, 6}), x({6})},
       {{"groups", int64_t{2}}, {"auto_pad", std::string("same_upper")}}},
      {"MatMul", {x({2, 3}), x({3, 4})}, {}},
      {"MatMul", {x({2, 2, 3}), x({3, 4})}, {}},
      {"MatMul", {x({2, 3}), x({3, 4})}, {}, {1}},
      {"MatMul", {x({2, 3}), x({5, 3, 4})}, {}, {1}},
      {"MatMul", {x({3}), x({3, 4})}, {}},
      {"MatMul", {x({2, 3}), x({3})}, {}},
      {"MatMul", {x({2, 3}), x({3})}, {}, {1}},
      {"MatMul", {x({3}), x({3, 4})}, {}, {1}},
      {"MatMul", {x({2, 4, 3}), x({2, 3, 5})}, {}},
      {"MatMul", {x({4, 3}), x({2, 3, 5})}, {}},
      {"MatMul", {x({3, 1, 4, 3}), x({2, 3, 5})}, {}},
      {"MatMul", {x({2, 4, 3}), x({2, 3, 5})}, {}, {1}},
      {"MatMul", {x({2, 1, 4, 3}), x({3, 3, 1})}, {}, {1}},
      {"MatMul", {x({2, 1, 4, 3}), x({3})}, {}, {1}},
      {"Add", {x({2, 3}), x({2, 3})}, {}, {0, 1}},
      {"Sub", {x({1, 2, 3}), x({2, 3})}, {}, {0, 1}},
      {"Add", {x({2, 3}), x({3})}, {}},
      {"Add", {x({2, 3}), x({})}, {}},
      {"Add", {x({2, 1}), x({2, 2, 3})}, {}, {1}},
      {"Sub", {x({2, 3}), x({2, 1})}, {}},
      {"Sub", {x({2, 3}), x({2, 3})}, {}, {1}},
      {"Mul", {x({2, 3}), x({3})}, {}},
      {"Mul", {x({}), x({2, 3})}, {}, {1}},
      {"Mul", {x({2, 2, 3}), x({2, 1})}, {}},
      {"Mul", {x({2, 2, 3}), x({2, 1, 3})}, {}},
      {"Mul", {x({2, 2, 3}), x({1, 2, 3})}, {}},
      {"Div", {x({2, 3}), tensor({3}, {2, -4, 0.5})}, {}},
      {"Neg", {x({3})}, {}},
      {"BatchNorm", {x({2, 3}), x({3}), x({3}), x({3}), tensor({3}, {1, 2, 3})}, {}},
      {"Add", {x({2, 1, 3}), x({4, 1})}, {}, {0, 1}},
      {"Sub", {x({3}), x({2, 2, 3})}, {}, {0, 1}},
      {"Add", {x({3}), x({2, 3})}, {}, {0}},
      {"Mul", {x({1, 3}), x({2, 1})}, {}, {0}},
      {"Relu", {x({9})}, {}},
      {"Clip", {x({9})}, {{"min", 0.0}, {"max", 1.5}}, {0}, 1e-3},
      {"Clip", {x({9})}, {{"min", 0.0}, {"max", 6.0}}},
      {"Clip", {x({9})}, {{"min", -1.0}, {"max", 0.5}}, {0}, 1e-3},
      {"Clip", {x({9})}, {{"min", -1.0}}},
      {"Clip", {x({9})}, {{"max", 1.0}}},
      {"Clip", {x({9})}, {{"max", -1.0}}},
      {"Clip", {x({9})}, {}},
      {"LeakyRelu", {x({9})}, {{"alpha", 0.1}}, {0}, 2e-3},
      {"LeakyRelu", {x({9})}, {{"alpha", 0.01}}, {0}, 2e-3},
      {"MaxPool", {x({1, 5, 5, 2})}, {{"kernel", Ints{3, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 0, 1, 1}}}},
      {"AveragePool", {x({1, 4, 4, 2})}, {{"kernel", Ints{2, 2}}, {"strides", Ints{2, 2}}}},
      {"AveragePool", {x({1, 5, 5, 2})}, {{"kernel", Ints{3, 3}}, {"auto_pad", std::string("same_upper")}}, {0}, 3e-3},
      {"AveragePool",
       {x({1, 4, 4, 2})},
       {{"kernel", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}, {"count_include_pad", int64_t{1}}}},
      {"AveragePool",
       {x({1, 4, 4, 2})},
       {{"kernel", Ints{3, 3}},
        {"strides", Ints{2, 2}},
        {"pads", Ints{1, 0, 0, 0}},
        {"count_include_pad", int64_t{1}},
        {"ceil_mode", int64_t{1}}},
       {0},
       3e-3},
      {"ReduceMean", {x({1, 3, 4, 2})}, {{"axes", Ints{1, 2}}}},
      {"ReduceMean", {x({2, 3, 1})}, {{"axes", Ints{2}}, {"keepdims", int64_t{0}}}},
      {"ReduceSum", {x({2, 3, 4})}, {{"axes", Ints{-1}}, {"keepdims", int64_t{0}}}},
      {"Concat", {x({2, 3}), x({2, 1})}, {{"axis", int64_t{-1}}}, {0, 1}},
      {"Stack", {x({2, 3}), x({2, 3})}, {{"axis", int64_t{1}}}, {0, 1}},
      {"Pad", {x({2, 3})}, {{"pads", Ints{1, 0, 2, 1}}}},
      {"Pad", {x({2, 3})}, {{"pads", Ints{-1, 1, 0, -2}}}},
      {"Pad", {x({2, 3})}, {{"pads", Ints{1, 0, -1, 2}}, {"value", 1.5}}},
      {"Pad", {x({2, 4})}, {{"pads", Ints{1, 2, 0, 3}}, {"mode", std::string("reflect")}}},
      {"Pad", {x({2, 4})}, {{"pads", Ints{1, 2, 0, -1}}, {"mode", std::string("symmetric")}}},
      {"Pad", {x({2, 3})}, {{"pads", Ints{0, 2, 1, 5}}, {"mode", std::string("edge")}}},
      {"Pad", {x({2, 3})}, {{"pads", Ints{0, 4, 1, 2}}, {"mode", std::string("wrap")}}},
      {"Concat", {x({2, 1}), x({2, 3}), x({2, 2}), x({2, 4}), x({2, 1})}, {{"axis", int64_t{1}}}, {1, 3}},
      {"Concat", {x({2, 3}), x({1, 3})}, {{"axis", int64_t{0}}}, {1}},
      {"Stack", {x({2, 3}), x({2, 3})}, {{"axis", int64_t{0}}}, {0}},
      {"Tile", {x({2, 1, 3})}, {{"repeats", Ints{2, 3, 1}}}},
      {"Expand", {x({2, 1, 3})}, {{"shape", Ints{4, 1, 5, 1}}}},
      {"Reverse", {x({2, 3, 2})}, {{"axes", Ints{0, -1}}}},
      {"Part", {x({2, 7})}, {{"axis", int64_t{1}}, {"parts", int64_t{3}}, {"index", int64_t{2}}}},
      {"SpaceToDepth", {x({1, 4, 6, 3})}, {{"block", int64_t{2}}}},
      {"SpaceToDepth", {x({1, 4, 6, 3})}, {{"block", int64_t{2}}, {"mode", std::string("CRD")}}},
      {"DepthToSpace", {x({2, 2, 3, 12})}, {{"block", int64_t{2}}}},
      {"DepthToSpace", {x({2, 2, 3, 12})}, {{"block", int64_t{2}}, {"mode", std::string("CRD")}}},
      {"SpaceToBatch", {x({2, 3, 4, 2})}, {{"block", Ints{2, 3}}, {"pads", Ints{1, 1, 0, 1}}}},
      {"BatchToSpace", {x({12, 2, 2, 3})}, {{"block", Ints{2, 3}}, {"pads", Ints{1, 0, 0, 2}}}},
      {"Resize", {x({1, 3, 4, 2})}, {{"sizes", Ints{7, 2}}}},
      {"Resize", {x({1, 3, 4, 2})}, {{"sizes", Ints{6, 5}}, {"mode", std::string("linear")}}},
      {"Resize", {x({2, 3, 2})}, {{"sizes", Ints{8}}, {"mode", std::string("cubic")}}},
      {"Resize", {x({1, 2, 3, 4, 2})}, {{"sizes", Ints{4, 3, 2}}, {"mode", std::string("linear")}}},
      {"Reshape", {x({2, 3})}, {{"shape", Ints{3, -1}}}},
      {"Flatten", {x({2, 3, 2})}, {}},
      {"Squeeze", {x({2, 1, 3})}, {}},
      {"Unsqueeze", {x({2})}, {{"axes", Ints{0}}}},
      {"Identity", {x({2})}, {}},
      {"Cast", {x({2})}, {{"to", std::string("float")}}},
      {"Slice", {x({4, 6})}, {{"starts", Ints{1, 0}}, {"ends", Ints{3, 6}}, {"steps", Ints{1, 2}}}},
      {"Slice", {x({2, 3})}, {{"starts", Ints{-1}}, {"ends", Ints{INT64_MIN}}, {"axes", Ints{1}}, {"steps", Ints{-1}}}},
      {"StridedSlice", {x({3, 4}), list({1, 0}), list({0, 4}), list({1, 3})}, {{"shrink_axis_mask", int64_t{1}}}},
      {"Transpose", {x({2, 3, 4})}, {{"perm", Ints{2, 0, 1}}}},
      {"Transpose", {x({2, 3})}, {{"perm", Ints{0, 1}}}},
      {"Gather", {x({2, 6}), list({1, 3, 5})}, {{"axis", int64_t{1}}}},
      {"Gather", {x({2, 6}), list({4, 0, 1, -1})}, {{"axis", int64_t{1}}}},
      {"Gather", {x({2, 6}), number(3)}, {{"axis", int64_t{1}}}},
      {"Mul", {x({2, 3}), x({3})}, {}, {0, 1}},
      {"MatMul", {x({2, 3}), x({3, 4})}, {}, {0, 1}},
      {"MatMul", {x({2, 1, 2, 3}), x({4, 3, 2})}, {}, {0, 1}},
      {"MatMul", {x({3}), x({2, 3, 4})}, {}, {0, 1}},
      {"MatMul", {x({3}), x({3})}, {}, {0, 1}},
      {"Square", {x({5})}, {}},
      {"ReduceMax", {x({2, 3, 4})}, {{"axes", Ints{1}}}},
      {"ReduceMax", {x({2, 3, 4})}, {{"axes", Ints{0, 2}}, {"keepdims", int64_t{0}}}},
      {"ReduceMax", {x({2, 3, 4})}, {}},
      {"GreaterEqual", {x({9}), tensor({}, {0})}, {}},
      {"Floor", {x({9})}, {}},
      {"Sigmoid", {x({9})}, {}, {0}, 4e-3},
      {"Tanh", {x({2, 9})}, {}, {0}, 4e-3},
      {"Exp", {x({9})}, {}, {0}, 4e-3},
      {"Gelu", {x({9})}, {}, {0}, 4e-3},
      {"Selu", {x({9})}, {}, {0}, 4e-3},
      {"Softplus", {tensor({5}, {-40, -3, 0, 2, 50})}, {}, {0}, 4e-3},
      {"Sigmoid", {tensor({5}, {-40, -3, 0, 2, 50})}, {}, {0}, 4e-3},
      {"Reciprocal", {tensor({5}, {0.5, 1, 2, 9, 30})}, {}, {0}, 4e-3},
      {"Rsqrt", {tensor({4}, {0.0625, 1, 2, 16})}, {}, {0}, 4e-3},
      {"ArgMax", {x({2, 5, 3})}, {{"axis", int64_t{1}}}},
      {"ArgMin", {x({2, 5, 3})}, {{"axis", int64_t{1}}}},
      {"ArgMax", {x({2, 5})}, {{"axis", int64_t{-1}}, {"keepdims", int64_t{0}}}},
  };
}

TEST(Lowering, StepsComputeTheFloatMeaning) {
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    std::mt19937 generator(seed);
    for (const Case& c : cases(generator)) {
      SCOPED_TRACE(fmt::format("seed {} {}", seed, c.op));
      OneNode node(c.op, c.operands, c.attributes, c.secrets);
      const FloatTensor expected = to_floats(node.evaluate());
      RealContext context(node);
      expect_near(context.run(), expected, c.tolerance);
    }
  }
}

std::string lower_message(OneNode node) {
  RealContext context(node);
  try {
    context.run();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Lowering, RefusesWhatHasNoSecureForm) {
  const FloatTensor m(Shape{2, 2});
  EXPECT_THAT(lower_message(OneNode("Div", {m, m}, {}, {0})), HasSubstr("holds a 0"));
  EXPECT_THAT(lower_message(OneNode("Cast", {m}, {{"to", std::string("int")}}, {0})), HasSubstr("cast of a secret"));
  OneNode inner("ArgMax", {m}, {{"axis", int64_t{1}}}, {0});
  inner.graph.outputs.clear();
  EXPECT_THAT(lower_message(inner), HasSubstr("inside the model"));
}

TEST(Lowering, OfAConvolutionIsOneLinearLayer) {
  std::mt19937 generator(1);
  OneNode node("Conv", {random_tensor({1, 4, 4, 2}, generator), random_tensor({3, 3, 2, 5}, generator)},
               {{"strides", Ints{2, 1}}}, {0});
  RealContext context(node);
  context.run();
  EXPECT_TRUE(context.steps.empty());
  ASSERT_EQ(context.maps.size(), 1u);
  const auto& map = std::get<ConvGeometry>(context.maps[0]);
  EXPECT_EQ(map.stride_h, 2);
  EXPECT_EQ(map.out_c, 5);
}

TEST(Lowering, OfAChannelProductSharesTheBatch) {
  std::mt19937 generator(1);
  OneNode node("Mul", {random_tensor({4, 2, 3}, generator), random_tensor({2, 1}, generator)}, {}, {0});
  RealContext context(node);
  context.run();
  EXPECT_EQ(std::get<ChannelGeometry>(context.maps.at(0)), (ChannelGeometry{4, 6}));
}

TEST(Lowering, OfRelu6BoundsTheDifferenceToo) {
  OneNode clip("Clip", {tensor({2}, {-8, 8})}, {{"min", 0.0}, {"max", 6.0}}, {0});
  RealContext context(clip);
  context.run();
  const auto& step = std::get<ClipStep>(context.steps.at(0));
  EXPECT_EQ(step.upper, 6 << 10);  // at the truncated scale of 10 bits
  EXPECT_EQ(context.opened_bounds, std::vector<double>{14});
  OneNode relu("Clip", {tensor({2}, {-5, 5})}, {{"min", 0.0}, {"max", 6.0}}, {0});
  RealContext narrow(relu);
  narrow.run();
  EXPECT_EQ(narrow.count<ReluStep>(), 1);
  EXPECT_EQ(narrow.steps.size(), 1u);
}

TEST(Lowering, OfALeakyReluTakesTheFewestSlopeBits) {
  const auto step = [](double alpha) {
    OneNode node("LeakyRelu", {tensor({2}, {-1, 1})}, {{"alpha", alpha}}, {0});
    RealContext context(node);
    context.run();
    return std::get<LeakyReluStep>(context.steps.at(0));
  };
  EXPECT_EQ(step(0.25).slope_bits, Bits(2));
  EXPECT_EQ(step(0.25).slope, 1);
  for (double alpha : {0.1, 0.2, 0.01, 0.3, 1.7, -0.4}) {
    const LeakyReluStep s = step(alpha);
    EXPECT_NEAR(std::ldexp(static_cast<double>(s.slope), -s.slope_bits.value()), alpha, std::ldexp(1.0, -10)) << alpha;
    EXPECT_LE(s.k.value() + s.slope_bits.value(), 32);
  }
}

TEST(Lowering, OfUnequalWindowsDividesWithTheBitsThereAre) {
  const Attributes same = {{"kernel", Ints{3, 3}}, {"auto_pad", std::string("same_upper")}};
  OneNode node("AveragePool", {counting_tensor({1, 4, 4, 1})}, same, {0});
  RealContext roomy(node);
  roomy.run();
  const auto& pool = std::get<SumPoolStep>(roomy.steps.at(0));
  // 15 at scale 12 takes 16 bits of 32; the sign and the rounding of the factor take two more.
  EXPECT_EQ(pool.divide_bits, Bits(14));
  RealContext tight(node);
  tight.set_operand_type(0, 20, 32);
  tight.run();
  EXPECT_EQ(tight.count<SumPoolStep>(), 1);
  EXPECT_EQ(tight.maps.size(), 1u) << "without room for a factor the sums go through a linear layer";
}

TEST(Lowering, OfASumMakesRoomWhenTheModulusIsSmall) {
  OneNode node("ReduceMean", {counting_tensor({1, 4, 4, 1})}, {{"axes", Ints{1, 2}}}, {0});
  RealContext context(node);
  context.set_operand_type(0, 12, 18);  // as behind a maximum
  context.run();
  EXPECT_EQ(context.count<RescaleStep>(), 1);
}

TEST(Lowering, OfAReversedAxisIsOneSlice) {
  OneNode node("Slice", {counting_tensor({2, 3})},
               {{"starts", Ints{2}}, {"ends", Ints{-4}}, {"axes", Ints{1}}, {"steps", Ints{-1}}}, {0});
  RealContext context(node);
  context.run();
  ASSERT_EQ(context.steps.size(), 1u);
  EXPECT_EQ(std::get<SliceStep>(context.steps[0]).steps, (Ints{1, -1}));
}

TEST(Lowering, OfAGatherIsASliceWhereItCanBe) {
  const auto lowered = [](std::vector<int64_t> indices) {
    OneNode node("Gather", {counting_tensor({2, 6}), list(std::move(indices))}, {{"axis", int64_t{1}}}, {0});
    RealContext context(node);
    context.run();
    return std::tuple(context.count<SliceStep>(), context.count<GatherStep>(), context.steps.size());
  };
  EXPECT_EQ(lowered({5, 3, 1, 0, 4}), std::tuple(0, 1, 1u));
  EXPECT_EQ(lowered({5, 3, 1}), std::tuple(1, 0, 1u));
  EXPECT_EQ(lowered({0, 1, 2, 3, 4, 5}), std::tuple(0, 0, 0u));
  EXPECT_EQ(lowered({2, 2}), std::tuple(0, 1, 1u));
}

TEST(Lowering, OfALongGatherIsCutIntoSteps) {
  OneNode node("Tile", {counting_tensor({1, 3})}, {{"repeats", Ints{1, 3000}}}, {0});
  RealContext context(node);
  expect_near(context.run(), node.floats(), 0);
  EXPECT_EQ(context.count<GatherStep>(), 3);
  EXPECT_EQ(context.count<ConcatStep>(), 1);
}

TEST(Lowering, OfSoftmaxPassesItsOperandOn) {
  OneNode node("Softmax", {counting_tensor({1, 3})}, {{"axis", int64_t{1}}}, {0});
  RealContext context(node);
  expect_near(context.run(), counting_tensor({1, 3}), 0);
  EXPECT_TRUE(context.steps.empty());
}

}  // namespace
}  // namespace treville::ops
