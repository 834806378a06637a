// Bit-sliced kernels: transposes between ring elements and bit planes, and the word operations of comparisons.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/bit_planes.h"
#include "tensor/ring_tensor.h"

namespace treville {

// to_planes writes bits [first, first + planes) of every value to the planes of `out`, beginning at plane `at` and
// element `from`. Word is uint32_t or uint64_t. `from` is a multiple of 64, and values end at another or at the last
// element of `out`. About an operation per bit.
template <class Word>
void to_planes(std::span<const Word> values, int first, int planes, BitPlanes& out, int at = 0, int64_t from = 0);
// from_planes is the inverse: values[e] = sum over j < planes of bit(at + j, from + e) << j; higher bits become zero.
template <class Word>
void from_planes(const BitPlanes& in, int at, int planes, std::span<Word> values, int64_t from = 0);

// Word operations over whole planes (all spans of equal length). Vectorised.
void xor_words(std::span<uint64_t> y, std::span<const uint64_t> x);                                   // y ^= x
void xor_words_of(std::span<uint64_t> y, std::span<const uint64_t> a, std::span<const uint64_t> b);   // y = a ^ b
void and_xor_words(std::span<uint64_t> y, std::span<const uint64_t> a, std::span<const uint64_t> b);  // y ^= a & b

// expand_mask expands one plane to values: out[e] = bit(e) ? all ones : 0.
template <class Word>
void expand_mask(std::span<const uint64_t> plane, std::span<Word> out);

}  // namespace treville
