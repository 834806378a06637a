#include "mpc/porthos/borrow.h"

#include <gtest/gtest.h>

#include <random>

#include "kernels/bit_planes.h"

namespace treville::porthos {
namespace {

void randomise(BitPlanes& planes, std::mt19937_64& random) {
  for (uint64_t& word : planes.storage().as<uint64_t>()) word = random();
}

BitPlanes xored(const BitPlanes& a, const BitPlanes& b) {
  BitPlanes result = BitPlanes::adopt(a.elements(), a.planes(), a.storage().clone());
  xor_words(result.storage().as<uint64_t>(), b.storage().as<uint64_t>());
  return result;
}

// borrow runs all stages of a plan between two simulated parties with random masks and returns [x < r].
std::vector<uint64_t> borrow(const BorrowPlan& plan, const std::vector<uint64_t>& x, const std::vector<uint64_t>& r,
                             std::mt19937_64& random) {
  const auto n = static_cast<int64_t>(x.size());
  BitPlanes x_planes(n, plan.bits(), false), r_planes(n, plan.bits(), false);
  to_planes<uint64_t>(x, 0, plan.bits(), x_planes);
  to_planes<uint64_t>(r, 0, plan.bits(), r_planes);
  BitPlanes mask_e(n, plan.node_masks() + 1, false), mask_h(n, plan.node_masks() + 1, false);
  randomise(mask_e, random);
  randomise(mask_h, random);
  const BitPlanes masks = xored(mask_e, mask_h);
  BitPlanes dealt_e(n, plan.dealt(), false);
  randomise(dealt_e, random);
  BitPlanes dealt_h = BitPlanes::adopt(n, plan.dealt(), dealt_e.storage().clone());
  deal_borrow(plan, {&r_planes}, {&masks}, {&dealt_h});

  BitPlanes opened(n, plan.stage_at(plan.stages()), false), share_e(n, opened.planes(), false),
      share_h(n, opened.planes(), false);
  for (int stage = 0; stage < plan.stages(); ++stage) {
    const int at = plan.stage_at(stage);
    for (const bool evaluator : {true, false}) {
      BitPlanes& share = evaluator ? share_e : share_h;
      const BitPlanes& dealt = evaluator ? dealt_e : dealt_h;
      const BitPlanes& mask = evaluator ? mask_e : mask_h;
      if (stage == 0) {
        evaluate_chunks(plan, {&x_planes}, {&dealt}, evaluator, {&mask}, {&share, at});
      } else {
        const int before = plan.stage_at(stage - 1);
        evaluate_level(plan, stage - 1, {&opened, before}, {&mask, before}, {&dealt}, evaluator, {&mask, at},
                       {&share, at});
      }
    }
    for (int j = at; j < at + plan.stage_planes(stage); ++j) {
      xor_words(opened.plane(j), opened.plane(j));
      xor_words(opened.plane(j), share_e.plane(j));
      xor_words(opened.plane(j), share_h.plane(j));
    }
  }
  const int last = opened.planes() - 1;
  xor_words(opened.plane(last), masks.plane(last));
  std::vector<uint64_t> result(x.size());
  from_planes<uint64_t>(opened, last, 1, result);
  return result;
}

void expect_borrow(const BorrowPlan& plan, const std::vector<uint64_t>& x, const std::vector<uint64_t>& r,
                   std::mt19937_64& random) {
  const std::vector<uint64_t> result = borrow(plan, x, r, random);
  for (size_t e = 0; e < x.size(); ++e) {
    ASSERT_EQ(result[e], x[e] < r[e] ? 1u : 0u) << plan.bits() << " bits, x " << x[e] << ", r " << r[e];
  }
}

TEST(PorthosBorrow, IsExactOnAllPairsOfUpToSevenBits) {
  std::mt19937_64 random(1);
  for (int bits = 1; bits <= 7; ++bits) {
    std::vector<uint64_t> x, r;
    for (uint64_t a = 0; a < uint64_t{1} << bits; ++a) {
      for (uint64_t b = 0; b < uint64_t{1} << bits; ++b) {
        x.push_back(a);
        r.push_back(b);
      }
    }
    expect_borrow(BorrowPlan::make(bits), x, r, random);
  }
}

TEST(PorthosBorrow, IsExactOnAllPairsWithTwoAndThreeLevels) {
  std::mt19937_64 random(2);
  std::vector<uint64_t> x, r;
  for (uint64_t a = 0; a < 256; ++a) {
    for (uint64_t b = 0; b < 256; ++b) {
      x.push_back(a);
      r.push_back(b);
    }
  }
  expect_borrow(BorrowPlan({2, 2, 2, 2}, {{2, 2}, {2}}), x, r, random);
  expect_borrow(BorrowPlan({1, 1, 1, 1, 1, 1, 1, 1}, {{3, 2, 3}, {3}}), x, r, random);
  expect_borrow(BorrowPlan({1, 1, 1, 1, 1, 1, 1, 1}, {{2, 2, 2, 2}, {2, 2}, {2}}), x, r, random);
  expect_borrow(BorrowPlan({3, 1, 4}, {{1, 2}, {2}}), x, r, random);
  expect_borrow(BorrowPlan({5, 3}, {{2}}), x, r, random);
  expect_borrow(BorrowPlan({2, 1, 1, 1, 2, 1}, {{6}}), x, r, random);
}

TEST(PorthosBorrow, IsExactAroundChunkBordersAtEveryWidth) {
  const uint64_t seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int bits = 1; bits <= 62; ++bits) {
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    std::vector<uint64_t> edges = {0, 1, mask, mask - 1, mask / 2, mask / 2 + 1};
    for (int border = 2; border < bits; ++border) {
      for (const uint64_t near : {(uint64_t{1} << border) - 1, uint64_t{1} << border, (uint64_t{1} << border) + 1}) {
        edges.push_back(near & mask);
      }
    }
    std::vector<uint64_t> x, r;
    for (const uint64_t edge : edges) {
      const uint64_t other = random() & mask;
      for (const uint64_t b : {edge, (edge + 1) & mask, (edge - 1) & mask, other}) {
        x.push_back(edge);
        r.push_back(b);
        x.push_back(b);
        r.push_back(edge);
      }
    }
    SCOPED_TRACE("seed " + std::to_string(seed));
    expect_borrow(BorrowPlan::make(bits), x, r, random);
  }
}

TEST(PorthosBorrow, PlansCostWhatTheSpecificationSays) {
  const BorrowPlan usual = BorrowPlan::make(19);
  EXPECT_EQ(usual.chunks(), (std::vector<int>{4, 4, 4, 4, 3}));
  EXPECT_EQ(usual.dealt(), 93);
  EXPECT_EQ(usual.stage_at(usual.stages()), 10);
  const BorrowPlan wide = BorrowPlan::make(39);
  EXPECT_EQ(wide.chunks(), std::vector<int>(13, 3));
  EXPECT_EQ(wide.level(0), (std::vector<int>{4, 3, 3, 3}));
  EXPECT_EQ(wide.level(1), (std::vector<int>{4}));
  EXPECT_EQ(wide.dealt(), 134);
  for (int bits = 1; bits <= 62; ++bits) {
    EXPECT_LE(BorrowPlan::make(bits).levels(), 2) << bits << " bits take more than two round trips";
    EXPECT_EQ(BorrowPlan::make(bits).bits(), bits);
  }
}

}  // namespace
}  // namespace treville::porthos
