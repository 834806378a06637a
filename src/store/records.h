// Records are preprocessed inferences on disk: everything a party's online walk needs that does not depend on an input.
// A record is a sealed stream (sealed_stream.h) in a file of its own, under a random key of its own that stands in the
// key table (key_table.h). It becomes usable when its key is stored, after its file is complete and synced; it is used
// up when its key is erased, before anything of it is used.
//
//   header: "TREVRECD" | version (4) | party (4) | number (4) | file (4) | program (32) | model (16) | batch (16)
//   content: entries of kind (1) | peer (1) | zero (2) | tag (12) | length (4) | bytes
//
// NUMBER.record (file 0) holds the pairwise keys of this inference (kind 1), then messages (kind 0) in the order in
// which the online walk asks for them. NUMBER.handover (file 1), under a key derived from the record's, holds the
// tensors that the offline walk leaves for the online walk of the same party (kind 2). Both together are the record.
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

  // keys come first, then messages in the order in which they will be read; handover tensors in an order of their own.
  void keys(const RecordKeys& keys);
  void message(PartyId peer, const MessageTag& tag, const Buffer& payload);
  void handover(const RingTensor& value);

 private:
  friend class Records;
  void finish();

  const RecordId id_;
  const FileHook hook_;
  const SealKey key_ = SealKey::random();
  LastingFile file_, handover_file_;
  int64_t bytes_ = 0;  // of both
  SealedWriter stream_, handover_;
  bool kept_ = false;
};

// RecordReader reads a record whose key exists nowhere else any more. All errors are UserErrors: a damaged record ends
// the run, it never gives a wrong value.
class RecordReader {
 public:
  RecordReader(std::unique_ptr<SealedReader> stream, std::unique_ptr<SealedReader> handover, const RecordId& id,
               std::string name);

  const RecordId& id() const { return id_; }
  RecordKeys keys();
  Buffer message(PartyId peer, const MessageTag& tag, size_t bytes);
  // handover reads all tensors that the offline walk left, flat; once.
  std::vector<RingTensor> handover();
  // finish throws unless everything was read.
  void finish();

 private:
  std::unique_ptr<SealedReader> stream_, handover_;
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
  int64_t file_bytes(uint32_t number) const;
  void remove_files(uint32_t number);
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
