#include "import/keras_topology.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "import/keras_weights.h"

namespace treville::import {
namespace {

using nlohmann::json;

// ModelReader turns one model's configuration into a ModelSpec. Nothing of the file is trusted.
class ModelReader {
 public:
  ModelReader(const std::string& file, int version, std::deque<json>& made)
      : file_(file), version_(version), made_(made) {}

  ModelSpec read(const json& model) {
    const std::string class_name = text_of(model, "class_name");
    if (!model.contains("config")) damaged("a model has no \"config\"");
    return class_name == "Sequential" ? read_sequential(model) : read_functional(model["config"]);
  }

 private:
  [[noreturn]] void damaged(const std::string& what) const {
    throw UserError("{}: {}. The model's configuration is not as Keras writes it; save the model again.", file_, what);
  }

  std::string text_of(const json& object, const char* key) const {
    if (!object.is_object() || !object.contains(key) || !object[key].is_string()) {
      damaged(fmt::format("expected a name at \"{}\"", key));
    }
    return object[key].get<std::string>();
  }

  LayerSpec read_layer(const json& entry, std::map<std::string, int>& counts) const {
    LayerSpec layer;
    layer.entry = &entry;
    layer.class_name = text_of(entry, "class_name");
    if (!entry.contains("config")) damaged(fmt::format("a layer {} has no \"config\"", layer.class_name));
    layer.config = &entry["config"];
    layer.name = entry.contains("name") && entry["name"].is_string()           ? entry["name"].get<std::string>()
                 : layer.config->is_object() && layer.config->contains("name") ? text_of(*layer.config, "name")
                                                                               : snake_case(layer.class_name);
    if (layer.name.empty()) damaged("a layer has an empty name");
    layer.is_input = layer.class_name == "InputLayer";
    const std::string module = entry.contains("module") && entry["module"].is_string() ? text_of(entry, "module") : "";
    layer.is_function = module.find("keras.src.ops") == 0 || module.find("keras.ops") == 0;
    if (layer.is_function) return layer;
    const std::string kind = snake_case(layer.class_name);
    const int number = counts[kind]++;
    layer.kind_and_number = number == 0 ? kind : fmt::format("{}_{}", kind, number);
    return layer;
  }

  void add(ModelSpec& model, LayerSpec layer) const {
    if (!model.index.emplace(layer.name, model.layers.size()).second) {
      damaged(fmt::format("two layers are named \"{}\"", layer.name));
    }
    model.layers.push_back(std::move(layer));
  }

  // declared_shape is the entry for the shape of a layer's input, with the batch; null when there is none.
  static const json* declared_shape(const json& config) {
    for (const char* key : {"batch_input_shape", "batch_shape", "build_input_shape"}) {
      if (config.is_object() && config.contains(key) && config[key].is_array()) return &config[key];
    }
    if (config.is_object() && config.contains("layers") && config["layers"].is_array() && !config["layers"].empty()) {
      const json& first = config["layers"][0];
      if (first.is_object() && first.contains("config")) return declared_shape(first["config"]);
    }
    return nullptr;
  }

  // A Sequential model is a chain. Without an InputLayer its first layer says the shape, and the input is named after
  // that layer, as Keras does.
  ModelSpec read_sequential(const json& entry) const {
    const json& config = entry["config"];
    const json& layers = config.is_array() ? config : config.contains("layers") ? config["layers"] : config;
    if (!layers.is_array() || layers.empty()) damaged("a Sequential model has no layers");
    ModelSpec model;
    std::map<std::string, int> counts;
    std::string previous;
    for (const json& each : layers) {
      LayerSpec layer = read_layer(each, counts);
      if (previous.empty() && !layer.is_input) {
        LayerSpec input;
        input.name = layer.name + "_input";
        input.class_name = "InputLayer";
        input.is_input = true;
        const json* shape = declared_shape(*layer.config);
        if (shape == nullptr) shape = declared_shape(config);
        if (shape == nullptr && entry.contains("build_config")) shape = build_shape(entry["build_config"]);
        made_.push_back(shape == nullptr ? json::object() : json{{"batch_input_shape", *shape}});
        input.config = &made_.back();
        input.calls.emplace_back();
        previous = input.name;
        add(model, input);
        model.inputs = {{previous, 0, 0}};
      } else if (previous.empty()) {
        model.inputs = {{layer.name, 0, 0}};
      }
      CallSpec call;
      if (!layer.is_input) call.positional.push_back({{{previous, 0, 0}}, nullptr});
      layer.calls.push_back(std::move(call));
      previous = layer.name;
      add(model, std::move(layer));
    }
    model.outputs = {{previous, 0, 0}};
    return model;
  }

  static const json* build_shape(const json& build) {
    const bool found = build.is_object() && build.contains("input_shape") && build["input_shape"].is_array();
    return found ? &build["input_shape"] : nullptr;
  }

  ModelSpec read_functional(const json& config) const {
    if (!config.is_object() || !config.contains("layers") || !config["layers"].is_array()) {
      damaged("a functional model has no \"layers\"");
    }
    ModelSpec model;
    std::map<std::string, int> counts;
    for (const json& each : config["layers"]) add(model, read_layer(each, counts));
    for (LayerSpec& layer : model.layers) read_calls(layer, model);
    read_references(config, "input_layers", model, model.inputs);
    read_references(config, "output_layers", model, model.outputs);
    if (model.outputs.empty()) damaged("a functional model has no outputs");
    return model;
  }

  void read_references(const json& config, const char* key, const ModelSpec& model,
                       std::vector<TensorRef>& found) const {
    if (!config.contains(key)) damaged(fmt::format("a functional model has no \"{}\"", key));
    collect_references(config[key], model, found);
  }

  // reference_of reads ["layer", 0, 0] or Keras 3's {"class_name": "__keras_tensor__", ...}.
  std::optional<TensorRef> reference_of(const json& value, const ModelSpec& model) const {
    if (value.is_object() && value.contains("class_name") && value["class_name"] == "__keras_tensor__") {
      if (!value.contains("config") || !value["config"].contains("keras_history")) damaged("a tensor has no history");
      return reference_of(value["config"]["keras_history"], model);
    }
    const bool shaped = value.is_array() && (value.size() == 3 || value.size() == 4) && value[0].is_string() &&
                        value[1].is_number_integer() && value[2].is_number_integer();
    if (!shaped) return {};
    TensorRef reference{value[0].get<std::string>(), value[1].get<int64_t>(), value[2].get<int64_t>()};
    if (model.index.count(reference.layer) == 0) return {};
    return reference;
  }

  // collect_references finds all references inside lists and dictionaries, in order.
  void collect_references(const json& value, const ModelSpec& model, std::vector<TensorRef>& found) const {
    if (const auto reference = reference_of(value, model)) {
      found.push_back(*reference);
    } else if (value.is_array()) {
      const bool names_a_layer = value.size() == 3 && value[0].is_string() && value[1].is_number();
      if (names_a_layer)
        damaged(fmt::format("it reads layer \"{}\", which it does not have", value[0].get<std::string>()));
      for (const json& each : value) collect_references(each, model, found);
    } else if (value.is_object()) {
      for (const auto& [key, each] : value.items()) collect_references(each, model, found);
    }
  }

  ArgumentSpec argument_of(const json& value, const ModelSpec& model) const {
    ArgumentSpec argument;
    collect_references(value, model, argument.tensors);
    if (argument.tensors.empty()) argument.literal = &value;
    return argument;
  }

  void read_calls(LayerSpec& layer, const ModelSpec& model) const {
    if (!layer.entry->contains("inbound_nodes") || !(*layer.entry)["inbound_nodes"].is_array()) {
      damaged(fmt::format("layer \"{}\" has no \"inbound_nodes\"", layer.name));
    }
    for (const json& node : (*layer.entry)["inbound_nodes"]) layer.calls.push_back(read_call(node, layer, model));
    if (layer.is_input) layer.calls.resize(1);
    layer.first_call = is_model(layer) && begins_with_a_call_of_its_own(layer) ? 1 : 0;
  }

  // A model that was built has a call of its own from before it became a layer; references count it.
  bool begins_with_a_call_of_its_own(const LayerSpec& layer) const {
    if (version_ >= 3) return layer.class_name != "Sequential";
    return declared_shape(*layer.config) != nullptr;
  }

  CallSpec read_call(const json& node, const LayerSpec& layer, const ModelSpec& model) const {
    CallSpec call;
    const json* keywords = nullptr;
    if (node.is_object()) {  // Keras 3
      if (!node.contains("args") || !node["args"].is_array())
        damaged(fmt::format("a call of \"{}\" has no \"args\"", layer.name));
      for (const json& argument : node["args"]) call.positional.push_back(argument_of(argument, model));
      if (node.contains("kwargs")) keywords = &node["kwargs"];
    } else if (node.is_array() && !node.empty()) {
      // One list for each tensor; a function of one tensor has its list alone.
      const bool alone = node[0].is_string();
      ArgumentSpec first;
      for (size_t i = 0; i < (alone ? size_t{1} : node.size()); ++i) {
        const json& each = alone ? node : node[i];
        if (each.is_array() && each.size() >= 3 && each[0] == "_CONSTANT_VALUE") {
          first.literal = &each[2];
        } else if (const auto reference = reference_of(each, model)) {
          first.tensors.push_back(*reference);
        } else {
          damaged(fmt::format("a call of \"{}\" reads what the model does not have", layer.name));
        }
        if (i == 0 && each.size() > 3 && each[3].is_object()) keywords = &each[3];
      }
      call.positional.push_back(std::move(first));
    } else {
      damaged(fmt::format("a call of layer \"{}\" is not a list", layer.name));
    }
    if (keywords != nullptr && keywords->is_object()) {
      for (const auto& [key, value] : keywords->items()) call.keyword[key] = argument_of(value, model);
    }
    return call;
  }

  const std::string& file_;
  int version_;
  std::deque<json>& made_;
};

}  // namespace

bool is_model(const LayerSpec& layer) {
  const bool named =
      layer.class_name == "Sequential" || layer.class_name == "Functional" || layer.class_name == "Model";
  return named && layer.config != nullptr && (layer.config->is_array() || layer.config->contains("layers"));
}

ModelSpec read_topology(const json& model, int version, const std::string& file, std::deque<json>& made) {
  return ModelReader(file, version, made).read(model);
}

}  // namespace treville::import
