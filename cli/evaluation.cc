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
      : model_(model), data_(data), wanted_(wanted), take_(take), batch_(data.batch()) {}

  void run_float() {
    for (const int64_t first : batches_of(wanted_, batch_)) {
      const Inference inference = data_.inference(first);
      const auto start = Clock::now();
      const std::vector<Constant> outputs = float_run(model_.compiled.graph, inference.values);
      Answer answer;
      answer.seconds = seconds_since(start);
      std::vector<FloatTensor> values;
      for (const Constant& output : outputs) values.push_back(to_floats(output));
      give(first, values, answer);
    }
  }

  void run_clear() {
    const Program& program = model_.compiled.program;
    RangeChecker checker(program, model_.compiled.constants);
    for (const int64_t first : batches_of(wanted_, batch_)) {
      const auto inputs = encode_inputs(data_.inference(first), model_.inputs, program);
      const auto start = Clock::now();
      const CheckedRun run = checker.run(inputs);
      Answer answer;
      answer.seconds = seconds_since(start);
      for (const StepRange& step : run.ranges.steps) answer.violations += step.violations;
      give(first, finals(decode_outputs(run.outputs)), answer);
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
      std::vector<Inference> inputs;
      for (size_t i = 0; i < count; ++i) {
        inputs.push_back(data_.inference(firsts[at + i]));
        encode_inputs(inputs.back(), model_.inputs, program);  // before anything starts
      }
      const LocalResult local = run_local_parties({&program, &weights, &inputs}, [](int64_t, int64_t, const auto&) {});
      const Json& inferences = local.parties[0].at("inferences");
      for (size_t i = 0; i < count; ++i) {
        Answer answer;
        answer.seconds = inferences.at(i).at("seconds");
        std::vector<NamedOutput> outputs;
        for (const Json& output : inferences.at(i).at("outputs")) outputs.push_back(output_from_json(output));
        give(firsts[at + i], finals(std::move(outputs)), answer);
      }
    }
  }

 private:
  static std::vector<FloatTensor> finals(std::vector<NamedOutput> outputs) {
    std::vector<FloatTensor> values;
    for (NamedOutput& output : outputs) values.push_back(std::move(output.final));
    return values;
  }

  void give(int64_t first, const std::vector<FloatTensor>& outputs, const Answer& shared) {
    for (size_t k = 0; k < outputs.size(); ++k) {
      const Shape& shape = outputs[k].shape;
      if (batch_ > 1 && shape.elements() % batch_ != 0)
        throw UserError("output \"{}\" {} has no values of its own for each of {} samples; evaluate with --batch 1",
                        output_names(model_.compiled.program)[k], to_string(shape), batch_);
    }
    for (int64_t i = 0; i < batch_; ++i) {
      if (!std::binary_search(wanted_.begin(), wanted_.end(), first + i)) continue;
      Answer answer = shared;
      answer.seconds /= static_cast<double>(batch_);
      for (const FloatTensor& output : outputs) {
        const auto row = static_cast<std::ptrdiff_t>(output.values.size()) / batch_;
        answer.outputs.emplace_back(output.values.begin() + i * row, output.values.begin() + (i + 1) * row);
      }
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

bool gives_label(const CompiledModel& model, size_t output) {
  size_t number = 0;
  for (const Step& step : model.compiled.program.steps) {
    const auto* reveals = std::get_if<OutputStep>(&step.body);
    if (reveals == nullptr || reveals->policy != OutputPolicy::kReveal) continue;
    if (number++ == output) return step.type.is_index;
  }
  return false;
}

std::vector<int64_t> class_counts(const CompiledModel& model, const std::vector<const Answers*>& answers,
                                  size_t metric_output, const std::vector<Truth>& truths) {
  std::vector<int64_t> counts(output_names(model.compiled.program).size());
  for (size_t k = 0; k < counts.size(); ++k) {
    if (!gives_label(model, k)) continue;
    int64_t largest = 0;
    for (const Answers* some : answers)
      for (const auto& [sample, answer] : *some)
        largest = std::max(largest, static_cast<int64_t>(answer.outputs.at(k).at(0)));
    if (k == metric_output)
      for (const Truth& truth : truths) largest = std::max(largest, truth.label.value_or(0));
    counts[k] = largest + 1;
  }
  return counts;
}

OutputScores scores_of(const Answers& answers, int64_t count, const std::vector<int64_t>& classes) {
  OutputScores scores(classes.size());
  for (int64_t i = 0; i < count; ++i) {
    const std::vector<SampleScores>& outputs = answers.at(i).outputs;
    for (size_t k = 0; k < classes.size(); ++k) {
      if (classes[k] == 0) {
        scores[k].push_back(outputs.at(k));
        continue;
      }
      SampleScores row(static_cast<size_t>(classes[k]));
      row.at(static_cast<size_t>(outputs.at(k).at(0))) = 1;
      scores[k].push_back(std::move(row));
    }
  }
  return scores;
}

Metrics measure_outputs(const OutputScores& scores, size_t metric_output, const std::vector<Truth>& truths,
                        const OutputScores* reference) {
  Metrics metrics = measure(scores.at(metric_output), truths, nullptr);
  if (reference == nullptr) return metrics;
  metrics.agreement.emplace();
  double sum = 0, values = 0;
  for (size_t k = 0; k < scores.size(); ++k) {
    const Metrics one = measure(scores[k], {}, &reference->at(k));
    const double count = static_cast<double>(scores[k].size() * scores[k].front().size());
    metrics.largest_error = std::max(metrics.largest_error, one.largest_error);
    sum += one.mean_error * count;
    values += count;
  }
  metrics.mean_error = values > 0 ? sum / values : 0;
  for (size_t i = 0; i < scores.front().size(); ++i) {
    bool agrees = true;
    for (size_t k = 0; k < scores.size(); ++k) agrees = agrees && same_decision(scores[k][i], reference->at(k)[i]);
    metrics.agreement->count(agrees);
  }
  return metrics;
}

}  // namespace treville::cli
