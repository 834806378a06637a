// treville eval: how good a model is on labelled samples, in float, in cleartext fixed point and secure, and how often
// they agree. Answers can be kept in a file as they come, so that a run that was stopped goes on where it was.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/dataset.h"
#include "cli/evaluation.h"
#include "cli/model.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "program/digest.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  ModelOptions model;
  LabelledData labelled;
  std::string results;
  std::vector<std::string> computings;
  int64_t per_session = 64;
  bool json = false;
};

constexpr Computing kAll[] = {Computing::kFloat, Computing::kClear, Computing::kSecure};

// computings_of reads --in. Float always runs: agreement is with it.
std::vector<Computing> computings_of(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (std::none_of(std::begin(kAll), std::end(kAll), [&](Computing c) { return name == name_of(c); }))
      throw UserError("--in: '{}' is not known{}", name, did_you_mean(name, {"float", "clear", "secure"}));
  }
  std::vector<Computing> computings;
  for (const Computing computing : kAll) {
    const bool named = std::find(names.begin(), names.end(), name_of(computing)) != names.end();
    if (computing == Computing::kFloat || named || (names.empty() && computing == Computing::kClear))
      computings.push_back(computing);
  }
  return computings;
}

// ResultsFile keeps answers as JSON lines: a first line says of what they are, then one line an answer. A line that a
// stopped run left half-written is dropped.
class ResultsFile {
 public:
  // open reads what an earlier run left. Throws UserError when the file is of another model, plan or data.
  ResultsFile(const std::string& path, Json about) {
    if (path.empty()) return;
    std::uintmax_t good = 0;
    std::ifstream file(path, std::ios::binary);
    for (std::string line; std::getline(file, line) && !file.eof(); good += line.size() + 1) {
      const Json json = Json::parse(line, nullptr, false);
      if (good == 0 && (json.is_discarded() || json != about)) refuse(path, json, about);
      if (good > 0 && !take(json)) break;
    }
    file.close();
    if (good > 0) fs::resize_file(path, good);
    file_.reset(std::fopen(path.c_str(), good > 0 ? "ab" : "wb"));
    if (!file_) throw UserError("--results: cannot write {}", path);
    if (good == 0) write(about);
  }

  Answers& of(Computing computing) { return answers_[static_cast<size_t>(computing)]; }
  void add(Computing computing, int64_t sample, Answer answer) {
    Json line = {{"in", name_of(computing)},
                 {"sample", sample},
                 {"scores", answer.outputs.front()},
                 {"seconds", answer.seconds},
                 {"range_violations", answer.violations}};
    // The first output stands alone, as in files of models that have no other.
    if (answer.outputs.size() > 1)
      line["others"] = std::vector<SampleScores>(answer.outputs.begin() + 1, answer.outputs.end());
    write(line);
    of(computing)[sample] = std::move(answer);
  }

 private:
  [[noreturn]] static void refuse(const std::string& path, const Json& found, const Json& about) {
    std::string difference = "it is no file of results";
    if (found.is_object()) {
      for (const auto& [key, value] : about.items())
        if (!found.contains(key) || found[key] != value) difference = "its " + key + " is another one";
    }
    throw UserError("--results: {} does not continue this evaluation: {}. Name another file, or remove it.", path,
                    difference);
  }
  bool take(const Json& json) {
    if (!json.is_object()) return false;
    for (const Computing computing : kAll) {
      if (json.value("in", "") != name_of(computing)) continue;
      std::vector<SampleScores> outputs = {json.at("scores").get<SampleScores>()};
      for (const Json& other : json.value("others", Json::array())) outputs.push_back(other.get<SampleScores>());
      of(computing)[json.at("sample")] = {std::move(outputs), json.at("seconds"), json.at("range_violations")};
      return true;
    }
    return false;
  }
  void write(const Json& json) {
    if (!file_) return;
    const std::string line = json.dump() + "\n";
    if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fflush(file_.get()) != 0)
      throw UserError("--results: cannot write; is the disk full?");
  }

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  Answers answers_[std::size(kAll)];
};

struct Row {
  Computing computing;
  Metrics metrics;
  std::vector<Metrics> outputs;  // agreement and error of each output, against float
  double seconds = 0;            // per sample
  int64_t violations = 0;
};

// Evaluation is what was evaluated, and which output the labels are of.
struct Evaluation {
  const CompiledModel& model;
  std::vector<Truth> truths;
  int64_t samples = 0;
  size_t metric_output = 0;
  std::vector<std::string> outputs;
};

std::vector<Row> rows_of(const Evaluation& evaluation, ResultsFile& results, const std::vector<Computing>& computings) {
  const int64_t count = evaluation.samples;
  std::vector<const Answers*> all;
  for (const Computing computing : computings) all.push_back(&results.of(computing));
  const std::vector<int64_t> classes = class_counts(evaluation.model, all, evaluation.metric_output, evaluation.truths);
  const OutputScores reference = scores_of(results.of(Computing::kFloat), count, classes);
  std::vector<Row> rows;
  for (const Computing computing : computings) {
    Row row{computing, {}, {}, 0, 0};
    const bool is_float = computing == Computing::kFloat;
    const OutputScores scores = is_float ? reference : scores_of(results.of(computing), count, classes);
    row.metrics = measure_outputs(scores, evaluation.metric_output, evaluation.truths, is_float ? nullptr : &reference);
    for (size_t k = 0; k < scores.size() && !is_float; ++k)
      row.outputs.push_back(measure(scores[k], {}, &reference[k]));
    for (int64_t i = 0; i < count; ++i) {
      row.seconds += results.of(computing).at(i).seconds / static_cast<double>(count);
      row.violations += results.of(computing).at(i).violations;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Json json_of(const Proportion& proportion) {
  const Span95 span = wilson(proportion);
  return {{"value", proportion.value()},
          {"hits", proportion.hits},
          {"of", proportion.of},
          {"interval_95", {span.low, span.high}}};
}

void add_agreement(Json& json, const Metrics& metrics) {
  if (!metrics.agreement) return;
  json["agreement_with_float"] = json_of(*metrics.agreement);
  json["largest_error"] = metrics.largest_error;
  json["mean_error"] = metrics.mean_error;
}

Json json_of(const Row& row, const std::vector<std::string>& outputs) {
  const Metrics& m = row.metrics;
  Json json = {{"in", name_of(row.computing)}, {"samples", m.samples}, {"seconds_per_sample", row.seconds}};
  if (m.top1) json["top1"] = json_of(*m.top1);
  if (m.top5) json["top5"] = json_of(*m.top5);
  if (m.auroc) json["auroc"] = *m.auroc;
  add_agreement(json, m);
  if (row.outputs.size() > 1) {
    Json list = Json::array();
    for (size_t k = 0; k < row.outputs.size(); ++k) {
      add_agreement(list.emplace_back(Json({{"name", outputs[k]}})), row.outputs[k]);
    }
    json["outputs"] = std::move(list);
  }
  if (row.computing == Computing::kClear) json["range_violations"] = row.violations;
  if (m.confusion) {
    Json table = Json::array();
    for (int64_t t = 0; t < m.confusion->classes(); ++t) {
      Json line = Json::array();
      for (int64_t p = 0; p < m.confusion->classes(); ++p) line.push_back(m.confusion->at(t, p));
      table.push_back(std::move(line));
    }
    json["confusion"] = std::move(table);
  }
  return json;
}

std::string percent(const std::optional<Proportion>& proportion) {
  if (!proportion) return "-";
  const Span95 span = wilson(*proportion);
  return fmt::format("{:.2f} % [{:.2f}, {:.2f}]", 100 * proportion->value(), 100 * span.low, 100 * span.high);
}

void print_confusion(const Row& row) {
  constexpr int64_t kShown = 12;
  if (!row.metrics.confusion || row.metrics.confusion->classes() > kShown) return;
  const Confusion& confusion = *row.metrics.confusion;
  std::vector<std::string> header = {fmt::format("{}: true \\ predicted", name_of(row.computing))};
  for (int64_t p = 0; p < confusion.classes(); ++p) header.push_back(std::to_string(p));
  Table table(header);
  for (int64_t t = 0; t < confusion.classes(); ++t) {
    std::vector<std::string> line = {std::to_string(t)};
    for (int64_t p = 0; p < confusion.classes(); ++p)
      line.push_back(confusion.at(t, p) == 0 ? "." : std::to_string(confusion.at(t, p)));
    table.add(line);
  }
  fmt::print("{}\n", table.text());
}

// print_outputs shows each output's share of agreement and error, where there are several.
void print_outputs(const Evaluation& evaluation, const std::vector<Row>& rows) {
  if (evaluation.outputs.size() < 2) return;
  Table table({"", "output", "agrees with float [95 %]", "largest error"});
  table.left(1);
  for (const Row& row : rows)
    for (size_t k = 0; k < row.outputs.size(); ++k)
      table.add({k == 0 ? name_of(row.computing) : "", evaluation.outputs[k], percent(row.outputs[k].agreement),
                 fmt::format("{:.2g}", row.outputs[k].largest_error)});
  fmt::print("{}\n", table.text());
  fmt::print("  Labels are of output {} (--metric-output); agreement and errors above are over all {} outputs.\n",
             evaluation.outputs[evaluation.metric_output], evaluation.outputs.size());
}

void print_rows(const Evaluation& evaluation, const std::vector<Row>& rows) {
  const Program& program = evaluation.model.compiled.program;
  fmt::print("{}: {} sample{}, ring Z_2^{}, {}\n\n", program.model, rows.front().metrics.samples,
             rows.front().metrics.samples == 1 ? "" : "s", static_cast<int>(program.ring), program.scheme);
  Table table({"", "top-1 [95 %]", "top-5 [95 %]", "AUROC", "agrees with float [95 %]", "largest error", "time"});
  for (const Row& row : rows) {
    const Metrics& m = row.metrics;
    table.add({name_of(row.computing), percent(m.top1), percent(m.top5),
               m.auroc ? fmt::format("{:.4f}", *m.auroc) : "-", percent(m.agreement),
               m.agreement ? fmt::format("{:.2g}", m.largest_error) : "-", human_seconds(row.seconds)});
  }
  fmt::print("{}\n", table.text());
  print_outputs(evaluation, rows);
  print_confusion(rows.back());
  for (const Row& row : rows)
    if (row.violations > 0)
      fmt::print(
          "  {} values left the ranges the model was compiled for: calibrate with more samples or raise --margin\n",
          human_count(row.violations));
}

std::vector<int64_t> missing(const Answers& answers, int64_t count) {
  std::vector<int64_t> samples;
  for (int64_t i = 0; i < count; ++i)
    if (answers.count(i) == 0) samples.push_back(i);
  return samples;
}

void compute(const CompiledModel& model, Dataset& data, Computing computing, const Options& options,
             ResultsFile& results) {
  Progress progress(options.json);
  const std::string what = fmt::format("{} samples", name_of(computing));
  progress.show(static_cast<int64_t>(results.of(computing).size()), data.size(), what);
  evaluate(model, data, computing, missing(results.of(computing), data.size()), options.per_session,
           [&](int64_t sample, Answer answer) {
             results.add(computing, sample, std::move(answer));
             progress.show(static_cast<int64_t>(results.of(computing).size()), data.size(), what);
           });
}

int eval(const Options& options) {
  const std::vector<Computing> computings = computings_of(options.computings);
  check_writable("--results", options.results);
  const CompiledModel model = compile_model(options.model);
  const size_t metric_output = options.labelled.metric_of(model.compiled.program);
  Dataset data = options.labelled.open(model.inputs, parse_preprocess(options.model.preprocess));
  const Evaluation evaluation{model, options.labelled.truths(data), data.size(), metric_output,
                              output_names(model.compiled.program)};
  ResultsFile results(options.results, {{"treville", "evaluation"},
                                        {"program", hex(digest(model.compiled.program))},
                                        {"data", fs::path(options.labelled.data).filename().string()},
                                        {"preprocessing", options.model.preprocess}});
  for (const Computing computing : computings) compute(model, data, computing, options, results);
  const std::vector<Row> rows = rows_of(evaluation, results, computings);
  if (!options.json) {
    print_rows(evaluation, rows);
    return kSuccess;
  }
  Json list = Json::array();
  for (const Row& row : rows) list.push_back(json_of(row, evaluation.outputs));
  print_json({{"model", model.compiled.program.model},
              {"ring", static_cast<int>(model.compiled.program.ring)},
              {"scheme", model.compiled.program.scheme},
              {"samples", data.size()},
              {"labelled", !evaluation.truths.empty()},
              {"metric_output", evaluation.outputs[metric_output]},
              {"results", list}});
  return kSuccess;
}

}  // namespace

Command add_eval(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app = new_command(
      root, "eval", "Accuracy on labelled samples, in float, fixed point and secure",
      "Examples:\n"
      "  treville eval digits.pb --data samples.npy --labels classes.npy --calibrate calibration.npy\n"
      "  treville eval model.onnx --data photos/ --labels classes.csv --calibrate some/ --in clear --in secure \\\n"
      "      --preprocess resize=256,crop=center --results photos.jsonl\n"
      "  treville eval model.onnx --data imagefolder/ --calibrate some/    # a folder of images for each class\n"
      "  treville eval model.onnx --data all.npz --calibrate some.npz --labels classes.npy --metric-output species\n\n"
      "Shows top-1 and top-5 accuracy with 95 % intervals, AUROC, confusion, and how often fixed point and secure\n"
      "decide as float does. Without labels only the agreement is shown. With --results, answers are kept as they "
      "come,\n"
      "and a run that was stopped continues where it was. Secure runs take all samples through three local processes.",
      options->json);
  options->model.add_to(*app);
  options->labelled.add_to(*app);
  app->add_option("--in", options->computings, "float, clear or secure; may be repeated (default: float and clear)")
      ->allow_extra_args(false);
  app->add_option("--results", options->results, "Keep answers in this file (JSON lines) and continue from it");
  app->add_option("--per-session", options->per_session, "Inferences of one secure session (default 64)")
      ->check(CLI::Range(1, 100'000));
  return {app, [options] { return eval(*options); }};
}

}  // namespace treville::cli
