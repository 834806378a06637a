#include "compile/expand_recurrent.h"

#include <optional>
#include <string>

#include "base/error.h"
#include "ops/recurrent.h"

namespace treville {
namespace {

using Ints = std::vector<int64_t>;

// Layer holds what the three kinds share: the products of all time steps with W, and the walk through time.
class Layer {
 public:
  // order lists which gate comes where, by the model's numbers; empty: as in the model.
  Layer(GraphBuilder& builder, const Node& node, const Ints& order = {}) : b(builder), node_(node) {
    batch_ = b.shape(node.inputs[0])[0];
    time_ = b.shape(node.inputs[0])[1];
    h_ = b.shape(node.inputs[2])[0];
    r_ = ordered(node.inputs[2], order);
    // One matrix product for all steps; the bias joins it.
    all_ = b.add("Add",
                 {b.add("MatMul", {node.inputs[0], ordered(node.inputs[1], order)}), ordered(node.inputs[3], order)});
  }

  ValueId r() const { return r_; }

  // walk runs step(the time step's x W + B) in the layer's order and gives the sequence; step returns the new h.
  template <class Step>
  ValueId walk(const Step& step) {
    const bool reverse = node_.get_int("reverse", 0) != 0;
    std::vector<ValueId> states(static_cast<size_t>(time_));
    for (int64_t i = 0; i < time_; ++i) {
      const int64_t t = reverse ? time_ - 1 - i : i;
      const ValueId slice = b.add("Slice", {all_}, {{"starts", Ints{t}}, {"ends", Ints{t + 1}}, {"axes", Ints{1}}});
      const int64_t width = b.shape(all_)[2];
      states[static_cast<size_t>(t)] = step(b.add("Reshape", {slice}, {{"shape", Ints{batch_, width}}}));
    }
    for (ValueId& state : states) state = b.add("Reshape", {state}, {{"shape", Ints{batch_, 1, h_}}});
    return states.size() == 1 ? states[0] : b.add("Concat", states, {{"axis", int64_t{1}}});
  }

  // initial is the state before the first step; none stands for zeros.
  std::optional<ValueId> initial(size_t input) const {
    return input < node_.inputs.size() ? std::optional(node_.inputs[input]) : std::nullopt;
  }
  ValueId or_zeros(std::optional<ValueId> state) { return state ? *state : b.constant(FloatTensor(Shape{batch_, h_})); }

  // gate takes the columns of gate number `index`.
  ValueId gate(ValueId x, int64_t index, int64_t count = 1) {
    const int axis = b.shape(x).rank() - 1;
    return b.add("Slice", {x},
                 {{"starts", Ints{index * h_}}, {"ends", Ints{(index + count) * h_}}, {"axes", Ints{axis}}});
  }
  // activate: the arguments of all time steps have one range, and so the function one table.
  ValueId activate(const std::string& name, ValueId x, const std::string& part) {
    if (name == "Identity") return x;
    return b.twin(b.add(name, {b.twin(x, part + "_argument")}), part);
  }
  std::string gate_activation() const { return node_.get_string("recurrent_activation", "Sigmoid"); }
  std::string activation() const { return node_.get_string("activation", "Tanh"); }

  // recurrent adds h R to a sum; without a state there is nothing to add.
  ValueId recurrent(ValueId sum, std::optional<ValueId> h, ValueId r) {
    return h ? b.add("Add", {sum, b.add("MatMul", {*h, r})}) : sum;
  }
  ValueId ordered(ValueId x, const Ints& order) {
    if (order.empty()) return x;
    std::vector<ValueId> gates;
    for (int64_t index : order) gates.push_back(gate(x, index));
    return b.add("Concat", gates, {{"axis", int64_t{b.shape(x).rank() - 1}}});
  }
  // times and plus leave out operands that are zero.
  std::optional<ValueId> times(ValueId a, std::optional<ValueId> state) {
    return state ? std::optional(b.add("Mul", {a, *state})) : std::nullopt;
  }
  ValueId plus(ValueId a, std::optional<ValueId> rest) { return rest ? b.add("Add", {a, *rest}) : a; }

  GraphBuilder& b;

 private:
  const Node& node_;
  ValueId all_{}, r_{};
  int64_t batch_ = 0, time_ = 0, h_ = 0;
};

// Without peepholes all gates of one activation come first and are activated in one go.
std::vector<ValueId> expand_lstm(GraphBuilder& b, const Node& node) {
  const bool together = node.inputs.size() <= 6;
  Layer layer(b, node, together ? Ints{0, 1, 3, 2} : Ints{});  // i, f, o, g instead of i, f, g, o
  std::optional<ValueId> h = layer.initial(4), c = layer.initial(5);
  const auto peephole = [&](ValueId sum, int64_t index, std::optional<ValueId> cell) {
    return layer.plus(sum, layer.times(layer.gate(node.inputs[6], index), cell));
  };
  const std::string gate = layer.gate_activation();
  const ValueId sequence = layer.walk([&](ValueId x) {
    const ValueId sum = layer.recurrent(x, h, layer.r());
    ValueId i{}, f{}, o{};
    if (together) {
      const ValueId all = layer.activate(gate, layer.gate(sum, 0, 3), "gates");
      i = layer.gate(all, 0), f = layer.gate(all, 1), o = layer.gate(all, 2);
    } else {
      i = layer.activate(gate, peephole(layer.gate(sum, 0), 0, c), "i");
      f = layer.activate(gate, peephole(layer.gate(sum, 1), 2, c), "f");
    }
    const ValueId g = layer.activate(layer.activation(), layer.gate(sum, together ? 3 : 2), "g");
    c = layer.plus(b.add("Mul", {i, g}), layer.times(f, c));
    if (!together) o = layer.activate(gate, peephole(layer.gate(sum, 3), 1, c), "o");
    h = b.add("Mul", {o, layer.activate(ops::output_activation(node), *c, "output")});
    return *h;
  });
  return {sequence, layer.or_zeros(h), layer.or_zeros(c)};
}

std::vector<ValueId> expand_gru(GraphBuilder& b, const Node& node) {
  Layer layer(b, node);
  std::optional<ValueId> h = layer.initial(5);
  const bool linear_before_reset = node.get_int("linear_before_reset", 0) != 0;
  const ValueId r_gates = layer.gate(node.inputs[2], 0, 2), r_candidate = layer.gate(node.inputs[2], 2);
  const ValueId b_gates = layer.gate(node.inputs[4], 0, 2), b_candidate = layer.gate(node.inputs[4], 2);
  const ValueId sequence = layer.walk([&](ValueId x) {
    const ValueId sum = layer.recurrent(b.add("Add", {layer.gate(x, 0, 2), b_gates}), h, r_gates);
    const ValueId gates = layer.activate(layer.gate_activation(), sum, "gates");
    const ValueId z = layer.gate(gates, 0), r = layer.gate(gates, 1);
    ValueId candidate = layer.gate(x, 2);
    if (linear_before_reset) {
      const ValueId inner = h ? b.add("Add", {b.add("MatMul", {*h, r_candidate}), b_candidate}) : b_candidate;
      candidate = b.add("Add", {candidate, b.add("Mul", {r, inner})});
    } else {
      candidate = layer.recurrent(b.add("Add", {candidate, b_candidate}), layer.times(r, h), r_candidate);
    }
    const ValueId g = layer.activate(layer.activation(), candidate, "g");
    // (1 - z) g + z h = g + z (h - g)
    const ValueId difference = h ? b.add("Sub", {*h, g}) : b.add("Neg", {g});
    h = b.add("Add", {g, b.add("Mul", {z, difference})});
    return *h;
  });
  return {sequence, layer.or_zeros(h)};
}

std::vector<ValueId> expand_rnn(GraphBuilder& b, const Node& node) {
  Layer layer(b, node);
  std::optional<ValueId> h = layer.initial(4);
  const ValueId sequence = layer.walk([&](ValueId x) {
    h = layer.activate(layer.activation(), layer.recurrent(x, h, node.inputs[2]), "h");
    return *h;
  });
  return {sequence, layer.or_zeros(h)};
}

}  // namespace

bool is_recurrent(const Node& node) { return node.op == "Lstm" || node.op == "Gru" || node.op == "Rnn"; }

std::vector<ValueId> expand_recurrent(GraphBuilder& builder, const Node& node) {
  if (node.op == "Lstm") return expand_lstm(builder, node);
  if (node.op == "Gru") return expand_gru(builder, node);
  CHECK(node.op == "Rnn", "{} is not a recurrent layer", node.op);
  return expand_rnn(builder, node);
}

}  // namespace treville
