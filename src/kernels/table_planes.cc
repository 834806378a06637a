// A run of elements is treated at once, in a scratch with a place for each index: 512 by the dealer, who so fills whole
// cache lines of planes that lie far apart, and a vector's worth by the others, whose rows then stay in the cache. The
// row of bits, read backwards, tells [-r = i] at place i; rotated by x, it tells [x - r = i], the wanted entry. The
// rotation goes by the bits of x, each of which moves an element's row by a power of two or leaves it.
#include "kernels/table_planes.h"

#include <algorithm>
#include <array>
#include <type_traits>
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

// kLineWords words of a plane are a cache line.
constexpr size_t kLineWords = 8;

// Planes lie `stride` words apart; the scratch has the words of a run for each index, and half as many to spare.
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

// A run is kWords words of every plane, or one word at the tail.
template <size_t kWords>
using RunTag = hn::CappedTag<uint64_t, kWords>;

constexpr size_t kVectorWords = hn::MaxLanes(hn::ScalableTag<uint64_t>());

// for_runs calls f with where each run of kWords begins, and its words.
template <size_t kWords, class F>
void for_runs(int64_t words, const F& f) {
  constexpr auto kStep = static_cast<int64_t>(kWords);
  int64_t word = 0;
  for (; word + kStep <= words; word += kStep) f(word, std::integral_constant<size_t, kWords>());
  for (; word < words; ++word) f(word, std::integral_constant<size_t, 1>());
}

// deal_run makes the indicators at the words at `word`, one vector of the run after the other.
template <size_t kWords>
void deal_run(const DealArguments& a, int64_t word) {
  const RunTag<kWords> d;
  uint64_t* row = a.scratch;
  for (size_t at = 0; at < kWords; at += hn::MaxLanes(d)) {
    hn::Store(hn::Set(d, ~uint64_t{0}), d, row + at);
    for (int bit = 0; bit < a.n; ++bit) {
      const size_t half = (size_t{1} << bit) * kWords;
      const auto set = hn::LoadU(d, a.r + bit * a.stride + word + static_cast<int64_t>(at));
      for (size_t i = at; i < half; i += kWords) {
        const auto all = hn::Load(d, row + i);
        hn::Store(hn::And(set, all), d, row + half + i);
        hn::Store(hn::AndNot(set, all), d, row + i);
      }
    }
  }
  for (int64_t j = 0; j < indicator_planes(a.n); ++j, row += kWords) {
    uint64_t* out = a.out + j * a.stride + word;
    for (size_t at = 0; at < kWords; at += hn::MaxLanes(d))
      hn::StoreU(hn::Xor(hn::LoadU(d, out + at), hn::Load(d, row + at)), d, out + at);
  }
}

// load_reversed fills row[i] with the share of [-r = i mod 2^n]; what is not dealt follows from the sum of all, 1.
template <size_t kWords>
void load_reversed(const LookUpArguments& a, int64_t word, uint64_t* row) {
  const RunTag<kWords> d;
  const size_t size = size_t{1} << a.bits->n();
  auto rest = hn::Set(d, a.is_first ? ~uint64_t{0} : 0);
  for (size_t j = 0; j + 1 < size; ++j) {
    const auto share = hn::LoadU(d, a.shares + static_cast<int64_t>(j) * a.stride + word);
    rest = hn::Xor(rest, share);
    hn::Store(share, d, row + ((size - j) % size) * kWords);
  }
  hn::Store(rest, d, row + kWords);
}

// rotate moves the row of every element up by `step` places where the element's bit is set; spare takes step places.
template <size_t kWords>
void rotate(const uint64_t* bits, size_t step, size_t size, uint64_t* row, uint64_t* spare) {
  const RunTag<kWords> d;
  const auto bit = hn::LoadU(d, bits);
  const auto move = [&](uint64_t* to, const uint64_t* from) {
    const auto stays = hn::Load(d, to);
    hn::Store(hn::Xor(stays, hn::And(bit, hn::Xor(stays, hn::Load(d, from)))), d, to);
  };
  std::copy_n(row + (size - step) * kWords, step * kWords, spare);
  for (size_t i = size; i-- > step;) move(row + i * kWords, row + (i - step) * kWords);
  for (size_t i = 0; i < step; ++i) move(row + i * kWords, spare + i * kWords);
}

template <size_t kWords>
void look_up_run(const LookUpArguments& a, int64_t word) {
  const RunTag<kWords> d;
  const size_t size = size_t{1} << a.bits->n();
  uint64_t* row = a.scratch;
  load_reversed<kWords>(a, word, row);
  for (int bit = 0; bit < a.bits->n(); ++bit)
    rotate<kWords>(a.x + bit * a.stride + word, size_t{1} << bit, size, row, row + size * kWords);
  uint64_t* out = a.out + word;
  for (const TableBits::Function& function : a.bits->functions()) {
    auto sum = hn::Set(d, function.lists_zeros && a.is_first ? ~uint64_t{0} : 0);
    for (const uint16_t index : function.indices) sum = hn::Xor(sum, hn::Load(d, row + index * kWords));
    hn::StoreU(sum, d, out);
    out += a.stride;
  }
}

void deal(const DealArguments& a) {
  for_runs<kLineWords>(a.stride, [&](int64_t word, auto words) { deal_run<words()>(a, word); });
}

void look_up(const LookUpArguments& a) {
  for_runs<kVectorWords>(a.stride, [&](int64_t word, auto words) { look_up_run<words()>(a, word); });
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
  const MeterScope uncounted(nullptr);
  return Buffer::stored(((size_t{1} << n) + (size_t{1} << n) / 2) * kLineWords * sizeof(uint64_t));
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
