// The definitions are sums over sets, one element at a time, as the header writes them.
#include "kernels/borrow_planes.h"

#include <gtest/gtest.h>

#include <numeric>

#include "kernels/kernels_test_util.h"

namespace treville {
namespace {

constexpr uint64_t kSeed = 9021;
constexpr int64_t kGap = 2;  // words between planes that nothing may touch
constexpr int64_t kWords[] = {0, 1, 2, 7, 8, 9, 16, 21};

// Planes of `words` words, a few words more apart.
struct TestPlanes {
  TestPlanes(int planes, int64_t words_in_plane, std::mt19937_64& random)
      : words(words_in_plane), data(static_cast<size_t>(planes * (words_in_plane + kGap))) {
    for (uint64_t& word : data) word = random();
  }
  int64_t words;
  std::vector<uint64_t> data;

  ConstPlaneRows rows(int at = 0) const { return {data.data() + at * (words + kGap), words + kGap}; }
  PlaneRows rows(int at = 0) { return {data.data() + at * (words + kGap), words + kGap}; }
  size_t index(int plane, int64_t element) const { return static_cast<size_t>(plane * (words + kGap) + element / 64); }
  bool bit(int plane, int64_t element) const { return data[index(plane, element)] >> (element % 64) & 1; }
  void set(int plane, int64_t element, bool value) {
    uint64_t& word = data[index(plane, element)];
    word = (word & ~(uint64_t{1} << (element % 64))) | uint64_t{value} << (element % 64);
  }
};

bool has(int set, int i) { return set >> i & 1; }

const std::vector<std::vector<int>> kChunks = {{1}, {2}, {3}, {4}, {5}, {4, 4, 4, 4, 3}, {1, 5, 2}, {3, 3, 3, 3}};

TEST(BorrowPlanes, MonomialsAreTheProductsOfAllSets) {
  std::mt19937_64 random(kSeed);
  for_each_target([&] {
    for (const auto& sizes : kChunks) {
      for (const int64_t words : kWords) {
        int planes = 0;
        for (const int size : sizes) planes += (1 << size) - 1;
        const TestPlanes r(std::accumulate(sizes.begin(), sizes.end(), 0), words, random);
        TestPlanes dealt(planes, words, random), expected = dealt;
        flip_monomials(sizes, r.rows(), dealt.rows(), words);
        int bit = 0, plane = 0;
        for (const int size : sizes) {
          for (int set = 1; set < 1 << size; ++set, ++plane) {
            for (int64_t e = 0; e < 64 * words; ++e) {
              bool product = true;
              for (int j = 0; j < size; ++j) product &= !has(set, j) || r.bit(bit + j, e);
              expected.set(plane, e, expected.bit(plane, e) ^ product);
            }
          }
          bit += size;
        }
        ASSERT_EQ(dealt.data, expected.data) << sizes.size() << " chunks, " << words << " words, seed " << kSeed;
      }
    }
  });
}

// chunk_share is lt or eq of one chunk at one element, without its mask.
std::pair<bool, bool> chunk_share(int size, const TestPlanes& x, int bit, const TestPlanes& dealt, int plane, bool one,
                                  int64_t e) {
  const auto m = [&](int set) { return set == 0 ? one : dealt.bit(plane + set - 1, e); };
  const auto clear_outside = [&](int set, int from) {
    bool product = true;
    for (int i = from; i < size; ++i) product &= has(set, i) || !x.bit(bit + i, e);
    return product;
  };
  bool lt = false, eq = false;
  for (int set = 0; set < 1 << size; ++set) {
    eq ^= m(set) && clear_outside(set, 0);
    for (int j = 0; j < size; ++j) {
      const bool only_above = (set & ((2 << j) - 1)) == 0;
      if (only_above) lt ^= !x.bit(bit + j, e) && m(set | 1 << j) && clear_outside(set, j + 1);
    }
  }
  return {lt, eq};
}

TEST(BorrowPlanes, ChunksAreTheirPolynomials) {
  std::mt19937_64 random(kSeed);
  for_each_target([&] {
    for (const auto& sizes : kChunks) {
      for (const int64_t words : kWords) {
        const bool one = random() & 1;
        const int nodes = static_cast<int>(sizes.size());
        int planes = 0;
        for (const int size : sizes) planes += (1 << size) - 1;
        const TestPlanes x(std::accumulate(sizes.begin(), sizes.end(), 0), words, random);
        const TestPlanes dealt(planes, words, random), masks(2 * nodes - 1, words, random);
        TestPlanes out(2 * nodes - 1, words, random), expected = out;
        evaluate_monomials(sizes, x.rows(), dealt.rows(), one ? ~uint64_t{0} : 0, masks.rows(), out.rows(), words);
        int bit = 0, plane = 0;
        for (int node = 0; node < nodes; ++node) {
          const int size = sizes[static_cast<size_t>(node)], eq_plane = nodes + node - 1;
          for (int64_t e = 0; e < 64 * words; ++e) {
            const auto [lt, eq] = chunk_share(size, x, bit, dealt, plane, one, e);
            expected.set(node, e, lt ^ masks.bit(node, e));
            if (node > 0) expected.set(eq_plane, e, eq ^ masks.bit(eq_plane, e));
          }
          bit += size;
          plane += (1 << size) - 1;
        }
        ASSERT_EQ(out.data, expected.data) << nodes << " chunks, " << words << " words, seed " << kSeed;
      }
    }
  });
}

const std::vector<std::vector<int>> kLevels = {{1},          {2},       {3},    {4},    {5},   {6},
                                               {4, 3, 3, 3}, {1, 2, 1}, {2, 5}, {3, 6}, {6, 4}};

std::vector<NodeGroup> groups_of(const std::vector<int>& level) {
  std::vector<NodeGroup> groups;
  const int nodes = std::accumulate(level.begin(), level.end(), 0);
  int node = 0, product = 0;
  for (const int size : level) {
    groups.push_back({node, size, nodes, product});
    product += groups.back().products();
    node += size;
  }
  return groups;
}

// product_sets lists the products of a group in the order of their planes: which kind, and the set over nodes 1, 2, ...
std::vector<std::pair<char, int>> product_sets(const NodeGroup& group) {
  std::vector<std::pair<char, int>> sets;
  const int all = 1 << (group.size - 1);
  for (int s = 1; s < all; ++s) {
    if ((s & (s - 1)) != 0) sets.push_back({'p', s});
  }
  for (int s = 0; s < all - 1; ++s) sets.push_back({'c', s});
  for (int s = 1; group.has_eq() && s < all; ++s) sets.push_back({'q', s});
  return sets;
}

bool in(int set, int node) { return node > 0 && has(set, node - 1); }

bool product_of(const NodeGroup& group, char kind, int set, const TestPlanes& masks, int64_t e) {
  if (kind == 'c') {
    bool sum = false;
    for (int j = 0; j < group.size; ++j) {
      const bool below_all = (set & ((1 << j) - 1)) == 0;
      bool term = below_all && masks.bit(group.lt(j), e);
      for (int i = j + 1; i < group.size; ++i) term &= in(set, i) || masks.bit(group.eq(i), e);
      sum ^= term;
    }
    return sum;
  }
  bool product = kind == 'p' || masks.bit(group.eq(0), e);
  for (int i = 1; i < group.size; ++i) product &= !in(set, i) || masks.bit(group.eq(i), e);
  return product;
}

int products_of(const std::vector<NodeGroup>& groups) { return groups.back().product + groups.back().products(); }

TEST(BorrowPlanes, ProductsOfMasksAreThoseOfTheirSets) {
  std::mt19937_64 random(kSeed);
  for_each_target([&] {
    for (const auto& level : kLevels) {
      for (const int64_t words : kWords) {
        const std::vector<NodeGroup> groups = groups_of(level);
        const TestPlanes masks(2 * groups[0].nodes - 1, words, random);
        TestPlanes dealt(products_of(groups) + 1, words, random), expected = dealt;
        flip_products(groups, masks.rows(), dealt.rows(), words);
        for (const NodeGroup& group : groups) {
          int plane = group.product;
          for (const auto& [kind, set] : product_sets(group)) {
            for (int64_t e = 0; e < 64 * words; ++e) {
              expected.set(plane, e, expected.bit(plane, e) ^ product_of(group, kind, set, masks, e));
            }
            ++plane;
          }
          ASSERT_EQ(plane - group.product, group.products());
        }
        ASSERT_EQ(dealt.data, expected.data) << level.size() << " groups, " << words << " words, seed " << kSeed;
      }
    }
  });
}

// group_share is lt and eq of one group at one element, without their masks.
std::pair<bool, bool> group_share(const NodeGroup& group, const TestPlanes& opened, const TestPlanes& masks,
                                  const TestPlanes& dealt, bool one, int64_t e) {
  const int all = 1 << (group.size - 1);
  std::vector<bool> p(static_cast<size_t>(all)), c(p), q(p);
  p[0] = one;
  for (int j = 1; j < group.size; ++j) p[size_t{1} << (j - 1)] = masks.bit(group.eq(j), e);
  c[static_cast<size_t>(all - 1)] = masks.bit(group.lt(0), e);
  if (group.has_eq()) q[0] = masks.bit(group.eq(0), e);
  int plane = group.product;
  for (const auto& [kind, set] : product_sets(group)) {
    (kind == 'p' ? p : kind == 'c' ? c : q)[static_cast<size_t>(set)] = dealt.bit(plane++, e);
  }
  const auto opened_eq = [&](int node) { return opened.bit(group.eq(node), e); };
  bool lt = false, eq = false, p0 = false;
  for (int j = 0; j < group.size; ++j) {
    bool sum = false;
    for (int set = 0; set < all; ++set) {
      bool term = (set & ((1 << j) - 1)) == 0 && p[static_cast<size_t>(set)];
      for (int i = j + 1; i < group.size; ++i) term &= in(set, i) || opened_eq(i);
      sum ^= term;
    }
    if (j == 0) p0 = sum;
    lt ^= opened.bit(group.lt(j), e) && sum;
  }
  for (int set = 0; set < all; ++set) {
    bool inside = true, outside = true;
    for (int i = 1; i < group.size; ++i) {
      inside &= !in(set, i) || opened_eq(i);
      outside &= in(set, i) || opened_eq(i);
    }
    lt ^= c[static_cast<size_t>(set)] && inside;
    eq ^= q[static_cast<size_t>(set)] && outside;
  }
  if (group.has_eq()) eq ^= opened_eq(0) && p0;
  return {lt, eq};
}

TEST(BorrowPlanes, GroupsAreTheirPolynomials) {
  std::mt19937_64 random(kSeed);
  for_each_target([&] {
    for (const auto& level : kLevels) {
      for (const int64_t words : kWords) {
        const bool one = random() & 1;
        const std::vector<NodeGroup> groups = groups_of(level);
        const int nodes = static_cast<int>(groups.size());
        const TestPlanes opened(2 * groups[0].nodes - 1, words, random),
            node_masks(2 * groups[0].nodes - 1, words, random);
        const TestPlanes dealt(products_of(groups) + 1, words, random), masks(2 * nodes - 1, words, random);
        TestPlanes out(2 * nodes - 1, words, random), expected = out;
        evaluate_products(groups, opened.rows(), node_masks.rows(), dealt.rows(), one ? ~uint64_t{0} : 0, masks.rows(),
                          out.rows(), words);
        for (int node = 0; node < nodes; ++node) {
          const int eq_plane = nodes + node - 1;
          for (int64_t e = 0; e < 64 * words; ++e) {
            const auto [lt, eq] = group_share(groups[static_cast<size_t>(node)], opened, node_masks, dealt, one, e);
            expected.set(node, e, lt ^ masks.bit(node, e));
            if (node > 0) expected.set(eq_plane, e, eq ^ masks.bit(eq_plane, e));
          }
        }
        ASSERT_EQ(out.data, expected.data) << nodes << " groups, " << words << " words, seed " << kSeed;
      }
    }
  });
}

TEST(BorrowPlanes, RefuseSizesThatHaveNoLoop) {
  std::mt19937_64 random(kSeed);
  TestPlanes planes(1, 1, random);
  EXPECT_THROW(flip_monomials(std::vector<int>{6}, std::as_const(planes).rows(), planes.rows(), 0), BugError);
  EXPECT_THROW(flip_products(std::vector<NodeGroup>{{0, 7, 7, 0}}, std::as_const(planes).rows(), planes.rows(), 0),
               BugError);
}

}  // namespace
}  // namespace treville
