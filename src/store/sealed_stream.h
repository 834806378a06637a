// A sealed stream is a file that only its party can read and nobody can change unseen: a header in the clear, then the
// content in chunks of one mebibyte, each sealed with AES-256-GCM. It is written and read from front to back, so that
// memory stays at one chunk however long it is.
//
//   header, then for each chunk: ciphertext (1 MiB, the last one shorter or as long) | tag (16)
//   nonce            the chunk's number; the key seals this stream alone, so no nonce repeats
//   associated data  SHA-256 of the header | number of the chunk (8) | 1 for the last chunk, else 0
//
// The number in nonce and associated data fixes the order of chunks, the mark of the last one the end, the header whose
// stream it is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "crypto/seal.h"

namespace treville {

inline constexpr size_t kSealedChunkBytes = size_t{1} << 20;

class SealedWriter {
 public:
  // sink takes the bytes of the file, in order, and throws when it cannot.
  using Sink = std::function<void(std::span<const std::byte>)>;
  // key must never have sealed anything else.
  SealedWriter(const SealKey& key, std::span<const std::byte> header, Sink sink);
  ~SealedWriter();
  SealedWriter(const SealedWriter&) = delete;
  SealedWriter& operator=(const SealedWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  // finish writes the last chunk: without it the stream is not readable.
  void finish();

 private:
  void seal_chunk(bool is_last);

  Sealer sealer_;
  const Digest header_;
  const Sink sink_;
  std::vector<std::byte> chunk_;
  uint64_t number_ = 0;
};

class SealedReader {
 public:
  // The file is open at its first byte after the header, with `bytes` bytes from there to its end; `name` is for
  // messages. It is closed by the reader. With `ahead` a thread of the reader's own opens up to so many chunks before
  // they are asked for.
  SealedReader(const SealKey& key, std::span<const std::byte> header, int file, int64_t bytes, std::string name,
               size_t ahead = 0);
  ~SealedReader();
  SealedReader(const SealedReader&) = delete;
  SealedReader& operator=(const SealedReader&) = delete;

  // read fills `out` with what comes next. Throws UserError when the file is damaged, shorter than it was, or of
  // another key or header: then nothing of the damaged chunk was given out.
  void read(std::span<std::byte> out);
  // at_end tells whether everything was read.
  bool at_end();
  // finish throws UserError unless everything was read.
  void finish();

 private:
  class Chunks;
  class Ahead;
  struct Chunk {
    std::vector<std::byte> text;
    bool is_last = false;
  };

  void open_chunk();
  [[noreturn]] void fail(const char* how) const;

  const std::string name_;
  const std::unique_ptr<Chunks> chunks_;
  std::unique_ptr<Ahead> ahead_;
  Chunk chunk_;
  size_t at_ = 0;  // of the open chunk
  bool began_ = false;
};

}  // namespace treville
