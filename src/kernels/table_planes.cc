// A run of elements, one vector of every plane, is treated at once in a scratch of 2^n vectors. Plane i of the row of
// bits, read backwards, is [-r = i]; rotated by x, it is [x - r = i], the indicator of the wanted entry. The rotation
// goes by the bits of x, each of which moves an element's row by a power of two or leaves it.
#include "kernels/table_planes.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/table_planes.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first.
#include <hwy/highway.h>

#ifndef TREVILLE_KERNELS_TABLE_PLANES_ARGUMENTS
#define TREVILLE_KERNELS_TABLE_PLANES_ARGUMENTS
namespace treville {
namespace {

// Planes lie `stride` words apart; the scratch has a vector of any target for each index, and half as many to spare.
struct DealArguments {
  int n;
  const uint64_t* r;
  uint64_t* out;
  int64_t stride;
  uint64_t* scratch;
};
struct LookUpArguments {
  const TableBits* bits;
  const uint64_t* x;
  const uint64_t* shares;
  uint64_t* out;
  int64_t stride;
  bool is_first;
  uint64_t* scratch;
};

}  // namespace
}  // namespace treville
#endif  // TREVILLE_KERNELS_TABLE_PLANES_ARGUMENTS

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// deal_run treats the words at `word` of all planes; scratch has 2^n vectors.
template <class D>
void deal_run(D d, const DealArguments& a, int64_t word, uint64_t* scratch) {
  const size_t lanes = hn::Lanes(d);
  hn::Store(hn::Set(d, ~uint64_t{0}), d, scratch);
  for (int bit = 0; bit < a.n; ++bit) {
    const auto set = hn::LoadU(d, a.r + bit * a.stride + word);
    const size_t half = size_t{1} << bit;
    for (size_t i = 0; i < half; ++i) {
      const auto all = hn::Load(d, scratch + i * lanes);
      hn::Store(hn::And(set, all), d, scratch + (half + i) * lanes);
      hn::Store(hn::AndNot(set, all), d, scratch + i * lanes);
    }
  }
  for (int64_t j = 0; j < indicator_planes(a.n); ++j) {
    uint64_t* out = a.out + j * a.stride + word;
    hn::StoreU(hn::Xor(hn::LoadU(d, out), hn::Load(d, scratch + static_cast<size_t>(j) * lanes)), d, out);
  }
}

// load_reversed fills row[i] with the share of [-r = i mod 2^n]; what is not dealt follows from the sum of all, 1.
template <class D>
void load_reversed(D d, const LookUpArguments& a, int64_t word, uint64_t* row) {
  const size_t lanes = hn::Lanes(d), size = size_t{1} << a.bits->n();
  auto rest = hn::Set(d, a.is_first ? ~uint64_t{0} : 0);
  for (size_t j = 0; j + 1 < size; ++j) {
    const auto share = hn::LoadU(d, a.shares + static_cast<int64_t>(j) * a.stride + word);
    rest = hn::Xor(rest, share);
    hn::Store(share, d, row + ((size - j) % size) * lanes);
  }
  hn::Store(rest, d, row + lanes);
}

// rotate moves the row of every element up by `step` places where the element's bit is set; spare has step vectors.
template <class D>
void rotate(D d, hn::Vec<D> bit, size_t step, size_t size, uint64_t* row, uint64_t* spare) {
  const size_t lanes = hn::Lanes(d);
  const auto chosen = [&](hn::Vec<D> stays, hn::Vec<D> comes) {
    return hn::Xor(stays, hn::And(bit, hn::Xor(stays, comes)));
  };
  std::copy_n(row + (size - step) * lanes, step * lanes, spare);
  for (size_t i = size; i-- > step;) {
    uint64_t* at = row + i * lanes;
    hn::Store(chosen(hn::Load(d, at), hn::Load(d, at - step * lanes)), d, at);
  }
  for (size_t i = 0; i < step; ++i) {
    uint64_t* at = row + i * lanes;
    hn::Store(chosen(hn::Load(d, at), hn::Load(d, spare + i * lanes)), d, at);
  }
}

template <class D>
void look_up_run(D d, const LookUpArguments& a, int64_t word, uint64_t* row) {
  const size_t lanes = hn::Lanes(d), size = size_t{1} << a.bits->n();
  load_reversed(d, a, word, row);
  for (int bit = 0; bit < a.bits->n(); ++bit)
    rotate(d, hn::LoadU(d, a.x + bit * a.stride + word), size_t{1} << bit, size, row, row + size * lanes);
  const auto ones = hn::Set(d, a.is_first ? ~uint64_t{0} : 0);
  uint64_t* out = a.out + word;
  for (const TableBits::Function& function : a.bits->functions()) {
    auto sum = function.lists_zeros ? ones : hn::Zero(d);
    for (const uint16_t index : function.indices) sum = hn::Xor(sum, hn::Load(d, row + index * lanes));
    hn::StoreU(sum, d, out);
    out += a.stride;
  }
}

// for_runs calls f with whole vectors while they fit, then with single words.
template <class F>
void for_runs(int64_t words, const F& f) {
  const hn::ScalableTag<uint64_t> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t word = 0;
  for (; word + lanes <= words; word += lanes) f(d, word);
  for (; word < words; ++word) f(hn::CappedTag<uint64_t, 1>(), word);
}

void deal(const DealArguments& a) {
  for_runs(a.stride, [&](auto d, int64_t word) { deal_run(d, a, word, a.scratch); });
}

void look_up(const LookUpArguments& a) {
  for_runs(a.stride, [&](auto d, int64_t word) { look_up_run(d, a, word, a.scratch); });
}

}  // namespace
}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace treville {

HWY_EXPORT(deal);
HWY_EXPORT(look_up);

namespace {

Buffer scratch_of(int n) {
  constexpr size_t kLargestVector = 64;
  static_assert(HWY_MAX_BYTES <= kLargestVector);
  const MeterScope uncounted(nullptr);
  return Buffer::stored(((size_t{1} << n) + (size_t{1} << n) / 2) * kLargestVector);
}

}  // namespace

TableBits::TableBits(int n, std::span<const LookUpTable* const> tables) : n_(n) {
  const size_t size = size_t{1} << n;
  for (const LookUpTable* table : tables) {
    CHECK(table->entries.size() == size, "a table of {} entries for an index of {} bits", table->entries.size(), n);
    for (int bit = 0; bit < table->bits.value(); ++bit) {
      std::array<std::vector<uint16_t>, 2> where;
      for (size_t i = 0; i < size; ++i)
        where[static_cast<size_t>((table->entries[i] >> bit) & 1)].push_back(static_cast<uint16_t>(i));
      const bool lists_zeros = where[0].size() < where[1].size();
      functions_.push_back({lists_zeros, std::move(where[lists_zeros ? 0 : 1])});
    }
  }
}

void flip_indicators(int n, const BitPlanes& r, BitPlanes& out) {
  CHECK(r.planes() >= n && out.planes() >= indicator_planes(n) && out.elements() == r.elements(),
        "{} planes of an index and {} of indicators for {} bits", r.planes(), out.planes(), n);
  Buffer scratch = scratch_of(n);
  HWY_DYNAMIC_DISPATCH(deal)
  ({n, r.storage().as<uint64_t>().data(), out.storage().as<uint64_t>().data(), out.words(),
    scratch.as<uint64_t>().data()});
}

void look_up_planes(const TableBits& bits, const BitPlanes& x, const BitPlanes& shares, bool is_first, BitPlanes& out) {
  CHECK(x.planes() >= bits.n() && shares.planes() >= indicator_planes(bits.n()) && out.planes() >= bits.planes() &&
            x.elements() == shares.elements() && x.elements() == out.elements(),
        "{} planes of an index and {} of shares for {} bits", x.planes(), shares.planes(), bits.n());
  Buffer scratch = scratch_of(bits.n());
  HWY_DYNAMIC_DISPATCH(look_up)
  ({&bits, x.storage().as<uint64_t>().data(), shares.storage().as<uint64_t>().data(),
    out.storage().as<uint64_t>().data(), out.words(), is_first, scratch.as<uint64_t>().data()});
}

}  // namespace treville
#endif  // HWY_ONCE
