#include "import/tensorflow.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "base/suggest.h"
#include "import/functions.h"
#include "import/fused_ops.h"
#include "import/plain_ops.h"
#include "import/tensorflow_dropout.h"
#include "import/tf_reference.h"

namespace treville::import {
namespace {

using tf_format::AttrValue;
using tf_format::GraphDef;
using tf_format::NodeDef;

template <class List>
bool contains(const List& list, std::string_view op) {
  return std::find(list.begin(), list.end(), op) != list.end();
}

// Nodes of these kinds are no result, even when nobody reads them.
constexpr auto kNeverOutputs = std::to_array<std::string_view>(
    {"NoOp", "Const", "Assert", "Placeholder", "PlaceholderWithDefault", "SaveV2", "RestoreV2", "Print", "PrintV2"});

constexpr auto kVariables = std::to_array<std::string_view>(
    {"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp", "RestoreV2", "Assign", "AssignVariableOp", "SaveV2"});

constexpr auto kControlFlow =
    std::to_array<std::string_view>({"If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase"});
constexpr int kMostOutputs = 4096;  // of one node

const std::string kIdentity = "Identity";

// Before this producer an empty shape of a placeholder meant "any".
constexpr int32_t kFirstProducerWithScalarShapes = 24;

[[noreturn]] void refuse_output(const GraphDef& graph, const std::string& name, const std::string& file) {
  std::vector<std::string_view> known;
  for (const NodeDef& each : graph.node()) known.push_back(each.name());
  const std::string_view near = closest(name, known);
  throw UserError("{}: the graph has no node \"{}\" to compute{}", file, name,
                  near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
}

class TfImporter {
 public:
  TfImporter(const TfModel& model, const std::string& file, const ImportOptions& options)
      : model_(model), proto_(model.graph), options_(options) {
    state_.file = file;
    state_.result.graph.name = file;
    state_.result.graph.format = model.format;
  }

  ImportResult run() {
    index_nodes();
    resolve_edges();
    choose_outputs();
    bypass_dropout();
    const std::vector<size_t> order = needed_in_order();
    note_reads(order);
    import_placeholders(order);
    for (size_t i : order) {
      if (!is_input(i)) import_node(i);
    }
    for (const Edge& output : outputs_) {
      const auto id = value_of(output);
      CHECK(id.has_value(), "an output was not imported");
      state_.result.graph.outputs.push_back(*id);
    }
    check_option_names(state_, options_);
    return std::move(state_.result);
  }

 private:
  size_t count() const { return static_cast<size_t>(proto_.node_size()); }
  const NodeDef& node(size_t i) const { return proto_.node(static_cast<int>(i)); }
  static std::string describe(const NodeDef& node) { return fmt::format("node \"{}\" ({})", node.name(), node.op()); }

  void index_nodes() {
    for (size_t i = 0; i < count(); ++i) {
      if (node(i).name().empty()) throw UserError("{}: a node has no name. The file is damaged.", state_.file);
      if (!index_.emplace(node(i).name(), i).second) {
        throw UserError("{}: two nodes are named \"{}\". The file is damaged.", state_.file, node(i).name());
      }
    }
  }

  size_t find_node(const std::string& name, const std::string& reader) const {
    const auto found = index_.find(name);
    if (found == index_.end()) {
      throw UserError("{}: {} reads \"{}\", which the graph does not have. The file is damaged.", state_.file, reader,
                      name);
    }
    return found->second;
  }

  void resolve_edges() {
    edges_.resize(count());
    reads_.resize(count());
    read_by_data_.resize(count());
    read_by_control_.resize(count());
    for (size_t i = 0; i < count(); ++i) {
      for (const std::string& text : node(i).input()) {
        const TfReference reference = parse_reference(text);
        const size_t from = find_node(reference.name, describe(node(i)));
        (reference.is_control ? read_by_control_ : read_by_data_)[from] = true;
        if (reference.is_control) continue;
        edges_[i].push_back({from, reference.output});
      }
    }
  }

  // The outputs are what nobody reads. A node that only an order (^name) reads is none, unless there is no other.
  void choose_outputs() {
    for (const std::string& text : options_.outputs) {
      const TfReference reference = parse_reference(text);
      const auto found = index_.find(reference.name);
      if (found == index_.end()) refuse_output(proto_, reference.name, state_.file);
      outputs_.push_back({found->second, reference.output});
    }
    for (bool control_counts : {true, false}) {
      if (!outputs_.empty()) break;
      for (size_t i = 0; i < count(); ++i) {
        const bool is_read = read_by_data_[i] || (control_counts && read_by_control_[i]);
        if (!is_read && !contains(kNeverOutputs, node(i).op())) outputs_.push_back({i, 0});
      }
    }
    if (outputs_.empty()) throw UserError("{}: the graph computes nothing: every node is read by another", state_.file);
  }

  // A dropout's product reads its x alone; the random mask behind it is then needed by nobody.
  void bypass_dropout() {
    std::vector<std::pair<size_t, Edge>> found;
    for (size_t i = 0; i < count(); ++i) {
      if (const auto x = dropped_input(proto_, edges_, i)) found.emplace_back(i, *x);
    }
    for (const auto& [i, x] : found) {
      edges_[i] = {x};
      bypassed_.insert(i);
    }
  }

  void note_reads(const std::vector<size_t>& needed) {
    for (const Edge& output : outputs_) reads_[output.node].insert(output.output);
    for (size_t i : needed) {
      for (const Edge& edge : edges_[i]) reads_[edge.node].insert(edge.output);
    }
  }

  // is_input: a placeholder; one with a default only when a shape is given for it.
  bool is_input(size_t i) const {
    return node(i).op() == "Placeholder" ||
           (node(i).op() == "PlaceholderWithDefault" && options_.input_shapes.count(node(i).name()) > 0);
  }

  // needed_in_order gives the nodes that the outputs depend on, each after those it reads. Depth first with a stack
  // of our own: graphs are deep. The back edges of loops are left out, their nodes are unsupported anyway.
  std::vector<size_t> needed_in_order() const {
    enum class Mark : uint8_t { kNew, kOpen, kDone };
    std::vector<Mark> marks(count(), Mark::kNew);
    std::vector<size_t> order;
    struct Frame {
      size_t node, next;
    };
    std::vector<Frame> stack;
    for (const Edge& output : outputs_) {
      if (marks[output.node] == Mark::kNew) stack.push_back({output.node, 0});
      while (!stack.empty()) {
        Frame& top = stack.back();
        marks[top.node] = Mark::kOpen;
        if (top.next == edges_[top.node].size() || node(top.node).op() == "NextIteration") {
          marks[top.node] = Mark::kDone;
          order.push_back(top.node);
          stack.pop_back();
          continue;
        }
        const size_t from = edges_[top.node][top.next++].node;
        if (marks[from] == Mark::kOpen) {
          throw UserError("{}: {} reads its own result. The file is damaged.", state_.file, describe(node(from)));
        }
        if (marks[from] == Mark::kNew) stack.push_back({from, 0});
      }
    }
    return order;
  }

  // Inputs keep the model's order; placeholders that no output depends on (training switches) are left out.
  void import_placeholders(std::vector<size_t> needed) {
    std::sort(needed.begin(), needed.end());
    for (size_t i : needed) {
      if (is_input(i)) import_placeholder(i);
    }
  }

  void import_placeholder(size_t i) {
    const NodeDef& proto = node(i);
    const TfNode reader(state_, proto, {{proto.name(), true}}, {});
    const auto type = tf_element_type(reader.get_type("dtype", tf_format::DT_INVALID));
    if (!type) {
      values_[i][0] =
          refuse_node(state_, proto.name(), proto.op(), "its element type is not supported", {}, {proto.name()})[0];
      return;
    }
    const auto known = model_.input_names.find(proto.name());
    Value value;
    value.name = known == model_.input_names.end() ? proto.name() : known->second;
    value.dtype = is_float(*type) ? DType::kFloat : DType::kInt;
    value.shape = choose_input_shape(state_.file, value.name, declared_shape(proto), options_);
    const ValueId id = state_.result.graph.add_value(std::move(value));
    state_.result.graph.inputs.push_back(id);
    values_[i][0] = id;
  }

  std::optional<Shape> declared_shape(const NodeDef& proto) const {
    const auto found = proto.attr().find("shape");
    if (found == proto.attr().end() || found->second.value_case() != AttrValue::kShape) return {};
    const auto& shape = found->second.shape();
    if (shape.unknown_rank()) return {};
    if (shape.dim_size() == 0 && proto_.versions().producer() < kFirstProducerWithScalarShapes) return {};
    Ints dims;
    for (const auto& dim : shape.dim()) dims.push_back(dim.size() > 0 ? dim.size() : -1);
    return Shape(dims);
  }

  // value_of is nothing for the back edge of a loop.
  std::optional<ValueId> value_of(const Edge& edge) const {
    const auto found = values_.find(edge.node);
    if (found == values_.end()) return {};
    const auto value = found->second.find(edge.output);
    if (value != found->second.end()) return value->second;
    throw UserError("{}: output {} of {} is read, which has one output. The file is damaged.", state_.file, edge.output,
                    describe(node(edge.node)));
  }

  std::string hint_for(const std::string& op) const {
    if (contains(kVariables, op)) {
      return "the model is not frozen, its weights are variables. Freeze it: "
             "tf.compat.v1.graph_util.convert_variables_to_constants, or convert_variables_to_constants_v2.";
    }
    if (contains(kControlFlow, op)) {
      return "loops and conditions on computed values are not supported. Export the model without them: recurrent "
             "layers with unroll=True, or as a Keras or ONNX file.";
    }
    return std::string(advice_for(op).value_or("not supported"));
  }

  void import_node(size_t i) {
    const NodeDef& proto = node(i);
    const auto weight = model_.weights.find(proto.name());
    if (weight != model_.weights.end()) {
      values_[i][0] = state_.result.graph.add_constant(proto.name(), weight->second());
      return;
    }
    std::vector<std::optional<ValueId>> inputs;
    for (const Edge& edge : edges_[i]) inputs.push_back(value_of(edge));
    const size_t nodes_before = state_.result.graph.nodes.size();
    try {
      const std::string& op = bypassed_.count(i) > 0 ? kIdentity : proto.op();
      if (!has_tf_row(op)) throw Refusal{hint_for(op)};
      if (const int last = *reads_[i].rbegin(); last >= kMostOutputs)
        throw Refusal{fmt::format("its output {} is read, which is not supported", last)};
      TfNode reader(state_, proto, result_names(i), inputs);
      import_tf_node(reader, op);
      reader.check_results();
      for (int output : reads_[i]) values_[i][output] = reader.result(static_cast<size_t>(output));
    } catch (const Refusal& refusal) {
      state_.result.graph.nodes.resize(nodes_before);
      std::vector<std::string> names;
      for (int output : reads_[i]) {
        names.push_back(output == 0 ? proto.name() : fmt::format("{}:{}", proto.name(), output));
      }
      const auto ids = refuse_node(state_, proto.name(), proto.op(), refusal.reason, inputs, names);
      size_t next = 0;
      for (int output : reads_[i]) values_[i][output] = ids[next++];
    }
  }

  // result_names gives the outputs of a node up to the last that is read: "name", "name:1", ...
  std::vector<ResultName> result_names(size_t i) const {
    std::vector<ResultName> names;
    for (int output = 0; output <= *reads_[i].rbegin(); ++output) {
      const bool kept = std::any_of(outputs_.begin(), outputs_.end(),
                                    [&](const Edge& edge) { return edge.node == i && edge.output == output; });
      names.push_back({output == 0 ? node(i).name() : fmt::format("{}:{}", node(i).name(), output), kept,
                       reads_[i].count(output) > 0});
    }
    return names;
  }

  const TfModel& model_;
  const GraphDef& proto_;
  const ImportOptions& options_;
  ImportState state_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<std::vector<Edge>> edges_;  // data inputs of each node
  std::vector<std::set<int>> reads_;      // which outputs of each node are read
  std::unordered_set<size_t> bypassed_;   // the last products of dropouts
  std::vector<bool> read_by_data_, read_by_control_;
  std::vector<Edge> outputs_;
  std::unordered_map<size_t, std::map<int, ValueId>> values_;
};

}  // namespace

ImportResult import_tensorflow(TfModel model, const std::string& file, const ImportOptions& options) {
  expand_fused_ops(model.graph);
  return TfImporter(model, file, options).run();
}

ImportResult import_tensorflow(GraphDef graph, const std::string& file, const ImportOptions& options) {
  ImportOptions flat_options = options;
  TfModel model;
  inline_library(graph, flat_options.outputs, file);
  model.graph = std::move(graph);
  return import_tensorflow(std::move(model), file, flat_options);
}

void inline_library(GraphDef& graph, std::vector<std::string>& outputs, const std::string& file) {
  if (graph.library().function_size() == 0) return;
  std::unordered_set<std::string_view> names;
  for (const NodeDef& each : graph.node()) names.insert(each.name());
  for (const std::string& output : outputs) {
    const TfReference reference = parse_reference(output);
    if (names.count(reference.name) == 0) refuse_output(graph, reference.name, file);
  }
  FlatGraph flat = inline_functions(graph, outputs.empty() ? unread_nodes(graph) : outputs, file);
  if (!outputs.empty()) outputs = std::move(flat.roots);
  graph = std::move(flat.graph);
}

std::optional<ElementType> tf_element_type(int32_t data_type) {
  switch (data_type) {
    case tf_format::DT_FLOAT:
      return ElementType::kFloat32;
    case tf_format::DT_DOUBLE:
      return ElementType::kFloat64;
    case tf_format::DT_HALF:
      return ElementType::kFloat16;
    case tf_format::DT_BFLOAT16:
      return ElementType::kBfloat16;
    case tf_format::DT_INT8:
      return ElementType::kInt8;
    case tf_format::DT_INT16:
      return ElementType::kInt16;
    case tf_format::DT_INT32:
      return ElementType::kInt32;
    case tf_format::DT_INT64:
      return ElementType::kInt64;
    case tf_format::DT_UINT8:
      return ElementType::kUint8;
    case tf_format::DT_UINT16:
      return ElementType::kUint16;
    case tf_format::DT_UINT32:
      return ElementType::kUint32;
    case tf_format::DT_UINT64:
      return ElementType::kUint64;
    case tf_format::DT_BOOL:
      return ElementType::kBool;
    default:
      return {};
  }
}

Constant decode_tf_tensor(const tf_format::TensorProto& tensor, FillBudget& fills, const std::string& where) {
  const auto type = tf_element_type(tensor.dtype());
  if (!type) throw UserError("{}: element type {} is not supported", where, tensor.dtype());
  if (tensor.tensor_shape().unknown_rank()) throw UserError("{}: a constant without a shape", where);
  Ints dims;
  for (const auto& dim : tensor.tensor_shape().dim()) dims.push_back(dim.size());
  if (!tensor.tensor_content().empty()) return constant_from_bytes(*type, dims, tensor.tensor_content(), where);
  const auto read = [&](const auto& values) { return constant_from_values(*type, dims, values, &fills, where); };
  switch (*type) {
    case ElementType::kFloat32:
      return read(tensor.float_val());
    case ElementType::kFloat64:
      return read(tensor.double_val());
    case ElementType::kFloat16:
    case ElementType::kBfloat16:
      return read(tensor.half_val());
    case ElementType::kInt64:
      return read(tensor.int64_val());
    case ElementType::kUint32:
      return read(tensor.uint32_val());
    case ElementType::kUint64:
      return read(tensor.uint64_val());
    case ElementType::kBool:
      return read(tensor.bool_val());
    case ElementType::kInt8:
    case ElementType::kInt16:
    case ElementType::kInt32:
    case ElementType::kUint8:
    case ElementType::kUint16:
      return read(tensor.int_val());
  }
  CHECK(false, "element type {}", static_cast<int>(*type));
  return {};
}

TfNode::TfNode(ImportState& state, const NodeDef& proto, std::vector<ResultName> results,
               std::vector<std::optional<ValueId>> inputs)
    : NodeImport(state, proto.name(), proto.op(), std::move(results), std::move(inputs)), proto_(proto) {}

const AttrValue* TfNode::find(const std::string& key, Kind kind) const {
  const auto found = proto_.attr().find(key);
  if (found == proto_.attr().end()) return nullptr;
  if (found->second.value_case() != kind) {
    fail(fmt::format("attribute \"{}\" is of kind {}, expected {}. The file is damaged.", key,
                     static_cast<int>(found->second.value_case()), static_cast<int>(kind)));
  }
  return &found->second;
}

int64_t TfNode::get_int(const std::string& key, int64_t otherwise) const {
  const AttrValue* found = find(key, AttrValue::kI);
  return found != nullptr ? found->i() : otherwise;
}

double TfNode::get_float(const std::string& key, double otherwise) const {
  const AttrValue* found = find(key, AttrValue::kF);
  return found != nullptr ? static_cast<double>(found->f()) : otherwise;
}

bool TfNode::get_bool(const std::string& key, bool otherwise) const {
  const AttrValue* found = find(key, AttrValue::kB);
  return found != nullptr ? found->b() : otherwise;
}

std::string TfNode::get_string(const std::string& key, const std::string& otherwise) const {
  const AttrValue* found = find(key, AttrValue::kS);
  return found != nullptr ? found->s() : otherwise;
}

Ints TfNode::get_ints(const std::string& key, Ints otherwise) const {
  const AttrValue* found = find(key, AttrValue::kList);
  return found != nullptr ? Ints(found->list().i().begin(), found->list().i().end()) : std::move(otherwise);
}

int32_t TfNode::get_type(const std::string& key, int32_t otherwise) const {
  const AttrValue* found = find(key, AttrValue::kType);
  return found != nullptr ? found->type() : otherwise;
}

const tf_format::TensorProto* TfNode::get_tensor(const std::string& key) const {
  const AttrValue* found = find(key, AttrValue::kTensor);
  return found != nullptr ? &found->tensor() : nullptr;
}

}  // namespace treville::import
