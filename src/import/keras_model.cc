#include "import/keras_model.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/suggest.h"
#include "import/keras_json.h"
#include "import/keras_layer.h"
#include "import/keras_topology.h"

namespace treville::import {
namespace {

using nlohmann::json;

// Models inside models can call each other twice and twice again: a small file may ask for any number of calls.
constexpr size_t kMostCalls = 1 << 16;

// KerasImporter walks a model's calls in the order of their results, and the models inside it likewise.
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
    const ModelSpec model = read_topology(config, state_.version, state_.import.file, made_);
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
      if (++calls_ > kMostCalls) damaged("the model has too many layers");
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
    const ModelSpec model = read_topology(*layer.entry, state_.version, state_.import.file, made_);
    std::vector<ValueId> given;
    for (const auto& input : call.inputs) given.push_back(*input);
    return import(model, model.outputs, name + "/", address, &given);
  }

  std::vector<ValueId> import_layer(const LayerSpec& layer, const std::string& name, const LayerAddress& address,
                                    KerasCall call, int64_t most_read) {
    const auto inputs = call.inputs;
    const size_t nodes_before = graph().nodes.size();
    try {
      KerasLayer reader(state_, *layer.config, layer.class_name, name, address, std::move(call));
      const ValueId result = row_of(layer)(reader);
      if (most_read > 0) reader.refuse("its result {} is read; only the first is supported", most_read);
      name_result(result, name, nodes_before);
      if (!inputs.empty() && state_.ranks.count(result) == 0) {
        copy_rank(*inputs[0], result);
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
      if (std::find(node.outputs.begin(), node.outputs.end(), result) == node.outputs.end()) continue;
      node.name = name;
      graph().value(result).name = name;
      return;
    }
  }

  void copy_rank(ValueId from, ValueId to) {
    const auto known = state_.ranks.find(from);
    if (known != state_.ranks.end()) state_.ranks.emplace(to, known->second);
  }

  const ImportOptions& options_;
  KerasState state_;
  size_t calls_ = 0;
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

ImportResult import_keras_json(const json& parsed, const std::string& version, const std::string& format,
                               const KerasWeights& weights, const std::string& file, const ImportOptions& options) {
  try {
    return KerasImporter(version, format, weights, file, options).run(model_of(parsed, file));
  } catch (const json::exception&) {
    throw UserError("{}: the model's configuration is not as Keras writes it. Save the model again.", file);
  }
}

ImportResult import_keras_config(const std::string& text, const std::string& version, const std::string& format,
                                 const KerasWeights& weights, const std::string& file, const ImportOptions& options) {
  return import_keras_json(parse_json(text, file), version, format, weights, file, options);
}

}  // namespace treville::import
