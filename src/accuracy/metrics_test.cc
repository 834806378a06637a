#include "accuracy/metrics.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"

namespace treville {
namespace {

TEST(Wilson, GivesThePublishedIntervals) {
  // Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
  const auto near = [](const Proportion& p, double low, double high) {
    const Span95 span = wilson(p);
    EXPECT_NEAR(span.low, low, 5e-5);
    EXPECT_NEAR(span.high, high, 5e-5);
  };
  near({81, 263}, 0.2553, 0.3662);
  near({15, 148}, 0.0624, 0.1605);
  near({0, 20}, 0, 0.1611);
  near({1, 29}, 0.0061, 0.1718);
}

TEST(Wilson, IsEverythingWithoutObservations) {
  EXPECT_EQ(wilson({}).low, 0);
  EXPECT_EQ(wilson({}).high, 1);
}

TEST(Ranks, TiesGoToTheLowerIndex) {
  const std::vector<float> scores = {1, 3, 3, 2};
  EXPECT_EQ(best_class(scores), 1);
  EXPECT_TRUE(is_among_best(scores, 1, 1));
  EXPECT_FALSE(is_among_best(scores, 2, 1));
  EXPECT_TRUE(is_among_best(scores, 2, 2));
  EXPECT_FALSE(is_among_best(scores, 0, 3));
}

// pairs counts the definition: over all pairs of a positive and a negative sample.
double pairs(const std::vector<float>& scores, const std::vector<uint8_t>& positive) {
  double won = 0, all = 0;
  for (size_t i = 0; i < scores.size(); ++i)
    for (size_t j = 0; j < scores.size(); ++j) {
      if (positive[i] == 0 || positive[j] != 0) continue;
      ++all;
      won += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
    }
  return won / all;
}

TEST(Auroc, EqualsTheCountOfPairsWithTies) {
  const uint32_t seed = 5;
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> scores;
    std::vector<uint8_t> positive = {0, 1};
    for (int i = 0; i < 40; ++i) scores.push_back(static_cast<float>(random() % 12));
    while (positive.size() < scores.size()) positive.push_back(random() % 3 == 0);
    ASSERT_NEAR(*auroc(scores, positive), pairs(scores, positive), 1e-12) << "seed " << seed << " round " << round;
  }
}

TEST(Auroc, NeedsBothKinds) {
  EXPECT_FALSE(auroc(std::vector<float>{1, 2}, std::vector<uint8_t>{1, 1}));
  EXPECT_FALSE(auroc(std::vector<float>{}, std::vector<uint8_t>{}));
}

Truth is(int64_t label) { return {label, {}}; }

TEST(Measure, CountsClasses) {
  const std::vector<SampleScores> scores = {{.1F, .7F, .2F}, {.5F, .3F, .2F}, {.2F, .3F, .5F}, {.6F, .1F, .3F}};
  const std::vector<SampleScores> reference = {{.1F, .7F, .2F}, {.5F, .3F, .2F}, {.2F, .6F, .2F}, {.6F, .1F, .3F}};
  const Metrics m = measure(scores, {is(1), is(0), is(2), is(2)}, &reference);
  EXPECT_EQ(*m.top1, (Proportion{3, 4}));
  EXPECT_FALSE(m.top5) << "there are only three classes";
  EXPECT_EQ(m.confusion->at(2, 0), 1);
  EXPECT_EQ(m.confusion->at(2, 2), 1);
  EXPECT_EQ(*m.agreement, (Proportion{3, 4}));
  EXPECT_NEAR(m.largest_error, 0.3, 1e-6);
  EXPECT_NEAR(m.mean_error, 0.6 / 12, 1e-6);
  // Class 0: .5 against .1, .2, .6; class 1: .7 against .3, .3, .1; class 2: .5 and .3 against .2, .2.
  EXPECT_NEAR(*m.auroc, (2.0 / 3 + 1 + 1) / 3, 1e-12);
}

TEST(Measure, CountsTheBestFiveOfMany) {
  std::vector<SampleScores> scores(1);
  for (int i = 0; i < 10; ++i) scores[0].push_back(static_cast<float>(i));
  EXPECT_EQ(*measure(scores, {is(5)}, nullptr).top5, (Proportion{1, 1}));
  EXPECT_EQ(*measure(scores, {is(4)}, nullptr).top5, (Proportion{0, 1}));
}

TEST(Measure, TakesASingleScoreForClassOne) {
  const Metrics m = measure({{.9F}, {.4F}, {.6F}}, {is(1), is(0), is(0)}, nullptr);
  EXPECT_EQ(*m.top1, (Proportion{2, 3}));
  EXPECT_EQ(*m.auroc, 1);
  EXPECT_EQ(m.confusion->at(0, 1), 1);
}

TEST(Measure, AveragesOverIndependentQuestions) {
  const std::vector<Truth> truths = {{{}, {1, 0}}, {{}, {0, 0}}, {{}, {0, 1}}};
  const Metrics m = measure({{.9F, .1F}, {.2F, .8F}, {.3F, .7F}}, truths, nullptr);
  EXPECT_EQ(*m.top1, (Proportion{5, 6}));
  EXPECT_NEAR(*m.auroc, (1 + 0.5) / 2, 1e-12);
}

TEST(Measure, RefusesLabelsThatDoNotFit) {
  EXPECT_THROW(measure({{.1F, .9F}}, {is(2)}, nullptr), UserError);
  EXPECT_THROW(measure({{.1F, .9F}}, {is(1), is(1)}, nullptr), UserError);
  EXPECT_THROW(measure({{.1F, .9F}}, {{{}, {1, 0, 1}}}, nullptr), UserError);
  EXPECT_THROW(measure({{.1F, .9F}, {.1F, .9F}}, {is(1), {{}, {1, 0}}}, nullptr), UserError);
}

TEST(Measure, KnowsNothingOfNoSamples) {
  const Metrics m = measure({}, {}, nullptr);
  EXPECT_EQ(m.samples, 0);
  EXPECT_FALSE(m.top1 || m.auroc || m.agreement);
}

}  // namespace
}  // namespace treville
