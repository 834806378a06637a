#include "mpc/porthos/borrow.h"

#include <array>
#include <cstring>
#include <numeric>
#include <type_traits>

namespace treville::porthos {
namespace {

constexpr int kMaxChunk = 5;
constexpr int kMaxGroup = 6;

// Products of a group of g nodes (section 7): the products of two or more eq masks, the merged coefficients of lt that
// are not a single mask, and for eq those with the lowest node's mask.
constexpr int lt_products(int g) { return (1 << g) - g - 1; }
constexpr int eq_products(int g) { return (1 << (g - 1)) - 1; }

// Bit-sliced code runs on 512 elements at a time, and on 64 at the tail: a Wide has the operators of a word.
constexpr int kWideWords = 8;
typedef uint64_t Wide __attribute__((vector_size(kWideWords * 8)));

// Input and Output see a run of planes as values of V at a word index.
class Input {
 public:
  explicit Input(ConstPlanes p)
      : data_(p.planes->storage().as<uint64_t>().data() + p.at * p.planes->words()), stride_(p.planes->words()) {}
  template <class V>
  void get(int plane, int64_t word, V& value) const {
    std::memcpy(&value, data_ + plane * stride_ + word, sizeof(V));
  }

 private:
  const uint64_t* data_;
  int64_t stride_;
};

class Output {
 public:
  explicit Output(Planes p)
      : data_(p.planes->storage().as<uint64_t>().data() + p.at * p.planes->words()), stride_(p.planes->words()) {}
  template <class V>
  void set(int plane, int64_t word, const V& value) const {
    std::memcpy(data_ + plane * stride_ + word, &value, sizeof(V));
  }
  template <class V>
  void flip(int plane, int64_t word, const V& value) const {
    V old;
    std::memcpy(&old, data_ + plane * stride_ + word, sizeof(V));
    old ^= value;
    std::memcpy(data_ + plane * stride_ + word, &old, sizeof(V));
  }

 private:
  uint64_t* data_;
  int64_t stride_;
};

// for_words calls f with a vector or a word for each run of elements.
template <class F>
void for_words(int64_t words, F&& f) {
  int64_t word = 0;
  for (; word + kWideWords <= words; word += kWideWords) f(std::type_identity<Wide>{}, word);
  for (; word < words; ++word) f(std::type_identity<uint64_t>{}, word);
}

// Products of one group: node j >= 1 has variable j - 1 of the products' index sets.
//   p[S]  product of the eq masks in S
//   c[R]  what multiplies the product of the opened eq in R, from the lt masks
//   q[S]  p[S] times the eq mask of the group's lowest node (only where the group's eq is needed)
template <class V>
struct GroupProducts {
  std::array<V, 1 << (kMaxGroup - 1)> p, c, q;
};

// visit_products calls f(plane, value) for every product that is dealt, in the order of the planes.
template <class V, class F>
void visit_products(GroupProducts<V>& products, int group, bool with_eq, F&& f) {
  const int sets = 1 << (group - 1);
  int plane = 0;
  for (int s = 1; s < sets; ++s) {
    if ((s & (s - 1)) != 0) f(plane++, products.p[static_cast<size_t>(s)]);
  }
  for (int s = 0; s < sets - 1; ++s) f(plane++, products.c[static_cast<size_t>(s)]);
  for (int s = 1; with_eq && s < sets; ++s) f(plane++, products.q[static_cast<size_t>(s)]);
}

// Where the masks and results of a group lie in its stage: lt of node n at plane n, eq at nodes + n - 1.
struct Group {
  int first;  // node
  int size;
  int nodes;    // of the stage
  int product;  // its first product
  bool with_eq() const { return first > 0; }
  int lt(int node) const { return first + node; }
  int eq(int node) const { return nodes + first + node - 1; }
  int products() const { return lt_products(size) + (with_eq() ? eq_products(size) : 0); }
};

std::vector<Group> groups_of(const BorrowPlan& plan, int level) {
  std::vector<Group> groups;
  int node = 0, product = 0;
  for (const int size : plan.level(level)) {
    groups.push_back({node, size, plan.nodes(level), product});
    product += groups.back().products();
    node += size;
  }
  return groups;
}

// multiply_masks fills all products of a group from its masks.
template <class V>
void multiply_masks(const Group& group, const Input& masks, int64_t word, GroupProducts<V>& out) {
  V bit;
  out.p[0] = ~V{};
  masks.get(group.lt(0), word, out.c[0]);
  for (int node = 1; node < group.size; ++node) {
    const size_t half = size_t{1} << (node - 1);
    masks.get(group.eq(node), word, bit);
    for (size_t s = 0; s < half; ++s) {
      out.p[half | s] = out.p[s] & bit;
      out.c[half | s] = out.c[s];
      out.c[s] &= bit;
    }
    masks.get(group.lt(node), word, bit);
    out.c[0] ^= bit;
  }
  if (!group.with_eq()) return;
  masks.get(group.eq(0), word, bit);
  for (size_t s = 0; s < size_t{1} << (group.size - 1); ++s) out.q[s] = out.p[s] & bit;
}

void deal_chunks(const BorrowPlan& plan, const Input& r, const Output& dealt, int64_t words) {
  for_words(words, [&](auto type, int64_t word) {
    using V = typename decltype(type)::type;
    std::array<V, 1 << kMaxChunk> monomials;
    int bit = 0, plane = 0;
    for (const int size : plan.chunks()) {
      monomials[0] = ~V{};
      for (int j = 0; j < size; ++j) {
        V value;
        r.get(bit++, word, value);
        for (size_t s = 0; s < size_t{1} << j; ++s) monomials[(size_t{1} << j) | s] = monomials[s] & value;
      }
      for (int s = 1; s < 1 << size; ++s) dealt.flip(plane++, word, monomials[static_cast<size_t>(s)]);
    }
  });
}

std::vector<int> balanced(int nodes, int group) {
  const int count = (nodes + group - 1) / group;
  std::vector<int> sizes;
  for (int i = 0; i < count; ++i) sizes.push_back(nodes / count + (i < nodes % count ? 1 : 0));
  return sizes;
}

std::vector<int> cut(int bits, int chunk) {
  std::vector<int> chunks(static_cast<size_t>(bits / chunk), chunk);
  if (bits % chunk != 0) chunks.push_back(bits % chunk);
  return chunks;
}

int moved_bits(const BorrowPlan& plan) { return plan.dealt() + 2 * plan.stage_at(plan.stages()); }

}  // namespace

BorrowPlan::BorrowPlan(std::vector<int> chunks, std::vector<std::vector<int>> levels)
    : bits_(std::accumulate(chunks.begin(), chunks.end(), 0)), chunks_(std::move(chunks)), levels_(std::move(levels)) {
  for (const int chunk : chunks_) CHECK(chunk >= 1 && chunk <= kMaxChunk, "a chunk of {} bits", chunk);
  for (int i = 0; i < this->levels(); ++i) {
    for (const int group : level(i)) CHECK(group >= 1 && group <= kMaxGroup, "a group of {} nodes", group);
    CHECK(std::accumulate(level(i).begin(), level(i).end(), 0) == nodes(i), "level {} does not cover its nodes", i);
  }
  CHECK(nodes(this->levels()) == 1, "a borrow ends in one node, not {}", nodes(this->levels()));
}

BorrowPlan BorrowPlan::make(int bits) {
  CHECK(bits >= 1 && bits <= 62, "a borrow of {} bits (1 to 62)", bits);
  constexpr int kUsualChunk = 4, kOneLevel = 5;
  std::vector<int> chunks = cut(bits, kUsualChunk);
  const int usual = static_cast<int>(chunks.size());
  if (usual == 1) return BorrowPlan(std::move(chunks), {});
  if (usual <= kOneLevel) return BorrowPlan(std::move(chunks), {{usual}});
  std::vector<BorrowPlan> plans;
  for (int chunk = 2; chunk <= kMaxChunk; ++chunk) {
    chunks = cut(bits, chunk);
    for (int group = 2; group <= kMaxGroup; ++group) {
      std::vector<int> first = balanced(static_cast<int>(chunks.size()), group);
      const int second = static_cast<int>(first.size());
      if (second > 1 && second <= kMaxGroup) plans.emplace_back(chunks, std::vector<std::vector<int>>{first, {second}});
    }
  }
  CHECK(!plans.empty(), "no plan for {} bits", bits);
  const BorrowPlan* best = &plans.front();
  for (const BorrowPlan& plan : plans) {
    if (moved_bits(plan) < moved_bits(*best)) best = &plan;
  }
  return *best;
}

int BorrowPlan::stage_at(int stage) const {
  int planes = 0;
  for (int s = 0; s < stage; ++s) planes += stage_planes(s);
  return planes;
}

int BorrowPlan::monomials() const {
  int planes = 0;
  for (const int chunk : chunks_) planes += (1 << chunk) - 1;
  return planes;
}

int BorrowPlan::products(int level) const {
  int planes = 0;
  for (const Group& group : groups_of(*this, level)) planes += group.products();
  return planes;
}

int BorrowPlan::dealt() const {
  int planes = monomials();
  for (int i = 0; i < levels(); ++i) planes += products(i);
  return planes;
}

void deal_borrow(const BorrowPlan& plan, ConstPlanes r, ConstPlanes masks, Planes dealt) {
  const int64_t words = dealt.planes->words();
  deal_chunks(plan, Input(r), Output(dealt), words);
  int at = dealt.at + plan.monomials();
  for (int level = 0; level < plan.levels(); ++level) {
    const std::vector<Group> groups = groups_of(plan, level);
    const Input in({masks.planes, masks.at + plan.stage_at(level)});
    const Output out({dealt.planes, at});
    for_words(words, [&](auto type, int64_t word) {
      using V = typename decltype(type)::type;
      GroupProducts<V> products;
      for (const Group& group : groups) {
        multiply_masks(group, in, word, products);
        visit_products(products, group.size, group.with_eq(),
                       [&](int plane, V& value) { out.flip(group.product + plane, word, value); });
      }
    });
    at += plan.products(level);
  }
}

void evaluate_chunks(const BorrowPlan& plan, ConstPlanes x, ConstPlanes dealt, bool evaluator, Planes out) {
  const Input value(x), shares(dealt);
  const Output result(out);
  const int nodes = plan.nodes(0);
  for_words(out.planes->words(), [&](auto type, int64_t word) {
    using V = typename decltype(type)::type;
    std::array<V, 1 << kMaxChunk> m;  // shares of monomials of the bits not yet compared, times eq of those that are
    int bit = 0, plane = 0;
    for (int node = 0; node < nodes; ++node) {
      const int size = plan.chunks()[static_cast<size_t>(node)];
      const size_t keep = node == 0 ? 1 : 0;  // the lowest chunk needs no eq
      m[0] = evaluator ? ~V{} : V{};
      for (int s = 1; s < 1 << size; ++s) shares.get(plane++, word, m[static_cast<size_t>(s)]);
      V lt{}, clear;
      for (int j = size - 1; j >= 0; --j) {
        value.get(bit + j, word, clear);
        clear = ~clear;
        const size_t half = size_t{1} << j;
        lt ^= clear & m[half];
        for (size_t s = keep; s < half; ++s) m[s] = m[half | s] ^ (clear & m[s]);
      }
      bit += size;
      result.set(node, word, lt);
      if (node > 0) result.set(nodes + node - 1, word, m[0]);
    }
  });
}

void evaluate_level(const BorrowPlan& plan, int level, ConstPlanes opened, ConstPlanes masks, ConstPlanes dealt,
                    bool evaluator, Planes out) {
  int at = dealt.at + plan.monomials();
  for (int i = 0; i < level; ++i) at += plan.products(i);
  const Input value(opened), mask(masks), shares({dealt.planes, at});
  const Output result(out);
  const std::vector<Group> groups = groups_of(plan, level);
  const int nodes = static_cast<int>(groups.size());
  for_words(out.planes->words(), [&](auto type, int64_t word) {
    using V = typename decltype(type)::type;
    GroupProducts<V> m;
    for (int node = 0; node < nodes; ++node) {
      const Group& group = groups[static_cast<size_t>(node)];
      m.p[0] = evaluator ? ~V{} : V{};
      for (int j = 1; j < group.size; ++j) mask.get(group.eq(j), word, m.p[size_t{1} << (j - 1)]);
      mask.get(group.lt(0), word, m.c[(size_t{1} << (group.size - 1)) - 1]);
      if (group.with_eq()) mask.get(group.eq(0), word, m.q[0]);
      visit_products(m, group.size, group.with_eq(),
                     [&](int plane, V& share) { shares.get(group.product + plane, word, share); });
      V lt{}, bit;
      for (int j = group.size - 1; j >= 1; --j) {
        value.get(group.lt(j), word, bit);
        lt ^= bit & m.p[0];
        value.get(group.eq(j), word, bit);
        const size_t half = size_t{1} << (j - 1);
        for (size_t s = 0; s < half; ++s) {
          m.p[s] = m.p[half | s] ^ (bit & m.p[s]);
          m.c[s] ^= bit & m.c[half | s];
        }
        for (size_t s = 0; group.with_eq() && s < half; ++s) m.q[s] = m.q[half | s] ^ (bit & m.q[s]);
      }
      value.get(group.lt(0), word, bit);
      result.set(node, word, V(lt ^ (bit & m.p[0]) ^ m.c[0]));
      if (!group.with_eq()) continue;
      value.get(group.eq(0), word, bit);
      result.set(nodes + node - 1, word, V((bit & m.p[0]) ^ m.q[0]));
    }
  });
}

}  // namespace treville::porthos
