#include "program/weights.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/files.h"
#include "program/digest.h"

namespace treville {
namespace {

static_assert(std::endian::native == std::endian::little, "files hold the machine's own words");

constexpr std::string_view kMagic = "TREVILLE";
constexpr uint32_t kVersion = 1;

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_bytes(std::string& out, std::span<const std::byte> bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::span<const std::byte> bytes_of_text(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string file_header(const Program& program, const ModelId& id) {
  std::string header(kMagic);
  put(header, kVersion);
  put_bytes(header, digest(program));
  put_bytes(header, id);
  put(header, static_cast<uint32_t>(program.constants.size()));
  return header;
}

std::string constant_header(const ConstantDecl& constant) {
  std::string header;
  put(header, static_cast<uint16_t>(constant.name.size()));
  header += constant.name;
  put(header, static_cast<uint8_t>(bits_of(constant.ring).value()));
  put(header, static_cast<uint8_t>(constant.shape.rank()));
  for (int64_t dim : constant.shape.dims()) put(header, dim);
  return header;
}

int64_t data_bytes(const ConstantDecl& constant) { return constant.shape.elements() * bytes_of(constant.ring); }

int64_t expected_bytes(const Program& program) {
  auto bytes = static_cast<int64_t>(file_header(program, {}).size());
  for (const ConstantDecl& constant : program.constants)
    bytes += static_cast<int64_t>(constant_header(constant).size()) + data_bytes(constant);
  return bytes;
}

// Reader compares and reads a stream whose size was checked.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(path, std::ios::binary | std::ios::ate) {
    if (!file_) throw UserError("cannot open the weights {}: {}", path, std::strerror(errno));
    bytes_ = static_cast<int64_t>(file_.tellg());
    file_.seekg(0);
  }
  int64_t bytes() const { return bytes_; }
  void read(void* to, size_t count) {
    if (!file_.read(static_cast<char*>(to), static_cast<std::streamsize>(count)))
      throw UserError("the weights {} end too early", path_);
  }
  // next_is reads as many bytes as expected has and compares.
  bool next_is(std::string_view expected) {
    std::string found(expected.size(), '\0');
    read(found.data(), found.size());
    return found == expected;
  }

 private:
  const std::string& path_;
  std::ifstream file_;
  int64_t bytes_ = 0;
};

}  // namespace

ModelId random_model_id() {
  ModelId id;
  random_bytes(id);
  return id;
}

void write_weights(const std::string& path, const Program& program, const Weights& weights) {
  CHECK(weights.constants.size() == program.constants.size(), "{} constants of {}", weights.constants.size(),
        program.constants.size());
  AtomicFile file(path, 0600);
  file.write(bytes_of_text(file_header(program, weights.id)));
  for (size_t i = 0; i < weights.constants.size(); ++i) {
    const ConstantDecl& declared = program.constants[i];
    const RingTensor& tensor = weights.constants[i];
    CHECK(tensor.shape() == declared.shape && tensor.ring() == declared.ring, "constant {} has shape {}, declared {}",
          declared.name, to_string(tensor.shape()), to_string(declared.shape));
    file.write(bytes_of_text(constant_header(declared)));
    file.write(tensor.storage().as<std::byte>());
  }
  file.commit();
}

Weights read_weights(const std::string& path, const Program& program) {
  Reader reader(path);
  const std::string expected = file_header(program, {});
  std::string header(expected.size(), '\0');
  reader.read(header.data(), header.size());
  const size_t digest_at = kMagic.size() + sizeof(uint32_t), id_at = digest_at + sizeof(Digest);
  if (header.substr(0, digest_at) != expected.substr(0, digest_at))
    throw UserError("{} is not a weights file of version {}", path, kVersion);
  if (header.substr(digest_at, sizeof(Digest)) != expected.substr(digest_at, sizeof(Digest)))
    throw UserError("the weights {} belong to another program. Use the pair that one compilation wrote.", path);
  if (header.substr(id_at + sizeof(ModelId)) != expected.substr(id_at + sizeof(ModelId)))
    throw UserError("the weights {} do not hold the {} constants of the program", path, program.constants.size());
  if (reader.bytes() != expected_bytes(program))
    throw UserError("the weights {} have {} bytes, expected {}", path, reader.bytes(), expected_bytes(program));
  Weights weights;
  std::memcpy(weights.id.data(), header.data() + id_at, weights.id.size());
  for (const ConstantDecl& declared : program.constants) {
    if (!reader.next_is(constant_header(declared)))
      throw UserError("the weights {} do not hold constant {} with shape {} at its place", path, declared.name,
                      to_string(declared.shape));
    RingTensor& tensor = weights.constants.emplace_back(RingTensor::stored(declared.ring, declared.shape));
    reader.read(tensor.storage().data(), tensor.bytes());
  }
  return weights;
}

}  // namespace treville
