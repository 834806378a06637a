#include "compile/plan_fixed_point.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "compile/test_model.h"

namespace treville {
namespace {

using testing::Model;

TEST(WidthBits, HoldsEveryRoundedValueAndNoMoreThanNeeded) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> exponent(-6, 12);
  for (int i = 0; i < 10000; ++i) {
    const double bound = std::exp2(exponent(random));
    const int scale = static_cast<int>(random() % 12) + 6;
    const int k = width_bits(bound, scale);
    const double largest = std::ceil(std::ldexp(bound, scale)) + 1;
    EXPECT_LT(largest, std::ldexp(1, k - 1)) << "bound " << bound << " scale " << scale;
    EXPECT_GE(largest + 1, std::ldexp(1, k - 2)) << "bound " << bound << " scale " << scale;
  }
}

TEST(MagnitudeBits, LeaveRoomForRounding) {
  for (int e = -10; e < 20; ++e) {
    EXPECT_EQ(magnitude_bits(std::ldexp(0.9, e)), e);
    EXPECT_EQ(magnitude_bits(std::ldexp(1.0, e)), e + 1);
  }
}

Graph two_layers(Model& m) {
  ValueId x = m.op("Relu", {m.conv(m.input({1, 6, 6, 3}), 3, 4, 3, 1)});
  x = m.max_pool(m.conv(x, 4, 5, 3, 1), 2, 2);
  return m.done({m.conv(m.op("Relu", {x}), 5, 6, 1, 0)});
}

// For random ranges: each opened value fits k, each linear result fits the ring with the bits its reader needs.
TEST(PlanFixedPoint, RespectsTheRingAndKForRandomRanges) {
  Model m;
  const Graph graph = two_layers(m);
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> exponent(-3, 6);
    std::vector<ValueRange> ranges(graph.value_count());
    for (ValueRange& range : ranges) {
      range.bound = std::exp2(exponent(random));
      range.rms = range.bound / 16;
    }
    for (const Ring ring : {Ring::k32, Ring::k64}) {
      const int width = bits_of(ring).value();
      const Bits k_max(ring == Ring::k32 ? 20 : 40);
      const FixedPointPlan plan = plan_fixed_point(graph, ranges, ring, k_max);
      for (const Node& node : graph.nodes) {
        const ValuePlan& result = plan.of(node.outputs[0]);
        const Role role = role_of(graph, node);
        if (role == Role::kActivation || role == Role::kMaximum) {
          const ValuePlan& operand = plan.of(node.inputs[0]);
          EXPECT_LE(width_bits(operand.range.bound, result.scale), k_max.value());
        }
        if (role == Role::kLinear) {
          EXPECT_LE(width_bits(result.range.bound, result.limit), width);
        }
      }
      const ValuePlan& pooled = plan.of(graph.nodes[2].outputs[0]);
      EXPECT_LE(width_bits(pooled.range.bound, pooled.limit) + 1, width);
    }
  }
}

TEST(PlanFixedPoint, NamesTheFirstLayerThatDoesNotFitAndTheMissingBits) {
  Model m;
  const Graph graph = two_layers(m);
  std::vector<ValueRange> ranges(graph.value_count(), {4, 1});
  ranges[index_of(graph.nodes[2].outputs[0])] = {std::exp2(40), 0};
  try {
    plan_fixed_point(graph, ranges, Ring::k32, Bits(20));
    FAIL() << "a range of 40 bits was accepted in 32";
  } catch (const UserError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(graph.nodes[2].name), std::string::npos) << text;
    EXPECT_NE(text.find("missing"), std::string::npos) << text;
  }
}

TEST(PlanFixedPoint, GivesWeightsMoreBitsWhenTheInputIsLarge) {
  Model m;
  const Graph graph = two_layers(m);
  std::vector<ValueRange> small(graph.value_count(), {4, 0.5}), large = small;
  large[index_of(graph.inputs[0])] = {1024, 128};
  const auto scale = [&](const std::vector<ValueRange>& ranges) {
    return plan_fixed_point(graph, ranges, Ring::k32, Bits(20)).of(graph.inputs[0]).scale;
  };
  EXPECT_EQ(scale(small) - scale(large), 4);
}

}  // namespace
}  // namespace treville
