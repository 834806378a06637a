// Ways of computing one compiled model on many samples: in float, in cleartext fixed point, and secure between three
// processes; shared by `eval` and `tune`.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "accuracy/metrics.h"
#include "cli/command.h"
#include "cli/dataset.h"
#include "cli/model.h"

namespace treville::cli {

enum class Computing : uint8_t { kFloat, kClear, kSecure };
const char* name_of(Computing computing);  // "float", "clear", "secure"

// Answer is what one way of computing gave for one sample.
struct Answer {
  // By output: after a final softmax; of an output that is a label, that label alone.
  std::vector<SampleScores> outputs;
  double seconds = 0;      // its share of its batch
  int64_t violations = 0;  // values outside the compiled ranges, in clear
};

// Answers by sample.
using Answers = std::map<int64_t, Answer>;

// TakeAnswer hears of each answer as soon as it is there.
using TakeAnswer = std::function<void(int64_t sample, Answer answer)>;

// evaluate computes the samples in `wanted` (sample numbers in rising order). per_session: how many batches one session
// of three processes gets.
void evaluate(const CompiledModel& model, Dataset& data, Computing computing, const std::vector<int64_t>& wanted,
              int64_t per_session, const TakeAnswer& take);

// gives_label tells whether an output of the model is an index and not scores.
bool gives_label(const CompiledModel& model, size_t output);

// class_counts has for every output that is a label one more than the largest class that any answer, or a truth of the
// metric output, names; 0 for scores.
std::vector<int64_t> class_counts(const CompiledModel& model, const std::vector<const Answers*>& answers,
                                  size_t metric_output, const std::vector<Truth>& truths);

// OutputScores are the scores of all samples, by output of the model.
using OutputScores = std::vector<std::vector<SampleScores>>;

// scores_of lists the scores of samples 0 to count - 1. A label of output i becomes a row of classes[i] zeros with a
// one at its place (class_counts).
OutputScores scores_of(const Answers& answers, int64_t count, const std::vector<int64_t>& classes);

// measure_outputs gives the metrics of one output against the truths, and agreement and error over all of them: a
// sample agrees where every output decides as the reference's. Without a reference there is no agreement.
Metrics measure_outputs(const OutputScores& scores, size_t metric_output, const std::vector<Truth>& truths,
                        const OutputScores* reference);

}  // namespace treville::cli
