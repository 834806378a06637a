// treville run: import, compile, three party processes over TLS, the prediction, and the check against the float model.
#include "cli/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "cli/local_federation.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "cli/verdicts.h"
#include "compile/reference.h"
#include "cost/cost.h"
#include "data/npy.h"
#include "program/digest.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

// Agreement of the secure result with the float model on one input.
struct Agreement {
  bool agrees = true;
  double largest_error = 0;  // of the values before a softmax
  double largest_value = 0;  // of the float model, to judge it by
  std::string float_prediction;
};

struct Sample {
  std::string name;
  NamedOutput output;
  double seconds = 0;
  Agreement agreement;
};

// The share of its range by which a value may differ and still agree, where no class decides.
constexpr double kTolerance = 0.02;

size_t best(const std::vector<float>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// post_processing finds the node that makes the output where that is the recipient's part: a softmax, or the largest.
const Node* post_processing(const Graph& graph) {
  const ValueId output = graph.outputs.front();
  for (const Node& node : graph.nodes) {
    const bool makes_output = std::find(node.outputs.begin(), node.outputs.end(), output) != node.outputs.end();
    if (makes_output && (node.op == "Softmax" || node.op == "TopK")) return &node;
  }
  return nullptr;
}

// float_reference gives what the recipient would see of the float model: what is revealed, and after post-processing.
NamedOutput float_reference(const Graph& graph, const FloatTensor& input) {
  NamedOutput result;
  const Node* post = post_processing(graph);
  const auto outputs = float_run(graph, {input}, [&](ValueId id, const Constant& value) {
    if (post != nullptr && id == post->inputs[0]) result.raw = to_floats(value);
  });
  result.is_label = std::holds_alternative<IntTensor>(outputs.front());
  result.has_softmax = post != nullptr && post->op == "Softmax";
  result.final = to_floats(outputs.front());
  if (post == nullptr) result.raw = result.final;
  return result;
}

Agreement compare_outputs(const NamedOutput& secure, const NamedOutput& reference,
                          const std::vector<std::string>& labels) {
  Agreement agreement;
  agreement.float_prediction = describe_prediction(reference, labels);
  const auto& a = secure.raw.values;
  const auto& b = reference.raw.values;
  if (a.size() != b.size()) {
    agreement.agrees = secure.is_label && !b.empty() && !a.empty() && best(b) == static_cast<size_t>(a[0]);
    return agreement;
  }
  for (size_t i = 0; i < a.size(); ++i) {
    agreement.largest_error = std::max(agreement.largest_error, static_cast<double>(std::abs(a[i] - b[i])));
    agreement.largest_value = std::max(agreement.largest_value, static_cast<double>(std::abs(b[i])));
  }
  if (secure.is_label) {
    agreement.agrees = a == b;
  } else if (is_classification(secure)) {
    // Two classes that the float model itself holds equal within the error may swap.
    agreement.agrees = best(a) == best(b) || b[best(b)] - b[best(a)] <= 2 * agreement.largest_error;
    agreement.agrees =
        agreement.agrees && agreement.largest_error <= kTolerance * std::max(1.0, agreement.largest_value);
  } else {
    agreement.agrees = agreement.largest_error <= kTolerance * std::max(1.0, agreement.largest_value);
  }
  return agreement;
}

// read_inputs takes files one by one; a .npy file with more samples than the program takes becomes several inputs.
std::vector<std::pair<std::string, FloatTensor>> read_inputs(const RunOptions& options, const Shape& shape,
                                                             const Preprocess& preprocess) {
  std::vector<std::pair<std::string, FloatTensor>> inputs;
  for (const std::string& path : options.inputs) {
    std::vector<FloatTensor> samples = read_samples(path, shape, preprocess);
    const std::string name = fs::path(path).filename().string();
    for (size_t s = 0; s < samples.size(); ++s) {
      const int64_t batches = samples[s].shape[0] / shape[0];
      if (batches * shape[0] != samples[s].shape[0]) {
        throw UserError(
            "{}: holds {} sample{}, which is no multiple of the batch, {}; give another --batch or more samples", path,
            samples[s].shape[0], samples[s].shape[0] == 1 ? "" : "s", shape[0]);
      }
      const size_t size = static_cast<size_t>(shape.elements());
      for (int64_t b = 0; b < batches; ++b) {
        FloatTensor one(shape);
        std::copy_n(samples[s].values.begin() + static_cast<std::ptrdiff_t>(size * static_cast<size_t>(b)), size,
                    one.values.begin());
        const bool several = batches > 1 || samples.size() > 1;
        inputs.emplace_back(several ? fmt::format("{}[{}]", name, s + static_cast<size_t>(b)) : name, std::move(one));
      }
    }
  }
  return inputs;
}

// names_of_folder gives the files of a folder their own names.
std::vector<std::string> expand_folders(const std::vector<std::string>& paths) {
  std::vector<std::string> expanded;
  for (const std::string& path : paths) {
    if (!fs::exists(path)) throw UserError("{}: there is no such file or folder", path);
    if (!fs::is_directory(path)) {
      expanded.push_back(path);
      continue;
    }
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(path)) {
      if (is_image(entry.path()) || entry.path().extension() == ".npy") files.push_back(entry.path().string());
    }
    if (files.empty()) throw UserError("{}: the folder holds no images and no .npy files", path);
    std::sort(files.begin(), files.end());
    expanded.insert(expanded.end(), files.begin(), files.end());
  }
  return expanded;
}

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
    return std::all_of(samples.begin(), samples.end(), [](const Sample& s) { return s.agreement.agrees; });
  }
  double largest_error() const {
    double error = 0;
    for (const Sample& sample : samples) error = std::max(error, sample.agreement.largest_error);
    return error;
  }
};

int count_layers(const Program& program) {
  return static_cast<int>(std::count_if(program.steps.begin(), program.steps.end(), [](const Step& step) {
    return std::holds_alternative<LinearStep>(step.body);
  }));
}

Json report_json(const RunReport& report, const std::vector<std::string>& labels) {
  const Program& program = report.model.compiled.program;
  Json inferences = Json::array();
  for (const Sample& sample : report.samples) {
    Json output = to_json(sample.output);
    output["predictions"] = predictions_json(sample.output, labels);
    Json inference = {{"input", sample.name},
                      {"seconds", sample.seconds},
                      {"prediction", describe_prediction(sample.output, labels)},
                      {"outputs", Json::array({output})}};
    if (report.checked) {
      inference["plaintext"] = {{"agrees", sample.agreement.agrees},
                                {"prediction", sample.agreement.float_prediction},
                                {"largest_error", sample.agreement.largest_error},
                                {"largest_value", sample.agreement.largest_value}};
    }
    inferences.push_back(std::move(inference));
  }
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
  fmt::print("  input     {} {}, {} sample{}\n", model.input_name, to_string(model.input_shape), inputs,
             inputs == 1 ? "" : "s");
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

void print_result(const RunReport& report, const std::vector<std::string>& labels,
                  const std::vector<std::string>& next_steps) {
  Table predictions({"input", "prediction", "plaintext", "largest error"});
  predictions.left(1);
  predictions.left(2);
  for (const Sample& sample : report.samples) {
    predictions.add({sample.name, describe_prediction(sample.output, labels),
                     !report.checked           ? "not checked"
                     : sample.agreement.agrees ? "agrees"
                                               : "DIFFERS: " + sample.agreement.float_prediction,
                     report.checked ? fmt::format("{:.2g}", sample.agreement.largest_error) : "-"});
  }
  fmt::print("{}\n", predictions.text());

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
  if (report.checked) {
    const auto agreeing =
        std::count_if(report.samples.begin(), report.samples.end(), [](const Sample& s) { return s.agreement.agrees; });
    fmt::print("  check     {}; largest error {:.2g}\n",
               report.agrees() ? "plaintext agrees"
                               : fmt::format("plaintext agrees on {} of {}", agreeing, report.samples.size()),
               report.largest_error());
  }
  if (report.model.compiled.program.scheme == "uncalibrated") {
    fmt::print("\n  The ranges were not calibrated: --calibrate with a few typical samples halves time and traffic.\n");
  }
  if (!next_steps.empty()) fmt::print("\nNext:\n");
  for (const std::string& line : next_steps) fmt::print("  {}\n", line);
}

std::vector<Sample> collect(const std::vector<std::pair<std::string, FloatTensor>>& inputs, const LocalResult& local,
                            const Graph& graph, const RunOptions& options, const std::vector<std::string>& labels) {
  std::vector<Sample> samples;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Json& inference = local.parties[0]["inferences"][i];
    Sample sample;
    sample.name = inputs[i].first;
    sample.output = output_from_json(inference.at("outputs").at(0));
    sample.seconds = inference.at("seconds");
    if (!options.no_check) {
      sample.agreement = compare_outputs(sample.output, float_reference(graph, inputs[i].second), labels);
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

void write_outputs(const std::string& path, const std::vector<Sample>& samples) {
  FloatTensor joined = samples.front().output.final;
  for (size_t i = 1; i < samples.size(); ++i) {
    const FloatTensor& value = samples[i].output.final;
    joined.values.insert(joined.values.end(), value.values.begin(), value.values.end());
    if (joined.shape.rank() > 0) joined.shape[0] += value.shape[0];
  }
  write_npy(path, joined);
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
  check_writable("--write", options.output);
  if (options.preprocessed && options.store.empty()) {
    throw UserError("--preprocessed needs --store DIR, the folder that `treville preprocess` filled");
  }
  const std::vector<std::string> labels = read_labels(options.labels);
  RunOptions expanded = options;
  expanded.inputs = expand_folders(options.inputs);
  CompiledModel model = compile_model(options.model);
  const Program& program = model.compiled.program;
  check_labels(labels, options.labels, program);
  auto inputs = read_inputs(expanded, model.input_shape, parse_preprocess(options.model.preprocess));
  for (const auto& [name, tensor] : inputs) encode_input(tensor, program, name);  // before anything starts
  if (!options.json) print_heading(model, options, inputs.size());

  std::vector<FloatTensor> tensors;
  for (const auto& [name, tensor] : inputs) tensors.push_back(tensor);
  const Weights weights{random_model_id(), std::move(model.compiled.constants)};
  LocalResult local;
  {
    Progress progress(options.json);
    LocalJob job;
    job.program = &program;
    job.weights = &weights;
    job.inputs = &tensors;
    job.store = options.store;
    if (options.preprocessed) job.arguments.push_back("--preprocessed");
    if (options.profile) job.arguments.push_back("--profile");
    local = run_local_parties(
        job, [&](int64_t done, int64_t total, const std::string& what) { progress.show(done, total, what); });
  }
  const CostReport cost = dry_cost("porthos", program);
  const std::vector<Sample> samples = collect(inputs, local, model.compiled.graph, options, labels);
  const RunReport report{model,
                         samples,
                         local,
                         cost,
                         cost.rounds.by_phase[static_cast<size_t>(Phase::kOnline)],
                         !options.no_check,
                         options.preprocessed};
  print_notes(local);
  const std::vector<LayerTime> layers = options.profile ? layer_times(program, cost, local) : std::vector<LayerTime>{};
  if (!options.output.empty()) write_outputs(options.output, samples);
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
                  "  treville run model.onnx --input photo.jpg --store kept   # the weights are shared once\n\n"
                  "Compiles the model, starts the client, the model owner and the helper as three processes that talk "
                  "over TLS 1.3,\n"
                  "prints the prediction and compares it with the float model. The exit code is 1 when they disagree.",
                  options->json);
  options->model.add_to(*app);
  app->add_option("--input", options->inputs, "An image, a .npy array, or a folder of them; may be repeated")
      ->required()
      ->allow_extra_args(false);  // else it would take the model that follows
  app->add_option("--labels", options->labels, "Class names, one a line");
  app->add_option("--write", options->output, "Write the outputs to a .npy file");
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
