#include "graph/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace treville {
namespace {

using ::testing::HasSubstr;

// A convolution, a rectifier and a second rectifier that nobody reads.
struct Small {
  Graph graph;
  ValueId input, weight, conv, relu, unused;

  Small() {
    input = graph.add_value({"input", DType::kFloat, Shape{1, 4, 4, 3}, std::nullopt});
    graph.inputs = {input};
    weight = graph.add_constant("conv1_w", FloatTensor(Shape{1, 1, 3, 2}));
    conv = graph.add_node("Conv", "conv1", {input, weight}, {{"strides", std::vector<int64_t>{2, 2}}});
    relu = graph.add_node("Relu", "relu1", {conv});
    unused = graph.add_node("Relu", "unused", {conv});
    graph.outputs = {relu};
  }
};

template <class F>
std::string bug(F&& action) {
  try {
    action();
  } catch (const BugError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Graph, AddNodeReturnsAFreshValueOfTheNodesName) {
  Small small;
  EXPECT_EQ(small.graph.value(small.conv).name, "conv1");
  EXPECT_EQ(small.graph.nodes[0].outputs, std::vector<ValueId>{small.conv});
  EXPECT_FALSE(small.graph.value(small.conv).shape.has_value());
  EXPECT_EQ(small.graph.constant(small.conv), nullptr);
  EXPECT_NE(small.graph.constant(small.weight), nullptr);
}

TEST(Graph, ConstantsHaveTheirShapeAndType) {
  Graph graph;
  const ValueId ints = graph.add_constant("shape", IntTensor(Shape{2}, {3, -1}));
  EXPECT_EQ(graph.value(ints).dtype, DType::kInt);
  EXPECT_EQ(graph.value(ints).shape, (Shape{2}));
}

TEST(Graph, RemoveDeadDropsChainsNobodyReads) {
  Small small;
  small.graph.add_node("Relu", "end_of_chain", {small.unused});
  small.graph.remove_dead();
  ASSERT_EQ(small.graph.nodes.size(), 2u);
  EXPECT_EQ(small.graph.nodes[0].name, "conv1");
  EXPECT_EQ(small.graph.nodes[1].name, "relu1");
}

TEST(Graph, ReplaceUsesRewritesNodesAndOutputs) {
  Small small;
  small.graph.replace_uses(small.relu, small.conv);
  small.graph.replace_uses(small.conv, small.input);
  EXPECT_EQ(small.graph.outputs, std::vector<ValueId>{small.input});
  EXPECT_EQ(small.graph.nodes[1].inputs, std::vector<ValueId>{small.input});
}

TEST(Graph, ParametersCountsEachFloatConstantThatIsReadOnce) {
  Small small;
  EXPECT_EQ(small.graph.parameters(), 6);
  small.graph.add_node("Add", "twice", {small.weight, small.weight});
  small.graph.add_constant("unread", FloatTensor(Shape{100}));
  small.graph.add_node("Reshape", "ints", {small.relu, small.graph.add_constant("s", IntTensor(Shape{3}))});
  EXPECT_EQ(small.graph.parameters(), 6);
}

TEST(Node, ReadersGiveDefaultsAndRefuseOtherTypes) {
  Node node;
  node.name = "n";
  node.attributes = {{"i", int64_t{3}}, {"f", 0.5}, {"s", std::string("NCHW")}, {"l", std::vector<int64_t>{1, 2}}};
  EXPECT_EQ(node.get_int("i", 0), 3);
  EXPECT_EQ(node.get_float("f", 0), 0.5);
  EXPECT_EQ(node.get_string("s", ""), "NCHW");
  EXPECT_EQ(node.get_ints("l"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(node.get_int("absent", 7), 7);
  EXPECT_EQ(node.get_ints("absent", {4}), (std::vector<int64_t>{4}));
  EXPECT_THAT(bug([&] { node.get_int("f", 0); }), HasSubstr("attribute \"f\" of node \"n\""));
  EXPECT_THAT(bug([&] { node.get_ints("i"); }), HasSubstr("is not a list of integers"));
}

TEST(Verify, AcceptsAWellFormedGraph) {
  Small small;
  EXPECT_NO_THROW(verify(small.graph, "import"));
}

TEST(Verify, RefusesAReadBeforeItsProducer) {
  Small small;
  std::swap(small.graph.nodes[0], small.graph.nodes[1]);
  EXPECT_THAT(bug([&] { verify(small.graph, "my_pass"); }), HasSubstr("after my_pass: node \"relu1\" (Relu) reads"));
}

TEST(Verify, RefusesTwoProducers) {
  Small small;
  small.graph.nodes[2].outputs = {small.relu};
  EXPECT_THAT(bug([&] { verify(small.graph, "p"); }), HasSubstr("another producer"));
  Small folded;
  folded.graph.value(folded.relu).constant = FloatTensor(Shape{1});
  EXPECT_THAT(bug([&] { verify(folded.graph, "p"); }), HasSubstr("another producer"));
}

TEST(Verify, RefusesMissingOutputsAndUnknownValues) {
  Small small;
  small.graph.outputs = {};
  EXPECT_THAT(bug([&] { verify(small.graph, "p"); }), HasSubstr("no output"));
  small.graph.outputs = {ValueId(99)};
  EXPECT_THAT(bug([&] { verify(small.graph, "p"); }), HasSubstr("output number 99"));
  Small reads;
  reads.graph.nodes[1].inputs = {ValueId(99)};
  EXPECT_THAT(bug([&] { verify(reads.graph, "p"); }), HasSubstr("value number 99"));
}

TEST(Verify, RefusesAConstantWhoseShapeDiffers) {
  Small small;
  small.graph.value(small.weight).shape = Shape{6};
  EXPECT_THAT(bug([&] { verify(small.graph, "p"); }), HasSubstr("constant \"conv1_w\" has shape [1,1,3,2]"));
}

TEST(Print, AlignsNamesAndArrowsOneLineANode) {
  Small small;
  small.graph.remove_dead();
  small.graph.value(small.conv).shape = Shape{1, 2, 2, 2};
  EXPECT_EQ(print(small.graph),
            "input = input                              -> [1,4,4,3]\n"
            "conv1 = Conv(input, conv1_w) strides=[2,2] -> [1,2,2,2]\n"
            "relu1 = Relu(conv1)\n"
            "output relu1\n");
}

}  // namespace
}  // namespace treville
