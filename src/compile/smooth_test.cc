// Smooth functions, products of secrets, comparisons, normalisations and recurrent layers from a graph to revealed
// values: expanding keeps the float meaning, and programs in fixed point and run securely stay close to it, in both
// rings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/expand_composites.h"
#include "compile/test_clear_run.h"
#include "compile/test_model.h"
#include "data/npy.h"
#include "import/import.h"
#include "run/check_ranges.h"
#include "run/local_run.h"
#include "run/post_process.h"
#include "test/models.h"

namespace treville {
namespace {

using testing::clear_run;
using testing::Ints;
using testing::Model;
using Attributes = std::map<std::string, Attribute>;

std::map<std::string, RingTensor> encoded_inputs(const Program& program, const std::vector<FloatTensor>& inputs) {
  std::map<std::string, RingTensor> encoded;
  size_t i = 0;
  for (const Step& step : program.steps)
    if (const auto* input = std::get_if<InputStep>(&step.body))
      encoded.emplace(input->name, encode(inputs[i++], input->ring, input->scale, step.type.bound, input->name));
  return encoded;
}

double largest_error(const FloatTensor& found, const FloatTensor& expected) {
  EXPECT_EQ(found.values.size(), expected.values.size());
  double error = 0;
  for (size_t i = 0; i < expected.values.size(); ++i)
    error = std::max(error, static_cast<double>(std::abs(found.values[i] - expected.values[i])));
  return error;
}

// result_of is the model's output: what was revealed, after the recipient's own part.
FloatTensor result_of(const RevealedOutput& output) {
  return post_process(decode(output.value, output.type), output.post, output.top, output.axis);
}

// Case: a model and the errors that its results may have, absolute, in the 32-bit and the 64-bit ring.
struct Case {
  std::string name;
  Graph graph;
  double narrow, wide;
  float low = -1, high = 1;  // of the inputs
};

// check_case compiles for one ring, and runs an input that did not calibrate: in float, in the clear, securely.
void check_case(const Case& c, Ring ring, double tolerance) {
  SCOPED_TRACE(c.name + (ring == Ring::k32 ? " 32" : " 64"));
  CompileOptions options;
  options.calibration.resize(1);
  for (uint32_t seed = 1; seed <= 3; ++seed)
    options.calibration[0].push_back(testing::random_inputs(c.graph, seed, c.low, c.high)[0]);
  options.ring = ring;
  const Compiled compiled = compile(c.graph, options);
  const std::vector<FloatTensor> inputs = testing::random_inputs(c.graph, 77, c.low, c.high);
  const auto encoded = encoded_inputs(compiled.program, inputs);
  const std::vector<Constant> expected = float_run(c.graph, inputs);
  const auto clear = run_local("clear", compiled.program, compiled.constants, encoded, {.seed = 1});
  const auto secure = run_local("porthos", compiled.program, compiled.constants, encoded, {.seed = 5});
  const auto& in_clear = clear.outputs[static_cast<size_t>(PartyId::kEvaluator)];
  const auto& in_secret = secure.outputs[static_cast<size_t>(PartyId::kDealer)];
  ASSERT_EQ(in_clear.size(), expected.size());
  ASSERT_EQ(in_secret.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto& exact = std::get<FloatTensor>(expected[i]);
    EXPECT_LE(largest_error(result_of(in_clear[i]), exact), tolerance) << "in the clear";
    EXPECT_LE(largest_error(result_of(in_secret[i]), exact), tolerance) << "securely";
  }
  const CheckedRun checked = check_ranges(compiled.program, compiled.constants, encoded);
  EXPECT_TRUE(checked.ranges.ok()) << checked.ranges.message();
}

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    check_case(c, Ring::k32, c.narrow);
    check_case(c, Ring::k64, c.wide);
  }
}

// unary is a model of one operation.
Case unary(const std::string& op, Attributes attributes, float low, float high, double narrow, double wide) {
  Model m;
  return {op, m.done({m.op(op, {m.input({2, 5, 6})}, std::move(attributes))}), narrow, wide, low, high};
}

TEST(Smooth, FunctionsAreCloseInBothRings) {
  check({
      unary("Sigmoid", {}, -6, 6, 1e-3, 1e-5),
      unary("Tanh", {}, -4, 4, 1e-3, 1e-5),
      unary("Exp", {}, -4, 1, 2e-3, 1e-4),
      unary("Log", {}, 0.25, 8, 2e-3, 1e-4),
      unary("Erf", {}, -3, 3, 1e-3, 1e-5),
      unary("Softplus", {}, -6, 6, 3e-3, 1e-4),
      unary("Softsign", {}, -6, 6, 1e-3, 1e-5),
      unary("Elu", {}, -4, 4, 3e-3, 1e-4),
      unary("Selu", {}, -4, 4, 3e-3, 1e-3),
      unary("Swish", {}, -6, 6, 3e-3, 1e-4),
      unary("Gelu", {}, -5, 5, 3e-3, 1e-4),
      unary("Gelu", {{"approximate", std::string("tanh")}}, -5, 5, 3e-3, 1e-4),
      unary("Mish", {}, -6, 6, 3e-3, 1e-4),
      unary("Sqrt", {}, 0.25, 8, 2e-3, 1e-4),
      unary("Rsqrt", {}, 0.25, 4, 2e-3, 1e-4),
      unary("Reciprocal", {}, 0.5, 4, 3e-3, 1e-4),
      unary("Pow", {{"exponent", 2.5}}, 0.5, 3, 2e-2, 1e-3),
      unary("Sin", {}, -3, 3, 1e-3, 1e-5),
      unary("Cos", {}, -3, 3, 1e-3, 1e-5),
      unary("Atan", {}, -3, 3, 1e-3, 1e-5),
      unary("Sinh", {}, -2, 2, 5e-3, 1e-4),
      unary("Cosh", {}, -2, 2, 5e-3, 1e-4),
      unary("Asinh", {}, -3, 3, 1e-3, 1e-5),
  });
}

TEST(Smooth, PiecesAndRoundingsAreExactUpToAUnit) {
  check({
      unary("HardSigmoid", {}, -4, 4, 2e-3, 1e-5),
      unary("HardSwish", {}, -5, 5, 3e-3, 1e-4),
      unary("Abs", {}, -3, 3, 1e-3, 1e-5),
      unary("Square", {}, -3, 3, 5e-3, 1e-5),
      unary("Pow", {{"exponent", 3.0}}, -2, 2, 2e-2, 1e-4),
      unary("Sign", {}, -3, 3, 1e-6, 1e-6),
      unary("Floor", {}, -3, 3, 1e-6, 1e-6),
      unary("Ceil", {}, -3, 3, 1e-6, 1e-6),
      unary("Round", {}, -3, 3, 1e-6, 1e-6),
      unary("ReduceMax", {{"axes", Ints{1}}}, -3, 3, 2e-3, 1e-5),
      unary("ReduceMin", {{"axes", Ints{1, 2}}}, -3, 3, 2e-3, 1e-5),
      unary("ReduceL1", {{"axes", Ints{-1}}}, -3, 3, 2e-2, 1e-4),
      unary("ReduceL2", {{"axes", Ints{-1}}}, -3, 3, 2e-2, 1e-4),
      unary("ReduceSumSquare", {{"axes", Ints{-1}}, {"keepdims", int64_t{0}}}, -3, 3, 5e-2, 1e-4),
  });
}

// binary feeds an operation from one input, sliced in two halves.
Case binary(const std::string& op, double narrow, double wide, Shape other = {3, 4}) {
  Model m;
  const ValueId x = m.input({6, 4});
  const ValueId a = m.op("Slice", {x}, {{"starts", Ints{0}}, {"ends", Ints{3}}, {"axes", Ints{0}}});
  ValueId b = m.op("Slice", {x}, {{"starts", Ints{3}}, {"ends", Ints{6}}, {"axes", Ints{0}}});
  if (other != Shape{3, 4})
    b = m.op("Slice", {b}, {{"starts", Ints{0}}, {"ends", Ints{other[other.rank() - 2]}}, {"axes", Ints{0}}});
  return {op, m.done({m.op(op, {a, b})}), narrow, wide, -2, 2};
}

TEST(Smooth, BinaryOperationsOfTwoSecretsBroadcast) {
  check({
      binary("Mul", 5e-3, 1e-5),
      binary("Mul", 5e-3, 1e-5, {1, 4}),
      binary("Max", 2e-3, 1e-5),
      binary("Min", 2e-3, 1e-5, {1, 4}),
      binary("PRelu", 1e-2, 1e-4),
      binary("Less", 1e-6, 1e-6),
      binary("LessEqual", 1e-6, 1e-6),
      binary("Greater", 1e-6, 1e-6, {1, 4}),
      binary("GreaterEqual", 1e-6, 1e-6),
      binary("Equal", 1e-6, 1e-6),
  });
}

TEST(Smooth, DividesBySecrets) {
  Model m;
  const ValueId x = m.input({3, 4});
  const ValueId divisor = m.op("Add", {m.op("Square", {x}), m.constant(FloatTensor(Shape{}, {1.0F}))});
  check({{"Div", m.done({m.op("Div", {x, divisor})}), 5e-3, 1e-4, -2, 2}});
}

// Layer normalisation as exporters write it out, with a quotient by a root: as close as the operation itself.
Graph written_out_norm(const char* inverse) {
  Model m;
  const ValueId x = m.input({4, 6});
  const Attributes over = {{"axes", Ints{-1}}, {"keepdims", int64_t{1}}};
  const ValueId centered = m.op("Sub", {x, m.op("ReduceMean", {x}, over)});
  const ValueId variance = m.op("ReduceMean", {m.op("Square", {centered})}, over);
  const ValueId root = m.op("Sqrt", {m.op("Add", {variance, m.constant(FloatTensor(Shape{}, {1e-3F}))})});
  if (std::string(inverse) == "Div") return m.done({m.op("Div", {centered, root})});
  return m.done({m.op("Mul", {centered, m.op("Reciprocal", {root})})});
}

TEST(Smooth, QuotientsByRootsAreOneLookUp) {
  for (const char* inverse : {"Div", "Reciprocal"}) {
    const Graph graph = written_out_norm(inverse);
    check({{inverse, graph, 3e-2, 1e-3, -2, 2}});
    Graph expanded = graph;
    expand_composites(expanded);
    EXPECT_EQ(testing::count(expanded, "Rsqrt"), 1);
    EXPECT_EQ(testing::count(expanded, "Reciprocal") + testing::count(expanded, "Sqrt"), 0);
  }
}

TEST(Smooth, RoundsHalvesToTheEvenNeighbour) {
  Model m;
  const Graph graph = m.done({m.op("Round", {m.input({8})})});
  const FloatTensor x(Shape{8}, {-2.5F, -1.5F, -0.5F, 0.5F, 1.5F, 2.5F, 0.25F, 3.5F});
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    CompileOptions options;
    options.calibration = {{x}};
    options.ring = ring;
    EXPECT_THAT(clear_run(compile(graph, options), {x}).outputs[0].values,
                ::testing::ElementsAre(-2, -2, 0, 0, 2, 2, 0, 4));
  }
}

// Averages of counts that are no power of two carry a divisor, until a function or a product reads them.
TEST(Smooth, AveragesOfAnyCountEnterFunctionsAndProducts) {
  Model m;
  const ValueId x = m.input({2, 3, 5});
  const Attributes rows = {{"axes", Ints{1, 2}}, {"keepdims", int64_t{1}}};
  const ValueId mean = m.op("ReduceMean", {x}, rows);
  const ValueId squares = m.op("ReduceMean", {m.op("Mul", {x, x})}, rows);
  const ValueId variance = m.op("Sub", {squares, m.op("Mul", {mean, mean})});
  const ValueId deviation = m.op("Sqrt", {m.op("Add", {variance, m.constant(FloatTensor(Shape{}, {1e-3F}))})});
  check({{"written out", m.done({m.op("Div", {m.op("Sub", {x, mean}), deviation})}), 2e-2, 1e-3, -2, 2}});
}

TEST(Smooth, LogicAndSelectionOfSecrets) {
  Model m;
  const ValueId x = m.input({4, 6});
  const ValueId half = m.constant(FloatTensor(Shape{}, {0.5F})), zero = m.constant(FloatTensor(Shape{}, {0.0F}));
  const ValueId a = m.op("Greater", {x, half}), b = m.op("Less", {x, zero});
  const std::vector<ValueId> outputs = {m.op("And", {a, b}), m.op("Or", {a, b}), m.op("Xor", {a, m.op("Not", {b})}),
                                        m.op("Where", {b, zero, x})};
  check({{"logic", m.done(outputs), 2e-3, 1e-5}});
}

TEST(Smooth, MultipliesStacksOfSecretMatrices) {
  Model m;
  const ValueId x = m.input({2, 3, 4, 5});
  const ValueId right = m.op("Transpose", {x}, {{"perm", Ints{0, 1, 3, 2}}});
  check({{"scores", m.done({m.op("MatMul", {x, right})}), 5e-3, 1e-5}});
}

TEST(Smooth, SoftmaxInsideTheModel) {
  Model m;
  const ValueId x = m.input({3, 10});
  const ValueId scores = m.op("MatMul", {x, m.random({10, 8}, -2, 2)});
  const ValueId shares = m.op("Softmax", {scores}, {{"axis", int64_t{1}}});
  check({{"softmax", m.done({m.op("MatMul", {shares, m.random({8, 4})})}), 5e-3, 1e-4}});
}

TEST(Smooth, SoftmaxOverChannelsOfAnImageAtTheEnd) {
  Model m;
  const ValueId x = m.conv(m.input({1, 3, 4, 4}), 3, 5, 1, 0, "NCHW");
  check({{"segmentation", m.done({m.op("Softmax", {x}, {{"axis", int64_t{1}}})}), 5e-3, 1e-4}});
}

TEST(Smooth, AttentionOfTwoHeads) {
  Model m;
  const ValueId x = m.input({1, 6, 8});
  const auto heads = [&](ValueId y) {
    return m.op("Transpose", {m.op("Reshape", {y}, {{"shape", Ints{1, 6, 2, 4}}})}, {{"perm", Ints{0, 2, 1, 3}}});
  };
  const ValueId q = heads(m.op("MatMul", {x, m.random({8, 8})})), k = heads(m.op("MatMul", {x, m.random({8, 8})}));
  const ValueId v = heads(m.op("MatMul", {x, m.random({8, 8})}));
  const ValueId scores = m.op("MatMul", {q, m.op("Transpose", {k}, {{"perm", Ints{0, 1, 3, 2}}})});
  const ValueId scaled = m.op("Mul", {scores, m.constant(FloatTensor(Shape{}, {0.5F}))});
  const ValueId mixed = m.op("MatMul", {m.op("Softmax", {scaled}, {{"axis", int64_t{-1}}}), v});
  check({{"attention", m.done({mixed}), 2e-2, 1e-4}});
}

Case norm(const std::string& op, std::vector<Shape> parameters, Attributes attributes, double narrow, double wide) {
  Model m;
  std::vector<ValueId> inputs = {m.input({2, 4, 3, 6})};
  for (const Shape& shape : parameters) inputs.push_back(m.random(shape, 0.5, 1.5));
  return {op, m.done({m.op(op, inputs, std::move(attributes))}), narrow, wide, -2, 2};
}

TEST(Smooth, Normalisations) {
  const std::string nchw = "NCHW";
  check({
      norm("LayerNorm", {{6}, {6}}, {{"epsilon", 1e-3}}, 3e-2, 1e-3),
      norm("LayerNorm", {{4, 3, 6}}, {{"axis", int64_t{1}}, {"epsilon", 1e-3}}, 3e-2, 1e-3),
      norm("InstanceNorm", {{6}, {6}}, {{"epsilon", 1e-3}}, 3e-2, 1e-3),
      norm("InstanceNorm", {{4}, {4}}, {{"epsilon", 1e-3}, {"layout", nchw}}, 3e-2, 1e-3),
      norm("GroupNorm", {{6}, {6}}, {{"epsilon", 1e-3}, {"groups", int64_t{2}}}, 3e-2, 1e-3),
      norm("GroupNorm", {{4}, {4}}, {{"groups", int64_t{2}}, {"layout", nchw}}, 3e-2, 1e-3),
      norm("GroupNorm", {{2}, {2}}, {{"groups", int64_t{2}}, {"layout", nchw}}, 3e-2, 1e-3),
      norm("LRN", {}, {{"size", int64_t{3}}, {"alpha", 0.6}, {"bias", 1.0}}, 1e-2, 1e-4),
      norm("LRN", {}, {{"size", int64_t{5}}, {"alpha", 0.6}, {"layout", nchw}}, 1e-2, 1e-4),
      norm("L2Normalize", {}, {{"axes", Ints{-1}}}, 1e-2, 1e-3),
  });
}

Case recurrent(const std::string& op, int64_t gates, Attributes attributes, bool with_states = false) {
  Model m;
  const int64_t h = 4;
  const ValueId x = m.input({2, 5, 3});
  std::vector<ValueId> inputs = {x, m.random({3, gates * h}), m.random({h, gates * h}), m.random({gates * h})};
  if (op == "Gru") inputs.push_back(m.random({gates * h}));
  if (with_states) inputs.insert(inputs.end(), op == "Lstm" ? 2 : 1, m.random({2, h}));
  ValueId sequence = m.op(op, inputs, std::move(attributes));
  std::vector<ValueId> outputs = {sequence};
  for (int i = 0; i < (op == "Lstm" ? 2 : 1); ++i) {
    outputs.push_back(m.graph.add_value({"state" + std::to_string(i), DType::kFloat, {}, {}}));
    m.graph.nodes.back().outputs.push_back(outputs.back());
  }
  return {op, m.done(outputs), 5e-3, 1e-4};
}

TEST(Smooth, RecurrentLayers) {
  check({
      recurrent("Lstm", 4, {}),
      recurrent("Lstm", 4, {{"reverse", int64_t{1}}, {"recurrent_activation", std::string("HardSigmoid")}}, true),
      recurrent("Gru", 3, {}),
      recurrent("Gru", 3, {{"linear_before_reset", int64_t{1}}, {"reverse", int64_t{1}}}, true),
      recurrent("Rnn", 1, {}, true),
      recurrent("Rnn", 1, {{"activation", std::string("Relu")}, {"reverse", int64_t{1}}}),
  });
}

TEST(ExpandComposites, KeepsTheFloatMeaningAndLeavesNoComposite) {
  Model peephole;
  const ValueId state = peephole.random({2, 4});
  const ValueId lstm =
      peephole.op("Lstm", {peephole.input({2, 3, 3}), peephole.random({3, 16}), peephole.random({4, 16}),
                           peephole.random({16}), state, state, peephole.random({12})});
  std::vector<Case> cases = {{"peepholes", peephole.done({lstm}), 0, 0}};
  for (const char* op : {"HardSigmoid", "HardSwish", "Abs", "Sign", "Ceil", "ReduceL2", "ReduceMin"})
    cases.push_back(unary(op, {}, -2, 2, 0, 0));
  for (const char* op : {"Max", "Min", "Less", "Greater", "PRelu", "Equal", "Mod"}) cases.push_back(binary(op, 0, 0));
  for (const char* op : {"CumSum", "Trilu", "LogSoftmax"}) {
    Model m;  // not at the end, where the recipient computes it
    const ValueId y = m.op(op, {m.input({3, 4, 5})}, {{"axis", int64_t{1}}});
    cases.push_back({op, m.done({m.op("Relu", {y})}), 0, 0});
  }
  cases.push_back(unary("ReduceProd", {{"axes", Ints{0, 2}}}, -2, 2, 0, 0));
  cases.push_back(recurrent("Lstm", 4, {}, true));
  cases.push_back(recurrent("Gru", 3, {{"linear_before_reset", int64_t{1}}}));
  cases.push_back(recurrent("Rnn", 1, {{"reverse", int64_t{1}}}));
  cases.push_back(norm("GroupNorm", {{4}, {4}}, {{"groups", int64_t{2}}, {"layout", std::string("NCHW")}}, 0, 0));
  cases.push_back(norm("LRN", {}, {{"size", int64_t{4}}, {"layout", std::string("NCHW")}}, 0, 0));
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Graph expanded = c.graph;
    expand_composites(expanded);
    testing::expect_same_meaning(c.graph, expanded);
    EXPECT_EQ(testing::count(expanded, c.name), 0);
  }
}

TEST(ExpandComposites, LeavesTheSoftmaxThatEndsTheModel) {
  Model m;
  const ValueId y = m.op("Softmax", {m.op("MatMul", {m.input({2, 3}), m.random({3, 4})})}, {{"axis", int64_t{1}}});
  Graph graph = m.done({m.op("Reshape", {y}, {{"shape", Ints{2, 4, 1}}})});
  expand_composites(graph);
  EXPECT_EQ(testing::count(graph, "Softmax"), 1);
}

TEST(ExpandComposites, DropsASoftmaxThatIsOnlyRanked) {
  Model m;
  const ValueId y = m.op("Softmax", {m.input({2, 3})}, {{"axis", int64_t{1}}});
  Graph graph = m.done({m.op("ArgMax", {y}, {{"axis", int64_t{1}}})});
  expand_composites(graph);
  EXPECT_EQ(testing::count(graph, "Softmax") + testing::count(graph, "Exp"), 0);
}

// Without samples the margin is 8 bits: functions see intervals 2^16 wider than their arguments vary.
TEST(Smooth, UncalibratedModelsWorkInTheWideRing) {
  std::vector<Case> cases;
  cases.push_back(norm("LayerNorm", {{6}, {6}}, {{"epsilon", 1e-3}}, 0, 0));
  cases.push_back(recurrent("Lstm", 4, {}));
  cases.push_back(recurrent("Gru", 3, {}));
  cases.push_back(unary("Gelu", {}, -1, 1, 0, 0));
  cases.push_back(unary("Softmax", {{"axis", int64_t{1}}}, -1, 1, 0, 0));
  cases.back().graph.outputs = {cases.back().graph.add_node("Neg", "last", cases.back().graph.outputs)};
  infer_shapes(cases.back().graph);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Compiled compiled = compile(c.graph, {});
    EXPECT_EQ(compiled.program.ring, Ring::k64);
    const std::vector<FloatTensor> inputs = testing::random_inputs(c.graph, 5);
    const auto expected = std::get<FloatTensor>(float_run(c.graph, inputs)[0]);
    EXPECT_LE(largest_error(clear_run(compiled, inputs).outputs[0], expected), 2e-3);
  }
}

TEST(Smooth, GuaranteedRangesHoldForBoundedFunctions) {
  Model m;
  const ValueId hidden = m.op("Tanh", {m.op("MatMul", {m.input({2, 4}), m.random({4, 6})})});
  const ValueId gate = m.op("Sigmoid", {m.op("MatMul", {hidden, m.random({6, 6})})});
  std::vector<Case> cases = {{"gated", m.done({m.op("Mul", {gate, hidden})}), 0, 0}};
  cases.push_back(recurrent("Gru", 3, {}));
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    CompileOptions options;
    options.ranges = Ranges::kGuaranteed;
    const Compiled compiled = compile(c.graph, options);
    const std::vector<FloatTensor> inputs = testing::random_inputs(c.graph, 9);
    const auto expected = std::get<FloatTensor>(float_run(c.graph, inputs)[0]);
    const testing::ClearRun run = clear_run(compiled, inputs);
    EXPECT_LE(largest_error(run.outputs[0], expected), 1e-4);
    EXPECT_LE(run.fullest, 1.01);
  }
}

TEST(Smooth, ALongSequenceAndAWideLayerCompileAndStayClose) {
  Model m;
  const int64_t h = 32;
  const float scale = 0.2F;
  const ValueId x = m.input({1, 60, 8});
  const ValueId sequence = m.op("Lstm", {x, m.random({8, 4 * h}, -scale, scale), m.random({h, 4 * h}, -scale, scale),
                                         m.random({4 * h}, -scale, scale)});
  check({{"60 steps", m.done({sequence}), 5e-3, 1e-4}});
  Model wide;
  const ValueId y = wide.input({2, 768});
  check({{"768 wide", wide.done({wide.op("LayerNorm", {y, wide.random({768}, 0.5, 1.5), wide.random({768})})}), 2e-2,
          1e-3, -3, 3}});
}

FloatTensor rows(const FloatTensor& all, int64_t first, int64_t count) {
  const int64_t size = all.shape.elements() / all.shape[0];
  Shape shape = all.shape;
  shape[0] = count;
  return FloatTensor(shape, {all.values.begin() + first * size, all.values.begin() + (first + count) * size});
}

// Trained networks of TensorFlow 1, unrolled over 28 rows of a digit, and an autoencoder of sigmoids: calibrated on the
// first ten digits, run on the others; the golden results are those of TensorFlow.js.
TEST(SmoothModels, TrainedRecurrentNetworksAndAnAutoencoderAreClose) {
  TREVILLE_NEED_MODELS(models);
  const std::filesystem::path folder = models / "tf2onnx-test-frozen";
  const FloatTensor digits = read_npy(folder / "in_digits20.npy");
  const ImportOptions shaped{.batch = {}, .input_shapes = {{"X", Shape{1, 784}}}, .outputs = {}};
  struct Expected {
    const char* name;
    double narrow, wide;
  };
  for (const Expected& expected : {Expected{"lstm", 0.02, 1e-3}, {"gru", 0.02, 1e-3}, {"ae0", 0.01, 1e-4}}) {
    const FloatTensor golden = read_npy(folder / ("out_" + std::string(expected.name) + "_tfjs.npy"));
    for (const Ring ring : {Ring::k32, Ring::k64}) {
      CompileOptions options;
      options.batch = 1;
      options.calibration = {{rows(digits, 0, 10)}};
      options.ring = ring;
      const Compiled compiled = compile(import_model(folder / expected.name / "frozen.pb", shaped), options);
      double error = 0;
      for (int64_t i = 10; i < 20; ++i) {
        const FloatTensor found = clear_run(compiled, {rows(digits, i, 1)}).outputs[0];
        error = std::max(error, largest_error(found, rows(golden, i, 1)));
      }
      fmt::print("{} {}: largest error {:.3g}\n", expected.name, ring == Ring::k32 ? 32 : 64, error);
      EXPECT_LE(error, ring == Ring::k32 ? expected.narrow : expected.wide) << expected.name;
    }
  }
}

TEST(Smooth, SaysWhatToDoWhereNoTableIsFineEnough) {
  Model m;
  const Graph graph = m.done({m.op("Log", {m.input({4})})});
  CompileOptions options;
  options.calibration = {{FloatTensor(Shape{4}, {1e-6F, 1, 10, 1e4F})}};
  options.ring = Ring::k32;
  try {
    compile(graph, options);
    ADD_FAILURE() << "a logarithm over ten decades was compiled";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("Log"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("64-bit ring"));
  }
}

TEST(Smooth, AlikeLayersShareTheirTables) {
  const Case c = recurrent("Lstm", 4, {});
  CompileOptions options;
  options.calibration = {testing::random_inputs(c.graph, 1)};
  const Compiled compiled = compile(c.graph, options);
  size_t look_ups = 0;
  for (const Step& step : compiled.program.steps) look_ups += std::holds_alternative<LookUpStep>(step.body);
  EXPECT_EQ(look_ups, 15U);  // for five time steps: the gates, the candidate and the cell
  EXPECT_LT(compiled.program.tables.size(), look_ups);
}

}  // namespace
}  // namespace treville
