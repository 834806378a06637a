#include "store/key_table.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace treville {
namespace {

constexpr std::string_view kMagic = "TREVKEYS";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 128, kMacBytes = 16;
constexpr size_t kPartyAt = 12, kProgramAt = 16, kModelAt = 48, kSaltAt = 64, kFirstAt = 96;
constexpr size_t kMacAt = kHeaderBytes - kMacBytes;

constexpr size_t kSlotBytes = 128;
constexpr size_t kStateAt = 0, kNumberAt = 4, kBytesAt = 8, kBatchAt = 16, kNonceAt = 32, kKeyAt = 44, kTagAt = 76;
constexpr uint32_t kNever = 0, kLive = 1, kErased = 2;

// The largest table: read whole, since a slot is small.
constexpr int64_t kMaxBytes =
    static_cast<int64_t>(kHeaderBytes) + int64_t{KeyTable::kMaxSlots} * kSlotBytes + kSlotBytes;

template <class T>
void put(std::span<std::byte> bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}
template <class T>
T get(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

template <size_t N>
std::array<std::byte, N> piece(std::span<const std::byte> bytes, size_t at) {
  std::array<std::byte, N> result;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), N, result.begin());
  return result;
}

void place(std::span<std::byte> bytes, size_t at, std::span<const std::byte> value) {
  std::ranges::copy(value, bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

// header_mac tells a table of another storage key from one of ours.
Digest header_mac(const SealKey& table_key, std::span<const std::byte> header) {
  return hmac(table_key.bytes(), "treville table header", header.first(kMacAt));
}

std::vector<std::byte> make_header(const RecordSubject& subject, uint32_t first) {
  std::vector<std::byte> header(kHeaderBytes);
  place(header, 0, std::as_bytes(std::span(kMagic)));
  put(header, kMagic.size(), kVersion);
  put(header, kPartyAt, static_cast<uint32_t>(index_of(subject.party)));
  place(header, kProgramAt, subject.program);
  place(header, kModelAt, subject.model);
  random_bytes(std::span(header).subspan(kSaltAt, 32));
  put(header, kFirstAt, first);
  return header;
}

SealKey table_key(const SealKey& storage, std::span<const std::byte> header) {
  return derive(storage, "treville table", header.subspan(kSaltAt, 32));
}

}  // namespace

KeyTable::KeyTable(std::string path, const SealKey& storage, const RecordSubject& subject, FileHook hook, Use use)
    : path_(std::move(path)), storage_(storage), subject_(subject), hook_(std::move(hook)), use_(use) {
  if (use_ == Use::kOwn && !std::filesystem::exists(path_)) replace(0);
  load();
}

void KeyTable::replace(uint32_t first) {
  CHECK(use_ == Use::kOwn, "a table to look at was to be changed");
  std::vector<std::byte> header = make_header(subject_, first);
  const Digest mac = header_mac(table_key(storage_, header), header);
  place(header, kMacAt, std::span(mac).first(kMacBytes));
  AtomicFile file(path_, 0600, hook_);
  file.write(header);
  file.commit();
}

void KeyTable::read_header(std::span<const std::byte> header) {
  const bool is_table = header.size() == kHeaderBytes &&
                        std::ranges::equal(header.first(kMagic.size()), std::as_bytes(std::span(kMagic))) &&
                        get<uint32_t>(header, kMagic.size()) == kVersion;
  if (!is_table) throw UserError("{}: is no table of record keys of version {}. Remove its folder.", path_, kVersion);
  const bool is_ours = get<uint32_t>(header, kPartyAt) == static_cast<uint32_t>(index_of(subject_.party)) &&
                       piece<sizeof(Digest)>(header, kProgramAt) == subject_.program &&
                       piece<sizeof(StoreId)>(header, kModelAt) == subject_.model;
  if (!is_ours) throw UserError("{}: belongs to another party, program or model. Remove its folder.", path_);
  header_.assign(header.begin(), header.end());
  key_ = table_key(storage_, header_);
  const Digest mac = header_mac(key_, header_);
  if (!std::ranges::equal(std::span(mac).first(kMacBytes), header.subspan(kMacAt))) {
    throw UserError(
        "{}: is damaged, or sealed under another storage key. Its records cannot be used: put the key back, or remove "
        "the folder and preprocess again.",
        path_);
  }
  first_ = get<uint32_t>(header_, kFirstAt);
}

void KeyTable::load() {
  const std::string text = read_file(path_, kMaxBytes);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  read_header(bytes.first(std::min(kHeaderBytes, bytes.size())));
  live_.clear();
  next_ = first_;
  std::vector<uint32_t> damaged;
  // A last slot that a crash cut short was never in use.
  for (uint32_t i = 0; kHeaderBytes + (size_t{i} + 1) * kSlotBytes <= bytes.size(); ++i) {
    const auto slot = piece<kSlotBytes>(bytes, kHeaderBytes + size_t{i} * kSlotBytes);
    const uint32_t state = get<uint32_t>(slot, kStateAt), number = first_ + i;
    next_ = number + 1;
    if (state == kNever || state == kErased) continue;
    if (!open_slot(slot, number)) {
      damaged.push_back(number);
      continue;
    }
    live_[number] = {piece<sizeof(StoreId)>(slot, kBatchAt), get<int64_t>(slot, kBytesAt)};
  }
  if (!damaged.empty() && use_ == Use::kOwn) overwrite(damaged);
  damaged_ += static_cast<int64_t>(damaged.size());
}

int64_t KeyTable::offset_of(uint32_t number) const {
  return static_cast<int64_t>(kHeaderBytes) + int64_t{number - first_} * static_cast<int64_t>(kSlotBytes);
}

std::vector<std::byte> KeyTable::associated(std::span<const std::byte> slot) const {
  std::vector<std::byte> data = header_;
  data.insert(data.end(), slot.begin(), slot.begin() + kNonceAt);
  return data;
}

std::optional<SealKey> KeyTable::open_slot(const SlotBytes& slot, uint32_t number) const {
  if (get<uint32_t>(slot, kStateAt) != kLive || get<uint32_t>(slot, kNumberAt) != number) return std::nullopt;
  auto text = piece<SealKey::kBytes>(slot, kKeyAt);
  Sealer sealer(key_);
  if (!sealer.unseal(piece<kSealNonceBytes>(slot, kNonceAt), associated(slot), text,
                     piece<kSealTagBytes>(slot, kTagAt)))
    return std::nullopt;
  const SealKey key{std::span<const std::byte, SealKey::kBytes>(text)};
  wipe(text);
  return key;
}

void KeyTable::start_at(uint32_t number) {
  if (live_.empty() && next_ > first_) {
    replace(std::max(number, next_));  // so that the file does not grow for ever
    load();
    return;
  }
  if (number <= next_) return;
  if (number - first_ >= kMaxSlots) {
    throw PeerError("{}: the other parties count records from {}, this party from {}. Use up or remove its records.",
                    path_, number, next_);
  }
  next_ = number;
}

void KeyTable::add(const RecordId& id, int64_t bytes, const SealKey& key) {
  CHECK(id.number >= next_ && id.number - first_ < kMaxSlots, "record {} behind {}", id.number, next_);
  SlotBytes slot{};
  put(std::span(slot), kStateAt, kLive);
  put(std::span(slot), kNumberAt, id.number);
  put(std::span(slot), kBytesAt, bytes);
  place(slot, kBatchAt, id.batch);
  random_bytes(std::span(slot).subspan(kNonceAt, kSealNonceBytes));
  place(slot, kKeyAt, key.bytes());
  Sealer sealer(key_);
  const SealTag tag = sealer.seal(piece<kSealNonceBytes>(slot, kNonceAt), associated(slot),
                                  std::span(slot).subspan(kKeyAt, SealKey::kBytes));
  place(slot, kTagAt, tag);
  LastingFile file = LastingFile::open(path_, hook_);
  file.write_at(offset_of(id.number), slot);
  sync_all(file);
  live_[id.number] = {id.batch, bytes};
  next_ = id.number + 1;
}

SealKey KeyTable::take(uint32_t number) {
  CHECK(live_.count(number) == 1, "record {} is not there", number);
  SlotBytes slot{};
  std::ifstream file(path_, std::ios::binary);
  file.seekg(offset_of(number));
  file.read(reinterpret_cast<char*>(slot.data()), kSlotBytes);
  const std::optional<SealKey> key = file ? open_slot(slot, number) : std::nullopt;
  if (!key) throw UserError("{}: changed while it was in use", path_);
  erase_range(first_, number + 1);
  return *key;
}

void KeyTable::erase_below(uint32_t number) {
  if (!live_.empty() && live_.begin()->first < number) erase_range(first_, std::min(number, next_));
}

void KeyTable::erase(uint32_t number) {
  if (live_.count(number) == 1) erase_range(number, number + 1);
}

// erase_range overwrites the slots of live records in [from, to), and only when that is synced forgets them.
void KeyTable::erase_range(uint32_t from, uint32_t to) {
  const auto begin = live_.lower_bound(from), end = live_.lower_bound(to);
  std::vector<uint32_t> numbers;
  for (auto entry = begin; entry != end; ++entry) numbers.push_back(entry->first);
  overwrite(numbers);
  live_.erase(begin, end);
}

void KeyTable::overwrite(const std::vector<uint32_t>& numbers) {
  CHECK(use_ == Use::kOwn, "a table to look at was to be changed");
  LastingFile file = LastingFile::open(path_, hook_);
  for (const uint32_t number : numbers) {
    SlotBytes slot{};
    put(std::span(slot), kStateAt, kErased);
    put(std::span(slot), kNumberAt, number);
    file.write_at(offset_of(number), slot);
  }
  sync_all(file);
}

void KeyTable::sync_all(LastingFile& file) {
  file.sync();
  sync_folder(std::filesystem::path(path_).parent_path().string());
  if (hook_) hook_("folder synced", path_);
}

}  // namespace treville
