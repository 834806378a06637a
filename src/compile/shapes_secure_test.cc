// Models of windows and moves (convolutions over lines and volumes, transposed convolutions, resizes, blocks, gathers)
// from the graph to what the protocols reveal, in both rings, against the float reference.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/reference.h"
#include "compile/test_model.h"
#include "party/local_parties.h"
#include "run/local_run.h"

namespace treville {
namespace {

using testing::Ints;
using testing::Model;

const std::string kFirst = "NCHW";

// outputs_of gives what a protocol reveals, as floats.
std::vector<FloatTensor> outputs_of(const char* protocol, const Compiled& compiled, const FloatTensor& input) {
  std::map<std::string, RingTensor> inputs;
  for (const Step& step : compiled.program.steps)
    if (const auto* given = std::get_if<InputStep>(&step.body))
      inputs.emplace(given->name, encode(input, given->ring, given->scale, step.type.bound, given->name));
  return run_local(protocol, compiled.program, compiled.constants, inputs).values(recipient_of(protocol));
}

// check runs a model calibrated on two inputs with both protocols and in both rings, on a third input.
void check(const Graph& graph, double tolerance = 0.01) {
  const FloatTensor input = testing::random_inputs(graph, 99)[0];
  const std::vector<Constant> expected = float_run(compile(graph, {}).graph, {input});
  for (Ring ring : {Ring::k32, Ring::k64}) {
    CompileOptions options;
    options.ring = ring;
    options.calibration = {{testing::random_inputs(graph, 1)[0], testing::random_inputs(graph, 2)[0]}};
    const Compiled compiled = compile(graph, options);
    for (const char* protocol : {"clear", "porthos"}) {
      SCOPED_TRACE(fmt::format("{} in the {}-bit ring", protocol, bits_of(ring)));
      const std::vector<FloatTensor> found = outputs_of(protocol, compiled, input);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        const FloatTensor wanted = to_floats(expected[i]);
        ASSERT_EQ(found[i].shape.elements(), wanted.shape.elements());
        double largest = 0, error = 0;
        for (size_t j = 0; j < wanted.values.size(); ++j) {
          largest = std::max<double>(largest, std::abs(wanted.values[j]));
          error = std::max<double>(error, std::abs(wanted.values[j] - found[i].values[j]));
        }
        EXPECT_LE(error, tolerance * largest) << "output " << i;
      }
    }
  }
}

std::map<std::string, Attribute> window(Ints kernel, Ints strides, Ints pads, const std::string& layout = "NHWC") {
  std::map<std::string, Attribute> attributes = {
      {"strides", std::move(strides)}, {"pads", std::move(pads)}, {"layout", layout}};
  if (!kernel.empty()) attributes["kernel"] = std::move(kernel);
  return attributes;
}

TEST(SecureShapes, OfALineOfSamples) {
  Model m(1);
  ValueId x = m.op("Conv", {m.input({2, 3, 20}), m.random({5, 3, 8}), m.random({8})}, window({}, {1}, {2, 2}, kFirst));
  x = m.op("MaxPool", {m.op("Relu", {x})}, window({2}, {2}, {0, 0}, kFirst));
  x = m.op("Relu", {m.op("Conv", {x, m.random({3, 8, 6})}, window({}, {2}, {0, 0}, kFirst))});
  x = m.op("AveragePool", {x}, window({2}, {2}, {0, 0}, kFirst));
  check(m.done({m.op("MatMul", {m.op("Flatten", {x}, {{"axis", int64_t{1}}}), m.random({12, 4})})}));
}

TEST(SecureShapes, OfAVolume) {
  Model m(2);
  ValueId x = m.op("Conv", {m.input({1, 2, 5, 6, 6}), m.random({3, 3, 3, 2, 4}), m.random({4})},
                   window({}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}, kFirst));
  x = m.op("MaxPool", {m.op("Relu", {m.batch_norm(x, 4, "NCHW")})},
           window({2, 2, 2}, {1, 2, 2}, {0, 0, 0, 0, 0, 0}, kFirst));
  x = m.op("ConvTranspose", {x, m.random({2, 2, 2, 3, 4}), m.random({3})},
           window({}, {2, 2, 2}, {0, 0, 0, 0, 0, 0}, kFirst));
  x = m.op("Relu", {x});
  check(m.done({m.op("AveragePool", {x}, window({2, 3, 2}, {2, 3, 2}, {0, 0, 0, 0, 0, 0}, kFirst))}));
}

TEST(SecureShapes, OfANetThatShrinksAndGrows) {
  Model m(3);
  const ValueId x = m.op("Relu", {m.conv(m.input({1, 3, 8, 8}), 3, 6, 3, 1, kFirst)});
  const ValueId down = m.op("Relu", {m.conv(m.max_pool(x, 2, 2, kFirst), 6, 8, 3, 1, kFirst)});
  ValueId up = m.op("ConvTranspose", {down, m.random({4, 4, 3, 8})},
                    {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"groups", int64_t{2}}, {"layout", kFirst}});
  up = m.op("Relu", {m.batch_norm(up, 6, kFirst)});
  const ValueId near = m.op("Resize", {down}, {{"sizes", Ints{8, 8}}, {"layout", kFirst}});
  const ValueId smooth =
      m.op("Resize", {down}, {{"sizes", Ints{8, 8}}, {"mode", std::string("linear")}, {"layout", kFirst}});
  const ValueId all = m.op("Concat", {x, up, near, smooth}, {{"axis", int64_t{1}}});
  check(m.done({m.conv(all, 28, 2, 1, 0, kFirst)}));
}

TEST(SecureShapes, OfBlocksPadsAndGathers) {
  Model m(4);
  ValueId x = m.input({1, 4, 6, 6});
  x = m.op("Pad", {x}, {{"pads", Ints{0, 0, 1, 1, 0, 0, 1, 1}}, {"mode", std::string("reflect")}});
  x = m.op("SpaceToDepth", {x}, {{"block", int64_t{2}}, {"layout", kFirst}});
  x = m.op("Relu", {m.conv(x, 16, 8, 3, 1, kFirst)});
  // A shuffle of channels.
  x = m.op("Reshape", {x}, {{"shape", Ints{1, 2, 4, 4, 4}}});
  x = m.op("Transpose", {x}, {{"perm", Ints{0, 2, 1, 3, 4}}});
  x = m.op("Reshape", {x}, {{"shape", Ints{1, 8, 4, 4}}});
  x = m.op("DepthToSpace", {x}, {{"block", int64_t{2}}, {"mode", std::string("CRD")}, {"layout", kFirst}});
  const ValueId indices = m.graph.add_constant("i", IntTensor(Shape{4}, {5, 0, 0, 3}));
  x = m.op("Gather", {x, indices}, {{"axis", int64_t{2}}});
  x = m.op("Pad", {x}, {{"pads", Ints{0, 0, 0, 1, 0, 0, 0, 0}}, {"value", 0.5}});
  x = m.op("Tile", {x}, {{"repeats", Ints{1, 1, 2, 1}}});
  const ValueId token = m.op("Concat", {m.random({1, 2, 1, 9}), x}, {{"axis", int64_t{2}}});
  check(m.done({m.op("Add", {m.conv(token, 2, 3, 3, 1, kFirst), m.op("ReduceMean", {x}, {{"axes", Ints{1, 2, 3}}})})}));
}

TEST(SecureShapes, OfProductsWithStacksAndEquations) {
  Model m(5);
  const ValueId x = m.input({2, 4, 6});
  const ValueId heads = m.op("Einsum", {x, m.random({6, 3, 5})}, {{"equation", std::string("bti,ihd->bhtd")}});
  const ValueId mixed = m.op("MatMul", {m.random({3, 4, 4}), heads});
  const ValueId joined = m.op("Einsum", {mixed, m.random({3, 5, 6})}, {{"equation", std::string("bhtd,hdi->bti")}});
  const ValueId sums = m.op("Einsum", {x}, {{"equation", std::string("...i->...")}});
  check(m.done({m.op("Add", {joined, m.op("Unsqueeze", {sums}, {{"axes", Ints{-1}}})})}));
}

TEST(SecureShapes, OfTheLargestValues) {
  Model m(6);
  const ValueId logits = m.op("MatMul", {m.input({3, 8}), m.random({8, 10})});
  const ValueId values = m.op("TopK", {logits}, {{"k", int64_t{3}}, {"axis", int64_t{-1}}});
  const ValueId indices = m.graph.add_value({"indices", DType::kInt, {}, {}});
  m.graph.nodes.back().outputs.push_back(indices);
  check(m.done({values, indices}));
}

TEST(SecureShapes, OfTheLeastValuesAlongAnyAxis) {
  Model m(8);
  const ValueId x = m.op("MatMul", {m.input({5, 8}), m.random({8, 3})});
  const ValueId values = m.op("TopK", {x}, {{"k", int64_t{2}}, {"axis", int64_t{0}}, {"largest", int64_t{0}}});
  const ValueId indices = m.graph.add_value({"indices", DType::kInt, {}, {}});
  m.graph.nodes.back().outputs.push_back(indices);
  const ValueId log = m.op("LogSoftmax", {m.op("MatMul", {x, m.random({3, 4})})}, {{"axis", int64_t{0}}});
  check(m.done({values, indices, log}));
}

// Of columns that are equal in pairs, the later one of the best pair.
TEST(SecureShapes, OfTheLastOfEqualExtrema) {
  Model m(9);
  const ValueId x = m.input({3, 4});
  const ValueId twice = m.op("Concat", {x, x}, {{"axis", int64_t{1}}});
  std::vector<ValueId> outputs;
  for (const char* op : {"ArgMax", "ArgMin"}) {
    outputs.push_back(m.op(op, {twice}, {{"axis", int64_t{1}}, {"last", int64_t{1}}}));
    m.graph.value(outputs.back()).dtype = DType::kInt;
  }
  check(m.done(outputs), 0);
}

TEST(SecureShapes, OfConstantIndicesDiagonalsAndRunningSums) {
  Model m(10);
  const ValueId x = m.input({2, 4, 4});
  const auto ints = [&](const Shape& shape, Ints values) {
    return m.graph.add_constant("i", IntTensor(shape, std::move(values)));
  };
  const ValueId diagonal = m.op("Einsum", {x, m.random({4, 3})}, {{"equation", std::string("bii,ij->bj")}});
  const ValueId rows = m.op("GatherND", {x, ints({2, 2}, {0, 3, 1, 0})});
  const ValueId elements =
      m.op("GatherElements", {x, ints({1, 2, 4}, {0, 3, 2, 1, 1, 1, 0, 2})}, {{"axis", int64_t{1}}});
  const ValueId updated =
      m.op("ScatterND", {x, ints({3, 2}, {0, 1, 1, 2, 0, 1}), m.random({3, 4})}, {{"reduction", std::string("add")}});
  const ValueId sums = m.op("CumSum", {updated}, {{"axis", int64_t{1}}, {"reverse", int64_t{1}}});
  check(m.done({diagonal, rows, elements, m.op("Trilu", {sums}, {{"k", int64_t{-1}}})}));
}

TEST(SecureShapes, AveragesOfPowersOfTwoAlignWithoutSteps) {
  Model m(7);
  const ValueId x = m.op("Relu", {m.conv(m.input({1, 8, 8, 3}), 3, 4, 3, 1)});
  const ValueId pooled = m.op("AveragePool", {x}, window({2, 2}, {2, 2}, {0, 0, 0, 0}));
  const ValueId grown = m.op("Relu", {m.conv(pooled, 4, 4, 3, 1)});
  const Graph graph = m.done({m.conv(m.op("Concat", {pooled, grown}, {{"axis", int64_t{3}}}), 8, 2, 1, 0)});
  CompileOptions options;
  options.calibration = {testing::random_inputs(graph, 1)};
  const Compiled compiled = compile(graph, options);
  for (const Step& step : compiled.program.steps) {
    EXPECT_FALSE(std::holds_alternative<SumAxesStep>(step.body)) << step.layer;
    if (const auto* scale = std::get_if<ScaleStep>(&step.body)) {
      EXPECT_EQ(scale->factor, 1) << step.layer;
    }
  }
  check(graph);
}

// --- Values that are known modulo few bits, and those that fill the ring
// ------------------------------------------------

std::map<std::string, Attribute> half_window(const std::string& layout) {
  return window({2, 2}, {2, 2}, {0, 0, 0, 0}, layout);
}

TEST(SecureShapes, OfMaximaThatGrowAfterwards) {
  Model m(8);
  const ValueId x = m.op("MaxPool", {m.input({1, 6, 6, 3})}, half_window("NHWC"));
  const ValueId moved = m.op("MatMul", {m.op("Sub", {x, m.random({3}, 2, 3)}), m.random({3, 4})});
  const ValueId hard = m.op("HardSwish", {x});
  const ValueId cut = m.op("Clip", {x}, {{"min", -1.25}, {"max", 1.75}});
  const ValueId mean = m.op("ReduceMean", {x}, {{"axes", Ints{2}}, {"keepdims", int64_t{1}}});
  check(m.done({moved, hard, cut, m.op("Add", {mean, x})}));
}

TEST(SecureShapes, OfAveragesOverUnevenWindowsThatFillTheRing) {
  Model m(9);
  const ValueId x = m.op("Conv", {m.input({2, 6, 6}), m.random({1, 3, 4}), m.random({4})},
                         {{"strides", Ints{2}}, {"groups", int64_t{2}}});
  check(m.done({m.op("AveragePool", {x}, window({3}, {1}, {0, 2}))}));
}

TEST(SecureShapes, OfResizesThatEndTheModel) {
  for (const char* mode : {"linear", "cubic"}) {
    SCOPED_TRACE(mode);
    Model m(10);
    const ValueId x = m.input({1, 2, 4, 5, 3});
    check(m.done({m.op("Resize", {x}, {{"sizes", Ints{5, 3, 7}}, {"mode", std::string(mode)}})}));
  }
}

TEST(SecureShapes, OfAveragesOfThreeThatMeetOtherValues) {
  Model m(11);
  const ValueId x = m.input({1, 8, 3, 6});
  const ValueId products = m.op("MatMul", {x, m.op("Transpose", {x}, {{"perm", Ints{0, 1, 3, 2}}})});
  const ValueId mean = m.op("ReduceMean", {products}, {{"axes", Ints{2}}, {"keepdims", int64_t{1}}});
  check(m.done({m.op("Max", {m.op("Mul", {mean, m.random({1, 8, 1, 3}, -2, 2)}), mean})}));
}

TEST(SecureShapes, OfDifferencesThatAreAlwaysZero) {
  Model m(12);
  const ValueId square = m.op("Square", {m.input({2, 5})});
  check(m.done({m.op("Min", {square, m.op("PRelu", {square, m.random({5})})})}));
}

// --- What the recipient computes, in a model with channels first
// --------------------------------------------------------

TEST(SecureShapes, OfIndicesAlongAnyAxis) {
  for (int64_t axis = 0; axis < 4; ++axis) {
    for (int64_t keeps : {0, 1}) {
      SCOPED_TRACE(fmt::format("axis {}, keepdims {}", axis, keeps));
      Model m(13);
      const ValueId x = m.conv(m.input({2, 3, 5, 4}), 3, 4, 3, 1, kFirst);
      check(m.done({m.op("ArgMax", {x}, {{"axis", axis}, {"keepdims", keeps}})}));
    }
  }
}

TEST(SecureShapes, OfASoftmaxAlongTheLastAxis) {
  Model m(14);
  const ValueId x = m.conv(m.input({2, 3, 5, 4}), 3, 4, 3, 1, kFirst);
  check(m.done({m.op("Softmax", {x}, {{"axis", int64_t{-1}}})}));
}

TEST(SecureShapes, OfASoftmaxOverOneClass) {
  Model m(15);
  const ValueId x = m.input({2, 1, 5});
  check(m.done({m.op("Add", {x, m.op("Softmax", {x}, {{"axis", int64_t{1}}})})}));
}

TEST(SecureShapes, InputsThatNothingReadsAreGivenAllTheSame) {
  Model m(16);
  const ValueId x = m.input({1, 4}, "read"), other = m.input({1, 3}, "unread");
  const Graph graph = m.done({m.op("MatMul", {x, m.random({4, 2})})});
  for (Ring ring : {Ring::k32, Ring::k64}) {
    CompileOptions options;
    options.ring = ring;
    const Compiled compiled = compile(graph, options);
    const int scale = compiled.plan.of(other).scale;
    EXPECT_GT(scale, 10);
    EXPECT_LT(scale, bits_of(ring).value());
  }
}

TEST(SecureShapes, ALeakyReluIsAsExactAsItsRing) {
  Model m(17);
  const Graph graph = m.done({m.op("LeakyRelu", {m.input({4, 25})}, {{"alpha", 0.3141}})});
  check(graph, 0x1p-11);
  CompileOptions options;
  options.ring = Ring::k64;
  const std::vector<FloatTensor> inputs = testing::random_inputs(graph, 1);
  options.calibration = {inputs};
  const std::vector<float> found = outputs_of("clear", compile(graph, options), inputs[0])[0].values;
  const std::vector<float> expected = std::get<FloatTensor>(float_run(graph, inputs)[0]).values;
  // Half a unit of the slope's 20 bits, and one of the operand's, which keeps more.
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 0x1p-20);
}

TEST(SecureShapes, OfAnIndexBesideTheScoresOfItsSoftmax) {
  Model m(18);
  const ValueId scores = m.op("MatMul", {m.input({3, 6}), m.random({6, 5})});
  const ValueId chosen = m.op("ArgMax", {m.op("Softmax", {scores}, {{"axis", int64_t{1}}})}, {{"axis", int64_t{1}}});
  check(m.done({chosen, scores}));
}

TEST(SecureShapes, APadThatCutsEverythingIsRefused) {
  Model m(19);
  const ValueId x = m.op("Relu", {m.input({1, 1, 2})});
  const Graph graph = m.done({m.op("Pad", {x}, {{"pads", Ints{2, 0, 0, -1, 0, 0}}, {"value", 0.5}})});
  EXPECT_THROW(compile(graph, {}), UserError);
}

// The reciprocal is not defined for all that a softmax may give in theory, so nothing is known of its result but what
// samples showed.
TEST(SecureShapes, AFunctionThatIsNotDefinedEverywhereKeepsItsMeasuredRange) {
  Model m(20);
  const ValueId x = m.op("Softmax", {m.input({2, 6})}, {{"axis", int64_t{1}}});
  const Graph graph = m.done({m.op("Reciprocal", {x})});
  CompileOptions options;
  const std::vector<FloatTensor> inputs = testing::random_inputs(graph, 1);
  options.calibration = {inputs};
  const auto expected = std::get<FloatTensor>(float_run(graph, inputs)[0]);
  const float largest = *std::max_element(expected.values.begin(), expected.values.end());
  const Compiled compiled = compile(graph, options);
  EXPECT_GE(compiled.plan.of(compiled.graph.outputs[0]).range.bound, 4 * largest * (1 - 1e-6));
  check(graph);
}

TEST(SecureShapes, OfClipsBetweenNumbersOfEitherSign) {
  Model m(21);
  const ValueId x = m.input({4, 6});
  const ValueId product = m.op("Mul", {x, m.op("Tanh", {x})});
  check(m.done({m.op("Clip", {product}, {{"min", -0.96}, {"max", 1.61}}), m.op("Clip", {product}, {{"min", 0.25}})}));
}

// Inputs of a declared interval have no margin, what is computed from them has one.
TEST(SecureShapes, OfPartsOfMaximaOfSeveralInputs) {
  Model m(22);
  const ValueId x = m.op("MaxPool", {m.input({1, 6, 6, 3}, "x")}, half_window("NHWC"));
  const ValueId part = m.op("Slice", {x}, {{"starts", Ints{0}}, {"ends", Ints{2}}, {"axes", Ints{1}}});
  const ValueId y = m.input({1, 2, 3, 3}, "y");
  const Graph graph = m.done({m.op("Add", {m.op("Sub", {part, m.random({3}, 2, 3)}), y})});
  CompileOptions options;
  options.ring = Ring::k32;
  options.synthetic_margin_bits = 4;
  EXPECT_NO_THROW(compile(graph, options));
}

TEST(SecureShapes, OfSmallPartsOfLargeProducts) {
  Model m(23);
  FloatTensor weight = m.tensor({5, 6}, -0.02F, 0.02F);
  for (size_t i = 4; i < weight.values.size(); i += 6) weight.values[i] *= 100;
  const ValueId product = m.op("MatMul", {m.op("Relu", {m.input({2, 8, 5})}), m.constant(weight)});
  const std::map<std::string, Attribute> first = {{"starts", Ints{0}}, {"ends", Ints{4}}, {"axes", Ints{2}}};
  check(m.done({m.op("Relu", {m.op("Slice", {product}, first)})}));
}

TEST(SecureShapes, OfPaddedAveragesThatOthersRead) {
  Model m(24);
  const ValueId x = m.conv(m.input({1, 5, 5, 3}), 3, 4, 3, 1);
  const ValueId padded = m.op("AveragePool", {x}, window({3, 2}, {1, 1}, {2, 0, 0, 0}));
  const ValueId single = m.op("AveragePool", {x}, window({2, 2}, {2, 1}, {0, 0, 0, 0}));
  const ValueId volume =
      m.op("Conv", {m.op("Reshape", {x}, {{"shape", Ints{1, 5, 5, 2, 2}}}), m.random({2, 1, 1, 2, 2})},
           window({}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}));
  const ValueId deep = m.op("AveragePool", {volume}, window({2, 3, 2}, {1, 2, 1}, {0, 1, 0, 1, 1, 0}));
  check(m.done({m.conv(padded, 4, 2, 1, 0), m.max_pool(single, 1, 1), deep}));
}

}  // namespace
}  // namespace treville
