// Normalisations of Keras. Where a layer leaves its scale or its offset out, ones and zeros take their place; they
// fold.
#include <algorithm>
#include <array>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

// only_axis is the one axis that the layer names, from 1 on; refuses several.
int64_t only_axis(KerasLayer& layer, int rank) {
  const Ints axes = layer.get_ints("axis", {-1});
  if (axes.size() != 1) layer.refuse("several axes are not supported (supported: 1)");
  const int64_t axis = axes[0] < 0 ? axes[0] + rank : axes[0];
  if (axis < 1 || axis >= rank) layer.fail(fmt::format("its axis {} is out of range for {} dimensions", axes[0], rank));
  return axis;
}

double epsilon_of(const KerasLayer& layer, double otherwise) {
  const double epsilon = layer.get_float("epsilon", otherwise);
  if (epsilon < 0) layer.fail("its epsilon is negative");
  return epsilon;
}

ValueId filled(KerasLayer& layer, const std::string& suffix, const Shape& shape, float value) {
  FloatTensor tensor(shape);
  std::fill(tensor.values.begin(), tensor.values.end(), value);
  return layer.constant_step(suffix, std::move(tensor));
}

// ScaleAndOffset are a layer's gamma and beta.
struct ScaleAndOffset {
  std::vector<std::string> names;
  bool scale, center;
};

ScaleAndOffset scale_and_offset(const KerasLayer& layer) {
  ScaleAndOffset result{{}, layer.get_bool("scale", true), layer.get_bool("center", true)};
  if (result.scale) result.names.push_back("gamma");
  if (result.center) result.names.push_back("beta");
  return result;
}

// around calls `action` with x's axis as the last one.
ValueId with_last_axis(KerasLayer& layer, ValueId x, int64_t axis, const auto& action) {
  const int rank = layer.rank(x);
  if (axis == rank - 1) return action(x);
  Ints there, back(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i) {
    if (i != axis) there.push_back(i);
  }
  there.push_back(axis);
  for (size_t i = 0; i < there.size(); ++i) back[static_cast<size_t>(there[i])] = static_cast<int64_t>(i);
  return layer.transpose("back", action(layer.transpose("last", x, there)), back);
}

ValueId import_batch_norm(KerasLayer& layer) {
  const ValueId x = layer.input(0);
  if (layer.argument_bool(1, "training", false)) {
    layer.refuse("it is called with training=True. Save the model for inference.");
  }
  const auto [first_names, scale, center] = scale_and_offset(layer);
  std::vector<std::string> names = first_names;
  names.insert(names.end(), {"moving_mean", "moving_variance"});
  const auto weights = layer.weights(names);
  const Shape shape = layer.weight_shape(weights.back());
  for (size_t i = 0; i < weights.size(); ++i) layer.expect_shape(weights[i], names[i], {shape.elements()});
  const ValueId gamma = scale ? weights[0] : filled(layer, "gamma", shape, 1);
  const ValueId beta = center ? weights[scale ? 1 : 0] : filled(layer, "beta", shape, 0);
  const ValueId mean = weights[weights.size() - 2], variance = weights.back();
  const double epsilon = epsilon_of(layer, 1e-3);
  const int rank = layer.rank(x);
  const int64_t axis = only_axis(layer, rank);
  const auto norm = [&](ValueId value, const char* layout) {
    return layer.step("norm", "BatchNorm", {value, gamma, beta, mean, variance},
                      {{"epsilon", epsilon}, {"layout", std::string(layout)}});
  };
  if (axis == 1 && rank > 2) return norm(x, "NCHW");
  return with_last_axis(layer, x, axis, [&](ValueId value) { return norm(value, "NHWC"); });
}

// Layer normalisation goes over the given axis and all behind it.
ValueId import_layer_norm(KerasLayer& layer) {
  const ValueId x = layer.x();
  if (layer.get_bool("rms_scaling", false)) layer.refuse("rms_scaling=True is not supported (supported: False)");
  const int rank = layer.rank(x);
  Ints axes = layer.get_ints("axis", {-1});
  for (int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  std::sort(axes.begin(), axes.end());
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != static_cast<int64_t>(rank - static_cast<int>(axes.size()) + static_cast<int>(i))) {
      layer.refuse("axes other than the last ones are not supported. Permute the tensor before it and after it.");
    }
  }
  if (axes.empty() || axes[0] < 1) layer.fail("its axis is out of range");
  const auto [names, scale, center] = scale_and_offset(layer);
  const auto weights = layer.weights(names);
  const Shape shape = weights.empty() ? Shape(Ints(axes.size(), 1)) : layer.weight_shape(weights[0]);
  std::vector<ValueId> inputs = {x, scale ? weights[0] : filled(layer, "gamma", shape, 1)};
  if (center) inputs.push_back(weights[scale ? 1 : 0]);
  return layer.step("norm", "LayerNorm", inputs, {{"axis", axes[0]}, {"epsilon", epsilon_of(layer, 1e-3)}});
}

// A group of one channel each (groups = -1, or as many as channels) is an instance normalisation.
ValueId import_group_norm(KerasLayer& layer) {
  const ValueId x = layer.x();
  const int rank = layer.rank(x);
  const int64_t axis = only_axis(layer, rank);
  const auto [names, scale, center] = scale_and_offset(layer);
  const auto weights = layer.weights(names);
  if (weights.empty()) layer.refuse("scale=False with center=False is not supported. Keep one of them.");
  const Shape shape = layer.weight_shape(weights[0]);
  const ValueId gamma = scale ? weights[0] : filled(layer, "gamma", shape, 1);
  const ValueId beta = center ? weights[scale ? 1 : 0] : filled(layer, "beta", shape, 0);
  const int64_t asked = layer.get_int("groups", 32), channels = shape.elements();
  const int64_t groups = asked == -1 ? channels : asked;
  if (groups < 1 || channels % groups != 0) {
    layer.fail(fmt::format("its {} channels are not of {} groups", channels, groups));
  }
  const double epsilon = epsilon_of(layer, 1e-3);
  return with_last_axis(layer, x, axis, [&](ValueId value) {
    if (groups == channels) {
      return layer.step("norm", "InstanceNorm", {value, gamma, beta},
                        {{"epsilon", epsilon}, {"layout", std::string("NHWC")}});
    }
    return layer.step("norm", "GroupNorm", {value, gamma, beta},
                      {{"groups", groups}, {"epsilon", epsilon}, {"layout", std::string("NHWC")}});
  });
}

ValueId import_unit_norm(KerasLayer& layer) {
  return layer.step("norm", "L2Normalize", {layer.x()}, {{"axes", layer.get_ints("axis", {-1})}, {"epsilon", 1e-12}});
}

constexpr auto kRows = std::to_array<KerasRow>({
    {"BatchNormalization", import_batch_norm},
    {"BatchNormalizationV1", import_batch_norm},
    {"GroupNormalization", import_group_norm},
    {"LayerNormalization", import_layer_norm},
    {"SyncBatchNormalization", import_batch_norm},
    {"UnitNormalization", import_unit_norm},
});

}  // namespace

const KerasRow* find_norm_row(std::string_view class_name) { return find_row(kRows, class_name); }

}  // namespace treville::import
