// Pass is what every sub-protocol of Porthos runs on: who and where we are in the walk, draws from the pairwise keys,
// and messages, all by blocks of elements. In a dry run it draws nothing and its tensors have no storage, so that
// sub-protocols read: make (dry or stored), compute unless dry, send.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "mpc/porthos/purpose.h"
#include "party/session.h"
#include "tensor/bit_planes.h"
#include "tensor/ring_tensor.h"

namespace treville::porthos {

inline constexpr PartyId kD = PartyId::kDealer, kE = PartyId::kEvaluator, kH = PartyId::kHelper;

// Block is a run of elements of a tensor whose material and messages travel together.
struct Block {
  int index = 0;
  int64_t first = 0;
  int64_t count = 0;
};
inline constexpr int64_t kBlockElements = int64_t{1} << 16;
std::vector<Block> blocks_of(int64_t elements);

template <class Word>
std::span<Word> part_of(RingTensor& tensor, const Block& block) {
  return tensor.as<Word>().subspan(static_cast<size_t>(block.first), static_cast<size_t>(block.count));
}
template <class Word>
std::span<const Word> part_of(const RingTensor& tensor, const Block& block) {
  return tensor.as<Word>().subspan(static_cast<size_t>(block.first), static_cast<size_t>(block.count));
}

// Handover gives tensors from a party's offline walk to its online walk, in the order of the program: D's halves of
// outputs, H's masks of the operands of products. What waits here counts in no walk's memory, like what waits in a
// channel; a dry tensor is not kept.
class Handover {
 public:
  void put(RingTensor tensor);
  // take waits for the offline walk, which is as far as its peers let it be; throws PeerError when the session fails.
  RingTensor take(const Network& network);
  // take_all takes what is there.
  std::vector<RingTensor> take_all();

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<RingTensor> tensors_;
};

class Pass {
 public:
  Pass(Session& session, Phase phase);

  PartyId self() const { return session_.self; }
  Phase phase() const { return phase_; }
  bool is_dry() const { return session_.is_dry(); }
  // plays: whether this pass is the given party's half of the given phase.
  bool plays(PartyId party, Phase phase) const { return self() == party && phase_ == phase; }
  // holds_plane: whether this pass carries planes of additive values (D offline, E online).
  bool holds_plane() const { return plays(kD, Phase::kOffline) || plays(kE, Phase::kOnline); }

  const Network& network() const { return *session_.network; }
  void begin_inference(uint32_t inference) { inference_ = inference; }
  // use_keys draws from other keys from here on.
  void use_keys(const SessionKeys& keys);
  void begin_step(StepId step, std::string_view name);

  // Draws. fill writes `out` from the key of the purpose; words and planes make what they fill.
  void fill(Purpose purpose, int round, int block, std::span<std::byte> out);
  RingTensor words(Purpose purpose, int round, const Block& block, Ring ring, int per_element = 1);
  BitPlanes planes(Purpose purpose, int round, const Block& block, int count);
  // fill_planes draws planes [at, at + count) of `out`.
  void fill_planes(Purpose purpose, int round, const Block& block, BitPlanes& out, int at, int count);
  // fill_block draws one block of a tensor.
  void fill_block(Purpose purpose, int round, const Block& block, RingTensor& out);

  void send(PartyId to, Phase phase, Message message, int round, int block, Buffer payload);
  Buffer receive(PartyId from, Phase phase, Message message, int round, int block, size_t bytes);
  void send_planes(PartyId to, Phase phase, Message message, int round, const Block& block, BitPlanes planes);
  BitPlanes receive_planes(PartyId from, Phase phase, Message message, int round, const Block& block, int count);
  // Residues travel modulo 2^modulus: as bit planes, or as words where the modulus is the ring's.
  void send_residues(PartyId to, Phase phase, Message message, int round, const Block& block, RingTensor values,
                     Bits modulus);
  RingTensor receive_residues(PartyId from, Phase phase, Message message, int round, const Block& block, Ring ring,
                              Bits modulus);

 private:
  Prg& prg(Purpose purpose);
  MessageTag tag(Message message, int round, int block) const;

  Session& session_;
  Phase phase_;
  uint32_t inference_ = 0;
  uint32_t step_ = 0;
  std::optional<Prg> dealer_evaluator_, dealer_helper_, weights_;
};

// expanded gives all ones where a bit of the plane is set, unpacked the integers of planes [at, at + count); both dry
// when the planes are.
RingTensor expanded(const BitPlanes& planes, int plane, Ring ring);
RingTensor unpacked(const BitPlanes& planes, int at, int count, Ring ring);
// words_of copies one block of y. set_block: y = x, add_block: y += x, over one block of y.
RingTensor words_of(const RingTensor& y, const Block& block);
void set_block(RingTensor& y, const Block& block, const RingTensor& x);
void add_block(RingTensor& y, const Block& block, const RingTensor& x);
// xor_planes: y ^= x over planes [y_at, y_at + count) and [x_at, x_at + count).
void xor_planes(BitPlanes& y, int y_at, const BitPlanes& x, int x_at, int count);
// xor_planes_of: y = a ^ b, likewise.
void xor_planes_of(BitPlanes& y, int y_at, const BitPlanes& a, int a_at, const BitPlanes& b, int b_at, int count);
// copy_planes: the same with =.
void copy_planes(BitPlanes& y, int y_at, const BitPlanes& x, int x_at, int count);

}  // namespace treville::porthos
