// Ranges that a quantised model declares: which source wins, what the margin does, and that passes keep or drop a
// declaration as a value's meaning stays or changes.
#include <gtest/gtest.h>

#include "compile/fold_batchnorm.h"
#include "compile/max_before_relu.h"
#include "compile/measure_ranges.h"
#include "compile/remove_identities.h"
#include "compile/test_clear_run.h"
#include "compile/test_model.h"

namespace treville {
namespace {

using testing::clear_run;
using testing::Model;

// Layer is x -> 3x3 convolution -> Relu, with ranges for the input and the activation.
struct Layer {
  Model model;
  ValueId x, sum, y;

  explicit Layer(double scale = 1) {
    x = model.input({1, 6, 6, 3});
    sum = model.conv(x, 3, 4, 3, 1);
    y = model.op("Relu", {sum});
    model.graph.value(x).declared_range = Interval{-1 * scale, 1 * scale};
    model.graph.value(y).declared_range = Interval{0, scale};
  }
};

TEST(DeclaredRanges, DecideWithoutSamplesAndGiveWayToThem) {
  Layer layer;
  const Graph graph = layer.model.done({layer.y});
  CompileOptions options;
  EXPECT_EQ(range_source(graph, options), RangeSource::kModel);
  options.ranges = Ranges::kSynthetic;
  EXPECT_EQ(range_source(graph, options), RangeSource::kSynthetic);
  options.ranges = Ranges::kGuaranteed;
  EXPECT_EQ(range_source(graph, options), RangeSource::kGuaranteed);
  options.ranges = Ranges::kCalibrated;
  options.calibration = {{FloatTensor(Shape{1, 6, 6, 3})}};
  EXPECT_EQ(range_source(graph, options), RangeSource::kSamples);
}

TEST(DeclaredRanges, OfAllInputsAreNeeded) {
  Layer layer;
  const ValueId other = layer.model.input({1, 6, 6, 4}, "other");
  const Graph graph = layer.model.done({layer.model.op("Add", {layer.y, other})});
  EXPECT_EQ(range_source(graph, {}), RangeSource::kSynthetic);
}

TEST(DeclaredRanges, TakeTheMarginButNotBeyondWhatArithmeticAllows) {
  Layer layer;
  const Graph graph = layer.model.done({layer.y});
  const auto bound = [&](int margin, ValueId id) {
    CompileOptions options;
    options.margin_bits = margin;
    return measure_ranges(graph, options)[index_of(id)].bound;
  };
  EXPECT_DOUBLE_EQ(bound(0, layer.y), 1);
  EXPECT_DOUBLE_EQ(bound(1, layer.y), 2);
  EXPECT_DOUBLE_EQ(bound(2, layer.x), 1 + 2.0 / 255);  // an input is stretched by one step of its type
  EXPECT_DOUBLE_EQ(bound(2, layer.sum), bound(0, layer.sum));
  EXPECT_LE(bound(20, layer.y), bound(20, layer.sum));
}

TEST(DeclaredRanges, BoundEveryValueOfInputsWithinThem) {
  for (double scale : {0.01, 1.0, 200.0}) {
    Layer layer(scale);
    const Graph graph = layer.model.done({layer.y});
    const std::vector<ValueRange> ranges = measure_ranges(graph, {});
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const auto low = static_cast<float>(-scale), high = static_cast<float>(scale);
      float_run(graph, testing::random_inputs(graph, seed, low, high), [&](ValueId id, const Constant& value) {
        if (id == layer.y) return;  // declared: random inputs may exceed it
        for (float element : std::get<FloatTensor>(value).values)
          EXPECT_LE(std::abs(element), ranges[index_of(id)].bound) << graph.value(id).name << " seed " << seed;
      });
    }
  }
}

TEST(DeclaredRanges, CompileToTheSmallRingAndSaySo) {
  Layer layer;
  const Graph graph = layer.model.done({layer.y});
  const Compiled compiled = compile(graph, {});
  EXPECT_EQ(compiled.program.ring, Ring::k32);
  EXPECT_EQ(compiled.program.scheme, "ranges of the quantised model, margin 2 bits");
  const std::vector<FloatTensor> inputs = testing::random_inputs(graph, 5);
  const FloatTensor expected = std::get<FloatTensor>(float_run(graph, inputs)[0]);
  const FloatTensor found = clear_run(compiled, inputs).outputs.at(0);
  for (size_t i = 0; i < found.values.size(); ++i) EXPECT_NEAR(found.values[i], expected.values[i], 0.01);
}

TEST(DeclaredRanges, FollowTheMeaningOfAValueThroughFolding) {
  Model m;
  const ValueId x = m.input({1, 4, 4, 2}), sum = m.conv(x, 2, 3, 1, 0);
  const ValueId scaled = m.op("Mul", {sum, m.random({3}, 0.5, 2)});
  m.graph.value(sum).declared_range = Interval{-1, 1};
  m.graph.value(scaled).declared_range = Interval{-7, 7};
  Graph graph = m.done({scaled});
  fold_batchnorm(graph);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.value(graph.outputs[0]).declared_range->high, 7);
}

TEST(DeclaredRanges, AreDroppedWhereAMaximumMovesBeforeAnActivation) {
  Model m;
  const ValueId x = m.input({1, 4, 4, 2}), y = m.op("Relu", {x}), z = m.max_pool(y, 2, 2);
  m.graph.value(y).declared_range = Interval{0, 1};
  m.graph.value(z).declared_range = Interval{0, 1};
  Graph graph = m.done({z});
  max_before_relu(graph);
  ASSERT_EQ(graph.nodes[0].op, "MaxPool");
  EXPECT_FALSE(graph.value(graph.nodes[0].outputs[0]).declared_range);  // may now be negative
  EXPECT_TRUE(graph.value(graph.outputs[0]).declared_range);
}

TEST(DeclaredRanges, OfAnIdentityBelongToItsInput) {
  Model m;
  const ValueId x = m.input({2, 3}), y = m.op("Identity", {x});
  m.graph.value(y).declared_range = Interval{-3, 3};
  Graph graph = m.done({m.op("Relu", {y})});
  remove_identities(graph);
  EXPECT_EQ(graph.value(x).declared_range->low, -3);
}

}  // namespace
}  // namespace treville
