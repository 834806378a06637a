// The float meaning of smooth functions, comparisons, normalisations and recurrent layers, against TensorFlow's results
// on small numbers, and their range rules.
#include "ops/smooth.h"

#include "ops/ops_test_util.h"

namespace treville::ops {
namespace {

using testing::HasSubstr;

struct Golden {
  std::string op;
  Attributes attributes;
  std::vector<float> expected;
};

// Results of TensorFlow 2.15 at -3, -1/2, 0, 3/4, 4.
const Golden kGolden[] = {
    {"Sigmoid", {}, {0.04742587F, 0.3775407F, 0.5F, 0.6791787F, 0.9820138F}},
    {"Tanh", {}, {-0.9950547F, -0.4621172F, 0, 0.635149F, 0.9993292F}},
    {"Softplus", {}, {0.04858735F, 0.474077F, 0.6931472F, 1.136871F, 4.01815F}},
    {"Softsign", {}, {-0.75F, -0.3333333F, 0, 0.4285714F, 0.8F}},
    {"Elu", {}, {-0.950213F, -0.3934693F, 0, 0.75F, 4}},
    {"Selu", {}, {-1.670569F, -0.6917582F, 0, 0.7880257F, 4.202804F}},
    {"Swish", {}, {-0.1422776F, -0.1887703F, 0, 0.509384F, 3.928055F}},
    {"Gelu", {}, {-0.004049689F, -0.1542688F, 0, 0.5800295F, 3.999874F}},
    {"Gelu", {{"approximate", std::string("tanh")}}, {-0.003637522F, -0.154286F, 0, 0.5799606F, 3.999929F}},
    {"Erf", {}, {-0.9999778F, -0.5204999F, 0, 0.7111556F, 1}},
    {"Mish", {}, {-0.1456475F, -0.2207438F, 0, 0.6100183F, 3.997413F}},
    {"HardSigmoid", {}, {0, 0.4F, 0.5F, 0.65F, 1}},
    {"HardSigmoid", {{"alpha", 1.0}, {"beta", 0.0}}, {0, 0, 0, 0.75F, 1}},
    {"HardSwish", {}, {0, -0.2083333F, 0, 0.46875F, 4}},
    {"Square", {}, {9, 0.25F, 0, 0.5625F, 16}},
    {"Pow", {{"exponent", 3.0}}, {-27, -0.125F, 0, 0.421875F, 64}},
    {"Exp", {}, {0.04978707F, 0.6065307F, 1, 2.117F, 54.59815F}},
    {"Sin", {}, {-0.14112F, -0.4794255F, 0, 0.6816388F, -0.7568025F}},
    {"Cos", {}, {-0.9899925F, 0.8775826F, 1, 0.7316889F, -0.6536436F}},
    {"Atan", {}, {-1.249046F, -0.4636476F, 0, 0.6435011F, 1.325818F}},
    {"Sinh", {}, {-10.01787F, -0.5210953F, 0, 0.8223167F, 27.28992F}},
    {"Cosh", {}, {10.06766F, 1.127626F, 1, 1.294683F, 27.30823F}},
    {"Asinh", {}, {-1.818446F, -0.4812118F, 0, 0.6931472F, 2.094713F}},
    {"Abs", {}, {3, 0.5F, 0, 0.75F, 4}},
    {"Sign", {}, {-1, -1, 0, 1, 1}},
    {"Floor", {}, {-3, -1, 0, 0, 4}},
    {"Ceil", {}, {-3, 0, 0, 1, 4}},
    {"Round", {}, {-3, 0, 0, 1, 4}},
};

TEST(Smooth, AgreesWithTensorFlow) {
  const FloatTensor x = tensor({5}, {-3, -0.5F, 0, 0.75F, 4});
  for (const Golden& golden : kGolden) {
    SCOPED_TRACE(golden.op);
    expect_near(OneNode(golden.op, {x}, golden.attributes).floats(), tensor({5}, golden.expected), 1e-5);
  }
}

// Outside of their domains these are what they are at its border.
TEST(Smooth, InverseFunctionsKeepToTheirDomains) {
  const FloatTensor x = tensor({4}, {-0.5F, 0, 0.75F, 3}), y = tensor({4}, {-2, 1, 1.5F, 4});
  expect_near(OneNode("Asin", {x}).floats(), tensor({4}, {-0.5235988F, 0, 0.8480621F, 1.570796F}), 1e-6);
  expect_near(OneNode("Acos", {x}).floats(), tensor({4}, {2.094395F, 1.570796F, 0.7227342F, 0}), 1e-6);
  expect_near(OneNode("Acosh", {y}).floats(), tensor({4}, {0, 0, 0.9624237F, 2.063437F}), 1e-6);
  expect_near(OneNode("Tan", {x}).floats(), tensor({4}, {-0.5463025F, 0, 0.9315965F, -0.1425465F}), 1e-6);
  expect_near(OneNode("Atanh", {tensor({3}, {-0.5F, 0, 0.75F})}).floats(), tensor({3}, {-0.5493061F, 0, 0.9729551F}),
              1e-6);
}

TEST(Smooth, PowersBroadcastAndKeepTheTypeOfTheBase) {
  const FloatTensor y = OneNode("Pow", {tensor({2, 1}, {2, -3}), tensor({3}, {0, 1, 3})}).floats();
  expect_near(y, tensor({2, 3}, {1, 2, 8, 1, -3, -27}), 1e-6);
  EXPECT_EQ(OneNode("Pow", {list({2, 3}), list({5, 0})}).integers().values, (Ints{32, 1}));
  EXPECT_EQ(OneNode("Pow", {list({2, 10}), tensor({2}, {-1, 30})}).integers().values, (Ints{0, 0}));
}

TEST(Smooth, StaysFiniteFarOut) {
  const FloatTensor x = tensor({2}, {-1e4F, 1e4F});
  for (const char* op : {"Sigmoid", "Tanh", "Softplus", "Swish", "Gelu", "Mish", "Elu", "Selu", "Softsign", "Erf"})
    for (float value : OneNode(op, {x}).floats().values) EXPECT_TRUE(std::isfinite(value)) << op;
}

TEST(Smooth, ComputesOnPositiveNumbers) {
  const FloatTensor x = tensor({3}, {4, 0.25, 9});
  expect_near(OneNode("Sqrt", {x}).floats(), tensor({3}, {2, 0.5, 3}), 1e-6);
  expect_near(OneNode("Rsqrt", {x}).floats(), tensor({3}, {0.5, 2, 1.0F / 3}), 1e-6);
  expect_near(OneNode("Reciprocal", {x}).floats(), tensor({3}, {0.25, 4, 1.0F / 9}), 1e-6);
  expect_near(OneNode("Log", {x}).floats(), tensor({3}, {1.3862944F, -1.3862944F, 2.1972246F}), 1e-6);
  expect_near(OneNode("Pow", {x}, {{"exponent", -0.5}}).floats(), tensor({3}, {0.5, 2, 1.0F / 3}), 1e-6);
}

TEST(Smooth, NamesWhatItDoesNotKnow) {
  const FloatTensor x(Shape{2});
  EXPECT_THAT(OneNode("Sigmoid", {list({1, 2})}).message(), HasSubstr("expected floats"));
  EXPECT_THAT(OneNode("Gelu", {x}, {{"approximate", std::string("sigmoid")}}).message(), HasSubstr("not none or tanh"));
  EXPECT_THAT(OneNode("Pow", {x}).message(), HasSubstr("expected an exponent"));
}

TEST(Smooth, RangesAreReachedAndNeverLeft) {
  std::mt19937 generator(1);
  std::uniform_real_distribution<double> uniform(-5, 5);
  for (const Golden& golden : kGolden) {
    for (int round = 0; round < 50; ++round) {
      Interval x{uniform(generator), uniform(generator)};
      if (x.low > x.high) std::swap(x.low, x.high);
      OneNode node(golden.op, {FloatTensor(Shape{1})}, golden.attributes, {0});
      node.infer();
      const Interval range = node.def().range({node.graph, node.node(), {x}});
      const RealFunction f = real_function(node.node());
      if (!f) continue;
      Interval seen{f(x.low), f(x.low)};
      for (int i = 0; i <= 2000; ++i) {
        const double y = f(std::min(x.high, x.low + (x.high - x.low) * i / 2000));
        EXPECT_GE(y, range.low - 1e-7) << golden.op;
        EXPECT_LE(y, range.high + 1e-7) << golden.op;
        seen = hull(seen, {y, y});
      }
      if (golden.op == "Sin" || golden.op == "Cos") continue;
      EXPECT_NEAR(seen.low, range.low, 1e-4 * (1 + range.magnitude())) << golden.op;
      EXPECT_NEAR(seen.high, range.high, 1e-4 * (1 + range.magnitude())) << golden.op;
    }
  }
}

TEST(Smooth, RangesRefuseWhatIsNotDefined) {
  const auto refuses = [](const char* op, Interval x, Attributes attributes = {}) {
    OneNode node(op, {FloatTensor(Shape{1})}, std::move(attributes), {0});
    node.infer();
    EXPECT_THROW(node.def().range({node.graph, node.node(), {x}}), UserError) << op;
  };
  refuses("Log", {0, 1});
  refuses("Sqrt", {-1, 1});
  refuses("Rsqrt", {-1, 1});
  refuses("Reciprocal", {-1, 1});
  refuses("Pow", {-1, 1}, {{"exponent", 0.5}});
  refuses("Pow", {-1, 1}, {{"exponent", -2.0}});
}

TEST(Compare, BroadcastsAndKeepsTheType) {
  const FloatTensor a = tensor({2, 1}, {1, 2}), b = tensor({2}, {1, 3});
  const auto check = [&](const char* op, std::vector<float> expected, Ints integers) {
    expect_near(OneNode(op, {a, b}).floats(), tensor({2, 2}, std::move(expected)), 0);
    EXPECT_EQ(OneNode(op, {list({1, 2, 3}), number(2)}).integers().values, integers) << op;
  };
  check("Equal", {1, 0, 0, 0}, {0, 1, 0});
  check("Less", {0, 1, 0, 1}, {1, 0, 0});
  check("LessEqual", {1, 1, 0, 1}, {1, 1, 0});
  check("Greater", {0, 0, 1, 0}, {0, 0, 1});
  check("GreaterEqual", {1, 0, 1, 0}, {0, 1, 1});
  check("Max", {1, 3, 2, 3}, {2, 2, 3});
  check("Min", {1, 1, 1, 2}, {1, 2, 2});
  EXPECT_THAT(OneNode("Less", {a, list({1, 2})}).message(), HasSubstr("integer"));
  EXPECT_THAT(OneNode("Less", {b, tensor({3}, {1, 2, 3})}).message(), HasSubstr("do not broadcast"));
}

TEST(Compare, LogicTakesWhatIsNotZeroAsTrue) {
  const FloatTensor a = tensor({4}, {0, 0, 1, 2}), b = tensor({4}, {0, 1, 0, 1});
  expect_near(OneNode("And", {a, b}).floats(), tensor({4}, {0, 0, 0, 1}), 0);
  expect_near(OneNode("Or", {a, b}).floats(), tensor({4}, {0, 1, 1, 1}), 0);
  expect_near(OneNode("Xor", {a, b}).floats(), tensor({4}, {0, 1, 1, 0}), 0);
  expect_near(OneNode("Not", {a}).floats(), tensor({4}, {1, 1, 0, 0}), 0);
  EXPECT_EQ(OneNode("Not", {list({0, 5})}).integers().values, (Ints{1, 0}));
}

TEST(Where, ChoosesByAnyCondition) {
  const FloatTensor a = tensor({2, 1}, {1, 2}), b = tensor({}, {9});
  expect_near(OneNode("Where", {list({1, 0}), a, b}).floats(), tensor({2, 2}, {1, 9, 2, 9}), 0);
  expect_near(OneNode("Where", {tensor({2}, {0, 1}), a, b}).floats(), tensor({2, 2}, {9, 1, 9, 2}), 0);
  EXPECT_EQ(OneNode("Where", {tensor({2}, {0, 1}), list({1, 2}), number(3)}).integers().values, (Ints{3, 2}));
}

TEST(PRelu, HasASlopeForEachChannel) {
  const FloatTensor x = tensor({2, 2}, {-1, -1, 2, -4});
  expect_near(OneNode("PRelu", {x, tensor({2}, {0.5, 0.25})}).floats(), tensor({2, 2}, {-0.5, -0.25, 2, -1}), 0);
  EXPECT_THAT(OneNode("PRelu", {tensor({2}, {1, 2}), x}).message(), HasSubstr("does not broadcast to [2]"));
}

TEST(Reduce, FoldsExtremaAndNorms) {
  const FloatTensor x = tensor({2, 3}, {-3, 4, 0, 1, -2, 2});
  const Attributes last = {{"axes", Ints{1}}, {"keepdims", int64_t{0}}};
  expect_near(OneNode("ReduceMax", {x}, last).floats(), tensor({2}, {4, 2}), 0);
  expect_near(OneNode("ReduceMin", {x}, last).floats(), tensor({2}, {-3, -2}), 0);
  expect_near(OneNode("ReduceL1", {x}, last).floats(), tensor({2}, {7, 5}), 0);
  expect_near(OneNode("ReduceL2", {x}, last).floats(), tensor({2}, {5, 3}), 1e-6);
  expect_near(OneNode("ReduceSumSquare", {x}, {{"axes", Ints{0}}}).floats(), tensor({1, 3}, {10, 20, 4}), 0);
  EXPECT_EQ(OneNode("ReduceMax", {list({1, 7, 3}), list({0})}, {{"keepdims", int64_t{0}}}).integers().values, Ints{7});
  const FloatTensor nothing = OneNode("ReduceMax", {FloatTensor(Shape{0, 2})}, {{"axes", Ints{0}}}).floats();
  EXPECT_EQ(nothing.values, std::vector<float>(2, -std::numeric_limits<float>::infinity()));
  EXPECT_THAT(OneNode("ReduceMean", {FloatTensor(Shape{0, 2})}, {{"axes", Ints{0}}}).message(),
              HasSubstr("no elements"));
}

// by_definition standardises the elements of x that have the same group.
FloatTensor by_definition(const FloatTensor& x, const std::vector<int>& group, int groups, double epsilon) {
  FloatTensor y = x;
  for (int g = 0; g < groups; ++g) {
    double sum = 0, squares = 0, count = 0;
    for (size_t i = 0; i < group.size(); ++i)
      if (group[i] == g) sum += x.values[i], squares += std::pow(x.values[i], 2), count += 1;
    const double mean = sum / count, deviation = std::sqrt(squares / count - mean * mean + epsilon);
    for (size_t i = 0; i < group.size(); ++i)
      if (group[i] == g) y.values[i] = static_cast<float>((x.values[i] - mean) / deviation);
  }
  return y;
}

TEST(Norms, StandardiseTheirGroups) {
  std::mt19937 generator(3);
  const FloatTensor x = random_tensor({2, 3, 4}, generator);  // NHWC: 3 positions, 4 channels
  const FloatTensor scale = tensor({4}, {1, 2, -1, 0.5}), bias = tensor({4}, {0, 1, 2, 3});
  std::vector<int> instance, pair, row;
  for (int i = 0; i < 24; ++i) {
    instance.push_back(i / 12 * 4 + i % 4);
    pair.push_back(i / 12 * 2 + i % 4 / 2);
    row.push_back(i / 4);
  }
  const auto affine = [&](FloatTensor y) {
    for (size_t i = 0; i < 24; ++i) y.values[i] = y.values[i] * scale.values[i % 4] + bias.values[i % 4];
    return y;
  };
  const Attributes epsilon = {{"epsilon", 0.01}};
  const FloatTensor normal = affine(by_definition(x, instance, 8, 0.01));
  expect_near(OneNode("InstanceNorm", {x, scale, bias}, epsilon).floats(), normal, 1e-5);
  const FloatTensor first = OneNode("InstanceNorm", {transpose(x, {0, 2, 1}), scale, bias},
                                    {{"epsilon", 0.01}, {"layout", std::string("NCHW")}})
                                .floats();
  expect_near(transpose(first, {0, 2, 1}), normal, 1e-5);
  expect_near(OneNode("GroupNorm", {x, scale, bias}, {{"epsilon", 0.01}, {"groups", int64_t{2}}}).floats(),
              affine(by_definition(x, pair, 4, 0.01)), 1e-5);
  expect_near(OneNode("LayerNorm", {x, scale, bias}, epsilon).floats(), affine(by_definition(x, row, 6, 0.01)), 1e-5);
  std::vector<int> image(24);
  for (int i = 0; i < 24; ++i) image[static_cast<size_t>(i)] = i / 12;
  expect_near(OneNode("LayerNorm", {x, tensor({}, {1})}, {{"axis", int64_t{1}}, {"epsilon", 0.01}}).floats(),
              by_definition(x, image, 2, 0.01), 1e-5);
  EXPECT_THAT(OneNode("GroupNorm", {x, scale, bias}, {{"groups", int64_t{3}}}).message(),
              HasSubstr("3 groups do not divide 4 channels"));
  EXPECT_THAT(OneNode("LayerNorm", {x, tensor({3}, {1, 1, 1})}).message(), HasSubstr("broadcasts to [4], found [3]"));
}

TEST(Norms, LrnAndL2AgreeWithTensorFlow) {
  const FloatTensor x = tensor({1, 2, 1, 4}, {-4, -2, 3, 0.5F, 0.5F, 2.5F, -3, -2});
  const FloatTensor lrn = tensor({1, 2, 1, 4}, {-0.6204032F, -0.2442963F, 0.5960764F, 0.1210823F, 0.1441619F,
                                                0.4530922F, -0.476515F, -0.4017592F});
  // TensorFlow's alpha is not divided by the size.
  Attributes attributes = {{"size", int64_t{3}}, {"alpha", 1.5}, {"beta", 0.75}, {"bias", 2.0}};
  expect_near(OneNode("LRN", {x}, attributes).floats(), lrn, 1e-6);
  attributes["layout"] = std::string("NCHW");
  expect_near(transpose(OneNode("LRN", {transpose(x, {0, 3, 1, 2})}, attributes).floats(), {0, 2, 3, 1}), lrn, 1e-6);
  expect_near(OneNode("L2Normalize", {x}, {{"axes", Ints{-1}}}).floats(),
              tensor({1, 2, 1, 4}, {-0.7396002F, -0.3698001F, 0.5547002F, 0.09245003F, 0.1132277F, 0.5661386F,
                                    -0.6793662F, -0.4529108F}),
              1e-6);
  expect_near(OneNode("L2Normalize", {FloatTensor(Shape{3})}).floats(), FloatTensor(Shape{3}), 0);
}

TEST(Norms, LrnWindowOfEvenSizeLeansForward) {
  // Size 2: the element itself and the next channel.
  const FloatTensor y = OneNode("LRN", {tensor({1, 1, 3}, {1, 2, 3})},
                                {{"size", int64_t{2}}, {"alpha", 2.0}, {"beta", 1.0}, {"bias", 0.0}})
                            .floats();
  expect_near(y, tensor({1, 1, 3}, {1.0F / 5, 2.0F / 13, 3.0F / 9}), 1e-6);
}

const FloatTensor kSequence = tensor({1, 3, 2}, {-0.125F, 0.5F, -1, -0.375F, -0.75F, -0.875F});

FloatTensor reversed_in_time(const FloatTensor& x) {
  return view(x, x.shape, (x.shape[1] - 1) * x.shape[2], {x.shape[1] * x.shape[2], -x.shape[2], 1});
}

// all_outputs evaluates a node of several results.
std::vector<FloatTensor> all_outputs(OneNode& node, size_t count) {
  while (node.node().outputs.size() < count) node.node().outputs.push_back(node.graph.add_value({}));
  node.infer();
  std::vector<const Constant*> inputs;
  for (size_t i = 0; i < node.node().inputs.size(); ++i) inputs.push_back(&node.operand(i));
  std::vector<FloatTensor> results;
  for (Constant& result : node.def().evaluate(node.graph, node.node(), inputs))
    results.push_back(std::get<FloatTensor>(std::move(result)));
  return results;
}

TEST(Lstm, AgreesWithKeras) {
  const FloatTensor w = tensor({2, 8}, {-0.625F, -0.25F, -0.25F, 0.125F, -0.125F, 0.375F, -0.625F, 0.75F, -1, 0.375F,
                                        -0.125F, 0.125F, -0.75F, -0.625F, 0.625F, 0.875F});
  const FloatTensor r = tensor({2, 8}, {-0.375F, 0.375F, 0.75F, 0.75F, -0.875F, -0.875F, -0.625F, 0.75F, -0.75F,
                                        -0.125F, 0.875F, 0.125F, 0.375F, -0.375F, 0.375F, 0.625F});
  const FloatTensor b = tensor({8}, {-1, 0.5F, 1, 0.5F, -0.5F, 0.625F, -0.75F, -0.125F});
  OneNode node("Lstm", {kSequence, w, r, b});
  const std::vector<FloatTensor> results = all_outputs(node, 3);
  expect_near(results[0],
              tensor({1, 3, 2}, {-0.05527322F, 0.0957865F, -0.04767921F, 0.08787662F, 0.02891562F, 0.1088034F}), 1e-6);
  expect_near(results[1], tensor({1, 2}, {0.02891562F, 0.1088034F}), 1e-6);
  expect_near(results[2], tensor({1, 2}, {0.09133133F, 0.6405363F}), 1e-6);
  // Backwards over the reversed sequence the states are the same, at the positions of their inputs.
  OneNode backwards("Lstm", {reversed_in_time(kSequence), w, r, b}, {{"reverse", int64_t{1}}});
  const std::vector<FloatTensor> mirrored = all_outputs(backwards, 3);
  expect_near(reversed_in_time(mirrored[0]), results[0], 0);
  expect_near(mirrored[2], results[2], 0);
  // Going on from a final state equals going through at once.
  OneNode head("Lstm", {view(kSequence, Shape{1, 1, 2}, 0, {2, 2, 1}), w, r, b});
  const std::vector<FloatTensor> start = all_outputs(head, 3);
  OneNode tail("Lstm", {view(kSequence, Shape{1, 2, 2}, 2, {4, 2, 1}), w, r, b, start[1], start[2]});
  expect_near(all_outputs(tail, 3)[2], results[2], 0);
}

TEST(Lstm, PeepholesSeeTheCell) {
  // One unit, all weights 0: i = f = 1/2 at first; c = act(1) / 2; the output gate sees c through its peephole.
  OneNode node("Lstm",
               {FloatTensor(Shape{1, 1, 1}), FloatTensor(Shape{1, 4}), FloatTensor(Shape{1, 4}),
                tensor({4}, {0, 0, 1, 0}), FloatTensor(Shape{1, 1}), FloatTensor(Shape{1, 1}), tensor({3}, {5, 2, 7})},
               {{"activation", std::string("Identity")}});
  const double c = 0.5, o = 1 / (1 + std::exp(-2 * c));
  EXPECT_NEAR(all_outputs(node, 1)[0].values[0], o * c, 1e-6);
}

TEST(Gru, AgreesWithKerasWhereverItResets) {
  const FloatTensor w =
      tensor({2, 6}, {0.875F, -0.375F, -0.375F, -0.75F, -1, 0.375F, -0.625F, -0.5F, 0, -0.875F, 0.125F, -0.75F});
  const FloatTensor r =
      tensor({2, 6}, {0.125F, 0.375F, -0.75F, -0.125F, 0.375F, -0.125F, -0.875F, 0.125F, 0.375F, 0, 0.875F, 0.125F});
  OneNode after("Gru",
                {kSequence, w, r, tensor({6}, {0.75F, -0.75F, -0.75F, 0.625F, -0.25F, -0.625F}),
                 tensor({6}, {0.875F, -0.25F, 0.5F, 0.5F, 0.75F, 0.25F})},
                {{"linear_before_reset", int64_t{1}}});
  const std::vector<FloatTensor> results = all_outputs(after, 2);
  expect_near(results[0],
              tensor({1, 3, 2}, {0.06185147F, -0.5415103F, 0.1792302F, -0.521539F, 0.2172061F, -0.2817539F}), 1e-6);
  expect_near(results[1], tensor({1, 2}, {0.2172061F, -0.2817539F}), 1e-6);
  OneNode before(
      "Gru",
      {kSequence,
       tensor({2, 6}, {0.5F, -0.25F, -0.5F, 0.75F, -0.125F, 0.875F, 0.375F, 0.25F, -0.75F, 0.875F, -0.125F, 0.125F}),
       tensor({2, 6}, {-0.125F, -0.5F, 0.75F, 0.125F, -1, 0.25F, -0.375F, 0, 0.75F, -0.25F, 0.875F, 0.25F}),
       tensor({6}, {-1, 0.875F, 0.375F, 1, -0.625F, -0.75F}), FloatTensor(Shape{6})});
  expect_near(all_outputs(before, 2)[0],
              tensor({1, 3, 2}, {-0.4137397F, -0.1740765F, -0.2736851F, -0.3468449F, -0.3296588F, -0.5037344F}), 1e-6);
}

TEST(Rnn, AgreesWithKeras) {
  OneNode node("Rnn", {kSequence, tensor({2, 2}, {0.875F, 0.375F, -0.875F, 0.5F}),
                       tensor({2, 2}, {0.5F, 0.875F, 0.375F, -0.75F}), tensor({2}, {-1, -1})});
  expect_near(all_outputs(node, 2)[0],
              tensor({1, 3, 2}, {-0.9132683F, -0.6622861F, -0.978107F, -0.9531291F, -0.9398897F, -0.9526554F}), 1e-6);
}

TEST(Recurrent, NamesTheShapesThatDoNotFit) {
  const FloatTensor w(Shape{2, 8}), r(Shape{2, 8}), b(Shape{8});
  EXPECT_THAT(OneNode("Lstm", {FloatTensor(Shape{3, 2}), w, r, b}).message(), HasSubstr("expected a sequence"));
  EXPECT_THAT(OneNode("Lstm", {kSequence, FloatTensor(Shape{3, 8}), r, b}).message(),
              HasSubstr("expected W of shape [2,8]"));
  EXPECT_THAT(OneNode("Lstm", {kSequence, w, r, b}, {{"activation", std::string("Softmax")}}).message(),
              HasSubstr("\"Softmax\" is not an activation"));
}

}  // namespace
}  // namespace treville::ops
