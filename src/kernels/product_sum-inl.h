// ProductSum is one vector of sums of products modulo 2^32 or 2^64, for the body of one SIMD target.
//
// Z_2^64 has no vector multiplication before AVX-512. With a = a0 + a1 2^32 and b = b0 + b1 2^32,
//   a b = a0 b0 + 2^32 (a0 b1 + a1 b0)  mod 2^64,
// where the cross terms matter modulo 2^32 only: one 32x32->64 multiplication, and one 32-bit multiplication with the
// halves of b swapped gives both cross terms in the two halves of a lane. They are summed apart and joined at the end.

// Highway includes this once per target, hence this guard instead of pragma once.
#if defined(TREVILLE_KERNELS_PRODUCT_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TREVILLE_KERNELS_PRODUCT_SUM_INL_H_
#undef TREVILLE_KERNELS_PRODUCT_SUM_INL_H_
#else
#define TREVILLE_KERNELS_PRODUCT_SUM_INL_H_
#endif

#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// D is a tag of uint32_t or uint64_t. step adds a * b; cross is cross_operand(b), which users make once for many a.
template <class D, class Word = hn::TFromD<D>>
struct ProductSum;

template <class D>
struct ProductSum<D, uint32_t> {
  using V = hn::Vec<D>;
  V low;

  static HWY_INLINE V cross_operand(V b) { return b; }
  HWY_INLINE void clear() { low = hn::Zero(D()); }
  HWY_INLINE void step(V a, V b, V) { low = hn::Add(low, hn::Mul(a, b)); }
  HWY_INLINE V total() const { return low; }
};

template <class D>
struct ProductSum<D, uint64_t> {
  using V = hn::Vec<D>;
  using Halves = hn::Repartition<uint32_t, D>;
  V low;
  hn::Vec<Halves> cross;

  static HWY_INLINE V cross_operand(V b) { return hn::BitCast(D(), hn::Shuffle2301(hn::BitCast(Halves(), b))); }
  HWY_INLINE void clear() {
    low = hn::Zero(D());
    cross = hn::Zero(Halves());
  }
  HWY_INLINE void step(V a, V b, V swapped) {
    const Halves halves;
    low = hn::Add(low, hn::MulEven(hn::BitCast(halves, a), hn::BitCast(halves, b)));
    cross = hn::Add(cross, hn::Mul(hn::BitCast(halves, a), hn::BitCast(halves, swapped)));
  }
  HWY_INLINE V total() const {
    const V pair = hn::BitCast(D(), cross);
    return hn::Add(low, hn::ShiftLeft<32>(hn::Add(pair, hn::ShiftRight<32>(pair))));
  }
};

}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // HWY_TARGET != HWY_SCALAR
#endif  // TREVILLE_KERNELS_PRODUCT_SUM_INL_H_
