// Recurrent layers of Keras, written out step by step: the number of steps is fixed, and every step's values get ranges
// of their own. What the input contributes is one matrix product for all steps; a step then adds what the state
// contributes. Gates stand in Keras's order: input, forget, cell, output (LSTM); update, reset, state (GRU).
#include <algorithm>
#include <array>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

constexpr int64_t kMostSteps = 4096;

// Recurrence is one layer in one direction while its steps are written.
class Recurrence {
 public:
  Recurrence(KerasLayer& layer, ValueId x, int64_t gates) : layer_(layer), x_(x), gates_(gates) {
    for (const char* flag : {"stateful", "time_major"}) {
      if (layer.get_bool(flag, false)) {
        layer.refuse("{}=True is not supported: every run begins anew. Save the model with {}=False.", flag, flag);
      }
    }
    steps_ = layer.steps(x);
    if (steps_ > kMostSteps) layer.refuse("{} steps are not supported (supported: up to {})", steps_, kMostSteps);
    units_ = layer.get_int("units", 0);
    if (units_ < 1) layer.fail("its units must be at least 1");
    biased_ = layer.get_bool("use_bias", true);
    weights_ = layer.weights(biased_ ? std::vector<std::string>{"kernel", "recurrent_kernel", "bias"}
                                     : std::vector<std::string>{"kernel", "recurrent_kernel"});
    layer.expect_shape(weights_[0], "kernel", {-1, gates * units_});
    layer.expect_shape(weights_[1], "recurrent_kernel", {units_, gates * units_});
  }

  int64_t units() const { return units_; }
  bool biased() const { return biased_; }
  ValueId recurrent_kernel() const { return weights_[1]; }
  ValueId bias() const { return weights_[2]; }

  // project computes what the input contributes to all gates of all steps.
  void project(std::optional<ValueId> bias) {
    projected_ = layer_.step("project", "MatMul", {x_, weights_[0]});
    if (bias) projected_ = layer_.step("bias", "Add", {projected_, *bias});
  }

  // run calls `next` for each step with what its input contributes and the state before it (absent: zero); it gives the
  // state after it. The result is the last state, or all of them in the order in which they were computed.
  ValueId run(const auto& next) {
    const bool backwards = layer_.get_bool("go_backwards", false);
    const bool all = layer_.get_bool("return_sequences", false);
    std::optional<ValueId> state;
    std::vector<ValueId> states;
    for (int64_t i = 0; i < steps_; ++i) {
      now_ = backwards ? steps_ - 1 - i : i;
      const ValueId part = slice("input", projected_, 1, now_, now_ + 1);
      state = next(named("squeeze", "Squeeze", {part}, {{"axes", Ints{1}}}), state);
      if (all) states.push_back(named("row", "Unsqueeze", {*state}, {{"axes", Ints{1}}}));
    }
    if (!all) return layer_.set_rank(*state, 2);
    return layer_.set_steps(layer_.step("states", "Concat", states, {{"axis", int64_t{1}}}), steps_);
  }

  // named adds an operation of this step.
  ValueId named(const std::string& what, const std::string& op, std::vector<ValueId> inputs,
                Attributes attributes = {}) {
    return layer_.step(step_name(what), op, std::move(inputs), std::move(attributes));
  }
  ValueId slice(const std::string& what, ValueId x, int64_t axis, int64_t first, int64_t end) {
    return named(what, "Slice", {x},
                 {{"starts", Ints{first}}, {"ends", Ints{end}}, {"axes", Ints{axis}}, {"steps", Ints{1}}});
  }
  // gate cuts one gate (or several in a row) out of the last axis.
  ValueId gate(const std::string& what, ValueId x, int64_t index, int64_t count = 1) {
    return gates_ == count ? x : slice(what, x, 1, index * units_, (index + count) * units_);
  }
  ValueId activate(const std::string& key, const std::string& otherwise, ValueId x, const std::string& what) {
    if (layer_.class_at(key)) layer_.refuse("an activation with parameters is not supported in it");
    return apply_activation(layer_, layer_.get_string(key, otherwise), x, step_name(what));
  }
  ValueId inner(ValueId x, const std::string& what) { return activate("activation", "tanh", x, what); }
  ValueId gated(ValueId x, const std::string& what) { return activate("recurrent_activation", "sigmoid", x, what); }

 private:
  std::string step_name(const std::string& what) const { return fmt::format("step_{}/{}", now_, what); }

  KerasLayer& layer_;
  ValueId x_;
  int64_t gates_, units_ = 0, steps_ = 0, now_ = 0;
  bool biased_ = true;
  std::vector<ValueId> weights_;
  ValueId projected_{};
};

// sum adds what the state contributes; a zero state contributes nothing.
ValueId sum(Recurrence& cell, ValueId input, std::optional<ValueId> state, ValueId kernel) {
  if (!state) return input;
  return cell.named("sum", "Add", {input, cell.named("from_state", "MatMul", {*state, kernel})});
}

ValueId simple_rnn(KerasLayer& layer, ValueId x) {
  Recurrence cell(layer, x, 1);
  if (cell.biased()) layer.expect_shape(cell.bias(), "bias", {cell.units()});
  cell.project(cell.biased() ? std::optional(cell.bias()) : std::nullopt);
  return cell.run([&](ValueId input, std::optional<ValueId> state) {
    return cell.inner(sum(cell, input, state, cell.recurrent_kernel()), "state");
  });
}

ValueId lstm(KerasLayer& layer, ValueId x) {
  Recurrence cell(layer, x, 4);
  if (cell.biased()) layer.expect_shape(cell.bias(), "bias", {4 * cell.units()});
  cell.project(cell.biased() ? std::optional(cell.bias()) : std::nullopt);
  std::optional<ValueId> memory;
  return cell.run([&](ValueId input, std::optional<ValueId> state) {
    const ValueId z = sum(cell, input, state, cell.recurrent_kernel());
    const ValueId in = cell.gated(cell.gate("i", z, 0), "input_gate");
    const ValueId fresh = cell.inner(cell.gate("c", z, 2), "candidate");
    const ValueId added = cell.named("added", "Mul", {in, fresh});
    if (memory) {
      const ValueId forget = cell.gated(cell.gate("f", z, 1), "forget_gate");
      const ValueId kept = cell.named("kept", "Mul", {forget, *memory});
      memory = cell.named("memory", "Add", {kept, added});
    } else {
      memory = added;
    }
    const ValueId out = cell.gated(cell.gate("o", z, 3), "output_gate");
    return cell.named("state", "Mul", {out, cell.inner(*memory, "shown")});
  });
}

// next_gru mixes the old state and the candidate: candidate + update * (state - candidate).
ValueId next_gru(Recurrence& cell, ValueId update, std::optional<ValueId> state, ValueId candidate) {
  const ValueId change =
      state ? cell.named("change", "Sub", {*state, candidate}) : cell.named("change", "Neg", {candidate});
  return cell.named("state", "Add", {candidate, cell.named("mixed", "Mul", {update, change})});
}

// The reset gate acts on what the state contributes (with its own bias) when reset_after, else on the state.
ValueId gru(KerasLayer& layer, ValueId x) {
  Recurrence cell(layer, x, 3);
  const int64_t units = cell.units();
  const bool after = layer.get_bool("reset_after", false);
  std::optional<ValueId> input_bias, state_bias;
  if (cell.biased() && after) {
    layer.expect_shape(cell.bias(), "bias", {2, 3 * units});
    input_bias = layer.reshape("input_bias", cell.slice("input_bias", cell.bias(), 0, 0, 1), {3 * units});
    state_bias = layer.reshape("state_bias", cell.slice("state_bias", cell.bias(), 0, 1, 2), {1, 3 * units});
  } else if (cell.biased()) {
    layer.expect_shape(cell.bias(), "bias", {3 * units});
    input_bias = cell.bias();
  }
  cell.project(input_bias);
  const ValueId gates_kernel = cell.gate("gates_kernel", cell.recurrent_kernel(), 0, 2);
  const ValueId state_kernel = cell.gate("state_kernel", cell.recurrent_kernel(), 2);
  return cell.run([&](ValueId input, std::optional<ValueId> state) {
    std::optional<ValueId> given;  // what the state contributes to all gates
    if (after) {
      if (state) given = cell.named("from_state", "MatMul", {*state, cell.recurrent_kernel()});
      if (state_bias) given = given ? cell.named("from_state_biased", "Add", {*given, *state_bias}) : *state_bias;
    } else if (state) {
      given = cell.named("from_state", "MatMul", {*state, gates_kernel});
    }
    ValueId both = cell.gate("zr_input", input, 0, 2);
    if (given) both = cell.named("zr", "Add", {both, after ? cell.gate("zr_state", *given, 0, 2) : *given});
    const ValueId gates = cell.gated(both, "gates");
    const ValueId update = cell.slice("update", gates, 1, 0, units),
                  reset = cell.slice("reset", gates, 1, units, 2 * units);
    ValueId candidate = cell.gate("h_input", input, 2);
    if (after && given) {
      const ValueId kept = cell.named("kept", "Mul", {reset, cell.gate("h_state", *given, 2)});
      candidate = cell.named("h", "Add", {candidate, kept});
    } else if (!after && state) {
      const ValueId kept = cell.named("kept", "Mul", {reset, *state});
      candidate = sum(cell, candidate, kept, state_kernel);
    }
    return next_gru(cell, update, state, cell.inner(candidate, "candidate"));
  });
}

using Cell = ValueId (*)(KerasLayer& layer, ValueId x);

template <Cell kCell>
ValueId import_recurrent(KerasLayer& layer) {
  return kCell(layer, layer.x());
}

Cell cell_of(KerasLayer& layer) {
  if (layer.class_name() == "LSTM") return lstm;
  if (layer.class_name() == "GRU") return gru;
  if (layer.class_name() == "SimpleRNN") return simple_rnn;
  layer.refuse("a layer of {} is not supported (supported: LSTM, GRU, SimpleRNN)", layer.class_name());
}

// Bidirectional runs a layer both ways; its weights are those of the way forward, then those of the way back.
ValueId import_bidirectional(KerasLayer& layer) {
  const ValueId x = layer.x();
  const auto weights = layer.all_weights();
  const auto half = static_cast<std::ptrdiff_t>(weights.size() / 2);
  const std::string backward = layer.class_at("backward_layer") ? "backward_layer" : "layer";
  KerasLayer there = layer.part("layer", {weights.begin(), weights.begin() + half}, "forward", x);
  KerasLayer back = layer.part(backward, {weights.begin() + half, weights.end()}, "backward", x);
  back.turn_around(backward == "layer");
  const ValueId forward = cell_of(there)(there, x);
  ValueId reversed = cell_of(back)(back, x);
  if (there.get_bool("return_sequences", false)) {
    reversed =
        layer.step("reverse", "Slice", {reversed},
                   {{"starts", Ints{-1}}, {"ends", Ints{-kMostSteps - 1}}, {"axes", Ints{1}}, {"steps", Ints{-1}}});
  }
  const std::string mode = layer.get_string("merge_mode", "none");
  const auto finish = [&](ValueId value) {
    layer.set_rank(value, layer.rank(forward));
    return layer.rank(forward) == 3 ? layer.set_steps(value, layer.steps(forward)) : value;
  };
  if (mode == "concat") return finish(layer.step("concat", "Concat", {forward, reversed}, {{"axis", int64_t{-1}}}));
  if (mode == "mul") return finish(layer.step("product", "Mul", {forward, reversed}));
  const ValueId total = layer.step("sum", "Add", {forward, reversed});
  if (mode == "sum") return finish(total);
  if (mode == "ave") return finish(layer.step("mean", "Mul", {total, layer.number("half", 0.5)}));
  layer.refuse("merge_mode \"{}\" is not supported (supported: concat, sum, mul, ave)", mode);
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
