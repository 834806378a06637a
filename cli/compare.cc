// treville compare: a model in float, in cleartext fixed point and secure, layer by layer, with the first layer that
// diverges. Everything runs in this process: it is a tool of the model's owner, who may see all values.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "base/error.h"
#include "cli/command.h"
#include "cli/model.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "compile/reference.h"
#include "run/check_ranges.h"
#include "run/local_run.h"

namespace treville::cli {
namespace {

struct Options {
  ModelOptions model;
  std::string data;
  double tolerance = 0.05;
  int samples = 0;
  bool no_secure = false;
  bool json = false;
};

// Values of one run, decoded, by step.
using StepValues = std::map<uint32_t, FloatTensor>;

// LayerError is what the samples showed of one step whose result is a value of the float model.
struct LayerError {
  uint32_t step = 0;
  std::string operation, layer;
  double largest_value = 0;  // of the float model
  double clear_error = 0;    // largest |fixed point - float|
  double secure_error = 0;   // largest |secure - float|
  double secure_units = 0;   // largest |secure - fixed point| in units of the step's scale
};

FloatTensor decode_plane(const RingTensor& plane, const SlotType& type) {
  return decode(Public{plane.clone(), type.modulus}, type);
}

StepValues clear_values(const Compiled& compiled, const std::map<std::string, RingTensor>& inputs) {
  StepValues values;
  LocalRunOptions options;
  options.observe = [&](PartyId, Phase) {
    StepObserver observer;
    observer.after = [&](StepId id, const Step& step, const Shared* result) {
      if (result != nullptr) values[index_of(id)] = decode_plane(result->plane(), step.type);
    };
    return observer;
  };
  run_local("clear", compiled.program, compiled.constants, inputs, options);
  return values;
}

// secure_values runs porthos between three parties in memory and adds the planes of D and E of every step.
StepValues secure_values(const Compiled& compiled, const std::map<std::string, RingTensor>& inputs,
                         uint32_t inference) {
  std::map<uint32_t, RingTensor> sums;
  std::mutex mutex;
  LocalRunOptions options;
  options.inference = inference;
  options.observe = [&](PartyId party, Phase phase) {
    StepObserver observer;
    const bool holds = (party == PartyId::kDealer && phase == Phase::kOffline) ||
                       (party == PartyId::kEvaluator && phase == Phase::kOnline);
    if (!holds) return observer;
    observer.after = [&](StepId id, const Step&, const Shared* result) {
      if (result == nullptr) return;
      const std::lock_guard lock(mutex);
      const auto found = sums.find(index_of(id));
      if (found == sums.end()) {
        sums[index_of(id)] = result->plane().clone();
      } else {
        dispatch(result->ring(), [&](auto word) {
          const auto to = found->second.as<decltype(word)>();
          const auto from = result->plane().as<decltype(word)>();
          for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
        });
      }
    };
    return observer;
  };
  run_local("porthos", compiled.program, compiled.constants, inputs, options);
  StepValues values;
  for (const auto& [step, sum] : sums) values[step] = decode_plane(sum, compiled.program.steps[step].type);
  return values;
}

// bias_nodes maps a node to the one that adds a constant to it, where nothing else reads it: a linear step computes
// both and bears the first one's name.
std::map<std::string, std::string> bias_nodes(const Graph& graph) {
  std::map<ValueId, std::vector<const Node*>> readers;
  std::map<ValueId, const Node*> producers;
  for (const Node& node : graph.nodes) {
    for (const ValueId input : node.inputs) readers[input].push_back(&node);
    producers[node.outputs[0]] = &node;
  }
  std::map<std::string, std::string> result;
  for (const auto& [value, nodes] : readers) {
    if (nodes.size() != 1 || producers.count(value) == 0) continue;
    const Node& add = *nodes.front();
    const bool adds_constant =
        std::any_of(add.inputs.begin(), add.inputs.end(), [&](ValueId id) { return graph.constant(id) != nullptr; });
    if (add.op == "Add" && adds_constant) result[producers[value]->name] = add.name;
  }
  return result;
}

// float_values gives the float model's value for every step that ends a node: the last step of its layer.
StepValues float_values(const Compiled& compiled, const FloatTensor& input) {
  std::map<std::string, FloatTensor> by_node;
  std::map<ValueId, std::string> names;
  for (const Node& node : compiled.graph.nodes) names[node.outputs[0]] = node.name;
  float_run(compiled.graph, {input}, [&](ValueId id, const Constant& value) {
    const auto* tensor = std::get_if<FloatTensor>(&value);
    if (tensor != nullptr && names.count(id)) by_node[names[id]] = *tensor;
  });
  std::map<std::string, uint32_t> last;
  const auto& steps = compiled.program.steps;
  for (uint32_t i = 0; i < steps.size(); ++i) {
    if (!std::holds_alternative<OutputStep>(steps[i].body)) last[steps[i].layer] = i;
  }
  const std::map<std::string, std::string> biases = bias_nodes(compiled.graph);
  StepValues values;
  for (const auto& [layer, step] : last) {
    const auto* linear = std::get_if<LinearStep>(&steps[step].body);
    const bool has_bias =
        linear != nullptr && linear->bias && biases.count(layer) > 0 && last.count(biases.at(layer)) == 0;
    const auto found = by_node.find(has_bias ? biases.at(layer) : layer);
    if (found == by_node.end() || steps[step].type.is_index) continue;
    if (found->second.shape.elements() == steps[step].type.shape.elements()) values[step] = found->second;
  }
  return values;
}

double largest_difference(const FloatTensor& a, const FloatTensor& b) {
  double largest = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a.values[i]) - static_cast<double>(b.values[i])));
  }
  return largest;
}

void add_sample(const Compiled& compiled, const StepValues& reference, const StepValues& clear,
                const StepValues& secure, std::map<uint32_t, LayerError>& errors) {
  for (const auto& [index, value] : reference) {
    const Step& step = compiled.program.steps[index];
    LayerError& error = errors[index];
    error.step = index;
    error.operation = name_of(step.body);
    error.layer = step.layer;
    for (float v : value.values) error.largest_value = std::max(error.largest_value, static_cast<double>(std::abs(v)));
    error.clear_error = std::max(error.clear_error, largest_difference(clear.at(index), value));
    if (secure.empty()) continue;
    error.secure_error = std::max(error.secure_error, largest_difference(secure.at(index), value));
    const double unit = std::ldexp(1.0, -step.type.scale.value()) / static_cast<double>(step.type.divisor);
    error.secure_units = std::max(error.secure_units, largest_difference(secure.at(index), clear.at(index)) / unit);
  }
}

struct Comparison {
  std::vector<LayerError> layers;
  std::vector<std::string> range_problems;
  int64_t samples = 0;
  bool secure = true;
  double tolerance = 0;

  double worst(const LayerError& layer) const { return std::max(layer.clear_error, secure ? layer.secure_error : 0); }
  bool diverges(const LayerError& layer) const {
    return worst(layer) > tolerance * std::max(layer.largest_value, 1e-6);
  }
  const LayerError* first_divergence() const {
    for (const LayerError& layer : layers) {
      if (diverges(layer)) return &layer;
    }
    return nullptr;
  }
};

Comparison compare_samples(const CompiledModel& model, const std::vector<FloatTensor>& samples,
                           const Options& options) {
  const Program& program = model.compiled.program;
  const auto& step = std::get<InputStep>(program.steps.front().body);
  std::map<uint32_t, LayerError> errors;
  Comparison result;
  result.secure = !options.no_secure;
  result.tolerance = options.tolerance;
  Progress progress(options.json);
  for (const FloatTensor& sample : samples) {
    progress.show(result.samples, static_cast<int64_t>(samples.size()), fmt::format("sample {}", result.samples + 1));
    std::map<std::string, RingTensor> inputs;
    inputs[step.name] = encode_input(sample, program, options.data);
    const StepValues secure =
        options.no_secure ? StepValues{} : secure_values(model.compiled, inputs, static_cast<uint32_t>(result.samples));
    add_sample(model.compiled, float_values(model.compiled, sample), clear_values(model.compiled, inputs), secure,
               errors);
    const CheckedRun checked = check_ranges(program, model.compiled.constants, inputs);
    if (!checked.ranges.ok()) result.range_problems.push_back(checked.ranges.message());
    ++result.samples;
  }
  for (auto& [index, error] : errors) result.layers.push_back(std::move(error));
  return result;
}

Json comparison_json(const Comparison& comparison, const Program& program) {
  Json layers = Json::array();
  for (const LayerError& layer : comparison.layers) {
    Json row = {{"step", layer.step},
                {"operation", layer.operation},
                {"layer", layer.layer},
                {"largest_value", layer.largest_value},
                {"fixed_point_error", layer.clear_error}};
    if (comparison.secure) {
      row["secure_error"] = layer.secure_error;
      row["secure_units"] = layer.secure_units;
    }
    row["diverges"] = comparison.diverges(layer);
    layers.push_back(std::move(row));
  }
  const LayerError* first = comparison.first_divergence();
  const LayerError& last = comparison.layers.back();
  return {{"model", program.model},
          {"ring", static_cast<int>(program.ring)},
          {"scheme", program.scheme},
          {"samples", comparison.samples},
          {"tolerance", comparison.tolerance},
          {"largest_output_error", comparison.worst(last)},
          {"first_divergence", first ? Json(first->layer) : Json()},
          {"range_problems", comparison.range_problems},
          {"layers", layers}};
}

void print_comparison(const Comparison& comparison, const Program& program) {
  fmt::print("{}: {} sample{}, ring Z_2^{}, {}\n\n", program.model, comparison.samples,
             comparison.samples == 1 ? "" : "s", static_cast<int>(program.ring), program.scheme);
  Table table({"layer", "operation", "largest value", "fixed-point error", "secure error", "of the value", ""});
  table.left(1);
  table.left(6);
  for (const LayerError& layer : comparison.layers) {
    table.add({layer.layer, layer.operation, fmt::format("{:.4g}", layer.largest_value),
               fmt::format("{:.2g}", layer.clear_error),
               comparison.secure ? fmt::format("{:.2g}", layer.secure_error) : "-",
               fmt::format("{:.3f} %", 100 * comparison.worst(layer) / std::max(layer.largest_value, 1e-30)),
               comparison.diverges(layer) ? "<- diverges" : ""});
  }
  fmt::print("{}\n", table.text());
  for (const std::string& problem : comparison.range_problems) fmt::print("  ranges: {}\n", problem);
  const LayerError* first = comparison.first_divergence();
  if (first != nullptr) {
    fmt::print(
        "  The first layer that differs by more than {:.3g} % of its largest value is {}.\n"
        "  Calibrate with more samples, raise --margin or --bits, or use --ring 64.\n",
        100 * comparison.tolerance, first->layer);
  } else {
    fmt::print("  No layer differs by more than {:.3g} % of its largest value; the last one by at most {:.2g}.\n",
               100 * comparison.tolerance, comparison.worst(comparison.layers.back()));
  }
}

int compare(const Options& options) {
  const CompiledModel model = compile_model(options.model);
  std::vector<FloatTensor> samples;
  for (const FloatTensor& read :
       read_samples(options.data, model.input_shape, parse_preprocess(options.model.preprocess))) {
    const size_t size = static_cast<size_t>(model.input_shape.elements());
    for (size_t at = 0; at + size <= read.values.size(); at += size) {
      samples.emplace_back(model.input_shape,
                           std::vector<float>(read.values.begin() + static_cast<std::ptrdiff_t>(at),
                                              read.values.begin() + static_cast<std::ptrdiff_t>(at + size)));
    }
  }
  if (options.samples > 0 && samples.size() > static_cast<size_t>(options.samples)) {
    samples.resize(static_cast<size_t>(options.samples));
  }
  if (samples.empty())
    throw UserError("{}: too few samples for the program's batch of {}", options.data, model.input_shape[0]);
  const Comparison comparison = compare_samples(model, samples, options);
  CHECK(!comparison.layers.empty(), "no step of the program stands for a node of the model");
  if (options.json) {
    print_json(comparison_json(comparison, model.compiled.program));
  } else {
    print_comparison(comparison, model.compiled.program);
  }
  return comparison.first_divergence() == nullptr && comparison.range_problems.empty() ? kSuccess : kDisagreement;
}

}  // namespace

Command add_compare(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app = new_command(
      root, "compare", "Float, cleartext fixed point and secure, layer by layer",
      "Examples:\n"
      "  treville compare model.onnx --data photos/ --calibrate photos/ --preprocess "
      "resize=224,crop=center,scale=1/255\n"
      "  treville compare digits.pb --data samples.npy --calibrate calibration.npy --samples 3\n\n"
      "Runs the model three ways in this process and shows the largest error of each layer and the first layer that\n"
      "diverges. The exit code is 1 when one does, or when a value leaves its range.",
      options->json);
  options->model.add_to(*app);
  app->add_option("--data", options->data, "Samples: a .npy file (batch first), an image, or a folder")->required();
  app->add_option("--samples", options->samples, "Use the first N samples only")->check(CLI::Range(1, 1'000'000));
  app->add_option("--tolerance", options->tolerance,
                  "A layer diverges beyond this share of its largest value (default 0.05)")
      ->check(CLI::Range(0.0, 1.0));
  app->add_flag("--no-secure", options->no_secure, "Float and fixed point only");
  return {app, [options] { return compare(*options); }};
}

}  // namespace treville::cli
