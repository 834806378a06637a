// The graph passes that remove and fold: meanings stay, nodes go.
#include <gtest/gtest.h>

#include "base/error.h"
#include "compile/fold_batchnorm.h"
#include "compile/fold_constants.h"
#include "compile/infer_shapes.h"
#include "compile/remove_identities.h"
#include "compile/test_model.h"

namespace treville {
namespace {

using testing::count;
using testing::expect_same_meaning;
using testing::Ints;
using testing::Model;

TEST(InferShapes, RefusesADynamicBatchAndNamesTheFlag) {
  Model m;
  const ValueId x = m.input({-1, 4});
  m.graph.outputs = {m.op("Relu", {x})};
  try {
    infer_shapes(m.graph);
    FAIL() << "a dynamic dimension was accepted";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("--batch"), std::string::npos);
  }
  infer_shapes(m.graph, 3);
  EXPECT_EQ(*m.graph.value(m.graph.outputs[0]).shape, (Shape{3, 4}));
}

TEST(InferShapes, ListsAllUnsupportedOperationsAtOnce) {
  Model m;
  const ValueId x = m.input({2, 4});
  m.graph.outputs = {m.op("Sharpen", {m.op("Blur", {x})})};
  try {
    infer_shapes(m.graph);
    FAIL() << "unknown operations were accepted";
  } catch (const UserError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("Sharpen"), std::string::npos);
    EXPECT_NE(text.find("Blur"), std::string::npos);
  }
}

TEST(FoldConstants, ShapeSubGraphsVanish) {
  Model m;
  const ValueId x = m.input({2, 3, 4});
  const ValueId shape = m.graph.add_node("Shape", "shape", {x}, {}, DType::kInt);
  const ValueId zero = m.graph.add_constant("zero", IntTensor(Shape{1}, {0}));
  const ValueId rest = m.graph.add_constant("rest", IntTensor(Shape{1}, {-1}));
  const ValueId rows = m.graph.add_node("Gather", "rows", {shape, zero}, {{"axis", int64_t{0}}}, DType::kInt);
  const ValueId wanted = m.graph.add_node("Concat", "wanted", {rows, rest}, {{"axis", int64_t{0}}}, DType::kInt);
  const Graph graph = m.done({m.op("Reshape", {x, wanted})});
  EXPECT_EQ(graph.nodes.size(), 1U);
  EXPECT_EQ(*graph.value(graph.outputs[0]).shape, (Shape{2, 12}));
}

TEST(FoldConstants, APartOfAShapeIsThatPart) {
  Model m;
  const ValueId x = m.input({2, 3, 4});
  const ValueId part =
      m.graph.add_node("Shape", "part", {x}, {{"start", int64_t{1}}, {"end", int64_t{-1}}}, DType::kInt);
  const Graph graph = m.done({part});
  ASSERT_NE(graph.constant(graph.outputs[0]), nullptr);
  const auto& values = std::get<IntTensor>(*graph.constant(graph.outputs[0]));
  EXPECT_EQ(values.shape, Shape{1});
  EXPECT_EQ(values.values, (std::vector<int64_t>{3}));
}

TEST(FoldConstants, RefusesToMakeMuchOutOfLittle) {
  const auto fill = [](int64_t elements) {
    Model m;
    const ValueId x = m.input({1});
    const ValueId dims = m.graph.add_constant("dims", IntTensor(Shape{1}, {elements}));
    const ValueId ones = m.op("ConstantOfShape", {dims}, {{"value", 1.0}});
    m.done({m.op("Add", {x, ones})});
  };
  EXPECT_NO_THROW(fill(1000));
  EXPECT_NO_THROW(fill(int64_t{1} << 23));
  EXPECT_THROW(fill((int64_t{1} << 28) + 1), UserError);
}

TEST(InferShapes, RefusesAValueThatIsTooLarge) {
  const auto pad = [](int64_t after) {
    Model m;
    const ValueId x = m.input({1000, 1000});
    m.done({m.op("Pad", {x}, {{"pads", Ints{0, 0, after, after}}})});
  };
  EXPECT_NO_THROW(pad(1000));
  for (int64_t after : {int64_t{1} << 20, int64_t{1} << 40, INT64_MAX}) EXPECT_THROW(pad(after), UserError);
}

TEST(FoldConstants, EvaluatesWhatBecameConstant) {
  Model m;
  const ValueId x = m.input({2, 3});
  const ValueId factor = m.op("Add", {m.random({3}), m.random({3})});
  Graph graph = m.done({m.op("Mul", {x, factor})});
  const ValueId late = graph.add_node("Neg", "late", {graph.nodes[0].inputs[1]});
  infer_node(graph, graph.nodes.back());
  std::swap(graph.nodes[0], graph.nodes[1]);
  graph.nodes[1].inputs[1] = late;
  const Graph before = graph;
  fold_constants(graph);
  EXPECT_EQ(graph.nodes.size(), 1U);
  expect_same_meaning(before, graph);
}

TEST(RemoveIdentities, DropsWhatChangesNothing) {
  Model m;
  ValueId x = m.input({1, 2, 3, 4});
  x = m.op("Identity", {x});
  x = m.op("Transpose", {x}, {{"perm", Ints{0, 1, 2, 3}}});
  x = m.op("Reshape", {x}, {{"shape", Ints{1, 2, 3, 4}}});
  x = m.op("Pad", {x}, {{"pads", Ints(8, 0)}, {"mode", std::string("constant")}});
  x = m.op("Mul", {x, m.constant(FloatTensor(Shape{}, {1}))});
  x = m.op("Add", {x, m.constant(FloatTensor(Shape{4}, {0, 0, 0, 0}))});
  x = m.op("Relu", {x});
  Graph graph = m.done({m.op("Dropout", {x})});
  const Graph before = graph;
  remove_identities(graph);
  EXPECT_EQ(graph.nodes.size(), 1U);
  expect_same_meaning(before, graph);
}

TEST(RemoveIdentities, KeepsABroadcastingSum) {
  Model m;
  const ValueId x = m.input({1, 4});
  Graph graph = m.done({m.op("Add", {x, m.constant(FloatTensor(Shape{3, 4}))})});
  remove_identities(graph);
  EXPECT_EQ(graph.nodes.size(), 1U);
}

TEST(RemoveIdentities, KeepsAPadThatOnlyMoves) {
  Model m;
  const ValueId x = m.input({2, 3});
  const ValueId moved = m.op("Pad", {x}, {{"pads", Ints{0, -1, 0, 1}}});
  Graph graph = m.done({m.op("Pad", {moved}, {{"pads", Ints{0, 0, 0, 0}}})});
  const Graph before = graph;
  remove_identities(graph);
  EXPECT_EQ(graph.nodes.size(), 1U);
  expect_same_meaning(before, graph);
}

TEST(FoldBatchnorm, DisappearsIntoTheConvolution) {
  Model m;
  const ValueId x = m.input({2, 5, 5, 3});
  Graph graph = m.done({m.op("Relu", {m.batch_norm(m.conv(x, 3, 4, 3, 1), 4)})});
  const Graph before = graph;
  fold_batchnorm(graph);
  EXPECT_EQ(graph.nodes.size(), 2U);
  expect_same_meaning(before, graph);
}

TEST(FoldBatchnorm, FoldsNormsSpelledAsProductsAndSums) {
  Model m;
  ValueId x = m.conv(m.input({1, 5, 5, 3}), 3, 4, 1, 0, "NHWC", true);
  x = m.op("Sub", {x, m.random({4})});
  x = m.op("Mul", {m.random({1, 1, 4}), x});
  x = m.op("Div", {x, m.random({1}, 1, 2)});
  x = m.op("Add", {m.random({4}), x});
  Graph graph = m.done({m.op("Sub", {m.random({1, 1, 1, 4}), x})});
  const Graph before = graph;
  fold_batchnorm(graph);
  EXPECT_EQ(graph.nodes.size(), 1U);
  expect_same_meaning(before, graph);
}

TEST(FoldBatchnorm, LeavesAMatrixProductItsBiasAsASum) {
  Model m;
  ValueId x = m.op("MatMul", {m.input({3, 5}), m.random({5, 6})});
  x = m.op("Add", {x, m.random({6})});
  Graph graph = m.done({m.batch_norm(x, 6)});
  const Graph before = graph;
  fold_batchnorm(graph);
  EXPECT_EQ(graph.nodes.size(), 2U);
  EXPECT_EQ(count(graph, "MatMul"), 1);
  EXPECT_EQ(count(graph, "Add"), 1);
  expect_same_meaning(before, graph);
}

TEST(FoldBatchnorm, MergesAChainThatFollowsNoLinearLayer) {
  Model m;
  ValueId x = m.op("Relu", {m.input({1, 4, 4, 3})});
  x = m.op("Mul", {x, m.random({3})});
  x = m.op("Add", {x, m.random({3})});
  Graph graph = m.done({m.op("Relu", {x})});
  const Graph before = graph;
  fold_batchnorm(graph);
  EXPECT_EQ(graph.nodes.size(), 3U);
  EXPECT_EQ(count(graph, "BatchNorm"), 1);
  expect_same_meaning(before, graph);
}

TEST(FoldBatchnorm, KeepsANormWhoseInputOthersRead) {
  Model m;
  const ValueId y = m.conv(m.input({1, 4, 4, 3}), 3, 4, 1, 0);
  Graph graph = m.done({m.op("Add", {y, m.batch_norm(y, 4)})});
  const Graph before = graph;
  fold_batchnorm(graph);
  EXPECT_EQ(count(graph, "BatchNorm"), 1);
  expect_same_meaning(before, graph);
}

TEST(FoldBatchnorm, FoldsTheNormalisationOfTheInputForward) {
  for (const int64_t pad : {0, 1}) {
    Model m;
    ValueId x = m.op("Mul", {m.input({1, 5, 5, 2}), m.constant(FloatTensor(Shape{}, {0.25F}))});
    x = m.op("Add", {x, m.random({2})});
    Graph graph = m.done({m.conv(x, 2, 3, 3, pad)});
    const Graph before = graph;
    fold_batchnorm(graph);
    EXPECT_EQ(count(graph, "Mul") + count(graph, "BatchNorm"), 0) << "pad " << pad;
    EXPECT_EQ(count(graph, "Add"), pad);
    expect_same_meaning(before, graph);
  }
}

TEST(FoldBatchnorm, FoldsForwardIntoGroups) {
  Model m;
  const ValueId x = m.op("Mul", {m.op("Relu", {m.input({1, 4, 4, 6})}), m.random({6}, 1, 2)});
  Graph graph = m.done({m.op("Conv", {x, m.random({3, 3, 2, 9})},
                             {{"strides", Ints{1, 1}},
                              {"dilations", Ints{1, 1}},
                              {"pads", Ints{1, 1, 1, 1}},
                              {"auto_pad", std::string("explicit")},
                              {"groups", int64_t{3}},
                              {"layout", std::string("NHWC")}})});
  const Graph before = graph;
  fold_batchnorm(graph);
  EXPECT_EQ(count(graph, "Mul"), 0);
  expect_same_meaning(before, graph);
}

}  // namespace
}  // namespace treville
