// ONNX's LSTM, GRU and RNN run over [time,batch,in] in one or both directions, with the weights of both in one tensor
// and in another order of gates; the graph's layers run over [batch,time,in] in one direction. What is done to
// constants folds.
#include "import/onnx_recurrent.h"

#include <algorithm>
#include <array>

namespace treville::import {
namespace {

// Kind is what the layers differ in. `gates` says which of ONNX's gates each of the graph's is.
struct Kind {
  const char* op;
  Ints gates;
  size_t activations;      // of one direction
  size_t states;           // final states: h, and c
  bool keeps_both_biases;  // as two operands, not as their sum
};

// Activations that have no numbers of their own, or the graph's defaults for them.
constexpr auto kActivations = std::to_array<std::string_view>(
    {"Sigmoid", "Tanh", "Relu", "HardSigmoid", "Elu", "LeakyRelu", "Softsign", "Softplus"});

class Recurrent {
 public:
  Recurrent(OnnxNode& node, const Kind& kind) : node_(node), kind_(kind) {
    check();
    batch_first_ = node.get_int("layout", 0) != 0;
    const Ints swap = {1, 0, 2};
    x_ = batch_first_ ? node.input(0) : node.step("batch_first", "Transpose", {node.input(0)}, {{"perm", swap}});
  }

  void run() {
    const std::string direction = node_.get_string("direction", "forward");
    const int64_t directions = direction == "bidirectional" ? 2 : 1;
    for (int64_t d = 0; d < directions; ++d) results_.push_back(layer(d, d == 1 || direction == "reverse"));
    if (node_.reads_result(0)) finish_sequence();
    for (size_t state = 1; state <= kind_.states; ++state)
      if (node_.reads_result(state)) finish_state(state);
  }

 private:
  void check() {
    const std::string direction = node_.get_string("direction", "forward");
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
      node_.fail(fmt::format("direction is \"{}\"", direction));
    if (node_.has("clip")) node_.refuse("clip is not supported. Export the model without it.");
    if (node_.get_int("input_forget", 0) != 0) node_.refuse("input_forget=1 is not supported (supported: 0)");
    if (node_.has("activation_alpha") || node_.has("activation_beta"))
      node_.refuse("activation_alpha and activation_beta are not supported (supported: the defaults)");
    if (node_.has_input(4) && !has_whole_lengths())
      node_.refuse("sequences of several lengths are not supported: a length is secret. Give all the whole length.");
    hidden_ = node_.get_int("hidden_size", 0);
    if (hidden_ == 0 && node_.constant(2) != nullptr && shape_of(*node_.constant(2)).rank() == 3)
      hidden_ = shape_of(*node_.constant(2))[2];
    if (hidden_ < 1) node_.fail(fmt::format("hidden_size is {}", hidden_));
  }

  // has_whole_lengths: the lengths that the model gives are constants, and all that of x.
  bool has_whole_lengths() {
    const auto lengths = node_.constant_ints(4);
    const std::optional<Shape>& shape = node_.graph().value(node_.input(0)).shape;
    if (!lengths || !shape || shape->rank() != 3) return false;
    const int64_t time = (*shape)[node_.get_int("layout", 0) != 0 ? 1 : 0];
    return std::all_of(lengths->begin(), lengths->end(), [&](int64_t length) { return length == time; });
  }

  int64_t gate_count() const { return static_cast<int64_t>(kind_.gates.size()); }

  ValueId step(const std::string& what, const std::string& op, ValueId x, Attributes attributes) {
    return node_.step(fmt::format("{}_{}", what, count_++), op, {x}, std::move(attributes));
  }

  // of_direction takes one direction's part of an operand whose axis says the direction.
  ValueId of_direction(size_t i, int64_t direction, int64_t axis) {
    const ValueId part =
        step("one_way", "Slice", node_.input(i),
             {{"starts", Ints{direction}}, {"ends", Ints{direction + 1}}, {"axes", Ints{axis}}, {"steps", Ints{1}}});
    return step("one_way", "Squeeze", part, {{"axes", Ints{axis}}});
  }

  ValueId in_order(ValueId x, int64_t axis) {
    Ints ascending = kind_.gates;
    std::sort(ascending.begin(), ascending.end());
    if (ascending == kind_.gates) return x;
    const ValueId order =
        node_.constant_step(fmt::format("gates_{}", count_++), IntTensor(Shape{gate_count()}, kind_.gates));
    return node_.step(fmt::format("in_order_{}", count_++), "Gather", {x, order}, {{"axis", axis}});
  }

  // weight turns [gates * h, n] into [n, gates * h].
  ValueId weight(size_t i, int64_t direction) {
    const Attributes apart = {{"shape", Ints{gate_count(), hidden_, -1}}, {"allow_zero", int64_t{1}}};
    const Attributes joined = {{"shape", Ints{gate_count() * hidden_, -1}}, {"allow_zero", int64_t{1}}};
    const ValueId gates = in_order(step("gates", "Reshape", of_direction(i, direction, 0), apart), 0);
    return step("weight", "Transpose", step("joined", "Reshape", gates, joined), {{"perm", Ints{1, 0}}});
  }

  // biases gives that of the input and of the state, or their sum.
  std::vector<ValueId> biases(int64_t direction) {
    const int64_t size = gate_count() * hidden_;
    if (!node_.has_input(3)) {
      const ValueId zeros = node_.constant_step(fmt::format("no_bias_{}", direction), FloatTensor(Shape{size}));
      return kind_.keeps_both_biases ? std::vector{zeros, zeros} : std::vector{zeros};
    }
    const Attributes apart = {{"shape", Ints{2, gate_count(), hidden_}}, {"allow_zero", int64_t{1}}};
    const ValueId both = in_order(step("biases", "Reshape", of_direction(3, direction, 0), apart), 1);
    const Attributes flat = {{"shape", Ints{size}}, {"allow_zero", int64_t{1}}};
    if (!kind_.keeps_both_biases) {
      const ValueId sum = step("bias", "ReduceSum", both, {{"axes", Ints{0}}, {"keepdims", int64_t{0}}});
      return {step("bias", "Reshape", sum, flat)};
    }
    std::vector<ValueId> parts;
    for (int64_t side : {0, 1}) {
      const ValueId part =
          step("bias", "Slice", both,
               {{"starts", Ints{side}}, {"ends", Ints{side + 1}}, {"axes", Ints{0}}, {"steps", Ints{1}}});
      parts.push_back(step("bias", "Reshape", part, flat));
    }
    return parts;
  }

  // zeros is a state [batch, h] where the model gives none but gives what comes behind it.
  ValueId zeros() {
    const ValueId batch = node_.step(fmt::format("batch_{}", count_++), "Shape", {x_},
                                     {{"start", int64_t{0}}, {"end", int64_t{1}}}, DType::kInt);
    const ValueId h = node_.constant_step(fmt::format("hidden_{}", count_++), IntTensor(Shape{1}, {hidden_}));
    const ValueId shape = node_.step(fmt::format("state_{}", count_++), "Concat", {batch, h}, {{"axis", int64_t{0}}});
    return node_.step(fmt::format("zeros_{}", count_++), "ConstantOfShape", {shape}, {{"value", 0.0}}, DType::kFloat);
  }

  // add_states appends h0, c0 and the peepholes as far as the model gives any of them.
  void add_states(int64_t direction, std::vector<ValueId>& operands) {
    const bool has_peepholes = kind_.states == 2 && node_.has_input(7);
    size_t last = has_peepholes ? kind_.states : 0;
    for (size_t i = 0; i < kind_.states; ++i)
      if (node_.has_input(5 + i)) last = std::max(last, i + 1);
    for (size_t i = 0; i < last; ++i)
      operands.push_back(node_.has_input(5 + i) ? of_direction(5 + i, direction, batch_first_ ? 1 : 0) : zeros());
    if (has_peepholes) operands.push_back(of_direction(7, direction, 0));
  }

  Attributes attributes(int64_t direction, bool reverse) {
    Attributes result = {{"reverse", int64_t{reverse}}};
    const std::vector<std::string> names = node_.get_strings("activations");
    if (!names.empty()) {
      const char* keys[] = {"recurrent_activation", "activation", "output_activation"};
      const size_t first = static_cast<size_t>(direction) * kind_.activations;
      if (names.size() < first + kind_.activations) node_.fail(fmt::format("it has {} activations", names.size()));
      for (size_t i = 0; i < kind_.activations; ++i) {
        const std::string& name = names[first + i];
        if (std::find(kActivations.begin(), kActivations.end(), name) == kActivations.end())
          node_.refuse("activation {} is not supported (supported: {})", name, fmt::join(kActivations, ", "));
        result[kind_.activations == 1 ? "activation" : keys[i]] = name;
      }
    }
    if (kind_.keeps_both_biases) result["linear_before_reset"] = node_.get_int("linear_before_reset", 0);
    return result;
  }

  // layer gives the sequence [batch,time,h] and the final states [batch,h] of one direction.
  std::vector<ValueId> layer(int64_t direction, bool reverse) {
    std::vector<ValueId> operands = {x_, weight(1, direction), weight(2, direction)};
    for (ValueId bias : biases(direction)) operands.push_back(bias);
    add_states(direction, operands);
    return node_.step_all(fmt::format("direction_{}", direction), kind_.op, operands, attributes(direction, reverse),
                          std::vector<DType>(kind_.states + 1, DType::kFloat));
  }

  // finish_joined joins what the directions give along a new axis.
  void finish_joined(size_t result, size_t part, ValueId (Recurrent::*turn)(ValueId), int64_t axis) {
    std::vector<ValueId> parts;
    for (const std::vector<ValueId>& direction : results_) {
      const ValueId value = turn == nullptr ? direction[part] : (this->*turn)(direction[part]);
      parts.push_back(step("part", "Unsqueeze", value, {{"axes", Ints{axis}}}));
    }
    node_.finish_result(result, "Concat", parts, {{"axis", axis}});
  }
  ValueId time_first(ValueId sequence) { return step("time_first", "Transpose", sequence, {{"perm", Ints{1, 0, 2}}}); }

  void finish_sequence() {
    if (batch_first_) return finish_joined(0, 0, nullptr, 2);
    finish_joined(0, 0, &Recurrent::time_first, 1);
  }
  void finish_state(size_t state) { finish_joined(state, state, nullptr, batch_first_ ? 1 : 0); }

  OnnxNode& node_;
  const Kind& kind_;
  int64_t hidden_ = 0;
  bool batch_first_ = false;
  int count_ = 0;
  ValueId x_{};
  std::vector<std::vector<ValueId>> results_;  // by direction
};

}  // namespace

void import_lstm(OnnxNode& node) {
  const Kind kind{"Lstm", {0, 2, 3, 1}, 3, 2, false};
  Recurrent(node, kind).run();
}
void import_gru(OnnxNode& node) {
  const Kind kind{"Gru", {0, 1, 2}, 2, 1, true};
  Recurrent(node, kind).run();
}
void import_rnn(OnnxNode& node) {
  const Kind kind{"Rnn", {0}, 1, 1, false};
  Recurrent(node, kind).run();
}

}  // namespace treville::import
