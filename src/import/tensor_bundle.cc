#include "import/tensor_bundle.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

#include "base/suggest.h"
#include "base/text.h"
#include "import/crc32c.h"
#include "import/sorted_table.h"
#include "import/stored_bytes.h"
#include "import/tensorflow.h"
#include "saved_model_format.pb.h"

namespace treville::import {

using tf_format::BundleEntry;

// Block is a part of a tensor: where it begins and how far it goes in every dimension. Length -1 is all of it.
struct TensorBundle::Block {
  Ints starts, lengths;
};

namespace {

constexpr uintmax_t kLargestIndex = uintmax_t{1} << 28;
constexpr int64_t kFullExtent = -1;

Ints dims_of(const BundleEntry& entry) {
  Ints dims;
  for (const auto& dim : entry.shape().dim()) dims.push_back(dim.size());
  return dims;
}

// --- Keys of slices: TensorFlow's ordered code
// ---------------------------------------------------------------------------

// append_number writes an unsigned number: how many bytes, then the bytes, most significant first.
void append_number(std::string& key, uint64_t number) {
  std::string bytes;
  for (; number > 0; number >>= 8) bytes.insert(bytes.begin(), static_cast<char>(number & 255));
  key += static_cast<char>(bytes.size());
  key += bytes;
}

void append_string(std::string& key, const std::string& text) {
  for (char c : text) {
    key += c;
    if (c == '\0') key += '\xff';
    if (c == '\xff') key += '\0';
  }
  key += '\0';
  key += '\1';
}

// append_signed writes a signed number in the least n bytes whose first n bits tell n: n - 1 further ones after the
// sign.
void append_signed(std::string& key, int64_t number) {
  const uint64_t magnitude = static_cast<uint64_t>(number < 0 ? ~number : number);
  int bits = 0;
  while (bits < 64 && (magnitude >> bits) != 0) ++bits;
  const int length = bits / 7 + 1;
  constexpr int kMost = 10;
  unsigned char bytes[kMost];
  for (int i = 0; i < kMost; ++i) {
    const int shift = 8 * (kMost - 1 - i);
    bytes[i] = static_cast<unsigned char>(shift >= 64 ? (number < 0 ? 255 : 0) : (number >> shift) & 255);
  }
  unsigned char* first = bytes + kMost - length;
  for (int bit = 0; bit < length; ++bit) first[bit / 8] ^= static_cast<unsigned char>(0x80 >> (bit % 8));
  key.append(reinterpret_cast<const char*>(first), static_cast<size_t>(length));
}

std::string slice_key(const std::string& name, const Ints& starts, const Ints& lengths) {
  std::string key;
  append_number(key, 0);
  append_string(key, name);
  append_number(key, starts.size());
  for (size_t axis = 0; axis < starts.size(); ++axis) {
    append_signed(key, starts[axis]);
    append_signed(key, lengths[axis]);
  }
  return key;
}

// --- Blocks
// --------------------------------------------------------------------------------------------------------------

// copy_block copies a block between a whole tensor and a tensor of the block's shape.
template <class T>
void copy_block(std::vector<T>& whole, const Ints& dims, std::vector<T>& block, const Ints& starts, const Ints& lengths,
                bool into_whole) {
  int64_t count = 1;
  for (int64_t length : lengths) count *= length;
  if (count == 0) return;
  const int64_t row = dims.empty() ? 1 : lengths.back();
  Ints at(dims.size(), 0);  // of the first element of a row, within the block
  for (int64_t done = 0; done < count; done += row) {
    int64_t offset = 0;
    for (size_t axis = 0; axis < dims.size(); ++axis) offset = offset * dims[axis] + starts[axis] + at[axis];
    const auto in_whole = whole.begin() + offset, in_block = block.begin() + done;
    into_whole ? std::copy(in_block, in_block + row, in_whole) : std::copy(in_whole, in_whole + row, in_block);
    for (size_t axis = dims.size(); axis-- > 0;) {
      if (axis + 1 == dims.size()) continue;
      if (++at[axis] < lengths[axis]) break;
      at[axis] = 0;
    }
  }
}

Constant zeros_like(const Constant& kind, const Ints& dims) {
  if (std::holds_alternative<FloatTensor>(kind)) return FloatTensor(Shape(dims));
  return IntTensor(Shape(dims));
}

void copy_block(Constant& whole, Constant& block, const Ints& starts, bool into_whole, const std::string& where) {
  if (whole.index() != block.index()) throw UserError("{}: its slices have different types", where);
  const Ints dims = shape_of(whole).dims(), lengths = shape_of(block).dims();
  std::visit(
      [&](auto& tensor) {
        auto& part = std::get<std::decay_t<decltype(tensor)>>(block);
        copy_block(tensor.values, dims, part.values, starts, lengths, into_whole);
      },
      whole);
}

int64_t to_number(const std::string& text, const std::string& where) {
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || number < 0) {
    throw UserError("{}: \"{}\" is no number in the description of a slice. The file is damaged.", where, text);
  }
  return number;
}

}  // namespace

TensorBundle::TensorBundle(const std::filesystem::path& prefix, const std::string& file)
    : prefix_(prefix), file_(file) {
  const google::protobuf::LogSilencer quiet;
  const std::filesystem::path path = prefix.string() + ".index";
  const std::string name = fmt::format("{}: {}", file, path.filename().string());
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    throw UserError("{}: there is no {}, which tells where the weights are. Copy the whole folder \"variables\".", file,
                    path.filename().string());
  }
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kLargestIndex) throw UserError("{}: cannot be read, or is larger than {}", name, kLargestIndex);
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  auto table = read_sorted_table(bytes, name);
  tf_format::BundleHeader header;
  const auto first = table.find("");
  if (first == table.end() || !header.ParseFromString(first->second) || header.num_shards() < 1) {
    throw UserError("{}: it has no header. The file is damaged.", name);
  }
  if (header.endianness() != 0) throw UserError("{}: big-endian checkpoints are not supported. Save it again.", name);
  shards_ = header.num_shards();
  table.erase(first);
  for (const auto& [key, value] : table) {
    if (!entries_[key].ParseFromString(value)) {
      throw UserError("{}: the entry of \"{}\" cannot be read. The file is damaged.", name, key);
    }
  }
}

TensorBundle::~TensorBundle() = default;
TensorBundle::TensorBundle(TensorBundle&&) noexcept = default;

bool TensorBundle::has(const std::string& key) const { return entries_.count(key) > 0; }

std::vector<std::string> TensorBundle::names() const {
  std::vector<std::string> names;
  for (const auto& [key, entry] : entries_) {
    if (!key.empty() && key[0] != '\0') names.push_back(key);
  }
  return names;
}

std::string TensorBundle::where(const std::string& key) const {
  return fmt::format("{}: variable \"{}\" in {}", file_, key, prefix_.filename().string());
}

const BundleEntry& TensorBundle::entry(const std::string& key) const {
  const auto found = entries_.find(key);
  if (found != entries_.end()) return found->second;
  const std::vector<std::string> known = names();
  const std::string_view near = closest(key, std::vector<std::string_view>(known.begin(), known.end()));
  throw UserError("{}: the checkpoint has no value for \"{}\"{}. Save the model again with all of its variables.",
                  file_, key, near.empty() ? "" : fmt::format(" (near: \"{}\")", near));
}

namespace {

// shard_stream gives the bytes of an entry.
ByteStream shard_stream(const BundleEntry& entry, const std::filesystem::path& prefix, int shards,
                        const std::string& where) {
  if (entry.shard_id() < 0 || entry.shard_id() >= shards) {
    throw UserError("{}: it lies in shard {} of {}. The index is damaged.", where, entry.shard_id(), shards);
  }
  const std::string name = fmt::format("{}.data-{:05}-of-{:05}", prefix.filename().string(), entry.shard_id(), shards);
  const auto path = path_inside(prefix.parent_path(), name, where);
  ByteStream stream({{path, entry.offset(), entry.size()}}, fmt::format("{} ({})", where, name));
  stream.start_crc32c();
  return stream;
}

void check_sum(uint32_t sum, const BundleEntry& entry, const std::string& where) {
  if (masked_crc32c(sum) == entry.crc32c()) return;
  throw UserError("{}: the checksum is wrong, the data is damaged. Copy or save the model again.", where);
}

}  // namespace

Constant TensorBundle::read_entry(const BundleEntry& entry, const std::string& key) const {
  const auto type = tf_element_type(entry.dtype());
  if (!type) throw UserError("{}: element type {} is not supported", where(key), entry.dtype());
  ByteStream stream = shard_stream(entry, prefix_, shards_, where(key));
  Constant constant = constant_from_stream(*type, dims_of(entry), stream);
  if (stream.left() > 0)
    throw UserError("{}: {} bytes are left over. The index is damaged.", where(key), stream.left());
  check_sum(stream.crc32c(), entry, stream.where());
  return constant;
}

int64_t TensorBundle::shard_bytes() const {
  const std::string start = prefix_.filename().string() + ".data-";
  int64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(prefix_.parent_path())) {
    if (file.path().filename().string().starts_with(start)) bytes += ByteStream::whole(file.path(), file_).length;
  }
  return bytes;
}

Constant TensorBundle::read_slices(const BundleEntry& entry, const std::string& key) const {
  const Ints dims = dims_of(entry);
  const int64_t elements = checked_elements(dims, where(key));
  const auto block_of = [&](const tf_format::TensorSlice& slice) {
    Block block;
    for (const auto& extent : slice.extent()) {
      const bool is_full = extent.has_length_case() == tf_format::TensorSlice::Extent::HAS_LENGTH_NOT_SET;
      block.starts.push_back(extent.start());
      block.lengths.push_back(is_full ? kFullExtent : extent.length());
    }
    return block;
  };
  // How much memory the whole takes is believed only as far as the shards hold as many bytes.
  int64_t present = 0, bytes = shard_bytes();
  std::vector<std::pair<Block, const BundleEntry*>> parts;
  for (const auto& slice : entry.slices()) {
    const Block block = block_of(slice);
    if (block.starts.size() != dims.size()) throw UserError("{}: a slice has another rank than it", where(key));
    const auto stored = entries_.find(slice_key(key, block.starts, block.lengths));
    if (stored == entries_.end()) throw UserError("{}: one of its slices is missing from the index", where(key));
    const Ints extent = dims_of(stored->second);
    bool fits = extent.size() == dims.size();
    for (size_t axis = 0; fits && axis < dims.size(); ++axis) {
      const int64_t start = block.starts[axis];
      fits = start >= 0 && start <= dims[axis] && extent[axis] >= 0 && extent[axis] <= dims[axis] - start &&
             (block.lengths[axis] == kFullExtent ? extent[axis] == dims[axis] : extent[axis] == block.lengths[axis]);
    }
    if (!fits) throw UserError("{}: a slice does not fit its shape {}", where(key), to_string(Shape(dims)));
    const int64_t size = shard_stream(stored->second, prefix_, shards_, where(key)).left();
    const int64_t count = checked_elements(extent, where(key));
    bytes -= size;
    if (count > size || bytes < 0) throw UserError("{}: its slices are larger than the shards", where(key));
    present += count;
    parts.emplace_back(block, &stored->second);
  }
  if (present != elements) {
    throw UserError("{}: its slices hold {} elements, its shape {} has {}. The index is damaged.", where(key), present,
                    to_string(Shape(dims)), elements);
  }
  std::optional<Constant> whole;
  for (const auto& [block, stored] : parts) {
    Constant part = read_entry(*stored, key);
    if (!whole) whole = zeros_like(part, dims);
    copy_block(*whole, part, block.starts, true, where(key));
  }
  CHECK(whole.has_value(), "{} has no slices", key);
  return std::move(*whole);
}

Constant TensorBundle::read(const std::string& key, const std::string& slice) const {
  const BundleEntry& found = entry(key);
  if (slice.empty()) return found.slices_size() > 0 ? read_slices(found, key) : read_entry(found, key);
  std::vector<std::string> words = split(slice, ' ');
  const std::vector<std::string> extents = split(words.back(), ':');
  words.pop_back();
  const Ints dims = dims_of(found);
  if (words.size() != dims.size() || extents.size() != std::max<size_t>(dims.size(), 1)) {
    throw UserError("{}: the slice \"{}\" does not fit its shape {}", where(key), slice, to_string(Shape(dims)));
  }
  Block block;
  Ints lengths;
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    const auto numbers = split(extents[axis], ',');
    const bool is_full = extents[axis] == "-";
    const int64_t start = is_full ? 0 : to_number(numbers[0], where(key));
    const int64_t length = is_full ? dims[axis] : to_number(numbers.back(), where(key));
    const bool fits = to_number(words[axis], where(key)) == dims[axis] && (is_full || numbers.size() == 2) &&
                      start <= dims[axis] && length <= dims[axis] - start;
    if (!fits) {
      throw UserError("{}: the slice \"{}\" does not fit its shape {}", where(key), slice, to_string(Shape(dims)));
    }
    block.starts.push_back(start);
    block.lengths.push_back(is_full ? kFullExtent : length);
    lengths.push_back(length);
  }
  // What was saved in the slices that are asked for is read by itself.
  const auto stored = entries_.find(slice_key(key, block.starts, block.lengths));
  if (found.slices_size() > 0 && stored != entries_.end() && dims_of(stored->second) == lengths) {
    return read_entry(stored->second, key);
  }
  Constant whole = read(key);
  Constant part = zeros_like(whole, lengths);
  copy_block(whole, part, block.starts, false, where(key));
  return part;
}

std::string TensorBundle::read_string(const std::string& key) const {
  const BundleEntry& found = entry(key);
  if (found.dtype() != tf_format::DT_STRING || checked_elements(dims_of(found), where(key)) != 1) {
    throw UserError("{}: expected one string. The index is damaged.", where(key));
  }
  ByteStream stream = shard_stream(found, prefix_, shards_, where(key));
  uint64_t length = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    char byte = 0;
    stream.read(&byte, 1);
    length |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) break;
  }
  // The checksum covers the length as a word, then its own checksum, then the text.
  const auto word = static_cast<uint32_t>(length);
  uint32_t sum = extend_crc32c(0, {reinterpret_cast<const char*>(&word), sizeof(word)});
  char sum_of_lengths[sizeof(uint32_t)];
  stream.read(sum_of_lengths, sizeof(sum_of_lengths));
  if (length != static_cast<uint64_t>(stream.left()) || length > kLargestIndex) {
    throw UserError("{}: expected a string of {} bytes, found {}. The file is damaged.", where(key), length,
                    stream.left());
  }
  sum = extend_crc32c(sum, {sum_of_lengths, sizeof(sum_of_lengths)});
  std::string text(static_cast<size_t>(length), '\0');
  stream.read(text.data(), static_cast<int64_t>(length));
  check_sum(extend_crc32c(sum, text), found, stream.where());
  return text;
}

}  // namespace treville::import
