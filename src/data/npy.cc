#include "data/npy.h"

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <regex>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/zip_archive.h"

namespace treville {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "the file formats are little-endian");

// The header of an array of rank 32 is shorter, and std::regex needs stack for every character.
constexpr int64_t kMaxHeader = 4096;
constexpr int64_t kMaxElements = int64_t{1} << 31;
// What is read at most: the largest array of float64, and all arrays of an archive together.
constexpr int64_t kMaxBytes = 8 * kMaxElements + 2 * kMaxHeader;
constexpr uint64_t kMaxArrays = 1024;
constexpr std::string_view kSuffix = ".npy";

struct Header {
  std::string descr;
  bool fortran = false;
  Shape shape;
};

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw UserError("{}: {}. Write it with numpy.save from an array of numbers.", path.string(), what);
}

// parse_header reads the dictionary literal, for instance {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
Header parse_header(const fs::path& path, const std::string& text) {
  static const std::regex kDescr(R"('descr'\s*:\s*'([<>|=]?[a-z]\d+)')");
  static const std::regex kOrder(R"('fortran_order'\s*:\s*(True|False))");
  static const std::regex kShape(R"('shape'\s*:\s*\(([0-9, ]*)\))");
  std::smatch descr, order, shape;
  if (!std::regex_search(text, descr, kDescr)) refuse(path, "the .npy header names no plain element type");
  if (!std::regex_search(text, order, kOrder) || !std::regex_search(text, shape, kShape)) {
    refuse(path, "the .npy header has no shape or order");
  }
  Header header;
  header.descr = descr[1];
  header.fortran = order[1] == "True";
  std::vector<int64_t> dims;
  int64_t elements = 1;
  const std::string list = shape[1];
  static const std::regex kNumber(R"(\d+)");
  for (std::sregex_iterator it(list.begin(), list.end(), kNumber), end; it != end; ++it) {
    if (it->str().size() > 12) refuse(path, "a dimension is too large");
    dims.push_back(std::stoll(it->str()));
    if (__builtin_mul_overflow(elements, dims.back(), &elements) || elements > kMaxElements || dims.size() > 32) {
      refuse(path, "the array has too many elements (limit 2^31)");
    }
  }
  header.shape = Shape(std::move(dims));
  return header;
}

float half_to_float(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const float sign = (half & 0x8000) ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? std::numeric_limits<float>::quiet_NaN() : sign * HUGE_VALF;
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                               : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25));
}

using Convert = void (*)(const std::byte* in, float* out, size_t count);

template <class T>
void convert(const std::byte* in, float* out, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, in + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
}

void convert_half(const std::byte* in, float* out, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t value;
    std::memcpy(&value, in + i * 2, 2);
    out[i] = half_to_float(value);
  }
}

struct ElementType {
  const char* code;
  size_t bytes;
  Convert convert;
};
constexpr ElementType kTypes[] = {
    {"f2", 2, convert_half},      {"f4", 4, convert<float>},    {"f8", 8, convert<double>},
    {"b1", 1, convert<uint8_t>},  {"u1", 1, convert<uint8_t>},  {"i1", 1, convert<int8_t>},
    {"u2", 2, convert<uint16_t>}, {"i2", 2, convert<int16_t>},  {"u4", 4, convert<uint32_t>},
    {"i4", 4, convert<int32_t>},  {"u8", 8, convert<uint64_t>}, {"i8", 8, convert<int64_t>}};

FloatTensor from_fortran_order(const FloatTensor& in) {
  FloatTensor out(in.shape);
  const int rank = in.shape.rank();
  std::vector<int64_t> index(static_cast<size_t>(rank), 0);
  for (float& value : out.values) {
    int64_t offset = 0;
    for (int axis = rank - 1; axis >= 0; --axis) offset = offset * in.shape[axis] + index[static_cast<size_t>(axis)];
    value = in.values[static_cast<size_t>(offset)];
    for (int axis = rank - 1; axis >= 0 && ++index[static_cast<size_t>(axis)] == in.shape[axis]; --axis) {
      index[static_cast<size_t>(axis)] = 0;
    }
  }
  return out;
}

// parse_npy reads the bytes of a .npy file, `path` in messages.
FloatTensor parse_npy(const fs::path& path, std::string_view bytes) {
  const auto take = [&](size_t count) {
    if (bytes.size() < count) refuse(path, "the file is cut short");
    const std::string_view taken = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return taken;
  };
  if (bytes.size() < 8 || take(6) != "\x93NUMPY") refuse(path, "not a .npy file");
  const int version = take(2)[0];
  if (version < 1 || version > 3) refuse(path, fmt::format("unknown .npy version {}", version));
  uint32_t length = 0;
  const std::string_view length_bytes = take(version == 1 ? 2 : 4);
  std::memcpy(&length, length_bytes.data(), length_bytes.size());
  if (length > kMaxHeader) refuse(path, "the .npy header is too long");
  const Header header = parse_header(path, std::string(take(length)));

  if (header.descr[0] == '>') refuse(path, "big-endian arrays are not supported");
  const std::string code = header.descr.substr(header.descr.find_first_not_of("<>|="));
  const ElementType* type = nullptr;
  for (const ElementType& candidate : kTypes) {
    if (code == candidate.code) type = &candidate;
  }
  if (type == nullptr) refuse(path, fmt::format("element type {} is not supported", header.descr));

  const size_t count = static_cast<size_t>(header.shape.elements());
  if (bytes.size() != count * type->bytes) {
    refuse(path, fmt::format("shape {} of {} needs {} bytes of data, the file has {}", to_string(header.shape),
                             header.descr, count * type->bytes, bytes.size()));
  }
  FloatTensor tensor(header.shape);
  type->convert(reinterpret_cast<const std::byte*>(bytes.data()), tensor.values.data(), count);
  return header.fortran && header.shape.rank() > 1 ? from_fortran_order(tensor) : tensor;
}

// npy_of gives the bytes of a .npy file of float32 in C order.
std::string npy_of(const FloatTensor& tensor) {
  std::string dims;
  for (int64_t dim : tensor.shape.dims()) dims += fmt::format("{}, ", dim);
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims);
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  return bytes.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(float));
}

// read_whole opens before it reads, so that a name that is too long or no file at all is said as the system says it.
std::string read_whole(const fs::path& path) {
  errno = 0;
  if (!std::ifstream(path, std::ios::binary)) {
    throw UserError("{}: cannot open it: {}", path.string(), std::strerror(errno));
  }
  return read_file(path.string(), kMaxBytes);
}

// replace writes a file beside its place and renames it.
void replace(const fs::path& path, const std::string& bytes) {
  const fs::path temporary = path.string() + fmt::format(".{}.tmp", getpid());
  {
    std::ofstream file(temporary, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw UserError("{}: cannot write it: {}", path.string(), std::strerror(errno));
  }
  fs::rename(temporary, path);
}

}  // namespace

FloatTensor read_npy(const fs::path& path) { return parse_npy(path, read_whole(path)); }

void write_npy(const fs::path& path, const FloatTensor& tensor) { replace(path, npy_of(tensor)); }

NamedTensors read_npz(const fs::path& path) {
  const ZipArchive archive(read_whole(path), path.string());
  NamedTensors arrays;
  uint64_t left = kMaxBytes;
  for (const std::string& entry : archive.names(kMaxArrays)) {
    const bool is_array = entry.size() > kSuffix.size() && entry.ends_with(kSuffix);
    if (!is_array)
      throw UserError("{}: holds \"{}\", which is no array. Write it with numpy.savez.", path.string(), entry);
    const std::string name = entry.substr(0, entry.size() - kSuffix.size());
    const std::optional<std::string> bytes = archive.entry(entry, left);
    if (!bytes) throw UserError("{}: \"{}\" cannot be found again, the archive is damaged", path.string(), entry);
    left -= bytes->size();
    if (!arrays.emplace(name, parse_npy(path.string() + ": " + name, *bytes)).second)
      throw UserError("{}: holds \"{}\" twice", path.string(), name);
  }
  if (arrays.empty()) throw UserError("{}: holds no arrays. Write it with numpy.savez.", path.string());
  return arrays;
}

void write_npz(const fs::path& path, const NamedTensors& arrays) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (const auto& [name, tensor] : arrays) entries.emplace_back(name + std::string(kSuffix), npy_of(tensor));
  replace(path, zip_of(entries));
}

}  // namespace treville
