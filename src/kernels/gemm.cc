// The register tile is kTileRows rows by one panel. For every depth step it loads the panel's row once and broadcasts
// one word of each row of A; twelve vectors of sums fill the sixteen registers of SSE and AVX2 together with operands.
#include "kernels/gemm.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first.
#include <hwy/highway.h>

#include "kernels/product_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

template <class Word>
inline constexpr int kTileRows = 1;

// tile computes c (+)= rows * panel over `depth` steps; kRows rows of c lie c_stride words apart.
template <int kRows, class Word>
void tile(const Word* const* rows, int64_t depth, const Word* HWY_RESTRICT panel, Word* HWY_RESTRICT c, int64_t,
          bool add) {
  constexpr int64_t kWidth = kPanelColumns<Word>;
  Word sums[kWidth] = {};
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t i = 0; i < kWidth; ++i) sums[i] += rows[0][p] * panel[p * kWidth + i];
  }
  for (int64_t i = 0; i < kWidth; ++i) c[i] = sums[i] + (add ? c[i] : 0);
}

#else

template <class Word>
using PanelTag = hn::CappedTag<Word, static_cast<size_t>(kPanelColumns<Word>)>;

template <class Word>
inline constexpr int kTileVectors = static_cast<int>(kPanelColumns<Word> / hn::MaxLanes(PanelTag<Word>()));

template <class Word>
inline constexpr int kTileRows = (sizeof(Word) == 4 ? 12 : 6) / kTileVectors<Word>;

// Sum is one vector of sums of the tile.
template <class Word>
using Sum = ProductSum<PanelTag<Word>>;

// The registers of a tile are members of nested structs, not arrays: compilers keep members in registers, and arrays
// on the stack. PanelRow is one row of a panel, RowSums the sums of one row of A, TileSums those of all rows.
template <class Word, int kVectors>
struct PanelRow {
  hn::Vec<PanelTag<Word>> b, swapped;
  PanelRow<Word, kVectors - 1> rest;

  HWY_INLINE void load(const Word* from) {
    b = hn::Load(PanelTag<Word>(), from);
    swapped = Sum<Word>::cross_operand(b);
    rest.load(from + hn::MaxLanes(PanelTag<Word>()));
  }
};

template <class Word>
struct PanelRow<Word, 0> {
  HWY_INLINE void load(const Word*) {}
};

template <class Word, int kVectors>
struct RowSums {
  Sum<Word> sum;
  RowSums<Word, kVectors - 1> rest;

  HWY_INLINE void clear() {
    sum.clear();
    rest.clear();
  }
  HWY_INLINE void step(hn::Vec<PanelTag<Word>> a, const PanelRow<Word, kVectors>& row) {
    sum.step(a, row.b, row.swapped);
    rest.step(a, row.rest);
  }
  HWY_INLINE void store(Word* to, bool add) const {
    const PanelTag<Word> d;
    const auto total = sum.total();
    hn::StoreU(add ? hn::Add(total, hn::LoadU(d, to)) : total, d, to);
    rest.store(to + hn::MaxLanes(d), add);
  }
};

template <class Word>
struct RowSums<Word, 0> {
  HWY_INLINE void clear() {}
  HWY_INLINE void step(hn::Vec<PanelTag<Word>>, const PanelRow<Word, 0>&) {}
  HWY_INLINE void store(Word*, bool) const {}
};

template <class Word, int kRows>
struct TileSums {
  const Word* a;
  RowSums<Word, kTileVectors<Word>> sums;
  TileSums<Word, kRows - 1> rest;

  HWY_INLINE void begin(const Word* const* rows) {
    a = rows[0];
    sums.clear();
    rest.begin(rows + 1);
  }
  HWY_INLINE void step(int64_t p, const PanelRow<Word, kTileVectors<Word>>& row) {
    sums.step(hn::Set(PanelTag<Word>(), a[p]), row);
    rest.step(p, row);
  }
  HWY_INLINE void store(Word* c, int64_t c_stride, bool add) const {
    sums.store(c, add);
    rest.store(c + c_stride, c_stride, add);
  }
};

template <class Word>
struct TileSums<Word, 0> {
  HWY_INLINE void begin(const Word* const*) {}
  HWY_INLINE void step(int64_t, const PanelRow<Word, kTileVectors<Word>>&) {}
  HWY_INLINE void store(Word*, int64_t, bool) const {}
};

// tile computes c (+)= rows * panel over `depth` steps; kRows rows of c lie c_stride words apart.
template <int kRows, class Word>
HWY_NOINLINE void tile(const Word* const* rows, int64_t depth, const Word* HWY_RESTRICT panel, Word* HWY_RESTRICT c,
                       int64_t c_stride, bool add) {
  TileSums<Word, kRows> sums;
  sums.begin(rows);
  for (int64_t p = 0; p < depth; ++p, panel += kPanelColumns<Word>) {
    PanelRow<Word, kTileVectors<Word>> row;
    row.load(panel);
    sums.step(p, row);
  }
  sums.store(c, c_stride, add);
}

#endif  // HWY_TARGET == HWY_SCALAR

// tile_of calls the tile of `count` rows, 1 <= count <= kRows.
template <int kRows, class Word>
HWY_INLINE void tile_of(int64_t count, const Word* const* rows, int64_t depth, const Word* panel, Word* c,
                        int64_t c_stride, bool add) {
  if constexpr (kRows > 1) {
    if (count < kRows) return tile_of<kRows - 1>(count, rows, depth, panel, c, c_stride, add);
  }
  tile<kRows>(rows, depth, panel, c, c_stride, add);
}

// tile_at_edge is tile_of for a panel of which only the first `columns` columns exist in c.
template <class Word>
void tile_at_edge(int64_t count, const Word* const* rows, int64_t depth, const Word* panel, Word* c, int64_t c_stride,
                  bool add, int64_t columns) {
  constexpr int64_t kWidth = kPanelColumns<Word>;
  Word whole[kTileRows<Word> * kWidth];
  tile_of<kTileRows<Word>>(count, rows, depth, panel, whole, kWidth, false);
  for (int64_t r = 0; r < count; ++r) {
    Word* to = c + r * c_stride;
    for (int64_t i = 0; i < columns; ++i) to[i] = whole[r * kWidth + i] + (add ? to[i] : 0);
  }
}

template <class Word>
void multiply(const GemmBlock<Word>& g) {
  constexpr int64_t kWidth = kPanelColumns<Word>, kRows = kTileRows<Word>;
  for (int64_t p = 0; p < g.panels.count(); ++p) {
    const Word* panel = g.packed + p * g.panels.panel_words() + g.first_depth * kWidth;
    const int64_t columns = std::min(kWidth, g.panels.columns - p * kWidth);
    for (int64_t r = 0; r < g.count; r += kRows) {
      const int64_t count = std::min(kRows, g.count - r);
      Word* c = g.c + r * g.c_stride + p * kWidth;
      if (columns == kWidth) {
        tile_of<kRows>(count, g.rows + r, g.depth, panel, c, g.c_stride, g.add);
      } else {
        tile_at_edge(count, g.rows + r, g.depth, panel, c, g.c_stride, g.add, columns);
      }
    }
  }
}

void multiply_32(const GemmBlock<uint32_t>& block) { multiply(block); }
void multiply_64(const GemmBlock<uint64_t>& block) { multiply(block); }

}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace treville {

HWY_EXPORT(multiply_32);
HWY_EXPORT(multiply_64);

void multiply_block(const GemmBlock<uint32_t>& block) { HWY_DYNAMIC_DISPATCH(multiply_32)(block); }
void multiply_block(const GemmBlock<uint64_t>& block) { HWY_DYNAMIC_DISPATCH(multiply_64)(block); }

template <class Word>
void Panels<Word>::pack(const Word* matrix, int64_t stride, Word* packed) const {
  constexpr int64_t kWidth = kPanelColumns<Word>;
  for (int64_t p = 0; p < count(); ++p) {
    const int64_t width = std::min(kWidth, columns - p * kWidth);
    for (int64_t k = 0; k < depth; ++k, packed += kWidth) {
      const Word* from = matrix + k * stride + p * kWidth;
      std::copy_n(from, width, packed);
      std::fill(packed + width, packed + kWidth, Word{0});
    }
  }
}

template struct Panels<uint32_t>;
template struct Panels<uint64_t>;

}  // namespace treville
#endif  // HWY_ONCE
