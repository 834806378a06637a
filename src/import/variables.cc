#include "import/variables.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "import/functions.h"
#include "import/tensor_bundle.h"
#include "import/tf_reference.h"
#include "saved_model_format.pb.h"

namespace treville::import {
namespace {

using tf_format::GraphDef;
using tf_format::NodeDef;

constexpr auto kVariables = std::to_array<std::string_view>({"VarHandleOp", "Variable", "VariableV2"});
constexpr auto kAssigns = std::to_array<std::string_view>(
    {"Assign", "AssignAdd", "AssignAddVariableOp", "AssignSub", "AssignSubVariableOp", "AssignVariableOp",
     "ResourceScatterAdd", "ResourceScatterUpdate", "ScatterAdd", "ScatterUpdate"});
constexpr std::string_view kObjectGraph = "_CHECKPOINTABLE_OBJECT_GRAPH";

template <class List>
bool contains(const List& list, std::string_view op) {
  return std::find(list.begin(), list.end(), op) != list.end();
}

// Place is where a checkpoint holds a variable.
struct Place {
  std::string key, slice;
};
using Places = std::unordered_map<std::string, Place>;  // by the variable's node

// --- What restore operations say -------------------------------------------------------------------------------------

std::vector<std::string> constant_strings(const FlatNodes& nodes, const std::string& reference) {
  const NodeDef* node = nodes.source(reference).node;
  if (node == nullptr || node->op() != "Const" || node->attr().count("value") == 0) return {};
  const auto& strings = node->attr().at("value").tensor().string_val();
  return {strings.begin(), strings.end()};
}

// A variable's value comes from output k of a RestoreV2(prefix, names, slices): it is entry k of both lists.
Places restored_places(const GraphDef& graph, const FlatNodes& nodes) {
  Places places;
  for (const NodeDef& node : graph.node()) {
    if ((node.op() != "Assign" && node.op() != "AssignVariableOp") || node.input_size() < 2) continue;
    const NodeDef* variable = nodes.source(node.input(0)).node;
    const auto [restore, output] = nodes.source(node.input(1));
    if (variable == nullptr || restore == nullptr || restore->op() != "RestoreV2" || restore->input_size() < 3)
      continue;
    const auto k = static_cast<size_t>(output);
    const auto names = constant_strings(nodes, restore->input(1)), slices = constant_strings(nodes, restore->input(2));
    if (k < names.size()) places[variable->name()] = {names[k], k < slices.size() ? slices[k] : ""};
  }
  return places;
}

// --- What the object graph says --------------------------------------------------------------------------------------

// A full name that several objects have tells nothing.
std::map<std::string, std::string> keys_by_full_name(const TensorBundle& bundle, const std::string& file) {
  std::map<std::string, std::string> keys;
  if (!bundle.has(std::string(kObjectGraph))) return keys;
  tf_format::TrackableObjectGraph objects;
  if (!objects.ParseFromString(bundle.read_string(std::string(kObjectGraph)))) {
    throw UserError("{}: the checkpoint's object graph cannot be read. The file is damaged.", file);
  }
  std::set<std::string> ambiguous;
  for (const auto& object : objects.nodes()) {
    for (const auto& tensor : object.attributes()) {
      const auto [at, is_new] = keys.emplace(tensor.full_name(), tensor.checkpoint_key());
      if (!is_new && at->second != tensor.checkpoint_key()) ambiguous.insert(tensor.full_name());
    }
  }
  for (const std::string& name : ambiguous) keys.erase(name);
  return keys;
}

// --- Values ----------------------------------------------------------------------------------------------------------

// Checkpoint is opened when the first value is read: a model may have no variables.
class Checkpoint {
 public:
  Checkpoint(std::filesystem::path prefix, std::string file) : prefix_(std::move(prefix)), file_(std::move(file)) {}

  Constant read(const std::string& node, const std::string& name, const std::optional<Place>& place) {
    if (!bundle_) bundle_ = std::make_unique<TensorBundle>(prefix_, file_);
    if (place) return bundle_->read(place->key, place->slice);
    for (const std::string& key : {name, node}) {
      if (!key.empty() && bundle_->has(key)) return bundle_->read(key);
    }
    if (!by_full_name_) by_full_name_ = keys_by_full_name(*bundle_, file_);
    const auto found = by_full_name_->find(name.empty() ? node : name);
    return bundle_->read(found != by_full_name_->end() ? found->second : name.empty() ? node : name);
  }

 private:
  const std::filesystem::path prefix_;
  const std::string file_;
  std::unique_ptr<TensorBundle> bundle_;
  std::optional<std::map<std::string, std::string>> by_full_name_;
};

void check_shape(const Constant& value, const tf_format::TensorShapeProto& declared, const std::string& where) {
  const Shape& shape = shape_of(value);
  bool agrees = declared.unknown_rank() || declared.dim_size() == shape.rank();
  for (int axis = 0; agrees && !declared.unknown_rank() && axis < shape.rank(); ++axis) {
    const int64_t dim = declared.dim(axis).size();
    agrees = dim < 0 || dim == shape[axis];
  }
  if (agrees) return;
  Ints dims;
  for (const auto& dim : declared.dim()) dims.push_back(dim.size());
  throw UserError("{}: the graph gives it shape {}, the checkpoint {}. They are not of the same model.", where,
                  to_string(Shape(dims)), to_string(shape));
}

// reached marks what the outputs depend on, by data and by order.
std::unordered_set<const NodeDef*> reached(const GraphDef& graph, const std::vector<std::string>& outputs) {
  std::unordered_map<std::string_view, const NodeDef*> nodes;
  for (const NodeDef& node : graph.node()) nodes.emplace(node.name(), &node);
  std::unordered_set<const NodeDef*> marked;
  std::vector<const NodeDef*> stack;
  const auto mark = [&](const std::string& reference) {
    const auto found = nodes.find(parse_reference(reference).name);
    if (found != nodes.end() && marked.insert(found->second).second) stack.push_back(found->second);
  };
  for (const std::string& output : outputs) mark(output);
  while (!stack.empty()) {
    const NodeDef* node = stack.back();
    stack.pop_back();
    for (const std::string& input : node->input()) mark(input);
  }
  return marked;
}

// A model that changes the variables it reads gives another answer each time; its values here would be the first ones.
void check_unchanged(const GraphDef& graph, const FlatNodes& nodes, const std::vector<std::string>& outputs,
                     const std::string& file) {
  std::unordered_map<const NodeDef*, const NodeDef*> changed;
  std::unordered_set<const NodeDef*> read;
  for (const NodeDef* node : reached(graph, outputs)) {
    const bool changes = contains(kAssigns, node->op());
    for (int i = 0; i < node->input_size(); ++i) {
      const NodeDef* source = nodes.source(node->input(i)).node;
      if (node->op() == "Identity" || source == nullptr || !contains(kVariables, source->op())) continue;
      if (changes && i == 0) {
        changed.emplace(source, node);
      } else if (node->input(i)[0] != '^') {
        read.insert(source);
      }
    }
  }
  for (const auto& [variable, by] : changed) {
    if (read.count(variable) == 0) continue;
    throw UserError(
        "{}: node \"{}\" ({}) changes the variable \"{}\" while the model computes. Only models without state between "
        "calls are supported: export it for inference.",
        file, by->name(), by->op(), variable->name());
  }
}

void make_constant(NodeDef& node) {
  const std::string name = node.name();
  node.Clear();
  node.set_name(name);
  node.set_op("Const");
}

}  // namespace

void replace_variables(TfModel& model, const std::vector<std::string>& outputs, const std::filesystem::path& prefix,
                       const std::string& file) {
  const FlatNodes nodes(model.graph);
  check_unchanged(model.graph, nodes, outputs, file);
  const Places places = restored_places(model.graph, nodes);
  const auto checkpoint = std::make_shared<Checkpoint>(prefix, file);
  for (NodeDef& node : *model.graph.mutable_node()) {
    if (contains(kVariables, node.op())) {
      const auto found = places.find(node.name());
      const auto place = found == places.end() ? std::nullopt : std::optional<Place>(found->second);
      const auto shared_name = node.attr().find("shared_name");
      const auto shape = node.attr().find("shape");
      tf_format::TensorShapeProto declared;
      declared.set_unknown_rank(true);
      if (shape != node.attr().end()) declared = shape->second.shape();
      model.weights[node.name()] = [=, name = node.name(),
                                    shared = shared_name == node.attr().end() ? "" : shared_name->second.s()] {
        Constant value = checkpoint->read(name, shared, place);
        check_shape(value, declared, fmt::format("{}: variable \"{}\"", file, name));
        return value;
      };
      make_constant(node);
    } else if (node.op() == "ReadVariableOp") {
      node.set_op("Identity");
    } else if (node.op() == "ResourceGather") {
      node.set_op("Gather");
    }
  }
}

}  // namespace treville::import
