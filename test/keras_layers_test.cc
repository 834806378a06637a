// Layers of Keras against recorded results: the cases of keras-js (input, weights, expected output; not in this
// repository) through the importer, the float meaning, the compiler and the protocols. The recordings leave out how the
// layers were configured: golden/keras_layer_cases.json has for each case a configuration with which Keras 2.15 gives
// the expected output. golden/keras_layers.txt lists how far each gets.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "import/keras_model.h"
#include "test/model_run.h"
#include "test/models.h"
#include "test/operations_survey.h"

namespace treville::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kGolden = fs::path(TREVILLE_SOURCE_DIR) / "test" / "golden";

json read_json(const fs::path& path) {
  std::ifstream stream(path);
  return json::parse(stream);
}

// tensor_of reads {"data": [...], "shape": [...]}, with a batch of one in front where asked.
FloatTensor tensor_of(const json& stored, bool batched) {
  std::vector<int64_t> dims = stored["shape"];
  if (batched) dims.insert(dims.begin(), 1);
  std::vector<float> values;
  for (const json& value : stored["data"]) values.push_back(value.get<float>());
  return {Shape(dims), std::move(values)};
}

// weight_count is how many weights a layer has in Keras.
size_t weight_count(const std::string& kind, const json& config) {
  const size_t bias = config.value("use_bias", true) ? 1 : 0;
  if (kind == "TimeDistributed") return weight_count(config["layer"]["class_name"], config["layer"]["config"]);
  if (kind == "Bidirectional") return 2 * weight_count(config["layer"]["class_name"], config["layer"]["config"]);
  if (kind == "BatchNormalization") {
    return 2 + (config.value("scale", true) ? 1 : 0) + (config.value("center", true) ? 1 : 0);
  }
  if (kind == "LSTM" || kind == "GRU" || kind == "SimpleRNN" || kind == "SeparableConv2D") return 2 + bias;
  if (kind == "PReLU") return 1;
  const bool has_kernel = kind == "Dense" || (kind.starts_with("Conv") && kind != "Concatenate");
  return has_kernel ? 1 + bias : 0;
}

// CaseModel writes a case as a functional model in the spelling of Keras 2, and gives each layer its weights.
class CaseModel {
 public:
  CaseModel(const json& test, const json& spec) {
    for (const json& input : test.contains("inputs") ? test["inputs"] : json::array({test["input"]})) {
      json shape = input["shape"];
      shape.insert(shape.begin(), 1);
      const std::string name = "x" + std::to_string(inputs_.size());
      layers_.push_back(entry("InputLayer", name, {{"batch_input_shape", shape}}, json::array()));
      input_layers_.push_back({name, 0, 0});
      inputs_.push_back(tensor_of(input, true));
    }
    for (const json& weight : test.value("weights", json::array())) left_.push_back(tensor_of(weight, false));
    if (spec.is_array()) {
      output_ = add_chain(spec, "x0");
    } else {
      // Each branch begins at an input of its own where there are several.
      std::vector<std::string> ends;
      for (const json& branch : spec["branches"]) {
        ends.push_back(add_chain(branch, fmt::format("x{}", inputs_.size() > 1 ? ends.size() : 0)));
      }
      output_ = add_chain(spec.value("after", json::array()), add(spec["merge"][0], spec["merge"][1], ends));
    }
    CHECK(next_ == left_.size(), "{} of {} weights are used", next_, left_.size());
  }

  const std::vector<FloatTensor>& inputs() const { return inputs_; }

  Graph import(const std::string& name) const {
    const json model = {{"class_name", "Functional"},
                        {"config",
                         {{"name", "case"},
                          {"layers", layers_},
                          {"input_layers", input_layers_},
                          {"output_layers", {{output_, 0, 0}}}}}};
    ImportResult result =
        import::import_keras_config(model.dump(), "2.15.0", "keras", import::NamedWeights(weights_), name, {});
    if (!result.unsupported.empty()) throw UserError("{}", result.unsupported[0].reason);
    verify(result.graph, "import");
    return std::move(result.graph);
  }

 private:
  static json entry(const std::string& kind, const std::string& name, json config, json calls) {
    config["name"] = name;
    return {{"class_name", kind}, {"name", name}, {"config", std::move(config)}, {"inbound_nodes", std::move(calls)}};
  }

  std::string add_chain(const json& layers, std::string last) {
    for (const json& layer : layers) last = add(layer[0], layer[1], {last});
    return last;
  }

  std::string add(const std::string& kind, const json& config, const std::vector<std::string>& inputs) {
    const std::string name = "layer" + std::to_string(layers_.size());
    json call = json::array();
    for (const std::string& input : inputs) call.push_back({input, 0, 0, json::object()});
    layers_.push_back(entry(kind, name, config, json::array({call})));
    const size_t count = weight_count(kind, config);
    CHECK(next_ + count <= left_.size(), "the case has too few weights for {}", kind);
    for (size_t i = 0; i < count; ++i) weights_.emplace_back(fmt::format("{}/w{}", name, i), left_[next_++]);
    return name;
  }

  json layers_ = json::array(), input_layers_ = json::array();
  std::vector<FloatTensor> inputs_;
  std::vector<FloatTensor> left_;
  size_t next_ = 0;
  std::vector<std::pair<std::string, Constant>> weights_;
  std::string output_;
};

TEST(KerasLayers, GetAsFarAsTheGoldenFileSays) {
  TREVILLE_NEED_MODELS(dir);
  const json cases = read_json(kGolden / "keras_layer_cases.json");
  std::map<std::string, std::string> levels;
  OperationsSurvey survey;
  for (const auto& file : fs::recursive_directory_iterator(dir / "keras-js-layer-tests" / "test" / "data")) {
    if (file.path().extension() != ".json") continue;
    const json tests = read_json(file.path());
    for (const auto& [name, test] : tests.items()) {
      if (!cases.contains(name)) continue;
      try {
        const CaseModel model(test, cases[name]);
        Operations operations;
        const auto import = [&] {
          Graph graph = model.import(name);
          operations = operations_of(graph);
          return graph;
        };
        levels[name] = run_level(name, import, model.inputs(), {tensor_of(test["expected"], true)}, 1e-4);
        survey.add(operations, levels[name]);
      } catch (const Mismatch& mismatch) {
        ADD_FAILURE() << name << ": " << mismatch.message;
      }
    }
  }
  EXPECT_EQ(levels.size(), cases.size());
  expect_levels("keras_layers.txt", levels, "keras_test");
  expect_survey("operations_keras_layers.txt", survey);
}

}  // namespace
}  // namespace treville::testing
