// LevelDB reads the table from memory. It trusts the sizes that a table gives for its blocks, so they are checked where
// it asks for the bytes.
#include "import/sorted_table.h"

#include <leveldb/env.h>
#include <leveldb/iterator.h>
#include <leveldb/options.h>
#include <leveldb/table.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace treville::import {
namespace {

constexpr size_t kFooterBytes = 48;
constexpr size_t kTrailerBytes = 5;  // of a block: how it is compressed, and a checksum
constexpr size_t kSmallestBlock = 4;
constexpr char kSnappy = 1;
constexpr uint64_t kLargestBlock = uint64_t{1} << 28;
constexpr uint64_t kLargestTotal = uint64_t{1} << 30;

// take_varint takes a number of seven bits a byte from the front of the bytes.
std::optional<uint64_t> take_varint(std::string_view& bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes.size() && i < 10; ++i) {
    number |= static_cast<uint64_t>(bytes[i] & 0x7f) << (7 * i);
    if ((bytes[i] & 0x80) != 0) continue;
    bytes.remove_prefix(i + 1);
    return number;
  }
  return {};
}

// A compressed block begins with the size of what it unfolds to.
uint64_t unfolded_size(std::string_view block) { return take_varint(block).value_or(kLargestBlock + 1); }

// footer_fits: the two blocks that the footer names lie in the file. LevelDB takes memory for a block before it asks
// for the bytes.
bool footer_fits(std::string_view bytes) {
  if (bytes.size() < kFooterBytes) return false;
  std::string_view footer = bytes.substr(bytes.size() - kFooterBytes);
  for (int block = 0; block < 2; ++block) {
    const auto offset = take_varint(footer), size = take_varint(footer);
    if (!offset || !size || *offset > bytes.size() || *size > bytes.size() - *offset) return false;
  }
  return true;
}

class MemoryFile : public leveldb::RandomAccessFile {
 public:
  explicit MemoryFile(std::string_view bytes) : bytes_(bytes) {}

  leveldb::Status Read(uint64_t offset, size_t n, leveldb::Slice* result, char* scratch) const override {
    if (offset > bytes_.size() || n > bytes_.size() - offset) return leveldb::Status::Corruption("outside the file");
    const std::string_view part = bytes_.substr(offset, n);
    const bool is_footer = n == kFooterBytes && offset == bytes_.size() - kFooterBytes;
    if (!is_footer && n < kSmallestBlock + kTrailerBytes) return leveldb::Status::Corruption("a block is too small");
    if (!is_footer && part[n - kTrailerBytes] == kSnappy && unfolded_size(part) > kLargestBlock) {
      return leveldb::Status::Corruption("a block is too large");
    }
    std::memcpy(scratch, part.data(), n);
    *result = leveldb::Slice(scratch, n);
    return leveldb::Status::OK();
  }

 private:
  const std::string_view bytes_;
};

[[noreturn]] void refuse(const std::string& where, const std::string& why) {
  throw UserError("{}: the index of the weights is damaged ({}). Copy or save the model again.", where, why);
}

}  // namespace

std::map<std::string, std::string> read_sorted_table(const std::string& bytes, const std::string& where) try {
  if (!footer_fits(bytes)) refuse(where, "its end does not fit the rest");
  MemoryFile file(bytes);
  leveldb::Options options;
  options.paranoid_checks = true;
  leveldb::Table* opened = nullptr;
  const leveldb::Status status = leveldb::Table::Open(options, &file, bytes.size(), &opened);
  const std::unique_ptr<leveldb::Table> table(opened);
  if (!status.ok()) refuse(where, status.ToString());
  leveldb::ReadOptions read;
  read.verify_checksums = true;
  read.fill_cache = false;
  const std::unique_ptr<leveldb::Iterator> at(table->NewIterator(read));
  std::map<std::string, std::string> entries;
  uint64_t total = 0;
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    total += at->key().size() + at->value().size();
    if (total > kLargestTotal) refuse(where, "it is too large");
    if (!entries.emplace(at->key().ToString(), at->value().ToString()).second) refuse(where, "a key comes twice");
  }
  if (!at->status().ok()) refuse(where, at->status().ToString());
  return entries;
} catch (const std::bad_alloc&) {
  refuse(where, "a block is too large");
}

}  // namespace treville::import
