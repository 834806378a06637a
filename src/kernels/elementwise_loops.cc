// The bodies are plain loops: between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE the compiler may use the
// instructions of one target and vectorises them, and Highway includes this file again for every target.
#include "kernels/elementwise_loops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise_loops.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {

template <class Word>
void add(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

template <class Word>
void sum_of(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT a, const Word* HWY_RESTRICT b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

template <class Word>
void subtract(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] -= x[i];
}

template <class Word>
void add_constant(Word* y, Word c, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += c;
}

template <class Word>
void add_with(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT x, Word c, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i] + c;
}

template <class Word>
void negate(Word* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = Word{0} - y[i];
}

template <class Word>
void add_shifted(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT x, int shift, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i] << shift;
}

template <class Word>
void shift_left(Word* y, int shift, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] <<= shift;
}

template <class Word>
void truncate(Word* y, Word offset, Word mask, int shift, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = ((y[i] + offset) & mask) >> shift;
}

template <class Word>
void scale(Word* y, Word c, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] *= c;
}

template <class Word>
void multiply(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] *= x[i];
}

template <class Word>
void multiply_add(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT a, const Word* HWY_RESTRICT b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += a[i] * b[i];
}

template <class Word>
void product(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT a, const Word* HWY_RESTRICT b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] * b[i];
}

template <class Word>
Word sum(const Word* x, int64_t n) {
  Word total = 0;
  for (int64_t i = 0; i < n; ++i) total += x[i];
  return total;
}

template <class Word>
void exclusive_or(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] ^= x[i];
}

template <class Word>
void exclusive_or_of(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT a, const Word* HWY_RESTRICT b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] ^ b[i];
}

template <class Word>
void and_xor(Word* HWY_RESTRICT y, const Word* HWY_RESTRICT a, const Word* HWY_RESTRICT b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] ^= a[i] & b[i];
}

template <class Word>
const Loops<Word>& table() {
  static constexpr Loops<Word> kTable = {
      .add = add<Word>,
      .sum_of = sum_of<Word>,
      .subtract = subtract<Word>,
      .add_constant = add_constant<Word>,
      .add_with = add_with<Word>,
      .negate = negate<Word>,
      .add_shifted = add_shifted<Word>,
      .shift_left = shift_left<Word>,
      .truncate = truncate<Word>,
      .scale = scale<Word>,
      .multiply = multiply<Word>,
      .multiply_add = multiply_add<Word>,
      .product = product<Word>,
      .sum = sum<Word>,
      .exclusive_or = exclusive_or<Word>,
      .exclusive_or_of = exclusive_or_of<Word>,
      .and_xor = and_xor<Word>,
  };
  return kTable;
}

const Loops<uint32_t>& table_32() { return table<uint32_t>(); }
const Loops<uint64_t>& table_64() { return table<uint64_t>(); }

}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace treville {

HWY_EXPORT(table_32);
HWY_EXPORT(table_64);

template <>
const Loops<uint32_t>& loops<uint32_t>() {
  return HWY_DYNAMIC_DISPATCH(table_32)();
}

template <>
const Loops<uint64_t>& loops<uint64_t>() {
  return HWY_DYNAMIC_DISPATCH(table_64)();
}

}  // namespace treville
#endif  // HWY_ONCE
