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
#include "run/post_process.h"

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
  const LocalRunResult result = run_local(protocol, compiled.program, compiled.constants, inputs);
  const bool alone = std::string_view(protocol) == "clear";
  std::vector<FloatTensor> outputs;
  for (const RevealedOutput& output : result.outputs[index_of(alone ? PartyId::kEvaluator : PartyId::kDealer)])
    outputs.push_back(post_process(decode(output.value, output.type), output.post, output.top, output.axis));
  return outputs;
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

}  // namespace
}  // namespace treville
