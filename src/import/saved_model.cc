#include "import/saved_model.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "base/suggest.h"
#include "import/functions.h"
#include "import/signature.h"
#include "import/tf_reference.h"
#include "import/variables.h"

namespace treville::import {
namespace {

namespace fs = std::filesystem;
using tf_format::MetaGraphDef;
using tf_format::SavedModel;
using tf_format::SignatureDef;

constexpr uintmax_t kLargestFile = uintmax_t{1} << 31;
constexpr std::string_view kServe = "serve", kDefault = "serving_default";

SavedModel read_proto(const fs::path& folder, const std::string& file) {
  const fs::path path = folder / "saved_model.pb";
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (error || !stream) throw UserError("{}: saved_model.pb cannot be read. Check its permissions.", file);
  if (size >= kLargestFile) {
    throw UserError("{}: saved_model.pb has {} bytes, a graph may have 2 GiB. Save the weights as variables.", file,
                    size);
  }
  const google::protobuf::LogSilencer quiet;
  SavedModel model;
  if (!model.ParseFromIstream(&stream) || model.meta_graphs_size() == 0) {
    throw UserError("{}: saved_model.pb is not a SavedModel, or is damaged or cut short. Copy or save it again.", file);
  }
  return model;
}

// choose_meta_graph takes the graph for serving; of several the one with fewest further tags (processors).
MetaGraphDef& choose_meta_graph(SavedModel& model, const std::string& file) {
  MetaGraphDef* chosen = nullptr;
  std::string found;
  for (MetaGraphDef& each : *model.mutable_meta_graphs()) {
    const auto& tags = each.meta_info_def().tags();
    found += fmt::format("{}[{}]", found.empty() ? "" : ", ", fmt::join(tags, ","));
    if (std::find(tags.begin(), tags.end(), kServe) == tags.end()) continue;
    if (chosen == nullptr || tags.size() < chosen->meta_info_def().tags_size()) chosen = &each;
  }
  if (chosen == nullptr) {
    throw UserError("{}: expected a graph with the tag \"serve\", found the tags {}. Save the model for serving.", file,
                    found);
  }
  return *chosen;
}

std::string describe(const std::string& name, const SignatureDef& signature) {
  std::vector<std::string> inputs, outputs;
  for (const auto& [key, info] : signature.inputs()) {
    inputs.push_back(key + (tf_element_type(info.dtype()) ? "" : " (no numbers)"));
  }
  for (const auto& [key, info] : signature.outputs()) outputs.push_back(key);
  std::sort(inputs.begin(), inputs.end());
  std::sort(outputs.begin(), outputs.end());
  return fmt::format("\n  {}: {} -> {}", name, fmt::join(inputs, ", "), fmt::join(outputs, ", "));
}

// choose_signature: the one asked for, else serving_default, else the only one.
const SignatureDef& choose_signature(const MetaGraphDef& meta, const std::string& file, const std::string& wanted) {
  std::map<std::string, const SignatureDef*> known;
  for (const auto& [name, signature] : meta.signature_def()) {
    const bool is_internal = name.starts_with("__saved_model_") || signature.outputs_size() == 0;
    if (!is_internal) known.emplace(name, &signature);
  }
  if (known.empty()) {
    throw UserError(
        "{}: the SavedModel has no signature, nothing says what to compute. Save it with one: "
        "tf.saved_model.save(model, path, signatures=model.call.get_concrete_function(tf.TensorSpec(...))).",
        file);
  }
  std::string list;
  for (const auto& [name, signature] : known) list += describe(name, *signature);
  auto chosen = known.find(wanted.empty() ? std::string(kDefault) : wanted);
  if (chosen == known.end() && !wanted.empty()) {
    throw UserError("{}: there is no signature \"{}\". The model has:{}", file, wanted, list);
  }
  if (chosen == known.end() && known.size() == 1) chosen = known.begin();
  if (chosen == known.end()) {
    throw UserError("{}: several signatures and no \"{}\"; choose one with --signature. The model has:{}", file,
                    kDefault, list);
  }
  for (const auto& [key, info] : chosen->second->inputs()) {
    if (tf_element_type(info.dtype())) continue;
    throw UserError(
        "{}: input \"{}\" of the signature \"{}\" takes no numbers (data type {}). Choose another with --signature, or "
        "save one that takes tensors of numbers. The model has:{}",
        file, key, chosen->first, info.dtype(), list);
  }
  return *chosen->second;
}

// roots_of adds the operation that restores the variables to what is computed: it tells where they are stored.
std::vector<std::string> roots_of(const std::vector<Output>& outputs, const std::string& restore,
                                  const tf_format::GraphDef& graph) {
  std::vector<std::string> roots;
  for (const Output& output : outputs) roots.push_back(output.reference);
  const bool is_there =
      std::any_of(graph.node().begin(), graph.node().end(), [&](const auto& node) { return node.name() == restore; });
  if (is_there) roots.push_back("^" + restore);
  return roots;
}

}  // namespace

ImportResult import_saved_model(SavedModel model, const fs::path& folder, const std::string& file,
                                const ImportOptions& options) {
  MetaGraphDef& meta = choose_meta_graph(model, file);
  const SignatureDef signature = choose_signature(meta, file, options.signature);
  TfModel tf;
  tf.format = "tensorflow-saved-model";
  tf.graph.Swap(meta.mutable_graph_def());
  const std::string restore = parse_reference(meta.saver_def().restore_op_name()).name;
  model.Clear();
  feed_inputs(signature, tf, file);
  const std::vector<Output> outputs = choose_outputs(signature, options);
  FlatGraph flat = inline_functions(tf.graph, roots_of(outputs, restore, tf.graph), file);
  tf.graph = std::move(flat.graph);
  ImportOptions flat_options = options;
  flat_options.outputs.assign(flat.roots.begin(), flat.roots.begin() + static_cast<std::ptrdiff_t>(outputs.size()));
  replace_variables(tf, flat_options.outputs, folder / "variables" / "variables", file);
  ImportResult result = import_tensorflow(std::move(tf), file, flat_options);
  name_outputs(outputs, result.graph);
  return result;
}

ImportResult import_saved_model(const fs::path& folder, const std::string& file, const ImportOptions& options) {
  return import_saved_model(read_proto(folder, file), folder, file, options);
}

}  // namespace treville::import
