#include "compile/fold_batchnorm.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "compile/uses.h"

namespace treville {
namespace {

// Affine: y = factor[c] * x + offset[c] over the last axis; what BatchNorm, Mul, Div, Add and Sub with constants are.
struct Affine {
  ValueId x{};
  std::vector<double> factor, offset;
  bool has_factor() const {
    return std::any_of(factor.begin(), factor.end(), [](double value) { return value != 1; });
  }
  bool has_offset() const {
    return std::any_of(offset.begin(), offset.end(), [](double value) { return value != 0; });
  }
};

std::optional<Affine> affine_of_batchnorm(const Graph& graph, const Node& node) {
  if (node.get_string("layout", "NHWC") != "NHWC" && graph.value(node.inputs[0]).shape->rank() != 2) return {};
  const FloatTensor* parameters[4];
  for (size_t i = 0; i < 4; ++i)
    if ((parameters[i] = float_constant(graph, node.inputs[i + 1])) == nullptr) return {};
  const double epsilon = node.get_float("epsilon", 1e-5);
  Affine result{node.inputs[0], {}, {}};
  for (size_t c = 0; c < parameters[0]->values.size(); ++c) {
    const double factor = parameters[0]->values[c] / std::sqrt(parameters[3]->values[c] + epsilon);
    result.factor.push_back(factor);
    result.offset.push_back(parameters[1]->values[c] - parameters[2]->values[c] * factor);
  }
  return result;
}

std::optional<Affine> affine_of(const Graph& graph, const Node& node) {
  if (node.op == "BatchNorm") return affine_of_batchnorm(graph, node);
  const bool is_sum = node.op == "Add" || node.op == "Sub", is_product = node.op == "Mul" || node.op == "Div";
  if (!is_sum && !is_product) return {};
  const size_t constant_side = graph.constant(node.inputs[1]) ? 1 : 0;
  const ValueId x = node.inputs[1 - constant_side];
  const FloatTensor* constant = float_constant(graph, node.inputs[constant_side]);
  if (!constant || graph.constant(x) || (node.op == "Div" && constant_side == 0)) return {};
  const Shape& shape = *graph.value(node.outputs[0]).shape;
  const auto values = per_channel(*constant, shape);
  if (!values || *graph.value(x).shape != shape) return {};
  Affine result{x, std::vector<double>(values->size(), 1), std::vector<double>(values->size(), 0)};
  for (size_t c = 0; c < values->size(); ++c) {
    const double value = (*values)[c];
    if (node.op == "Mul") result.factor[c] = value;
    if (node.op == "Div") result.factor[c] = 1 / value;
    if (is_sum) result.offset[c] = node.op == "Sub" && constant_side == 1 ? -value : value;
    if (node.op == "Sub" && constant_side == 0) result.factor[c] = -1;
  }
  return result;
}

FloatTensor vector_of(const std::vector<double>& values) {
  FloatTensor result(Shape{static_cast<int64_t>(values.size())});
  std::transform(values.begin(), values.end(), result.values.begin(), [](double v) { return static_cast<float>(v); });
  return result;
}

bool is_convolution(const Node& node) { return node.op == "Conv" || node.op == "ConvTranspose"; }

// is_linear: a convolution or product whose weight (and bias) is constant and stands on the right.
bool is_linear(const Graph& graph, const Node& node) {
  if (is_convolution(node)) {
    if (node.get_string("layout", "NHWC") != "NHWC" || graph.constant(node.inputs[0])) return false;
    return std::all_of(node.inputs.begin() + 1, node.inputs.end(),
                       [&](ValueId id) { return float_constant(graph, id); });
  }
  if (node.op != "MatMul" || graph.constant(node.inputs[0])) return false;
  const FloatTensor* weight = float_constant(graph, node.inputs[1]);
  return weight && weight->shape.rank() == 2;
}

// Channels of x and of the result that an element of a linear layer's weight joins.
struct Channels {
  size_t in, out;
};

// channels_of: a convolution's weight is [kernel..., in/groups, out], a transposed one's [kernel..., out/groups, in], a
// matrix [in, out].
Channels channels_of(const Node& linear, const Shape& weight, size_t i) {
  const auto last = static_cast<size_t>(weight[weight.rank() - 1]);
  const auto inner = static_cast<size_t>(weight[weight.rank() - 2]);
  const auto groups = static_cast<size_t>(is_convolution(linear) ? linear.get_int("groups", 1) : 1);
  const size_t at_last = i % last, at_inner = i / last % inner;
  const size_t across = at_last / (last / groups) * inner + at_inner;  // of the side that is counted within its group
  return linear.op == "ConvTranspose" ? Channels{at_last, across} : Channels{across, at_last};
}

size_t output_channels(const Node& linear, const Shape& weight) {
  const int last = weight.rank() - 1;
  if (linear.op != "ConvTranspose") return static_cast<size_t>(weight[last]);
  return static_cast<size_t>(weight[last - 1] * linear.get_int("groups", 1));
}

// scale_outputs returns the weight with each output channel multiplied.
FloatTensor scale_outputs(const Node& linear, FloatTensor weight, const std::vector<double>& factor) {
  for (size_t i = 0; i < weight.values.size(); ++i)
    weight.values[i] = static_cast<float>(weight.values[i] * factor[channels_of(linear, weight.shape, i).out]);
  return weight;
}

// become turns a node into y = offset + x with the given constant.
void become_sum(Graph& graph, Node& node, ValueId x, const std::vector<double>& offset) {
  node.op = "Add";
  node.inputs = {x, graph.add_constant(node.name + "_offset", vector_of(offset))};
  node.attributes.clear();
}

// fold_backward: linear, then affine. A convolution takes both parts, a matrix product the factor (its offset stays
// behind as an Add, which lowering takes as the bias).
bool fold_backward(Graph& graph, Node& node, const Affine& affine, const Uses& uses) {
  const int producer = uses.producer(affine.x);
  if (producer < 0 || uses.count(affine.x) != 1) return false;
  Node& linear = graph.nodes[static_cast<size_t>(producer)];
  if (!is_linear(graph, linear) || (linear.op == "MatMul" && !affine.has_factor())) return false;
  const FloatTensor& weight = *float_constant(graph, linear.inputs[1]);
  if (output_channels(linear, weight.shape) != affine.factor.size()) return false;
  FloatTensor scaled = scale_outputs(linear, weight, affine.factor);
  linear.inputs[1] = graph.add_constant(linear.name + "_weight", std::move(scaled));
  if (linear.op == "MatMul") {
    become_sum(graph, node, affine.x, affine.offset);
    return true;
  }
  std::vector<double> bias = affine.offset;
  if (linear.inputs.size() > 2) {
    const FloatTensor& old = *float_constant(graph, linear.inputs[2]);
    for (size_t c = 0; c < bias.size(); ++c) bias[c] += old.values[c] * affine.factor[c];
  }
  linear.inputs.resize(2);
  linear.inputs.push_back(graph.add_constant(linear.name + "_bias", vector_of(bias)));
  graph.replace_uses(node.outputs[0], affine.x);
  graph.value(affine.x).name = graph.value(node.outputs[0]).name;
  return true;
}

// merge: affine after affine becomes one.
bool merge(Graph& graph, Node& node, const Affine& second, const Uses& uses) {
  const int producer = uses.producer(second.x);
  if (producer < 0 || uses.count(second.x) != 1) return false;
  const auto first = affine_of(graph, graph.nodes[static_cast<size_t>(producer)]);
  if (!first) return false;
  Affine both{first->x, {}, {}};
  for (size_t c = 0; c < second.factor.size(); ++c) {
    both.factor.push_back(first->factor[c] * second.factor[c]);
    both.offset.push_back(first->offset[c] * second.factor[c] + second.offset[c]);
  }
  if (!both.has_factor()) {
    become_sum(graph, node, both.x, both.offset);
    return true;
  }
  const FloatTensor zeros(Shape{static_cast<int64_t>(both.factor.size())});
  FloatTensor ones = zeros;
  std::fill(ones.values.begin(), ones.values.end(), 1.0F);
  node.op = "BatchNorm";
  node.inputs = {both.x, graph.add_constant(node.name + "_factor", vector_of(both.factor)),
                 graph.add_constant(node.name + "_offset", vector_of(both.offset)),
                 graph.add_constant(node.name + "_mean", zeros), graph.add_constant(node.name + "_variance", ones)};
  node.attributes = {{"epsilon", 0.0}, {"layout", std::string("NHWC")}};
  return true;
}

// is_padded: some outputs of the layer see fewer elements of x than others, at its borders.
bool is_padded(const Node& linear) {
  const auto pads = linear.get_ints("pads");
  return linear.op == "ConvTranspose" || std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
}

// is_input: x is an input of the model, perhaps transposed.
bool is_input(const Graph& graph, ValueId x, const Uses& uses) {
  const int producer = uses.producer(x);
  if (producer < 0) return true;
  const Node& node = graph.nodes[static_cast<size_t>(producer)];
  return node.op == "Transpose" && uses.producer(node.inputs[0]) < 0;
}

// fold_forward: affine, then linear, as where a model normalises its input. Behind padding the offset must stay before
// the layer, where zero still means what it meant: factor * x + offset = factor * (x + offset / factor).
bool fold_forward(Graph& graph, Node& linear, const Uses& uses) {
  if (!is_linear(graph, linear) || uses.count(linear.inputs[0]) != 1) return false;
  const int producer = uses.producer(linear.inputs[0]);
  if (producer < 0) return false;
  Node& before = graph.nodes[static_cast<size_t>(producer)];
  const auto affine = affine_of(graph, before);
  if (!affine || !affine->has_factor()) return false;
  const bool keeps_offset = affine->has_offset() && (is_padded(linear) || linear.op == "MatMul");
  if (affine->has_offset() && !is_input(graph, affine->x, uses)) return false;
  if (std::any_of(affine->factor.begin(), affine->factor.end(), [](double f) { return f == 0; })) return false;
  FloatTensor weight = *float_constant(graph, linear.inputs[1]);
  std::vector<double> bias(output_channels(linear, weight.shape), 0);
  for (size_t i = 0; i < weight.values.size(); ++i) {
    const Channels channels = channels_of(linear, weight.shape, i);
    bias[channels.out] += weight.values[i] * affine->offset[channels.in];
    weight.values[i] = static_cast<float>(weight.values[i] * affine->factor[channels.in]);
  }
  linear.inputs[1] = graph.add_constant(linear.name + "_weight", std::move(weight));
  if (keeps_offset) {
    std::vector<double> offset = affine->offset;
    for (size_t c = 0; c < offset.size(); ++c) offset[c] /= affine->factor[c];
    become_sum(graph, before, affine->x, offset);
    return true;
  }
  linear.inputs[0] = affine->x;
  if (!affine->has_offset()) return true;
  if (linear.inputs.size() > 2) {
    const FloatTensor& old = *float_constant(graph, linear.inputs[2]);
    for (size_t c = 0; c < bias.size(); ++c) bias[c] += old.values[c];
  }
  linear.inputs.resize(2);
  linear.inputs.push_back(graph.add_constant(linear.name + "_bias", vector_of(bias)));
  return true;
}

bool fold_one(Graph& graph) {
  const Uses uses(graph);
  for (Node& node : graph.nodes) {
    if (const auto affine = affine_of(graph, node)) {
      if (fold_backward(graph, node, *affine, uses) || merge(graph, node, *affine, uses)) return true;
    } else if (fold_forward(graph, node, uses)) {
      return true;
    }
  }
  return false;
}

}  // namespace

void fold_batchnorm(Graph& graph) {
  while (fold_one(graph)) graph.remove_dead();
}

}  // namespace treville
