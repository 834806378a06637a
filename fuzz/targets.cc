#include "fuzz/targets.h"

#include <google/protobuf/stubs/logging.h>
#include <leveldb/env.h>
#include <leveldb/options.h>
#include <leveldb/table_builder.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "compile/fold_constants.h"
#include "compile/infer_shapes.h"
#include "data/image.h"
#include "data/npy.h"
#include "import/hdf5_file.h"
#include "import/keras_model.h"
#include "import/onnx.h"
#include "import/saved_model.h"
#include "import/sorted_table.h"
#include "import/tensor_bundle.h"
#include "import/tensorflow.h"
#include "import/tfjs_graph.h"
#include "import/tflite.h"
#include "net/frame.h"
#include "party/federation.h"
#include "party/hello.h"
#include "program/digest.h"
#include "program/text.h"
#include "program/weights.h"
#include "saved_model_format.pb.h"

namespace treville::fuzz {
namespace {

using Bytes = std::span<const uint8_t>;

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// MemoryFile gives bytes a path, for readers of files.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes bytes) : file_(memfd_create("fuzz", MFD_CLOEXEC)) {
    CHECK(file_ >= 0 && write(file_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "memory file");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(file_); }
  std::string path() const { return fmt::format("/proc/self/fd/{}", file_); }

 private:
  int file_;
};

// MemoryFolder is one folder of this process, for models of several files. It stays until the process ends.
class MemoryFolder {
 public:
  static const MemoryFolder& instance() {
    static const MemoryFolder folder;
    return folder;
  }
  const std::filesystem::path& path() const { return path_; }
  void write_file(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }

 private:
  MemoryFolder() : path_(std::filesystem::temp_directory_path() / fmt::format("treville-fuzz-{}", getpid())) {
    std::filesystem::create_directories(path_ / "variables");
  }
  ~MemoryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path path_;
};

// Pieces cuts an input into parts: each is its length in two bytes, then so many bytes, or what is left.
class Pieces {
 public:
  explicit Pieces(Bytes bytes) : left_(bytes) {}
  bool has_more() const { return left_.size() >= 2; }
  Bytes next() {
    if (!has_more()) return {};
    const size_t length = std::min<size_t>(left_[0] + (left_[1] << 8), left_.size() - 2);
    const Bytes piece = left_.subspan(2, length);
    left_ = left_.subspan(2 + length);
    return piece;
  }

 private:
  Bytes left_;
};

// StringFile takes what LevelDB writes.
class StringFile : public leveldb::WritableFile {
 public:
  leveldb::Status Append(const leveldb::Slice& data) override {
    bytes.append(data.data(), data.size());
    return leveldb::Status::OK();
  }
  leveldb::Status Close() override { return leveldb::Status::OK(); }
  leveldb::Status Flush() override { return leveldb::Status::OK(); }
  leveldb::Status Sync() override { return leveldb::Status::OK(); }
  std::string bytes;
};

// index_of_entries is a table with the given keys and values in turn, and the checksums that no fuzzer would guess.
std::string index_of_entries(Pieces& pieces) {
  std::map<std::string, std::string> entries;
  while (pieces.has_more()) {
    std::string key(text_of(pieces.next()));
    entries[std::move(key)] = text_of(pieces.next());
  }
  StringFile file;
  leveldb::Options options;
  options.compression = leveldb::kNoCompression;
  leveldb::TableBuilder builder(options, &file);
  for (const auto& [key, value] : entries) builder.Add(key, value);
  CHECK(builder.Finish().ok(), "the table was not written");
  return file.bytes;
}

// write_checkpoint writes one: the first piece is its shard, the others its index.
void write_checkpoint(Pieces& pieces) {
  const MemoryFolder& folder = MemoryFolder::instance();
  folder.write_file("variables/variables.data-00000-of-00001", text_of(pieces.next()));
  folder.write_file("variables/variables.index", index_of_entries(pieces));
}

template <class F>
bool is_accepted(const F& parse) {
  try {
    parse();
    return true;
  } catch (const UserError&) {
    return false;
  } catch (const PeerError&) {
    return false;
  }
}

// check_model goes on with what the compiler does before it knows all shapes.
void check_model(ImportResult result) {
  verify(result.graph, "import");
  if (!result.unsupported.empty()) return;
  infer_shapes(result.graph, 1);
  fold_constants(result.graph);
  verify(result.graph, "fold_constants");
}

template <class Message>
Message parse_message(Bytes bytes) {
  const google::protobuf::LogSilencer quiet;
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) throw UserError("not a model");
  return message;
}

bool accepts_onnx(Bytes bytes) {
  return is_accepted(
      [&] { check_model(import::import_onnx(parse_message<onnx_format::ModelProto>(bytes), "fuzz.onnx", {})); });
}

bool accepts_graphdef(Bytes bytes) {
  return is_accepted(
      [&] { check_model(import::import_tensorflow(parse_message<tf_format::GraphDef>(bytes), "fuzz.pb", {})); });
}

// accepts_tflite copies the bytes: a FlatBuffer is read where it stands, aligned as `new` aligns.
bool accepts_tflite(Bytes bytes) {
  const std::vector<uint8_t> file(bytes.begin(), bytes.end());
  return is_accepted([&] { check_model(import::import_tflite(file, "fuzz.tflite", {})); });
}

// accepts_keras_config takes the bytes as a model's configuration. Layers named as here have weights.
bool accepts_keras_config(Bytes bytes) {
  const auto zeros = [](Shape shape) { return FloatTensor(std::move(shape)); };
  static const import::NamedWeights weights({{"d/kernel", zeros({4, 3})},
                                             {"d/bias", zeros({3})},
                                             {"c/kernel", zeros({3, 3, 2, 4})},
                                             {"c/bias", zeros({4})},
                                             {"n/gamma", zeros({4})},
                                             {"n/beta", zeros({4})},
                                             {"n/moving_mean", zeros({4})},
                                             {"n/moving_variance", zeros({4})},
                                             {"r/kernel", zeros({3, 8})},
                                             {"r/recurrent_kernel", zeros({2, 8})},
                                             {"r/bias", zeros({8})}});
  return is_accepted([&] {
    const std::string text(text_of(bytes));
    const char* version = bytes.size() % 2 == 0 ? "2.15.0" : "3.3.3";
    check_model(import::import_keras_config(text, version, "keras", weights, "fuzz.keras", {}));
  });
}

// accepts_keras_file takes them as the file: HDF5, or an archive with HDF5 inside.
bool accepts_keras_file(Bytes bytes) {
  return is_accepted([&] {
    std::string file(text_of(bytes));
    const bool is_hdf5 = import::Hdf5File::is_hdf5(file);
    check_model(is_hdf5 ? import::import_keras_h5(std::move(file), "fuzz.h5", {})
                        : import::import_keras_archive(std::move(file), "fuzz.keras", {}));
  });
}

bool accepts_sorted_table(Bytes bytes) {
  return is_accepted([&] { import::read_sorted_table(std::string(text_of(bytes)), "fuzz.index"); });
}

// accepts_checkpoint reads whatever a checkpoint's index names, as tensors, parts of tensors and texts.
bool accepts_checkpoint(Bytes bytes) {
  Pieces pieces(bytes);
  write_checkpoint(pieces);
  return is_accepted([&] {
    const import::TensorBundle bundle(MemoryFolder::instance().path() / "variables" / "variables", "fuzz");
    bool reads_one = false;
    for (const std::string& name : bundle.names()) {
      reads_one |= is_accepted([&] { bundle.read(name); });
      reads_one |= is_accepted([&] { bundle.read(name, "4 3 1,2:-"); });
      reads_one |= is_accepted([&] { bundle.read_string(name); });
    }
    if (!reads_one) throw UserError("nothing can be read");
  });
}

// accepts_saved_model takes the first piece as saved_model.pb, the others as its checkpoint.
bool accepts_saved_model(Bytes bytes) {
  Pieces pieces(bytes);
  const Bytes model = pieces.next();
  write_checkpoint(pieces);
  return is_accepted([&] {
    check_model(import::import_saved_model(parse_message<tf_format::SavedModel>(model), MemoryFolder::instance().path(),
                                           "fuzz", {}));
  });
}

// accepts_tfjs takes the bytes up to the first zero as a model.json, those behind it as its shard "s".
bool accepts_tfjs(Bytes bytes) {
  const std::string_view all = text_of(bytes);
  const size_t end = std::min(all.find('\0'), all.size());
  const MemoryFolder& folder = MemoryFolder::instance();
  folder.write_file("s", all.substr(std::min(end + 1, all.size())));
  const std::string text(all.substr(0, end));
  return is_accepted([&] {
    auto model = import::import_tfjs_graph(text, folder.path(), "model.json", {});
    if (!model) model = import::import_tfjs_layers(text, folder.path(), "model.json", {});
    if (!model) throw UserError("another format");
    check_model(std::move(*model));
  });
}

// accepts_model_file adds the recognition of formats.
bool accepts_model_file(Bytes bytes) {
  const MemoryFile file(bytes);
  return is_accepted([&] { inspect_model(file.path()); });
}

bool accepts_program(Bytes bytes) {
  return is_accepted([&] {
    const Program program = parse_program(text_of(bytes), "fuzz");
    CHECK(to_text(program) == text_of(bytes), "an accepted text is not the canonical one");
  });
}

Program program_with_constants() {
  Program program;
  program.model = "fuzz";
  program.constants = {{"w", {2, 3}, Ring::k32, Bits(4)}, {"bias", {3}, Ring::k64, Bits(8)}};
  return program;
}

// accepts_weights writes the digest of the program into the bytes: no fuzzer would guess it.
bool accepts_weights(Bytes bytes) {
  constexpr size_t kDigestAt = 12;
  static const Program program = program_with_constants();
  static const Digest expected = digest(program);
  std::vector<uint8_t> copy(bytes.begin(), bytes.end());
  if (copy.size() >= kDigestAt + expected.size()) std::memcpy(&copy[kDigestAt], expected.data(), expected.size());
  const MemoryFile file(copy);
  return is_accepted([&] {
    const Weights weights = read_weights(file.path(), program);
    CHECK(weights.constants.size() == program.constants.size(), "a constant is missing");
  });
}

bool accepts_npy(Bytes bytes) {
  const MemoryFile file(bytes);
  return is_accepted([&] {
    const FloatTensor tensor = read_npy(file.path());
    CHECK(static_cast<size_t>(tensor.shape.elements()) == tensor.values.size(), "shape and elements differ");
  });
}

bool accepts_npz(Bytes bytes) {
  const MemoryFile file(bytes);
  return is_accepted([&] {
    for (const auto& [name, tensor] : read_npz(file.path()))
      CHECK(static_cast<size_t>(tensor.shape.elements()) == tensor.values.size(), "shape and elements differ");
  });
}

// accepts_image takes the picture as colours for a model that wants 28 x 28, cut from the middle.
bool accepts_image(Bytes bytes) {
  const MemoryFile file(bytes);
  return is_accepted([&] {
    const FloatTensor tensor = read_image(file.path(), {28, 28, 3, true}, parse_preprocess("resize=32,crop=center"));
    CHECK((tensor.shape == Shape{1, 3, 28, 28}), "an image of another size");
  });
}

bool accepts_preprocess(Bytes bytes) {
  return is_accepted([&] { value_interval(parse_preprocess(text_of(bytes))); });
}

bool accepts_frame_header(Bytes bytes) {
  HeaderBytes header{};
  if (bytes.size() < header.size()) return false;
  std::memcpy(header.data(), bytes.data(), header.size());
  const FrameHeader decoded = decode_header(header);
  CHECK(decoded.length < (uint32_t{1} << 30), "a length out of bounds");
  CHECK(encode_header(decoded) == header, "encoding does not give the bytes back");
  Frame frame;
  frame.kind = decoded.kind;
  frame.tag = decoded.tag;
  const MessageTag expected{};
  const bool is_expected = decoded.kind == FrameKind::kData && decoded.tag == expected;
  CHECK(mismatch(frame, PartyId::kHelper, FrameKind::kData, expected, 0).empty() == is_expected,
        "a frame that is not the one expected passes");
  return true;
}

// accepts_hello takes the bytes as what a peer says before the session is open: a hello, and a verdict behind it.
bool accepts_hello(Bytes bytes) {
  HelloBytes hello{};
  std::array<std::byte, kVerdictHeadBytes> head{};
  if (bytes.size() < hello.size() + head.size()) return false;
  std::memcpy(hello.data(), bytes.data(), hello.size());
  std::memcpy(head.data(), bytes.data() + hello.size(), head.size());
  const auto rest = std::as_bytes(bytes.subspan(hello.size() + head.size()));
  return is_accepted([&] {
    const Hello theirs = decode(hello);
    const bool same = theirs.version == kWireVersion && theirs.program == Digest{} && theirs.config == Digest{};
    CHECK(disagreement(Hello{}, theirs).empty() == same, "a hello that disagrees passes");
    const size_t length = verdict_length(head);
    if (rest.size() < length) throw PeerError("cut short");
    const Verdict verdict = decode(head, rest.first(length));
    CHECK(verdict.reason.size() <= 4 * kMaxVerdictBytes, "a long reason");
  });
}

bool accepts_federation(Bytes bytes) {
  return is_accepted([&] { parse_federation(std::string(text_of(bytes)), "/nonexistent", "federation.yaml"); });
}

constexpr auto kTargets = std::to_array<FuzzTarget>({
    {"checkpoint", accepts_checkpoint},
    {"federation", accepts_federation},
    {"frame_header", accepts_frame_header},
    {"graphdef", accepts_graphdef},
    {"hello", accepts_hello},
    {"image", accepts_image},
    {"keras_config", accepts_keras_config},
    {"keras_file", accepts_keras_file},
    {"model_file", accepts_model_file},
    {"npy", accepts_npy},
    {"npz", accepts_npz},
    {"onnx", accepts_onnx},
    {"preprocess", accepts_preprocess},
    {"program", accepts_program},
    {"saved_model", accepts_saved_model},
    {"sorted_table", accepts_sorted_table},
    {"tfjs", accepts_tfjs},
    {"tflite", accepts_tflite},
    {"weights", accepts_weights},
});

}  // namespace

std::span<const FuzzTarget> fuzz_targets() { return kTargets; }

const FuzzTarget* find_fuzz_target(std::string_view name) {
  const auto* found =
      std::find_if(kTargets.begin(), kTargets.end(), [&](const FuzzTarget& target) { return target.name == name; });
  return found == kTargets.end() ? nullptr : found;
}

}  // namespace treville::fuzz
