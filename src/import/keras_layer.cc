#include "import/keras_layer.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace treville::import {
namespace {

using nlohmann::json;

// items_of gives a list's elements; a tuple is written {"class_name": "__tuple__", "items": [...]}.
const json* items_of(const json& value) {
  if (value.is_array()) return &value;
  if (value.is_object() && value.contains("items") && value["items"].is_array()) return &value["items"];
  return nullptr;
}

std::optional<Ints> read_ints(const json& value) {
  if (value.is_number_integer()) return Ints{value.get<int64_t>()};
  const json* items = items_of(value);
  if (items == nullptr) return {};
  Ints result;
  for (const json& item : *items) {
    if (!item.is_number_integer()) return {};
    result.push_back(item.get<int64_t>());
  }
  return result;
}

std::string name_of_weights(const LayerAddress& address) {
  std::string name;
  for (const LayerKey& key : address) name += (name.empty() ? "" : "/") + key.name;
  return name;
}

}  // namespace

KerasLayer::KerasLayer(KerasState& state, const json& config, std::string class_name, std::string name,
                       LayerAddress address, KerasCall call)
    : NodeImport(state.import, name, std::move(class_name), std::vector<ResultName>{ResultName{name}}, call.inputs),
      keras_(state),
      config_(config),
      address_(std::move(address)),
      call_(std::move(call)) {}

// --- Configuration ---------------------------------------------------------------------------------------------------

const json* KerasLayer::find(const std::string& key) const {
  if (!config_.is_object()) return nullptr;
  const auto found = config_.find(key);
  return found == config_.end() || found->is_null() ? nullptr : &*found;
}

template <class T>
T KerasLayer::wrong_type(const std::string& key, const char* expected) const {
  fail(fmt::format("its {} must be {}. The model's configuration is damaged.", key, expected));
}

bool KerasLayer::has(const std::string& key) const { return find(key) != nullptr; }

int64_t KerasLayer::get_int(const std::string& key, int64_t otherwise) const {
  const Ints values = get_ints(key, {otherwise});
  return values.size() == 1 ? values[0] : wrong_type<int64_t>(key, "one whole number");
}

double KerasLayer::get_float(const std::string& key, double otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  // Numpy scalars are written as {"class_name": "__numpy__", "config": {"value": ...}}.
  const json* number = value->is_object() && value->contains("config") && (*value)["config"].contains("value")
                           ? &(*value)["config"]["value"]
                           : value;
  if (!number->is_number() || !std::isfinite(number->get<double>())) return wrong_type<double>(key, "a number");
  return number->get<double>();
}

bool KerasLayer::get_bool(const std::string& key, bool otherwise) const {
  if (turned_ && key == "go_backwards") return !stored_bool(key, otherwise);
  return stored_bool(key, otherwise);
}

bool KerasLayer::stored_bool(const std::string& key, bool otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (value->is_number_integer()) return value->get<int64_t>() != 0;
  return value->is_boolean() ? value->get<bool>() : wrong_type<bool>(key, "true or false");
}

// An activation may be an object of its own: its name is then the class's.
std::string KerasLayer::get_string(const std::string& key, const std::string& otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (value->is_string()) return value->get<std::string>();
  for (const char* inner : {"config", "class_name"}) {
    if (value->is_object() && value->contains(inner) && (*value)[inner].is_string()) {
      return (*value)[inner].get<std::string>();
    }
  }
  return wrong_type<std::string>(key, "a name");
}

Ints KerasLayer::get_ints(const std::string& key, Ints otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  const auto ints = read_ints(*value);
  return ints ? *ints : wrong_type<Ints>(key, "whole numbers");
}

std::vector<double> KerasLayer::get_floats(const std::string& key) const {
  const json* value = find(key);
  std::vector<double> result;
  if (value == nullptr) return result;
  const json* items = items_of(*value);
  if (items == nullptr) return {get_float(key, 0)};
  for (const json& item : *items) {
    if (!item.is_number()) return wrong_type<std::vector<double>>(key, "numbers");
    result.push_back(item.get<double>());
  }
  return result;
}

Ints KerasLayer::extents(const std::string& key, size_t count, Ints otherwise) const {
  Ints values = get_ints(key, std::move(otherwise));
  if (values.size() == 1) values.resize(count, values[0]);
  if (values.size() != count || *std::min_element(values.begin(), values.end()) < 1) {
    fail(fmt::format("its {} is {}, expected {} numbers of at least 1", key, to_string(Shape(values)), count));
  }
  return values;
}

std::vector<std::pair<int64_t, int64_t>> KerasLayer::pairs(const std::string& key, size_t count) const {
  const json* value = find(key);
  std::vector<std::pair<int64_t, int64_t>> result;
  if (value == nullptr) fail(fmt::format("its {} is missing", key));
  const json* items = items_of(*value);
  if (items == nullptr || (items->size() == count && count > 1)) {
    for (size_t i = 0; i < count; ++i) {
      const auto both = read_ints(items == nullptr ? *value : (*items)[i]);
      if (both && both->size() == 1) result.emplace_back((*both)[0], (*both)[0]);
      if (both && both->size() == 2) result.emplace_back((*both)[0], (*both)[1]);
    }
  } else if (count == 1) {
    const auto both = read_ints(*value);
    if (both && both->size() == 2) result.emplace_back((*both)[0], (*both)[1]);
    if (both && both->size() == 1) result.emplace_back((*both)[0], (*both)[0]);
  }
  const bool valid = result.size() == count && std::all_of(result.begin(), result.end(), [](const auto& each) {
                       return each.first >= 0 && each.second >= 0;
                     });
  if (!valid) fail(fmt::format("its {} must be a number of at least 0, or two for each axis", key));
  return result;
}

bool KerasLayer::channels_first() const {
  const std::string format = get_string("data_format", "channels_last");
  if (format == "channels_first") return true;
  if (format != "channels_last") {
    refuse("data_format \"{}\" is not supported (supported: channels_last, channels_first)", format);
  }
  return false;
}

KerasLayer KerasLayer::part(const std::string& key, std::vector<ValueId> weights, const std::string& suffix,
                            ValueId x) const {
  const json* inner = find(key);
  const bool valid = inner != nullptr && inner->is_object() && inner->contains("config") &&
                     inner->contains("class_name") && (*inner)["class_name"].is_string();
  if (!valid) fail(fmt::format("its {} is not a layer's configuration", key));
  KerasCall call;
  call.inputs = {x};
  KerasLayer result(keras_, (*inner)["config"], (*inner)["class_name"].get<std::string>(), name() + "/" + suffix,
                    address_, std::move(call));
  result.given_weights_ = std::move(weights);
  return result;
}

std::optional<std::string> KerasLayer::class_at(const std::string& key) const {
  const json* inner = find(key);
  const bool is_layer = inner != nullptr && inner->is_object() && inner->contains("config") &&
                        (*inner)["config"].is_object() && inner->contains("class_name") &&
                        (*inner)["class_name"].is_string();
  if (!is_layer) return {};
  return (*inner)["class_name"].get<std::string>();
}

// --- Arguments -------------------------------------------------------------------------------------------------------

const KerasArgument* KerasLayer::argument(size_t position, const std::string& keyword) const {
  const auto named = call_.keyword.find(keyword);
  if (named != call_.keyword.end()) return &named->second;
  return position < call_.positional.size() ? &call_.positional[position] : nullptr;
}

ValueId KerasLayer::operand(size_t position, const std::string& keyword) {
  const KerasArgument* found = argument(position, keyword);
  if (found != nullptr && found->inputs.size() == 1) return input(found->inputs[0]);
  const auto value = argument_number(position, keyword);
  if (!value) refuse("its operand \"{}\" is neither one tensor nor one number", keyword);
  return number("operand_" + std::to_string(position), *value);
}

std::optional<Ints> KerasLayer::argument_ints(size_t position, const std::string& keyword) const {
  const KerasArgument* found = argument(position, keyword);
  if (found == nullptr || found->literal == nullptr || found->literal->is_null()) return {};
  const auto ints = read_ints(*found->literal);
  if (!ints) refuse("its argument \"{}\" is not a list of whole numbers", keyword);
  return ints;
}

std::optional<double> KerasLayer::argument_number(size_t position, const std::string& keyword) const {
  const KerasArgument* found = argument(position, keyword);
  if (found == nullptr || found->literal == nullptr || !found->literal->is_number()) return {};
  return found->literal->get<double>();
}

bool KerasLayer::argument_bool(size_t position, const std::string& keyword, bool otherwise) const {
  const KerasArgument* found = argument(position, keyword);
  if (found == nullptr || found->literal == nullptr || !found->literal->is_boolean()) return otherwise;
  return found->literal->get<bool>();
}

// --- Tensors and weights ---------------------------------------------------------------------------------------------

ValueId KerasLayer::x() {
  if (input_count() > 1) refuse("{} inputs are not supported (supported: 1)", input_count());
  return input(0);
}

int KerasLayer::rank(ValueId value) const {
  const auto found = keras_.ranks.find(value);
  if (found != keras_.ranks.end()) return found->second;
  refuse("its input has an unknown number of dimensions. Save the model with an input shape.");
}

ValueId KerasLayer::set_rank(ValueId value, int rank) {
  keras_.ranks[value] = rank;
  return value;
}

std::vector<ValueId> KerasLayer::all_weights() {
  if (given_weights_) return *given_weights_;
  const std::string layer = name_of_weights(address_);
  const auto known = keras_.loaded.find(layer);
  if (known != keras_.loaded.end()) return known->second;
  std::vector<ValueId> ids;
  for (Constant& tensor : keras_.weights->of(address_)) {
    if (!all_finite(tensor)) {
      fail("its weights hold NaN or infinite values. Train or save the model again.");
    }
    if (std::holds_alternative<IntTensor>(tensor)) tensor = to_floats(tensor);
    ids.push_back(graph().add_constant(fmt::format("{}/weight_{}", layer, ids.size()), std::move(tensor)));
  }
  return keras_.loaded.emplace(layer, std::move(ids)).first->second;
}

std::vector<ValueId> KerasLayer::weights(const std::vector<std::string>& names) {
  const std::vector<ValueId> ids = all_weights();
  if (ids.size() != names.size()) {
    std::string list;
    for (const std::string& each : names) list += (list.empty() ? "" : ", ") + each;
    fail(fmt::format("expected {} weights ({}), the file has {} for it. Save the model with its weights.", names.size(),
                     list, ids.size()));
  }
  return ids;
}

const Shape& KerasLayer::weight_shape(ValueId weight) const { return weight_values(weight).shape; }

const FloatTensor& KerasLayer::weight_values(ValueId weight) const {
  const Constant* held = keras_.import.result.graph.constant(weight);
  CHECK(held != nullptr, "a weight is not constant");
  return std::get<FloatTensor>(*held);
}

void KerasLayer::expect_shape(ValueId weight, const std::string& what, const Ints& dims) const {
  const Shape& shape = weight_shape(weight);
  bool agrees = shape.rank() == static_cast<int>(dims.size());
  for (size_t i = 0; agrees && i < dims.size(); ++i) agrees = dims[i] < 0 || shape.dims()[i] == dims[i];
  if (agrees) return;
  fail(fmt::format("its {} has shape {}, expected {} (-1: any). The weights are of another model.", what,
                   to_string(shape), to_string(Shape(dims))));
}

ValueId KerasLayer::number(const std::string& suffix, double value) {
  return constant_step(suffix, FloatTensor(Shape{}, {static_cast<float>(value)}));
}

ValueId KerasLayer::vector(const std::string& suffix, std::vector<float> values) {
  const auto count = static_cast<int64_t>(values.size());
  return constant_step(suffix, FloatTensor(Shape{count}, std::move(values)));
}

ValueId KerasLayer::reshape(const std::string& suffix, ValueId value, const Ints& shape) {
  return step(suffix, "Reshape", {value}, {{"shape", shape}, {"allow_zero", int64_t{0}}});
}

ValueId KerasLayer::transpose(const std::string& suffix, ValueId value, const Ints& perm) {
  return step(suffix, "Transpose", {value}, {{"perm", perm}});
}

}  // namespace treville::import
