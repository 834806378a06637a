#include "accuracy/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace treville {
namespace {

constexpr int64_t kLargestConfusion = 64;
constexpr int64_t kTopN = 5;

// decision is the class a row of scores stands for.
int64_t decision(std::span<const float> scores, float threshold) {
  return scores.size() == 1 ? static_cast<int64_t>(scores[0] > threshold) : best_class(scores);
}

int64_t classes_of(std::span<const float> scores) {
  return scores.size() == 1 ? 2 : static_cast<int64_t>(scores.size());
}

std::optional<double> mean_of(const std::vector<std::optional<double>>& values) {
  double sum = 0;
  int64_t count = 0;
  for (const auto& value : values) {
    if (!value) continue;
    sum += *value;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

// column_auroc takes one score of every sample, and which samples are positive.
template <class Positive>
std::optional<double> column_auroc(const std::vector<SampleScores>& scores, size_t column, Positive is_positive) {
  std::vector<float> values;
  std::vector<uint8_t> positive;
  for (size_t i = 0; i < scores.size(); ++i) {
    values.push_back(scores[i][column]);
    positive.push_back(is_positive(i) ? 1 : 0);
  }
  return auroc(values, positive);
}

void measure_labels(Metrics& metrics, const std::vector<SampleScores>& scores, const std::vector<Truth>& truths,
                    float threshold) {
  const int64_t classes = classes_of(scores.front());
  metrics.top1.emplace();
  if (classes > kTopN) metrics.top5.emplace();
  if (classes <= kLargestConfusion) metrics.confusion.emplace(classes);
  for (size_t i = 0; i < scores.size(); ++i) {
    const int64_t label = *truths[i].label;
    if (label < 0 || label >= classes)
      throw UserError("the label of sample {} is {}; the model has classes 0 to {}", i, label, classes - 1);
    const int64_t predicted = decision(scores[i], threshold);
    metrics.top1->count(predicted == label);
    if (metrics.top5) metrics.top5->count(is_among_best(scores[i], label, kTopN));
    if (metrics.confusion) metrics.confusion->count(label, predicted);
  }
  std::vector<std::optional<double>> curves;
  for (size_t column = 0; column < scores.front().size(); ++column) {
    const int64_t of = scores.front().size() == 1 ? 1 : static_cast<int64_t>(column);
    curves.push_back(column_auroc(scores, column, [&](size_t i) { return *truths[i].label == of; }));
  }
  metrics.auroc = mean_of(curves);
}

void measure_answers(Metrics& metrics, const std::vector<SampleScores>& scores, const std::vector<Truth>& truths,
                     float threshold) {
  metrics.top1.emplace();
  std::vector<std::optional<double>> curves;
  for (size_t column = 0; column < scores.front().size(); ++column) {
    for (size_t i = 0; i < scores.size(); ++i)
      metrics.top1->count((scores[i][column] > threshold) == (truths[i].answers[column] != 0));
    curves.push_back(column_auroc(scores, column, [&](size_t i) { return truths[i].answers[column] != 0; }));
  }
  metrics.auroc = mean_of(curves);
}

void measure_agreement(Metrics& metrics, const std::vector<SampleScores>& scores,
                       const std::vector<SampleScores>& reference, float threshold) {
  CHECK(reference.size() == scores.size(), "a reference of {} samples for {}", reference.size(), scores.size());
  metrics.agreement.emplace();
  double sum = 0;
  int64_t count = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    CHECK(scores[i].size() == reference[i].size(), "sample {} has another number of scores", i);
    metrics.agreement->count(same_decision(scores[i], reference[i], threshold));
    for (size_t j = 0; j < scores[i].size(); ++j) {
      const double error = std::abs(static_cast<double>(scores[i][j]) - static_cast<double>(reference[i][j]));
      metrics.largest_error = std::max(metrics.largest_error, error);
      sum += error;
      ++count;
    }
  }
  metrics.mean_error = count == 0 ? 0 : sum / static_cast<double>(count);
}

void check_fit(const std::vector<SampleScores>& scores, const std::vector<Truth>& truths) {
  if (truths.empty()) return;
  if (truths.size() != scores.size())
    throw UserError("there are {} labels for {} samples; give one for each", truths.size(), scores.size());
  for (size_t i = 0; i < truths.size(); ++i) {
    if (truths[i].label.has_value() != truths[0].label.has_value())
      throw UserError("sample {} has another kind of label than sample 0", i);
    if (!truths[i].label && truths[i].answers.size() != scores[i].size())
      throw UserError("sample {} has {} answers, the model gives {} scores", i, truths[i].answers.size(),
                      scores[i].size());
  }
}

}  // namespace

Span95 wilson(const Proportion& proportion) {
  if (proportion.of == 0) return {};
  constexpr double z = 1.959963984540054;  // of a normal distribution, 2.5 % on either side
  const double n = static_cast<double>(proportion.of), p = proportion.value();
  const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

int64_t best_class(std::span<const float> scores) {
  CHECK(!scores.empty(), "no scores");
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

bool is_among_best(std::span<const float> scores, int64_t label, int64_t n) {
  const float own = scores[static_cast<size_t>(label)];
  int64_t better = 0;
  for (size_t i = 0; i < scores.size(); ++i)
    better += scores[i] > own || (scores[i] == own && static_cast<int64_t>(i) < label) ? 1 : 0;
  return better < n;
}

bool same_decision(std::span<const float> a, std::span<const float> b, float threshold) {
  return decision(a, threshold) == decision(b, threshold);
}

std::optional<double> auroc(std::span<const float> scores, std::span<const uint8_t> positive) {
  CHECK(scores.size() == positive.size(), "{} scores, {} flags", scores.size(), positive.size());
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  double rank_sum = 0;  // of the positive samples; equal scores share their mean rank
  int64_t positives = 0;
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    while (last < order.size() && scores[order[last]] == scores[order[first]]) ++last;
    const double mean_rank = static_cast<double>(first + last + 1) / 2;
    for (size_t i = first; i < last; ++i) {
      if (positive[order[i]] == 0) continue;
      rank_sum += mean_rank;
      ++positives;
    }
    first = last;
  }
  const auto negatives = static_cast<int64_t>(scores.size()) - positives;
  if (positives == 0 || negatives == 0) return std::nullopt;
  const double p = static_cast<double>(positives);
  return (rank_sum - p * (p + 1) / 2) / (p * static_cast<double>(negatives));
}

void Confusion::count(int64_t truth, int64_t predicted) {
  CHECK(truth >= 0 && truth < classes_ && predicted >= 0 && predicted < classes_, "no such class");
  ++cells_[static_cast<size_t>(truth * classes_ + predicted)];
}

Metrics measure(const std::vector<SampleScores>& scores, const std::vector<Truth>& truths,
                const std::vector<SampleScores>* reference, float threshold) {
  check_fit(scores, truths);
  Metrics metrics;
  metrics.samples = static_cast<int64_t>(scores.size());
  if (scores.empty()) return metrics;
  if (!truths.empty() && truths.front().label) measure_labels(metrics, scores, truths, threshold);
  if (!truths.empty() && !truths.front().label) measure_answers(metrics, scores, truths, threshold);
  if (reference != nullptr) measure_agreement(metrics, scores, *reference, threshold);
  return metrics;
}

}  // namespace treville
