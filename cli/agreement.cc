#include "cli/agreement.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "ops/softmax.h"

namespace treville::cli {
namespace {

// The share of its range by which a value may differ and still agree, where no class decides.
constexpr double kTolerance = 0.02;

size_t best(const std::vector<float>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// post_processing finds the node that makes an output where that is the recipient's part, such as a softmax.
const Node* post_processing(const Graph& graph, ValueId output) {
  for (const Node& node : graph.nodes) {
    const bool makes_output = std::find(node.outputs.begin(), node.outputs.end(), output) != node.outputs.end();
    if (makes_output && ops::is_for_recipient(node.op)) return &node;
  }
  return nullptr;
}

}  // namespace

std::vector<NamedOutput> float_outputs(const Compiled& compiled, const std::vector<FloatTensor>& inputs,
                                       const ValueObserver& observer) {
  const Graph& graph = compiled.graph;
  std::vector<const Node*> posts;
  std::map<ValueId, FloatTensor> revealed;  // what posts read
  for (const ValueId output : graph.outputs) {
    posts.push_back(post_processing(graph, output));
    if (posts.back() != nullptr) revealed[posts.back()->inputs[0]];
  }
  const std::vector<Constant> values = float_run(graph, inputs, [&](ValueId id, const Constant& value) {
    if (observer) observer(id, value);
    const auto found = revealed.find(id);
    if (found != revealed.end()) found->second = to_floats(value);
  });
  const std::vector<std::string> names = output_names(compiled.program);
  CHECK(names.size() == values.size(), "the program has {} outputs, the model {}", names.size(), values.size());
  std::vector<NamedOutput> outputs;
  for (size_t i = 0; i < values.size(); ++i) {
    NamedOutput& output = outputs.emplace_back();
    output.name = names[i];
    output.is_label = std::holds_alternative<IntTensor>(values[i]);
    output.has_softmax = posts[i] != nullptr && posts[i]->op == "Softmax";
    output.final = to_floats(values[i]);
    output.raw = posts[i] != nullptr ? revealed.at(posts[i]->inputs[0]) : output.final;
  }
  return outputs;
}

Agreement agreement_of(const NamedOutput& computed, const NamedOutput& reference,
                       const std::vector<std::string>& labels) {
  Agreement agreement;
  agreement.float_prediction = describe_prediction(reference, labels);
  if (computed.is_label && reference.is_label) {
    agreement.agrees = computed.final.values == reference.final.values;
    return agreement;
  }
  const auto& a = computed.raw.values;
  const auto& b = reference.raw.values;
  if (a.size() != b.size()) {
    agreement.agrees = computed.is_label && !b.empty() && !a.empty() && best(b) == static_cast<size_t>(a[0]);
    return agreement;
  }
  for (size_t i = 0; i < a.size(); ++i) {
    agreement.largest_error = std::max(agreement.largest_error, static_cast<double>(std::abs(a[i] - b[i])));
    agreement.largest_value = std::max(agreement.largest_value, static_cast<double>(std::abs(b[i])));
  }
  agreement.agrees = agreement.largest_error <= kTolerance * std::max(1.0, agreement.largest_value);
  if (is_classification(computed)) {
    // Two classes that the float model itself holds equal within the error may swap.
    const bool is_same = best(a) == best(b) || b[best(b)] - b[best(a)] <= 2 * agreement.largest_error;
    agreement.agrees = agreement.agrees && is_same;
  }
  return agreement;
}

}  // namespace treville::cli
