// treville run: import, compile, three party processes over TLS, the prediction, and the check against the float model.
#include "cli/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "cli/agreement.h"
#include "cli/local_federation.h"
#include "cli/output_files.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "cli/verdicts.h"
#include "cost/cost.h"
#include "program/digest.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

// Sample is one inference: what was revealed, and how that compares with the float model, output by output.
struct Sample {
  std::string name;
  std::vector<NamedOutput> outputs;
  double seconds = 0;
  std::vector<Agreement> agreements;  // none where nothing was checked

  // first_difference is the first output that disagrees, or null.
  const NamedOutput* first_difference() const {
    for (size_t i = 0; i < agreements.size(); ++i)
      if (!agreements[i].agrees) return &outputs[i];
    return nullptr;
  }
  double largest(double Agreement::*of) const {
    double largest = 0;
    for (const Agreement& agreement : agreements) largest = std::max(largest, agreement.*of);
    return largest;
  }
};

int64_t sent(const Json& party, const char* phase) {
  int64_t bytes = 0;
  for (const Json& row : party["traffic"]) {
    if (phase == nullptr || row["phase"] == phase) bytes += row["bytes"].get<int64_t>();
  }
  return bytes;
}

struct RunReport {
  const CompiledModel& model;
  const std::vector<Sample>& samples;
  const LocalResult& local;
  const CostReport& cost;
  int online_rounds;
  bool checked;
  bool preprocessed;

  // metered is what the parties sent in a phase, by their own counters.
  int64_t metered(const char* phase) const {
    int64_t bytes = 0;
    for (const Json& party : local.parties) bytes += sent(party, phase);
    return bytes;
  }
  bool weights_kept() const { return local.parties[1]["weights"]["kept"].get<bool>(); }
  double median_seconds() const {
    std::vector<double> seconds;
    for (const Sample& sample : samples) seconds.push_back(sample.seconds);
    std::nth_element(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2), seconds.end());
    return seconds[seconds.size() / 2];
  }
  bool agrees() const {
    return std::all_of(samples.begin(), samples.end(), [](const Sample& s) { return s.first_difference() == nullptr; });
  }
  double largest_error() const {
    double error = 0;
    for (const Sample& sample : samples) error = std::max(error, sample.largest(&Agreement::largest_error));
    return error;
  }
};

int count_layers(const Program& program) {
  return static_cast<int>(std::count_if(program.steps.begin(), program.steps.end(), [](const Step& step) {
    return std::holds_alternative<LinearStep>(step.body);
  }));
}

Json agreement_json(const Agreement& agreement) {
  return {{"agrees", agreement.agrees},
          {"prediction", agreement.float_prediction},
          {"largest_error", agreement.largest_error},
          {"largest_value", agreement.largest_value}};
}

Json sample_json(const Sample& sample, const std::vector<std::string>& labels) {
  Json outputs = Json::array();
  for (size_t i = 0; i < sample.outputs.size(); ++i) {
    Json output = to_json(sample.outputs[i]);
    output["predictions"] = predictions_json(sample.outputs[i], labels);
    if (!sample.agreements.empty()) output["plaintext"] = agreement_json(sample.agreements[i]);
    outputs.push_back(std::move(output));
  }
  Json json = {{"input", sample.name},
               {"seconds", sample.seconds},
               {"prediction", describe_prediction(sample.outputs.front(), labels)},
               {"outputs", outputs}};
  if (sample.agreements.empty()) return json;
  const NamedOutput* difference = sample.first_difference();
  json["plaintext"] = {{"agrees", difference == nullptr},
                       {"prediction", sample.agreements.front().float_prediction},
                       {"largest_error", sample.largest(&Agreement::largest_error)},
                       {"largest_value", sample.largest(&Agreement::largest_value)},
                       {"first_difference", difference != nullptr ? Json(difference->name) : Json()}};
  return json;
}

Json report_json(const RunReport& report, const std::vector<std::string>& labels) {
  const Program& program = report.model.compiled.program;
  Json inferences = Json::array();
  for (const Sample& sample : report.samples) inferences.push_back(sample_json(sample, labels));
  Json processes = Json::array();
  for (const Json& party : report.local.parties) {
    Json process = party;
    process.erase("inferences");
    processes.push_back(std::move(process));
  }
  const int64_t count = static_cast<int64_t>(report.samples.size());
  Json object = {{"model", program.model},
                 {"format", report.model.format},
                 {"parameters", program.parameters},
                 {"layers", count_layers(program)},
                 {"program", hex(digest(program))},
                 {"protocol", "porthos"},
                 {"security", "semi-honest, three parties, at most one corrupted, 128-bit keys"},
                 {"ring", static_cast<int>(program.ring)},
                 {"scheme", program.scheme},
                 {"verdicts", to_json(count_verdicts(program))},
                 {"inferences", inferences},
                 {"processes", processes},
                 {"seconds",
                  {{"compile", report.model.seconds},
                   {"processes", report.local.seconds},
                   {"inference_median", report.median_seconds()},
                   {"online_median", report.preprocessed ? Json(report.median_seconds()) : Json()}}},
                 {"seconds_are", report.preprocessed ? "online" : "offline and online"},
                 {"preprocessed", report.preprocessed},
                 {"weights", report.local.parties[1]["weights"]},
                 {"metered_bytes",
                  {{"offline", report.metered("offline")},
                   {"online", report.metered("online")},
                   {"setup", report.metered("setup")}}},
                 {"bytes_per_inference",
                  {{"offline", report.cost.bytes(Phase::kOffline)},
                   {"online", report.cost.bytes(Phase::kOnline)},
                   {"setup_once", report.cost.bytes(Phase::kSetup)}}},
                 {"online_rounds", report.online_rounds},
                 {"count", count}};
  if (report.checked) object["plaintext"] = {{"agrees", report.agrees()}, {"largest_error", report.largest_error()}};
  return object;
}

void print_heading(const CompiledModel& model, const RunOptions& options, size_t inputs) {
  const Program& program = model.compiled.program;
  fmt::print("Secure inference between three parties\n\n");
  fmt::print("  model     {} ({}), {} linear layers, {} parameters\n",
             fs::path(options.model.model).filename().string(), model.format, count_layers(program),
             human_count(program.parameters));
  fmt::print("  input     {}, {} sample{}\n", describe(model.inputs), inputs, inputs == 1 ? "" : "s");
  fmt::print("  scheme    Porthos: dealer (client), evaluator (model owner), helper\n");
  fmt::print("  security  semi-honest, at most one corrupted party; 128-bit keys, TLS 1.3, both sides authenticated\n");
  fmt::print("  numbers   ring Z_2^{}, {}; compiled in {}\n", static_cast<int>(program.ring), program.scheme,
             human_seconds(model.seconds));
  fmt::print("  ranges    {}\n\n", describe(count_verdicts(program)));
  std::fflush(stdout);
}

void print_traffic(const RunReport& report) {
  const auto count = static_cast<int64_t>(report.samples.size());
  if (report.preprocessed) {
    fmt::print("  traffic   {} per inference online; {} offline, before\n",
               human_bytes(report.metered("online") / count), human_bytes(report.cost.bytes(Phase::kOffline)));
    fmt::print("  weights   not sent: the preprocessed inferences hold what follows from them\n");
    return;
  }
  fmt::print("  traffic   {} per inference, {} of it online\n",
             human_bytes(report.cost.bytes(Phase::kOffline) + report.cost.bytes(Phase::kOnline)),
             human_bytes(report.cost.bytes(Phase::kOnline)));
  if (report.weights_kept()) {
    fmt::print("  weights   kept from an earlier session, 0 B sent\n");
  } else {
    fmt::print("  weights   shared in this session, {} sent\n", human_bytes(report.cost.bytes(Phase::kSetup)));
  }
}

// prediction_table has a line for every output of every sample; its name is shown where there are several.
Table prediction_table(const RunReport& report, const std::vector<std::string>& labels) {
  const bool names_outputs = report.samples.front().outputs.size() > 1;
  std::vector<std::string> header = {"input", "prediction", "plaintext", "largest error"};
  if (names_outputs) header.insert(header.begin() + 1, "output");
  Table table(header);
  for (size_t column = 1; column + 1 < header.size(); ++column) table.left(column);
  for (const Sample& sample : report.samples) {
    for (size_t i = 0; i < sample.outputs.size(); ++i) {
      std::vector<std::string> row = {i == 0 ? sample.name : "", describe_prediction(sample.outputs[i], labels),
                                      "not checked", "-"};
      if (report.checked) {
        const Agreement& agreement = sample.agreements[i];
        row[2] = agreement.agrees ? "agrees" : "DIFFERS: " + agreement.float_prediction;
        row[3] = fmt::format("{:.2g}", agreement.largest_error);
      }
      if (names_outputs) row.insert(row.begin() + 1, sample.outputs[i].name);
      table.add(std::move(row));
    }
  }
  return table;
}

void print_check(const RunReport& report) {
  const auto first = std::find_if(report.samples.begin(), report.samples.end(),
                                  [](const Sample& s) { return s.first_difference() != nullptr; });
  if (first == report.samples.end()) {
    fmt::print("  check     plaintext agrees; largest error {:.2g}\n", report.largest_error());
    return;
  }
  const auto agreeing = std::count_if(report.samples.begin(), report.samples.end(),
                                      [](const Sample& s) { return s.first_difference() == nullptr; });
  fmt::print("  check     plaintext agrees on {} of {}; largest error {:.2g}; first to differ: output {} of {}\n",
             agreeing, report.samples.size(), report.largest_error(), first->first_difference()->name, first->name);
}

void print_result(const RunReport& report, const std::vector<std::string>& labels,
                  const std::vector<std::string>& next_steps) {
  fmt::print("{}\n", prediction_table(report, labels).text());

  Table parties({"party", "process", "offline sent", "online sent", "set-up sent", "CPU"});
  static constexpr const char* kRoles[] = {"0 client, dealer", "1 model owner", "2 helper"};
  for (size_t i = 0; i < 3; ++i) {
    const Json& party = report.local.parties[i];
    parties.add({kRoles[i], std::to_string(party["pid"].get<int64_t>()), human_bytes(sent(party, "offline")),
                 human_bytes(sent(party, "online")), human_bytes(sent(party, "setup")),
                 human_seconds(party["cpu_seconds"]["inferences"].get<double>())});
  }
  fmt::print("{}\n", parties.text());
  const Json& client = report.local.parties[0];
  fmt::print("  time      {} per inference (median of {}), {}\n", human_seconds(report.median_seconds()),
             report.samples.size(),
             report.preprocessed ? "online: from the input to the result" : "offline work included");
  fmt::print("            before: connected in {}, set up in {}\n",
             human_seconds(client["seconds"]["handshake"].get<double>()),
             human_seconds(client["seconds"]["setup"].get<double>()));
  print_traffic(report);
  fmt::print("  rounds    {} online\n", report.online_rounds);
  if (report.checked) print_check(report);
  if (report.model.compiled.program.scheme == "uncalibrated") {
    fmt::print("\n  The ranges were not calibrated: --calibrate with a few typical samples halves time and traffic.\n");
  }
  if (!next_steps.empty()) fmt::print("\nNext:\n");
  for (const std::string& line : next_steps) fmt::print("  {}\n", line);
}

std::vector<Sample> collect(const std::vector<Inference>& inputs, const LocalResult& local, const Compiled& compiled,
                            const RunOptions& options, const std::vector<std::string>& labels) {
  std::vector<Sample> samples;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Json& inference = local.parties[0]["inferences"][i];
    Sample sample{inputs[i].name, {}, inference.at("seconds"), {}};
    for (const Json& output : inference.at("outputs")) sample.outputs.push_back(output_from_json(output));
    if (!options.no_check) {
      const std::vector<NamedOutput> reference = float_outputs(compiled, inputs[i].values);
      CHECK(reference.size() == sample.outputs.size(), "{} outputs for {}", sample.outputs.size(), reference.size());
      for (size_t k = 0; k < reference.size(); ++k)
        sample.agreements.push_back(agreement_of(sample.outputs[k], reference[k], labels));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

void write_outputs(const OutputFiles& files, const std::vector<Sample>& samples) {
  std::vector<std::vector<NamedOutput>> outputs;
  for (const Sample& sample : samples) outputs.push_back(sample.outputs);
  files.write(outputs);
}

// LayerTime is one layer of the model: how long the model owner's online walk spends in its steps, waiting included,
// and what it computes and sends. The times of all layers add up to the walk's.
struct LayerTime {
  std::string layer, operations;
  double seconds = 0;
  int64_t macs = 0;  // of one party
  int64_t offline_bytes = 0, online_bytes = 0;
};

std::vector<LayerTime> layer_times(const Program& program, const CostReport& cost, const LocalResult& local) {
  const auto seconds = local.parties[1].at("step_seconds").get<std::vector<double>>();
  CHECK(seconds.size() == program.steps.size(), "{} times for {} steps", seconds.size(), program.steps.size());
  std::vector<LayerTime> layers;
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    if (layers.empty() || layers.back().layer != step.layer) layers.push_back({step.layer, {}, 0, 0, 0, 0});
    LayerTime& layer = layers.back();
    if (layer.operations.find(name_of(step.body)) == std::string::npos)
      layer.operations += (layer.operations.empty() ? "" : ", ") + std::string(name_of(step.body));
    layer.seconds += seconds[i];
    layer.offline_bytes += cost.steps[i].offline_bytes;
    layer.online_bytes += cost.steps[i].online_bytes;
    if (const auto* linear = std::get_if<LinearStep>(&step.body))
      for (const LinearTerm& term : linear->terms) layer.macs += macs(term.map);
  }
  return layers;
}

Json layers_json(const std::vector<LayerTime>& layers) {
  Json list = Json::array();
  for (const LayerTime& layer : layers) {
    list.push_back({{"layer", layer.layer},
                    {"operations", layer.operations},
                    {"seconds", layer.seconds},
                    {"macs", layer.macs},
                    {"offline_bytes", layer.offline_bytes},
                    {"online_bytes", layer.online_bytes}});
  }
  return list;
}

void print_layers(const std::vector<LayerTime>& layers) {
  double total = 0;
  for (const LayerTime& layer : layers) total += layer.seconds;
  Table table({"layer", "operations", "time", "of all", "MACs of a party", "offline", "online"});
  table.left(1);
  for (const LayerTime& layer : layers) {
    table.add({layer.layer, layer.operations, human_seconds(layer.seconds),
               fmt::format("{:.1f} %", 100 * layer.seconds / std::max(total, 1e-9)), human_count(layer.macs),
               human_bytes(layer.offline_bytes), human_bytes(layer.online_bytes)});
  }
  fmt::print("{}\n", table.text());
}

// print_notes says what went wrong with what a party keeps, which a run survives.
void print_notes(const LocalResult& local) {
  for (const Json& party : local.parties) {
    for (const Json& note : party.value("notes", Json::array())) {
      fmt::print(stderr, "treville: note: party {}: {}\n", party["party"].get<int>(), note.get<std::string>());
    }
  }
}

}  // namespace

int run_model(const RunOptions& options, const std::vector<std::string>& next_steps) {
  if (options.preprocessed && options.store.empty()) {
    throw UserError("--preprocessed needs --store DIR, the folder that `treville preprocess` filled");
  }
  const std::vector<std::string> labels = read_labels(options.labels);
  // What can be seen without the model's names is seen before it is compiled.
  for (const std::string& text : options.inputs)
    if (text.find('=') == std::string::npos) files_of(text);
  for (const std::string& text : options.outputs)
    if (text.find('=') == std::string::npos) check_writable("--write", text);
  CompiledModel model = compile_model(options.model);
  const Program& program = model.compiled.program;
  check_labels(labels, options.labels, program);
  const OutputFiles files("--write", options.outputs, output_names(program));
  const std::vector<Inference> inputs =
      read_inferences(options.inputs, model.inputs, parse_preprocess(options.model.preprocess));
  for (const Inference& inference : inputs) encode_inputs(inference, model.inputs, program);  // before anything starts
  if (!options.json) print_heading(model, options, inputs.size());

  const Weights weights{random_model_id(), std::move(model.compiled.constants)};
  LocalResult local;
  {
    Progress progress(options.json);
    LocalJob job;
    job.program = &program;
    job.weights = &weights;
    job.inputs = &inputs;
    job.store = options.store;
    if (options.preprocessed) job.arguments.push_back("--preprocessed");
    if (options.profile) job.arguments.push_back("--profile");
    local = run_local_parties(
        job, [&](int64_t done, int64_t total, const std::string& what) { progress.show(done, total, what); });
  }
  const CostReport cost = dry_cost("porthos", program);
  const std::vector<Sample> samples = collect(inputs, local, model.compiled, options, labels);
  const RunReport report{model,
                         samples,
                         local,
                         cost,
                         cost.rounds.by_phase[static_cast<size_t>(Phase::kOnline)],
                         !options.no_check,
                         options.preprocessed};
  print_notes(local);
  const std::vector<LayerTime> layers = options.profile ? layer_times(program, cost, local) : std::vector<LayerTime>{};
  write_outputs(files, samples);
  if (options.json) {
    Json object = report_json(report, labels);
    if (options.profile) object["layers"] = layers_json(layers);
    print_json(object);
  } else {
    if (options.profile) print_layers(layers);
    print_result(report, labels, next_steps);
  }
  return report.checked && !report.agrees() ? kDisagreement : kSuccess;
}

Command add_run(CLI::App& root) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* app =
      new_command(root, "run", "Secure inference with three local party processes, one command",
                  "Examples:\n"
                  "  treville run digits.pb --input 3.png --preprocess scale=1/255 --labels labels.txt\n"
                  "  treville run model.onnx --input photo.jpg --labels classes.txt --calibrate photos/ \\\n"
                  "      --preprocess resize=227,crop=center,order=bgr,mean=104:117:123\n"
                  "  treville run model.onnx --input batch.npy --json\n"
                  "  treville run model.onnx --input image=photo.jpg --input age=age.npy   # several inputs, by name\n"
                  "  treville run model.onnx --input photo.jpg --store kept   # the weights are shared once\n\n"
                  "Compiles the model, starts the client, the model owner and the helper as three processes that talk "
                  "over TLS 1.3,\n"
                  "prints the prediction and compares it with the float model. The exit code is 1 when they disagree.",
                  options->json);
  options->model.add_to(*app);
  app->add_option(
         "--input", options->inputs,
         "An image, a .npy array, or a folder of them; of several inputs NAME=FILE for each, or a .npz archive "
         "(or a folder) with an array for each; may be repeated")
      ->required()
      ->allow_extra_args(false);  // else it would take the model that follows
  app->add_option("--labels", options->labels, "Class names, one a line");
  app->add_option(
         "--write", options->outputs,
         "Write the output to a .npy file; several outputs: a .npz archive of all, or NAME=FILE.npy, which may "
         "be repeated")
      ->allow_extra_args(false);
  app->add_option("--store", options->store,
                  "Where the three parties keep things between runs: shares of the weights, preprocessed inferences");
  app->add_flag("--preprocessed", options->preprocessed,
                "Run the online phase alone, from what `treville preprocess` left in --store");
  app->add_flag("--profile", options->profile, "Show where the time goes, layer by layer");
  app->add_flag("--no-check", options->no_check, "Do not run the float model for comparison");
  return {app, [options] {
            return run_model(*options,
                             {"treville compile MODEL -o DIR, then treville plan DIR: what each layer costs",
                              "treville compare MODEL --data SAMPLES: float, fixed point and secure, layer by layer",
                              "docs/deployment.md: the three parties on machines of their own"});
          }};
}

}  // namespace treville::cli
