#include "cli/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/suggest.h"
#include "base/text.h"
#include "import/import.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

Interval parse_interval(const std::string& text) {
  const size_t colon = text.find(':');
  try {
    if (colon != std::string::npos) {
      size_t low_end = 0, high_end = 0;
      const std::string low_text = text.substr(0, colon), high_text = text.substr(colon + 1);
      const Interval interval{std::stod(low_text, &low_end), std::stod(high_text, &high_end)};
      if (low_end == low_text.size() && high_end == high_text.size() && interval.low < interval.high) return interval;
    }
  } catch (const std::logic_error&) {
  }
  throw UserError("--input-range: '{}' is not LOW:HIGH, two numbers such as 0:1", text);
}

Ranges parse_ranges(const std::string& text) {
  if (text == "calibrated") return Ranges::kCalibrated;
  if (text == "synthetic") return Ranges::kSynthetic;
  if (text == "guaranteed") return Ranges::kGuaranteed;
  throw UserError("--ranges: '{}' is not known{}", text, did_you_mean(text, {"calibrated", "synthetic", "guaranteed"}));
}

// input_interval: from --input-range, else what the preprocessing can produce, else [-1, 1].
Interval input_interval(const ModelOptions& options) {
  if (!options.input_range.empty()) return parse_interval(options.input_range);
  if (!options.preprocess.empty()) {
    const auto [low, high] = value_interval(parse_preprocess(options.preprocess));
    return {low, high};
  }
  return {-1, 1};
}

// parse_shapes reads --shape: "input=1,224,224,3" each.
std::map<std::string, Shape> parse_shapes(const std::vector<std::string>& texts) {
  std::map<std::string, Shape> shapes;
  for (const std::string& text : texts) {
    const auto refuse = [&] {
      throw UserError("--shape: '{}' is not NAME=1,224,224,3, an input and its extents", text);
    };
    const size_t equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0) refuse();
    std::vector<int64_t> extents;
    for (const std::string& part : split(std::string_view(text).substr(equals + 1), ',')) {
      int64_t extent = 0;
      const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), extent);
      if (error != std::errc() || end != part.data() + part.size() || extent < 1) refuse();
      extents.push_back(extent);
    }
    if (!shapes.emplace(text.substr(0, equals), Shape(extents)).second)
      throw UserError("--shape: {} is given twice", text.substr(0, equals));
  }
  return shapes;
}

}  // namespace

void ModelFile::add_to(CLI::App& app) {
  app.add_option(
         "MODEL", model,
         "The model: TensorFlow SavedModel (its folder), frozen graph (.pb) or Lite (.tflite), Keras (.h5, .keras), "
         "TensorFlow.js (model.json) or ONNX (.onnx)")
      ->required();
  app.add_option("--batch", batch, "The value of a dynamic batch dimension (default 1)")->check(CLI::Range(1, 4096));
  app.add_option("--shape", shapes,
                 "The shape of an input that the model leaves open: NAME=1,224,224,3; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--signature", signature, "Which signature of a SavedModel (default serving_default)");
}

ImportOptions ModelFile::import_options() const {
  ImportOptions options;
  options.batch = batch.value_or(1);
  options.input_shapes = parse_shapes(shapes);
  options.signature = signature;
  return options;
}

void ModelOptions::add_to(CLI::App& app) {
  ModelFile::add_to(app);
  app.add_option("--calibrate", calibrate,
                 "Samples that show the range of every value: a .npy file (batch first), an image, or a folder; of "
                 "several inputs a .npz archive, or a folder with NAME.npy for each. "
                 "Chooses the 32-bit ring; without it the program is marked uncalibrated and takes 64 bits, unless the "
                 "model is a quantised one, which brings its ranges");
  app.add_option("--preprocess", preprocess,
                 "For images: resize=N|WxH,crop=center,order=rgb|bgr,mean=A:B:C,std=A:B:C,scale=S,invert=1");
  app.add_option("--ring", ring, "Bits of the ring, 32 or 64")->check(CLI::IsMember({32, 64}));
  app.add_option("--bits", bits, "Widest opened value k (default 20 in the 32-bit ring, 40 in the 64-bit ring)")
      ->check(CLI::Range(4, 60));
  app.add_option("--margin", margin, "Bits of room above the largest value seen (default 2)")->check(CLI::Range(0, 16));
  app.add_option("--ranges", ranges, "Where ranges come from: calibrated, synthetic or guaranteed (interval proof)");
  app.add_option("--input-range", input_range, "LOW:HIGH of input values, when they are not calibrated");
  app.add_option("--output", outputs, "Name of an output to compute (default: those of the model); may be repeated")
      ->allow_extra_args(false);
  app.add_flag("--top-1", top1, "Reveal the label of the largest output only, not the values");
  app.add_option("--dump-after", dump_after, "Print the graph or program after a pass (to stderr); may be repeated")
      ->allow_extra_args(false);
}

CompiledModel compile_model(const ModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const Preprocess preprocess = parse_preprocess(options.preprocess);
  ImportOptions import_options = options.import_options();
  import_options.outputs = options.outputs;
  Graph graph = import_model(options.model, import_options);
  CompiledModel result;
  result.inputs = inputs_of(graph, options.model);
  result.format = describe_format(graph.format);

  CompileOptions compile_options;
  compile_options.ranges = parse_ranges(options.ranges);
  compile_options.batch = options.batch.value_or(1);
  compile_options.preprocess = options.preprocess;
  compile_options.input_range = input_interval(options);
  compile_options.reveal_label_only = options.top1;
  if (options.ring) compile_options.ring = *options.ring == 32 ? Ring::k32 : Ring::k64;
  if (options.bits) compile_options.k = Bits(*options.bits);
  if (options.margin) compile_options.margin_bits = *options.margin;
  if (!options.calibrate.empty()) {
    compile_options.calibration = read_samples(options.calibrate, result.inputs, preprocess);
  }
  std::set<std::string> passes;
  compile_options.dump_after = [&](std::string_view pass, const std::string& text) {
    passes.emplace(pass);
    for (const std::string& wanted : options.dump_after) {
      if (wanted == pass || wanted == "all") fmt::print(stderr, "--- after {}\n{}\n", pass, text);
    }
  };
  result.compiled = compile(std::move(graph), compile_options);
  for (const std::string& wanted : options.dump_after) {
    if (wanted != "all" && passes.count(wanted) == 0) {
      throw UserError("--dump-after: there is no pass '{}' (all, {})", wanted, fmt::join(passes, ", "));
    }
  }
  result.compiled.program.model = fs::path(options.model).filename().string();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::vector<std::string> read_labels(const std::string& path) {
  std::vector<std::string> labels;
  if (path.empty()) return labels;
  std::ifstream file(path);
  if (!file) throw UserError("{}: cannot open the labels", path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    labels.push_back(line);
    if (labels.size() > 1'000'000 || line.size() > 10'000 || line.find('\0') != std::string::npos) {
      throw UserError("{}: not a list of class names, one a line", path);
    }
  }
  return labels;
}

void check_labels(const std::vector<std::string>& labels, const std::string& path, const Program& program) {
  if (labels.empty()) return;
  std::string outputs;
  for (const Step& step : program.steps) {
    const auto* output = std::get_if<OutputStep>(&step.body);
    if (output == nullptr) continue;
    const Shape& shape = step.type.shape;
    const int64_t classes = shape.rank() == 0 ? 1 : shape[shape.rank() - 1];
    if (step.type.is_index || static_cast<int64_t>(labels.size()) == classes) return;
    outputs += fmt::format("{}{} {}", outputs.empty() ? "" : ", ", output->name, classes);
  }
  throw UserError("--labels: {} has {} names, which fits no output of {} (values: {}); give one name for each value",
                  path, labels.size(), program.model, outputs);
}

void check_writable(const std::string& option, const std::string& path) {
  if (path.empty()) return;
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  if (fs::is_directory(path)) throw UserError("{}: {} is a folder; name a file", option, path);
  if (!fs::is_directory(folder)) throw UserError("{}: there is no folder {}", option, folder.string());
  if (::access(folder.c_str(), W_OK) != 0)
    throw UserError("{}: the folder {} cannot be written to", option, folder.string());
}

std::vector<Prediction> top_classes(std::span<const float> values, size_t n, const std::vector<std::string>& labels) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  n = std::min(n, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(),
                    [&](size_t a, size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  std::vector<Prediction> top;
  for (size_t i = 0; i < n; ++i) {
    const size_t index = order[i];
    top.push_back({index, values[index], index < labels.size() ? labels[index] : fmt::format("class {}", index)});
  }
  return top;
}

bool looks_like_probabilities(std::span<const float> values) {
  double sum = 0;
  for (float value : values) {
    if (!(value >= -1e-4f)) return false;
    sum += value;
  }
  return std::abs(sum - 1) < 1e-3;
}

std::string describe_format(const std::string& format) {
  if (format == "onnx") return "ONNX";
  if (format == "tensorflow-graphdef") return "TensorFlow frozen graph";
  if (format == "tensorflow-saved-model") return "TensorFlow SavedModel";
  if (format == "tensorflow-js") return "TensorFlow.js graph model";
  if (format == "tflite") return "TensorFlow Lite";
  if (format == "keras-h5") return "Keras HDF5";
  if (format == "keras") return "Keras archive";
  if (format == "tfjs-layers") return "TensorFlow.js layers model";
  return format;
}

}  // namespace treville::cli
