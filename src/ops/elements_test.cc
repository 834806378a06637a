// Arithmetic, activations, normalisation, products, reductions, soft max and arg max in the clear.
#include "ops/ops_test_util.h"

namespace treville::ops {
namespace {

TEST(Table, FindsEveryNameOnce) {
  const auto names = op_names();
  EXPECT_EQ(names.size(), 120u);
  for (size_t i = 0; i < names.size(); ++i) {
    const OpDef* op = find_op(names[i]);
    ASSERT_NE(op, nullptr);
    EXPECT_NE(op->infer, nullptr) << names[i];
    const bool becomes_another = names[i] == "Part" || names[i] == "Reverse";
    EXPECT_EQ(op->evaluate == nullptr, becomes_another) << names[i];
    EXPECT_TRUE(i == 0 || names[i - 1] < names[i]) << names[i];
  }
  EXPECT_EQ(find_op("Conv2D"), nullptr);
}

TEST(Arithmetic, BroadcastsAsNumpyDoes) {
  const FloatTensor a = tensor({2, 1, 2}, {1, 2, 3, 4}), b = tensor({3, 1}, {10, 20, 30});
  expect_near(OneNode("Add", {a, b}).floats(), tensor({2, 3, 2}, {11, 12, 21, 22, 31, 32, 13, 14, 23, 24, 33, 34}), 0);
  expect_near(OneNode("Sub", {b, a}).floats(), tensor({2, 3, 2}, {9, 8, 19, 18, 29, 28, 7, 6, 17, 16, 27, 26}), 0);
  expect_near(OneNode("Mul", {a, tensor({}, {2})}).floats(), tensor({2, 1, 2}, {2, 4, 6, 8}), 0);
  expect_near(OneNode("Div", {a, tensor({2}, {2, 4})}).floats(), tensor({2, 1, 2}, {0.5, 0.5, 1.5, 1}), 0);
  EXPECT_THAT(OneNode("Add", {a, tensor({3}, {1, 2, 3})}).message(),
              testing::HasSubstr("shapes [2,1,2] and [3] do not broadcast"));
  EXPECT_THAT(OneNode("Add", {a, list({1, 2})}).message(), testing::HasSubstr("integer"));
}

TEST(Arithmetic, FoldsIntegers) {
  EXPECT_EQ(OneNode("Add", {list({1, INT64_MAX}), number(1)}).integers().values, (Ints{2, INT64_MIN}));
  EXPECT_EQ(OneNode("Sub", {list({1, 5}), list({3, 2})}).integers().values, (Ints{-2, 3}));
  EXPECT_EQ(OneNode("Mul", {list({-4, 5}), number(3)}).integers().values, (Ints{-12, 15}));
  EXPECT_EQ(OneNode("Div", {list({-7, 7, INT64_MIN}), list({2, 2, -1})}).integers().values, (Ints{-3, 3, INT64_MIN}));
  EXPECT_EQ(OneNode("Neg", {list({-7, 2})}).integers().values, (Ints{7, -2}));
  EXPECT_THROW(OneNode("Div", {list({1}), list({0})}).evaluate(), UserError);
  EXPECT_THROW(OneNode("Mod", {list({1}), list({0})}).evaluate(), UserError);
}

TEST(Arithmetic, RemaindersHaveTheSignOfOneOperand) {
  const IntTensor a = list({-4, 7, 5, 4, -7, INT64_MIN}), b = list({2, -3, 8, -2, 3, -1});
  EXPECT_EQ(OneNode("Mod", {a, b}).integers().values, (Ints{0, -2, 5, 0, 2, 0}));
  const Attributes truncated = {{"truncated", int64_t{1}}};
  EXPECT_EQ(OneNode("Mod", {a, b}, truncated).integers().values, (Ints{0, 1, 5, 0, -1, 0}));
  const FloatTensor x = tensor({3}, {-4.5, 7, 5}), y = tensor({3}, {2, -4, 8});
  expect_near(OneNode("Mod", {x, y}).floats(), tensor({3}, {1.5, -1, 5}), 0);
  expect_near(OneNode("Mod", {x, y}, truncated).floats(), tensor({3}, {-0.5, 3, 5}), 0);
}

TEST(CumSum, AddsFromEitherEndWithOrWithoutItself) {
  const FloatTensor x = tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  const Attributes exclusive = {{"exclusive", int64_t{1}}}, reverse = {{"reverse", int64_t{1}}};
  expect_near(OneNode("CumSum", {x, number(1)}).floats(), tensor({2, 3}, {1, 3, 6, 4, 9, 15}), 0);
  expect_near(OneNode("CumSum", {x, number(0)}, exclusive).floats(), tensor({2, 3}, {0, 0, 0, 1, 2, 3}), 0);
  expect_near(OneNode("CumSum", {x, number(-1)}, reverse).floats(), tensor({2, 3}, {6, 5, 3, 15, 11, 6}), 0);
  EXPECT_EQ(OneNode("CumSum", {list({1, 2, 3}), number(0)}).integers().values, (Ints{1, 3, 6}));
  EXPECT_THAT(OneNode("CumSum", {x, number(2)}).message(), testing::HasSubstr("axis"));
}

TEST(Trilu, KeepsOneTriangle) {
  const FloatTensor x = tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  const Attributes lower = {{"upper", int64_t{0}}};
  expect_near(OneNode("Trilu", {x}).floats(), tensor({2, 3}, {1, 2, 3, 0, 5, 6}), 0);
  expect_near(OneNode("Trilu", {x, number(1)}).floats(), tensor({2, 3}, {0, 2, 3, 0, 0, 6}), 0);
  expect_near(OneNode("Trilu", {x, number(-1)}, lower).floats(), tensor({2, 3}, {0, 0, 0, 4, 0, 0}), 0);
}

TEST(Quantize, RoundsSaturatesAndReturns) {
  const FloatTensor x = tensor({2, 2}, {0.25, 3, -100, 1}), scales = tensor({2}, {0.5, 2});
  const IntTensor zeros = list({10, 0});
  const Attributes bytes = {{"axis", int64_t{1}}, {"low", int64_t{0}}, {"high", int64_t{255}}};
  const IntTensor y = OneNode("QuantizeLinear", {x, scales, zeros}, bytes).integers();
  EXPECT_EQ(y.values, (Ints{10, 2, 0, 0}));  // halves to the even neighbour
  expect_near(OneNode("DequantizeLinear", {y, scales, zeros}, bytes).floats(), tensor({2, 2}, {0, 4, -5, 0}), 0);
  const Attributes blocks = {{"axis", int64_t{1}}, {"block", int64_t{2}}};
  const FloatTensor of_blocks =
      OneNode("DequantizeLinear", {IntTensor(Shape{1, 3}, {1, 2, 3}), tensor({1, 2}, {2, 3}), IntTensor(Shape{1, 2})},
              blocks)
          .floats();
  expect_near(of_blocks, tensor({1, 3}, {2, 4, 9}), 0);
  EXPECT_THAT(OneNode("QuantizeLinear", {x, tensor({3}, {1, 1, 1}), list({0, 0, 0})}, bytes).message(),
              testing::HasSubstr("do not fit"));
}

TEST(Unary, ComputesRootsAndNegation) {
  const FloatTensor x = tensor({3}, {4, 0.25, 9});
  expect_near(OneNode("Sqrt", {x}).floats(), tensor({3}, {2, 0.5, 3}), 1e-6);
  expect_near(OneNode("Rsqrt", {x}).floats(), tensor({3}, {0.5, 2, 1.0F / 3}), 1e-6);
  expect_near(OneNode("Neg", {x}).floats(), tensor({3}, {-4, -0.25, -9}), 0);
}

TEST(Activation, FollowsItsDefinitionAtTheEdges) {
  const FloatTensor x = tensor({5}, {-2, -0.0F, 0.5, 6, 7});
  expect_near(OneNode("Relu", {x}).floats(), tensor({5}, {0, 0, 0.5, 6, 7}), 0);
  expect_near(OneNode("Clip", {x}, {{"min", 0.0}, {"max", 6.0}}).floats(), tensor({5}, {0, 0, 0.5, 6, 6}), 0);
  expect_near(OneNode("Clip", {x}, {{"min", -1.0}}).floats(), tensor({5}, {-1, 0, 0.5, 6, 7}), 0);
  expect_near(OneNode("Clip", {x}, {{"max", 0.25}}).floats(), tensor({5}, {-2, 0, 0.25, 0.25, 0.25}), 0);
  expect_near(OneNode("Clip", {x}, {{"min", 3.0}, {"max", 1.0}}).floats(), tensor({5}, {1, 1, 1, 1, 1}), 0);
  expect_near(OneNode("LeakyRelu", {x}, {{"alpha", 0.25}}).floats(), tensor({5}, {-0.5, 0, 0.5, 6, 7}), 0);
}

TEST(BatchNorm, NormalisesTheChannelAxisOfEachLayout) {
  const FloatTensor scale = tensor({2}, {2, 3}), bias = tensor({2}, {1, -1}), mean = tensor({2}, {0.5, 1});
  const FloatTensor variance = tensor({2}, {3.0F, 15.0F});
  Attributes attributes = {{"epsilon", 1.0}};
  const FloatTensor x = counting_tensor({1, 2, 2});
  // factor 2/2 = 1 and 3/4; offset 1 - 0.5 and -1 - 0.75.
  expect_near(OneNode("BatchNorm", {x, scale, bias, mean, variance}, attributes).floats(),
              tensor({1, 2, 2}, {0.5, -1, 2.5, 0.5}), 1e-6);
  attributes["layout"] = std::string("NCHW");
  expect_near(OneNode("BatchNorm", {x, scale, bias, mean, variance}, attributes).floats(),
              tensor({1, 2, 2}, {0.5, 1.5, -0.25, 0.5}), 1e-6);
  EXPECT_THAT(OneNode("BatchNorm", {FloatTensor(Shape{1, 3}), scale, bias, mean, variance}).message(),
              testing::HasSubstr("expected scale of shape [3]"));
}

TEST(MatMul, MultipliesMatricesVectorsAndStacks) {
  const FloatTensor a = tensor({2, 3}, {1, 2, 3, 4, 5, 6}), b = tensor({3, 2}, {1, 0, 0, 1, 1, 1});
  expect_near(OneNode("MatMul", {a, b}).floats(), tensor({2, 2}, {4, 5, 10, 11}), 1e-6);
  expect_near(OneNode("MatMul", {tensor({3}, {1, 2, 3}), b}).floats(), tensor({2}, {4, 5}), 1e-6);
  expect_near(OneNode("MatMul", {a, tensor({3}, {1, 0, 1})}).floats(), tensor({2}, {4, 10}), 1e-6);
  expect_near(OneNode("MatMul", {tensor({3}, {1, 2, 3}), tensor({3}, {1, 0, 1})}).floats(), tensor({}, {4}), 1e-6);
  // [2,1,1,2] x [3,2,1]: a stack of 2 x 3 products.
  const FloatTensor stack_a = tensor({2, 1, 1, 2}, {1, 2, 3, 4}), stack_b = tensor({3, 2, 1}, {1, 0, 0, 1, 1, 1});
  expect_near(OneNode("MatMul", {stack_a, stack_b}).floats(), tensor({2, 3, 1, 1}, {1, 2, 3, 3, 4, 7}), 1e-6);
  // A stack on the left shares one matrix on the right; a single matrix on the left meets a stack.
  expect_near(OneNode("MatMul", {tensor({2, 1, 3}, {1, 2, 3, 4, 5, 6}), b}).floats(), tensor({2, 1, 2}, {4, 5, 10, 11}),
              1e-6);
  expect_near(OneNode("MatMul", {tensor({1, 2}, {1, 2}), stack_b}).floats(), tensor({3, 1, 1}, {1, 2, 3}), 1e-6);
  EXPECT_THAT(OneNode("MatMul", {a, a}).message(), testing::HasSubstr("cannot multiply [2,3] by [2,3]"));
}

TEST(Reduce, SumsAndAveragesAnyAxes) {
  const FloatTensor x = counting_tensor({2, 3, 2});
  expect_near(OneNode("ReduceSum", {x}, {{"axes", Ints{1}}, {"keepdims", int64_t{0}}}).floats(),
              tensor({2, 2}, {6, 9, 24, 27}), 0);
  expect_near(OneNode("ReduceMean", {x}, {{"axes", Ints{-1, 0}}, {"keepdims", int64_t{1}}}).floats(),
              tensor({1, 3, 1}, {3.5, 5.5, 7.5}), 1e-6);
  expect_near(OneNode("ReduceMean", {x}, {{"keepdims", int64_t{0}}}).floats(), tensor({}, {5.5}), 1e-6);
  EXPECT_EQ(OneNode("ReduceSum", {list({1, 2, 3}), list({0})}, {{"keepdims", int64_t{0}}}).integers().values,
            (Ints{6}));
  EXPECT_THAT(OneNode("ReduceSum", {x}, {{"axes", Ints{3}}}).message(),
              testing::HasSubstr("axis 3 is outside of shape [2,3,2]"));
  EXPECT_THAT(OneNode("ReduceSum", {x}, {{"axes", Ints{1, -2}}}).message(), testing::HasSubstr("named twice"));
}

TEST(Softmax, IsADistributionOverItsAxis) {
  const FloatTensor x = tensor({2, 2}, {0, std::log(3.0F), 1000, 1000});
  expect_near(OneNode("Softmax", {x}, {{"axis", int64_t{-1}}}).floats(), tensor({2, 2}, {0.25, 0.75, 0.5, 0.5}), 1e-6);
  expect_near(OneNode("Softmax", {x}, {{"axis", int64_t{0}}}).floats(), tensor({2, 2}, {0, 0, 1, 1}), 1e-6);
  const FloatTensor zeros(Shape{1, 2, 2});
  Attributes joint = {{"axis", int64_t{1}}, {"joint", int64_t{1}}};
  expect_near(OneNode("Softmax", {zeros}, joint).floats(), tensor({1, 2, 2}, {0.25, 0.25, 0.25, 0.25}), 1e-6);
  OneNode narrow("Softmax", {FloatTensor(Shape{1, 1, 2})}, joint);
  expect_near(narrow.floats(), tensor({1, 1, 2}, {0.5, 0.5}), 1e-6);
  EXPECT_EQ(narrow.node().get_int("axis", 0), 2);
  EXPECT_FALSE(narrow.node().has("joint"));
}

TEST(Softmax, LogarithmsDoNotPassThroughProbabilities) {
  const FloatTensor x = tensor({2, 2}, {0, std::log(3.0F), 0, -1000});
  expect_near(OneNode("LogSoftmax", {x}, {{"axis", int64_t{1}}}).floats(),
              tensor({2, 2}, {std::log(0.25F), std::log(0.75F), 0, -1000}), 1e-6);
}

TEST(ArgMax, TakesTheHigherIndexOnTiesWhereAsked) {
  const FloatTensor x = tensor({2, 3}, {1, 5, 5, 2, 2, 7});
  const Attributes last = {{"axis", int64_t{1}}, {"last", int64_t{1}}};
  EXPECT_EQ(OneNode("ArgMax", {x}, last).integers().values, (Ints{2, 2}));
  EXPECT_EQ(OneNode("ArgMin", {x}, last).integers().values, (Ints{0, 1}));
}

TEST(ArgMax, TakesTheLowerIndexOnTies) {
  const FloatTensor x = tensor({2, 3}, {1, 5, 5, 7, 2, 7});
  EXPECT_EQ(OneNode("ArgMax", {x}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}}).integers().values, (Ints{1, 0}));
  const IntTensor columns = OneNode("ArgMax", {x}, {{"axis", int64_t{0}}}).integers();
  EXPECT_EQ(columns.shape, (Shape{1, 3}));
  EXPECT_EQ(columns.values, (Ints{1, 0, 1}));
}

}  // namespace
}  // namespace treville::ops
