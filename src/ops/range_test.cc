// Range rules: random inputs inside their intervals never leave the predicted interval.
#include "ops/ops_test_util.h"

namespace treville::ops {
namespace {

struct Case {
  std::string op;
  std::vector<Shape> operands;
  Attributes attributes;
  std::vector<size_t> secrets = {0};
  float low = -2, high = 3;
};

const Case kCases[] = {
    {"Conv", {{1, 4, 4, 2}, {3, 3, 2, 3}, {3}}, {{"pads", Ints{1, 1, 1, 1}}}, {0}, 1, 3},
    {"Conv", {{1, 4, 4, 2}, {3, 3, 2, 3}, {3}}, {}},
    {"Conv", {{1, 3, 3, 2}, {2, 2, 1, 4}}, {{"groups", int64_t{2}}}},
    {"Conv", {{1, 3, 3, 2}, {2, 2, 2, 2}, {2}}, {{"pads", Ints{1, 0, 0, 0}}}, {0, 1, 2}},
    {"MatMul", {{2, 3}, {3, 4}}, {}},
    {"MatMul", {{2, 3}, {3, 4}}, {}, {1}},
    {"MatMul", {{2, 2, 3}, {2, 3, 4}}, {}},
    {"MatMul", {{3}, {3}}, {}, {0, 1}},
    {"Add", {{2, 3}, {3}}, {}},
    {"Sub", {{2, 3}, {2, 3}}, {}, {0, 1}},
    {"Sub", {{3}, {2, 3}}, {}, {1}},
    {"Mul", {{2, 3}, {3}}, {}},
    {"Mul", {{2, 3}, {2, 3}}, {}, {0, 1}},
    {"Div", {{2, 3}, {3}}, {}},
    {"Neg", {{5}}, {}},
    {"Sqrt", {{5}}, {}, {0}, 0.5, 4},
    {"Rsqrt", {{5}}, {}, {0}, 0.5, 4},
    {"BatchNorm", {{2, 3}, {3}, {3}, {3}, {3}}, {}, {0}, 0.5, 3},
    {"Relu", {{6}}, {}},
    {"Relu", {{6}}, {}, {0}, -3, -1},
    {"Clip", {{6}}, {{"min", -1.0}, {"max", 2.0}}},
    {"Clip", {{6}}, {{"max", -1.0}}},
    {"LeakyRelu", {{6}}, {{"alpha", 0.3}}},
    {"LeakyRelu", {{6}}, {{"alpha", -0.5}}},
    {"LeakyRelu", {{6}}, {{"alpha", 2.0}}, {0}, -3, -1},
    {"MaxPool", {{1, 3, 3, 1}}, {{"kernel", Ints{2, 2}}, {"pads", Ints{1, 1, 0, 0}}}, {0}, -3, -1},
    {"AveragePool", {{1, 3, 3, 1}}, {{"kernel", Ints{2, 2}}, {"pads", Ints{1, 1, 0, 0}}}, {0}, 1, 3},
    {"AveragePool",
     {{1, 3, 3, 1}},
     {{"kernel", Ints{2, 2}}, {"pads", Ints{1, 1, 0, 0}}, {"count_include_pad", int64_t{1}}},
     {0},
     1,
     3},
    {"ReduceMean", {{2, 3}}, {{"axes", Ints{1}}}},
    {"ReduceSum", {{2, 3}}, {{"axes", Ints{1}}}},
    {"Concat", {{2, 3}, {2, 1}}, {{"axis", int64_t{1}}}, {0, 1}},
    {"Pad", {{2}}, {{"pads", Ints{1, 0}}}, {0}, 1, 2},
    {"Pad", {{2}}, {{"pads", Ints{1, 0}}, {"value", -7.0}}},
    {"Transpose", {{2, 3}}, {}},
    {"Softmax", {{2, 3}}, {}},
    {"Max", {{2, 3}, {3}}, {}, {0, 1}},
    {"Min", {{2, 3}, {3}}, {}},
    {"PRelu", {{2, 3}, {3}}, {}},
    {"PRelu", {{2, 3}, {3}}, {}, {0, 1}, -3, -1},
    {"Where", {{3}, {2, 3}, {3}}, {}, {0, 1, 2}},
    {"Abs", {{6}}, {}},
    {"Abs", {{6}}, {}, {0}, -3, -1},
    {"ReduceMax", {{2, 3}}, {{"axes", Ints{1}}}},
    {"ReduceMin", {{2, 3}}, {{"axes", Ints{1}}}},
    {"ReduceL1", {{2, 3}}, {{"axes", Ints{1}}}},
    {"ReduceL2", {{2, 3}}, {{"axes", Ints{1}}}, {0}, 1, 2},
    {"ReduceSumSquare", {{2, 3}}, {{"axes", Ints{1}}}},
    {"InstanceNorm", {{1, 4, 3}, {3}, {3}}, {}},
    {"GroupNorm", {{1, 4, 4}, {4}, {4}}, {{"groups", int64_t{2}}}},
    {"LayerNorm", {{2, 3}, {3}, {3}}, {}},
    {"LRN", {{2, 3, 4}}, {{"size", int64_t{3}}, {"alpha", 2.0}}},
    {"L2Normalize", {{2, 3}}, {{"axes", Ints{1}}}},
};

Interval interval_of(const FloatTensor& x) {
  const auto [low, high] = std::minmax_element(x.values.begin(), x.values.end());
  return {*low, *high};
}

TEST(Range, IsNeverLeft) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 generator(seed);
    for (const Case& c : kCases) {
      SCOPED_TRACE(fmt::format("seed {} {}", seed, c.op));
      std::vector<Constant> operands;
      std::vector<Interval> intervals;
      for (size_t i = 0; i < c.operands.size(); ++i) {
        operands.push_back(random_tensor(c.operands[i], generator, c.low, c.high));
        const bool is_secret = std::count(c.secrets.begin(), c.secrets.end(), i) > 0;
        intervals.push_back(is_secret ? Interval{c.low, c.high} : interval_of(std::get<FloatTensor>(operands[i])));
      }
      OneNode node(c.op, operands, c.attributes, c.secrets);
      const FloatTensor y = node.floats();
      const Interval range = node.def().range({node.graph, node.node(), intervals});
      const double slack = 1e-5 * std::max(1.0, range.magnitude());  // of single precision
      for (float value : y.values) {
        ASSERT_GE(value, range.low - slack);
        ASSERT_LE(value, range.high + slack);
      }
    }
  }
}

TEST(Range, OfALinearLayerIsReached) {
  // 2a - 3b + 1 over [-1, 2]: from -2 - 6 + 1 to 4 + 3 + 1.
  OneNode node("Conv", {FloatTensor(Shape{1, 1, 1, 2}), tensor({1, 1, 2, 1}, {2, -3}), tensor({1}, {1})}, {}, {0});
  node.infer();
  const Interval range = node.def().range({node.graph, node.node(), {{-1, 2}, {}, {}}});
  EXPECT_EQ(range.low, -7);
  EXPECT_EQ(range.high, 8);
}

TEST(Range, RefusesADivisorThatMayBeZero) {
  OneNode node("Div", {FloatTensor(Shape{2}), FloatTensor(Shape{2})}, {}, {0, 1});
  node.infer();
  EXPECT_THROW(node.def().range({node.graph, node.node(), {{0, 1}, {-1, 1}}}), UserError);
}

}  // namespace
}  // namespace treville::ops
