#include "cli/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "cli/local_federation.h"
#include "cli/results.h"
#include "compile/reference.h"
#include "run/check_ranges.h"

namespace treville::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Batches are runs of samples that one inference takes; those whose samples are all there already are left out.
std::vector<int64_t> batches_of(const std::vector<int64_t>& wanted, int64_t batch) {
  std::vector<int64_t> first;
  for (const int64_t sample : wanted) {
    const int64_t start = sample / batch * batch;
    if (first.empty() || first.back() != start) first.push_back(start);
  }
  return first;
}

// Evaluator gives the rows of a batch's values to those samples that were asked for.
class Evaluator {
 public:
  Evaluator(const CompiledModel& model, Dataset& data, const std::vector<int64_t>& wanted, const TakeAnswer& take)
      : model_(model), data_(data), wanted_(wanted), take_(take), batch_(model.input_shape[0]) {}

  void run_float() {
    for (const int64_t first : batches_of(wanted_, batch_)) {
      const auto start = Clock::now();
      const Constant output = float_run(model_.compiled.graph, {data_.batch(first)}).front();
      Answer answer;
      answer.seconds = seconds_since(start);
      give(first, to_floats(output).values, answer);
    }
  }

  void run_clear() {
    const Program& program = model_.compiled.program;
    RangeChecker checker(program, model_.compiled.constants);
    for (const int64_t first : batches_of(wanted_, batch_)) {
      std::map<std::string, RingTensor> inputs;
      inputs.emplace(model_.input_name, encode_input(data_.batch(first), program, data_.name(first)));
      const auto start = Clock::now();
      const CheckedRun run = checker.run(inputs);
      Answer answer;
      answer.seconds = seconds_since(start);
      for (const StepRange& step : run.ranges.steps) answer.violations += step.violations;
      give(first, decode_output(run.outputs.front()).final.values, answer);
    }
  }

  void run_secure(int64_t per_session) {
    const Program& program = model_.compiled.program;
    const Weights weights = [&] {
      Weights copy{random_model_id(), {}};
      for (const RingTensor& constant : model_.compiled.constants) copy.constants.push_back(constant.clone());
      return copy;
    }();
    const std::vector<int64_t> firsts = batches_of(wanted_, batch_);
    for (size_t at = 0; at < firsts.size(); at += static_cast<size_t>(per_session)) {
      const size_t count = std::min(firsts.size() - at, static_cast<size_t>(per_session));
      std::vector<FloatTensor> inputs;
      for (size_t i = 0; i < count; ++i) {
        inputs.push_back(data_.batch(firsts[at + i]));
        encode_input(inputs.back(), program, data_.name(firsts[at + i]));  // before anything starts
      }
      const LocalResult local = run_local_parties({&program, &weights, &inputs}, [](int64_t, int64_t, const auto&) {});
      const Json& inferences = local.parties[0].at("inferences");
      for (size_t i = 0; i < count; ++i) {
        Answer answer;
        answer.seconds = inferences.at(i).at("seconds");
        give(firsts[at + i], output_from_json(inferences.at(i).at("outputs").at(0)).final.values, answer);
      }
    }
  }

 private:
  void give(int64_t first, const std::vector<float>& values, const Answer& shared) {
    const auto row = static_cast<std::ptrdiff_t>(values.size()) / batch_;
    for (int64_t i = 0; i < batch_; ++i) {
      if (!std::binary_search(wanted_.begin(), wanted_.end(), first + i)) continue;
      Answer answer = shared;
      answer.seconds /= static_cast<double>(batch_);
      answer.scores.assign(values.begin() + i * row, values.begin() + (i + 1) * row);
      take_(first + i, std::move(answer));
    }
  }

  const CompiledModel& model_;
  Dataset& data_;
  const std::vector<int64_t>& wanted_;
  const TakeAnswer& take_;
  int64_t batch_;
};

}  // namespace

const char* name_of(Computing computing) {
  switch (computing) {
    case Computing::kFloat:
      return "float";
    case Computing::kClear:
      return "clear";
    case Computing::kSecure:
      return "secure";
  }
  return "";
}

void evaluate(const CompiledModel& model, Dataset& data, Computing computing, const std::vector<int64_t>& wanted,
              int64_t per_session, const TakeAnswer& take) {
  Evaluator evaluator(model, data, wanted, take);
  switch (computing) {
    case Computing::kFloat:
      return evaluator.run_float();
    case Computing::kClear:
      return evaluator.run_clear();
    case Computing::kSecure:
      return evaluator.run_secure(per_session);
  }
}

bool gives_label(const CompiledModel& model) {
  for (const Step& step : model.compiled.program.steps)
    if (std::holds_alternative<OutputStep>(step.body)) return step.type.is_index;
  return false;
}

std::vector<SampleScores> scores_of(const Answers& answers, int64_t count, bool are_labels, int64_t classes) {
  std::vector<SampleScores> rows;
  for (int64_t i = 0; i < count; ++i) {
    const SampleScores& scores = answers.at(i).scores;
    if (!are_labels) {
      rows.push_back(scores);
      continue;
    }
    SampleScores row(static_cast<size_t>(classes));
    row.at(static_cast<size_t>(scores.at(0))) = 1;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace treville::cli
