#include "store/sealed_stream.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.h"

namespace treville {
namespace {

using Associated = std::array<std::byte, sizeof(Digest) + 9>;

Associated associated_data(const Digest& header, uint64_t number, bool is_last) {
  Associated data{};
  std::ranges::copy(header, data.begin());
  for (size_t i = 0; i < 8; ++i) data[header.size() + i] = static_cast<std::byte>(number >> (8 * i));
  data.back() = is_last ? std::byte{1} : std::byte{0};
  return data;
}

SealNonce nonce_of(uint64_t number) {
  SealNonce nonce{};
  for (size_t i = 0; i < 8; ++i) nonce[i] = static_cast<std::byte>(number >> (8 * i));
  return nonce;
}

}  // namespace

SealedWriter::SealedWriter(const SealKey& key, std::span<const std::byte> header, Sink sink)
    : sealer_(key), header_(sha256(header)), sink_(std::move(sink)) {
  chunk_.reserve(kSealedChunkBytes);
  sink_(header);
}

SealedWriter::~SealedWriter() { wipe(chunk_); }

void SealedWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    // A full chunk is sealed only when more comes: finish must still know the last one.
    if (chunk_.size() == kSealedChunkBytes) seal_chunk(false);
    const size_t taken = std::min(bytes.size(), kSealedChunkBytes - chunk_.size());
    chunk_.insert(chunk_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    bytes = bytes.subspan(taken);
  }
}

void SealedWriter::finish() { seal_chunk(true); }

void SealedWriter::seal_chunk(bool is_last) {
  const SealTag tag = sealer_.seal(nonce_of(number_), associated_data(header_, number_, is_last), chunk_);
  ++number_;
  sink_(chunk_);
  sink_(tag);
  chunk_.clear();
}

SealedReader::SealedReader(const SealKey& key, std::span<const std::byte> header, int file, int64_t bytes,
                           std::string name)
    : sealer_(key), header_(sha256(header)), name_(std::move(name)), file_(file), left_(bytes) {}

SealedReader::~SealedReader() {
  wipe(chunk_);
  ::close(file_);
}

void SealedReader::fail(const char* how) const { throw UserError("{}: {}", name_, how); }

void SealedReader::open_chunk() {
  if (ended_) fail("holds less than expected");
  const auto bytes =
      static_cast<size_t>(std::min<int64_t>(left_, static_cast<int64_t>(kSealedChunkBytes + kSealTagBytes)));
  if (bytes < kSealTagBytes) fail("ends too early");
  chunk_.resize(bytes);
  for (size_t at = 0; at < bytes;) {
    const ssize_t got = ::read(file_, chunk_.data() + at, bytes - at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail("cannot be read to its end");
    at += static_cast<size_t>(got);
  }
  left_ -= static_cast<int64_t>(bytes);
  SealTag tag;
  std::copy_n(chunk_.end() - kSealTagBytes, kSealTagBytes, tag.begin());
  chunk_.resize(bytes - kSealTagBytes);
  ended_ = left_ == 0;
  at_ = 0;
  if (!sealer_.unseal(nonce_of(number_), associated_data(header_, number_, ended_), chunk_, tag)) {
    chunk_.clear();
    fail("is damaged, or was written by another party");
  }
  ++number_;
}

void SealedReader::read(std::span<std::byte> out) {
  while (!out.empty()) {
    if (at_ == chunk_.size()) open_chunk();
    const size_t taken = std::min(out.size(), chunk_.size() - at_);
    if (taken == 0) fail("holds less than expected");
    std::copy_n(chunk_.begin() + static_cast<std::ptrdiff_t>(at_), taken, out.begin());
    at_ += taken;
    out = out.subspan(taken);
  }
}

bool SealedReader::at_end() {
  if (number_ == 0) open_chunk();
  return ended_ && at_ == chunk_.size();
}

void SealedReader::finish() {
  if (!at_end()) fail("holds more than expected");
}

}  // namespace treville
