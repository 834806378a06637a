// The comparison that all non-linear sub-protocols share: a value y' is opened to E and H as x^ = Y + r with
// Y = y' + 2^(k-1), and the borrow c = [x^ mod 2^(k-1) < r mod 2^(k-1)] is opened to them masked by gamma, for one or
// two bounds r. Then d = [y' >= bound] = e xor delta with e = X xor c^ public to E and H and delta = rt xor gamma known
// to D. What is computed from d is the caller's. From docs/protocols/porthos.md, sections 6 and 7.
//
//   offline  D -> H  the bits of the borrow, and the caller's constants in the same planes
//   online   E -> H  x^ (k planes), the opened payload if there is one, E's shares of stage 0
//            then in turns, H first: shares of the stages that are open next, until the borrow is open to both
#pragma once

#include <functional>
#include <vector>

#include "mpc/porthos/borrow.h"
#include "mpc/porthos/pass.h"

namespace treville::porthos {

// Comparison says what is compared; all parties make the same.
struct Comparison {
  Ring ring = Ring::k32;
  Bits k;
  int bounds = 1;           // 2 for a clip
  Bits payload{};           // width of a second value opened with y', 0 for none
  int constant_planes = 0;  // the caller's constants: planes after the bits of the borrow,
  int constant_words = 0;   // and words of the ring
  int round = 0;
  BorrowPlan plan;  // BorrowPlan::make(k - 1)

  int opened() const { return k.value() + payload.value(); }
  int dealt() const { return bounds * plan.dealt(); }
  // Stages of all bounds lie stage by stage, bound by bound.
  int stage_at(int stage) const { return bounds * plan.stage_at(stage); }
  int stage_at(int stage, int bound) const { return stage_at(stage) + bound * plan.stage_planes(stage); }
  int last_stage() const { return plan.stages() - 1; }
};

// open_dealer draws rho and returns r = rho - yD' for a block of D's share, whole words (reduce them to k bits).
RingTensor open_dealer(Pass& pass, Purpose purpose, int round, const Block& block, const RingTensor& share);

// deal_comparison is D's half for one block: it fills the first dealt() planes of `message` (H's half) and returns
// delta, one plane for each bound.
//   r        k planes for each bound
//   message  dealt() + constant_planes planes
BitPlanes deal_comparison(Pass& pass, const Comparison& comparison, const Block& block, const BitPlanes& r,
                          BitPlanes& message);

// OpenComparison is the online half, of E and of H, for all blocks of a tensor.
class OpenComparison {
 public:
  // State of one block. When it is done: opened holds x^ (and the payload), e one plane for each bound.
  struct State {
    Block block{};
    BitPlanes opened{};
    BitPlanes dealt{};           // this party's half; at H followed by its constants,
    RingTensor constants{};      // and those of full width, [constant_words, block] (H)
    BitPlanes node_masks{};      // this party's half, bound by bound
    BitPlanes borrow_mask{};     // the same, one plane for each bound
    BitPlanes own{}, results{};  // shares of all stages, and what was opened
    BitPlanes e{};
  };

  OpenComparison(Pass& pass, const Comparison& comparison, int64_t elements);

  // run opens everything; `done` is called for each block as soon as its borrow is known.
  //   share, payload  E's additive shares (null at H)
  void run(const RingTensor* share, const RingTensor* payload, const std::function<void(const State&)>& done);

 private:
  void start(State& state);
  void open(State& state, const RingTensor& share, const RingTensor* payload);
  void compute(State& state, int stage);
  void send(State& state, int first, int last, int message);
  void receive(State& state, int first, int last, int message);
  void receive_opening(State& state);
  void open_stages(State& state, int first, int last, const BitPlanes& peer, int at);
  void finish(State& state);

  Pass& pass_;
  Comparison comparison_;
  bool is_evaluator_;
  std::vector<State> states_;
};

}  // namespace treville::porthos
