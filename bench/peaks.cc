// The compiler must neither share a product among sums nor hoist it out of a loop, so that one factor passes through an
// empty assembler statement before each use.
#include "peaks.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "peaks.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first.
#include <hwy/highway.h>

#include "kernels/product_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

template <class Word>
int64_t multiply(int64_t macs) {
  constexpr int64_t kSums = 8;
  Word sums[kSums] = {}, a = 3, b = 5;
  asm volatile("" : "+r"(b));
  for (int64_t done = 0; done < macs; done += kSums) {
    for (Word& sum : sums) {
      asm volatile("" : "+r"(a));
      sum += a * b;
    }
  }
  for (Word& sum : sums) asm volatile("" : : "r"(sum));
  return (macs + kSums - 1) / kSums * kSums;
}

#else

template <class V>
HWY_INLINE void hide(V& vector) {
#if HWY_ARCH_X86
  asm volatile("" : "+x"(vector.raw));
#else
  asm volatile("" : "+w"(vector.raw));
#endif
}

// Sums are members of nested structs to stay in registers, as in gemm.cc.
template <class D, int kSums>
struct Sums {
  ProductSum<D> sum;
  Sums<D, kSums - 1> rest;
  HWY_INLINE void clear() {
    sum.clear();
    rest.clear();
  }
  HWY_INLINE void step(hn::Vec<D>& a, hn::Vec<D> b, hn::Vec<D> cross) {
    hide(a);
    sum.step(a, b, cross);
    rest.step(a, b, cross);
  }
  HWY_INLINE hn::Vec<D> total() const { return hn::Add(sum.total(), rest.total()); }
};
template <class D>
struct Sums<D, 0> {
  HWY_INLINE void clear() {}
  HWY_INLINE void step(hn::Vec<D>&, hn::Vec<D>, hn::Vec<D>) {}
  HWY_INLINE hn::Vec<D> total() const { return hn::Zero(D()); }
};

template <class Word>
HWY_NOINLINE int64_t multiply(int64_t macs) {
  using D = hn::ScalableTag<Word>;
  constexpr int kSums = sizeof(Word) == 4 ? 12 : 6;
  const auto per_round = static_cast<int64_t>(hn::Lanes(D())) * kSums;
  Sums<D, kSums> sums;
  sums.clear();
  auto a = hn::Set(D(), Word{3}), b = hn::Set(D(), Word{5});
  hide(b);
  const auto cross = ProductSum<D>::cross_operand(b);
  int64_t done = 0;
  for (; done < macs; done += per_round) {
    sums.step(a, b, cross);
  }
  auto total = sums.total();
  hide(total);
  return done;
}

#endif

int64_t multiply_32(int64_t macs) { return multiply<uint32_t>(macs); }
int64_t multiply_64(int64_t macs) { return multiply<uint64_t>(macs); }

// Four vectors at a time; plain loops would become a call of memcpy, which is another thing to measure.
void copy_words(const uint64_t* from, size_t n, uint64_t* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<uint64_t> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const auto v0 = hn::LoadU(d, from + i), v1 = hn::LoadU(d, from + i + lanes);
    const auto v2 = hn::LoadU(d, from + i + 2 * lanes), v3 = hn::LoadU(d, from + i + 3 * lanes);
    hn::StoreU(v0, d, to + i);
    hn::StoreU(v1, d, to + i + lanes);
    hn::StoreU(v2, d, to + i + 2 * lanes);
    hn::StoreU(v3, d, to + i + 3 * lanes);
  }
  for (; i < n; ++i) to[i] = from[i];
}

uint64_t read_words(const uint64_t* words, size_t n) {
  uint64_t sums[32] = {};
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    for (size_t j = 0; j < 32; ++j) sums[j] ^= words[i + j];
  }
  for (; i < n; ++i) sums[0] ^= words[i];
  uint64_t all = 0;
  for (const uint64_t sum : sums) all ^= sum;
  return all;
}

const char* name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace treville {

HWY_EXPORT(multiply_32);
HWY_EXPORT(multiply_64);
HWY_EXPORT(copy_words);
HWY_EXPORT(read_words);
HWY_EXPORT(name);

int64_t multiply_registers_32(int64_t macs) { return HWY_DYNAMIC_DISPATCH(multiply_32)(macs); }
int64_t multiply_registers_64(int64_t macs) { return HWY_DYNAMIC_DISPATCH(multiply_64)(macs); }
void copy_all(std::span<const uint64_t> from, std::span<uint64_t> to) {
  HWY_DYNAMIC_DISPATCH(copy_words)(from.data(), std::min(from.size(), to.size()), to.data());
}
uint64_t read_all(std::span<const uint64_t> words) {
  return HWY_DYNAMIC_DISPATCH(read_words)(words.data(), words.size());
}
std::string target_name() { return HWY_DYNAMIC_DISPATCH(name)(); }

}  // namespace treville
#endif  // HWY_ONCE
