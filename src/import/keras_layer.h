// KerasLayer is what a row of the Keras table works with: one call of one layer, its configuration, its weights and the
// tensors it is called with. A row builds the layer's operations and returns their result; what it cannot express it
// refuses with a reason.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "import/keras_weights.h"
#include "import/node_import.h"

namespace treville::import {

// KerasState is what one import carries from layer to layer.
struct KerasState {
  ImportState import;
  const KerasWeights* weights = nullptr;
  int version = 2;  // of Keras: 1, 2 or 3
  // How many dimensions a value has, the batch included; absent when not known.
  std::map<ValueId, int> ranks;
  std::map<std::string, std::vector<ValueId>> loaded;  // weights, by the name of their layer with those around it
};

// KerasArgument is one argument of a call: tensors (places among the call's inputs) or a value written in the file.
struct KerasArgument {
  std::vector<size_t> inputs;
  const nlohmann::json* literal = nullptr;
};

struct KerasCall {
  std::vector<std::optional<ValueId>> inputs;
  std::vector<KerasArgument> positional;
  std::map<std::string, KerasArgument> keyword;
};

class KerasLayer : public NodeImport {
 public:
  // `name` is unique in the model; `address` leads to the weights.
  KerasLayer(KerasState& state, const nlohmann::json& config, std::string class_name, std::string name,
             LayerAddress address, KerasCall call);

  // --- Configuration. An absent or null entry gives the default; another type throws UserError.
  bool has(const std::string& key) const;
  int64_t get_int(const std::string& key, int64_t otherwise) const;
  double get_float(const std::string& key, double otherwise) const;
  bool get_bool(const std::string& key, bool otherwise) const;
  std::string get_string(const std::string& key, const std::string& otherwise) const;
  // A single number stands for a list of one.
  Ints get_ints(const std::string& key, Ints otherwise) const;
  std::vector<double> get_floats(const std::string& key) const;
  // extents reads `count` positive numbers; a single one stands for all.
  Ints extents(const std::string& key, size_t count, Ints otherwise) const;
  // pairs reads [before, after] for each of `count` axes, from 1, [2,1] or [[2,1],[0,3]].
  std::vector<std::pair<int64_t, int64_t>> pairs(const std::string& key, size_t count) const;
  // channels_first is whether data_format says so; layout is "NCHW" or "NHWC" for any number of spatial axes.
  bool channels_first() const;
  std::string layout() const { return channels_first() ? "NCHW" : "NHWC"; }
  // part is a view of an inner layer's configuration (of a wrapper): {"class_name", "config"} at `key`. It has this
  // layer's input and name; weights() are the given ones.
  KerasLayer part(const std::string& key, std::vector<ValueId> weights, const std::string& suffix, ValueId x) const;
  // class_at is the class of a layer at `key`, when there stands an object with a configuration of its own.
  std::optional<std::string> class_at(const std::string& key) const;
  // turn_around makes a recurrent layer go the other way than its configuration says.
  void turn_around(bool turned) { turned_ = turned; }
  const std::string& class_name() const { return origin(); }
  int version() const { return keras_.version; }

  // --- Arguments of the call, for layers that are a function. A position or a name finds them.
  const KerasArgument* argument(size_t position, const std::string& keyword) const;
  // operand is a tensor, or a number of the file as a constant.
  ValueId operand(size_t position, const std::string& keyword);
  std::optional<Ints> argument_ints(size_t position, const std::string& keyword) const;
  std::optional<double> argument_number(size_t position, const std::string& keyword) const;
  bool argument_bool(size_t position, const std::string& keyword, bool otherwise) const;

  // --- Tensors and weights.
  // x is the only input; refuses several.
  ValueId x();
  // rank refuses when the number of dimensions is not known.
  int rank(ValueId value) const;
  // set_rank is for values whose rank is not that of the layer's first input.
  ValueId set_rank(ValueId value, int rank);
  bool has_rank(ValueId value) const { return keras_.ranks.count(value) > 0; }
  // weights loads all; there must be one for each name, else UserError lists them.
  std::vector<ValueId> weights(const std::vector<std::string>& names);
  std::vector<ValueId> all_weights();
  // shape_of_weight is that of a weight; expect_shape throws UserError unless it is `dims` (-1: any).
  const Shape& weight_shape(ValueId weight) const;
  void expect_shape(ValueId weight, const std::string& what, const Ints& dims) const;
  const FloatTensor& weight_values(ValueId weight) const;
  ValueId number(const std::string& suffix, double value);
  ValueId vector(const std::string& suffix, std::vector<float> values);
  ValueId reshape(const std::string& suffix, ValueId value, const Ints& shape);
  ValueId transpose(const std::string& suffix, ValueId value, const Ints& perm);

 private:
  const nlohmann::json* find(const std::string& key) const;
  bool stored_bool(const std::string& key, bool otherwise) const;
  template <class T>
  T wrong_type(const std::string& key, const char* expected) const;

  KerasState& keras_;
  const nlohmann::json& config_;
  LayerAddress address_;
  KerasCall call_;
  std::optional<std::vector<ValueId>> given_weights_;
  bool turned_ = false;
};

// apply_activation adds an activation by its name. Refuses unknown ones.
ValueId apply_activation(KerasLayer& layer, const std::string& name, ValueId x, const std::string& suffix);
// apply_activation adds the activation that `key` of the configuration names.
ValueId apply_activation_of(KerasLayer& layer, ValueId x, const std::string& key = "activation");

using KerasImport = ValueId (*)(KerasLayer& layer);

struct KerasRow {
  std::string_view class_name;
  KerasImport import;
};

// find_row looks a class up in one table.
template <class Rows>
const KerasRow* find_row(const Rows& rows, std::string_view class_name) {
  for (const KerasRow& row : rows) {
    if (row.class_name == class_name) return &row;
  }
  return nullptr;
}

// find_keras_row looks in the tables of all families; null for a layer without a row.
const KerasRow* find_keras_row(std::string_view class_name);
// find_keras_function is for functions of the framework that a model calls as layers: "math.add", or "Add" of Keras 3.
const KerasRow* find_keras_function(std::string_view function);

// The families of layers, one file each; searched by find_keras_row.
const KerasRow* find_core_row(std::string_view class_name);
const KerasRow* find_activation_row(std::string_view class_name);
const KerasRow* find_conv_row(std::string_view class_name);
const KerasRow* find_pool_row(std::string_view class_name);
const KerasRow* find_merge_row(std::string_view class_name);
const KerasRow* find_norm_row(std::string_view class_name);
const KerasRow* find_recurrent_row(std::string_view class_name);

}  // namespace treville::import
