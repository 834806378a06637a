// treville calibrate: finds the range of every value on typical samples, compiles, runs the compiled numbers on the
// samples (and on others that the ranges do not come from), and says layer by layer how it is known that they fit.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "accuracy/plot.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/dataset.h"
#include "cli/model.h"
#include "cli/screen.h"
#include "cli/verdicts.h"
#include "run/check_ranges.h"

namespace treville::cli {
namespace {

struct Options {
  ModelOptions model;
  std::string check;
  std::string directory;
  std::string plot;
  bool json = false;
};

// Seen is what running the compiled numbers on samples showed.
struct Seen {
  int64_t samples = 0, checked = 0;  // those that the ranges come from, and others
  std::vector<double> largest;       // by step, as Opening::allowed counts; -1 where it opens nothing
};

// Row is one step that opens something.
struct Row {
  size_t step = 0;
  Opening opening;
  double seen = 0, allowed = 0;  // in real numbers
  double margin = 0;             // bits between them
  int scale = 0;                 // of what is opened
};

void run_samples(const CompiledModel& model, RangeChecker& checker, Dataset& data, const std::string& what,
                 Progress& progress, Seen& seen) {
  const Program& program = model.compiled.program;
  for (int64_t first = 0; first < data.size(); first += data.batch()) {
    progress.show(first, data.size(), what);
    const auto inputs = encode_inputs(data.inference(first), model.inputs, program);
    const std::vector<double> largest = largest_opened(program, checker.run(inputs));
    for (size_t i = 0; i < largest.size(); ++i) seen.largest[i] = std::max(seen.largest[i], largest[i]);
  }
  progress.finish();
}

Seen run_all(const CompiledModel& model, const Options& options) {
  Seen seen{0, 0, std::vector<double>(model.compiled.program.steps.size(), -1)};
  RangeChecker checker(model.compiled.program, model.compiled.constants);
  Progress progress(options.json);
  const Preprocess preprocess = parse_preprocess(options.model.preprocess);
  Dataset data(options.model.calibrate, model.inputs, preprocess, 0);
  seen.samples = data.size();
  run_samples(model, checker, data, "samples", progress, seen);
  if (options.check.empty()) return seen;
  Dataset others(options.check, model.inputs, preprocess, 0);
  seen.checked = others.size();
  run_samples(model, checker, others, "other samples", progress, seen);
  return seen;
}

std::vector<Row> rows_of(const Program& program, const Seen& seen) {
  std::vector<Row> rows;
  std::vector<SlotType> types(program.slots);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    if (const auto opens = opening(step.body, types)) {
      const SlotType& type = types[index_of(opens->x)];
      const int scale = type.scale.value() - opens->truncate.value();
      const double unit = std::ldexp(1 / static_cast<double>(type.divisor), -scale);
      const double largest = std::max(0.0, seen.largest[i]), allowed = static_cast<double>(opens->allowed);
      const double margin = largest > 0 ? std::log2(allowed / largest) : kMostMargin;
      rows.push_back({i, *opens, largest * unit, allowed * unit, margin, scale});
    }
    types[index_of(step.result)] = step.type;
  }
  return rows;
}

std::string verdict_text(const Step& step, const Row& row) {
  if (step.verdict.kind == RangeVerdict::kCalibrated)
    return fmt::format("calibrated, {:.1f} bits", step.verdict.margin);
  if (step.verdict.kind == RangeVerdict::kProved) return "proved";
  return row.seen <= 0 ? "UNSAFE: nothing but zeros seen" : fmt::format("UNSAFE: {:.1f} bits", row.margin);
}

// bits_opened is k, or for a revealed output the modulus.
int bits_opened(const Opening& opening) { return static_cast<int>(std::ceil(std::log2(double(opening.allowed)))) + 1; }

Json report_json(const CompiledModel& model, const Seen& seen, const std::vector<Row>& rows) {
  const Program& program = model.compiled.program;
  Json steps = Json::array();
  for (const Row& row : rows) {
    const Step& step = program.steps[row.step];
    steps.push_back({{"step", row.step},
                     {"operation", name_of(step.body)},
                     {"layer", step.layer},
                     {"largest_seen", row.seen},
                     {"largest_allowed", row.allowed},
                     {"bits", bits_opened(row.opening)},
                     {"truncate", row.opening.truncate.value()},
                     {"scale", row.scale},
                     {"verdict", name_of(step.verdict.kind)},
                     {"margin_bits", row.margin}});
  }
  return {{"model", program.model},
          {"format", model.format},
          {"ring", static_cast<int>(program.ring)},
          {"scheme", program.scheme},
          {"samples", seen.samples},
          {"other_samples", seen.checked},
          {"verdicts", to_json(count_verdicts(program))},
          {"steps", steps}};
}

void print_table(const CompiledModel& model, const Seen& seen, const std::vector<Row>& rows) {
  const Program& program = model.compiled.program;
  fmt::print("{}: {}, ring Z_2^{}, {}", program.model, model.format, static_cast<int>(program.ring), program.scheme);
  if (seen.checked > 0) fmt::print("; checked on {} others", seen.checked);
  fmt::print("\n\n");
  Table table({"layer", "step", "largest seen", "fits up to", "scale", "bits", "verdict"});
  table.left(1);
  table.left(6);
  for (const Row& row : rows) {
    const Step& step = program.steps[row.step];
    table.add({step.layer, name_of(step.body), fmt::format("{:.4g}", row.seen), fmt::format("{:.4g}", row.allowed),
               std::to_string(row.scale), std::to_string(bits_opened(row.opening)), verdict_text(step, row)});
  }
  fmt::print("{}\n  ranges   {}\n", table.text(), describe(count_verdicts(program)));
}

void draw(const std::string& path, const Program& program, const std::vector<Row>& rows) {
  Chart chart{"Room above the largest value seen: " + program.model, "step of the program", "bits", {}, {}, {}};
  Series calibrated{"calibrated", {}}, proved{"proved", {}}, unsafe{"unsafe", {}};
  for (const Row& row : rows) {
    const RangeVerdict kind = program.steps[row.step].verdict.kind;
    Series& series = kind == RangeVerdict::kProved ? proved : kind == RangeVerdict::kCalibrated ? calibrated : unsafe;
    series.points.emplace_back(static_cast<double>(row.step), row.margin);
  }
  for (Series* series : {&calibrated, &proved, &unsafe})
    if (!series->points.empty()) chart.series.push_back(std::move(*series));
  chart.line = {"unsafe below", 1.0};
  write_chart(path, chart);
}

int calibrate(const Options& options) {
  check_writable("--plot", options.plot);
  CompiledModel model = compile_model(options.model);
  Program& program = model.compiled.program;
  const Seen seen = run_all(model, options);
  if (program.scheme != "guaranteed")
    judge_ranges(program, model.compiled.constants, {Evidence::Kind::kTypical, seen.largest});
  const std::vector<Row> rows = rows_of(program, seen);
  if (!options.plot.empty()) draw(options.plot, program, rows);
  const bool is_safe = count_verdicts(program).unsafe == 0;
  Json report = report_json(model, seen, rows);
  if (!options.json) print_table(model, seen, rows);
  if (!options.directory.empty()) {
    const CompiledFiles files = write_compiled(options.directory, model);
    report["program"] = files.program;
    report["weights"] = files.weights;
    report["digest"] = files.digest;
    if (!options.json) print_files(files);
  }
  if (options.json) {
    print_json(report);
  } else {
    if (!is_safe)
      fmt::print(
          "\n  A value that does not fit wraps silently. Give more typical samples, --margin {}, or --ring 64.\n",
          options.model.margin.value_or(2) + 1);
    if (options.directory.empty())
      fmt::print("\nNext: -o compiled writes the program and the weights.\n");
    else
      fmt::print("\nNext: treville plan {} shows what a prediction costs.\n", options.directory);
  }
  return is_safe ? kSuccess : kDisagreement;
}

}  // namespace

Command add_calibrate(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app = new_command(
      root, "calibrate", "Ranges, scales and a verdict for every layer, from typical samples",
      "Examples:\n"
      "  treville calibrate model.onnx --data photos/ -o compiled\n"
      "  treville calibrate model.onnx --data photos/ --check others/ --plot margins.svg\n"
      "  treville calibrate model.onnx --data photos/ --ranges guaranteed --input-range 0:1\n\n"
      "Compiles the model with the ranges of the samples, runs the compiled numbers on them, and says of every step\n"
      "that opens a value how it is known that the value fits: proved for every input, calibrated with so many bits "
      "of\n"
      "margin, or unsafe (less than one bit). The verdicts are written into the program, for all parties to see.\n"
      "Exits with 1 when a layer is unsafe.",
      options->json);
  options->model.add_to(*app);
  app->remove_option(app->get_option("--calibrate"));
  app->add_option(
         "--data", options->model.calibrate,
         "Typical samples: a .npy file (batch first), an image or a folder; of several inputs a .npz archive or a "
         "folder with an array for each. They need no labels")
      ->required();
  app->add_option("--check", options->check, "Other samples, on which the ranges of the first ones are checked");
  app->add_option("-o,--directory", options->directory, "Write the program and the weights to this folder");
  app->add_option("--plot", options->plot, "Draw the margins (.svg or .png)");
  return {app, [options] { return calibrate(*options); }};
}

}  // namespace treville::cli
