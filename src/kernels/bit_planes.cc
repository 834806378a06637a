// Tensors are transposed in blocks of 512 elements, a few of them staged together through the stack: the planes of a
// tensor lie far apart, often by a power of two, and whole cache lines of each are then written at once.
#include "kernels/bit_planes.h"

#include <algorithm>
#include <cstring>

#include "kernels/elementwise_loops.h"
#include "kernels/planes_kernels.h"

namespace treville {
namespace {

void shift(const uint32_t* values, int by, uint32_t* low) { plane_kernels().shift_32(values, by, low); }
void shift(const uint64_t* values, int by, uint32_t* low) { plane_kernels().shift_64(values, by, low); }

constexpr int64_t kStage = kStagedBlocks * kPlaneBlock;

// split_block writes bits [first, first + planes) of a whole block to `staged`.
template <class Word>
void split_block(const Word* values, int first, int planes, uint8_t* staged) {
  alignas(64) uint32_t words[kPlaneBlock];
  for (int done = 0; done < planes; done += 32) {
    shift(values, first + done, words);
    plane_kernels().split(words, std::min(planes - done, 32), staged + done * kStagedBytes);
  }
}

void join_block(const uint8_t* staged, int planes, uint32_t* values) { plane_kernels().join(staged, planes, values); }

void join_block(const uint8_t* staged, int planes, uint64_t* values) {
  alignas(64) uint32_t low[kPlaneBlock];
  alignas(64) uint32_t high[kPlaneBlock] = {};
  plane_kernels().join(staged, std::min(planes, 32), low);
  if (planes > 32) plane_kernels().join(staged + 32 * kStagedBytes, planes - 32, high);
  plane_kernels().widen(low, high, values);
}

// copy_staged copies what a plane has of one stage; `count` elements, whole words. A whole stage is a copy of constant
// size, which needs no call.
void copy_staged(const void* from, int64_t count, void* to) {
  if (count == kStage) {
    std::memcpy(to, from, kStagedBytes);
  } else {
    std::memcpy(to, from, static_cast<size_t>(BitPlanes::words_for(count)) * 8);
  }
}

template <class Word>
void check_run(int64_t n, int64_t from, const BitPlanes& planes, int count, int at) {
  CHECK(from >= 0 && from % 64 == 0 && from + n <= planes.elements(), "elements {} to {} of {}", from, from + n,
        planes.elements());
  CHECK(n % 64 == 0 || from + n == planes.elements(), "a run of {} elements ends inside a word", n);
  CHECK(count >= 0 && count <= static_cast<int>(sizeof(Word) * 8), "{} planes for a word", count);
  CHECK(at >= 0 && at + count <= planes.planes(), "planes {} to {} of {}", at, at + count, planes.planes());
}

}  // namespace

template <class Word>
void to_planes(std::span<const Word> values, int first, int planes, BitPlanes& out, int at, int64_t from) {
  const auto n = static_cast<int64_t>(values.size());
  check_run<Word>(n, from, out, planes, at);
  CHECK(first >= 0 && first + planes <= static_cast<int>(sizeof(Word) * 8), "bits {} to {} of a word", first,
        first + planes);
  alignas(64) Word tail[kPlaneBlock] = {};
  alignas(64) uint8_t staged[sizeof(Word) * 8 * kStagedBytes];
  for (int64_t e = 0; e < n; e += kStage) {
    const int64_t count = std::min(kStage, n - e);
    for (int64_t i = 0; i < count; i += kPlaneBlock) {
      const Word* block = values.data() + e + i;
      if (count - i < kPlaneBlock) {
        std::copy_n(block, count - i, tail);
        block = tail;
      }
      split_block(block, first, planes, staged + i / 8);
    }
    for (int j = 0; j < planes; ++j) {
      copy_staged(staged + j * kStagedBytes, count, out.plane(at + j).data() + (from + e) / 64);
    }
  }
}

template <class Word>
void from_planes(const BitPlanes& in, int at, int planes, std::span<Word> values, int64_t from) {
  const auto n = static_cast<int64_t>(values.size());
  check_run<Word>(n, from, in, planes, at);
  alignas(64) Word tail[kPlaneBlock];
  alignas(64) uint8_t staged[sizeof(Word) * 8 * kStagedBytes];
  for (int64_t e = 0; e < n; e += kStage) {
    const int64_t count = std::min(kStage, n - e);
    for (int j = 0; j < planes; ++j) {
      copy_staged(in.plane(at + j).data() + (from + e) / 64, count, staged + j * kStagedBytes);
    }
    for (int64_t i = 0; i < count; i += kPlaneBlock) {
      const bool is_whole = count - i >= kPlaneBlock;
      Word* block = values.data() + e + i;
      join_block(staged + i / 8, planes, is_whole ? block : tail);
      if (!is_whole) std::copy_n(tail, count - i, block);
    }
  }
}

void xor_words(std::span<uint64_t> y, std::span<const uint64_t> x) {
  CHECK(y.size() == x.size(), "spans of {} and {} words", y.size(), x.size());
  loops<uint64_t>().exclusive_or(y.data(), x.data(), static_cast<int64_t>(y.size()));
}

void xor_words_of(std::span<uint64_t> y, std::span<const uint64_t> a, std::span<const uint64_t> b) {
  CHECK(y.size() == a.size() && y.size() == b.size(), "spans of {}, {} and {} words", y.size(), a.size(), b.size());
  loops<uint64_t>().exclusive_or_of(y.data(), a.data(), b.data(), static_cast<int64_t>(y.size()));
}

void and_xor_words(std::span<uint64_t> y, std::span<const uint64_t> a, std::span<const uint64_t> b) {
  CHECK(y.size() == a.size() && y.size() == b.size(), "spans of {}, {} and {} words", y.size(), a.size(), b.size());
  loops<uint64_t>().and_xor(y.data(), a.data(), b.data(), static_cast<int64_t>(y.size()));
}

template <class Word>
void expand_mask(std::span<const uint64_t> plane, std::span<Word> out) {
  CHECK(plane.size() >= (out.size() + 63) / 64, "{} words for {} values", plane.size(), out.size());
  if constexpr (sizeof(Word) == 4) {
    plane_kernels().expand_32(plane.data(), out.data(), static_cast<int64_t>(out.size()));
  } else {
    plane_kernels().expand_64(plane.data(), out.data(), static_cast<int64_t>(out.size()));
  }
}

template void to_planes(std::span<const uint32_t>, int, int, BitPlanes&, int, int64_t);
template void to_planes(std::span<const uint64_t>, int, int, BitPlanes&, int, int64_t);
template void from_planes(const BitPlanes&, int, int, std::span<uint32_t>, int64_t);
template void from_planes(const BitPlanes&, int, int, std::span<uint64_t>, int64_t);
template void expand_mask(std::span<const uint64_t>, std::span<uint32_t>);
template void expand_mask(std::span<const uint64_t>, std::span<uint64_t>);

}  // namespace treville
