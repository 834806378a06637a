// treville compare: a model in float, in cleartext fixed point and secure, layer by layer, with the first layer that
// diverges. Everything runs in this process: it is a tool of the model's owner, who may see all values.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "base/error.h"
#include "cli/agreement.h"
#include "cli/command.h"
#include "cli/dataset.h"
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

// RunValues are those of all steps, and the outputs.
struct RunValues {
  StepValues steps;
  std::vector<NamedOutput> outputs;
};

RunValues clear_values(const Compiled& compiled, const std::map<std::string, RingTensor>& inputs) {
  RunValues values;
  LocalRunOptions options;
  options.observe = [&](PartyId, Phase) {
    StepObserver observer;
    observer.after = [&](StepId id, const Step& step, const Shared* result) {
      if (result != nullptr) values.steps[index_of(id)] = decode_plane(result->plane(), step.type);
    };
    return observer;
  };
  const LocalRunResult run = run_local("clear", compiled.program, compiled.constants, inputs, options);
  values.outputs = decode_outputs(run.outputs[index_of(PartyId::kEvaluator)]);
  return values;
}

// secure_values runs porthos between three parties in memory and adds the planes of D and E of every step.
RunValues secure_values(const Compiled& compiled, const std::map<std::string, RingTensor>& inputs, uint32_t inference) {
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
  const LocalRunResult run = run_local("porthos", compiled.program, compiled.constants, inputs, options);
  RunValues values;
  values.outputs = decode_outputs(run.outputs[index_of(PartyId::kDealer)]);
  for (const auto& [step, sum] : sums) values.steps[step] = decode_plane(sum, compiled.program.steps[step].type);
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
RunValues float_values(const Compiled& compiled, const std::vector<FloatTensor>& inputs) {
  std::map<std::string, FloatTensor> by_node;
  std::map<ValueId, std::string> names;
  for (const Node& node : compiled.graph.nodes) names[node.outputs[0]] = node.name;
  RunValues values;
  values.outputs = float_outputs(compiled, inputs, [&](ValueId id, const Constant& value) {
    const auto* tensor = std::get_if<FloatTensor>(&value);
    if (tensor != nullptr && names.count(id)) by_node[names[id]] = *tensor;
  });
  std::map<std::string, uint32_t> last;
  const auto& steps = compiled.program.steps;
  for (uint32_t i = 0; i < steps.size(); ++i) {
    if (!std::holds_alternative<OutputStep>(steps[i].body)) last[steps[i].layer] = i;
  }
  const std::map<std::string, std::string> biases = bias_nodes(compiled.graph);
  for (const auto& [layer, step] : last) {
    const auto* linear = std::get_if<LinearStep>(&steps[step].body);
    const bool has_bias =
        linear != nullptr && linear->bias && biases.count(layer) > 0 && last.count(biases.at(layer)) == 0;
    const auto found = by_node.find(has_bias ? biases.at(layer) : layer);
    if (found == by_node.end() || steps[step].type.is_index) continue;
    if (found->second.shape.elements() == steps[step].type.shape.elements()) values.steps[step] = found->second;
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

// OutputError is what the samples showed of one output, as it is revealed: before a softmax.
struct OutputError {
  std::string name;
  double largest_value = 0;  // of the float model
  double clear_error = 0, secure_error = 0;
};

// add_outputs widens the errors of one way of computing by what one inference showed; labels count as the numbers they
// are.
void add_outputs(const std::vector<NamedOutput>& reference, const std::vector<NamedOutput>& computed,
                 double OutputError::*of, std::vector<OutputError>& errors) {
  CHECK(reference.size() == computed.size(), "{} outputs for {}", computed.size(), reference.size());
  errors.resize(reference.size());
  for (size_t k = 0; k < reference.size(); ++k) {
    errors[k].name = reference[k].name;
    const Agreement agreement = agreement_of(computed[k], reference[k], {});
    errors[k].largest_value = std::max(errors[k].largest_value, agreement.largest_value);
    errors[k].*of = std::max(errors[k].*of, agreement.largest_error);
  }
}

struct Comparison {
  std::vector<LayerError> layers;
  std::vector<OutputError> outputs;
  std::vector<std::string> range_problems;
  int64_t samples = 0;
  bool secure = true;
  double tolerance = 0;

  template <class Error>
  double worst(const Error& error) const {
    return std::max(error.clear_error, secure ? error.secure_error : 0);
  }
  template <class Error>
  bool diverges(const Error& error) const {
    return worst(error) > tolerance * std::max(error.largest_value, 1e-6);
  }
  // first_divergence is the first layer, or output, beyond the tolerance; null where there is none.
  template <class Error>
  const Error* first_divergence(const std::vector<Error>& errors) const {
    const auto found = std::find_if(errors.begin(), errors.end(), [&](const Error& one) { return diverges(one); });
    return found == errors.end() ? nullptr : &*found;
  }
  double largest_output_error() const {
    double largest = 0;
    for (const OutputError& output : outputs) largest = std::max(largest, worst(output));
    return largest;
  }
  bool agrees() const {
    return first_divergence(layers) == nullptr && first_divergence(outputs) == nullptr && range_problems.empty();
  }
};

Comparison compare_samples(const CompiledModel& model, Dataset& data, const Options& options) {
  const Program& program = model.compiled.program;
  std::map<uint32_t, LayerError> errors;
  Comparison result;
  result.secure = !options.no_secure;
  result.tolerance = options.tolerance;
  Progress progress(options.json);
  for (int64_t first = 0; first < data.size(); first += data.batch()) {
    progress.show(first, data.size(), fmt::format("sample {}", first + 1));
    const Inference inference = data.inference(first);
    const std::map<std::string, RingTensor> inputs = encode_inputs(inference, model.inputs, program);
    const auto number = static_cast<uint32_t>(first / data.batch());
    const RunValues clear = clear_values(model.compiled, inputs);
    const RunValues secure = options.no_secure ? RunValues{} : secure_values(model.compiled, inputs, number);
    const RunValues reference = float_values(model.compiled, inference.values);
    add_sample(model.compiled, reference.steps, clear.steps, secure.steps, errors);
    add_outputs(reference.outputs, clear.outputs, &OutputError::clear_error, result.outputs);
    if (!options.no_secure) add_outputs(reference.outputs, secure.outputs, &OutputError::secure_error, result.outputs);
    const CheckedRun checked = check_ranges(program, model.compiled.constants, inputs);
    if (!checked.ranges.ok()) result.range_problems.push_back(checked.ranges.message());
    result.samples = std::min(first + data.batch(), data.size());
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
  Json outputs = Json::array();
  for (const OutputError& output : comparison.outputs) {
    Json row = {
        {"name", output.name}, {"largest_value", output.largest_value}, {"fixed_point_error", output.clear_error}};
    if (comparison.secure) row["secure_error"] = output.secure_error;
    row["diverges"] = comparison.diverges(output);
    outputs.push_back(std::move(row));
  }
  const LayerError* first = comparison.first_divergence(comparison.layers);
  const OutputError* first_output = comparison.first_divergence(comparison.outputs);
  return {{"model", program.model},
          {"ring", static_cast<int>(program.ring)},
          {"scheme", program.scheme},
          {"samples", comparison.samples},
          {"tolerance", comparison.tolerance},
          {"largest_output_error", comparison.largest_output_error()},
          {"first_divergence", first ? Json(first->layer) : Json()},
          {"first_output_divergence", first_output ? Json(first_output->name) : Json()},
          {"range_problems", comparison.range_problems},
          {"layers", layers},
          {"outputs", outputs}};
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
  for (const OutputError& output : comparison.outputs) {
    table.add({output.name, "output", fmt::format("{:.4g}", output.largest_value),
               fmt::format("{:.2g}", output.clear_error),
               comparison.secure ? fmt::format("{:.2g}", output.secure_error) : "-",
               fmt::format("{:.3f} %", 100 * comparison.worst(output) / std::max(output.largest_value, 1e-30)),
               comparison.diverges(output) ? "<- diverges" : ""});
  }
  fmt::print("{}\n", table.text());
  for (const std::string& problem : comparison.range_problems) fmt::print("  ranges: {}\n", problem);
  const LayerError* first = comparison.first_divergence(comparison.layers);
  const OutputError* first_output = comparison.first_divergence(comparison.outputs);
  if (first == nullptr && first_output == nullptr) {
    fmt::print(
        "  No layer and no output differs by more than {:.3g} % of its largest value; the outputs by at most "
        "{:.2g}.\n",
        100 * comparison.tolerance, comparison.largest_output_error());
    return;
  }
  if (first != nullptr)
    fmt::print("  The first layer that differs by more than {:.3g} % of its largest value is {}.\n",
               100 * comparison.tolerance, first->layer);
  if (first_output != nullptr)
    fmt::print("  The first output that differs by more than {:.3g} % of its largest value is {}.\n",
               100 * comparison.tolerance, first_output->name);
  fmt::print("  Calibrate with more samples, raise --margin or --bits, or use --ring 64.\n");
}

int compare(const Options& options) {
  const CompiledModel model = compile_model(options.model);
  Dataset data(options.data, model.inputs, parse_preprocess(options.model.preprocess), options.samples);
  const Comparison comparison = compare_samples(model, data, options);
  CHECK(!comparison.layers.empty(), "no step of the program stands for a node of the model");
  if (options.json) {
    print_json(comparison_json(comparison, model.compiled.program));
  } else {
    print_comparison(comparison, model.compiled.program);
  }
  return comparison.agrees() ? kSuccess : kDisagreement;
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
      "Runs the model three ways in this process and shows the largest error of each layer and output, and the first\n"
      "layer and output that diverges. The exit code is 1 when one does, or when a value leaves its range.",
      options->json);
  options->model.add_to(*app);
  app->add_option("--data", options->data,
                  "Samples: a .npy file (batch first), an image, or a folder; of several inputs a .npz archive, or a "
                  "folder with NAME.npy for each")
      ->required();
  app->add_option("--samples", options->samples, "Use the first N samples only")->check(CLI::Range(1, 1'000'000));
  app->add_option("--tolerance", options->tolerance,
                  "A layer diverges beyond this share of its largest value (default 0.05)")
      ->check(CLI::Range(0.0, 1.0));
  app->add_flag("--no-secure", options->no_secure, "Float and fixed point only");
  return {app, [options] { return compare(*options); }};
}

}  // namespace treville::cli
