#include "import/keras_model.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "base/suggest.h"
#include "import/keras_json.h"
#include "import/keras_layer.h"
#include "import/tfjs_weights.h"
#include "import/zip_archive.h"

namespace treville::import {
namespace {

using nlohmann::json;

constexpr size_t kMostNodes = 1 << 16;

// TensorRef names a result: of which layer, which of its calls, which of the call's results.
struct TensorRef {
  std::string layer;
  int64_t call = 0, tensor = 0;
};

struct ArgumentSpec {
  std::vector<TensorRef> tensors;
  const json* literal = nullptr;
};

struct CallSpec {
  std::vector<ArgumentSpec> positional;
  std::map<std::string, ArgumentSpec> keyword;
};

struct LayerSpec {
  std::string name, class_name, kind_and_number;
  const json* entry = nullptr;   // the whole entry
  const json* config = nullptr;  // its "config"
  std::vector<CallSpec> calls;
  int64_t first_call = 0;  // the number that references give the first of `calls`
  bool is_input = false;
  bool is_function = false;  // an operation of Keras 3: it has no weights and is no layer
};

struct ModelSpec {
  std::vector<LayerSpec> layers;
  std::map<std::string, size_t> index;
  std::vector<TensorRef> inputs, outputs;
};

bool is_model(const LayerSpec& layer) {
  const bool named =
      layer.class_name == "Sequential" || layer.class_name == "Functional" || layer.class_name == "Model";
  return named && layer.config != nullptr && (layer.config->is_array() || layer.config->contains("layers"));
}

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

class KerasImporter {
 public:
  KerasImporter(const std::string& version, const std::string& format, const KerasWeights& weights,
                const std::string& file, const ImportOptions& options)
      : options_(options) {
    state_.import.file = file;
    state_.import.result.graph.name = file;
    state_.import.result.graph.format = format;
    state_.weights = &weights;
    std::from_chars(version.data(), version.data() + version.size(), state_.version);
  }

  ImportResult run(const json& config) {
    const ModelSpec model = ModelReader(state_.import.file, state_.version, made_).read(config);
    std::vector<TensorRef> outputs = model.outputs;
    if (!options_.outputs.empty()) outputs = chosen_outputs(model);
    const std::vector<ValueId> values = import(model, outputs, "", {}, nullptr);
    for (size_t i = 0; i < values.size(); ++i) {
      graph().outputs.push_back(named_output(values[i], outputs[i].layer));
    }
    check_option_names(state_.import, options_);
    return std::move(state_.import.result);
  }

 private:
  Graph& graph() { return state_.import.result.graph; }

  [[noreturn]] void damaged(const std::string& what) const {
    throw UserError("{}: {}. The model's configuration is damaged; save the model again.", state_.import.file, what);
  }

  std::vector<TensorRef> chosen_outputs(const ModelSpec& model) const {
    std::vector<TensorRef> outputs;
    for (const std::string& name : options_.outputs) {
      const auto found = model.index.find(name);
      if (found == model.index.end()) {
        std::vector<std::string_view> known;
        for (const LayerSpec& layer : model.layers) known.push_back(layer.name);
        throw UserError("{}: the model has no layer \"{}\" to compute{}", state_.import.file, name,
                        did_you_mean(name, known));
      }
      outputs.push_back({name, model.layers[found->second].first_call, 0});
    }
    return outputs;
  }

  // named_output gives an output the name of its layer, which is the one that the model's user knows.
  ValueId named_output(ValueId id, const std::string& name) {
    Graph& g = graph();
    const auto& taken = g.outputs;
    const bool renamable = g.constant(id) == nullptr && std::find(taken.begin(), taken.end(), id) == taken.end() &&
                           std::find(g.inputs.begin(), g.inputs.end(), id) == g.inputs.end();
    if (renamable) {
      g.value(id).name = name;
      return id;
    }
    return g.add_node("Identity", name, {id}, {}, g.value(id).dtype);
  }

  // Call is one call of one layer of the model in hand.
  using Call = std::pair<size_t, size_t>;

  Call call_of(const ModelSpec& model, const TensorRef& reference) const {
    const auto found = model.index.find(reference.layer);
    CHECK(found != model.index.end(), "a reference to an unknown layer was accepted");
    const LayerSpec& layer = model.layers[found->second];
    const auto count = static_cast<int64_t>(layer.calls.size());
    int64_t call = reference.call - layer.first_call;
    if (call < 0 || call >= count) call = reference.call;
    if (call < 0 || call >= count || reference.tensor < 0 || reference.tensor > 1000) {
      damaged(fmt::format("result {} of call {} of layer \"{}\" is read, which has {} calls", reference.tensor,
                          reference.call, layer.name, count));
    }
    return {found->second, static_cast<size_t>(call)};
  }

  static void for_each_reference(const CallSpec& call, const auto& action) {
    for (const ArgumentSpec& argument : call.positional) {
      for (const TensorRef& reference : argument.tensors) action(reference);
    }
    for (const auto& [key, argument] : call.keyword) {
      for (const TensorRef& reference : argument.tensors) action(reference);
    }
  }

  // needed_in_order gives the calls that the outputs depend on, each after those it reads.
  std::vector<Call> needed_in_order(const ModelSpec& model, const std::vector<TensorRef>& outputs) const {
    std::map<Call, bool> done;  // false: on the way
    std::vector<Call> order;
    std::vector<std::pair<Call, bool>> stack;
    for (const TensorRef& output : outputs) stack.emplace_back(call_of(model, output), false);
    std::reverse(stack.begin(), stack.end());
    while (!stack.empty()) {
      const auto [call, inputs_done] = stack.back();
      stack.pop_back();
      if (inputs_done) {
        done[call] = true;
        order.push_back(call);
        continue;
      }
      if (!done.emplace(call, false).second) {
        if (!done[call]) {  // its inputs lead back to it
          damaged(fmt::format("layer \"{}\" reads its own result", model.layers[call.first].name));
        }
        continue;
      }
      stack.emplace_back(call, true);
      std::vector<Call> inputs;
      for_each_reference(model.layers[call.first].calls[call.second],
                         [&](const TensorRef& reference) { inputs.push_back(call_of(model, reference)); });
      for (auto input = inputs.rbegin(); input != inputs.rend(); ++input) stack.emplace_back(*input, false);
    }
    return order;
  }

  // import translates one model. `given` are the values of its inputs when it is a layer of another.
  std::vector<ValueId> import(const ModelSpec& model, const std::vector<TensorRef>& outputs, const std::string& prefix,
                              const LayerAddress& address, const std::vector<ValueId>* given) {
    std::map<Call, std::vector<ValueId>> values;
    import_inputs(model, outputs, prefix, given, values);
    std::map<Call, int64_t> reads;  // the highest result that is read
    const auto note = [&](const TensorRef& reference) {
      int64_t& most = reads[call_of(model, reference)];
      most = std::max(most, reference.tensor);
    };
    const std::vector<Call> order = needed_in_order(model, outputs);
    for (const TensorRef& output : outputs) note(output);
    for (const Call& call : order) for_each_reference(model.layers[call.first].calls[call.second], note);
    const auto value_of = [&](const TensorRef& reference) {
      const std::vector<ValueId>& results = values.at(call_of(model, reference));
      const auto tensor = static_cast<size_t>(reference.tensor);
      if (tensor >= results.size()) damaged(fmt::format("result {} of layer \"{}\" is read", tensor, reference.layer));
      return results[tensor];
    };
    for (const Call& call : order) {
      const LayerSpec& layer = model.layers[call.first];
      if (layer.is_input) {
        if (values.count(call) == 0) damaged(fmt::format("input \"{}\" is not among the model's inputs", layer.name));
        continue;
      }
      if (graph().nodes.size() > kMostNodes) damaged("the model has too many layers");
      values[call] = import_call(layer, call.second, prefix, address, value_of, reads[call]);
    }
    std::vector<ValueId> results;
    for (const TensorRef& output : outputs) results.push_back(value_of(output));
    return results;
  }

  // Inputs keep the model's order; those that no output depends on are left out.
  void import_inputs(const ModelSpec& model, const std::vector<TensorRef>& outputs, const std::string& prefix,
                     const std::vector<ValueId>* given, std::map<Call, std::vector<ValueId>>& values) {
    if (given != nullptr && given->size() != model.inputs.size()) {
      damaged(fmt::format("the inner model \"{}\" has {} inputs, it is called with {}", prefix, model.inputs.size(),
                          given->size()));
    }
    const std::vector<Call> needed = needed_in_order(model, outputs);
    for (size_t i = 0; i < model.inputs.size(); ++i) {
      const Call call = call_of(model, model.inputs[i]);
      if (given != nullptr) {
        values[call] = {(*given)[i]};
      } else if (std::find(needed.begin(), needed.end(), call) != needed.end() && values.count(call) == 0) {
        values[call] = {graph_input(model.layers[call.first])};
      }
    }
  }

  ValueId graph_input(const LayerSpec& layer) {
    if (!layer.is_input) damaged(fmt::format("the model's input \"{}\" is not an InputLayer", layer.name));
    std::optional<Shape> declared;
    for (const char* key : {"batch_input_shape", "batch_shape"}) {
      if (!layer.config->is_object() || !layer.config->contains(key)) continue;
      const json& list = (*layer.config)[key];
      const json& dims = list.is_object() && list.contains("items") ? list["items"] : list;
      if (!dims.is_array() || dims.size() > 16)
        damaged(fmt::format("the shape of input \"{}\" is not a list", layer.name));
      Ints shape;
      for (const json& dim : dims) {
        if (!dim.is_null() && !dim.is_number_integer()) damaged(fmt::format("the shape of input \"{}\"", layer.name));
        shape.push_back(dim.is_null() ? -1 : dim.get<int64_t>());
        if (shape.back() < -1) damaged(fmt::format("the shape of input \"{}\" is negative", layer.name));
      }
      declared = Shape(shape);
    }
    Value value;
    value.name = layer.name;
    value.shape = choose_input_shape(state_.import.file, layer.name, declared, options_);
    if (!value.shape) {
      throw UserError(
          "{}: the model does not say the shape of its input \"{}\". Build it (model.build) and save it "
          "again, or give the shape.",
          state_.import.file, layer.name);
    }
    const Shape shape = *value.shape;
    const ValueId id = graph().add_value(std::move(value));
    state_.ranks[id] = shape.rank();
    if (shape.rank() > 2) state_.steps[id] = shape[1];
    graph().inputs.push_back(id);
    return id;
  }

  // import_call translates one call of a layer into its results.
  std::vector<ValueId> import_call(const LayerSpec& layer, size_t number, const std::string& prefix,
                                   const LayerAddress& address, const auto& value_of, int64_t most_read) {
    KerasCall call;
    const auto resolve = [&](const ArgumentSpec& spec) {
      KerasArgument argument;
      argument.literal = spec.literal;
      for (const TensorRef& reference : spec.tensors) {
        argument.inputs.push_back(call.inputs.size());
        call.inputs.push_back(value_of(reference));
      }
      return argument;
    };
    const CallSpec& spec = layer.calls[number];
    for (const ArgumentSpec& argument : spec.positional) call.positional.push_back(resolve(argument));
    for (const auto& [key, argument] : spec.keyword) call.keyword[key] = resolve(argument);
    const std::string name = prefix + layer.name + (number == 0 ? std::string() : fmt::format("@{}", number + 1));
    LayerAddress inner = address;
    inner.push_back({layer.name, layer.kind_and_number});
    if (is_model(layer)) return import_inner_model(layer, name, inner, call);
    return import_layer(layer, name, inner, std::move(call), most_read);
  }

  std::vector<ValueId> import_inner_model(const LayerSpec& layer, const std::string& name, const LayerAddress& address,
                                          const KerasCall& call) {
    const ModelSpec model = ModelReader(state_.import.file, state_.version, made_).read(*layer.entry);
    std::vector<ValueId> given;
    for (const auto& input : call.inputs) given.push_back(*input);
    return import(model, model.outputs, name + "/", address, &given);
  }

  std::vector<ValueId> import_layer(const LayerSpec& layer, const std::string& name, const LayerAddress& address,
                                    KerasCall call, int64_t most_read) {
    const auto inputs = call.inputs;
    const size_t nodes_before = graph().nodes.size();
    if (!inputs.empty()) note_built_steps(layer, *inputs[0]);
    try {
      KerasLayer reader(state_, *layer.config, layer.class_name, name, address, std::move(call));
      const ValueId result = row_of(layer)(reader);
      if (most_read > 0) reader.refuse("its result {} is read; only the first is supported", most_read);
      name_result(result, name, nodes_before);
      if (!inputs.empty() && state_.ranks.count(result) == 0) {
        copy_rank(*inputs[0], result);
        if (keeps_steps(layer)) copy_steps(*inputs[0], result);
      }
      return {result};
    } catch (const Refusal& refusal) {
      graph().nodes.resize(nodes_before);
      std::vector<std::string> names;
      for (int64_t i = 0; i <= most_read; ++i) names.push_back(i == 0 ? name : fmt::format("{}:{}", name, i));
      const auto ids = refuse_node(state_.import, name, layer.class_name, refusal.reason, inputs, names);
      for (ValueId id : ids) {
        if (!inputs.empty()) copy_rank(*inputs[0], id);
      }
      return ids;
    }
  }

  static KerasImport row_of(const LayerSpec& layer) {
    const KerasRow* row = nullptr;
    if (layer.is_function) {
      row = find_keras_function(layer.class_name);
    } else if (layer.class_name == "TFOpLambda" || layer.class_name == "SlicingOpLambda") {
      const bool named =
          layer.config->is_object() && layer.config->contains("function") && (*layer.config)["function"].is_string();
      const std::string function = named ? (*layer.config)["function"].get<std::string>() : "?";
      row = find_keras_function(function);
      if (row == nullptr) throw Refusal{fmt::format("the function \"{}\" is not supported", function)};
    } else {
      row = find_keras_row(layer.class_name);
    }
    if (row == nullptr) {
      throw Refusal{"not supported. Express it with other layers, or end the model before it (name earlier outputs)."};
    }
    return row->import;
  }

  // name_result calls the operation that computes the layer's result by the layer's name.
  void name_result(ValueId result, const std::string& name, size_t nodes_before) {
    for (size_t i = graph().nodes.size(); i-- > nodes_before;) {
      Node& node = graph().nodes[i];
      if (node.outputs[0] != result) continue;
      node.name = name;
      graph().value(result).name = name;
      return;
    }
  }

  // keeps_steps: the layer changes no dimension but the last. Convolutions, pools and moves may change the first.
  static bool keeps_steps(const LayerSpec& layer) {
    const std::string& name = layer.class_name;
    return !layer.is_function && find_conv_row(name) == nullptr && find_pool_row(name) == nullptr &&
           find_recurrent_row(name) == nullptr && name != "Permute" && name != "Concatenate" && name != "Dot" &&
           name != "TFOpLambda";
  }

  // note_built_steps takes the length of a sequence from the shape that Keras 2.13 and later note with each layer.
  void note_built_steps(const LayerSpec& layer, ValueId input) {
    if (!layer.entry->contains("build_config") || !(*layer.entry)["build_config"].is_object()) return;
    const json& build = (*layer.entry)["build_config"];
    if (!build.contains("input_shape") || !build["input_shape"].is_array()) return;
    const json& shape = build["input_shape"];
    if (shape.size() > 2 && shape[1].is_number_integer()) state_.steps.emplace(input, shape[1].get<int64_t>());
  }

  void copy_steps(ValueId from, ValueId to) {
    const auto known = state_.steps.find(from);
    if (known != state_.steps.end()) state_.steps.emplace(to, known->second);
  }

  void copy_rank(ValueId from, ValueId to) {
    const auto known = state_.ranks.find(from);
    if (known != state_.ranks.end()) state_.ranks.emplace(to, known->second);
  }

  const ImportOptions& options_;
  KerasState state_;
  std::deque<json> made_;  // configurations that the file leaves out
};

// model_of finds the model in what a file says about it: TensorFlow.js wraps it in "model_config".
const json& model_of(const json& parsed, const std::string& file) {
  const json& model = parsed.is_object() && parsed.contains("model_config") ? parsed["model_config"] : parsed;
  if (!model.is_object() || !model.contains("class_name") || !model.contains("config")) {
    throw UserError("{}: the configuration is not a Keras model. Save the model again with model.save.", file);
  }
  const json& kind = model["class_name"];
  if (kind == "Sequential" || kind == "Functional" || kind == "Model") return model;
  throw UserError(
      "{}: the model is a class of its own ({}), of which the file does not say how it computes. Build it "
      "as a Sequential or functional model, or convert it to a SavedModel or to ONNX.",
      file, kind.is_string() ? kind.get<std::string>() : "?");
}

}  // namespace

ImportResult import_keras_config(const std::string& text, const std::string& version, const std::string& format,
                                 const KerasWeights& weights, const std::string& file, const ImportOptions& options) {
  const json parsed = parse_json(text, file);
  try {
    return KerasImporter(version, format, weights, file, options).run(model_of(parsed, file));
  } catch (const json::exception&) {
    throw UserError("{}: the model's configuration is not as Keras writes it. Save the model again.", file);
  }
}

ImportResult import_keras_h5(std::string bytes, const std::string& file, const ImportOptions& options) {
  const Hdf5File container(std::move(bytes), file);
  const auto config = container.string_attribute("", "model_config");
  if (!config) {
    throw UserError("{}: the file holds no model, perhaps only weights. Save the whole model with model.save.", file);
  }
  const LegacyWeights weights(container, container.exists("model_weights") ? "model_weights" : "");
  return import_keras_config(*config, container.string_attribute("", "keras_version").value_or("2"), "keras-h5",
                             weights, file, options);
}

ImportResult import_keras_archive(std::string bytes, const std::string& file, const ImportOptions& options) {
  constexpr uint64_t kMostText = uint64_t{1} << 26, kMostWeights = uint64_t{1} << 31;
  const ZipArchive archive(std::move(bytes), file);
  const auto config = archive.entry("config.json", kMostText);
  auto packed = archive.entry("model.weights.h5", kMostWeights);
  if (!config || !packed) {
    throw UserError(
        "{}: expected config.json and model.weights.h5 in the archive. It is not a .keras file; save the "
        "model with model.save(\"model.keras\").",
        file);
  }
  std::string version = "3";
  if (const auto metadata = archive.entry("metadata.json", kMostText)) {
    const json parsed = parse_json(*metadata, file);
    if (parsed.is_object() && parsed.contains("keras_version") && parsed["keras_version"].is_string()) {
      version = parsed["keras_version"].get<std::string>();
    }
  }
  const Hdf5File container(std::move(*packed), file);
  return import_keras_config(*config, version, "keras", ArchiveWeights(container), file, options);
}

// A list keeps the manifest's order, which is the order of a layer's weights.
NamedWeights tfjs_weights(const json& manifest, const std::filesystem::path& folder, const std::string& file) {
  std::map<std::string, Constant> tensors = read_tfjs_weights(manifest, folder, file);
  std::vector<std::pair<std::string, Constant>> ordered;
  for (const json& group : manifest) {
    for (const json& weight : group["weights"]) {
      const auto found = tensors.find(weight["name"].get<std::string>());
      if (found != tensors.end()) ordered.emplace_back(found->first, std::move(found->second));
    }
  }
  return NamedWeights(std::move(ordered));
}

std::optional<ImportResult> import_tfjs_layers(const std::string& text, const std::filesystem::path& folder,
                                               const std::string& file, const ImportOptions& options) {
  const json parsed = parse_json(text, file);
  if (!parsed.is_object()) return {};
  if (parsed.contains("class_name") && parsed.contains("config")) {
    throw UserError("{}: this is a model's configuration without weights. Save the whole model with model.save.", file);
  }
  if (!parsed.contains("modelTopology")) return {};
  const json& topology = parsed["modelTopology"];
  if (!topology.is_object() || topology.contains("node")) return {};
  if (!parsed.contains("weightsManifest")) throw UserError("{}: it has no weights. Convert the model again.", file);
  try {
    const NamedWeights weights = tfjs_weights(parsed["weightsManifest"], folder, file);
    const bool versioned = topology.contains("keras_version") && topology["keras_version"].is_string();
    const std::string version = versioned ? topology["keras_version"].get<std::string>() : "2";
    return KerasImporter(version, "tfjs-layers", weights, file, options).run(model_of(topology, file));
  } catch (const json::exception&) {
    throw UserError("{}: the model's configuration is not as TensorFlow.js writes it. Convert the model again.", file);
  }
}

}  // namespace treville::import
