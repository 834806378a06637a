#include "import/tflite.h"

#include <algorithm>
#include <unordered_map>

#include "base/suggest.h"

namespace treville::import {
namespace {

// TfliteImporter walks the operators once, in the file's order, which is the order of execution.
class TfliteImporter {
 public:
  TfliteImporter(std::span<const uint8_t> bytes, const std::string& file, const ImportOptions& options)
      : model_(read_tflite(bytes, file)), options_(options), decodable_(2 * static_cast<int64_t>(bytes.size())) {
    state_.file = file;
    state_.result.graph.name = file;
    state_.result.graph.format = "tflite";
  }

  ImportResult run() {
    choose_outputs();
    mark_needed();
    for (int64_t index : model_.inputs) add_input(index);
    for (size_t i = 0; i < model_.operators.size(); ++i) {
      if (needed_[i]) import_operator(model_.operators[i]);
    }
    for (int64_t index : outputs_) {
      const auto id = value_of(index, "the model's outputs");
      state_.result.graph.outputs.push_back(id);
    }
    check_option_names(state_, options_);
    return std::move(state_.result);
  }

 private:
  const TfliteTensor& tensor(int64_t index) const { return model_.tensors[static_cast<size_t>(index)]; }

  void choose_outputs() {
    for (const std::string& name : options_.outputs) {
      const auto found = std::find_if(model_.tensors.begin(), model_.tensors.end(),
                                      [&](const TfliteTensor& each) { return each.name == name; });
      if (found == model_.tensors.end()) {
        std::vector<std::string_view> known;
        for (const TfliteTensor& each : model_.tensors) known.push_back(each.name);
        throw UserError("{}: the model has no tensor \"{}\" to compute{}", state_.file, name,
                        did_you_mean(name, known));
      }
      outputs_.push_back(found - model_.tensors.begin());
    }
    if (outputs_.empty()) outputs_ = model_.outputs;
    if (outputs_.empty()) throw UserError("{}: the model names no output", state_.file);
  }

  void mark_needed() {
    wanted_.insert(outputs_.begin(), outputs_.end());
    needed_.resize(model_.operators.size());
    for (size_t i = model_.operators.size(); i-- > 0;) {
      const TfliteOperator& each = model_.operators[i];
      needed_[i] = std::any_of(each.outputs.begin(), each.outputs.end(),
                               [&](int64_t index) { return wanted_.count(index) > 0; });
      if (needed_[i]) wanted_.insert(each.inputs.begin(), each.inputs.end());
    }
  }

  // is_image: an input of bytes that the model itself turns into numbers is a float for its user.
  bool is_image(int64_t index) const {
    if (tensor(index).type != ElementType::kUint8 && tensor(index).type != ElementType::kInt8) return false;
    bool is_read = false;
    for (size_t i = 0; i < model_.operators.size(); ++i) {
      const Ints& inputs = model_.operators[i].inputs;
      if (!needed_[i] || std::find(inputs.begin(), inputs.end(), index) == inputs.end()) continue;
      if (model_.operators[i].code != "CAST") return false;
      is_read = true;
    }
    return is_read;
  }

  // Inputs that the outputs do not depend on are left out.
  void add_input(int64_t index) {
    const TfliteTensor& source = tensor(index);
    if (wanted_.count(index) == 0) return;
    if (values_.count(index) > 0) {
      throw UserError("{}: input \"{}\" is listed twice. The file is damaged.", state_.file, source.name);
    }
    if (!source.type) {
      throw UserError("{}: input \"{}\" has element type {}, supported are floats and integers", state_.file,
                      source.name, source.type_name);
    }
    Value value;
    value.name = source.name;
    const bool image = !source.is_quantised() && is_image(index);
    value.dtype = is_float(*source.type) || source.is_quantised() || image ? DType::kFloat : DType::kInt;
    value.shape = choose_input_shape(state_.file, source.name, source.shape, options_);
    value.declared_range = quantised_range(source);
    if (image) value.declared_range = source.type == ElementType::kUint8 ? Interval{0, 255} : Interval{-128, 127};
    const ValueId id = state_.result.graph.add_value(std::move(value));
    state_.result.graph.inputs.push_back(id);
    values_.emplace(index, id);
  }

  // value_of finds a tensor's value; stored ones become constants when they are first read.
  ValueId value_of(int64_t index, const std::string& reader) {
    const auto found = values_.find(index);
    if (found != values_.end()) return found->second;
    const TfliteTensor& source = tensor(index);
    const std::string where = fmt::format("{}: {}: tensor \"{}\"", state_.file, reader, source.name);
    const ValueId id = state_.result.graph.add_constant(source.name, constant_of(source, where));
    values_.emplace(index, id);
    return id;
  }

  // constant_of reads stored tensors; the states of recurrent operators are variables, zero before the first step.
  Constant constant_of(const TfliteTensor& source, const std::string& where) {
    if (source.is_variable && !source.data) {
      const int64_t elements = checked_elements(source.shape.dims(), where);
      state_.fills.spend(elements, where);
      return FloatTensor(source.shape);
    }
    if (!source.data) throw UserError("{}: nothing before it computes it. The file is damaged.", where);
    // Tensors may share a buffer, so the file's size does not bound what they hold together.
    decodable_ -= static_cast<int64_t>(source.data->size()) * (source.is_int4 ? 2 : 1);
    if (decodable_ < 0) throw UserError("{}: too many tensors share their data. The file is damaged.", where);
    return decode_tflite_tensor(source, where);
  }

  void import_operator(const TfliteOperator& source) {
    const std::string& name = tensor(source.outputs[0]).name;
    const std::string reader = fmt::format("node \"{}\" ({})", name, source.code);
    std::vector<std::optional<ValueId>> inputs;
    const size_t nodes_before = state_.result.graph.nodes.size();
    try {
      for (int64_t index : source.inputs) {
        inputs.push_back(index == kNoTensor ? std::optional<ValueId>() : value_of(index, reader));
      }
      if (source.is_custom) {
        throw Refusal{"custom operators are not supported. Convert the model with built-in operators only."};
      }
      const TfliteRow* row = find_tflite_row(source.code);
      if (row == nullptr) throw Refusal{"not supported"};
      TfliteNode node(state_, model_, source, result_names(source), inputs);
      row->import(node);
      node.check_results();
      for (size_t i = 0; i < source.outputs.size(); ++i) {
        if (wanted_.count(source.outputs[i]) > 0) define_output(node.result(i), source.outputs[i]);
      }
    } catch (const Refusal& refusal) {
      state_.result.graph.nodes.resize(nodes_before);
      std::vector<std::string> names;
      for (int64_t index : source.outputs) names.push_back(tensor(index).name);
      const auto ids = refuse_node(state_, name, source.code, refusal.reason, inputs, names);
      for (size_t i = 0; i < ids.size(); ++i) define(source.outputs[i], ids[i]);
    }
  }

  std::vector<ResultName> result_names(const TfliteOperator& source) const {
    std::vector<ResultName> names;
    for (int64_t index : source.outputs) {
      const bool kept = std::count(outputs_.begin(), outputs_.end(), index) > 0;
      names.push_back({tensor(index).name, kept, wanted_.count(index) > 0});
    }
    return names;
  }

  void define_output(ValueId id, int64_t index) {
    define(index, id);
    Value& value = state_.result.graph.value(id);
    if (!value.constant && !value.declared_range) value.declared_range = quantised_range(tensor(index));
  }

  void define(int64_t index, ValueId id) {
    if (!values_.emplace(index, id).second) {
      throw UserError("{}: tensor \"{}\" is computed twice, or after it was read. The file is damaged.", state_.file,
                      tensor(index).name);
    }
  }

  const TfliteModel model_;
  const ImportOptions& options_;
  ImportState state_;
  std::unordered_map<int64_t, ValueId> values_;
  Ints outputs_;
  std::set<int64_t> wanted_;  // tensors that needed operators read, and the outputs
  std::vector<bool> needed_;
  int64_t decodable_;  // bytes of stored tensors that may still be read
};

}  // namespace

ImportResult import_tflite(std::span<const uint8_t> bytes, const std::string& file, const ImportOptions& options) {
  return TfliteImporter(bytes, file, options).run();
}

TfliteNode::TfliteNode(ImportState& state, const TfliteModel& model, const TfliteOperator& source,
                       std::vector<ResultName> results, std::vector<std::optional<ValueId>> inputs)
    : NodeImport(state, results[0].name, source.code, results, std::move(inputs)), model_(model), source_(source) {}

const Attribute& TfliteNode::option(const std::string& key) const {
  const auto found = source_.options.find(key);
  if (found == source_.options.end()) fail(fmt::format("its option {} is missing. The file is damaged.", key));
  return found->second;
}

const TfliteTensor& TfliteNode::input_tensor(size_t i) const {
  if (!has_input(i)) fail(fmt::format("input {} is missing", i));
  return model_.tensors[static_cast<size_t>(source_.inputs[i])];
}

const TfliteTensor& TfliteNode::output_tensor(size_t i) const {
  return model_.tensors[static_cast<size_t>(source_.outputs[i])];
}

int64_t TfliteNode::axis_of(size_t i, int64_t axis) const {
  const int rank = input_shape(i).rank();
  if (axis < -rank || axis >= rank) fail(fmt::format("axis {} of shape {}", axis, to_string(input_shape(i))));
  return axis < 0 ? axis + rank : axis;
}

int64_t TfliteNode::extent(size_t i, int64_t axis) const {
  const int64_t dim = input_shape(i)[static_cast<int>(axis_of(i, axis))];
  if (dim < 0) refuse("dimension {} of its input is open. Convert the model with a fixed shape.", axis);
  return dim;
}

}  // namespace treville::import
