// A block of channels keeps its sums in registers over all taps; what is left of whole vectors is plain code.
#include "kernels/depthwise.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first.
#include <hwy/highway.h>

#include "kernels/product_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR

// ChannelBlock is kVectors vectors of sums of neighbouring channels.
template <class Word, int kVectors>
struct ChannelBlock {
  using D = hn::ScalableTag<Word>;
  ProductSum<D> sum;
  ChannelBlock<Word, kVectors - 1> rest;

  HWY_INLINE void clear() {
    sum.clear();
    rest.clear();
  }
  HWY_INLINE void step(const Word* x, const Word* weight) {
    const D d;
    const auto w = hn::LoadU(d, weight);
    sum.step(hn::LoadU(d, x), w, ProductSum<D>::cross_operand(w));
    rest.step(x + hn::Lanes(d), weight + hn::Lanes(d));
  }
  HWY_INLINE void store(Word* y, bool add) const {
    const D d;
    hn::StoreU(add ? hn::Add(sum.total(), hn::LoadU(d, y)) : sum.total(), d, y);
    rest.store(y + hn::Lanes(d), add);
  }
};

template <class Word>
struct ChannelBlock<Word, 0> {
  HWY_INLINE void clear() {}
  HWY_INLINE void step(const Word*, const Word*) {}
  HWY_INLINE void store(Word*, bool) const {}
};

template <int kVectors, class Word>
HWY_INLINE void channel_block(std::span<const DepthwiseTap> taps, const Word* x, const Word* weight, Word* y,
                              bool add) {
  ChannelBlock<Word, kVectors> block;
  block.clear();
  for (const DepthwiseTap& tap : taps) block.step(x + tap.x, weight + tap.weight);
  block.store(y, add);
}

#endif  // HWY_TARGET != HWY_SCALAR

template <class Word>
HWY_INLINE void pixel(std::span<const DepthwiseTap> taps, const Word* x, const Word* weight, int64_t channels, Word* y,
                      bool add) {
  int64_t c = 0;
#if HWY_TARGET != HWY_SCALAR
  const auto lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<Word>()));
  for (; c + 4 * lanes <= channels; c += 4 * lanes) channel_block<4>(taps, x + c, weight + c, y + c, add);
  for (; c + lanes <= channels; c += lanes) channel_block<1>(taps, x + c, weight + c, y + c, add);
#endif
  for (; c < channels; ++c) {
    Word total = add ? y[c] : 0;
    for (const DepthwiseTap& tap : taps) total += x[tap.x + c] * weight[tap.weight + c];
    y[c] = total;
  }
}

void pixel_32(std::span<const DepthwiseTap> taps, const uint32_t* x, const uint32_t* weight, int64_t channels,
              uint32_t* y, bool add) {
  pixel(taps, x, weight, channels, y, add);
}
void pixel_64(std::span<const DepthwiseTap> taps, const uint64_t* x, const uint64_t* weight, int64_t channels,
              uint64_t* y, bool add) {
  pixel(taps, x, weight, channels, y, add);
}

}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace treville {

HWY_EXPORT(pixel_32);
HWY_EXPORT(pixel_64);

void depthwise_pixel(std::span<const DepthwiseTap> taps, const uint32_t* x, const uint32_t* weight, int64_t channels,
                     uint32_t* y, bool add) {
  HWY_DYNAMIC_DISPATCH(pixel_32)(taps, x, weight, channels, y, add);
}
void depthwise_pixel(std::span<const DepthwiseTap> taps, const uint64_t* x, const uint64_t* weight, int64_t channels,
                     uint64_t* y, bool add) {
  HWY_DYNAMIC_DISPATCH(pixel_64)(taps, x, weight, channels, y, add);
}

}  // namespace treville
#endif  // HWY_ONCE
