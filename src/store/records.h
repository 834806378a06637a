// Records are preprocessed inferences on disk: everything a party's online walk needs that does not depend on an input.
// A record is a sealed stream (sealed_stream.h) in a file of its own, under a random key of its own that stands in the
// key table (key_table.h). It becomes usable when its key is stored, after its file is complete and synced; it is used
// up when its key is erased, before anything of it is used.
//
//   header: "TREVRECD" | version (4) | party (4) | number (4) | zero (4) | program (32) | model (16) | batch (16)
//   content: the pairwise keys of this inference, then messages in the order in which the online walk asks for them:
//   kind (1: 0 message, 1 keys, 2 half of an output) | peer (1) | zero (2) | tag (12) | length (4) | bytes
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/network.h"
#include "store/key_table.h"
#include "store/sealed_stream.h"
#include "tensor/ring_tensor.h"

namespace treville {

// RecordKeys are the pairwise keys of one inference, made for it alone: D holds both, E and H one each.
struct RecordKeys {
  std::optional<Key> dealer_evaluator;
  std::optional<Key> dealer_helper;
};

// RecordWriter writes one record; without Records::commit nothing of it is usable, and the file goes.
class RecordWriter {
 public:
  RecordWriter(const std::string& path, const RecordSubject& subject, const RecordId& id, FileHook hook);
  ~RecordWriter();
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

  // keys come first, then messages and halves in the order in which they will be read.
  void keys(const RecordKeys& keys);
  void message(PartyId peer, const MessageTag& tag, const Buffer& payload);
  void half(const RingTensor& value);

 private:
  friend class Records;
  void entry(uint8_t kind, PartyId peer, const MessageTag& tag, std::span<const std::byte> bytes);
  void finish();

  const RecordId id_;
  const FileHook hook_;
  const SealKey key_ = SealKey::random();
  LastingFile file_;
  int64_t bytes_ = 0;
  SealedWriter stream_;
  bool kept_ = false;
};

// RecordReader reads a record whose key exists nowhere else any more. All errors are UserErrors: a damaged record ends
// the run, it never gives a wrong value.
class RecordReader {
 public:
  RecordReader(std::unique_ptr<SealedReader> stream, const RecordId& id, std::string name);

  const RecordId& id() const { return id_; }
  RecordKeys keys();
  Buffer message(PartyId peer, const MessageTag& tag, size_t bytes);
  // halves reads all outputs' halves that are left; at the dealer a record holds nothing else.
  std::vector<RingTensor> halves();
  // finish throws unless everything was read.
  void finish();

 private:
  struct Head;
  Head head();
  Buffer payload(size_t bytes);

  std::unique_ptr<SealedReader> stream_;
  const RecordId id_;
  const std::string name_;
};

class Records {
 public:
  // folder is made where there is none. It is locked against other processes of this party. Files without a key, left
  // by a crash, are removed, and keys without a file are erased.
  Records(std::string folder, const SealKey& storage, const RecordSubject& subject, FileHook hook = {});

  int64_t left() const { return static_cast<int64_t>(table_.live().size()); }
  int64_t bytes() const;
  // lost counts records that were found damaged, short or without their file since the folder was opened.
  int64_t lost() const { return lost_ + table_.damaged(); }
  // next_number is above every record there ever was; start_at makes a larger one the next.
  uint32_t next_number() const { return table_.next(); }
  void start_at(uint32_t number) { table_.start_at(number); }

  std::unique_ptr<RecordWriter> make(const RecordId& id);
  void commit(RecordWriter& record);

  // next_unused gives the first record from this number on that can be used.
  std::optional<RecordId> next_unused(uint32_t from = 0) const;
  // take erases the record's key and those of all records before it, on disk and synced, and then opens it.
  std::unique_ptr<RecordReader> take(const RecordId& id);
  // burn erases one record, burn_below all before a number, without use.
  void burn_below(uint32_t number);
  void burn(uint32_t number);

 private:
  std::string path_of(uint32_t number) const;
  void remove_files_below(uint32_t number);
  void clean();

  const std::string folder_;
  const RecordSubject subject_;
  const FileHook hook_;
  const FolderLock lock_;
  KeyTable table_;
  int64_t lost_ = 0;
};

}  // namespace treville
