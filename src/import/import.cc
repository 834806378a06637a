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
#include "import/saved_model.h"
#include "import/tensorflow.h"
#include "import/tfjs_graph.h"
#include "import/tflite.h"

namespace treville {
namespace {

constexpr uintmax_t kLargestFile = uintmax_t{1} << 31;

// folder_of is where a model's further files are.
std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

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

// check_other_formats names formats by their first bytes, whatever the file's name.
void check_other_formats(const std::string& file, const std::string& head) {
  if (starts_with(head, "node {") || starts_with(head, "node{")) {
    refuse_format(file, "a GraphDef in text form", "Write it in binary: tf.io.write_graph(graph, dir, name, False).");
  }
}

ImportResult read_onnx(std::ifstream& stream, const std::filesystem::path& path, const std::string& file,
                       const ImportOptions& options) {
  onnx_format::ModelProto model;
  if (!parse(stream, model) || !model.has_graph()) {
    throw UserError("{}: this is not an ONNX model, or the file is damaged or cut short. Copy or export it again.",
                    file);
  }
  return import::import_onnx(model, file, options, folder_of(path));
}

ImportResult read_tensorflow(std::ifstream& stream, const std::string& file, const ImportOptions& options) {
  tf_format::GraphDef graph;
  if (!parse(stream, graph) || graph.node_size() == 0) {
    throw UserError("{}: this is not a frozen GraphDef, or the file is damaged or cut short. Copy or freeze it again.",
                    file);
  }
  return import::import_tensorflow(std::move(graph), file, options);
}

// read_whole reads a file of `size` bytes.
std::string read_whole(std::ifstream& stream, const std::string& file, uintmax_t size) {
  std::string bytes(size, '\0');
  stream.clear();
  stream.seekg(0);
  if (!stream.read(bytes.data(), static_cast<std::streamsize>(size))) throw UserError("{}: cannot be read", file);
  return bytes;
}

ImportResult read_directory(const std::filesystem::path& path, const std::string& file, const ImportOptions& options) {
  if (std::filesystem::exists(path / "saved_model.pb")) return import::import_saved_model(path, file, options);
  throw UserError("{}: expected a model file or the folder of a SavedModel, found another folder", file);
}

// A GraphDef begins with its nodes (field 1, a message); an ONNX model and a SavedModel with a version (field 1, a
// number).
ImportResult read(const std::filesystem::path& path, const ImportOptions& options) {
  const std::string file = path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) throw UserError("{}: there is no such file", path.string());
  if (std::filesystem::is_directory(path, error)) return read_directory(path, file, options);
  if (path.filename() == "saved_model.pb") return import::import_saved_model(folder_of(path), file, options);
  if (!options.signature.empty()) {
    throw UserError("{}: the signature \"{}\" is asked for, and only SavedModels have signatures", file,
                    options.signature);
  }
  const uintmax_t size = std::filesystem::file_size(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (error || !stream) throw UserError("{}: cannot be read. Check that it is a file and its permissions.", file);
  if (size == 0) throw UserError("{}: the file is empty", file);
  if (size > kLargestFile) {
    throw UserError(
        "{}: the file has {} bytes, at most 2 GiB are read. Keep the weights outside: ONNX with external data "
        "(onnx.save_model(model, path, save_as_external_data=True)), or a SavedModel.",
        file, size);
  }
  std::string head(std::min<uintmax_t>(size, 16), '\0');
  if (!stream.read(head.data(), static_cast<std::streamsize>(head.size()))) throw UserError("{}: cannot be read", file);

  check_other_formats(file, head);
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
    if (auto graph = import::import_tfjs_graph(text, folder_of(path), file, options)) return std::move(*graph);
    if (auto layers = import::import_tfjs_layers(text, folder_of(path), file, options)) return std::move(*layers);
    refuse_format(file, "a JSON model", "Give the model it was converted from, as a frozen .pb or as ONNX.");
  }
  if (path.extension() == ".onnx") return read_onnx(stream, path, file, options);
  if (head[0] != '\x08') return read_tensorflow(stream, file, options);
  onnx_format::ModelProto model;
  if (parse(stream, model) && model.graph().node_size() > 0) {
    return import::import_onnx(model, file, options, folder_of(path));
  }
  throw UserError(
      "{}: this is neither an ONNX model nor a frozen GraphDef. If it is a SavedModel, give its folder, with the file "
      "named saved_model.pb and the folder \"variables\" beside it.",
      file);
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
