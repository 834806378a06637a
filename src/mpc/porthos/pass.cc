#include "mpc/porthos/pass.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "kernels/bit_planes.h"
#include "kernels/elementwise_loops.h"
#ifdef TREVILLE_MASK_FAULTS
#include "mpc/porthos/mask_faults.h"
#endif

namespace treville::porthos {
namespace {

// run_of is the words of planes [at, at + count).
std::span<uint64_t> run_of(BitPlanes& planes, int at, int count) {
  const auto words = static_cast<size_t>(planes.words());
  return planes.storage().as<uint64_t>().subspan(static_cast<size_t>(at) * words, static_cast<size_t>(count) * words);
}
std::span<const uint64_t> run_of(const BitPlanes& planes, int at, int count) {
  const auto words = static_cast<size_t>(planes.words());
  return planes.storage().as<uint64_t>().subspan(static_cast<size_t>(at) * words, static_cast<size_t>(count) * words);
}

}  // namespace

std::vector<Block> blocks_of(int64_t elements) {
  CHECK(elements <= kBlockElements << 16, "a tensor of {} elements has too many blocks", elements);
  std::vector<Block> blocks;
  for (int64_t first = 0; first < elements; first += kBlockElements) {
    blocks.push_back({static_cast<int>(blocks.size()), first, std::min(kBlockElements, elements - first)});
  }
  return blocks;
}

void Handover::put(RingTensor tensor) {
  if (tensor.is_dry()) return;
  tensor.storage().count_in(nullptr);
  const std::lock_guard lock(mutex_);
  tensors_.push_back(std::move(tensor));
  ready_.notify_one();
}

RingTensor Handover::take(const Network& network) {
  constexpr auto kLook = std::chrono::milliseconds(50);  // for a failure of the session, which does not wake us
  std::unique_lock lock(mutex_);
  while (!ready_.wait_for(lock, kLook, [&] { return !tensors_.empty(); })) network.check();
  RingTensor tensor = std::move(tensors_.front());
  tensors_.pop_front();
  tensor.storage().count_in(MeterScope::current());
  return tensor;
}

std::vector<RingTensor> Handover::take_all() {
  const std::lock_guard lock(mutex_);
  std::vector<RingTensor> tensors(std::move_iterator(tensors_.begin()), std::move_iterator(tensors_.end()));
  tensors_.clear();
  return tensors;
}

Pass::Pass(Session& session, Phase phase) : session_(session), phase_(phase) { use_keys(session.keys); }

void Pass::use_keys(const SessionKeys& keys) {
  auto open = [&](std::optional<Prg>& prg, const std::optional<Key>& key) {
    prg.reset();
    if (key) prg.emplace(*key, session_.audit);
  };
  open(dealer_evaluator_, keys.dealer_evaluator);
  open(dealer_helper_, keys.dealer_helper);
  open(weights_, keys.weights);
}

void Pass::begin_step(StepId step, std::string_view name) {
  step_ = index_of(step);
  const std::string text = fmt::format("step {} {}", step_, name);
  session_.network->set_step_name(phase_, text);
  // E has no offline walk: its online walk reads what arrives offline.
  if (self() == kE) session_.network->set_step_name(Phase::kOffline, text);
}

Prg& Pass::prg(Purpose purpose) {
  const KeyName name = key_of(purpose);
  std::optional<Prg>& prg = name == KeyName::kDealerEvaluator ? dealer_evaluator_
                            : name == KeyName::kDealerHelper  ? dealer_helper_
                                                              : weights_;
  CHECK(prg.has_value(), "party {} does not hold the key of purpose {}", self(), static_cast<int>(purpose));
  return *prg;
}

void Pass::fill(Purpose purpose, int round, int block, std::span<std::byte> out) {
  CHECK(round >= 0 && round < kMaxRounds, "round {} of a step", round);
  PrgPosition position{inference_, step_, with_round(static_cast<uint8_t>(purpose), round),
                       static_cast<uint16_t>(block)};
#ifdef TREVILLE_MASK_FAULTS
  MaskFaults::move(position);
#endif
  prg(purpose).fill(position, out);
#ifdef TREVILLE_MASK_FAULTS
  MaskFaults::spoil(purpose, out);
#endif
}

RingTensor Pass::words(Purpose purpose, int round, const Block& block, Ring ring, int per_element) {
  RingTensor result = RingTensor::make(ring, {per_element, block.count}, is_dry());
  if (!is_dry()) fill(purpose, round, block.index, {result.storage().data(), result.bytes()});
  return result;
}

BitPlanes Pass::planes(Purpose purpose, int round, const Block& block, int count) {
  BitPlanes result(block.count, count, is_dry());
  fill_planes(purpose, round, block, result, 0, count);
  return result;
}

void Pass::fill_planes(Purpose purpose, int round, const Block& block, BitPlanes& out, int at, int count) {
  if (is_dry() || count == 0) return;
  fill(purpose, round, block.index, std::as_writable_bytes(run_of(out, at, count)));
}

void Pass::fill_block(Purpose purpose, int round, const Block& block, RingTensor& out) {
  if (is_dry()) return;
  dispatch(out.ring(), [&](auto zero) {
    fill(purpose, round, block.index, std::as_writable_bytes(part_of<decltype(zero)>(out, block)));
  });
}

MessageTag Pass::tag(Message message, int round, int block) const {
  return {inference_, step_, with_round(static_cast<uint8_t>(message), round), static_cast<uint16_t>(block)};
}

void Pass::send(PartyId to, Phase phase, Message message, int round, int block, Buffer payload) {
  session_.network->channel(to, phase).send(tag(message, round, block), std::move(payload));
}

Buffer Pass::receive(PartyId from, Phase phase, Message message, int round, int block, size_t bytes) {
  return session_.network->channel(from, phase).receive(tag(message, round, block), bytes);
}

void Pass::send_planes(PartyId to, Phase phase, Message message, int round, const Block& block, BitPlanes planes) {
  if (planes.planes() > 0) send(to, phase, message, round, block.index, std::move(planes).release());
}

BitPlanes Pass::receive_planes(PartyId from, Phase phase, Message message, int round, const Block& block, int count) {
  if (count == 0) return BitPlanes(block.count, 0, is_dry());
  return BitPlanes::adopt(block.count, count,
                          receive(from, phase, message, round, block.index, BitPlanes::bytes_for(block.count, count)));
}

void Pass::send_residues(PartyId to, Phase phase, Message message, int round, const Block& block, RingTensor values,
                         Bits modulus) {
  if (modulus == bits_of(values.ring())) {
    send(to, phase, message, round, block.index, std::move(values.storage()));
    return;
  }
  BitPlanes planes(block.count, modulus.value(), is_dry());
  if (!is_dry()) {
    dispatch(values.ring(), [&](auto zero) {
      using Word = decltype(zero);
      to_planes<Word>(values.as<Word>(), 0, modulus.value(), planes);
    });
  }
  send_planes(to, phase, message, round, block, std::move(planes));
}

RingTensor Pass::receive_residues(PartyId from, Phase phase, Message message, int round, const Block& block, Ring ring,
                                  Bits modulus) {
  if (modulus == bits_of(ring)) {
    const auto bytes = static_cast<size_t>(block.count * bytes_of(ring));
    return RingTensor::adopt(ring, {block.count}, receive(from, phase, message, round, block.index, bytes));
  }
  const BitPlanes planes = receive_planes(from, phase, message, round, block, modulus.value());
  return unpacked(planes, 0, modulus.value(), ring);
}

RingTensor expanded(const BitPlanes& planes, int plane, Ring ring) {
  RingTensor result = RingTensor::make(ring, {planes.elements()}, planes.is_dry());
  if (!planes.is_dry()) {
    dispatch(ring, [&](auto zero) { expand_mask<decltype(zero)>(planes.plane(plane), result.as<decltype(zero)>()); });
  }
  return result;
}

RingTensor unpacked(const BitPlanes& planes, int at, int count, Ring ring) {
  RingTensor result = RingTensor::make(ring, {planes.elements()}, planes.is_dry());
  if (!planes.is_dry()) {
    dispatch(ring, [&](auto zero) {
      using Word = decltype(zero);
      from_planes<Word>(planes, at, count, result.as<Word>());
    });
  }
  return result;
}

RingTensor words_of(const RingTensor& y, const Block& block) {
  RingTensor words = RingTensor::make(y.ring(), {block.count}, y.is_dry());
  if (!y.is_dry()) {
    dispatch(y.ring(), [&](auto zero) {
      using Word = decltype(zero);
      std::ranges::copy(part_of<Word>(y, block), words.as<Word>().begin());
    });
  }
  return words;
}

void set_block(RingTensor& y, const Block& block, const RingTensor& x) {
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto zero) {
    using Word = decltype(zero);
    std::ranges::copy(x.as<Word>(), part_of<Word>(y, block).begin());
  });
}

void add_block(RingTensor& y, const Block& block, const RingTensor& x) {
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto zero) {
    using Word = decltype(zero);
    loops<Word>().add(part_of<Word>(y, block).data(), x.as<Word>().data(), block.count);
  });
}

void xor_planes(BitPlanes& y, int y_at, const BitPlanes& x, int x_at, int count) {
  xor_words(run_of(y, y_at, count), run_of(x, x_at, count));
}

void xor_planes_of(BitPlanes& y, int y_at, const BitPlanes& a, int a_at, const BitPlanes& b, int b_at, int count) {
  xor_words_of(run_of(y, y_at, count), run_of(a, a_at, count), run_of(b, b_at, count));
}

void copy_planes(BitPlanes& y, int y_at, const BitPlanes& x, int x_at, int count) {
  std::ranges::copy(run_of(x, x_at, count), run_of(y, y_at, count).begin());
}

}  // namespace treville::porthos
