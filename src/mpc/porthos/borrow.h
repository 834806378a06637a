// The borrow c = [x < r] of a public x and a secret r that the dealer knows, on bit planes: what the dealer shares, and
// how the evaluator and the helper compute their shares of c from it. Nothing here sends or draws: the messages are in
// comparison.cc, the loops in kernels/borrow_planes.h. From docs/protocols/porthos.md, section 7.
#pragma once

#include <vector>

#include "tensor/bit_planes.h"

namespace treville::porthos {

// BorrowPlan says how the bits are cut. The lowest chunk comes first; each chunk becomes a node (lt, eq). A level
// combines groups of neighbouring nodes to one node each, until one is left, whose lt is the borrow. The masked results
// of the chunks and of each level are opened in stages; the last stage is the borrow itself.
class BorrowPlan {
 public:
  // make plans for 1..62 bits: chunks of four and one level for up to five chunks; beyond that the chunk size and the
  // two levels that move the fewest bits.
  static BorrowPlan make(int bits);
  BorrowPlan(std::vector<int> chunks, std::vector<std::vector<int>> levels);

  int bits() const { return bits_; }
  const std::vector<int>& chunks() const { return chunks_; }
  const std::vector<int>& level(int i) const { return levels_[static_cast<size_t>(i)]; }
  int levels() const { return static_cast<int>(levels_.size()); }
  int stages() const { return levels() + 1; }
  // nodes of a stage; its planes are lt of every node, then eq of every node but the lowest.
  int nodes(int stage) const {
    return static_cast<int>(stage == 0 ? chunks_.size() : levels_[static_cast<size_t>(stage - 1)].size());
  }
  int stage_planes(int stage) const { return 2 * nodes(stage) - 1; }
  // stage_at is the first plane of a stage when all stages lie one after the other; stage_at(stages()) is their number.
  int stage_at(int stage) const;
  // node_masks counts the mask bits of all stages but the last.
  int node_masks() const { return stage_at(levels()); }
  // Bits dealt: the monomials of all chunks, then the products of each level.
  int monomials() const;
  int products(int level) const;
  int dealt() const;

 private:
  int bits_ = 0;
  std::vector<int> chunks_;
  std::vector<std::vector<int>> levels_;
};

// Planes is a run of planes inside a BitPlanes, beginning at `at`.
struct ConstPlanes {
  const BitPlanes* planes;
  int at = 0;
};
struct Planes {
  BitPlanes* planes;
  int at = 0;
};

// deal_borrow XORs the bits that the dealer shares into `dealt` (plan.dealt() planes, which hold the other half
// before).
//   r      plan.bits() planes
//   masks  plan.node_masks() planes: the masks themselves
void deal_borrow(const BorrowPlan& plan, ConstPlanes r, ConstPlanes masks, Planes dealt);

// evaluate_chunks writes this party's share of stage 0 (plan.stage_planes(0) planes), masked, to `out`.
//   x             plan.bits() public planes
//   dealt         this party's half of what deal_borrow shares
//   evaluator     whether this is the party that adds public constants
//   result_masks  this party's half of the masks of stage 0; of the borrow where that is the last stage
void evaluate_chunks(const BorrowPlan& plan, ConstPlanes x, ConstPlanes dealt, bool evaluator, ConstPlanes result_masks,
                     Planes out);

// evaluate_level writes this party's share of stage level + 1, masked, to `out`.
//   opened        the masked results of stage `level`, public
//   masks         this party's half of the masks of that stage
//   dealt         as above
//   result_masks  as above, for stage level + 1
void evaluate_level(const BorrowPlan& plan, int level, ConstPlanes opened, ConstPlanes masks, ConstPlanes dealt,
                    bool evaluator, ConstPlanes result_masks, Planes out);

}  // namespace treville::porthos
