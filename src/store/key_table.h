// KeyTable holds the keys of a party's records, one slot for each, sealed under the party's storage key. Erasing a slot
// is what makes a record unusable for good: the slot is overwritten in place and synced before anything of the record
// is used, so that no crash brings it back.
//
//   header (128): "TREVKEYS" | version (4) | party (4) | program (32) | model (16) | salt (32) | first number (4) |
//                 zero (12) | HMAC of what precedes (16)
//   slot (128):   state (4: 0 never written, 1 live, 2 erased) | number (4) | bytes of the record (8) | batch (16) |
//                 nonce (12) | key (32) | tag (16) | zero (36)
//
// Slot i belongs to record first + i; its associated data are the header and the slot's clear fields, its nonce is
// random, its key is derived from the storage key and the salt. A slot that does not authenticate counts as erased:
// whatever a crash or a hand does to the file, a record can only be lost.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/ids.h"
#include "crypto/seal.h"
#include "store/folder.h"

namespace treville {

// StoreId names what is random and public between the parties: a model, a session.
using StoreId = std::array<std::byte, 16>;

// RecordSubject is what records are for: nothing else can use them.
struct RecordSubject {
  PartyId party = PartyId::kDealer;
  Digest program{};
  StoreId model{};
};

// RecordId is the same at all three parties: the number, and the session in which all three made it.
struct RecordId {
  uint32_t number = 0;
  StoreId batch{};
  bool operator==(const RecordId&) const = default;
};

class KeyTable {
 public:
  static constexpr uint32_t kMaxSlots = 1u << 24;

  // Use::kLook reads a table that another process may be writing, and changes nothing. Otherwise the table is made
  // where there is none, and this process must be the only one. Throws UserError when the file is another subject's,
  // another storage key's or no table.
  enum class Use : uint8_t { kLook, kOwn };
  KeyTable(std::string path, const SealKey& storage, const RecordSubject& subject, FileHook hook, Use use = Use::kOwn);

  struct Entry {
    StoreId batch{};
    int64_t bytes = 0;
  };
  // live lists the records that can still be used, by number.
  const std::map<uint32_t, Entry>& live() const { return live_; }
  // next is above every number this table ever had.
  uint32_t next() const { return next_; }
  // damaged counts slots that were found neither empty, erased nor intact; the owner erases them.
  int64_t damaged() const { return damaged_; }

  // start_at makes `number` the next one; numbers below it are never used again. Throws PeerError when that would leave
  // more than kMaxSlots behind.
  void start_at(uint32_t number);
  // add stores the key of a record that is complete on disk. Its number must be next() or more.
  void add(const RecordId& id, int64_t bytes, const SealKey& key);
  // take erases the key of a live record and of all below it, for good, and returns it. Nothing is left of it but the
  // result.
  SealKey take(uint32_t number);
  // erase_below erases the keys of all records below `number`.
  void erase_below(uint32_t number);
  void erase(uint32_t number);

 private:
  using SlotBytes = std::array<std::byte, 128>;

  void replace(uint32_t first);
  void read_header(std::span<const std::byte> header);
  void load();
  int64_t offset_of(uint32_t number) const;
  std::optional<SealKey> open_slot(const SlotBytes& slot, uint32_t number) const;
  std::vector<std::byte> associated(std::span<const std::byte> slot) const;
  void erase_range(uint32_t from, uint32_t to);
  void overwrite(const std::vector<uint32_t>& numbers);
  void sync_all(LastingFile& file);

  const std::string path_;
  const SealKey storage_;
  const RecordSubject subject_;
  const FileHook hook_;
  const Use use_;
  std::vector<std::byte> header_;
  SealKey key_;  // of this table: derived from the storage key
  uint32_t first_ = 0, next_ = 0;
  int64_t damaged_ = 0;
  std::map<uint32_t, Entry> live_;
};

}  // namespace treville
