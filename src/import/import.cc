// import.cc recognises a file's format and reports what a model holds that is not supported. Everything that belongs
// to one format is in its own files.
#include "import/import.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <fstream>
#include <span>
#include <utility>

#include "base/error.h"
#include "import/hdf5_file.h"
#include "import/keras_model.h"
#include "import/onnx.h"
#include "import/tensorflow.h"
#include "import/tflite.h"

namespace treville {
namespace {

constexpr uintmax_t kLargestFile = uintmax_t{1} << 31;

// parse reads a whole message or throws. The parser bounds the depth of nesting itself.
template <class Message>
bool parse(std::ifstream& stream, Message& message) {
  const google::protobuf::LogSilencer quiet;  // the caller says what is wrong, once
  stream.clear();
  stream.seekg(0);
  return message.ParseFromIstream(&stream);
}

bool starts_with(const std::string& head, std::string_view magic, size_t at = 0) {
  return head.size() >= at + magic.size() && std::string_view(head).substr(at, magic.size()) == magic;
}

[[noreturn]] void refuse_format(const std::string& file, std::string_view format, std::string_view advice) {
  throw UserError("{}: {} is not supported yet. {}", file, format, advice);
}

constexpr std::string_view kFreezeSavedModel =
    "Freeze it into one .pb file: tensorflow.python.framework.convert_to_constants."
    "convert_variables_to_constants_v2 on its serving function, then write graph.as_graph_def(). Or convert it to "
    "ONNX: "
    "python -m tf2onnx.convert --saved-model DIR --output model.onnx";

void check_directory(const std::filesystem::path& path, const std::string& file) {
  if (std::filesystem::exists(path / "saved_model.pb")) refuse_format(file, "a SavedModel", kFreezeSavedModel);
  throw UserError("{}: expected a model file (.onnx, .pb, .tflite), found a directory", file);
}

// check_other_formats names formats by their first bytes, whatever the file's name.
void check_other_formats(const std::filesystem::path& path, const std::string& file, const std::string& head) {
  if (path.filename() == "saved_model.pb") refuse_format(file, "a SavedModel", kFreezeSavedModel);
  if (starts_with(head, "node {") || starts_with(head, "node{")) {
    refuse_format(file, "a GraphDef in text form", "Write it in binary: tf.io.write_graph(graph, dir, name, False).");
  }
}

ImportResult read_onnx(std::ifstream& stream, const std::string& file, const ImportOptions& options) {
  onnx_format::ModelProto model;
  if (!parse(stream, model) || !model.has_graph()) {
    throw UserError("{}: this is not an ONNX model, or the file is damaged or cut short. Copy or export it again.",
                    file);
  }
  return import::import_onnx(model, file, options);
}

ImportResult read_tensorflow(std::ifstream& stream, const std::string& file, const ImportOptions& options) {
  tf_format::GraphDef graph;
  if (!parse(stream, graph) || graph.node_size() == 0) {
    throw UserError("{}: this is not a frozen GraphDef, or the file is damaged or cut short. Copy or freeze it again.",
                    file);
  }
  return import::import_tensorflow(graph, file, options);
}

// read_whole reads a file of `size` bytes.
std::string read_whole(std::ifstream& stream, const std::string& file, uintmax_t size) {
  std::string bytes(size, '\0');
  stream.clear();
  stream.seekg(0);
  if (!stream.read(bytes.data(), static_cast<std::streamsize>(size))) throw UserError("{}: cannot be read", file);
  return bytes;
}

// A GraphDef begins with its nodes (field 1, a message); an ONNX model and a SavedModel with a version (field 1, a
// number).
ImportResult read(const std::filesystem::path& path, const ImportOptions& options) {
  const std::string file = path.filename().empty() ? path.string() : path.filename().string();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) throw UserError("{}: there is no such file", path.string());
  if (std::filesystem::is_directory(path, error)) check_directory(path, file);
  const uintmax_t size = std::filesystem::file_size(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (error || !stream) throw UserError("{}: cannot be read. Check that it is a file and its permissions.", file);
  if (size == 0) throw UserError("{}: the file is empty", file);
  if (size > kLargestFile) throw UserError("{}: the file has {} bytes, at most 2 GiB are read", file, size);
  std::string head(std::min<uintmax_t>(size, 16), '\0');
  if (!stream.read(head.data(), static_cast<std::streamsize>(head.size()))) throw UserError("{}: cannot be read", file);

  check_other_formats(path, file, head);
  if (starts_with(head, "TFL3", 4) || path.extension() == ".tflite") {
    const std::string bytes = read_whole(stream, file, size);
    return import::import_tflite(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), file,
                                 options);
  }
  if (import::Hdf5File::is_hdf5(head)) return import::import_keras_h5(read_whole(stream, file, size), file, options);
  if (starts_with(head, "PK\x03\x04")) {
    return import::import_keras_archive(read_whole(stream, file, size), file, options);
  }
  if (starts_with(head, "{")) {
    const std::string text = read_whole(stream, file, size);
    if (auto layers = import::import_tfjs_layers(text, path.parent_path(), file, options)) return std::move(*layers);
    refuse_format(file, "a JSON model", "Give the model it was converted from, as a frozen .pb or as ONNX.");
  }
  if (path.extension() == ".onnx") return read_onnx(stream, file, options);
  if (head[0] != '\x08') return read_tensorflow(stream, file, options);
  onnx_format::ModelProto model;
  if (parse(stream, model) && model.graph().node_size() > 0) return import::import_onnx(model, file, options);
  refuse_format(file, "a SavedModel, or a file that is neither ONNX nor a frozen GraphDef,", kFreezeSavedModel);
}

}  // namespace

ImportResult inspect_model(const std::filesystem::path& path, const ImportOptions& options) {
  ImportResult result = read(path, options);
  verify(result.graph, "import");
  return result;
}

Graph import_model(const std::filesystem::path& path, const ImportOptions& options) {
  ImportResult result = inspect_model(path, options);
  if (result.unsupported.empty()) return std::move(result.graph);
  std::string text = fmt::format("{}: {} {} not supported:", path.filename().string(), result.unsupported.size(),
                                 result.unsupported.size() == 1 ? "node is" : "nodes are");
  for (const UnsupportedNode& node : result.unsupported) {
    text += fmt::format("\n  node \"{}\" ({}): {}", node.name, node.origin, node.reason);
  }
  throw UserError("{}\nExpress them with supported operations (docs/graph.md), or name earlier outputs.", text);
}

}  // namespace treville
