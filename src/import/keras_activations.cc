// Keras's activations: by name (an attribute of many layers) and as layers with parameters.
#include <array>
#include <cmath>
#include <limits>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

constexpr double kSeluAlpha = 1.6732632423543772, kSeluGamma = 1.0507009873554805;

struct Simple {
  std::string_view name;
  const char* op;
};

// Activations that are one operation without attributes.
constexpr auto kSimple = std::to_array<Simple>({
    {"exponential", "Exp"},
    {"hard_silu", "HardSwish"},
    {"hard_swish", "HardSwish"},
    {"mish", "Mish"},
    {"relu", "Relu"},
    {"sigmoid", "Sigmoid"},
    {"silu", "Swish"},
    {"softplus", "Softplus"},
    {"softsign", "Softsign"},
    {"swish", "Swish"},
    {"tanh", "Tanh"},
});

// Keras 2 and 3 differ: 0.2 x + 0.5, and x / 6 + 0.5.
ValueId hard_sigmoid(KerasLayer& layer, ValueId x, const std::string& suffix) {
  const double alpha = layer.version() >= 3 ? 1.0 / 6 : 0.2;
  return layer.step(suffix, "HardSigmoid", {x}, {{"alpha", alpha}, {"beta", 0.5}});
}

ValueId softmax(KerasLayer& layer, ValueId x, int64_t axis, const std::string& suffix) {
  return layer.step(suffix, "Softmax", {x}, {{"axis", axis}});
}

ValueId leaky_relu(KerasLayer& layer, ValueId x, double alpha, const std::string& suffix) {
  return layer.step(suffix, "LeakyRelu", {x}, {{"alpha", alpha}});
}

ValueId import_activation(KerasLayer& layer) {
  const ValueId x = layer.x();
  if (!layer.has("activation")) layer.fail("its activation is missing");
  return apply_activation_of(layer, x);
}

// relu with all its parameters: `most` where x >= most, x where x >= threshold, slope * (x - threshold) below.
// An infinite `most` is none.
ValueId relu(KerasLayer& layer, ValueId x, double most, double slope, double threshold) {
  if (most < 0) layer.fail("its max_value is negative");
  if (threshold == 0 && slope == 0) {
    if (std::isinf(most)) return layer.step("relu", "Relu", {x});
    return layer.step("relu", "Clip", {x}, {{"min", 0.0}, {"max", most}});
  }
  ValueId y = x;
  if (threshold == 0) {
    y = leaky_relu(layer, x, slope, "leaky");
  } else {
    const ValueId limit = layer.number("threshold", threshold);
    const ValueId passes = layer.step("passes", "GreaterEqual", {x, limit});
    const ValueId below =
        slope == 0 ? layer.number("below", 0)
                   : layer.step("below", "Mul",
                                {layer.step("from_threshold", "Sub", {x, limit}), layer.number("slope", slope)});
    y = layer.step("select", "Where", {passes, x, below});
  }
  return std::isinf(most) ? y : layer.step("limit", "Clip", {y}, {{"max", most}});
}

ValueId import_relu(KerasLayer& layer) {
  const double most = layer.get_float("max_value", std::numeric_limits<double>::infinity());
  return relu(layer, layer.x(), most, layer.get_float("negative_slope", 0), layer.get_float("threshold", 0));
}

// Keras 2 calls the slope alpha.
ValueId import_leaky_relu(KerasLayer& layer) {
  return leaky_relu(layer, layer.x(), layer.get_float("negative_slope", layer.get_float("alpha", 0.3)), "leaky");
}

ValueId import_prelu(KerasLayer& layer) {
  const auto weights = layer.weights({"alpha"});
  return layer.step("prelu", "PRelu", {layer.x(), weights[0]});
}

ValueId import_elu(KerasLayer& layer) {
  return layer.step("elu", "Elu", {layer.x()}, {{"alpha", layer.get_float("alpha", 1)}});
}

ValueId import_softmax(KerasLayer& layer) {
  const ValueId x = layer.x();
  return softmax(layer, x, layer.get_int("axis", -1), "softmax");
}

// x where x > theta, else 0.
ValueId import_thresholded_relu(KerasLayer& layer) {
  const ValueId x = layer.x();
  const ValueId passes = layer.step("passes", "Greater", {x, layer.number("theta", layer.get_float("theta", 1))});
  return layer.step("select", "Where", {passes, x, layer.number("below", 0)});
}

constexpr auto kRows = std::to_array<KerasRow>({
    {"Activation", import_activation},
    {"ELU", import_elu},
    {"LeakyReLU", import_leaky_relu},
    {"PReLU", import_prelu},
    {"ReLU", import_relu},
    {"Softmax", import_softmax},
    {"ThresholdedReLU", import_thresholded_relu},
});

}  // namespace

ValueId apply_activation(KerasLayer& layer, const std::string& name, ValueId x, const std::string& suffix) {
  for (const Simple& simple : kSimple) {
    if (simple.name == name) return layer.step(suffix, simple.op, {x});
  }
  if (name == "linear") return x;
  if (name == "relu6") return layer.step(suffix, "Clip", {x}, {{"min", 0.0}, {"max", 6.0}});
  if (name == "hard_tanh") return layer.step(suffix, "Clip", {x}, {{"min", -1.0}, {"max", 1.0}});
  if (name == "softmax") return softmax(layer, x, -1, suffix);
  if (name == "elu" || name == "celu") return layer.step(suffix, "Elu", {x}, {{"alpha", 1.0}});
  if (name == "selu") return layer.step(suffix, "Selu", {x}, {{"alpha", kSeluAlpha}, {"gamma", kSeluGamma}});
  if (name == "gelu") return layer.step(suffix, "Gelu", {x}, {{"approximate", std::string("none")}});
  if (name == "hard_sigmoid") return hard_sigmoid(layer, x, suffix);
  if (name == "leaky_relu") return leaky_relu(layer, x, 0.2, suffix);
  if (name == "log_sigmoid") {
    const ValueId negated = layer.step(suffix + "_of", "Neg", {x});
    return layer.step(suffix, "Neg", {layer.step(suffix + "_softplus", "Softplus", {negated})});
  }
  if (name == "tanh_shrink") return layer.step(suffix, "Sub", {x, layer.step(suffix + "_tanh", "Tanh", {x})});
  if (name == "log_softmax") return layer.step(suffix, "LogSoftmax", {x}, {{"axis", int64_t{-1}}});
  layer.refuse("activation \"{}\" is not supported. Replace it by another one and train the model for it.", name);
}

// An activation may be a layer of its own, with parameters: {"class_name": "LeakyReLU", "config": {...}}.
ValueId apply_activation_of(KerasLayer& layer, ValueId x, const std::string& key) {
  if (const auto inner_class = layer.class_at(key)) {
    KerasLayer inner = layer.part(key, {}, key, x);
    const KerasRow* row = find_activation_row(*inner_class);
    if (row == nullptr || row->import == import_prelu) {
      layer.refuse("activation {} is not supported. Make it a layer of its own.", *inner_class);
    }
    return row->import(inner);
  }
  return apply_activation(layer, layer.get_string(key, "linear"), x, key);
}

const KerasRow* find_activation_row(std::string_view class_name) { return find_row(kRows, class_name); }

}  // namespace treville::import
