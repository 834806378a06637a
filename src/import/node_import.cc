#include "import/node_import.h"

#include <algorithm>

#include "base/suggest.h"

namespace treville::import {

NodeImport::NodeImport(ImportState& state, std::string name, std::string origin, std::vector<ResultName> results,
                       std::vector<std::optional<ValueId>> inputs)
    : state_(state),
      name_(std::move(name)),
      origin_(std::move(origin)),
      names_(std::move(results)),
      inputs_(std::move(inputs)),
      results_(names_.size()) {}

std::string NodeImport::where() const { return fmt::format("{}: node \"{}\" ({})", state_.file, name_, origin_); }

void NodeImport::fail(const std::string& message) const { throw UserError("{}: {}", where(), message); }

ValueId NodeImport::input(size_t i) {
  if (!has_input(i)) fail(fmt::format("input {} is missing", i));
  const ValueId id = *inputs_[i];
  const Constant* held = graph().constant(id);
  if (held != nullptr && state_.finite.insert(id).second && !all_finite(*held)) {
    fail(fmt::format("its tensor \"{}\" holds NaN or infinite values. Train or export the model again.",
                     graph().value(id).name));
  }
  return id;
}

std::vector<ValueId> NodeImport::inputs_from(size_t first) {
  std::vector<ValueId> ids;
  for (size_t i = first; i < inputs_.size(); ++i) ids.push_back(input(i));
  return ids;
}

const Constant* NodeImport::constant(size_t i) const {
  return has_input(i) ? state_.result.graph.constant(*inputs_[i]) : nullptr;
}

std::optional<Ints> NodeImport::constant_ints(size_t i) const {
  const Constant* held = constant(i);
  if (held == nullptr) return {};
  const auto* tensor = std::get_if<IntTensor>(held);
  if (tensor == nullptr) fail(fmt::format("input {} must hold integers, found floats", i));
  return tensor->values;
}

std::optional<double> NodeImport::constant_number(size_t i) const {
  const Constant* held = constant(i);
  if (held == nullptr) return {};
  if (shape_of(*held).elements() != 1) {
    fail(fmt::format("input {} must be one number, found shape {}", i, to_string(shape_of(*held))));
  }
  return std::visit([](const auto& tensor) { return static_cast<double>(tensor.values[0]); }, *held);
}

std::optional<double> NodeImport::constant_number_if_single(size_t i) const {
  const Constant* held = constant(i);
  return held != nullptr && shape_of(*held).elements() == 1 ? constant_number(i) : std::nullopt;
}

std::optional<ElementType> NodeImport::stored_type(size_t i) const {
  if (!has_input(i)) return {};
  const auto found = state_.element_types.find(*inputs_[i]);
  return found == state_.element_types.end() ? std::nullopt : std::optional(found->second);
}

ValueId NodeImport::step(const std::string& suffix, const std::string& op, std::vector<ValueId> inputs,
                         Attributes attributes, std::optional<DType> dtype) {
  const DType type = dtype.value_or(inputs.empty() ? DType::kFloat : graph().value(inputs[0]).dtype);
  const std::string node_name = suffix.empty() ? name_ : name_ + "/" + suffix;
  const ValueId id = graph().add_node(op, node_name, std::move(inputs), std::move(attributes), type);
  graph().nodes.back().origin = origin_;
  return id;
}

ValueId NodeImport::constant_step(const std::string& suffix, Constant constant) {
  return graph().add_constant(name_ + "/" + suffix, std::move(constant));
}

void NodeImport::set_result(size_t i, ValueId value) {
  CHECK(i < results_.size() && !results_[i], "result {} of node \"{}\" is given twice or not there", i, name_);
  results_[i] = value;
}

void NodeImport::finish(const std::string& op, std::vector<ValueId> inputs, Attributes attributes,
                        std::optional<DType> dtype) {
  finish_result(0, op, std::move(inputs), std::move(attributes), dtype);
}

void NodeImport::finish_result(size_t i, const std::string& op, std::vector<ValueId> inputs, Attributes attributes,
                               std::optional<DType> dtype) {
  const std::string suffix = i == 0 ? "" : fmt::format("{}", i);
  set_result(i, step(suffix, op, std::move(inputs), std::move(attributes), dtype));
  graph().value(*results_[i]).name = names_[i].name;
}

std::vector<ValueId> NodeImport::step_all(const std::string& suffix, const std::string& op, std::vector<ValueId> inputs,
                                          Attributes attributes, const std::vector<DType>& dtypes) {
  std::vector<ValueId> ids = {step(suffix, op, std::move(inputs), std::move(attributes), dtypes.at(0))};
  const std::string first = graph().nodes.back().name;
  for (size_t i = 1; i < dtypes.size(); ++i) {
    ids.push_back(graph().add_value({fmt::format("{}:{}", first, i), dtypes[i], std::nullopt, std::nullopt}));
    graph().nodes.back().outputs.push_back(ids.back());
  }
  return ids;
}

void NodeImport::finish_all(const std::string& op, std::vector<ValueId> inputs, Attributes attributes,
                            const std::vector<DType>& dtypes) {
  const size_t count = std::min(dtypes.size(), names_.size());
  const std::vector<DType> given(dtypes.begin(), dtypes.begin() + static_cast<std::ptrdiff_t>(count));
  const std::vector<ValueId> ids = step_all("", op, std::move(inputs), std::move(attributes), given);
  for (size_t i = 0; i < count; ++i) {
    graph().value(ids[i]).name = names_[i].name;
    set_result(i, ids[i]);
  }
}

void NodeImport::finish_folded(const std::string& op) {
  const std::vector<ValueId> operands = inputs_from(0);
  if (operands.empty()) fail("it has no inputs");
  if (operands.size() == 1) return alias(operands[0]);
  ValueId folded = operands[0];
  for (size_t i = 1; i + 1 < operands.size(); ++i) folded = step(fmt::format("part_{}", i), op, {folded, operands[i]});
  finish(op, {folded, operands.back()});
}

void NodeImport::finish(Constant constant) { set_result(0, graph().add_constant(names_[0].name, std::move(constant))); }

void NodeImport::alias_result(size_t i, ValueId value) {
  if (names_.at(i).kept) return finish_result(i, "Identity", {value});
  set_result(i, value);
}

void NodeImport::check_results() const {
  for (size_t i = 0; i < names_.size(); ++i)
    if (names_[i].is_read && !results_[i]) refuse("its output {} is read, which is not supported", i);
}

ValueId NodeImport::result(size_t i) const {
  CHECK(i < results_.size() && results_[i], "the importer of {} gave node \"{}\" no result {}", origin_, name_, i);
  return *results_[i];
}

std::vector<ValueId> refuse_node(ImportState& state, const std::string& name, const std::string& origin,
                                 const std::string& reason, const std::vector<std::optional<ValueId>>& inputs,
                                 const std::vector<std::string>& output_names) {
  state.result.unsupported.push_back({name, origin, reason});
  Node node;
  node.name = name;
  node.op = "Unsupported:" + origin;
  node.origin = origin;
  for (const auto& input : inputs) {
    if (input) node.inputs.push_back(*input);
  }
  for (const std::string& output : output_names) {
    node.outputs.push_back(state.result.graph.add_value({output, DType::kFloat, std::nullopt, std::nullopt}));
  }
  state.result.graph.nodes.push_back(node);
  return node.outputs;
}

std::optional<Shape> choose_input_shape(const std::string& file, const std::string& name, std::optional<Shape> declared,
                                        const ImportOptions& options) {
  const auto chosen = options.input_shapes.find(name);
  if (chosen != options.input_shapes.end()) {
    bool agrees = !declared || declared->rank() == chosen->second.rank();
    for (int axis = 0; agrees && axis < chosen->second.rank(); ++axis) {
      const int64_t dim = chosen->second[axis];
      agrees = dim > 0 && (!declared || (*declared)[axis] < 0 || (*declared)[axis] == dim);
    }
    if (!agrees) {
      throw UserError(
          "{}: input \"{}\" has shape {}, which the given shape {} does not fit. Give a size of at least 1 "
          "for every -1 and keep the others.",
          file, name, declared ? to_string(*declared) : "of any rank", to_string(chosen->second));
    }
    return chosen->second;
  }
  if (declared && options.batch && declared->rank() > 0) {
    if (*options.batch < 1) throw UserError("{}: the batch must be at least 1, found {}", file, *options.batch);
    if ((*declared)[0] >= 0 && (*declared)[0] != *options.batch) {
      throw UserError("{}: input \"{}\" has the fixed batch {}, asked for {}. Export the model with an open batch.",
                      file, name, (*declared)[0], *options.batch);
    }
    (*declared)[0] = *options.batch;
  }
  return declared;
}

void check_option_names(const ImportState& state, const ImportOptions& options) {
  const Graph& graph = state.result.graph;
  std::vector<std::string_view> known;
  for (ValueId id : graph.inputs) known.push_back(graph.value(id).name);
  for (const auto& [name, shape] : options.input_shapes) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw UserError("{}: a shape is given for input \"{}\", which the model does not have{}", state.file, name,
                      did_you_mean(name, known));
    }
  }
}

}  // namespace treville::import
