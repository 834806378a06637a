#include "import/hdf5_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "import/tensor_data.h"

namespace treville::import {
namespace {

constexpr uint64_t kUndefined = ~uint64_t{0};
constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
constexpr std::string_view kSaveAgain = "Open it with h5py and save it again with libver='earliest', h5py's default.";
constexpr uint64_t kMostVisits = 1 << 20;
// Deflate cannot do better than 1032 to 1: what a file may unpack to is bounded by its size.
constexpr uint64_t kBestRatio = 1100;

// Types of header messages.
constexpr uint16_t kDataspace = 1, kLinkInfo = 2, kDatatype = 3, kLink = 6, kLayout = 8, kFilters = 11, kAttribute = 12,
                   kContinuation = 16, kSymbolTable = 17, kAttributeInfo = 21;

// Cursor reads little-endian numbers; it throws when the bytes end.
class Cursor {
 public:
  Cursor(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  uint64_t number(size_t count) {
    const std::string_view taken = take(count);
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) value |= static_cast<uint64_t>(static_cast<uint8_t>(taken[i])) << (8 * i);
    return value;
  }
  uint8_t u8() { return static_cast<uint8_t>(number(1)); }
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  uint64_t u64() { return number(8); }
  std::string_view take(uint64_t count) {
    if (count > bytes_.size()) throw UserError("{}: the HDF5 data ends too early. The file is damaged.", where_);
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  std::string_view take_padded(uint64_t count) { return take((count + 7) / 8 * 8).substr(0, count); }
  void skip(uint64_t count) { take(count); }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
  const std::string& where_;
};

// Datatype is what an element is.
struct Datatype {
  enum class Kind : uint8_t { kNumber, kFixedString, kVariableString, kOther } kind = Kind::kOther;
  ElementType element = ElementType::kFloat32;
  size_t bytes = 0;
};

std::optional<ElementType> number_type(int type_class, uint32_t bits, size_t bytes, std::string_view properties) {
  const bool big_endian = (bits & 1) != 0;
  if (big_endian) return {};
  if (type_class == 1) {
    if (bytes == 4) return ElementType::kFloat32;
    if (bytes == 8) return ElementType::kFloat64;
    const bool is_half = bytes == 2 && properties.size() >= 6 && properties[5] == 5;  // bits of the exponent
    if (bytes == 2) return is_half ? ElementType::kFloat16 : ElementType::kBfloat16;
    return {};
  }
  const bool is_signed = (bits & 8) != 0;
  switch (bytes) {
    case 1:
      return is_signed ? ElementType::kInt8 : ElementType::kUint8;
    case 2:
      return is_signed ? ElementType::kInt16 : ElementType::kUint16;
    case 4:
      return is_signed ? ElementType::kInt32 : ElementType::kUint32;
    case 8:
      return is_signed ? ElementType::kInt64 : ElementType::kUint64;
    default:
      return {};
  }
}

Datatype read_datatype(std::string_view data, const std::string& where) {
  Cursor cursor(data, where);
  const int type_class = cursor.u8() & 15;
  const auto bits = static_cast<uint32_t>(cursor.number(3));
  Datatype type;
  type.bytes = cursor.u32();
  if (type_class == 0 || type_class == 1) {
    if (const auto element = number_type(type_class, bits, type.bytes, cursor.rest())) {
      type.kind = Datatype::Kind::kNumber;
      type.element = *element;
    }
  } else if (type_class == 3) {
    type.kind = Datatype::Kind::kFixedString;
  } else if (type_class == 9 && (bits & 15) == 1) {
    type.kind = Datatype::Kind::kVariableString;
  }
  return type;
}

std::vector<int64_t> read_dataspace(std::string_view data, const std::string& where) {
  Cursor cursor(data, where);
  const int version = cursor.u8(), rank = cursor.u8();
  cursor.skip(version == 1 ? 6 : 2);
  std::vector<int64_t> dims;
  for (int i = 0; i < rank; ++i) dims.push_back(static_cast<int64_t>(cursor.u64()));
  return dims;
}

struct Filter {
  uint16_t id;
  uint32_t first_value;
};

std::vector<Filter> read_filters(std::string_view data, const std::string& where) {
  Cursor cursor(data, where);
  const int version = cursor.u8(), count = cursor.u8();
  if (version == 1) cursor.skip(6);
  std::vector<Filter> filters;
  for (int i = 0; i < count; ++i) {
    Filter filter{cursor.u16(), 0};
    const uint16_t name_bytes = version == 1 || filter.id >= 256 ? cursor.u16() : uint16_t{0};
    cursor.skip(2);
    const uint16_t values = cursor.u16();
    version == 1 ? cursor.take_padded(name_bytes) : cursor.take(name_bytes);
    for (int v = 0; v < values; ++v) {
      const uint32_t value = cursor.u32();
      if (v == 0) filter.first_value = value;
    }
    if (version == 1 && values % 2 == 1) cursor.skip(4);
    filters.push_back(filter);
  }
  return filters;
}

std::string inflate_exactly(std::string_view packed, size_t bytes, const std::string& where) {
  std::string result(bytes, '\0');
  uLongf length = bytes;
  const int status = uncompress(reinterpret_cast<Bytef*>(result.data()), &length,
                                reinterpret_cast<const Bytef*>(packed.data()), packed.size());
  if (status != Z_OK || length != bytes) throw UserError("{}: a compressed part is damaged.", where);
  return result;
}

// unshuffle puts the bytes of each element together again: shuffled, all first bytes come first.
std::string unshuffle(const std::string& bytes, size_t element_bytes) {
  std::string result = bytes;
  const size_t count = bytes.size() / element_bytes;
  for (size_t b = 0; b < element_bytes; ++b) {
    for (size_t i = 0; i < count; ++i) result[i * element_bytes + b] = bytes[b * count + i];
  }
  return result;
}

// unpack undoes the filters, last one first.
std::string unpack(std::string_view stored, uint32_t skipped, const std::vector<Filter>& filters, size_t chunk_bytes,
                   const std::string& where) {
  std::string data(stored);
  for (size_t i = filters.size(); i-- > 0;) {
    if (((skipped >> i) & 1) != 0) continue;
    switch (filters[i].id) {
      case 1:
        data = inflate_exactly(data, chunk_bytes, where);
        break;
      case 2: {
        const size_t element = filters[i].first_value;
        if (element == 0 || data.size() % element != 0) throw UserError("{}: a shuffled part is damaged.", where);
        data = unshuffle(data, element);
        break;
      }
      case 3:  // a checksum behind the data
        if (data.size() < 4) throw UserError("{}: a part is damaged.", where);
        data.resize(data.size() - 4);
        break;
      default:
        throw UserError("{}: it is stored with filter {}, which is not supported (supported: gzip, shuffle). {}", where,
                        filters[i].id, kSaveAgain);
    }
  }
  if (data.size() != chunk_bytes) throw UserError("{}: a part has the wrong size. The file is damaged.", where);
  return data;
}

// place copies a chunk into the whole tensor, row by row along the last dimension; edges are cut off.
void place(const std::string& chunk, const std::vector<uint64_t>& offsets, const std::vector<uint64_t>& extent,
           const std::vector<int64_t>& dims, size_t element_bytes, std::string& whole) {
  const size_t rank = dims.size();
  size_t rows = 1;
  for (size_t d = 0; d + 1 < rank; ++d) rows *= extent[d];
  const uint64_t last = static_cast<uint64_t>(dims[rank - 1]);
  const size_t columns = std::min(extent[rank - 1], last - offsets[rank - 1]);
  for (size_t row = 0; row < rows; ++row) {
    size_t left = row, target = 0, stride = 1;
    bool inside = true;
    std::vector<uint64_t> at(rank);
    for (size_t d = rank - 1; d-- > 0;) {
      at[d] = offsets[d] + left % extent[d];
      left /= extent[d];
      inside = inside && at[d] < static_cast<uint64_t>(dims[d]);
    }
    if (!inside) continue;
    at[rank - 1] = offsets[rank - 1];
    for (size_t d = rank; d-- > 0;) {
      target += at[d] * stride;
      stride *= static_cast<size_t>(dims[d]);
    }
    std::memcpy(whole.data() + target * element_bytes, chunk.data() + row * extent[rank - 1] * element_bytes,
                columns * element_bytes);
  }
}

std::string trim(std::string_view text) {
  const size_t end = text.find('\0');
  return std::string(text.substr(0, end));
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : path + "/") {
    if (c != '/') {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::exchange(part, {}));
    }
  }
  return parts;
}

}  // namespace

bool Hdf5File::is_hdf5(std::string_view bytes) { return bytes.substr(0, kSignature.size()) == kSignature; }

Hdf5File::Hdf5File(std::string bytes, std::string file) : bytes_(std::move(bytes)), file_(std::move(file)) {
  if (!is_hdf5(bytes_)) throw UserError("{}: this is not an HDF5 file", file_);
  Cursor cursor(std::string_view(bytes_).substr(kSignature.size()), file_);
  const int version = cursor.u8();
  if (version > 3) throw UserError("{}: HDF5 superblock version {} is not supported. {}", file_, version, kSaveAgain);
  if (version < 2) cursor.skip(4);
  const int offset_bytes = cursor.u8(), length_bytes = cursor.u8();
  if (offset_bytes != 8 || length_bytes != 8) {
    throw UserError("{}: HDF5 addresses of {} bytes are not supported (supported: 8). {}", file_, offset_bytes,
                    kSaveAgain);
  }
  cursor.skip(version < 2 ? 9 : 1);  // sizes of tree nodes, flags
  if (version == 1) cursor.skip(4);
  if (cursor.u64() != 0) throw UserError("{}: an HDF5 file with a user block is not supported. {}", file_, kSaveAgain);
  cursor.skip(version < 2 ? 32 : 16);
  root_ = cursor.u64();
}

void Hdf5File::damaged(const std::string& what) const {
  throw UserError("{}: {}. The HDF5 file is damaged or cut short; copy or save it again.", file_, what);
}

std::string_view Hdf5File::bytes_at(Address at, uint64_t count) const {
  if (at > bytes_.size() || count > bytes_.size() - at) {
    damaged(fmt::format("expected {} bytes at {}, the file has {}", count, at, bytes_.size()));
  }
  return std::string_view(bytes_).substr(at, count);
}

void Hdf5File::visit() const {
  if (++visits_ > kMostVisits) damaged("it has more parts than its size allows");
}

// --- Object headers --------------------------------------------------------------------------------------------------

std::vector<Hdf5File::Message> Hdf5File::messages(Address header) const {
  std::vector<Message> found;
  if (bytes_at(header, 4) == "OHDR") {
    messages_v2(header, found);
  } else {
    messages_v1(header, found);
  }
  return found;
}

void Hdf5File::messages_v1(Address header, std::vector<Message>& found) const {
  Cursor start(bytes_at(header, 16), file_);
  if (start.u8() != 1) damaged("an object header is not one");
  start.skip(7);
  std::vector<std::string_view> blocks = {bytes_at(header + 16, start.u32())};
  for (size_t i = 0; i < blocks.size(); ++i) {
    Cursor cursor(blocks[i], file_);
    while (cursor.rest().size() >= 8) {
      visit();
      const uint16_t type = cursor.u16(), size = cursor.u16();
      const uint8_t flags = cursor.u8();
      cursor.skip(3);
      const std::string_view data = cursor.take(size);
      found.push_back({type, flags, data});
      if (type != kContinuation) continue;
      Cursor next(data, file_);
      const Address at = next.u64();
      blocks.push_back(bytes_at(at, next.u64()));
    }
  }
}

void Hdf5File::messages_v2(Address header, std::vector<Message>& found) const {
  Cursor start(std::string_view(bytes_).substr(header + 4), file_);
  if (start.u8() != 2) damaged("an object header is not one");
  const uint8_t flags = start.u8();
  if ((flags & 32) != 0) start.skip(16);  // times
  if ((flags & 16) != 0) start.skip(4);
  const uint64_t size = start.number(size_t{1} << (flags & 3));
  std::vector<std::string_view> blocks = {start.take(size)};
  for (size_t i = 0; i < blocks.size(); ++i) {
    Cursor cursor(blocks[i], file_);
    const size_t prefix = (flags & 4) != 0 ? 6 : 4;
    while (cursor.rest().size() >= prefix) {
      visit();
      const uint16_t type = cursor.u8(), bytes = cursor.u16();
      const uint8_t message_flags = cursor.u8();
      if (prefix == 6) cursor.skip(2);
      const std::string_view data = cursor.take(bytes);
      found.push_back({type, message_flags, data});
      if (type != kContinuation) continue;
      Cursor next(data, file_);
      const Address at = next.u64();
      const std::string_view block = bytes_at(at, next.u64());
      if (block.size() < 8 || block.substr(0, 4) != "OCHK") damaged("a continued object header is not one");
      blocks.push_back(block.substr(4, block.size() - 8));
    }
  }
}

// --- Groups ----------------------------------------------------------------------------------------------------------

const std::map<std::string, Hdf5File::Address>& Hdf5File::links(Address group) const {
  const auto known = links_.find(group);
  if (known != links_.end()) return known->second;
  std::map<std::string, Address> found;
  for (const Message& message : messages(group)) {
    Cursor cursor(message.data, file_);
    if (message.type == kSymbolTable) {
      const Address tree = cursor.u64(), heap = cursor.u64();
      Cursor heap_cursor(bytes_at(heap, 32), file_);
      if (heap_cursor.take(4) != "HEAP") damaged("a heap of names is not one");
      heap_cursor.skip(4);
      const uint64_t size = heap_cursor.u64();
      heap_cursor.skip(8);
      read_symbols(tree, bytes_at(heap_cursor.u64(), size), 256, found);
    } else if (message.type == kLink) {
      cursor.skip(1);
      const uint8_t flags = cursor.u8();
      const uint8_t kind = (flags & 8) != 0 ? cursor.u8() : uint8_t{0};
      if ((flags & 4) != 0) cursor.skip(8);
      if ((flags & 16) != 0) cursor.skip(1);
      const std::string name(cursor.take(cursor.number(size_t{1} << (flags & 3))));
      if (kind == 0) found.emplace(name, cursor.u64());  // other kinds point elsewhere and are left out
    } else if (message.type == kLinkInfo) {
      cursor.skip(1);
      if ((cursor.u8() & 1) != 0) cursor.skip(8);
      if (cursor.u64() != kUndefined) {
        throw UserError("{}: a group is stored in the newest HDF5 format, which is not supported. {}", file_,
                        kSaveAgain);
      }
    }
  }
  return links_.emplace(group, std::move(found)).first->second;
}

// read_symbols walks the tree of a group; the levels below a node are lower than its own, which ends every walk.
void Hdf5File::read_symbols(Address tree, std::string_view heap, int above,
                            std::map<std::string, Address>& found) const {
  visit();
  if (bytes_at(tree, 4) == "SNOD") {
    Cursor cursor(bytes_at(tree, 8), file_);
    cursor.skip(6);
    const uint16_t count = cursor.u16();
    Cursor entries(bytes_at(tree + 8, uint64_t{40} * count), file_);
    for (int i = 0; i < count; ++i) {
      const uint64_t name = entries.u64();
      const Address header = entries.u64();
      const bool is_link_elsewhere = entries.u32() == 2;
      entries.skip(20);
      if (name >= heap.size()) damaged("a name lies outside its heap");
      if (!is_link_elsewhere) found.emplace(trim(heap.substr(name)), header);
    }
    return;
  }
  Cursor cursor(bytes_at(tree, 24), file_);
  if (cursor.take(4) != "TREE" || cursor.u8() != 0) damaged("a group's tree is not one");
  const int level = cursor.u8();
  if (level >= above) damaged("a group's tree has a loop");
  const uint16_t count = cursor.u16();
  Cursor entries(bytes_at(tree + 24, uint64_t{16} * count), file_);
  for (int i = 0; i < count; ++i) {
    entries.skip(8);
    const Address child = entries.u64();
    // Below level 0 are the names.
    if ((bytes_at(child, 4) == "SNOD") != (level == 0)) damaged("a group's tree is not one");
    read_symbols(child, heap, level, found);
  }
}

std::optional<Hdf5File::Address> Hdf5File::find(const std::string& path) const {
  Address at = root_;
  for (const std::string& part : split_path(path)) {
    const auto& names = links(at);
    const auto found = names.find(part);
    if (found == names.end()) return {};
    at = found->second;
  }
  return at;
}

std::vector<std::string> Hdf5File::children(const std::string& path) const {
  std::vector<std::string> names;
  if (const auto group = find(path)) {
    for (const auto& [name, address] : links(*group)) names.push_back(name);
  }
  return names;
}

// --- Attributes ------------------------------------------------------------------------------------------------------

std::string Hdf5File::heap_object(Address collection, uint32_t index, size_t length) const {
  Cursor start(bytes_at(collection, 16), file_);
  if (start.take(4) != "GCOL") damaged("a heap of strings is not one");
  start.skip(4);
  const uint64_t size = start.u64();
  if (size < 16) damaged("a heap of strings is not one");
  Cursor cursor(bytes_at(collection + 16, size - 16), file_);
  while (cursor.rest().size() >= 16) {
    visit();
    const uint16_t number = cursor.u16();
    cursor.skip(6);
    const uint64_t bytes = cursor.u64();
    if (number == 0) break;
    if (bytes > cursor.rest().size()) damaged("a string is longer than its heap");
    const std::string_view data = number == index ? cursor.take(bytes) : cursor.take_padded(bytes);
    if (number == index && length <= data.size()) return trim(data.substr(0, length));
  }
  damaged("a string is missing");
}

std::optional<std::vector<std::string>> Hdf5File::read_attribute(const Message& message, const std::string& name,
                                                                 const std::string& where) const {
  Cursor cursor(message.data, where);
  const int version = cursor.u8();
  const uint8_t shared = cursor.u8();
  const uint16_t name_bytes = cursor.u16(), type_bytes = cursor.u16(), space_bytes = cursor.u16();
  if (version >= 3) cursor.skip(1);
  const auto part = [&](uint16_t bytes) { return version == 1 ? cursor.take_padded(bytes) : cursor.take(bytes); };
  if (trim(part(name_bytes)) != name) return {};
  if (version > 1 && (shared & 3) != 0) {
    throw UserError("{}: attribute \"{}\" has a shared type. {}", where, name, kSaveAgain);
  }
  const Datatype type = read_datatype(part(type_bytes), where);
  const int64_t count = checked_elements(read_dataspace(part(space_bytes), where), where);
  std::vector<std::string> strings;
  const size_t element = type.kind == Datatype::Kind::kVariableString ? 16 : type.bytes;
  if (count == 0) return strings;
  if (type.kind != Datatype::Kind::kFixedString && type.kind != Datatype::Kind::kVariableString) {
    throw UserError("{}: attribute \"{}\" holds no strings. The file is damaged.", where, name);
  }
  if (element == 0 || static_cast<uint64_t>(count) > cursor.rest().size() / element) {
    damaged(fmt::format("attribute \"{}\" ends too early", name));
  }
  for (int64_t i = 0; i < count; ++i) {
    if (type.kind == Datatype::Kind::kFixedString) {
      strings.push_back(trim(cursor.take(element)));
    } else {
      const uint32_t length = cursor.u32();
      const Address collection = cursor.u64();
      const uint32_t index = cursor.u32();
      strings.push_back(length == 0 ? "" : heap_object(collection, index, length));
    }
  }
  return strings;
}

std::optional<std::vector<std::string>> Hdf5File::strings_attribute(const std::string& path,
                                                                    const std::string& name) const {
  const auto object = find(path);
  if (!object) return {};
  const std::string where = fmt::format("{}: \"{}\"", file_, path.empty() ? "/" : path);
  for (const Message& message : messages(*object)) {
    if (message.type == kAttribute) {
      if (auto strings = read_attribute(message, name, where)) return strings;
    } else if (message.type == kAttributeInfo) {
      Cursor cursor(message.data, where);
      cursor.skip(1);
      if ((cursor.u8() & 1) != 0) cursor.skip(2);
      if (cursor.u64() != kUndefined) {
        throw UserError("{}: its attributes are stored in the newest HDF5 format, which is not supported. {}", where,
                        kSaveAgain);
      }
    }
  }
  return {};
}

std::optional<std::string> Hdf5File::string_attribute(const std::string& path, const std::string& name) const {
  const auto strings = strings_attribute(path, name);
  if (!strings) return {};
  if (strings->size() != 1) damaged(fmt::format("attribute \"{}\" is not one string", name));
  return strings->front();
}

// --- Tensors ---------------------------------------------------------------------------------------------------------

// chunks_of lists the chunks that a tensor's tree names. Levels sink from node to node, which ends the walk.
std::vector<Hdf5File::Chunk> Hdf5File::chunks_of(Address tree, size_t rank, const std::string& where) const {
  std::vector<Chunk> chunks;
  std::vector<std::pair<Address, int>> open = {{tree, 256}};
  while (!open.empty()) {
    const auto [at, above] = open.back();
    open.pop_back();
    visit();
    Cursor node(bytes_at(at, 24), where);
    if (node.take(4) != "TREE" || node.u8() != 1) damaged("a tensor's tree of chunks is not one");
    const int level = node.u8();
    if (level >= above) damaged("a tensor's tree of chunks has a loop");
    const uint16_t count = node.u16();
    Cursor entries(bytes_at(at + 24, (24 + 8 * rank) * count), where);
    for (int i = 0; i < count; ++i) {
      visit();
      Chunk chunk;
      chunk.stored_bytes = entries.u32();
      chunk.skipped_filters = entries.u32();
      for (size_t d = 0; d < rank; ++d) chunk.offsets.push_back(entries.u64());
      entries.skip(8);
      chunk.address = entries.u64();
      if (level > 0) {
        open.emplace_back(chunk.address, level);
      } else {
        chunks.push_back(std::move(chunk));
      }
    }
  }
  return chunks;
}

// check_cover makes sure that the chunks are just those that a tensor needs.
void Hdf5File::check_cover(std::vector<Chunk>& chunks, const std::vector<int64_t>& dims,
                           const std::vector<uint64_t>& extent) const {
  uint64_t expected = 1;
  for (size_t d = 0; d < dims.size(); ++d) expected *= (static_cast<uint64_t>(dims[d]) + extent[d] - 1) / extent[d];
  std::sort(chunks.begin(), chunks.end(), [](const Chunk& a, const Chunk& b) { return a.offsets < b.offsets; });
  bool valid = chunks.size() == expected;
  for (size_t i = 0; i < chunks.size(); ++i) {
    for (size_t d = 0; d < dims.size(); ++d) {
      const uint64_t offset = chunks[i].offsets[d];
      valid = valid && offset < static_cast<uint64_t>(dims[d]) && offset % extent[d] == 0;
    }
    valid = valid && (i == 0 || chunks[i].offsets != chunks[i - 1].offsets);
  }
  if (!valid) damaged("a tensor's chunks do not cover it");
}

std::string Hdf5File::read_chunks(std::string_view layout, std::string_view filter_data,
                                  const std::vector<int64_t>& dims, size_t element_bytes,
                                  const std::string& where) const {
  Cursor cursor(layout, where);
  const size_t rank = dims.size();
  if (cursor.u8() != rank + 1 || rank == 0) damaged("the chunks of a tensor have another rank");
  const Address tree = cursor.u64();
  const uint64_t most = kBestRatio * bytes_.size() / element_bytes;
  std::vector<uint64_t> extent(rank);
  uint64_t chunk_elements = 1;
  for (uint64_t& each : extent) {
    each = cursor.u32();
    if (each == 0 || chunk_elements > most / each) damaged("a chunk is larger than the file allows");
    chunk_elements *= each;
  }
  if (cursor.u32() != element_bytes) damaged("the chunks of a tensor have other elements");
  const auto elements = static_cast<uint64_t>(checked_elements(dims, where));
  if (elements > most) damaged("a tensor is larger than the file allows");
  const std::vector<Filter> filters = filter_data.empty() ? std::vector<Filter>{} : read_filters(filter_data, where);
  std::vector<Chunk> chunks = chunks_of(tree, rank, where);
  check_cover(chunks, dims, extent);
  std::string whole(elements * element_bytes, '\0');
  for (const Chunk& chunk : chunks) {
    const std::string data = unpack(bytes_at(chunk.address, chunk.stored_bytes), chunk.skipped_filters, filters,
                                    chunk_elements * element_bytes, where);
    place(data, chunk.offsets, extent, dims, element_bytes, whole);
  }
  return whole;
}

Constant Hdf5File::tensor(const std::string& path) const {
  const std::string where = fmt::format("{}: tensor \"{}\"", file_, path);
  const auto object = find(path);
  if (!object) throw UserError("{} is missing. The file is damaged, or its weights are of another model.", where);
  std::string_view space, type_data, layout, filters;
  for (const Message& message : messages(*object)) {
    std::string_view* const target = message.type == kDataspace  ? &space
                                     : message.type == kDatatype ? &type_data
                                     : message.type == kLayout   ? &layout
                                     : message.type == kFilters  ? &filters
                                                                 : nullptr;
    if (target == nullptr) continue;
    if ((message.flags & 2) != 0) throw UserError("{}: it has a shared type. {}", where, kSaveAgain);
    *target = message.data;
  }
  if (space.empty() || type_data.empty() || layout.empty()) throw UserError("{}: it is a group, not a tensor", where);
  const Datatype type = read_datatype(type_data, where);
  if (type.kind != Datatype::Kind::kNumber) {
    throw UserError("{}: its element type is not supported (supported: little-endian floats and integers)", where);
  }
  const std::vector<int64_t> dims = read_dataspace(space, where);
  const int64_t elements = checked_elements(dims, where);
  Cursor cursor(layout, where);
  const int version = cursor.u8(), layout_class = cursor.u8();
  if (version < 3 || version > 4 || layout_class > 2 || (version == 4 && layout_class == 2)) {
    throw UserError("{}: its storage layout is not supported. {}", where, kSaveAgain);
  }
  if (elements == 0) return constant_from_bytes(type.element, dims, {}, where);
  if (layout_class == 2) {
    return constant_from_bytes(type.element, dims, read_chunks(cursor.rest(), filters, dims, type.bytes, where), where);
  }
  if (layout_class == 0) return constant_from_bytes(type.element, dims, cursor.take(cursor.u16()), where);
  const Address at = cursor.u64();
  return constant_from_bytes(type.element, dims, bytes_at(at, cursor.u64()), where);
}

}  // namespace treville::import
