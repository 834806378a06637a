// Transposes between words and bit planes, compiled once per SIMD target and chosen at run time: the bodies of
// bit_planes.h, which cuts tensors into blocks.
#pragma once

#include <cstdint>

namespace treville {

// kPlaneBlock is how many elements are transposed at once, and a run of blocks is how many are staged between words and
// planes: the planes of a tensor lie a power of two apart, so that a run writes several cache lines of each.
inline constexpr int64_t kPlaneBlock = 512;
inline constexpr int64_t kPlaneBlockBytes = kPlaneBlock / 8;
inline constexpr int64_t kStagedBlocks = 4;
inline constexpr int64_t kStagedBytes = kStagedBlocks * kPlaneBlockBytes;

// PlaneKernels is the table of one target. `values` and `low`, `high` are blocks of kPlaneBlock elements.
struct PlaneKernels {
  // split writes plane j < planes of the values to the kPlaneBlockBytes bytes at out + j * kStagedBytes.
  void (*split)(const uint32_t* values, int planes, uint8_t* out);
  // join is the inverse of split; higher bits become zero.
  void (*join)(const uint8_t* in, int planes, uint32_t* values);
  // shift_32 and shift_64: low = the low 32 bits of values >> shift. widen: values = high 2^32 + low.
  void (*shift_32)(const uint32_t* values, int shift, uint32_t* low);
  void (*shift_64)(const uint64_t* values, int shift, uint32_t* low);
  void (*widen)(const uint32_t* low, const uint32_t* high, uint64_t* values);
  // expand_32 and expand_64: out[e] = bit e of the plane ? all ones : 0, for e < n.
  void (*expand_32)(const uint64_t* plane, uint32_t* out, int64_t n);
  void (*expand_64)(const uint64_t* plane, uint64_t* out, int64_t n);
};

const PlaneKernels& plane_kernels();

}  // namespace treville
