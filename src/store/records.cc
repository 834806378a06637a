#include "store/records.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace treville {
namespace {

constexpr std::string_view kMagic = "TREVRECD", kSuffix = ".record", kHandoverSuffix = ".handover";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 88, kHeadBytes = 20;
constexpr size_t kChunksAhead = 8;
constexpr uint8_t kMessage = 0, kKeys = 1, kHandover = 2;
constexpr uint16_t kHoldsEvaluator = 1, kHoldsHelper = 2;

using HeaderBytes = std::array<std::byte, kHeaderBytes>;

template <class T>
void put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}
template <class T>
T get(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

enum class File : uint32_t { kMessages = 0, kHandedOver = 1 };

HeaderBytes header_of(const RecordSubject& subject, const RecordId& id, File file) {
  HeaderBytes header{};
  std::ranges::copy(std::as_bytes(std::span(kMagic)), header.begin());
  put(&header[8], kVersion);
  put(&header[12], static_cast<uint32_t>(index_of(subject.party)));
  put(&header[16], id.number);
  put(&header[20], static_cast<uint32_t>(file));
  std::ranges::copy(subject.program, &header[24]);
  std::ranges::copy(subject.model, &header[56]);
  std::ranges::copy(id.batch, &header[72]);
  return header;
}

// bytes_of_file is the size of a file, or -1.
int64_t bytes_of_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? static_cast<int64_t>(status.st_size) : -1;
}

std::string file_of(uint32_t number, std::string_view suffix) { return fmt::format("{:010}{}", number, suffix); }

// handover_path is the second file of the record at `path`.
std::string handover_path(const std::string& path) {
  return path.substr(0, path.size() - kSuffix.size()) + std::string(kHandoverSuffix);
}

// number_of gives the number of a record's file name.
std::optional<uint32_t> number_of(const std::string& file) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(file.data(), file.data() + file.size(), number);
  if (error != std::errc() || (file_of(number, kSuffix) != file && file_of(number, kHandoverSuffix) != file))
    return std::nullopt;
  return number;
}

SealKey handover_key(const SealKey& key) { return derive(key, "treville handover", {}); }

void write_entry(SealedWriter& stream, uint8_t kind, PartyId peer, const MessageTag& tag,
                 std::span<const std::byte> bytes) {
  std::array<std::byte, kHeadBytes> head{};
  head[0] = static_cast<std::byte>(kind);
  head[1] = static_cast<std::byte>(index_of(peer));
  put(&head[4], tag.inference);
  put(&head[8], tag.step);
  put(&head[12], tag.part);
  put(&head[14], tag.block);
  CHECK(bytes.size() <= UINT32_MAX, "an entry of {} bytes", bytes.size());
  put(&head[16], static_cast<uint32_t>(bytes.size()));
  stream.write(head);
  stream.write(bytes);
}

struct Head {
  uint8_t kind = 0;
  PartyId peer{};
  MessageTag tag;
  size_t bytes = 0;
};

Head read_head(SealedReader& stream) {
  std::array<std::byte, kHeadBytes> bytes;
  stream.read(bytes);
  return {std::to_integer<uint8_t>(bytes[0]),
          static_cast<PartyId>(bytes[1]),
          {get<uint32_t>(&bytes[4]), get<uint32_t>(&bytes[8]), get<uint16_t>(&bytes[12]), get<uint16_t>(&bytes[14])},
          get<uint32_t>(&bytes[16])};
}

Buffer read_payload(SealedReader& stream, size_t bytes) {
  Buffer buffer = Buffer::stored(bytes);
  if (bytes > 0) stream.read(buffer.as<std::byte>());
  return buffer;
}

// open_file opens one file of a record; null when it is not the file its header should say.
std::unique_ptr<SealedReader> open_file(const std::string& path, const SealKey& key, const HeaderBytes& header,
                                        const std::string& name, size_t ahead) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return nullptr;
  HeaderBytes found{};
  if (::read(file, found.data(), found.size()) != kHeaderBytes || found != header) {
    ::close(file);
    return nullptr;
  }
  const int64_t bytes = bytes_of_file(path) - static_cast<int64_t>(kHeaderBytes);
  return std::make_unique<SealedReader>(key, header, file, bytes, name, ahead);
}

std::string made_private(const std::string& folder) {
  make_private_folder(folder);
  return folder;
}

}  // namespace

RecordWriter::RecordWriter(const std::string& path, const RecordSubject& subject, const RecordId& id, FileHook hook)
    : id_(id),
      hook_(hook),
      file_(LastingFile::create(path, hook)),
      handover_file_(LastingFile::create(handover_path(path), hook)),
      stream_(key_, header_of(subject, id, File::kMessages),
              [this](std::span<const std::byte> bytes) {
                file_.write(bytes);
                bytes_ += static_cast<int64_t>(bytes.size());
              }),
      handover_(handover_key(key_), header_of(subject, id, File::kHandedOver),
                [this](std::span<const std::byte> bytes) {
                  handover_file_.write(bytes);
                  bytes_ += static_cast<int64_t>(bytes.size());
                }) {}

RecordWriter::~RecordWriter() {
  if (kept_) return;
  ::unlink(file_.path().c_str());
  ::unlink(handover_file_.path().c_str());
}

void RecordWriter::keys(const RecordKeys& keys) {
  std::array<std::byte, 2 * Key::kBytes> bytes{};
  MessageTag held;
  if (keys.dealer_evaluator) {
    held.part |= kHoldsEvaluator;
    std::ranges::copy(keys.dealer_evaluator->bytes(), bytes.begin());
  }
  if (keys.dealer_helper) {
    held.part |= kHoldsHelper;
    std::ranges::copy(keys.dealer_helper->bytes(), bytes.begin() + Key::kBytes);
  }
  write_entry(stream_, kKeys, PartyId::kDealer, held, bytes);
  wipe(bytes);
}

void RecordWriter::message(PartyId peer, const MessageTag& tag, const Buffer& payload) {
  write_entry(stream_, kMessage, peer, tag, payload.as<std::byte>());
}

void RecordWriter::handover(const RingTensor& value) {
  write_entry(handover_, kHandover, PartyId::kDealer, {.part = static_cast<uint16_t>(bits_of(value.ring()).value())},
              value.storage().as<std::byte>());
}

void RecordWriter::finish() {
  stream_.finish();
  handover_.finish();
  file_.sync();
  handover_file_.sync();
}

RecordReader::RecordReader(std::unique_ptr<SealedReader> stream, std::unique_ptr<SealedReader> handover,
                           const RecordId& id, std::string name)
    : stream_(std::move(stream)), handover_(std::move(handover)), id_(id), name_(std::move(name)) {}

RecordKeys RecordReader::keys() {
  const Head found = read_head(*stream_);
  std::array<std::byte, 2 * Key::kBytes> bytes{};
  CHECK(found.kind == kKeys && found.bytes == bytes.size(), "{}: does not start with its keys", name_);
  stream_->read(bytes);
  RecordKeys keys;
  const std::span<const std::byte, 2 * Key::kBytes> view(bytes);
  if ((found.tag.part & kHoldsEvaluator) != 0) keys.dealer_evaluator = Key(view.first<Key::kBytes>());
  if ((found.tag.part & kHoldsHelper) != 0) keys.dealer_helper = Key(view.last<Key::kBytes>());
  wipe(bytes);
  return keys;
}

Buffer RecordReader::message(PartyId peer, const MessageTag& tag, size_t bytes) {
  const Head found = read_head(*stream_);
  CHECK(found.kind == kMessage && found.peer == peer && found.tag == tag && found.bytes == bytes,
        "{}: holds step {}, part {}, block {} of party {}, {} bytes, where the walk asks for step {}, part {}, block "
        "{} of party {}, {} bytes",
        name_, found.tag.step, found.tag.part, found.tag.block, found.peer, found.bytes, tag.step, tag.part, tag.block,
        peer, bytes);
  return read_payload(*stream_, bytes);
}

std::vector<RingTensor> RecordReader::handover() {
  std::vector<RingTensor> values;
  while (!handover_->at_end()) {
    const Head found = read_head(*handover_);
    CHECK(found.kind == kHandover, "{}: holds something else among its tensors", name_);
    const Ring ring = static_cast<Ring>(found.tag.part);
    const auto elements = static_cast<int64_t>(found.bytes) / bytes_of(ring);
    values.push_back(RingTensor::adopt(ring, {elements}, read_payload(*handover_, found.bytes)));
  }
  return values;
}

void RecordReader::finish() {
  stream_->finish();
  handover_->finish();
}

Records::Records(std::string folder, const SealKey& storage, const RecordSubject& subject, FileHook hook)
    : folder_(made_private(folder)),
      subject_(subject),
      hook_(std::move(hook)),
      lock_(folder_),
      table_(folder_ + "/keys.table", storage, subject, hook_) {
  clean();
}

std::string Records::path_of(uint32_t number) const { return folder_ + "/" + file_of(number, kSuffix); }

// file_bytes is the size of a record's two files, or -1 where one is missing.
int64_t Records::file_bytes(uint32_t number) const {
  const int64_t record = bytes_of_file(path_of(number)), rest = bytes_of_file(handover_path(path_of(number)));
  return record < 0 || rest < 0 ? -1 : record + rest;
}

int64_t Records::bytes() const {
  int64_t sum = 0;
  for (const auto& [number, entry] : table_.live()) sum += entry.bytes;
  return sum;
}

void Records::clean() {
  std::vector<uint32_t> without_file, without_key;
  for (const auto& [number, entry] : table_.live()) {
    if (file_bytes(number) != entry.bytes) without_file.push_back(number);
  }
  for (const uint32_t number : without_file) table_.erase(number);
  lost_ += static_cast<int64_t>(without_file.size());
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    const std::optional<uint32_t> number = number_of(file.path().filename().string());
    if (number && table_.live().count(*number) == 0) without_key.push_back(*number);
  }
  for (const uint32_t number : without_key) remove_files(number);
}

std::unique_ptr<RecordWriter> Records::make(const RecordId& id) {
  CHECK(id.number >= table_.next(), "record {} behind {}", id.number, table_.next());
  return std::make_unique<RecordWriter>(path_of(id.number), subject_, id, hook_);
}

void Records::commit(RecordWriter& record) {
  record.finish();
  sync_folder(folder_);
  if (hook_) hook_("folder synced", folder_);
  table_.add(record.id_, record.bytes_, record.key_);
  record.kept_ = true;
}

std::optional<RecordId> Records::next_unused(uint32_t from) const {
  const auto found = table_.live().lower_bound(from);
  if (found == table_.live().end()) return std::nullopt;
  return RecordId{found->first, found->second.batch};
}

std::unique_ptr<RecordReader> Records::take(const RecordId& id) {
  const KeyTable::Entry entry = table_.live().at(id.number);
  CHECK(entry.batch == id.batch, "record {} is of another batch", id.number);
  const SealKey key = table_.take(id.number);
  const std::string path = path_of(id.number);
  const std::string name = fmt::format("{}, the preprocessed inference {}", path, id.number);
  const bool whole = file_bytes(id.number) == entry.bytes;
  auto stream = open_file(path, key, header_of(subject_, id, File::kMessages), name, kChunksAhead);
  auto handover =
      open_file(handover_path(path), handover_key(key), header_of(subject_, id, File::kHandedOver), name, 0);
  remove_files_below(id.number + 1);  // the open files stay until they are read
  if (!whole || !stream || !handover)
    throw UserError("{}: is damaged. It is dropped; run again to use the next one.", name);
  return std::make_unique<RecordReader>(std::move(stream), std::move(handover), id, name);
}

void Records::burn_below(uint32_t number) {
  table_.erase_below(number);
  remove_files_below(number);
}

void Records::burn(uint32_t number) {
  table_.erase(number);
  remove_files(number);
}

void Records::remove_files(uint32_t number) {
  remove_file(path_of(number), hook_);
  remove_file(handover_path(path_of(number)), hook_);
}

void Records::remove_files_below(uint32_t number) {
  std::vector<uint32_t> numbers;
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    const std::optional<uint32_t> found = number_of(file.path().filename().string());
    if (found && *found < number && table_.live().count(*found) == 0) numbers.push_back(*found);
  }
  for (const uint32_t found : numbers) remove_files(found);
}

}  // namespace treville
