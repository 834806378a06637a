// The graph passes that move operations: layouts, padding, activations, softmax.
#include <gtest/gtest.h>

#include "base/error.h"
#include "compile/join_activations.h"
#include "compile/label_only.h"
#include "compile/max_before_relu.h"
#include "compile/merge_pads.h"
#include "compile/remove_identities.h"
#include "compile/softmax_last.h"
#include "compile/test_model.h"
#include "compile/to_nhwc.h"

namespace treville {
namespace {

using testing::count;
using testing::expect_same_meaning;
using testing::Ints;
using testing::Model;

int channels_first_nodes(const Graph& graph) {
  int result = 0;
  for (const Node& node : graph.nodes) result += node.get_string("layout", "NHWC") == "NCHW";
  return result;
}

TEST(ToNhwc, LeavesTransposesAtTheInterfaceOnly) {
  Model m;
  ValueId x = m.input({2, 3, 8, 8});
  x = m.op("Relu", {m.batch_norm(m.conv(x, 3, 4, 3, 1, "NCHW"), 4, "NCHW")});
  x = m.op("Add", {x, m.random({4, 1, 1})});
  const ValueId left = m.conv(x, 4, 3, 1, 0, "NCHW"), right = m.conv(x, 4, 5, 3, 1, "NCHW");
  x = m.op("Concat", {left, right}, {{"axis", int64_t{1}}});
  x = m.op("Pad", {x}, {{"pads", Ints{0, 1, 0, 0, 0, 0, 1, 2}}, {"mode", std::string("constant")}, {"value", 0.0}});
  x = m.op("Slice", {x}, {{"starts", Ints{1, 0}}, {"ends", Ints{8, 9}}, {"axes", Ints{1, -1}}, {"steps", Ints{2, 1}}});
  x = m.max_pool(x, 2, 2, "NCHW");
  Graph graph = m.done({x});
  const Graph before = graph;
  to_nhwc(graph);
  EXPECT_EQ(channels_first_nodes(graph), 0);
  EXPECT_EQ(count(graph, "Transpose"), 2);
  EXPECT_EQ(*graph.value(graph.outputs[0]).shape, *before.value(before.outputs[0]).shape);
  expect_same_meaning(before, graph);
  Graph again = graph;
  infer_shapes(again);
  for (const Node& node : again.nodes)
    EXPECT_EQ(*again.value(node.outputs[0]).shape, *graph.value(node.outputs[0]).shape) << node.name;
}

TEST(ToNhwc, NeedsNoTransposeBehindGlobalPooling) {
  for (const int64_t keepdims : {0, 1}) {
    Model m;
    ValueId x = m.conv(m.input({2, 3, 6, 6}), 3, 5, 3, 0, "NCHW");
    x = m.op("ReduceMean", {x}, {{"axes", Ints{2, 3}}, {"keepdims", keepdims}});
    x = m.op("Flatten", {x}, {{"axis", int64_t{1}}});
    Graph graph = m.done({m.op("MatMul", {x, m.random({5, 4})})});
    const Graph before = graph;
    to_nhwc(graph);
    EXPECT_EQ(count(graph, "Transpose"), 1);
    expect_same_meaning(before, graph);
  }
}

TEST(ToNhwc, FlattensInTheModelsOrder) {
  Model m;
  ValueId x = m.op("Relu", {m.conv(m.input({2, 3, 6, 6}), 3, 5, 3, 0, "NCHW")});
  x = m.op("Reshape", {x}, {{"shape", Ints{0, -1}}});
  Graph graph = m.done({m.op("MatMul", {x, m.random({80, 4})})});
  const Graph before = graph;
  to_nhwc(graph);
  EXPECT_EQ(count(graph, "Transpose"), 2);
  expect_same_meaning(before, graph);
}

TEST(ToNhwc, CancelsTransposesTheModelBringsAlong) {
  Model m;
  ValueId x = m.op("Transpose", {m.input({2, 6, 6, 3})}, {{"perm", Ints{0, 3, 1, 2}}});
  x = m.conv(x, 3, 4, 3, 1, "NCHW");
  Graph graph = m.done({m.op("Transpose", {x}, {{"perm", Ints{0, 2, 3, 1}}})});
  const Graph before = graph;
  to_nhwc(graph);
  EXPECT_EQ(count(graph, "Transpose"), 0);
  expect_same_meaning(before, graph);
}

TEST(ToNhwc, MixesTransposedAndPlainOperands) {
  Model m;
  const ValueId x = m.input({1, 4, 5, 5}), y = m.input({1, 4, 5, 5}, "y");
  Graph graph = m.done({m.op("Sub", {y, m.conv(x, 4, 4, 1, 0, "NCHW")})});
  const Graph before = graph;
  to_nhwc(graph);
  expect_same_meaning(before, graph);
}

TEST(MergePads, GivesZerosToConvolutionsAndToMaximaOfNonNegatives) {
  Model m;
  const std::map<std::string, Attribute> pads = {
      {"pads", Ints{0, 1, 1, 0, 0, 1, 1, 0}}, {"mode", std::string("constant")}, {"value", 0.0}};
  ValueId x = m.op("Pad", {m.input({1, 6, 6, 2})}, pads);
  x = m.op("Relu", {m.conv(x, 2, 3, 3, 0)});
  x = m.max_pool(m.op("Pad", {x}, pads), 3, 2);
  Graph graph = m.done({x});
  const Graph before = graph;
  merge_pads(graph);
  EXPECT_EQ(count(graph, "Pad"), 0);
  expect_same_meaning(before, graph);
}

TEST(MergePads, KeepsZerosThatMayWinAMaximum) {
  Model m;
  const ValueId x = m.op("Pad", {m.input({1, 6, 6, 2})},
                         {{"pads", Ints{0, 1, 1, 0, 0, 1, 1, 0}}, {"mode", std::string("constant")}, {"value", 0.0}});
  Graph graph = m.done({m.max_pool(x, 3, 2)});
  merge_pads(graph);
  EXPECT_EQ(count(graph, "Pad"), 1);
}

TEST(MaxBeforeRelu, PoolsFirst) {
  Model m;
  Graph graph = m.done({m.max_pool(m.op("Relu", {m.input({1, 6, 6, 2})}), 2, 2)});
  const Graph before = graph;
  max_before_relu(graph);
  ASSERT_EQ(graph.nodes.size(), 2U);
  EXPECT_EQ(graph.nodes[0].op, "MaxPool");
  EXPECT_EQ(graph.nodes[1].op, "Relu");
  expect_same_meaning(before, graph);
}

TEST(MaxBeforeRelu, KeepsAnActivationThatOthersRead) {
  Model m;
  const ValueId x = m.op("Relu", {m.input({1, 6, 6, 2})});
  Graph graph = m.done({m.max_pool(x, 2, 2), x});
  max_before_relu(graph);
  EXPECT_EQ(graph.nodes[0].op, "Relu");
}

TEST(MaxBeforeRelu, KeepsADecreasingSlope) {
  Model m;
  Graph graph = m.done({m.max_pool(m.op("LeakyRelu", {m.input({1, 6, 6, 2})}, {{"alpha", -0.5}}), 2, 2)});
  max_before_relu(graph);
  EXPECT_EQ(graph.nodes[0].op, "LeakyRelu");
}

TEST(JoinActivations, OneReluForAConcatenationAndThenTheMaximumFirst) {
  Model m;
  const ValueId x = m.input({1, 6, 6, 2});
  const ValueId a = m.op("Relu", {m.conv(x, 2, 3, 1, 0)}), b = m.op("Relu", {m.conv(x, 2, 4, 3, 1)});
  Graph graph = m.done({m.max_pool(m.op("Concat", {a, b}, {{"axis", int64_t{3}}}), 2, 2)});
  const Graph before = graph;
  join_activations(graph);
  max_before_relu(graph);
  EXPECT_EQ(count(graph, "Relu"), 1);
  EXPECT_EQ(graph.nodes.back().op, "Relu");
  expect_same_meaning(before, graph);
}

TEST(JoinActivations, KeepsDifferentActivationsApart) {
  Model m;
  const ValueId x = m.input({1, 6, 6, 2});
  const ValueId a = m.op("Relu", {x}), b = m.op("Clip", {x}, {{"min", 0.0}, {"max", 6.0}});
  Graph graph = m.done({m.op("Concat", {a, b}, {{"axis", int64_t{3}}})});
  join_activations(graph);
  EXPECT_EQ(graph.nodes.back().op, "Concat");
}

TEST(SoftmaxLast, MovesBehindReshapesToTheLastAxis) {
  Model m;
  ValueId x = m.op("Softmax", {m.input({2, 5, 1, 1})}, {{"axis", int64_t{1}}});
  Graph graph = m.done({m.op("Reshape", {x}, {{"shape", Ints{2, 5}}})});
  const Graph before = graph;
  softmax_last(graph);
  EXPECT_EQ(graph.nodes.back().op, "Softmax");
  EXPECT_EQ(graph.nodes.back().outputs[0], graph.outputs[0]);
  EXPECT_EQ(graph.nodes.back().get_int("axis", 0), 1);
  expect_same_meaning(before, graph);
}

TEST(LabelOnly, EndsWithArgMaxOfTheScores) {
  Model m;
  const ValueId x = m.op("Softmax", {m.input({2, 5})}, {{"axis", int64_t{1}}});
  Graph graph = m.done({x});
  label_only(graph);
  EXPECT_EQ(count(graph, "Softmax"), 0);
  EXPECT_EQ(graph.nodes.back().op, "ArgMax");
  const auto result = float_run(graph, {FloatTensor(Shape{2, 5}, {0, 3, 1, 2, 0, 5, 1, 1, 1, 1})});
  EXPECT_EQ(std::get<IntTensor>(result[0]).values, (std::vector<int64_t>{1, 0}));
}

TEST(LabelOnly, RefusesAnOutputWithoutScores) {
  Model m;
  const ValueId x = m.input({1, 4, 4, 3});
  Graph graph = m.done({m.op("Relu", {x})});
  EXPECT_THROW(label_only(graph), UserError);
}

}  // namespace
}  // namespace treville
