// A sealed stream gives back what was written, and nothing when a bit, a chunk or the end was changed.
#include "store/sealed_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "base/error.h"

namespace treville {
namespace {

constexpr size_t kHeader = 24, kChunkOnDisk = kSealedChunkBytes + kSealTagBytes;

std::vector<std::byte> random_text(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> text(bytes);
  for (std::byte& b : text) b = static_cast<std::byte>(random());
  return text;
}

class SealedStream : public testing::TestWithParam<size_t> {
 protected:
  // sealed returns the bytes of the file, written in pieces of `piece`.
  std::vector<std::byte> sealed(std::span<const std::byte> text, size_t piece) const {
    std::vector<std::byte> file;
    SealedWriter writer(key_, header_,
                        [&](std::span<const std::byte> b) { file.insert(file.end(), b.begin(), b.end()); });
    for (size_t at = 0; at < text.size(); at += piece)
      writer.write(text.subspan(at, std::min(piece, text.size() - at)));
    writer.finish();
    return file;
  }
  // opened reads `bytes` of a file that holds `file`, and expects no more to be there.
  std::vector<std::byte> opened(std::span<const std::byte> file, size_t bytes, size_t piece, const SealKey& key,
                                std::span<const std::byte> header) const {
    std::string path = testing::TempDir() + "/sealed-XXXXXX";
    const int fd = mkstemp(path.data());
    ::unlink(path.c_str());
    EXPECT_EQ(::write(fd, file.data(), file.size()), static_cast<ssize_t>(file.size()));
    ::lseek(fd, kHeader, SEEK_SET);
    SealedReader reader(key, header, fd, static_cast<int64_t>(file.size()) - static_cast<int64_t>(kHeader), "file",
                        GetParam());
    std::vector<std::byte> text(bytes);
    for (size_t at = 0; at < bytes; at += piece) reader.read(std::span(text).subspan(at, std::min(piece, bytes - at)));
    reader.finish();
    return text;
  }
  std::vector<std::byte> opened(std::span<const std::byte> file, size_t bytes) const {
    return opened(file, bytes, 1000, key_, header_);
  }

  const SealKey key_ = SealKey::random();
  const std::vector<std::byte> header_ = random_text(kHeader, 1);
};

TEST_P(SealedStream, GivesBackWhatWasWritten) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{1000}, kSealedChunkBytes - 1, kSealedChunkBytes,
                             kSealedChunkBytes + 1, 2 * kSealedChunkBytes, 2 * kSealedChunkBytes + 77}) {
    const auto text = random_text(bytes, 2);
    for (const size_t piece : {size_t{999}, size_t{1} << 20, size_t{3} << 20}) {
      const auto file = sealed(text, piece);
      EXPECT_EQ(opened(file, bytes, piece, key_, header_), text) << bytes << " bytes by " << piece;
      EXPECT_TRUE(std::equal(header_.begin(), header_.end(), file.begin()));
    }
  }
}

TEST_P(SealedStream, HidesItsContent) {
  const std::vector<std::byte> text(5000, std::byte{'A'});
  const auto file = sealed(text, 5000);
  size_t equal = 0;
  for (size_t i = kHeader; i < file.size(); ++i) equal += file[i] == std::byte{'A'} ? 1 : 0;
  EXPECT_LT(equal, 60u) << "of 5000 bytes 20 are expected by chance";
}

TEST_P(SealedStream, RefusesWhatWasChanged) {
  const size_t bytes = 2 * kSealedChunkBytes + 500;
  const auto text = random_text(bytes, 3);
  const auto file = sealed(text, bytes);
  ASSERT_EQ(opened(file, bytes), text);
  for (const size_t at :
       {kHeader, kHeader + 1000, kHeader + kChunkOnDisk - 1, kHeader + kChunkOnDisk + 5, file.size() - 1}) {
    auto changed = file;
    changed[at] ^= std::byte{1};
    EXPECT_THROW(opened(changed, bytes), UserError) << "byte " << at;
  }
  auto swapped = file;
  std::swap_ranges(swapped.begin() + kHeader, swapped.begin() + kHeader + kChunkOnDisk,
                   swapped.begin() + kHeader + kChunkOnDisk);
  EXPECT_THROW(opened(swapped, bytes), UserError);
  for (const size_t cut : {size_t{1}, size_t{516}, size_t{517}, size_t{600}, kChunkOnDisk, 2 * kChunkOnDisk}) {
    const std::vector<std::byte> shorter(file.begin(), file.end() - static_cast<std::ptrdiff_t>(cut));
    EXPECT_THROW(opened(shorter, bytes), UserError) << cut << " bytes cut";
  }
  // Cut at the end of a chunk, and asked for no more than is there: the end is authenticated too.
  const std::vector<std::byte> two(file.begin(), file.begin() + kHeader + 2 * kChunkOnDisk);
  EXPECT_THROW(opened(two, 2 * kSealedChunkBytes), UserError);
  auto longer = file;
  longer.push_back(std::byte{0});
  EXPECT_THROW(opened(longer, bytes), UserError);
}

TEST_P(SealedStream, BelongsToItsKeyAndHeader) {
  const auto text = random_text(100, 4);
  const auto file = sealed(text, 100);
  EXPECT_THROW(opened(file, 100, 100, SealKey::random(), header_), UserError);
  EXPECT_THROW(opened(file, 100, 100, key_, random_text(kHeader, 5)), UserError);
  EXPECT_THROW(opened(file, 101), UserError);
  EXPECT_THROW(opened(file, 99), UserError);
}

TEST_P(SealedStream, MayBeLeftHalfRead) {
  const size_t bytes = 20 * kSealedChunkBytes;
  const auto file = sealed(random_text(bytes, 6), bytes);
  EXPECT_THROW(opened(file, 100), UserError) << "and the reader ends with its thread";
}

INSTANTIATE_TEST_SUITE_P(ChunksAhead, SealedStream, testing::Values(0, 1, 8));

}  // namespace
}  // namespace treville
