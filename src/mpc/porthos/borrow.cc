#include "mpc/porthos/borrow.h"

#include <numeric>

#include "kernels/borrow_planes.h"

namespace treville::porthos {
namespace {

ConstPlaneRows rows(ConstPlanes p) {
  const int64_t words = p.planes->words();
  return {p.planes->storage().as<uint64_t>().data() + p.at * words, words};
}
PlaneRows rows(Planes p) {
  const int64_t words = p.planes->words();
  return {p.planes->storage().as<uint64_t>().data() + p.at * words, words};
}

// one_of is this party's share of the constant 1.
uint64_t one_of(bool evaluator) { return evaluator ? ~uint64_t{0} : 0; }

std::vector<NodeGroup> groups_of(const BorrowPlan& plan, int level) {
  std::vector<NodeGroup> groups;
  int node = 0, product = 0;
  for (const int size : plan.level(level)) {
    groups.push_back({node, size, plan.nodes(level), product});
    product += groups.back().products();
    node += size;
  }
  return groups;
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
  for (const int chunk : chunks_) CHECK(chunk >= 1 && chunk <= kMaxChunkBits, "a chunk of {} bits", chunk);
  for (int i = 0; i < this->levels(); ++i) {
    for (const int group : level(i)) CHECK(group >= 1 && group <= kMaxGroupNodes, "a group of {} nodes", group);
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
  for (int chunk = 2; chunk <= kMaxChunkBits; ++chunk) {
    chunks = cut(bits, chunk);
    for (int group = 2; group <= kMaxGroupNodes; ++group) {
      std::vector<int> first = balanced(static_cast<int>(chunks.size()), group);
      const int second = static_cast<int>(first.size());
      if (second > 1 && second <= kMaxGroupNodes)
        plans.emplace_back(chunks, std::vector<std::vector<int>>{first, {second}});
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
  for (const NodeGroup& group : groups_of(*this, level)) planes += group.products();
  return planes;
}

int BorrowPlan::dealt() const {
  int planes = monomials();
  for (int i = 0; i < levels(); ++i) planes += products(i);
  return planes;
}

void deal_borrow(const BorrowPlan& plan, ConstPlanes r, ConstPlanes masks, Planes dealt) {
  const int64_t words = dealt.planes->words();
  flip_monomials(plan.chunks(), rows(r), rows(dealt), words);
  int at = dealt.at + plan.monomials();
  for (int level = 0; level < plan.levels(); ++level) {
    flip_products(groups_of(plan, level), rows(ConstPlanes{masks.planes, masks.at + plan.stage_at(level)}),
                  rows(Planes{dealt.planes, at}), words);
    at += plan.products(level);
  }
}

void evaluate_chunks(const BorrowPlan& plan, ConstPlanes x, ConstPlanes dealt, bool evaluator, ConstPlanes result_masks,
                     Planes out) {
  evaluate_monomials(plan.chunks(), rows(x), rows(dealt), one_of(evaluator), rows(result_masks), rows(out),
                     out.planes->words());
}

void evaluate_level(const BorrowPlan& plan, int level, ConstPlanes opened, ConstPlanes masks, ConstPlanes dealt,
                    bool evaluator, ConstPlanes result_masks, Planes out) {
  int at = dealt.at + plan.monomials();
  for (int i = 0; i < level; ++i) at += plan.products(i);
  evaluate_products(groups_of(plan, level), rows(opened), rows(masks), rows(ConstPlanes{dealt.planes, at}),
                    one_of(evaluator), rows(result_masks), rows(out), out.planes->words());
}

}  // namespace treville::porthos
