// Tensors are transposed in blocks of 512 elements, staged through a few KiB of stack: the planes of a block lie far
// apart, often by a power of two, and one whole cache line of each is then written at once.
#include "kernels/bit_planes.h"

#include <algorithm>
#include <cstring>

#include "kernels/elementwise_loops.h"
#include "kernels/planes_kernels.h"

namespace treville {
namespace {

void shift(const uint32_t* values, int by, uint32_t* low) { plane_kernels().shift_32(values, by, low); }
void shift(const uint64_t* values, int by, uint32_t* low) { plane_kernels().shift_64(values, by, low); }

// split_block writes bits [first, first + planes) of a whole block to `staged`.
template <class Word>
void split_block(const Word* values, int first, int planes, uint8_t* staged) {
  alignas(64) uint32_t words[kPlaneBlock];
  for (int done = 0; done < planes; done += 32) {
    shift(values, first + done, words);
    plane_kernels().split(words, std::min(planes - done, 32), staged + done * kPlaneBlockBytes);
  }
}

void join_block(const uint8_t* staged, int planes, uint32_t* values) { plane_kernels().join(staged, planes, values); }

void join_block(const uint8_t* staged, int planes, uint64_t* values) {
  alignas(64) uint32_t low[kPlaneBlock];
  alignas(64) uint32_t high[kPlaneBlock] = {};
  plane_kernels().join(staged, std::min(planes, 32), low);
  if (planes > 32) plane_kernels().join(staged + 32 * kPlaneBlockBytes, planes - 32, high);
  plane_kernels().widen(low, high, values);
}

// bytes_of_block is how many bytes of a plane belong to the block that begins at `element`.
size_t bytes_of_block(const BitPlanes& planes, int64_t element) {
  return static_cast<size_t>(std::min(kPlaneBlockBytes, planes.words() * 8 - element / 8));
}

}  // namespace

template <class Word>
void to_planes(std::span<const Word> values, int first, int planes, BitPlanes& out, int at) {
  const auto n = static_cast<int64_t>(values.size());
  CHECK(n == out.elements(), "{} values for planes of {}", n, out.elements());
  CHECK(first >= 0 && planes >= 0 && first + planes <= static_cast<int>(sizeof(Word) * 8), "bits {} to {} of a word",
        first, first + planes);
  CHECK(at >= 0 && at + planes <= out.planes(), "planes {} to {} of {}", at, at + planes, out.planes());
  alignas(64) Word tail[kPlaneBlock] = {};
  alignas(64) uint8_t staged[sizeof(Word) * 8 * kPlaneBlockBytes];
  for (int64_t e = 0; e < n; e += kPlaneBlock) {
    const Word* block = values.data() + e;
    if (n - e < kPlaneBlock) {
      std::copy_n(block, n - e, tail);
      block = tail;
    }
    split_block(block, first, planes, staged);
    for (int j = 0; j < planes; ++j) {
      std::memcpy(out.plane(at + j).data() + e / 64, staged + j * kPlaneBlockBytes, bytes_of_block(out, e));
    }
  }
}

template <class Word>
void from_planes(const BitPlanes& in, int at, int planes, std::span<Word> values) {
  const auto n = static_cast<int64_t>(values.size());
  CHECK(n == in.elements(), "{} values for planes of {}", n, in.elements());
  CHECK(planes >= 0 && planes <= static_cast<int>(sizeof(Word) * 8), "{} planes for a word", planes);
  CHECK(at >= 0 && at + planes <= in.planes(), "planes {} to {} of {}", at, at + planes, in.planes());
  alignas(64) Word tail[kPlaneBlock];
  alignas(64) uint8_t staged[sizeof(Word) * 8 * kPlaneBlockBytes] = {};
  for (int64_t e = 0; e < n; e += kPlaneBlock) {
    for (int j = 0; j < planes; ++j) {
      std::memcpy(staged + j * kPlaneBlockBytes, in.plane(at + j).data() + e / 64, bytes_of_block(in, e));
    }
    const bool is_whole = n - e >= kPlaneBlock;
    join_block(staged, planes, is_whole ? values.data() + e : tail);
    if (!is_whole) std::copy_n(tail, n - e, values.data() + e);
  }
}

void xor_words(std::span<uint64_t> y, std::span<const uint64_t> x) {
  CHECK(y.size() == x.size(), "spans of {} and {} words", y.size(), x.size());
  loops<uint64_t>().exclusive_or(y.data(), x.data(), static_cast<int64_t>(y.size()));
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

template void to_planes(std::span<const uint32_t>, int, int, BitPlanes&, int);
template void to_planes(std::span<const uint64_t>, int, int, BitPlanes&, int);
template void from_planes(const BitPlanes&, int, int, std::span<uint32_t>);
template void from_planes(const BitPlanes&, int, int, std::span<uint64_t>);
template void expand_mask(std::span<const uint64_t>, std::span<uint32_t>);
template void expand_mask(std::span<const uint64_t>, std::span<uint64_t>);

}  // namespace treville
