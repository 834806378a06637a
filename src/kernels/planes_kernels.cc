// Bytes are the half-way point. A word is cut into its bytes by shuffles, and byte k of all elements gives planes
// 8k to 8k + 7: one at a time from the top bit of every byte, or back by transposing 8x8 bit matrices in 64-bit lanes.
#include "kernels/planes_kernels.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/planes_kernels.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void split(const uint32_t* values, int planes, uint8_t* out) {
  for (int j = 0; j < planes; ++j) {
    for (int64_t i = 0; i < kPlaneBlockBytes; ++i) {
      uint32_t byte = 0;
      for (int64_t e = 0; e < 8; ++e) byte |= ((values[8 * i + e] >> j) & 1) << e;
      out[j * kStagedBytes + i] = static_cast<uint8_t>(byte);
    }
  }
}

void join(const uint8_t* in, int planes, uint32_t* values) {
  std::fill_n(values, kPlaneBlock, 0u);
  for (int j = 0; j < planes; ++j) {
    for (int64_t e = 0; e < kPlaneBlock; ++e) {
      values[e] |= static_cast<uint32_t>((in[j * kStagedBytes + e / 8] >> (e % 8)) & 1) << j;
    }
  }
}

#else

namespace hn = hwy::HWY_NAMESPACE;
using Bytes = hn::ScalableTag<uint8_t>;

// split_byte writes the bits of a vector of bytes to planes [0, min(planes, 8)), one vector's worth at `out` each.
HWY_INLINE void split_byte(hn::Vec<Bytes> bytes, int planes, uint8_t* out) {
  const hn::RebindToSigned<Bytes> d;
  for (int j = 7; j >= 0; --j) {
    if (j < planes) {
      hn::StoreMaskBits(d, hn::Lt(hn::BitCast(d, bytes), hn::Zero(d)), out + j * kStagedBytes);
    }
    bytes = hn::Add(bytes, bytes);
  }
}

void split(const uint32_t* values, int planes, uint8_t* out) {
  const Bytes d;
  const auto* from = reinterpret_cast<const uint8_t*>(values);
  for (size_t e = 0; e < kPlaneBlock; e += hn::Lanes(d), out += hn::Lanes(d) / 8) {
    hn::Vec<Bytes> b0, b1, b2, b3;
    hn::LoadInterleaved4(d, from + 4 * e, b0, b1, b2, b3);
    split_byte(b0, planes, out);
    if (planes > 8) split_byte(b1, planes - 8, out + 8 * kStagedBytes);
    if (planes > 16) split_byte(b2, planes - 16, out + 16 * kStagedBytes);
    if (planes > 24) split_byte(b3, planes - 24, out + 24 * kStagedBytes);
  }
}

// transpose_bits transposes the 8x8 bit matrix in every 64-bit lane: bit j of byte i becomes bit i of byte j.
template <class V>
HWY_INLINE V transpose_bits(V x) {
  const hn::DFromV<V> d;
  V t = hn::And(hn::Xor(x, hn::ShiftRight<7>(x)), hn::Set(d, 0x00AA00AA00AA00AA));
  x = hn::Xor(x, hn::Xor(t, hn::ShiftLeft<7>(t)));
  t = hn::And(hn::Xor(x, hn::ShiftRight<14>(x)), hn::Set(d, 0x0000CCCC0000CCCC));
  x = hn::Xor(x, hn::Xor(t, hn::ShiftLeft<14>(t)));
  t = hn::And(hn::Xor(x, hn::ShiftRight<28>(x)), hn::Set(d, 0x00000000F0F0F0F0));
  return hn::Xor(x, hn::Xor(t, hn::ShiftLeft<28>(t)));
}

// zip_rows transposes 16 columns of 8 rows of bytes, row j at in + j * kStride, to 16 columns of 8 bytes.
template <int64_t kStride>
HWY_INLINE void zip_rows(const uint8_t* in, uint8_t* out) {
  const hn::FixedTag<uint8_t, 16> d8;
  const hn::Repartition<uint16_t, decltype(d8)> d16;
  const hn::Repartition<uint32_t, decltype(d8)> d32;
  for (int half = 0; half < 2; ++half) {
    const auto row = [&](int j) HWY_ATTR { return hn::LoadU(d8, in + j * kStride); };
    const auto pair = [&](int j) HWY_ATTR {
      return hn::BitCast(
          d16, half == 0 ? hn::InterleaveLower(d8, row(j), row(j + 1)) : hn::InterleaveUpper(d8, row(j), row(j + 1)));
    };
    const auto p0 = pair(0), p2 = pair(2), p4 = pair(4), p6 = pair(6);
    const auto low_03 = hn::BitCast(d32, hn::InterleaveLower(d16, p0, p2));
    const auto low_47 = hn::BitCast(d32, hn::InterleaveLower(d16, p4, p6));
    const auto high_03 = hn::BitCast(d32, hn::InterleaveUpper(d16, p0, p2));
    const auto high_47 = hn::BitCast(d32, hn::InterleaveUpper(d16, p4, p6));
    auto* to = reinterpret_cast<uint32_t*>(out + half * 64);
    hn::StoreU(hn::InterleaveLower(d32, low_03, low_47), d32, to);
    hn::StoreU(hn::InterleaveUpper(d32, low_03, low_47), d32, to + 4);
    hn::StoreU(hn::InterleaveLower(d32, high_03, high_47), d32, to + 8);
    hn::StoreU(hn::InterleaveUpper(d32, high_03, high_47), d32, to + 12);
  }
}

// join_byte gives the byte of every element that eight planes make.
template <int64_t kStride>
HWY_INLINE void join_byte(const uint8_t* in, uint8_t* bytes) {
  for (int64_t column = 0; column < kPlaneBlockBytes; column += 16) zip_rows<kStride>(in + column, bytes + 8 * column);
  const hn::ScalableTag<uint64_t> d;
  auto* lanes = reinterpret_cast<uint64_t*>(bytes);
  for (size_t i = 0; i < kPlaneBlock / 8; i += hn::Lanes(d)) {
    hn::Store(transpose_bits(hn::Load(d, lanes + i)), d, lanes + i);
  }
}

void join(const uint8_t* in, int planes, uint32_t* values) {
  const Bytes d;
  alignas(64) uint8_t bytes[4][kPlaneBlock];
  for (int k = 0; k < 4; ++k) {
    const int count = std::clamp(planes - 8 * k, 0, 8);
    const uint8_t* rows = in + 8 * k * kStagedBytes;
    if (count == 8) {
      join_byte<kStagedBytes>(rows, bytes[k]);
    } else if (count > 0) {
      uint8_t padded[8 * kPlaneBlockBytes] = {};
      for (int j = 0; j < count; ++j) {
        std::memcpy(padded + j * kPlaneBlockBytes, rows + j * kStagedBytes, kPlaneBlockBytes);
      }
      join_byte<kPlaneBlockBytes>(padded, bytes[k]);
    } else {
      std::memset(bytes[k], 0, kPlaneBlock);
    }
  }
  auto* to = reinterpret_cast<uint8_t*>(values);
  for (size_t e = 0; e < kPlaneBlock; e += hn::Lanes(d)) {
    hn::StoreInterleaved4(hn::Load(d, bytes[0] + e), hn::Load(d, bytes[1] + e), hn::Load(d, bytes[2] + e),
                          hn::Load(d, bytes[3] + e), d, to + 4 * e);
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

void shift_32(const uint32_t* HWY_RESTRICT values, int shift, uint32_t* HWY_RESTRICT low) {
  for (int64_t e = 0; e < kPlaneBlock; ++e) low[e] = values[e] >> shift;
}

void shift_64(const uint64_t* HWY_RESTRICT values, int shift, uint32_t* HWY_RESTRICT low) {
  for (int64_t e = 0; e < kPlaneBlock; ++e) low[e] = static_cast<uint32_t>(values[e] >> shift);
}

void widen(const uint32_t* HWY_RESTRICT low, const uint32_t* HWY_RESTRICT high, uint64_t* HWY_RESTRICT values) {
  for (int64_t e = 0; e < kPlaneBlock; ++e) values[e] = uint64_t{high[e]} << 32 | low[e];
}

// expand writes the masks of the first n bits, 32 of them at a time: 32-bit masks first, which wider words extend.
template <class Word>
HWY_INLINE void expand(const uint64_t* HWY_RESTRICT plane, Word* HWY_RESTRICT out, int64_t n) {
  int64_t e = 0;
  for (; e + 32 <= n; e += 32) {
    const auto bits = static_cast<uint32_t>(plane[e / 64] >> (e % 64));
    int32_t masks[32];
    for (int i = 0; i < 32; ++i) masks[i] = -static_cast<int32_t>((bits >> i) & 1);
    for (int i = 0; i < 32; ++i) out[e + i] = static_cast<Word>(masks[i]);
  }
  for (; e < n; ++e) out[e] = Word{0} - static_cast<Word>((plane[e / 64] >> (e % 64)) & 1);
}

void expand_32(const uint64_t* plane, uint32_t* out, int64_t n) { expand(plane, out, n); }
void expand_64(const uint64_t* plane, uint64_t* out, int64_t n) { expand(plane, out, n); }

const PlaneKernels& plane_table() {
  static constexpr PlaneKernels kTable = {
      .split = split,
      .join = join,
      .shift_32 = shift_32,
      .shift_64 = shift_64,
      .widen = widen,
      .expand_32 = expand_32,
      .expand_64 = expand_64,
  };
  return kTable;
}

}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace treville {

HWY_EXPORT(plane_table);

const PlaneKernels& plane_kernels() { return HWY_DYNAMIC_DISPATCH(plane_table)(); }

}  // namespace treville
#endif  // HWY_ONCE
