// How good predictions are: accuracy with its confidence interval, area under the ROC curve, confusion, and agreement
// between two ways of computing one model. Pure functions on numbers; nothing here knows a model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace treville {

// Proportion is `hits` out of `of`.
struct Proportion {
  int64_t hits = 0;
  int64_t of = 0;
  void count(bool hit) {
    hits += hit ? 1 : 0;
    ++of;
  }
  double value() const { return of == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(of); }
  bool operator==(const Proportion&) const = default;
};

// Span95 is the 95 % confidence interval of a proportion after Wilson (1927), which holds near 0 and 1 too; [0, 1]
// without observations.
struct Span95 {
  double low = 0, high = 1;
};
Span95 wilson(const Proportion& proportion);

// best_class is the index of the largest score; ties give the lower index. Throws BugError for no scores.
int64_t best_class(std::span<const float> scores);
// is_among_best tells whether fewer than n scores are larger than that of `label` (ties count for it only where the
// index is lower, as best_class has it).
bool is_among_best(std::span<const float> scores, int64_t label, int64_t n);

// same_decision tells whether two rows of scores stand for the same class: the best one, or of a single score whether
// it is above the threshold (0.5 for probabilities).
bool same_decision(std::span<const float> a, std::span<const float> b, float threshold = 0.5F);

// auroc is the probability that a positive sample scores higher than a negative one, ties counting half (Mann and
// Whitney); nothing where one of the two kinds is missing. positive has a flag for each score.
std::optional<double> auroc(std::span<const float> scores, std::span<const uint8_t> positive);

// Confusion counts predictions by true class (row) and predicted class (column).
class Confusion {
 public:
  explicit Confusion(int64_t classes) : classes_(classes), cells_(static_cast<size_t>(classes * classes)) {}
  void count(int64_t truth, int64_t predicted);
  int64_t classes() const { return classes_; }
  int64_t at(int64_t truth, int64_t predicted) const {
    return cells_[static_cast<size_t>(truth * classes_ + predicted)];
  }

 private:
  int64_t classes_;
  std::vector<int64_t> cells_;
};

// Truth is what a sample really is: its class, or for several independent questions a 0/1 answer to each.
struct Truth {
  std::optional<int64_t> label;
  std::vector<uint8_t> answers;
};

// SampleScores is one sample through one way of computing: a row of scores (after a final softmax, where there is one).
using SampleScores = std::vector<float>;

// Metrics of one way of computing on all samples; `reference` is another way (the float model), for agreement.
//   several scores, one label   top1, top5 (for more than 5 classes), confusion (up to 64 classes), auroc averaged
//                               over the classes, each against the rest
//   one score, one label        the score is the probability (or the logit, see threshold) of class 1
//   answers                     auroc averaged over the questions; top1 counts single answers
struct Metrics {
  int64_t samples = 0;
  std::optional<Proportion> top1, top5;
  std::optional<double> auroc;
  std::optional<Confusion> confusion;
  std::optional<Proportion> agreement;  // same decision as the reference
  double largest_error = 0;             // |score - reference score|
  double mean_error = 0;
};
// threshold: above it a single score means class 1 (0.5 for probabilities).
// Throws UserError where truths do not fit the scores: it names the sample, counted from 0.
Metrics measure(const std::vector<SampleScores>& scores, const std::vector<Truth>& truths,
                const std::vector<SampleScores>* reference, float threshold = 0.5F);

}  // namespace treville
