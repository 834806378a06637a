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
  SampleScores scores;     // after a final softmax; of a model that gives a label, that label alone
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

// gives_label tells whether the model's output is an index and not scores.
bool gives_label(const CompiledModel& model);

// scores_of lists the scores of samples 0 to count - 1. A label becomes a row of `classes` zeros with a one at its
// place.
std::vector<SampleScores> scores_of(const Answers& answers, int64_t count, bool are_labels, int64_t classes);

}  // namespace treville::cli
