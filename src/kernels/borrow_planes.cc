// Planes lie a power of two apart, so the lines of many planes fall into few sets of a cache. Hence one chunk or group
// at a time runs over all words, and every line of a plane is read whole, once: the value of these loops is a Line,
// sixty-four bytes in as many registers as the target needs. Polynomials are unrolled by recursion over their sets,
// depth first, so that few values live at a time.
#include "kernels/borrow_planes.h"

#include <bit>

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/borrow_planes.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Line is kVectors vectors of neighbouring words of one plane, with the operators of a word.
template <class D, int kVectors>
struct Line {
  hn::Vec<D> first;
  Line<D, kVectors - 1> rest;

  static HWY_INLINE Line load(const uint64_t* from) {
    return {hn::LoadU(D(), from), Line<D, kVectors - 1>::load(from + hn::MaxLanes(D()))};
  }
  static HWY_INLINE Line set(uint64_t word) { return {hn::Set(D(), word), Line<D, kVectors - 1>::set(word)}; }
  HWY_INLINE void store(uint64_t* to) const {
    hn::StoreU(first, D(), to);
    rest.store(to + hn::MaxLanes(D()));
  }
  friend HWY_INLINE Line operator^(const Line& a, const Line& b) {
    return {hn::Xor(a.first, b.first), a.rest ^ b.rest};
  }
  friend HWY_INLINE Line operator&(const Line& a, const Line& b) {
    return {hn::And(a.first, b.first), a.rest & b.rest};
  }
};

template <class D>
struct Line<D, 0> {
  static HWY_INLINE Line load(const uint64_t*) { return {}; }
  static HWY_INLINE Line set(uint64_t) { return {}; }
  HWY_INLINE void store(uint64_t*) const {}
  friend HWY_INLINE Line operator^(const Line&, const Line&) { return {}; }
  friend HWY_INLINE Line operator&(const Line&, const Line&) { return {}; }
};

using WholeTag = hn::CappedTag<uint64_t, 8>;
using WholeLine = Line<WholeTag, static_cast<int>(8 / hn::MaxLanes(WholeTag()))>;
using WordLine = Line<hn::CappedTag<uint64_t, 1>, 1>;
constexpr int64_t kLineWords = 8;

// for_lines calls f(word, V) for every run of words that a V holds.
template <class F>
HWY_INLINE void for_lines(int64_t words, const F& f) {
  int64_t word = 0;
  for (; word + kLineWords <= words; word += kLineWords) f(word, WholeLine::set(0));
  for (; word < words; ++word) f(word, WordLine::set(0));
}

// At is one word index of some planes.
template <class V>
struct At {
  const uint64_t* data;
  int64_t stride;
  HWY_INLINE At(ConstPlaneRows rows, int64_t word) : data(rows.data + word), stride(rows.stride) {}
  HWY_INLINE V operator[](int plane) const { return V::load(data + plane * stride); }
};
template <class V>
struct To {
  uint64_t* data;
  int64_t stride;
  HWY_INLINE To(PlaneRows rows, int64_t word) : data(rows.data + word), stride(rows.stride) {}
  HWY_INLINE void set(int plane, const V& value) const { value.store(data + plane * stride); }
  HWY_INLINE void flip(int plane, const V& value) const {
    uint64_t* at = data + plane * stride;
    (V::load(at) ^ value).store(at);
  }
};

// Monomials of one chunk: emit flips all sets that extend kSet by bits from kBit on; `product` is that of kSet.
template <int kSize, class V>
struct Monomials {
  V bits[kSize];
  To<V> dealt;

  template <int kBit, int kSet>
  HWY_INLINE void emit(const V& product) const {
    if constexpr (kBit < kSize) {
      constexpr int kNext = kSet | 1 << kBit;
      const V next = product & bits[kBit];
      dealt.flip(kNext - 1, next);
      emit<kBit + 1, kNext>(next);
      emit<kBit + 1, kSet>(product);
    }
  }
};

template <int kSize, class V>
HWY_INLINE void flip_chunk(const At<V>& r, const To<V>& dealt) {
  Monomials<kSize, V> monomials{.bits = {}, .dealt = dealt};
  for (int j = 0; j < kSize; ++j) monomials.bits[j] = r[j];
  monomials.template emit<0, 0>(V::set(~uint64_t{0}));
}

// Chunk is the polynomial of one chunk in the bits `clear` = not x.
template <int kSize, class V>
struct Chunk {
  V clear[kSize];
  At<V> shares;
  V one;

  // partial is sum over sets T of bits from kBit on of m[T + kSet] prod over i >= kBit, not in T, of clear_i.
  template <int kBit, int kSet>
  HWY_INLINE V partial() const {
    if constexpr (kBit == kSize) {
      if constexpr (kSet == 0) {
        return one;
      } else {
        return shares[kSet - 1];
      }
    } else {
      return partial<kBit + 1, kSet | 1 << kBit>() ^ (clear[kBit] & partial<kBit + 1, kSet>());
    }
  }
  // finish adds the terms of lt from bit kBit down; eq is partial<kBit + 1, 0>, and becomes partial<0, 0>.
  template <int kBit, bool kHasEq>
  HWY_INLINE void finish(V& lt, V& eq) const {
    if constexpr (kBit >= 0) {
      const V with = partial<kBit + 1, 1 << kBit>();
      lt = lt ^ (clear[kBit] & with);
      if constexpr (kHasEq) eq = with ^ (clear[kBit] & eq);
      finish<kBit - 1, kHasEq>(lt, eq);
    }
  }
};

template <int kSize, bool kHasEq, class V>
HWY_INLINE void evaluate_chunk(const At<V>& x, const At<V>& shares, const V& one, const At<V>& masks, const To<V>& out,
                               int lt_plane, int eq_plane) {
  Chunk<kSize, V> chunk{.clear = {}, .shares = shares, .one = one};
  for (int j = 0; j < kSize; ++j) chunk.clear[j] = x[j] ^ V::set(~uint64_t{0});
  V lt = V::set(0), eq = one;
  chunk.template finish<kSize - 1, kHasEq>(lt, eq);
  out.set(lt_plane, lt ^ masks[lt_plane]);
  if constexpr (kHasEq) out.set(eq_plane, eq ^ masks[eq_plane]);
}

// Where the products of a group of kSize nodes lie after its first: p of sets with several elements, c, q.
template <int kSize>
struct ProductPlanes {
  static constexpr int kSets = 1 << (kSize - 1);
  static constexpr int p(int set) { return set - 1 - static_cast<int>(std::bit_width(static_cast<unsigned>(set))); }
  static constexpr int c(int set) { return kSets - kSize + set; }
  static constexpr int q(int set) { return kSets - kSize + kSets - 1 + set - 1; }
};
constexpr bool has_several(int set) { return (set & (set - 1)) != 0; }

// Products of the masks of one group.
template <int kSize, bool kHasEq, class V>
struct Products {
  using Plane = ProductPlanes<kSize>;
  V eq[kSize], lt[kSize];  // eq[0] only where the group has an eq
  To<V> dealt;

  // emit_p flips p and q of the sets that extend kSet by nodes from kNode on.
  template <int kNode, int kSet>
  HWY_INLINE void emit_p(const V& product) const {
    if constexpr (kNode < kSize) {
      constexpr int kNext = kSet | 1 << (kNode - 1);
      const V next = product & eq[kNode];
      if constexpr (has_several(kNext)) dealt.flip(Plane::p(kNext), next);
      if constexpr (kHasEq) dealt.flip(Plane::q(kNext), next & eq[0]);
      emit_p<kNode + 1, kNext>(next);
      emit_p<kNode + 1, kSet>(product);
    }
  }
  // emit_c flips c of the sets that extend kSet; `value` is c[kSet] of the nodes below kNode.
  template <int kNode, int kSet>
  HWY_INLINE void emit_c(const V& value) const {
    if constexpr (kNode < kSize) {
      emit_c<kNode + 1, kSet | 1 << (kNode - 1)>(value);
      if constexpr (kSet == 0) {
        emit_c<kNode + 1, 0>((value & eq[kNode]) ^ lt[kNode]);
      } else {
        emit_c<kNode + 1, kSet>(value & eq[kNode]);
      }
    } else if constexpr (kSet != Plane::kSets - 1) {
      dealt.flip(Plane::c(kSet), value);
    }
  }
};

template <int kSize, bool kHasEq, class V>
HWY_INLINE void flip_group(const NodeGroup& group, const At<V>& masks, const To<V>& dealt) {
  Products<kSize, kHasEq, V> products{.eq = {}, .lt = {}, .dealt = dealt};
  for (int j = 0; j < kSize; ++j) products.lt[j] = masks[group.lt(j)];
  for (int j = kHasEq ? 0 : 1; j < kSize; ++j) products.eq[j] = masks[group.eq(j)];
  products.template emit_p<1, 0>(V::set(~uint64_t{0}));
  products.template emit_c<1, 0>(products.lt[0]);
}

// Opened is the polynomials of one group in the opened eq bits.
template <int kSize, class V>
struct Opened {
  using Plane = ProductPlanes<kSize>;
  V eq[kSize];
  const NodeGroup& group;
  At<V> masks, shares;
  V one;

  // p is sum over sets T of nodes from kNode on of p[T + kSet] prod over i >= kNode, not in T, of E_i.
  template <int kNode, int kSet>
  HWY_INLINE V p() const {
    if constexpr (kNode < kSize) {
      return p<kNode + 1, kSet | 1 << (kNode - 1)>() ^ (eq[kNode] & p<kNode + 1, kSet>());
    } else if constexpr (kSet == 0) {
      return one;
    } else if constexpr (has_several(kSet)) {
      return shares[Plane::p(kSet)];
    } else {
      return masks[group.eq(static_cast<int>(std::bit_width(static_cast<unsigned>(kSet))))];
    }
  }
  template <int kNode, int kSet>
  HWY_INLINE V c() const {
    if constexpr (kNode < kSize) {
      return c<kNode + 1, kSet>() ^ (eq[kNode] & c<kNode + 1, kSet | 1 << (kNode - 1)>());
    } else if constexpr (kSet == Plane::kSets - 1) {
      return masks[group.lt(0)];
    } else {
      return shares[Plane::c(kSet)];
    }
  }
  template <int kNode, int kSet>
  HWY_INLINE V q() const {
    if constexpr (kNode < kSize) {
      return q<kNode + 1, kSet | 1 << (kNode - 1)>() ^ (eq[kNode] & q<kNode + 1, kSet>());
    } else if constexpr (kSet == 0) {
      return masks[group.eq(0)];
    } else {
      return shares[Plane::q(kSet)];
    }
  }
  // finish adds L_j P_j to lt from node kNode down; `below` is P_kNode and becomes P_0.
  template <int kNode>
  HWY_INLINE void finish(const At<V>& opened, V& lt, V& below) const {
    lt = lt ^ (opened[group.lt(kNode)] & below);
    if constexpr (kNode > 0) {
      below = p<kNode + 1, 1 << (kNode - 1)>() ^ (eq[kNode] & below);
      finish<kNode - 1>(opened, lt, below);
    }
  }
};

template <int kSize, bool kHasEq, class V>
HWY_INLINE void evaluate_group(const NodeGroup& group, const At<V>& opened, const At<V>& node_masks,
                               const At<V>& shares, const V& one, const At<V>& masks, const To<V>& out, int lt_plane,
                               int eq_plane) {
  Opened<kSize, V> polynomials{.eq = {}, .group = group, .masks = node_masks, .shares = shares, .one = one};
  for (int j = 1; j < kSize; ++j) polynomials.eq[j] = opened[group.eq(j)];
  V lt = polynomials.template c<1, 0>(), below = one;
  polynomials.template finish<kSize - 1>(opened, lt, below);
  out.set(lt_plane, lt ^ masks[lt_plane]);
  if constexpr (kHasEq) {
    const V eq = (opened[group.eq(0)] & below) ^ polynomials.template q<1, 0>();
    out.set(eq_plane, eq ^ masks[eq_plane]);
  }
}

// Chunks and groups, unrolled for each size; the loop over words is inside.
struct ChunkRun {
  ConstPlaneRows x, dealt, masks;
  PlaneRows out;
  uint64_t one;
  int64_t words;
  int lt_plane, eq_plane;
};

template <int kSize, bool kHasEq>
void run_chunk(const ChunkRun& run) {
  for_lines(run.words, [&](int64_t word, auto line) HWY_ATTR {
    using V = decltype(line);
    evaluate_chunk<kSize, kHasEq, V>(At<V>(run.x, word), At<V>(run.dealt, word), V::set(run.one),
                                     At<V>(run.masks, word), To<V>(run.out, word), run.lt_plane, run.eq_plane);
  });
}

template <int kSize>
void run_monomials(ConstPlaneRows r, PlaneRows dealt, int64_t words) {
  for_lines(words, [&](int64_t word, auto line) HWY_ATTR {
    using V = decltype(line);
    flip_chunk<kSize, V>(At<V>(r, word), To<V>(dealt, word));
  });
}

struct GroupRun {
  NodeGroup group;
  ConstPlaneRows opened, node_masks, dealt, masks;
  PlaneRows out;
  uint64_t one;
  int64_t words;
  int lt_plane, eq_plane;
};

template <int kSize, bool kHasEq>
void run_group(const GroupRun& run) {
  for_lines(run.words, [&](int64_t word, auto line) HWY_ATTR {
    using V = decltype(line);
    evaluate_group<kSize, kHasEq, V>(run.group, At<V>(run.opened, word), At<V>(run.node_masks, word),
                                     At<V>(run.dealt, word), V::set(run.one), At<V>(run.masks, word),
                                     To<V>(run.out, word), run.lt_plane, run.eq_plane);
  });
}

template <int kSize, bool kHasEq>
void run_products(const NodeGroup& group, ConstPlaneRows masks, PlaneRows dealt, int64_t words) {
  for_lines(words, [&](int64_t word, auto line) HWY_ATTR {
    using V = decltype(line);
    flip_group<kSize, kHasEq, V>(group, At<V>(masks, word), To<V>(dealt, word));
  });
}

// A Table has one entry for each size, with or without eq.
template <class... Arguments>
struct Table {
  using Run = void (*)(Arguments...);
  Run without[kMaxGroupNodes], with[kMaxGroupNodes];
  Run at(int size, bool has_eq) const { return (has_eq ? with : without)[size - 1]; }
};

void monomials(std::span<const int> sizes, ConstPlaneRows r, PlaneRows dealt, int64_t words) {
  static constexpr void (*kRuns[kMaxChunkBits])(ConstPlaneRows, PlaneRows, int64_t) = {
      run_monomials<1>, run_monomials<2>, run_monomials<3>, run_monomials<4>, run_monomials<5>};
  for (const int size : sizes) {
    kRuns[size - 1](r, dealt, words);
    r.data += size * r.stride;
    dealt.data += ((1 << size) - 1) * dealt.stride;
  }
}

void chunks(std::span<const int> sizes, ChunkRun run) {
  static constexpr Table<const ChunkRun&> kTable = {
      {run_chunk<1, false>, run_chunk<2, false>, run_chunk<3, false>, run_chunk<4, false>, run_chunk<5, false>,
       nullptr},
      {run_chunk<1, true>, run_chunk<2, true>, run_chunk<3, true>, run_chunk<4, true>, run_chunk<5, true>, nullptr}};
  const int nodes = static_cast<int>(sizes.size());
  for (int node = 0; node < nodes; ++node) {
    const int size = sizes[static_cast<size_t>(node)];
    run.lt_plane = node;
    run.eq_plane = nodes + node - 1;
    kTable.at(size, node > 0)(run);
    run.x.data += size * run.x.stride;
    run.dealt.data += ((1 << size) - 1) * run.dealt.stride;
  }
}

void products(std::span<const NodeGroup> groups, ConstPlaneRows masks, PlaneRows dealt, int64_t words) {
  static constexpr Table<const NodeGroup&, ConstPlaneRows, PlaneRows, int64_t> kTable = {
      {run_products<1, false>, run_products<2, false>, run_products<3, false>, run_products<4, false>,
       run_products<5, false>, run_products<6, false>},
      {run_products<1, true>, run_products<2, true>, run_products<3, true>, run_products<4, true>,
       run_products<5, true>, run_products<6, true>}};
  for (const NodeGroup& group : groups) {
    kTable.at(group.size, group.has_eq())(group, masks, {dealt.data + group.product * dealt.stride, dealt.stride},
                                          words);
  }
}

void groups(std::span<const NodeGroup> all, GroupRun run) {
  static constexpr Table<const GroupRun&> kTable = {{run_group<1, false>, run_group<2, false>, run_group<3, false>,
                                                     run_group<4, false>, run_group<5, false>, run_group<6, false>},
                                                    {run_group<1, true>, run_group<2, true>, run_group<3, true>,
                                                     run_group<4, true>, run_group<5, true>, run_group<6, true>}};
  const ConstPlaneRows dealt = run.dealt;
  const int nodes = static_cast<int>(all.size());
  for (int node = 0; node < nodes; ++node) {
    run.group = all[static_cast<size_t>(node)];
    run.dealt.data = dealt.data + run.group.product * dealt.stride;
    run.lt_plane = node;
    run.eq_plane = nodes + node - 1;
    kTable.at(run.group.size, run.group.has_eq())(run);
  }
}

void evaluate_chunks_of(std::span<const int> sizes, ConstPlaneRows x, ConstPlaneRows dealt, uint64_t one,
                        ConstPlaneRows masks, PlaneRows out, int64_t words) {
  chunks(
      sizes,
      {.x = x, .dealt = dealt, .masks = masks, .out = out, .one = one, .words = words, .lt_plane = 0, .eq_plane = 0});
}

void evaluate_groups_of(std::span<const NodeGroup> all, ConstPlaneRows opened, ConstPlaneRows node_masks,
                        ConstPlaneRows dealt, uint64_t one, ConstPlaneRows masks, PlaneRows out, int64_t words) {
  groups(all, {.group = {},
               .opened = opened,
               .node_masks = node_masks,
               .dealt = dealt,
               .masks = masks,
               .out = out,
               .one = one,
               .words = words,
               .lt_plane = 0,
               .eq_plane = 0});
}

}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace treville {

HWY_EXPORT(monomials);
HWY_EXPORT(evaluate_chunks_of);
HWY_EXPORT(products);
HWY_EXPORT(evaluate_groups_of);

namespace {

void check_sizes(std::span<const int> sizes) {
  for (const int size : sizes) CHECK(size >= 1 && size <= kMaxChunkBits, "a chunk of {} bits", size);
}
void check_groups(std::span<const NodeGroup> groups) {
  for (const NodeGroup& group : groups) {
    CHECK(group.size >= 1 && group.size <= kMaxGroupNodes, "a group of {} nodes", group.size);
  }
}

}  // namespace

void flip_monomials(std::span<const int> sizes, ConstPlaneRows r, PlaneRows dealt, int64_t words) {
  check_sizes(sizes);
  HWY_DYNAMIC_DISPATCH(monomials)(sizes, r, dealt, words);
}

void evaluate_monomials(std::span<const int> sizes, ConstPlaneRows x, ConstPlaneRows dealt, uint64_t one,
                        ConstPlaneRows masks, PlaneRows out, int64_t words) {
  check_sizes(sizes);
  HWY_DYNAMIC_DISPATCH(evaluate_chunks_of)(sizes, x, dealt, one, masks, out, words);
}

void flip_products(std::span<const NodeGroup> groups, ConstPlaneRows masks, PlaneRows dealt, int64_t words) {
  check_groups(groups);
  HWY_DYNAMIC_DISPATCH(products)(groups, masks, dealt, words);
}

void evaluate_products(std::span<const NodeGroup> groups, ConstPlaneRows opened, ConstPlaneRows node_masks,
                       ConstPlaneRows dealt, uint64_t one, ConstPlaneRows masks, PlaneRows out, int64_t words) {
  check_groups(groups);
  HWY_DYNAMIC_DISPATCH(evaluate_groups_of)(groups, opened, node_masks, dealt, one, masks, out, words);
}

}  // namespace treville
#endif  // HWY_ONCE
