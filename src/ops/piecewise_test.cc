// Fits of smooth functions: the error, the ranges and the widths hold for every argument, in exact integers.
#include "ops/piecewise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace treville::ops {
namespace {

struct Case {
  const char* op;
  double low, high;
  double exponent = 1;
};

const Case kCases[] = {
    {"Sigmoid", -8, 8}, {"Sigmoid", -2.5, 7}, {"Tanh", -4, 4},        {"Tanh", 0.5, 3},       {"Exp", -12, 0},
    {"Exp", -1, 2},     {"Log", 0.25, 8},     {"Erf", -3, 3},         {"Softplus", -8, 8},    {"Softsign", 0, 5},
    {"Elu", -5, 0},     {"Selu", -5, 0},      {"Swish", -8, 8},       {"Gelu", -6, 6},        {"Mish", -7, 5},
    {"Sqrt", 0.5, 16},  {"Rsqrt", 0.5, 8},    {"Reciprocal", 0.5, 4}, {"Reciprocal", -4, -1}, {"Sin", -3, 3},
    {"Cos", -1, 3},     {"Pow", 1, 3, 2.5},   {"Pow", 0.5, 4, -0.75},
};

Node node_of(const Case& c) {
  Node node{c.op, c.op, c.op, {}, {}, {}};
  if (node.op == "Pow") node.attributes["exponent"] = c.exponent;
  return node;
}

// check walks over the arguments of the interval, all or every few, with both roundings.
void check(const PiecewiseProblem& problem, const Piecewise& p) {
  const auto first = static_cast<int64_t>(std::ceil(std::ldexp(problem.low, problem.x_scale)));
  const auto last = static_cast<int64_t>(std::floor(std::ldexp(problem.high, problem.x_scale)));
  const int64_t stride = std::max<int64_t>(1, (last - first) / 40000) | 1;
  const double largest = std::ldexp(1.0, problem.ring_bits - 1);
  double worst = 0;
  for (int64_t x = first; x <= last; x += stride) {
    const double exact = problem.function(std::ldexp(static_cast<double>(x), -problem.x_scale));
    for (bool up : {false, true}) {
      const auto y = static_cast<double>(evaluate(p, x, up));
      ASSERT_LT(std::abs(y), largest) << "it leaves the ring at " << x;
      ASSERT_LE(std::abs(std::ldexp(y, -p.scale)), p.bound * 1.001 + std::ldexp(1.0, -p.scale));
      worst = std::max(worst, std::abs(std::ldexp(y, -p.scale) - exact));
    }
  }
  EXPECT_LE(std::ldexp(worst, problem.y_scale), kLargestError);
  EXPECT_LE(std::ldexp(worst, problem.y_scale), p.error + 0.1) << "the error that was measured is not the error";
}

TEST(Piecewise, ErrorsStayBelowTwoUnitsInBothRings) {
  struct Setting {
    int ring_bits, x_scale, y_scale;
  };
  for (const Setting s : {Setting{32, 12, 10}, Setting{32, 14, 13}, Setting{64, 18, 16}, Setting{64, 24, 20}}) {
    for (const Case& c : kCases) {
      for (int64_t elements : {1, 100000}) {
        SCOPED_TRACE(std::string(c.op) + " " + std::to_string(s.ring_bits) + " " + std::to_string(s.y_scale));
        const PiecewiseProblem problem{
            real_function(node_of(c)), c.low, c.high, s.x_scale, s.y_scale, s.ring_bits, elements};
        const auto p = fit_piecewise(problem);
        ASSERT_TRUE(p.has_value());
        check(problem, *p);
      }
    }
  }
}

TEST(Piecewise, IsConstantOutsideOfTheInterval) {
  const PiecewiseProblem problem{real_function(Node{"Exp", "Exp", "Exp", {}, {}, {}}), -1, 1, 12, 12, 32, 1000};
  const auto p = fit_piecewise(problem);
  ASSERT_TRUE(p.has_value());
  // The last index that a table of n bits has, and two segments inside of it.
  const int64_t last = ((int64_t{1} << (p->n - 1)) - 1) << p->truncate;
  const int64_t beyond = (int64_t{1} << 12) + (int64_t{2} << p->truncate);
  for (int64_t x = beyond; x <= last; x += 7)
    EXPECT_NEAR(std::ldexp(static_cast<double>(evaluate(*p, x, false)), -p->scale), std::exp(1.0), 1e-3);
  EXPECT_NEAR(std::ldexp(static_cast<double>(evaluate(*p, -last, true)), -p->scale), std::exp(-1.0), 1e-3);
}

TEST(Piecewise, TakesATableAloneForFewArguments) {
  const PiecewiseProblem problem{real_function(Node{"Square", "Square", "Square", {}, {}, {}}), -3, 3, 0, 4, 32, 1};
  const auto p = fit_piecewise(problem);
  ASSERT_TRUE(p.has_value());
  EXPECT_EQ(p->degree, 0);
  EXPECT_EQ(p->truncate, 0);
  for (int64_t x = -3; x <= 3; ++x) EXPECT_EQ(evaluate(*p, x, true), x * x << p->scale);
}

TEST(Piecewise, CentersAnIntervalThatLiesOnOneSide) {
  const Node node{"Rsqrt", "Rsqrt", "Rsqrt", {}, {}, {}};
  const auto p = fit_piecewise({real_function(node), 1, 1.5, 12, 12, 32, 1000});
  ASSERT_TRUE(p.has_value());
  EXPECT_NEAR(static_cast<double>(p->center), 1.25 * 4096, 2);
}

TEST(Piecewise, PaysBitsForFewElementsAndRoundTripsForMany) {
  const Node node{"Tanh", "Tanh", "Tanh", {}, {}, {}};
  const auto few = fit_piecewise({real_function(node), -4, 4, 24, 20, 64, 1});
  const auto many = fit_piecewise({real_function(node), -4, 4, 24, 20, 64, 1000000});
  ASSERT_TRUE(few && many);
  EXPECT_LE(few->degree, many->degree);
  EXPECT_GE(few->n, many->n);
}

TEST(Piecewise, HasNoFitWhereTheIntervalIsTooWideOrThePoleTooNear) {
  const Node reciprocal{"Reciprocal", "Reciprocal", "Reciprocal", {}, {}, {}};
  EXPECT_FALSE(fit_piecewise({real_function(reciprocal), 1e-4, 100, 14, 14, 32, 1}).has_value());
  const Node exponential{"Exp", "Exp", "Exp", {}, {}, {}};
  EXPECT_FALSE(fit_piecewise({real_function(exponential), 0, 20, 14, 14, 32, 1}).has_value());
}

}  // namespace
}  // namespace treville::ops
