#include "kernels/bit_planes.h"

#include <algorithm>

#include "kernels/elementwise_loops.h"

namespace treville {

template <class Word>
void to_planes(std::span<const Word> values, int first, int planes, BitPlanes& out, int at) {
  CHECK(static_cast<int64_t>(values.size()) == out.elements(), "{} values for planes of {}", values.size(),
        out.elements());
  CHECK(first >= 0 && planes >= 0 && first + planes <= static_cast<int>(sizeof(Word) * 8), "bits {} to {} of a word",
        first, first + planes);
  CHECK(at >= 0 && at + planes <= out.planes(), "planes {} to {} of {}", at, at + planes, out.planes());
  for (int j = 0; j < planes; ++j) {
    std::span<uint64_t> plane = out.plane(at + j);
    for (size_t w = 0; w < plane.size(); ++w) {
      const size_t count = std::min<size_t>(64, values.size() - 64 * w);
      uint64_t bits = 0;
      for (size_t e = 0; e < count; ++e) bits |= uint64_t{(values[64 * w + e] >> (first + j)) & 1} << e;
      plane[w] = bits;
    }
  }
}

template <class Word>
void from_planes(const BitPlanes& in, int at, int planes, std::span<Word> values) {
  CHECK(static_cast<int64_t>(values.size()) == in.elements(), "{} values for planes of {}", values.size(),
        in.elements());
  CHECK(planes >= 0 && planes <= static_cast<int>(sizeof(Word) * 8), "{} planes for a word", planes);
  CHECK(at >= 0 && at + planes <= in.planes(), "planes {} to {} of {}", at, at + planes, in.planes());
  std::fill(values.begin(), values.end(), Word{0});
  for (int j = 0; j < planes; ++j) {
    std::span<const uint64_t> plane = in.plane(at + j);
    for (size_t e = 0; e < values.size(); ++e) {
      values[e] |= static_cast<Word>((plane[e / 64] >> (e % 64)) & 1) << j;
    }
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
  for (size_t e = 0; e < out.size(); ++e) out[e] = Word{0} - static_cast<Word>((plane[e / 64] >> (e % 64)) & 1);
}

template void to_planes(std::span<const uint32_t>, int, int, BitPlanes&, int);
template void to_planes(std::span<const uint64_t>, int, int, BitPlanes&, int);
template void from_planes(const BitPlanes&, int, int, std::span<uint32_t>);
template void from_planes(const BitPlanes&, int, int, std::span<uint64_t>);
template void expand_mask(std::span<const uint64_t>, std::span<uint32_t>);
template void expand_mask(std::span<const uint64_t>, std::span<uint64_t>);

}  // namespace treville
