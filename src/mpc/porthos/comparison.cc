#include "mpc/porthos/comparison.h"

#include <algorithm>

#include "kernels/bit_planes.h"
#include "kernels/elementwise_loops.h"

namespace treville::porthos {

RingTensor open_dealer(Pass& pass, Purpose purpose, int round, const Block& block, const RingTensor& share) {
  RingTensor r = pass.words(purpose, round, block, share.ring());
  if (!pass.is_dry()) {
    dispatch(share.ring(), [&](auto zero) {
      using Word = decltype(zero);
      loops<Word>().subtract(r.as<Word>().data(), part_of<Word>(share, block).data(), block.count);
    });
  }
  return r;
}

BitPlanes deal_comparison(Pass& pass, const Comparison& comparison, const Block& block, const BitPlanes& r,
                          BitPlanes& message) {
  const BorrowPlan& plan = comparison.plan;
  const int k = comparison.k.value();
  const int bounds = comparison.bounds;
  BitPlanes masks = pass.planes(Purpose::kNodeMaskE, comparison.round, block, bounds * plan.node_masks());
  const BitPlanes masks_h = pass.planes(Purpose::kNodeMaskH, comparison.round, block, bounds * plan.node_masks());
  BitPlanes delta = pass.planes(Purpose::kBorrowMaskE, comparison.round, block, bounds);
  const BitPlanes delta_h = pass.planes(Purpose::kBorrowMaskH, comparison.round, block, bounds);
  pass.fill_planes(Purpose::kDealtBits, comparison.round, block, message, 0, comparison.dealt());
  if (pass.is_dry()) return delta;
  xor_planes(masks, 0, masks_h, 0, masks.planes());
  xor_planes(delta, 0, delta_h, 0, bounds);
  for (int bound = 0; bound < bounds; ++bound) {
    deal_borrow(plan, {&r, bound * k}, {&masks, bound * plan.node_masks()}, {&message, bound * plan.dealt()});
    xor_planes(delta, bound, r, bound * k + k - 1, 1);
  }
  return delta;
}

OpenComparison::OpenComparison(Pass& pass, const Comparison& comparison, int64_t elements)
    : pass_(pass), comparison_(comparison), is_evaluator_(pass.self() == kE) {
  for (const Block& block : blocks_of(elements)) states_.push_back({.block = block});
}

// The number of stages a party has sent grows by what the other has: E sends stage 0; whoever has received s stages
// can open them, compute one more, and send all it has not sent.
void OpenComparison::run(const RingTensor* share, const RingTensor* payload,
                         const std::function<void(const State&)>& done) {
  const int stages = comparison_.plan.stages();
  int sent = 0, received = 0, message = 0;
  if (is_evaluator_) {
    CHECK(share != nullptr, "the evaluator opens its share");
    for (State& state : states_) open(state, *share, payload);
    sent = 1;
  }
  const auto complete = [&](State& state) {
    finish(state);
    done(state);
    state = State{.block = state.block};
  };
  while (received < stages) {
    const int next = std::min(sent + 1, stages);
    const int reply = std::min(next + 1, stages);
    const bool sends = sent < stages;
    for (State& state : states_) {
      if (!is_evaluator_ && received == 0) {
        start(state);
        receive_opening(state);
      } else {
        receive(state, received, next, message);
      }
      if (sends) {
        if (reply > next) compute(state, next);
        send(state, sent, reply, message + (is_evaluator_ ? 1 : 0));
      }
      if (next == stages && !sends) complete(state);
    }
    // The other side takes the last shares of all blocks before what `done` sends.
    if (next == stages && sends) std::ranges::for_each(states_, complete);
    received = next;
    sent = std::max(sent, reply);
    ++message;
  }
}

void OpenComparison::start(State& state) {
  const Comparison& c = comparison_;
  const Block& block = state.block;
  const int masks = c.bounds * c.plan.node_masks();
  if (is_evaluator_) {
    state.dealt = pass_.planes(Purpose::kDealtBits, c.round, block, c.dealt());
  } else {
    state.dealt =
        pass_.receive_planes(kD, Phase::kOffline, Message::kDealtBits, c.round, block, c.dealt() + c.constant_planes);
    if (c.constant_words > 0) {
      const Shape shape{c.constant_words, block.count};
      const auto bytes = static_cast<size_t>(shape.elements() * bytes_of(c.ring));
      state.constants = RingTensor::adopt(
          c.ring, shape, pass_.receive(kD, Phase::kOffline, Message::kDealtWords, c.round, block.index, bytes));
    }
  }
  state.node_masks = pass_.planes(is_evaluator_ ? Purpose::kNodeMaskE : Purpose::kNodeMaskH, c.round, block, masks);
  state.borrow_mask =
      pass_.planes(is_evaluator_ ? Purpose::kBorrowMaskE : Purpose::kBorrowMaskH, c.round, block, c.bounds);
  state.own = BitPlanes(block.count, c.stage_at(c.plan.stages()), pass_.is_dry());
  state.results = BitPlanes(block.count, c.stage_at(c.plan.stages()), pass_.is_dry());
}

// E: x^ = yE' + rho + 2^(k-1), the payload without the offset, and the shares of stage 0, in one message.
void OpenComparison::open(State& state, const RingTensor& share, const RingTensor* payload) {
  const Comparison& c = comparison_;
  const int stage0 = c.stage_at(1);
  start(state);
  state.opened = BitPlanes(state.block.count, c.opened(), pass_.is_dry());
  auto put = [&](const RingTensor& y, Purpose purpose, int at, Bits width, uint64_t offset) {
    RingTensor x = pass_.words(purpose, c.round, state.block, c.ring);
    if (pass_.is_dry()) return;
    dispatch(c.ring, [&](auto zero) {
      using Word = decltype(zero);
      const std::span<Word> out = x.as<Word>();
      loops<Word>().add_with(out.data(), part_of<Word>(y, state.block).data(), static_cast<Word>(offset),
                             state.block.count);
      to_planes<Word>(out, 0, width.value(), state.opened, at);
    });
  };
  put(share, Purpose::kOpening, 0, c.k, uint64_t{1} << (c.k.value() - 1));
  if (c.payload.value() > 0) put(*payload, Purpose::kPayloadOpening, c.k.value(), c.payload, 0);
  compute(state, 0);
  BitPlanes message(state.block.count, c.opened() + stage0, pass_.is_dry());
  if (!pass_.is_dry()) {
    copy_planes(message, 0, state.opened, 0, c.opened());
    copy_planes(message, c.opened(), state.own, 0, stage0);
  }
  pass_.send_planes(kH, Phase::kOnline, Message::kShares, c.round, state.block, std::move(message));
}

void OpenComparison::receive_opening(State& state) {
  const Comparison& c = comparison_;
  state.opened =
      pass_.receive_planes(kE, Phase::kOnline, Message::kShares, c.round, state.block, c.opened() + c.stage_at(1));
  compute(state, 0);
  open_stages(state, 0, 1, state.opened, c.opened());
}

// compute writes this party's masked share of a stage; the stage before must be open.
void OpenComparison::compute(State& state, int stage) {
  if (pass_.is_dry()) return;
  const Comparison& c = comparison_;
  for (int bound = 0; bound < c.bounds; ++bound) {
    const ConstPlanes dealt{&state.dealt, bound * c.plan.dealt()};
    const Planes out{&state.own, c.stage_at(stage, bound)};
    const int masks_at = bound * c.plan.node_masks();
    const ConstPlanes result_masks = stage == c.last_stage()
                                         ? ConstPlanes{&state.borrow_mask, bound}
                                         : ConstPlanes{&state.node_masks, masks_at + c.plan.stage_at(stage)};
    if (stage == 0) {
      evaluate_chunks(c.plan, {&state.opened}, dealt, is_evaluator_, result_masks, out);
    } else {
      evaluate_level(c.plan, stage - 1, {&state.results, c.stage_at(stage - 1, bound)},
                     {&state.node_masks, masks_at + c.plan.stage_at(stage - 1)}, dealt, is_evaluator_, result_masks,
                     out);
    }
  }
}

void OpenComparison::send(State& state, int first, int last, int message) {
  const int at = comparison_.stage_at(first);
  BitPlanes planes(state.block.count, comparison_.stage_at(last) - at, pass_.is_dry());
  if (!pass_.is_dry()) copy_planes(planes, 0, state.own, at, planes.planes());
  pass_.send_planes(is_evaluator_ ? kH : kE, Phase::kOnline,
                    static_cast<Message>(static_cast<int>(Message::kShares) + message), comparison_.round, state.block,
                    std::move(planes));
}

void OpenComparison::receive(State& state, int first, int last, int message) {
  const BitPlanes peer = pass_.receive_planes(
      is_evaluator_ ? kH : kE, Phase::kOnline, static_cast<Message>(static_cast<int>(Message::kShares) + message),
      comparison_.round, state.block, comparison_.stage_at(last) - comparison_.stage_at(first));
  open_stages(state, first, last, peer, 0);
}

// open_stages adds the peer's shares to this party's own, which it computes where it has not yet.
void OpenComparison::open_stages(State& state, int first, int last, const BitPlanes& peer, int at) {
  if (pass_.is_dry()) return;
  for (int stage = first; stage < last; ++stage) {
    if (stage > first) compute(state, stage);
    const int begin = comparison_.stage_at(stage);
    const int count = comparison_.stage_at(stage + 1) - begin;
    xor_planes_of(state.results, begin, state.own, begin, peer, at, count);
    at += count;
  }
}

// finish: e = X xor c^ for every bound.
void OpenComparison::finish(State& state) {
  const Comparison& c = comparison_;
  state.e = BitPlanes(state.block.count, c.bounds, pass_.is_dry());
  if (pass_.is_dry()) return;
  copy_planes(state.e, 0, state.results, c.stage_at(c.last_stage()), c.bounds);
  for (int bound = 0; bound < c.bounds; ++bound) xor_planes(state.e, bound, state.opened, c.k.value() - 1, 1);
}

}  // namespace treville::porthos
