// The recurrent operators of TensorFlow Lite. Each gate has its own matrices, [units,in], which are turned and joined
// to the graph's [in,gates * units]; the states are variables of the file, zero at the beginning of a run.
#include <algorithm>
#include <string>

#include "import/tflite.h"

namespace treville::import {
namespace {

// Gates gives the inputs of an operator that belong to the graph's gates, in the graph's order.
using Gates = std::vector<size_t>;

std::string activation_of(const TfliteNode& node) {
  const std::string& name = node.option_text("activation");
  if (name == "TANH") return "Tanh";
  if (name == "RELU") return "Relu";
  if (name == "NONE") return "Identity";
  node.refuse("activation \"{}\" is not supported in it (supported: TANH, RELU, NONE)", name);
}

// joined turns matrices [units,in] and puts them side by side.
ValueId joined(TfliteNode& node, const std::string& name, const Gates& gates) {
  std::vector<ValueId> parts;
  for (size_t i : gates) {
    parts.push_back(node.step(fmt::format("{}_{}", name, i), "Transpose", {node.input(i)}, {{"perm", Ints{1, 0}}}));
  }
  return parts.size() == 1 ? parts[0] : node.step(name, "Concat", parts, {{"axis", int64_t{1}}});
}

ValueId row(TfliteNode& node, const std::string& name, const Gates& gates) {
  std::vector<ValueId> parts;
  for (size_t i : gates) parts.push_back(node.input(i));
  return parts.size() == 1 ? parts[0] : node.step(name, "Concat", parts, {{"axis", int64_t{0}}});
}

// check_start refuses states that the model was given, instead of zeros.
void check_start(const TfliteNode& node, size_t state) {
  const auto* start = node.constant(state) == nullptr ? nullptr : std::get_if<FloatTensor>(node.constant(state));
  const bool is_zero = start != nullptr &&
                       std::all_of(start->values.begin(), start->values.end(), [](float value) { return value == 0; });
  if (!is_zero) node.refuse("a state that does not begin at zero is not supported");
}

// finish_sequence puts the batch first for the graph, and back.
void finish_sequence(TfliteNode& node, const std::string& op, std::vector<ValueId> weights, Attributes attributes) {
  const Attributes swap = {{"perm", Ints{1, 0, 2}}};
  const bool time_first = node.option_int("time_major") != 0;
  ValueId x = node.input(0);
  if (time_first) x = node.step("batch_first", "Transpose", {x}, swap);
  weights.insert(weights.begin(), x);
  if (!time_first) return node.finish(op, weights, attributes);
  node.finish("Transpose", {node.step("states", op, weights, attributes)}, swap);
}

// Inputs of the long short-term memory, as the format numbers them.
constexpr size_t kInputGate = 1, kRecurrentGate = 5, kPeephole = 9, kBias = 12, kProjection = 16, kState = 18,
                 kLayerNorm = 20;

// In the file the gates stand as input, forget, candidate, output, the graph's order; peepholes as input, forget,
// output, where the graph has input, output, forget.
Gates four(size_t first) { return {first, first + 1, first + 2, first + 3}; }

void check_lstm(TfliteNode& node) {
  if (!node.has_input(kInputGate)) node.refuse("coupled input and forget gates are not supported");
  if (node.has_input(kProjection)) node.refuse("a projection is not supported");
  for (size_t i = kLayerNorm; i < node.input_count(); ++i) {
    if (node.has_input(i)) node.refuse("layer normalisation within it is not supported");
  }
  if (node.option_float("cell_clip") > 0 || node.option_float("proj_clip") > 0) {
    node.refuse("clipping of its state is not supported");
  }
  if (node.option_int("diagonal_recurrent_tensors") != 0) node.refuse("diagonal recurrent weights are not supported");
  check_start(node, kState);
  check_start(node, kState + 1);
}

}  // namespace

void import_sequence_lstm(TfliteNode& node) {
  check_lstm(node);
  std::vector<ValueId> weights = {joined(node, "w", four(kInputGate)), joined(node, "r", four(kRecurrentGate)),
                                  row(node, "b", four(kBias))};
  if (node.has_input(kPeephole)) {
    // Inputs are left out at the end only: the peepholes need the states before them.
    weights.push_back(node.input(kState));
    weights.push_back(node.input(kState + 1));
    weights.push_back(row(node, "p", {kPeephole, kPeephole + 2, kPeephole + 1}));
  }
  finish_sequence(
      node, "Lstm", weights,
      {{"activation", activation_of(node)}, {"recurrent_activation", std::string("Sigmoid")}, {"reverse", int64_t{0}}});
}

void import_sequence_rnn(TfliteNode& node) {
  check_start(node, 4);
  finish_sequence(node, "Rnn", {joined(node, "w", {1}), joined(node, "r", {2}), row(node, "b", {3})},
                  {{"activation", activation_of(node)}, {"reverse", int64_t{0}}});
}

}  // namespace treville::import
