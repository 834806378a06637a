// The ONNX importer: onnx.cc walks the model, onnx_ops.cc is the table of operations. A new operation is one function
// and one row there.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "import/node_import.h"
#include "onnx_format.pb.h"

namespace treville::import {

// import_onnx translates a parsed model; `file` is its name for messages. Tensors with external data are read from
// files in `folder` when they are needed; without a folder they are refused.
ImportResult import_onnx(const onnx_format::ModelProto& model, const std::string& file, const ImportOptions& options,
                         const std::filesystem::path& folder = {});

Constant decode_onnx_tensor(const onnx_format::TensorProto& tensor, const std::string& where,
                            const std::filesystem::path& folder = {});

// OnnxNode adds the node's attributes and the model's operator set to NodeImport. The readers give the default when the
// attribute is absent and throw UserError when it has another type.
class OnnxNode : public NodeImport {
 public:
  OnnxNode(ImportState& state, const onnx_format::NodeProto& proto, int64_t opset, std::vector<ResultName> results,
           std::vector<std::optional<ValueId>> inputs);

  int64_t opset() const { return opset_; }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  int64_t get_int(std::string_view key, int64_t otherwise) const;
  double get_float(std::string_view key, double otherwise) const;
  std::string get_string(std::string_view key, const std::string& otherwise) const;
  Ints get_ints(std::string_view key, Ints otherwise = {}) const;
  std::vector<float> get_floats(std::string_view key) const;
  std::vector<std::string> get_strings(std::string_view key) const;
  std::optional<Constant> get_tensor(std::string_view key) const;
  std::optional<ElementType> get_tensor_type(std::string_view key) const;

 private:
  using Type = onnx_format::AttributeProto::AttributeType;
  const onnx_format::AttributeProto* find(std::string_view key) const;
  const onnx_format::AttributeProto* find(std::string_view key, Type type) const;

  const onnx_format::NodeProto& proto_;
  int64_t opset_;
};

// onnx_element_type reads a number of the format's list of element types; absent for those that are not supported.
std::optional<ElementType> onnx_element_type(int64_t number);

// has_onnx_row says whether the table has the operation (also: as one that is refused with advice).
bool has_onnx_row(std::string_view op);
// import_onnx_node translates a node of ONNX's own operator set, or throws Refusal.
void import_onnx_node(OnnxNode& node);

}  // namespace treville::import
