#include "import/onnx.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "import/stored_bytes.h"

namespace treville::import {
namespace {

using onnx_format::AttributeProto;
using onnx_format::GraphProto;
using onnx_format::ModelProto;
using onnx_format::NodeProto;
using onnx_format::TensorProto;
using onnx_format::ValueInfoProto;

constexpr int64_t kOldestOpset = 7, kNewestOpset = 21;

std::optional<ElementType> element_type(int32_t data_type) {
  switch (data_type) {
    case TensorProto::FLOAT:
      return ElementType::kFloat32;
    case TensorProto::DOUBLE:
      return ElementType::kFloat64;
    case TensorProto::FLOAT16:
      return ElementType::kFloat16;
    case TensorProto::BFLOAT16:
      return ElementType::kBfloat16;
    case TensorProto::INT8:
      return ElementType::kInt8;
    case TensorProto::INT16:
      return ElementType::kInt16;
    case TensorProto::INT32:
      return ElementType::kInt32;
    case TensorProto::INT64:
      return ElementType::kInt64;
    case TensorProto::UINT8:
      return ElementType::kUint8;
    case TensorProto::UINT16:
      return ElementType::kUint16;
    case TensorProto::UINT32:
      return ElementType::kUint32;
    case TensorProto::UINT64:
      return ElementType::kUint64;
    case TensorProto::BOOL:
      return ElementType::kBool;
    default:
      return {};
  }
}

bool is_standard(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

std::string origin_of(const NodeProto& node) {
  return is_standard(node.domain()) ? node.op_type() : node.domain() + "." + node.op_type();
}

// name_of is the first output's name where exporters leave nodes unnamed.
std::string name_of(const NodeProto& node) {
  if (!node.name().empty() || node.output_size() == 0) return node.name();
  return node.output(0);
}

int64_t opset_of(const ModelProto& model, const std::string& file) {
  int64_t opset = 1;  // what a model without the field means
  for (const auto& entry : model.opset_import()) {
    if (is_standard(entry.domain())) opset = entry.version();
  }
  if (opset < kOldestOpset || opset > kNewestOpset) {
    throw UserError("{}: the model uses ONNX operator set {}, supported are {} to {}. Export it with opset_version=13.",
                    file, opset, kOldestOpset, kNewestOpset);
  }
  return opset;
}

// OnnxImporter walks the nodes once, in the file's (topological) order.
class OnnxImporter {
 public:
  OnnxImporter(const ModelProto& model, const std::string& file, const ImportOptions& options,
               const std::filesystem::path& folder)
      : graph_proto_(model.graph()), options_(options), opset_(opset_of(model, file)) {
    state_.file = file;
    state_.folder = folder;
    state_.result.graph.name = model.graph().name();
    state_.result.graph.format = "onnx";
  }

  ImportResult run() {
    if (graph_proto_.sparse_initializer_size() > 0) {
      throw UserError("{}: sparse initializers are not supported. Store the weights as dense tensors.", state_.file);
    }
    index_initializers();
    add_inputs();
    choose_outputs();
    const std::vector<bool> needed = needed_nodes();
    for (int i = 0; i < graph_proto_.node_size(); ++i) {
      if (needed[static_cast<size_t>(i)]) import_node(graph_proto_.node(i));
    }
    for (const std::string& name : output_names_) {
      const auto id = value_of(name, "the model's output");
      if (!id) throw UserError("{}: output \"{}\" is computed by no node. The file is damaged.", state_.file, name);
      state_.result.graph.outputs.push_back(*id);
    }
    check_option_names(state_, options_);
    // What computed integers that are read as floats after all is left behind.
    if (!state_.real_values.empty()) state_.result.graph.remove_dead();
    return std::move(state_.result);
  }

 private:
  void index_initializers() {
    for (const TensorProto& tensor : graph_proto_.initializer()) {
      if (!initializers_.emplace(tensor.name(), &tensor).second) {
        throw UserError("{}: initializer \"{}\" is given twice. The file is damaged.", state_.file, tensor.name());
      }
    }
  }

  // Before operator set 9 initializers are listed as inputs too; those are not inputs of the model.
  void add_inputs() {
    for (const ValueInfoProto& info : graph_proto_.input()) {
      if (initializers_.count(info.name()) > 0) continue;
      const auto type = element_type(info.type().tensor_type().elem_type());
      if (!type) {
        throw UserError("{}: input \"{}\" has element type {}, supported are floats and integers", state_.file,
                        info.name(), info.type().tensor_type().elem_type());
      }
      Value value;
      value.name = info.name();
      value.dtype = is_float(*type) ? DType::kFloat : DType::kInt;
      value.shape = choose_input_shape(state_.file, info.name(), declared_shape(info), options_);
      const ValueId id = state_.result.graph.add_value(std::move(value));
      state_.result.graph.inputs.push_back(id);
      define(info.name(), id);
    }
  }

  static std::optional<Shape> declared_shape(const ValueInfoProto& info) {
    if (!info.type().tensor_type().has_shape()) return {};
    Ints dims;
    for (const auto& dim : info.type().tensor_type().shape().dim()) {
      dims.push_back(dim.dim_value() > 0 ? dim.dim_value() : -1);
    }
    return Shape(dims);
  }

  void choose_outputs() {
    output_names_ = options_.outputs;
    if (output_names_.empty()) {
      for (const ValueInfoProto& info : graph_proto_.output()) output_names_.push_back(info.name());
    }
    if (output_names_.empty()) throw UserError("{}: the model names no output", state_.file);
    kept_.insert(output_names_.begin(), output_names_.end());
  }

  // needed_nodes marks what the outputs depend on: exporters leave dead nodes behind.
  std::vector<bool> needed_nodes() {
    wanted_ = kept_;
    std::vector<bool> needed(static_cast<size_t>(graph_proto_.node_size()), false);
    for (int i = graph_proto_.node_size(); i-- > 0;) {
      const NodeProto& node = graph_proto_.node(i);
      const bool is_needed = std::any_of(node.output().begin(), node.output().end(),
                                         [&](const std::string& name) { return is_wanted(name); });
      needed[static_cast<size_t>(i)] = is_needed;
      if (is_needed) wanted_.insert(node.input().begin(), node.input().end());
    }
    return needed;
  }

  bool is_wanted(const std::string& name) const { return !name.empty() && wanted_.count(name) > 0; }

  void define(const std::string& name, ValueId id) {
    if (initializers_.count(name) > 0 || !values_.emplace(name, id).second) {
      throw UserError("{}: value \"{}\" is computed twice. The file is damaged.", state_.file, name);
    }
  }

  // value_of finds a value by name; initializers become constants when they are first read.
  std::optional<ValueId> value_of(const std::string& name, const std::string& reader) {
    const auto found = values_.find(name);
    if (found != values_.end()) return found->second;
    const auto stored = initializers_.find(name);
    if (stored == initializers_.end()) return {};
    const std::string where = fmt::format("{}: {}: tensor \"{}\"", state_.file, reader, name);
    const ValueId id =
        state_.result.graph.add_constant(name, decode_onnx_tensor(*stored->second, where, state_.folder));
    values_.emplace(name, id);
    if (const auto type = element_type(stored->second->data_type())) state_.element_types.emplace(id, *type);
    return id;
  }

  void import_node(const NodeProto& proto) {
    const std::string origin = origin_of(proto);
    const std::string name = name_of(proto);
    const std::string reader = fmt::format("node \"{}\" ({})", name, origin);
    std::vector<std::optional<ValueId>> inputs;
    for (const std::string& input : proto.input()) {
      inputs.push_back(input.empty() ? std::optional<ValueId>() : value_of(input, reader));
      if (!input.empty() && !inputs.back()) {
        throw UserError(
            "{}: {} reads \"{}\", which nothing before it computes. The nodes must be in topological order.",
            state_.file, reader, input);
      }
    }
    const size_t nodes_before = state_.result.graph.nodes.size();
    try {
      if (!is_standard(proto.domain())) throw Refusal{"it is of another operator set than ONNX's own"};
      OnnxNode node(state_, proto, opset_, result_names(proto), inputs);
      import_onnx_node(node);
      node.check_results();
      for (size_t i = 0; i < node.result_count(); ++i)
        if (node.reads_result(i)) define(proto.output(static_cast<int>(i)), node.result(i));
    } catch (const Refusal& refusal) {
      state_.result.graph.nodes.resize(nodes_before);
      std::vector<std::string> names;
      std::copy_if(proto.output().begin(), proto.output().end(), std::back_inserter(names),
                   [](const std::string& output) { return !output.empty(); });
      const auto ids = refuse_node(state_, name, origin, refusal.reason, inputs, names);
      for (size_t i = 0; i < ids.size(); ++i) define(names[i], ids[i]);
    }
  }

  std::vector<ResultName> result_names(const NodeProto& proto) const {
    std::vector<ResultName> names;
    for (const std::string& output : proto.output())
      names.push_back({output, kept_.count(output) > 0, is_wanted(output)});
    return names;
  }

  const GraphProto& graph_proto_;
  const ImportOptions& options_;
  const int64_t opset_;
  ImportState state_;
  std::unordered_map<std::string, const TensorProto*> initializers_;
  std::unordered_map<std::string, ValueId> values_;
  std::vector<std::string> output_names_;
  std::unordered_set<std::string> kept_;    // the outputs' names
  std::unordered_set<std::string> wanted_;  // every name that a needed node reads, and the outputs
};

}  // namespace

ImportResult import_onnx(const ModelProto& model, const std::string& file, const ImportOptions& options,
                         const std::filesystem::path& folder) {
  return OnnxImporter(model, file, options, folder).run();
}

namespace {

// External data is described by texts: location, offset (default 0) and length (default: what the shape takes).
Constant read_external(const TensorProto& tensor, ElementType type, const Ints& dims, const std::string& where,
                       const std::filesystem::path& folder) {
  if (folder.empty()) {
    throw UserError("{}: its data lies in another file, and the model was not read from a folder", where);
  }
  const auto number = [&](const std::string& text) {
    int64_t value = -1;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || stop != text.data() + text.size() || value < 0) {
      throw UserError("{}: \"{}\" is no offset or length of external data. The file is damaged.", where, text);
    }
    return value;
  };
  std::string location;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(checked_elements(dims, where), bytes_of(type), &bytes)) {
    throw UserError("{}: a tensor of shape {} has too many elements", where, to_string(Shape(dims)));
  }
  int64_t offset = 0, length = bytes;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = number(entry.value());
    if (entry.key() == "length") length = number(entry.value());
  }
  if (length != bytes) {
    throw UserError("{}: its shape {} takes {} bytes, its external data has {}. The file is damaged.", where,
                    to_string(Shape(dims)), bytes, length);
  }
  ByteStream stream({{path_inside(folder, location, where), offset, length}}, where);
  return constant_from_stream(type, dims, stream);
}

}  // namespace

Constant decode_onnx_tensor(const TensorProto& tensor, const std::string& where, const std::filesystem::path& folder) {
  const auto type = element_type(tensor.data_type());
  if (!type) throw UserError("{}: element type {} is not supported", where, tensor.data_type());
  const Ints dims(tensor.dims().begin(), tensor.dims().end());
  if (tensor.data_location() == TensorProto::EXTERNAL || tensor.external_data_size() > 0) {
    return read_external(tensor, *type, dims, where, folder);
  }
  if (!tensor.raw_data().empty()) return constant_from_bytes(*type, dims, tensor.raw_data(), where);
  switch (*type) {
    case ElementType::kFloat32:
      return constant_from_values(*type, dims, tensor.float_data(), nullptr, where);
    case ElementType::kFloat64:
      return constant_from_values(*type, dims, tensor.double_data(), nullptr, where);
    case ElementType::kInt64:
      return constant_from_values(*type, dims, tensor.int64_data(), nullptr, where);
    case ElementType::kUint32:
    case ElementType::kUint64:
      return constant_from_values(*type, dims, tensor.uint64_data(), nullptr, where);
    default:
      return constant_from_values(*type, dims, tensor.int32_data(), nullptr, where);
  }
}

OnnxNode::OnnxNode(ImportState& state, const NodeProto& proto, int64_t opset, std::vector<ResultName> results,
                   std::vector<std::optional<ValueId>> inputs)
    : NodeImport(state, name_of(proto), origin_of(proto), std::move(results), std::move(inputs)),
      proto_(proto),
      opset_(opset) {}

const AttributeProto* OnnxNode::find(std::string_view key) const {
  for (const AttributeProto& attribute : proto_.attribute()) {
    if (attribute.name() == key) return &attribute;
  }
  return nullptr;
}

const AttributeProto* OnnxNode::find(std::string_view key, Type type) const {
  const AttributeProto* found = find(key);
  // Very old exporters leave the type out.
  if (found != nullptr && found->type() != AttributeProto::UNDEFINED && found->type() != type) {
    fail(fmt::format("attribute \"{}\" has type {}, expected {}. The file is damaged.", key,
                     static_cast<int>(found->type()), static_cast<int>(type)));
  }
  return found;
}

int64_t OnnxNode::get_int(std::string_view key, int64_t otherwise) const {
  const AttributeProto* found = find(key, AttributeProto::INT);
  return found != nullptr ? found->i() : otherwise;
}

double OnnxNode::get_float(std::string_view key, double otherwise) const {
  const AttributeProto* found = find(key, AttributeProto::FLOAT);
  return found != nullptr ? static_cast<double>(found->f()) : otherwise;
}

std::string OnnxNode::get_string(std::string_view key, const std::string& otherwise) const {
  const AttributeProto* found = find(key, AttributeProto::STRING);
  return found != nullptr ? found->s() : otherwise;
}

Ints OnnxNode::get_ints(std::string_view key, Ints otherwise) const {
  const AttributeProto* found = find(key, AttributeProto::INTS);
  return found != nullptr ? Ints(found->ints().begin(), found->ints().end()) : std::move(otherwise);
}

std::vector<float> OnnxNode::get_floats(std::string_view key) const {
  const AttributeProto* found = find(key, AttributeProto::FLOATS);
  return found != nullptr ? std::vector<float>(found->floats().begin(), found->floats().end()) : std::vector<float>();
}

std::vector<std::string> OnnxNode::get_strings(std::string_view key) const {
  const AttributeProto* found = find(key, AttributeProto::STRINGS);
  return found != nullptr ? std::vector<std::string>(found->strings().begin(), found->strings().end())
                          : std::vector<std::string>();
}

std::optional<Constant> OnnxNode::get_tensor(std::string_view key) const {
  const AttributeProto* found = find(key, AttributeProto::TENSOR);
  if (found == nullptr) return {};
  return decode_onnx_tensor(found->t(), fmt::format("{}: attribute \"{}\"", where(), key), state().folder);
}

std::optional<ElementType> OnnxNode::get_tensor_type(std::string_view key) const {
  const AttributeProto* found = find(key, AttributeProto::TENSOR);
  return found != nullptr ? element_type(found->t().data_type()) : std::nullopt;
}

std::optional<ElementType> onnx_element_type(int64_t number) {
  return number == static_cast<int32_t>(number) ? element_type(static_cast<int32_t>(number)) : std::nullopt;
}

}  // namespace treville::import
