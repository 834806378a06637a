// treville tune: compiles a model with many plans (ring, widest opened value, margin), evaluates each on the samples in
// cleartext fixed point, and picks the cheapest one that stays within a given loss of accuracy.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>

#include "accuracy/plot.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/dataset.h"
#include "cli/evaluation.h"
#include "cli/model.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "cost/cost.h"

namespace treville::cli {
namespace {

struct Options {
  ModelOptions model;
  LabelledData labelled;
  std::string plot;
  std::string bits = "14:22", margins = "2";
  double loss = 0.5;  // percentage points
  bool json = false;
};

// Plan is one way of compiling, and what came of it.
struct Plan {
  int ring = 32, bits = 20, margin = 2;
  std::string refused{};  // why it does not compile; empty when it does
  int input_scale = 0;
  double scale = 0;  // mean over the tensors of the program
  int64_t offline = 0, online = 0;
  int rounds = 0;
  Metrics metrics{};
  int64_t violations = 0;

  int64_t bytes() const { return offline + online; }
  std::string flags() const { return fmt::format("--ring {} --bits {} --margin {}", ring, bits, margin); }
};

// parse_range reads "14:22" or "2,3,4".
std::vector<int> parse_list(const std::string& option, const std::string& text, int low, int high) {
  const auto number = [&](std::string_view part) {
    int value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || value < low || value > high)
      throw UserError("{}: '{}' is no range such as {}:{} and no list of numbers from {} to {}", option, text, low,
                      high, low, high);
    return value;
  };
  std::vector<int> values;
  const size_t colon = text.find(':');
  if (colon != std::string::npos) {
    const int first = number(std::string_view(text).substr(0, colon)),
              last = number(std::string_view(text).substr(colon + 1));
    for (int value = first; value <= last; ++value) values.push_back(value);
  } else {
    for (const std::string& part : split(text, ',')) values.push_back(number(part));
  }
  if (values.empty()) throw UserError("{}: '{}' is an empty range", option, text);
  return values;
}

std::vector<Plan> plans_of(const Options& options) {
  const std::vector<int> margins = parse_list("--margins", options.margins, 0, 16);
  std::vector<Plan> plans;
  for (const int margin : margins) {
    if (options.model.ring.value_or(32) == 32)
      for (const int bits : parse_list("--sweep-bits", options.bits, 4, 28))
        plans.push_back({.ring = 32, .bits = bits, .margin = margin});
    if (options.model.ring.value_or(64) == 64)
      plans.push_back({.ring = 64, .bits = options.model.bits.value_or(40), .margin = margin});
  }
  return plans;
}

double mean_scale(const Program& program) {
  double sum = 0;
  int64_t count = 0;
  for (const Step& step : program.steps) {
    if (step.type.form != Form::kMasked || step.type.is_index) continue;
    sum += step.type.scale.value();
    ++count;
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

// Study holds what all plans share: the samples, their true classes and the float model's answers.
class Study {
 public:
  Study(const Options& options, const CompiledModel& model)
      : data_(options.labelled.open(model.inputs, parse_preprocess(options.model.preprocess))),
        truths_(options.labelled.truths(data_)),
        metric_output_(options.labelled.metric_of(model.compiled.program)),
        outputs_(output_names(model.compiled.program)) {
    if (gives_label(model, metric_output_))
      throw UserError("{}: gives a label, not scores; tune it without --top-1", options.model.model);
    reference_ = answers(model, Computing::kFloat, nullptr);
    float_metrics_ = measure_outputs(scores(model, reference_, reference_), metric_output_, truths_, nullptr);
  }
  void evaluate_plan(const CompiledModel& model, Plan& plan) {
    const Answers clear = answers(model, Computing::kClear, &plan.violations);
    const OutputScores reference = scores(model, reference_, clear);
    plan.metrics = measure_outputs(scores(model, clear, reference_), metric_output_, truths_, &reference);
  }
  int64_t samples() const { return data_.size(); }
  const std::string& metric_output() const { return outputs_[metric_output_]; }
  size_t outputs() const { return outputs_.size(); }
  bool is_labelled() const { return !truths_.empty(); }
  const Metrics& float_metrics() const { return float_metrics_; }
  // quality is what a plan is judged by: top-1, or without labels the agreement with float.
  double quality(const Metrics& metrics) const {
    return is_labelled() ? metrics.top1->value() : metrics.agreement->value();
  }
  double float_quality() const { return is_labelled() ? float_metrics_.top1->value() : 1; }

 private:
  Answers answers(const CompiledModel& model, Computing computing, int64_t* violations) {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < data_.size(); ++i) all.push_back(i);
    Answers given;
    evaluate(model, data_, computing, all, 1, [&](int64_t sample, Answer answer) {
      if (violations != nullptr) *violations += answer.violations;
      given[sample] = std::move(answer);
    });
    return given;
  }
  // scores of `some`, in rows as wide as `others` need too.
  OutputScores scores(const CompiledModel& model, const Answers& some, const Answers& others) const {
    return scores_of(some, data_.size(), class_counts(model, {&some, &others}, metric_output_, truths_));
  }

  Dataset data_;
  std::vector<Truth> truths_;
  size_t metric_output_;
  std::vector<std::string> outputs_;
  Answers reference_;
  Metrics float_metrics_;
};

ModelOptions with(const ModelOptions& model, const Plan& plan) {
  ModelOptions options = model;
  options.ring = plan.ring;
  options.bits = plan.bits;
  options.margin = plan.margin;
  return options;
}

void try_plan(const Options& options, std::optional<Study>& study, Plan& plan) {
  std::optional<CompiledModel> model;
  try {
    model = compile_model(with(options.model, plan));
  } catch (const UserError& error) {
    plan.refused = error.what();
    return;
  }
  const Program& program = model->compiled.program;
  if (!study) study.emplace(options, *model);
  const CostReport cost = dry_cost("porthos", program);
  plan.offline = cost.bytes(Phase::kOffline);
  plan.online = cost.bytes(Phase::kOnline);
  plan.rounds = cost.rounds.by_phase[static_cast<size_t>(Phase::kOnline)];
  plan.scale = mean_scale(program);
  for (const Step& step : program.steps)
    if (const auto* input = std::get_if<InputStep>(&step.body)) plan.input_scale = input->scale.value();
  study->evaluate_plan(*model, plan);
}

// cheapest picks the plan of the fewest bytes that loses at most the given percentage points and clips nothing; among
// equals the better one.
const Plan* cheapest(const std::vector<Plan>& plans, const Study& study, double loss) {
  const Plan* best = nullptr;
  for (const Plan& plan : plans) {
    if (!plan.refused.empty() || study.quality(plan.metrics) < study.float_quality() - loss / 100 - 1e-12) continue;
    const bool better = best == nullptr || plan.bytes() < best->bytes() ||
                        (plan.bytes() == best->bytes() && study.quality(plan.metrics) > study.quality(best->metrics));
    if (better) best = &plan;
  }
  return best;
}

void draw(const std::string& path, const std::vector<Plan>& plans, const Study& study, const Plan* chosen) {
  Chart chart;
  chart.title = study.is_labelled() ? "Accuracy by fixed-point plan" : "Agreement with float by fixed-point plan";
  chart.x_label = "mean scale (fraction bits)";
  chart.y_label = study.is_labelled() ? "top-1, %" : "same decision as float, %";
  std::set<std::pair<int, int>> kinds;
  for (const Plan& plan : plans) kinds.emplace(plan.ring, plan.margin);
  for (const auto& [ring, margin] : kinds) {
    Series series{fmt::format("ring {}, margin {}", ring, margin), {}};
    for (const Plan& plan : plans)
      if (plan.ring == ring && plan.margin == margin && plan.refused.empty())
        series.points.emplace_back(plan.scale, 100 * study.quality(plan.metrics));
    std::sort(series.points.begin(), series.points.end());
    if (!series.points.empty() && chart.series.size() < 8) chart.series.push_back(std::move(series));
  }
  chart.line = {"float", 100 * study.float_quality()};
  if (chosen != nullptr) chart.marked = {chosen->scale, 100 * study.quality(chosen->metrics)};
  write_chart(path, chart);
}

Json json_of(const Plan& plan, const Study& study) {
  Json json = {{"ring", plan.ring}, {"bits", plan.bits}, {"margin", plan.margin}};
  if (!plan.refused.empty()) {
    json["refused"] = plan.refused;
    return json;
  }
  json["input_scale"] = plan.input_scale;
  json["mean_scale"] = plan.scale;
  json["offline_bytes"] = plan.offline;
  json["online_bytes"] = plan.online;
  json["online_rounds"] = plan.rounds;
  if (study.is_labelled()) json["top1"] = plan.metrics.top1->value();
  json["agreement_with_float"] = plan.metrics.agreement->value();
  json["largest_error"] = plan.metrics.largest_error;
  json["range_violations"] = plan.violations;
  return json;
}

void print_plans(const std::vector<Plan>& plans, const Study& study, const Plan* chosen, const Options& options) {
  fmt::print("{} plans on {} sample{}\n\n", plans.size(), study.samples(), study.samples() == 1 ? "" : "s");
  Table table({"ring", "k", "margin", "scale", study.is_labelled() ? "top-1" : "", "agrees with float", "largest error",
               "out of range", "traffic", "rounds", ""});
  table.left(10);
  if (study.is_labelled())
    table.add({"float", "", "", "", fmt::format("{:.2f} %", 100 * study.float_quality()), "", "", "", "", "", ""});
  for (const Plan& plan : plans) {
    std::vector<std::string> row = {std::to_string(plan.ring), std::to_string(plan.bits), std::to_string(plan.margin)};
    if (!plan.refused.empty()) {
      row.insert(row.end(), {"", "", "", "", "", "", "", "does not fit"});
    } else {
      row.insert(row.end(),
                 {fmt::format("{:.1f}", plan.scale),
                  study.is_labelled() ? fmt::format("{:.2f} %", 100 * plan.metrics.top1->value()) : "",
                  fmt::format("{:.2f} %", 100 * plan.metrics.agreement->value()),
                  fmt::format("{:.2g}", plan.metrics.largest_error), human_count(plan.violations),
                  human_bytes(plan.bytes()), std::to_string(plan.rounds), &plan == chosen ? "<- cheapest" : ""});
    }
    table.add(row);
  }
  fmt::print("{}\n", table.text());
  if (study.outputs() > 1)
    fmt::print("  Labels are of output {} (--metric-output); agreement and errors are over all {} outputs.\n",
               study.metric_output(), study.outputs());
  if (chosen == nullptr) {
    fmt::print(
        "  No plan stays within {} percentage points of float. Try more --sweep-bits, other --margins, or more "
        "calibration samples.\n",
        options.loss);
    return;
  }
  fmt::print(
      "  The cheapest plan within {} percentage points of float:\n    treville compile {} --calibrate {} {} -o DIR\n",
      options.loss, options.model.model, options.model.calibrate, chosen->flags());
}

int tune(const Options& options) {
  check_writable("--plot", options.plot);
  const std::string picture = std::filesystem::path(options.plot).extension().string();
  if (!options.plot.empty() && picture != ".svg" && picture != ".png")
    throw UserError("--plot: {} should end in .svg or .png", options.plot);
  if (options.model.calibrate.empty())
    throw UserError("--calibrate is missing: plans are compared with the ranges of typical samples");
  std::vector<Plan> plans = plans_of(options);
  std::optional<Study> study;
  {
    Progress progress(options.json);
    for (size_t i = 0; i < plans.size(); ++i) {
      progress.show(static_cast<int64_t>(i), static_cast<int64_t>(plans.size()), plans[i].flags());
      try_plan(options, study, plans[i]);
    }
  }
  if (!study) throw UserError("{}", plans.front().refused);
  const Plan* chosen = cheapest(plans, *study, options.loss);
  if (!options.plot.empty()) draw(options.plot, plans, *study, chosen);
  if (!options.json) {
    print_plans(plans, *study, chosen, options);
  } else {
    Json list = Json::array();
    for (const Plan& plan : plans) list.push_back(json_of(plan, *study));
    Json object = {{"model", options.model.model}, {"samples", study->samples()}, {"loss_points", options.loss}};
    object["metric_output"] = study->metric_output();
    if (study->is_labelled()) object["float_top1"] = study->float_quality();
    object["plans"] = list;
    object["chosen"] = chosen != nullptr ? json_of(*chosen, *study) : Json();
    print_json(object);
  }
  return chosen != nullptr ? kSuccess : kDisagreement;
}

}  // namespace

Command add_tune(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app = new_command(
      root, "tune", "Which ring, scales and margin give enough accuracy at the least cost",
      "Examples:\n"
      "  treville tune digits.pb --data samples.npy --labels classes.npy --calibrate calibration.npy --plot "
      "digits.svg\n"
      "  treville tune model.onnx --data photos/ --calibrate photos/ --sweep-bits 16:21 --margins 1,2,3\n\n"
      "Compiles the model once for every plan, evaluates each in cleartext fixed point, shows accuracy and exact cost\n"
      "and names the cheapest plan that loses at most --loss percentage points against float. Without labels a plan "
      "is\n"
      "judged by how often it decides as float does. The exit code is 1 when no plan is good enough.",
      options->json);
  options->model.add_to(*app);
  options->labelled.add_to(*app);
  app->add_option("--sweep-bits", options->bits, "Widest opened values k of the 32-bit ring, 14:22 or 16,18,20");
  app->add_option("--margins", options->margins, "Bits of room above the largest value seen, 1:3 or 1,2 (default 2)");
  app->add_option("--loss", options->loss, "Percentage points of accuracy that may be lost (default 0.5)")
      ->check(CLI::Range(0.0, 100.0));
  app->add_option("--plot", options->plot, "Draw accuracy against scale, with the float line (.svg or .png)");
  return {app, [options] { return tune(*options); }};
}

}  // namespace treville::cli
