#include "store/sealed_stream.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

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

// Chunks opens the chunks of a file one after the other.
class SealedReader::Chunks {
 public:
  Chunks(const SealKey& key, std::span<const std::byte> header, int file, int64_t bytes, const std::string& name)
      : sealer_(key), header_(sha256(header)), name_(name), file_(file), left_(bytes) {}
  ~Chunks() { ::close(file_); }
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;

  Chunk next() {
    const auto bytes =
        static_cast<size_t>(std::min<int64_t>(left_, static_cast<int64_t>(kSealedChunkBytes + kSealTagBytes)));
    if (bytes < kSealTagBytes) throw UserError("{}: ends too early", name_);
    Chunk chunk;
    chunk.text.resize(bytes);
    for (size_t at = 0; at < bytes;) {
      const ssize_t got = ::read(file_, chunk.text.data() + at, bytes - at);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) throw UserError("{}: cannot be read to its end", name_);
      at += static_cast<size_t>(got);
    }
    left_ -= static_cast<int64_t>(bytes);
    SealTag tag;
    std::copy_n(chunk.text.end() - kSealTagBytes, kSealTagBytes, tag.begin());
    chunk.text.resize(bytes - kSealTagBytes);
    chunk.is_last = left_ == 0;
    if (!sealer_.unseal(nonce_of(number_), associated_data(header_, number_, chunk.is_last), chunk.text, tag)) {
      throw UserError("{}: is damaged, or was written by another party", name_);
    }
    ++number_;
    return chunk;
  }

 private:
  Sealer sealer_;
  const Digest header_;
  const std::string& name_;
  const int file_;
  int64_t left_;
  uint64_t number_ = 0;
};

// Ahead opens chunks in a thread, so that reading and decrypting happen while the walk waits for messages.
class SealedReader::Ahead {
 public:
  Ahead(Chunks& chunks, size_t most) : chunks_(chunks), most_(most), thread_([this] { work(); }) {}
  ~Ahead() {
    {
      const std::lock_guard lock(mutex_);
      stops_ = true;
    }
    changed_.notify_all();
    thread_.join();
    for (Chunk& chunk : ready_) wipe(chunk.text);
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  Chunk next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || error_; });
    if (ready_.empty()) std::rethrow_exception(error_);
    Chunk chunk = std::move(ready_.front());
    ready_.pop_front();
    changed_.notify_all();
    return chunk;
  }

 private:
  void work() {
    try {
      for (bool is_last = false; !is_last;) {
        Chunk chunk = chunks_.next();
        is_last = chunk.is_last;
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return ready_.size() < most_ || stops_; });
        if (stops_) return;
        ready_.push_back(std::move(chunk));
        changed_.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
      changed_.notify_all();
    }
  }

  Chunks& chunks_;
  const size_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Chunk> ready_;
  std::exception_ptr error_;
  bool stops_ = false;
  std::thread thread_;  // last: it uses all of the above
};

SealedReader::SealedReader(const SealKey& key, std::span<const std::byte> header, int file, int64_t bytes,
                           std::string name, size_t ahead)
    : name_(std::move(name)), chunks_(std::make_unique<Chunks>(key, header, file, bytes, name_)) {
  if (ahead > 0) ahead_ = std::make_unique<Ahead>(*chunks_, ahead);
}

SealedReader::~SealedReader() { wipe(chunk_.text); }

void SealedReader::fail(const char* how) const { throw UserError("{}: {}", name_, how); }

void SealedReader::open_chunk() {
  if (chunk_.is_last) fail("holds less than expected");
  wipe(chunk_.text);
  at_ = 0;
  chunk_.text.clear();
  chunk_ = ahead_ ? ahead_->next() : chunks_->next();
  began_ = true;
}

void SealedReader::read(std::span<std::byte> out) {
  while (!out.empty()) {
    if (at_ == chunk_.text.size()) open_chunk();
    const size_t taken = std::min(out.size(), chunk_.text.size() - at_);
    if (taken == 0) fail("holds less than expected");
    std::copy_n(chunk_.text.begin() + static_cast<std::ptrdiff_t>(at_), taken, out.begin());
    at_ += taken;
    out = out.subspan(taken);
  }
}

bool SealedReader::at_end() {
  if (!began_) open_chunk();
  return chunk_.is_last && at_ == chunk_.text.size();
}

void SealedReader::finish() {
  if (!at_end()) fail("holds more than expected");
}

}  // namespace treville
