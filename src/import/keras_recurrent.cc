// Recurrent layers of Keras. Their weights stand as the graph wants them, gate by gate: input, forget, candidate,
// output (LSTM); update, reset, candidate (GRU).
#include <algorithm>
#include <array>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

struct Activation {
  std::string_view name;
  const char* op;
};

// Activations whose graph operation, with its default attributes, is Keras's.
constexpr auto kActivations = std::to_array<Activation>({
    {"elu", "Elu"},
    {"exponential", "Exp"},
    {"gelu", "Gelu"},
    {"hard_sigmoid", "HardSigmoid"},
    {"linear", "Identity"},
    {"mish", "Mish"},
    {"relu", "Relu"},
    {"selu", "Selu"},
    {"sigmoid", "Sigmoid"},
    {"silu", "Swish"},
    {"softplus", "Softplus"},
    {"softsign", "Softsign"},
    {"swish", "Swish"},
    {"tanh", "Tanh"},
});

std::string activation_of(const KerasLayer& layer, const std::string& key, const std::string& otherwise) {
  const std::string name = layer.get_string(key, otherwise);
  for (const Activation& each : kActivations) {
    const bool is_other = name == "hard_sigmoid" && layer.version() >= 3;  // x / 6 + 1/2 there
    if (each.name == name && !is_other) return each.op;
  }
  layer.refuse("activation \"{}\" is not supported in it. Train the model with tanh and sigmoid.", name);
}

// Weights are a layer's, with zeros where it has no bias.
struct Weights {
  int64_t units;
  ValueId kernel, recurrent, bias;
};

ValueId zeros(KerasLayer& layer, const std::string& suffix, int64_t count) {
  return layer.vector(suffix, std::vector<float>(static_cast<size_t>(count)));
}

Weights weights_of(KerasLayer& layer, int64_t gates) {
  if (layer.get_bool("stateful", false)) {
    layer.refuse("stateful=True is not supported: every run begins anew. Save the model with stateful=False.");
  }
  if (layer.get_bool("time_major", false)) layer.refuse("time_major=True is not supported (supported: False)");
  const bool biased = layer.get_bool("use_bias", true);
  std::vector<std::string> names = {"kernel", "recurrent_kernel"};
  if (biased) names.push_back("bias");
  const auto weights = layer.weights(names);
  layer.expect_shape(weights[1], "recurrent_kernel", {-1, -1});
  const int64_t units = layer.weight_shape(weights[1])[0];
  if (units != layer.get_int("units", units) || units < 1) layer.fail("its units are not those of its weights");
  layer.expect_shape(weights[0], "kernel", {-1, gates * units});
  layer.expect_shape(weights[1], "recurrent_kernel", {units, gates * units});
  return {units, weights[0], weights[1], biased ? weights[2] : zeros(layer, "bias", gates * units)};
}

// Sequence is what a layer computes: the state after each step, in the order of the steps, and the last one.
struct Sequence {
  ValueId states, last;
};

Sequence add_node(KerasLayer& layer, const std::string& op, const std::vector<ValueId>& inputs, Attributes attributes,
                  int memories) {
  attributes["activation"] = activation_of(layer, "activation", "tanh");
  attributes["reverse"] = int64_t{layer.get_bool("go_backwards", false)};
  Sequence result{layer.step("steps", op, inputs, attributes), {}};
  const size_t node = layer.graph().nodes.size() - 1;
  for (int i = 0; i < 1 + memories; ++i) {
    const ValueId id = layer.graph().add_value(
        {fmt::format("{}/{}", layer.name(), i == 0 ? "last" : "memory"), DType::kFloat, std::nullopt, std::nullopt});
    layer.graph().nodes[node].outputs.push_back(id);
    if (i == 0) result.last = id;
  }
  layer.set_rank(result.states, 3);
  layer.set_rank(result.last, 2);
  return result;
}

Sequence simple_rnn(KerasLayer& layer, ValueId x) {
  const Weights w = weights_of(layer, 1);
  layer.expect_shape(w.bias, "bias", {w.units});
  return add_node(layer, "Rnn", {x, w.kernel, w.recurrent, w.bias}, {}, 0);
}

Sequence lstm(KerasLayer& layer, ValueId x) {
  const Weights w = weights_of(layer, 4);
  layer.expect_shape(w.bias, "bias", {4 * w.units});
  return add_node(layer, "Lstm", {x, w.kernel, w.recurrent, w.bias},
                  {{"recurrent_activation", activation_of(layer, "recurrent_activation", "sigmoid")}}, 1);
}

// With reset_after there are two biases, [2, gates * units]: the input's and the state's.
Sequence gru(KerasLayer& layer, ValueId x) {
  Weights w = weights_of(layer, 3);
  const int64_t count = 3 * w.units;
  const bool after = layer.get_bool("reset_after", false);
  ValueId state_bias = w.bias;
  if (after && layer.get_bool("use_bias", true)) {
    layer.expect_shape(w.bias, "bias", {2, count});
    const std::vector<float>& both = layer.weight_values(w.bias).values;
    const auto half = both.begin() + count;
    const std::vector<float> input(both.begin(), half), state(half, both.end());
    w.bias = layer.vector("input_bias", input);
    state_bias = layer.vector("state_bias", state);
  } else {
    layer.expect_shape(w.bias, "bias", {count});
    state_bias = zeros(layer, "state_bias", count);
  }
  return add_node(layer, "Gru", {x, w.kernel, w.recurrent, w.bias, state_bias},
                  {{"recurrent_activation", activation_of(layer, "recurrent_activation", "sigmoid")},
                   {"linear_before_reset", int64_t{after}}},
                  0);
}

using Cell = Sequence (*)(KerasLayer& layer, ValueId x);

// Keras lists states in the order of computing: `listed_backwards` when the steps went the other way.
ValueId result_of(KerasLayer& layer, const Sequence& sequence, bool listed_backwards) {
  if (!layer.get_bool("return_sequences", false)) return sequence.last;
  if (!listed_backwards) return sequence.states;
  return layer.set_rank(layer.step("reverse", "Reverse", {sequence.states}, {{"axes", Ints{1}}}), 3);
}

template <Cell kCell>
ValueId import_recurrent(KerasLayer& layer) {
  const Sequence sequence = kCell(layer, layer.x());
  return result_of(layer, sequence, layer.get_bool("go_backwards", false));
}

Cell cell_of(const KerasLayer& layer) {
  if (layer.class_name() == "LSTM") return lstm;
  if (layer.class_name() == "GRU") return gru;
  if (layer.class_name() == "SimpleRNN") return simple_rnn;
  layer.refuse("a layer of {} is not supported (supported: LSTM, GRU, SimpleRNN)", layer.class_name());
}

// Bidirectional runs a layer both ways; its weights are those of the way forward, then those of the way back. What
// comes back is listed in the order of the first way.
ValueId import_bidirectional(KerasLayer& layer) {
  const ValueId x = layer.x();
  const auto weights = layer.all_weights();
  const auto half = static_cast<std::ptrdiff_t>(weights.size() / 2);
  const std::string backward = layer.class_at("backward_layer") ? "backward_layer" : "layer";
  KerasLayer there = layer.part("layer", {weights.begin(), weights.begin() + half}, "forward", x);
  KerasLayer back = layer.part(backward, {weights.begin() + half, weights.end()}, "backward", x);
  back.turn_around(backward == "layer");
  const ValueId first = result_of(there, cell_of(there)(there, x), there.get_bool("go_backwards", false));
  const ValueId second = result_of(back, cell_of(back)(back, x), !back.get_bool("go_backwards", false));
  const int rank = layer.rank(first);
  const std::string mode = layer.get_string("merge_mode", "none");
  if (mode == "concat") {
    return layer.set_rank(layer.step("concat", "Concat", {first, second}, {{"axis", int64_t{-1}}}), rank);
  }
  if (mode == "mul") return layer.set_rank(layer.step("product", "Mul", {first, second}), rank);
  if (mode != "sum" && mode != "ave") {
    layer.refuse("merge_mode \"{}\" is not supported (supported: concat, sum, mul, ave)", mode);
  }
  const ValueId total = layer.set_rank(layer.step("sum", "Add", {first, second}), rank);
  if (mode == "sum") return total;
  return layer.set_rank(layer.step("mean", "Mul", {total, layer.number("half", 0.5)}), rank);
}

constexpr auto kRows = std::to_array<KerasRow>({
    {"Bidirectional", import_bidirectional},
    {"GRU", import_recurrent<gru>},
    {"LSTM", import_recurrent<lstm>},
    {"SimpleRNN", import_recurrent<simple_rnn>},
});

}  // namespace

const KerasRow* find_recurrent_row(std::string_view class_name) { return find_row(kRows, class_name); }

}  // namespace treville::import
