// The TensorFlow importer: tensorflow.cc walks a GraphDef, tensorflow_ops.cc is the table of operations. A new
// operation is one function and one row there. Frozen graphs, SavedModels and TensorFlow.js models all come down to it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "import/node_import.h"
#include "tf_format.pb.h"

namespace treville::import {

// Edge is a data input: which output of which node.
struct Edge {
  size_t node = 0;
  int output = 0;
};

// TfModel is a graph without calls of functions, and what its container knows besides.
struct TfModel {
  tf_format::GraphDef graph;
  std::string format = "tensorflow-graphdef";
  // weights gives the values of nodes that hold none themselves, by node: a value is read when an output needs it.
  std::unordered_map<std::string, std::function<Constant()>> weights;
  // input_names gives the names the user knows inputs by, by node.
  std::unordered_map<std::string, std::string> input_names;
};

// import_tensorflow translates a parsed graph; `file` is its name for messages.
ImportResult import_tensorflow(TfModel model, const std::string& file, const ImportOptions& options);
ImportResult import_tensorflow(tf_format::GraphDef graph, const std::string& file, const ImportOptions& options);

// inline_library unfolds the functions a graph brings along, if any; outputs become references into the flat graph.
void inline_library(tf_format::GraphDef& graph, std::vector<std::string>& outputs, const std::string& file);

Constant decode_tf_tensor(const tf_format::TensorProto& tensor, FillBudget& fills, const std::string& where);

// tf_element_type maps a DataType; absent: strings, resources, quantised and complex types.
std::optional<ElementType> tf_element_type(int32_t data_type);

// TfNode adds the node's attributes to NodeImport. The readers give the default when the attribute is absent (writers
// strip defaults) and throw UserError when it has another type.
class TfNode : public NodeImport {
 public:
  TfNode(ImportState& state, const tf_format::NodeDef& proto, std::vector<ResultName> results,
         std::vector<std::optional<ValueId>> inputs);

  int64_t get_int(const std::string& key, int64_t otherwise) const;
  double get_float(const std::string& key, double otherwise) const;
  bool get_bool(const std::string& key, bool otherwise) const;
  std::string get_string(const std::string& key, const std::string& otherwise) const;
  Ints get_ints(const std::string& key, Ints otherwise = {}) const;
  int32_t get_type(const std::string& key, int32_t otherwise) const;
  const tf_format::TensorProto* get_tensor(const std::string& key) const;

 private:
  using Kind = tf_format::AttrValue::ValueCase;
  const tf_format::AttrValue* find(const std::string& key, Kind kind) const;

  const tf_format::NodeDef& proto_;
};

// has_tf_row says whether the table has the operation. Placeholders have no row: the walk makes them inputs.
bool has_tf_row(std::string_view op);
// import_tf_node translates a node as the operation `op`, which has a row, or throws Refusal.
void import_tf_node(TfNode& node, std::string_view op);

}  // namespace treville::import
