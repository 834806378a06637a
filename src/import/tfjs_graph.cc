// JSON becomes the messages that the other TensorFlow formats come in, by the rules of protobuf's JSON mapping: names
// in camel case, 64-bit numbers as text, enumerators by name, bytes in base64. Both spellings that writers use are
// read.
#include "import/tfjs_graph.h"

#include <array>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "import/functions.h"
#include "import/signature.h"
#include "import/tfjs_weights.h"

namespace treville::import {
namespace {

using nlohmann::json;
using tf_format::AttrValue;
using tf_format::NodeDef;
using tf_format::SignatureDef;
using tf_format::TensorProto;
using tf_format::TensorShapeProto;

constexpr size_t kDeepest = 64;

// Reader turns JSON into messages; `file` begins every message of an error.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  void read_graph(const json& topology, tf_format::GraphDef& graph) const {
    for (const json& node : list(topology, "node")) read_node(node, *graph.add_node());
    if (const json* versions = find(topology, "versions")) {
      if (const json* producer = find(*versions, "producer")) {
        graph.mutable_versions()->set_producer(static_cast<int32_t>(integer(*producer)));
      }
    }
    const json* library = find(topology, "library");
    if (library == nullptr) return;
    for (const json& function : list(*library, "function"))
      read_function(function, *graph.mutable_library()->add_function());
  }

  void read_signature(const json& stored, SignatureDef& signature) const {
    read_tensors(stored, "inputs", *signature.mutable_inputs());
    read_tensors(stored, "outputs", *signature.mutable_outputs());
  }

 private:
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw UserError("{}: {}. The file is damaged.", file_, fmt::format(format, std::forward<Args>(args)...));
  }

  // --- Pieces of JSON ------------------------------------------------------------------------------------------------

  const json* find(const json& object, const char* key) const {
    if (!object.is_object()) fail("expected an object with \"{}\"", key);
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  // list is empty when the key is absent.
  const json& list(const json& object, const char* key) const {
    static const json none = json::array();
    const json* found = find(object, key);
    if (found == nullptr) return none;
    if (!found->is_array()) fail("\"{}\" is not a list", key);
    return *found;
  }

  std::string text(const json& value) const {
    if (!value.is_string()) fail("expected a text, found {}", value.type_name());
    return value.get<std::string>();
  }
  std::string text(const json& object, const char* key) const {
    const json* found = find(object, key);
    return found == nullptr ? "" : text(*found);
  }

  int64_t integer(const json& value) const {
    if (value.is_number_integer()) return value.get<int64_t>();
    int64_t number = 0;
    const std::string digits = text(value);
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || stop != digits.data() + digits.size()) fail("\"{}\" is no whole number", digits);
    return number;
  }

  double real(const json& value) const {
    if (value.is_number()) return value.get<double>();
    const std::string name = text(value);
    if (name == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (name == "Infinity") return std::numeric_limits<double>::infinity();
    if (name == "-Infinity") return -std::numeric_limits<double>::infinity();
    fail("\"{}\" is no number", name);
  }

  bool boolean(const json& value) const {
    if (!value.is_boolean()) fail("expected true or false, found {}", value.type_name());
    return value.get<bool>();
  }

  // Bytes are base64; converters of old wrote them as a list of numbers.
  std::string bytes(const json& value) const {
    std::string result;
    if (value.is_array()) {
      for (const json& byte : value) result += static_cast<char>(integer(byte));
      return result;
    }
    uint32_t word = 0;
    int bits = 0;
    for (char c : text(value)) {
      if (c == '=') break;
      const int digit = base64_digit(c);
      if (digit < 0) fail("\"{}\" is not base64", text(value).substr(0, 40));
      word = (word << 6 | static_cast<uint32_t>(digit)) & 0xffffff;
      bits += 6;
      if (bits < 8) continue;
      bits -= 8;
      result += static_cast<char>(word >> bits & 255);
    }
    return result;
  }

  static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
  }

  int32_t data_type(const json& value) const {
    if (value.is_number_integer()) return static_cast<int32_t>(integer(value));
    struct Name {
      std::string_view name;
      int32_t type;
    };
    constexpr auto kNames = std::to_array<Name>({{"DT_FLOAT", tf_format::DT_FLOAT},
                                                 {"DT_DOUBLE", tf_format::DT_DOUBLE},
                                                 {"DT_INT32", tf_format::DT_INT32},
                                                 {"DT_UINT8", tf_format::DT_UINT8},
                                                 {"DT_INT16", tf_format::DT_INT16},
                                                 {"DT_INT8", tf_format::DT_INT8},
                                                 {"DT_STRING", tf_format::DT_STRING},
                                                 {"DT_INT64", tf_format::DT_INT64},
                                                 {"DT_BOOL", tf_format::DT_BOOL},
                                                 {"DT_BFLOAT16", tf_format::DT_BFLOAT16},
                                                 {"DT_UINT16", tf_format::DT_UINT16},
                                                 {"DT_HALF", tf_format::DT_HALF},
                                                 {"DT_RESOURCE", tf_format::DT_RESOURCE},
                                                 {"DT_UINT32", tf_format::DT_UINT32},
                                                 {"DT_UINT64", tf_format::DT_UINT64}});
    const std::string name = text(value);
    for (const Name& each : kNames) {
      if (each.name == name) return each.type;
    }
    return tf_format::DT_INVALID;  // refused where a node needs it
  }

  // --- Messages ------------------------------------------------------------------------------------------------------

  void read_shape(const json& stored, TensorShapeProto& shape) const {
    for (const char* key : {"unknownRank", "unknown_rank"}) {
      if (const json* found = find(stored, key)) shape.set_unknown_rank(boolean(*found));
    }
    for (const json& dim : list(stored, "dim")) {
      const json* size = find(dim, "size");
      shape.add_dim()->set_size(size == nullptr ? 0 : integer(*size));
    }
  }

  // Constants without a value of their own stand in the shards; what is here are small ones.
  void read_tensor(const json& stored, TensorProto& tensor) const {
    if (const json* type = find(stored, "dtype")) tensor.set_dtype(data_type(*type));
    for (const char* key : {"tensorShape", "tensor_shape"}) {
      if (const json* shape = find(stored, key)) read_shape(*shape, *tensor.mutable_tensor_shape());
    }
    for (const char* key : {"tensorContent", "tensor_content"}) {
      if (const json* content = find(stored, key)) tensor.set_tensor_content(bytes(*content));
    }
    const auto each = [&](const char* camel, const char* snake, const auto& add) {
      for (const char* key : {camel, snake}) {
        for (const json& value : list(stored, key)) add(value);
      }
    };
    each("floatVal", "float_val", [&](const json& v) { tensor.add_float_val(static_cast<float>(real(v))); });
    each("doubleVal", "double_val", [&](const json& v) { tensor.add_double_val(real(v)); });
    each("intVal", "int_val", [&](const json& v) { tensor.add_int_val(static_cast<int32_t>(integer(v))); });
    each("int64Val", "int64_val", [&](const json& v) { tensor.add_int64_val(integer(v)); });
    each("boolVal", "bool_val", [&](const json& v) { tensor.add_bool_val(boolean(v)); });
    each("halfVal", "half_val", [&](const json& v) { tensor.add_half_val(static_cast<int32_t>(integer(v))); });
    each("stringVal", "string_val", [&](const json& v) { tensor.add_string_val(bytes(v)); });
  }

  void read_list(const json& stored, AttrValue::ListValue& values) const {
    for (const json& value : list(stored, "s")) values.add_s(bytes(value));
    for (const json& value : list(stored, "i")) values.add_i(integer(value));
    for (const json& value : list(stored, "f")) values.add_f(static_cast<float>(real(value)));
    for (const json& value : list(stored, "b")) values.add_b(boolean(value));
    for (const json& value : list(stored, "type")) values.add_type(data_type(value));
    for (const json& value : list(stored, "shape")) read_shape(value, *values.add_shape());
  }

  void read_attribute(const json& stored, AttrValue& value, size_t depth) const {
    if (depth > kDeepest) fail("attributes are nested more than {} deep", kDeepest);
    if (const json* s = find(stored, "s")) value.set_s(bytes(*s));
    if (const json* i = find(stored, "i")) value.set_i(integer(*i));
    if (const json* f = find(stored, "f")) value.set_f(static_cast<float>(real(*f)));
    if (const json* b = find(stored, "b")) value.set_b(boolean(*b));
    if (const json* type = find(stored, "type")) value.set_type(data_type(*type));
    if (const json* shape = find(stored, "shape")) read_shape(*shape, *value.mutable_shape());
    if (const json* tensor = find(stored, "tensor")) read_tensor(*tensor, *value.mutable_tensor());
    if (const json* values = find(stored, "list")) read_list(*values, *value.mutable_list());
    if (const json* placeholder = find(stored, "placeholder")) value.set_placeholder(text(*placeholder));
    if (const json* function = find(stored, "func")) {
      value.mutable_func()->set_name(text(*function, "name"));
      read_attributes(*function, *value.mutable_func()->mutable_attr(), depth + 1);
    }
  }

  void read_attributes(const json& object, google::protobuf::Map<std::string, AttrValue>& attributes,
                       size_t depth) const {
    const json* stored = find(object, "attr");
    if (stored == nullptr) return;
    if (!stored->is_object()) fail("\"attr\" is not an object");
    for (const auto& [key, value] : stored->items()) read_attribute(value, attributes[key], depth);
  }

  void read_node(const json& stored, NodeDef& node) const {
    node.set_name(text(stored, "name"));
    node.set_op(text(stored, "op"));
    for (const json& input : list(stored, "input")) node.add_input(text(input));
    read_attributes(stored, *node.mutable_attr(), 0);
  }

  void read_args(const json& signature, const char* camel, const char* snake,
                 google::protobuf::RepeatedPtrField<tf_format::OpDef::ArgDef>& args) const {
    for (const char* key : {camel, snake}) {
      for (const json& arg : list(signature, key)) args.Add()->set_name(text(arg, "name"));
    }
  }

  void read_texts(const json& object, const char* key, google::protobuf::Map<std::string, std::string>& texts) const {
    const json* stored = find(object, key);
    if (stored == nullptr) return;
    if (!stored->is_object()) fail("\"{}\" is not an object", key);
    for (const auto& [name, value] : stored->items()) texts[name] = text(value);
  }

  void read_function(const json& stored, tf_format::FunctionDef& function) const {
    const json* signature = find(stored, "signature");
    if (signature == nullptr) fail("a function has no signature");
    function.mutable_signature()->set_name(text(*signature, "name"));
    read_args(*signature, "inputArg", "input_arg", *function.mutable_signature()->mutable_input_arg());
    read_args(*signature, "outputArg", "output_arg", *function.mutable_signature()->mutable_output_arg());
    for (const char* key : {"nodeDef", "node_def"}) {
      for (const json& node : list(stored, key)) read_node(node, *function.add_node_def());
    }
    read_texts(stored, "ret", *function.mutable_ret());
    read_texts(stored, "controlRet", *function.mutable_control_ret());
    read_texts(stored, "control_ret", *function.mutable_control_ret());
  }

  void read_tensors(const json& signature, const char* key,
                    google::protobuf::Map<std::string, tf_format::TensorInfo>& tensors) const {
    const json* stored = find(signature, key);
    if (stored == nullptr) return;
    if (!stored->is_object()) fail("\"{}\" of the signature is not an object", key);
    for (const auto& [name, value] : stored->items()) {
      tf_format::TensorInfo& info = tensors[name];
      info.set_name(text(value, "name"));
      if (const json* type = find(value, "dtype")) info.set_dtype(data_type(*type));
      for (const char* shape_key : {"tensorShape", "tensor_shape"}) {
        if (const json* shape = find(value, shape_key)) read_shape(*shape, *info.mutable_tensor_shape());
      }
    }
  }

  const std::string file_;
};

const json* find_signature(const json& model) {
  for (const json* place : {&model, model.contains("userDefinedMetadata") ? &model["userDefinedMetadata"] : nullptr}) {
    if (place == nullptr || !place->is_object() || !place->contains("signature")) continue;
    const json& signature = (*place)["signature"];
    if (signature.is_object() && signature.contains("outputs")) return &signature;
  }
  return nullptr;
}

// move_weights gives constants their values from the shards.
void move_weights(TfModel& model, std::map<std::string, Constant> weights) {
  const auto shared = std::make_shared<std::map<std::string, Constant>>(std::move(weights));
  for (const NodeDef& node : model.graph.node()) {
    const auto found = shared->find(node.name());
    if (node.op() != "Const" || found == shared->end()) continue;
    model.weights[node.name()] = [shared, &value = found->second] { return std::move(value); };
  }
}

json parse(const std::string& text, const std::string& file) {
  // Only a callback sees the depth while it is read; the parser itself needs no stack, what walks the result does.
  const auto bounded = [&](int depth, json::parse_event_t, const json&) {
    if (depth > static_cast<int>(4 * kDeepest)) throw UserError("{}: the JSON is nested too deeply", file);
    return true;
  };
  try {
    return json::parse(text, bounded);
  } catch (const json::exception&) {
    throw UserError("{}: this is no valid JSON, or the file is damaged or cut short. Copy or convert it again.", file);
  }
}

}  // namespace

std::optional<ImportResult> import_tfjs_graph(const std::string& text, const std::filesystem::path& folder,
                                              const std::string& file, const ImportOptions& options) {
  const json stored = parse(text, file);
  if (!stored.is_object() || !stored.contains("modelTopology")) return {};
  const json& topology = stored["modelTopology"];
  if (!topology.is_object() || !topology.contains("node")) return {};
  const Reader reader(file);
  TfModel model;
  model.format = "tensorflow-js";
  reader.read_graph(topology, model.graph);
  ImportOptions flat_options = options;
  std::vector<Output> outputs;
  if (const json* found = find_signature(stored)) {
    SignatureDef signature;
    reader.read_signature(*found, signature);
    feed_inputs(signature, model, file);
    outputs = choose_outputs(signature, options);
    flat_options.outputs.clear();
    for (const Output& output : outputs) flat_options.outputs.push_back(output.reference);
  }
  inline_library(model.graph, flat_options.outputs, file);
  if (!stored.contains("weightsManifest")) throw UserError("{}: it has no \"weightsManifest\"", file);
  move_weights(model, read_tfjs_weights(stored["weightsManifest"], folder, file));
  ImportResult result = import_tensorflow(std::move(model), file, flat_options);
  if (!outputs.empty()) name_outputs(outputs, result.graph);
  return result;
}

}  // namespace treville::import
