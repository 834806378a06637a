// Lstm, Gru and Rnn over a sequence x [batch, time, in]; docs/graph.md defines them. They run in the clear here; the
// pass expand_composites writes them step by step with products, sums and activations.
#include "ops/recurrent.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "ops/lowering.h"
#include "ops/ops.h"
#include "ops/smooth.h"

namespace treville::ops {
namespace {

void check_activation(InferContext& context, const std::string& key, const std::string& otherwise) {
  const std::string name = context.node().get_string(key, otherwise);
  if (!real_function(activation_node(name)))
    context.fail(
        fmt::format("{} \"{}\" is not an activation of this graph (for instance Sigmoid, Tanh, Relu)", key, name));
}

void check_operand(InferContext& context, int input, const char* what, const Shape& expected) {
  if (input >= context.input_count()) return;
  if (context.dtype(input) != DType::kFloat) context.fail(fmt::format("expected {} of floats", what));
  if (context.shape(input) != expected) {
    context.fail(fmt::format("expected {} of shape {} for an input {}, found {}", what, to_string(expected),
                             to_string(context.shape(0)), to_string(context.shape(input))));
  }
}

// infer_recurrent checks x, W, R and B and the names that both layers share; the results are the sequence and states.
void infer_recurrent(InferContext& context, int64_t gates, int64_t states) {
  const Shape &x = context.shape(0), &r = context.shape(2);
  if (x.rank() != 3) context.fail(fmt::format("expected a sequence [batch,time,in], found {}", to_string(x)));
  if (r.rank() != 2 || r[0] < 1)
    context.fail(fmt::format("expected recurrent weights [h,gates*h], found {}", to_string(r)));
  const int64_t h = r[0];
  check_operand(context, 0, "x", x);
  check_operand(context, 1, "W", Shape{x[2], gates * h});
  check_operand(context, 2, "R", Shape{h, gates * h});
  check_operand(context, 3, "B", Shape{gates * h});
  check_activation(context, "activation", "Tanh");
  context.results = {Shape{x[0], x[1], h}};
  for (int64_t i = 0; i < states; ++i) context.results.push_back(Shape{x[0], h});
}

void infer_lstm(InferContext& context) {
  check_inputs(context, 4, 7);
  infer_recurrent(context, 4, 2);
  const Shape state = context.results[1];
  check_operand(context, 4, "the initial h", state);
  check_operand(context, 5, "the initial c", state);
  check_operand(context, 6, "P", Shape{3 * state[1]});
  check_activation(context, "recurrent_activation", "Sigmoid");
  check_activation(context, "output_activation", context.node().get_string("activation", "Tanh"));
}

void infer_gru(InferContext& context) {
  check_inputs(context, 5, 6);
  infer_recurrent(context, 3, 1);
  check_operand(context, 4, "the recurrent B", context.shape(3));
  check_operand(context, 5, "the initial h", context.results[1]);
  check_activation(context, "recurrent_activation", "Sigmoid");
}

void infer_rnn(InferContext& context) {
  check_inputs(context, 4, 5);
  infer_recurrent(context, 1, 1);
  check_operand(context, 4, "the initial h", context.results[1]);
}

using Row = std::vector<double>;

// Layer holds a layer's operands and runs it for one sequence of the batch at a time.
class Layer {
 public:
  Layer(const Node& node, Inputs inputs)
      : x_(floats(inputs[0])), w_(floats(inputs[1])), r_(floats(inputs[2])), h_(r_.shape[0]), width_(r_.shape[1]) {
    reverse_ = node.get_int("reverse", 0) != 0;
    activation_ = real_function(activation_node(node.get_string("activation", "Tanh")));
    gate_ = real_function(activation_node(node.get_string("recurrent_activation", "Sigmoid")));
  }

  // run calls step(time, row of the sequence) in the order of the layer; state is what step updates.
  template <class Step>
  void run(int64_t batch, const Step& step) const {
    const int64_t time = x_.shape[1];
    for (int64_t i = 0; i < time; ++i) {
      const int64_t t = reverse_ ? time - 1 - i : i;
      step(t, x_.values.data() + (batch * time + t) * x_.shape[2]);
    }
  }

  // product adds x W (or h R) to y.
  template <class Number>
  static void product(const FloatTensor& matrix, const Number* x, Row& y, int64_t first, int64_t last) {
    const int64_t columns = matrix.shape[1];
    for (int64_t row = 0; row < matrix.shape[0]; ++row)
      for (int64_t column = first; column < last; ++column)
        y[static_cast<size_t>(column)] +=
            static_cast<double>(x[row]) * matrix.values[static_cast<size_t>(row * columns + column)];
  }

  Row initial(Inputs inputs, size_t input, int64_t batch) const {
    Row state(static_cast<size_t>(h_), 0);
    const Constant* start = given(inputs, input);
    for (size_t j = 0; start && j < state.size(); ++j)
      state[j] = floats(start).values[static_cast<size_t>(batch) * state.size() + j];
    return state;
  }

  static Row row_of(const FloatTensor& bias) { return Row(bias.values.begin(), bias.values.end()); }

  const FloatTensor &x_, &w_, &r_;
  int64_t h_, width_;
  bool reverse_ = false;
  RealFunction activation_, gate_;
};

// Results collects the sequence and the final states.
class Results {
 public:
  Results(const Layer& layer, size_t states) : h_(static_cast<size_t>(layer.h_)), time_(layer.x_.shape[1]) {
    tensors_.emplace_back(Shape{layer.x_.shape[0], time_, layer.h_});
    for (size_t i = 0; i < states; ++i) tensors_.emplace_back(Shape{layer.x_.shape[0], layer.h_});
  }
  void put(int64_t batch, int64_t t, const Row& h) { copy(h, tensors_[0], batch * time_ + t); }
  void finish(int64_t batch, const std::vector<const Row*>& states) {
    for (size_t i = 0; i < states.size(); ++i) copy(*states[i], tensors_[i + 1], batch);
  }
  std::vector<Constant> take() { return {tensors_.begin(), tensors_.end()}; }

 private:
  void copy(const Row& row, FloatTensor& to, int64_t at) const {
    for (size_t j = 0; j < h_; ++j) to.values[static_cast<size_t>(at) * h_ + j] = static_cast<float>(row[j]);
  }
  size_t h_;
  int64_t time_;
  std::vector<FloatTensor> tensors_;
};

std::vector<Constant> evaluate_lstm(const Graph&, const Node& node, Inputs inputs) {
  const Layer layer(node, inputs);
  const RealFunction out = real_function(activation_node(output_activation(node)));
  const auto n = static_cast<size_t>(layer.h_);
  const Row peephole = given(inputs, 6) ? Layer::row_of(floats(inputs[6])) : Row(3 * n, 0);
  Results results(layer, 2);
  for (int64_t batch = 0; batch < layer.x_.shape[0]; ++batch) {
    Row h = layer.initial(inputs, 4, batch), c = layer.initial(inputs, 5, batch);
    layer.run(batch, [&](int64_t t, const float* x) {
      Row sum = Layer::row_of(floats(inputs[3]));
      Layer::product(layer.w_, x, sum, 0, layer.width_);
      Layer::product(layer.r_, h.data(), sum, 0, layer.width_);
      for (size_t j = 0; j < n; ++j) {
        const double i = layer.gate_(sum[j] + peephole[j] * c[j]);
        const double f = layer.gate_(sum[n + j] + peephole[2 * n + j] * c[j]);
        c[j] = f * c[j] + i * layer.activation_(sum[2 * n + j]);
        h[j] = layer.gate_(sum[3 * n + j] + peephole[n + j] * c[j]) * out(c[j]);
      }
      results.put(batch, t, h);
    });
    results.finish(batch, {&h, &c});
  }
  return results.take();
}

std::vector<Constant> evaluate_gru(const Graph&, const Node& node, Inputs inputs) {
  const Layer layer(node, inputs);
  const auto n = static_cast<size_t>(layer.h_);
  const int64_t candidate = 2 * layer.h_;  // the first column of the candidate
  const bool linear_before_reset = node.get_int("linear_before_reset", 0) != 0;
  Results results(layer, 1);
  for (int64_t batch = 0; batch < layer.x_.shape[0]; ++batch) {
    Row h = layer.initial(inputs, 5, batch);
    layer.run(batch, [&](int64_t t, const float* x) {
      Row sum = Layer::row_of(floats(inputs[3])), recurrent = Layer::row_of(floats(inputs[4]));
      Layer::product(layer.w_, x, sum, 0, layer.width_);
      Layer::product(layer.r_, h.data(), recurrent, 0, linear_before_reset ? layer.width_ : candidate);
      Row z(n), r(n), kept(n);
      for (size_t j = 0; j < n; ++j) {
        z[j] = layer.gate_(sum[j] + recurrent[j]);
        r[j] = layer.gate_(sum[n + j] + recurrent[n + j]);
        kept[j] = r[j] * h[j];
      }
      if (!linear_before_reset) Layer::product(layer.r_, kept.data(), recurrent, candidate, layer.width_);
      for (size_t j = 0; j < n; ++j) {
        const double factor = linear_before_reset ? r[j] : 1;
        h[j] = (1 - z[j]) * layer.activation_(sum[2 * n + j] + factor * recurrent[2 * n + j]) + z[j] * h[j];
      }
      results.put(batch, t, h);
    });
    results.finish(batch, {&h});
  }
  return results.take();
}

std::vector<Constant> evaluate_rnn(const Graph&, const Node& node, Inputs inputs) {
  const Layer layer(node, inputs);
  Results results(layer, 1);
  for (int64_t batch = 0; batch < layer.x_.shape[0]; ++batch) {
    Row h = layer.initial(inputs, 4, batch);
    layer.run(batch, [&](int64_t t, const float* x) {
      Row sum = Layer::row_of(floats(inputs[3]));
      Layer::product(layer.w_, x, sum, 0, layer.width_);
      Layer::product(layer.r_, h.data(), sum, 0, layer.width_);
      std::transform(sum.begin(), sum.end(), h.begin(), layer.activation_);
      results.put(batch, t, h);
    });
    results.finish(batch, {&h});
  }
  return results.take();
}

}  // namespace

Node activation_node(const std::string& name) { return Node{name, name, name, {}, {}, {}}; }

std::string output_activation(const Node& node) {
  return node.get_string("output_activation", node.get_string("activation", "Tanh"));
}

constinit const OpDef kLstm{"Lstm", infer_lstm, evaluate_lstm, nullptr, nullptr};
constinit const OpDef kGru{"Gru", infer_gru, evaluate_gru, nullptr, nullptr};
constinit const OpDef kRnn{"Rnn", infer_rnn, evaluate_rnn, nullptr, nullptr};

}  // namespace treville::ops
