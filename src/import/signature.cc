#include "import/signature.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "base/error.h"
#include "import/tf_reference.h"

namespace treville::import {

using tf_format::GraphDef;
using tf_format::NodeDef;
using tf_format::SignatureDef;
using tf_format::TensorInfo;

namespace {

void make_placeholder(NodeDef& node, const TensorInfo& info) {
  const std::string name = node.name();
  const bool keeps_shape = node.op() == "Placeholder" || node.op() == "PlaceholderWithDefault";
  tf_format::AttrValue shape;
  if (keeps_shape && node.attr().count("shape") > 0) {
    shape = node.attr().at("shape");
  } else {
    shape.mutable_shape()->CopyFrom(info.tensor_shape());
  }
  node.Clear();
  node.set_name(name);
  node.set_op("Placeholder");
  (*node.mutable_attr())["dtype"].set_type(info.dtype());
  (*node.mutable_attr())["shape"].Swap(&shape);
}

// feed_later_output makes a placeholder for an output of a node that is not its first.
std::string feed_later_output(GraphDef& graph, const TfReference& fed, const TensorInfo& info) {
  std::unordered_set<std::string_view> names;
  for (const NodeDef& node : graph.node()) names.insert(node.name());
  std::string name = fmt::format("{}/output_{}", fed.name, fed.output);
  while (names.count(name) > 0) name += "_";
  for (NodeDef& node : *graph.mutable_node()) {
    for (std::string& input : *node.mutable_input()) {
      const TfReference reference = parse_reference(input);
      if (!reference.is_control && reference.name == fed.name && reference.output == fed.output) input = name;
    }
  }
  NodeDef* added = graph.add_node();
  added->set_name(name);
  make_placeholder(*added, info);
  return name;
}

std::map<std::string, TensorInfo> sorted(const google::protobuf::Map<std::string, TensorInfo>& tensors) {
  return {tensors.begin(), tensors.end()};
}

}  // namespace

void feed_inputs(const SignatureDef& signature, TfModel& model, const std::string& file) {
  for (const auto& [key, info] : sorted(signature.inputs())) {
    const TfReference fed = parse_reference(info.name());
    auto& nodes = *model.graph.mutable_node();
    const auto found =
        std::find_if(nodes.begin(), nodes.end(), [&](const NodeDef& node) { return node.name() == fed.name; });
    if (found == nodes.end()) {
      throw UserError(
          "{}: input \"{}\" of the signature is \"{}\", which the graph does not have. The file is damaged.", file, key,
          info.name());
    }
    std::string name = fed.name;
    if (fed.output == 0) {
      make_placeholder(*found, info);
    } else {
      name = feed_later_output(model.graph, fed, info);
    }
    model.input_names[name] = key;
  }
}

std::vector<Output> choose_outputs(const SignatureDef& signature, const ImportOptions& options) {
  std::vector<Output> outputs;
  if (options.outputs.empty()) {
    for (const auto& [key, info] : sorted(signature.outputs())) outputs.push_back({key, info.name()});
  }
  for (const std::string& name : options.outputs) {
    const auto found = signature.outputs().find(name);
    outputs.push_back({name, found == signature.outputs().end() ? name : found->second.name()});
  }
  return outputs;
}

void name_outputs(const std::vector<Output>& outputs, Graph& graph) {
  CHECK(outputs.size() == graph.outputs.size(), "{} outputs became {}", outputs.size(), graph.outputs.size());
  std::set<ValueId> named(graph.inputs.begin(), graph.inputs.end());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (named.insert(graph.outputs[i]).second) graph.value(graph.outputs[i]).name = outputs[i].name;
  }
}

}  // namespace treville::import
