#include "import/stored_bytes.h"

#include <algorithm>
#include <utility>

#include "import/crc32c.h"

namespace treville::import {

namespace fs = std::filesystem;

fs::path path_inside(const fs::path& folder, const std::string& relative, const std::string& where) {
  const fs::path path(relative);
  bool stays = !relative.empty() && path.is_relative() && relative.find('\0') == std::string::npos;
  for (const fs::path& part : path) stays = stays && part != "..";
  if (!stays) {
    throw UserError("{}: the file \"{}\" is not inside the model's folder, which is refused. Put it beside the model.",
                    where, relative);
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder.empty() ? fs::path(".") : folder, error);
  const fs::path found = error ? fs::path() : fs::canonical(root / path, error);
  if (error || !fs::is_regular_file(found, error)) {
    throw UserError("{}: the file \"{}\" is missing. Copy it too, it holds weights of the model.", where, relative);
  }
  const auto [at_root, at_found] = std::mismatch(root.begin(), root.end(), found.begin(), found.end());
  if (at_root != root.end()) {
    throw UserError("{}: the file \"{}\" is a link out of the model's folder, which is refused. Copy what it leads to.",
                    where, relative);
  }
  return found;
}

ByteStream::Piece ByteStream::whole(const fs::path& path, const std::string& where) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) throw UserError("{}: {} cannot be read: {}", where, path.filename().string(), error.message());
  return {path, 0, static_cast<int64_t>(size)};
}

ByteStream::ByteStream(std::vector<Piece> pieces, std::string where)
    : pieces_(std::move(pieces)), where_(std::move(where)) {
  for (const Piece& piece : pieces_) {
    const int64_t size = whole(piece.path, where_).length;
    if (piece.offset < 0 || piece.length < 0 || piece.offset > size || piece.length > size - piece.offset ||
        __builtin_add_overflow(left_, piece.length, &left_)) {
      throw UserError("{}: expected {} bytes at offset {} of {}, which has {} bytes. The file is damaged or cut short.",
                      where_, piece.length, piece.offset, piece.path.filename().string(), size);
    }
  }
}

void ByteStream::open_piece() {
  const Piece& piece = pieces_[next_++];
  file_ = std::ifstream(piece.path, std::ios::binary);
  file_.seekg(piece.offset);
  if (!file_) throw UserError("{}: {} cannot be read. Check its permissions.", where_, piece.path.filename().string());
  in_piece_ = piece.length;
}

void ByteStream::read(char* to, int64_t bytes) {
  if (bytes > left_) {
    throw UserError("{}: expected {} more bytes, found {}. The file is damaged or cut short.", where_, bytes, left_);
  }
  left_ -= bytes;
  while (bytes > 0) {
    if (in_piece_ == 0) {
      open_piece();
      continue;
    }
    const int64_t now = std::min(bytes, in_piece_);
    if (!file_.read(to, now)) throw UserError("{}: the file cannot be read to its end", where_);
    if (sums_) crc_ = extend_crc32c(crc_, {to, static_cast<size_t>(now)});
    to += now;
    bytes -= now;
    in_piece_ -= now;
  }
}

void ByteStream::start_crc32c() {
  sums_ = true;
  crc_ = 0;
}

namespace {

template <class T, class Convert>
Constant read_floats(const std::vector<int64_t>& dims, int64_t count, ByteStream& stream, Convert convert) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(count));
  for_each_element<T>(stream, count, [&](T stored) { values.push_back(convert(stored)); });
  return FloatTensor(Shape(dims), std::move(values));
}

template <class T>
Constant read_ints(const std::vector<int64_t>& dims, int64_t count, ByteStream& stream) {
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(count));
  for_each_element<T>(stream, count, [&](T stored) {
    if (!std::in_range<int64_t>(stored)) {
      throw UserError("{}: an unsigned 64-bit element does not fit a signed one", stream.where());
    }
    values.push_back(static_cast<int64_t>(stored));
  });
  return IntTensor(Shape(dims), std::move(values));
}

}  // namespace

Constant constant_from_stream(ElementType type, const std::vector<int64_t>& dims, ByteStream& stream) {
  const int64_t count = checked_elements(dims, stream.where());
  int64_t bytes = 0;
  if (__builtin_mul_overflow(count, bytes_of(type), &bytes) || bytes > stream.left()) {
    throw UserError("{}: expected {} elements of {} bytes for shape {}, found {} bytes. The file is damaged.",
                    stream.where(), count, bytes_of(type), to_string(Shape(dims)), stream.left());
  }
  switch (type) {
    case ElementType::kFloat32: {
      FloatTensor tensor{Shape(dims)};
      stream.read(reinterpret_cast<char*>(tensor.values.data()), bytes);
      return tensor;
    }
    case ElementType::kFloat64:
      return read_floats<double>(dims, count, stream, [](double value) { return static_cast<float>(value); });
    case ElementType::kFloat16:
      return read_floats<uint16_t>(dims, count, stream, half_to_float);
    case ElementType::kBfloat16:
      return read_floats<uint16_t>(dims, count, stream, bfloat16_to_float);
    case ElementType::kInt8:
      return read_ints<int8_t>(dims, count, stream);
    case ElementType::kInt16:
      return read_ints<int16_t>(dims, count, stream);
    case ElementType::kInt32:
      return read_ints<int32_t>(dims, count, stream);
    case ElementType::kInt64:
      return read_ints<int64_t>(dims, count, stream);
    case ElementType::kUint8:
    case ElementType::kBool:
      return read_ints<uint8_t>(dims, count, stream);
    case ElementType::kUint16:
      return read_ints<uint16_t>(dims, count, stream);
    case ElementType::kUint32:
      return read_ints<uint32_t>(dims, count, stream);
    case ElementType::kUint64:
      return read_ints<uint64_t>(dims, count, stream);
  }
  CHECK(false, "element type {}", static_cast<int>(type));
  return {};
}

}  // namespace treville::import
