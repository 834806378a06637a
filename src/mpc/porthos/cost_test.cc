// What Porthos sends, exactly: bytes of each sub-protocol, dry runs against real ones, draws and transcripts.
#include <set>
#include <tuple>

#include "mpc/linear.h"
#include "mpc/porthos/borrow.h"
#include "mpc/porthos/pass.h"
#include "mpc/porthos/porthos_test_util.h"
#include "mpc/porthos/recording_network.h"
#include "net/dry_network.h"
#include "tensor/memory_meter.h"

namespace treville::porthos {
namespace {

constexpr int64_t kHeader = kFrameHeaderBytes;

struct Bytes {
  int64_t offline_de, offline_dh, offline_he, online_eh, online_he;
  bool operator==(const Bytes&) const = default;
  friend void PrintTo(const Bytes& b, std::ostream* out) {
    *out << fmt::format("offline D->E {}, D->H {}, H->E {}; online E->H {}, H->E {}", b.offline_de, b.offline_dh,
                        b.offline_he, b.online_eh, b.online_he);
  }
};

using Operation = std::function<void(Protocol&, Shared)>;

// cost counts the bytes of one operation on an input of the dealer.
Bytes cost(Ring ring, const Shape& shape, const Operation& operation) {
  const RingTensor x = RingTensor::zeros(ring, shape);
  auto sessions = make_local_sessions({.seed = 1});
  run_passes(sessions, {}, {}, [&](const Cell& cell) {
    Shared shared = cell.protocol.input(kD, &x, ring, shape);
    cell.protocol.begin_step(StepId{1}, "operation");
    operation(cell.protocol, std::move(shared));
  });
  auto sent = [&](PartyId from, PartyId to, Phase phase) {
    return sessions[static_cast<size_t>(from)].network->channel(to, phase).sent().bytes;
  };
  return {sent(kD, kE, Phase::kOffline), sent(kD, kH, Phase::kOffline), sent(kH, kE, Phase::kOffline),
          sent(kE, kH, Phase::kOnline), sent(kH, kE, Phase::kOnline)};
}

Operation relu(int f, int k) {
  return [f, k](Protocol& p, Shared x) { p.relu(std::move(x), Bits(f), Bits(k)); };
}

TEST(PorthosCost, OfAReluIs213BitsOfflineAnd72Online) {
  constexpr int64_t n = kBlockElements;
  // Two messages D -> H; E: the opening with 9 shares, then 1 bit; H: 9 + 1 shares, then a word.
  EXPECT_EQ(cost(Ring::k32, {n}, relu(12, 20)),
            (Bytes{0, 213 * n / 8 + 2 * kHeader, 0, 30 * n / 8 + 2 * kHeader, 42 * n / 8 + 2 * kHeader}));
}

TEST(PorthosCost, RoundsPlanesToWholeWordsInEachBlock) {
  const int64_t tail = 1;
  const int64_t n = kBlockElements + tail;
  auto planes = [&](int64_t count) { return count * (kBlockElements / 8 + 8); };
  EXPECT_EQ(cost(Ring::k32, {n}, relu(12, 20)), (Bytes{0, planes(93 + 24) + 12 * n + 4 * kHeader, 0,
                                                       planes(30) + 4 * kHeader, planes(10) + 4 * n + 4 * kHeader}));
}

TEST(PorthosCost, OfARescaleIs45BitsWith13Online) {
  constexpr int64_t n = kBlockElements;
  EXPECT_EQ(cost(Ring::k32, {n}, [](Protocol& p, Shared x) { p.rescale(std::move(x), Bits(12), Bits(20)); }),
            (Bytes{20 * n / 8 + kHeader, 12 * n / 8 + kHeader, 0, n / 8 + kHeader, 12 * n / 8 + kHeader}));
}

TEST(PorthosCost, OfAClipIsTwoBorrowsAndOneMoreConstant) {
  constexpr int64_t n = kBlockElements;
  EXPECT_EQ(cost(Ring::k32, {n}, [](Protocol& p, Shared x) { p.clip(std::move(x), Bits(12), Bits(20), 6); }),
            (Bytes{0, (2 * 93 + 24 + 128) * n / 8 + 2 * kHeader, 0, (20 + 20) * n / 8 + 2 * kHeader,
                   (20 + 32) * n / 8 + 2 * kHeader}));
}

TEST(PorthosCost, OfAMaximumStaysInTheResidueRing) {
  constexpr int64_t n = kBlockElements;
  const PoolGeometry pool{.batch = 1, .in_h = 2, .in_w = 1, .channels = n, .kernel_h = 2, .kernel_w = 1};
  // K = 21: a borrow of 20 bits (5 chunks of 4), three constants of 21 bits, 21 bits to close.
  EXPECT_EQ(
      cost(Ring::k32, {1, 2, 1, n}, [&](Protocol& p, Shared x) { p.max_pool(std::move(x), pool, Bits(11), Bits(20)); }),
      (Bytes{0, (75 + 26 + 63) * n / 8 + kHeader, 0, (21 + 9 + 1) * n / 8 + 2 * kHeader,
             (10 + 21) * n / 8 + 2 * kHeader}));
}

TEST(PorthosCost, OfAWideReluIsTwoLevelsInTheSameTwoRoundTrips) {
  constexpr int64_t n = kBlockElements;
  const BorrowPlan plan = BorrowPlan::make(39);
  const int64_t shares = plan.stage_at(plan.stages());
  EXPECT_EQ(cost(Ring::k64, {n}, relu(24, 40)),
            (Bytes{0, (plan.dealt() + 2 * 24 + 3 * 64) * n / 8 + 2 * kHeader, 0, (40 + shares) * n / 8 + 2 * kHeader,
                   (shares + 64) * n / 8 + 3 * kHeader}));
}

TEST(PorthosCost, OfASignIsTheBorrowAndOneConstant) {
  constexpr int64_t n = kBlockElements;
  EXPECT_EQ(cost(Ring::k32, {n}, [](Protocol& p, Shared x) { p.non_negative(std::move(x), Bits(12), Bits(20)); }),
            (Bytes{0, (93 + 32) * n / 8 + 2 * kHeader, 0, 30 * n / 8 + 2 * kHeader, 42 * n / 8 + 2 * kHeader}));
}

TEST(PorthosCost, OfALookUpIs573BitsOfflineAnd64OnlineForTwelveBits) {
  constexpr int64_t n = kBlockElements;
  const LookUpTable table{Bits(12), true, std::vector<int64_t>(256, -7)};
  const auto look_up = [&](const std::vector<const LookUpTable*>& tables) {
    return [tables](Protocol& p, Shared x) { p.look_up(std::move(x), Bits(12), Bits(8), tables); };
  };
  EXPECT_EQ(cost(Ring::k32, {n}, look_up({&table})),
            (Bytes{0, 573 * n / 8 + kHeader, 0, 20 * n / 8 + kHeader, (12 + 32) * n / 8 + 2 * kHeader}));
  // Further tables share the index.
  const LookUpTable bit{Bits(1), false, std::vector<int64_t>(256, 1)};
  EXPECT_EQ(cost(Ring::k64, {n}, look_up({&table, &bit, &table})),
            (Bytes{0, (255 + 2 * (12 * 64 - 66) + 64) * n / 8 + kHeader, 0, (8 + 25) * n / 8 + kHeader,
                   (25 + 3 * 64) * n / 8 + 2 * kHeader}));
}

TEST(PorthosCost, OfAProductIsOneWordOfflineAndThreeOnlineAndOfASquareTwo) {
  constexpr int64_t n = kBlockElements;
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    const int64_t word = bytes_of(ring);
    const Elementwise all{{n}};
    EXPECT_EQ(cost(ring, {n}, [&](Protocol& p, Shared x) { p.product(x, x.clone(), all); }),
              (Bytes{0, word * n + kHeader, 0, 2 * (word * n + kHeader), word * n + kHeader}));
    EXPECT_EQ(cost(ring, {n}, [&](Protocol& p, Shared x) { p.product(x, x, all); }),
              (Bytes{0, word * n + kHeader, 0, word * n + kHeader, word * n + kHeader}));
    // Matrices of [5, 3] and [3, 7]: each operand is opened once, whatever the sizes.
    EXPECT_EQ(cost(ring, {105},
                   [&](Protocol& p, Shared x) {
                     const Shared left = slice(x, {0}, {1}, {75}), right = slice(x, {0}, {1}, {105});
                     p.product(left, right, BatchMatmul{5, 5, 3, 7});
                   }),
              (Bytes{0, 175 * word + kHeader, 0, (75 + 105) * word + 2 * kHeader, 175 * word + kHeader}));
  }
}

// Everything walks every operation once, over tensors of several blocks and of odd sizes.
class Everything {
 public:
  Everything() {
    for (const WeightSpec& spec : specs) {
      const Shape extent = weight_shape(spec.map);
      weights.push_back(tensor_of(Ring::k32, extent, std::vector<int64_t>(static_cast<size_t>(extent.elements()), 3)));
    }
    for (const RingTensor& weight : weights) pointers.push_back(&weight);
  }

  // walk does what an executor would: the value is there at its owner only.
  void walk(const Cell& cell, uint32_t inference, const RingTensor& x) const {
    Protocol& p = cell.protocol;
    uint32_t step = 0;
    auto next = [&](const char* name) { p.begin_step(StepId{step++}, name); };
    p.begin_inference(inference);
    next("input");
    Shared input = p.input(kD, cell.party == kD && cell.phase == Phase::kOnline ? &x : nullptr, Ring::k32, shape);
    next("input");
    Shared other = p.input(kE, cell.party == kE ? &x : nullptr, Ring::k32, shape);
    next("linear");
    const std::array<SharedTerm, 2> terms = {SharedTerm{&input, &p.weight(0)}, SharedTerm{&other, &p.weight(1)}};
    Shared sum = p.linear(terms, nullptr, result, Bits(32));
    next("rescale");
    const Shared plain = p.rescale(sum.clone(), Bits(8), Bits(20));
    next("clip");
    const Shared clipped = p.clip(sum.clone(), Bits(8), Bits(20), 100);
    next("leaky_relu");
    const Shared leaky = p.leaky_relu(sum.clone(), Bits(8), Bits(20), 3, Bits(3));
    next("max_pool");
    Shared pooled = p.max_pool(sum.clone(), pool, Bits(8), Bits(20));
    next("relu");
    const Shared active = p.relu(std::move(pooled), Bits(0), Bits(21));
    next("arg_max");
    Shared flat(sum.form(), sum.ring(), sum.modulus(), {91, 5 * 90 * 2},
                sum.has_plane() ? std::optional(sum.plane().clone().reshaped({91, 5 * 90 * 2})) : std::nullopt);
    const Shared index = p.arg_max(std::move(flat), Bits(8), Bits(20));
    next("non_negative");
    const Shared sign = p.non_negative(sum.clone(), Bits(8), Bits(20));
    next("look_up");
    const std::array<const LookUpTable*, 2> both = {&table, &table};
    const Shared entries = p.look_up(sum.clone(), Bits(8), Bits(3), both);
    next("product");
    const Shared kept = p.product(sign, plain, Elementwise{result});
    next("square");
    p.product(kept, kept, Elementwise{result});
    next("product");
    p.product(kept, entries, matmul);
    for (const PartyId party : kAllParties) {
      next("output");
      p.reveal(active, party);
      next("output");
      p.reveal(index, party);
    }
    next("output");
    p.shares(clipped);
    next("output");
    p.shares(leaky);
    next("output");
    p.shares(plain);
  }

  const Shape shape{1, 91, 90, 3}, result{1, 91, 90, 10};
  const PoolGeometry pool{.batch = 1,
                          .in_h = 91,
                          .in_w = 90,
                          .channels = 10,
                          .out_h = 46,
                          .out_w = 45,
                          .kernel_h = 3,
                          .kernel_w = 3,
                          .stride_h = 2,
                          .stride_w = 2,
                          .pad_top = 1,
                          .pad_left = 1};
  const ConvGeometry conv{.batch = 1,
                          .in_h = 91,
                          .in_w = 90,
                          .in_c = 3,
                          .out_h = 91,
                          .out_w = 90,
                          .out_c = 10,
                          .kernel_h = 3,
                          .kernel_w = 3,
                          .pad_top = 1,
                          .pad_left = 1};
  const std::vector<WeightSpec> specs = {{conv, Ring::k32}, {conv, Ring::k32}};
  const LookUpTable table{Bits(5), true, {-16, 15, 1, 2, 3, 4, 5, 6}};
  // The entries of two tables are twice as many as the elements.
  const BatchMatmul matmul{.batch = 91, .rows = 90, .inner = 10, .cols = 180};
  std::vector<RingTensor> weights;
  std::vector<const RingTensor*> pointers;
};

using Event = std::tuple<PartyId, Phase, uint32_t, uint32_t, uint16_t, uint16_t, int64_t>;
Event event(PartyId peer, Phase phase, const MessageTag& tag, int64_t bytes) {
  return {peer, phase, tag.inference, tag.step, tag.part, tag.block, bytes};
}

// Sorted: two passes of a party send at the same time.
std::multiset<Event> dry_events(const Everything& everything, PartyId party, bool is_sent) {
  Session session = make_dry_session(party);
  const RingTensor x = RingTensor::dry(Ring::k32, everything.shape);
  const ProtocolPasses passes = set_up_porthos(session, everything.specs, nullptr);
  for (const auto& pass : passes.passes) everything.walk({party, pass->phase(), *pass}, 0, x);
  std::multiset<Event> events;
  for (const DryEvent& e : static_cast<DryNetwork&>(*session.network).events()) {
    if ((e.kind == DryEvent::Kind::kSend) == is_sent) events.insert(event(e.peer, e.phase, e.tag, e.bytes));
  }
  return events;
}

RingTensor constant(const Shape& shape, int64_t value) {
  return tensor_of(Ring::k32, shape, std::vector<int64_t>(static_cast<size_t>(shape.elements()), value));
}

// record runs everything for real and returns what each party sent and received.
std::array<std::vector<Recorded>, 3> record(const Everything& everything, int64_t value, std::optional<uint64_t> seed,
                                            int inferences = 1) {
  auto sessions = make_local_sessions({.seed = seed});
  std::array<RecordingNetwork*, 3> networks{};
  for (size_t party = 0; party < 3; ++party) {
    auto network = std::make_unique<RecordingNetwork>(std::move(sessions[party].network));
    networks[party] = network.get();
    sessions[party].network = std::move(network);
  }
  const RingTensor x = constant(everything.shape, value);
  run_passes(sessions, everything.specs, everything.pointers, [&](const Cell& cell) {
    for (int i = 0; i < inferences; ++i) everything.walk(cell, static_cast<uint32_t>(i), x);
  });
  std::array<std::vector<Recorded>, 3> result;
  for (size_t party = 0; party < 3; ++party) result[party] = networks[party]->messages();
  return result;
}

TEST(PorthosDry, HasTheEventsOfTheRealRun) {
  const Everything everything;
  const auto real = record(everything, 77, 3);
  for (const PartyId party : kAllParties) {
    for (const bool is_sent : {true, false}) {
      std::multiset<Event> events;
      for (const Recorded& r : real[static_cast<size_t>(party)]) {
        if (r.is_sent == is_sent) {
          events.insert(event(r.peer, r.phase, r.tag, static_cast<int64_t>(r.payload.size())));
        }
      }
      EXPECT_EQ(dry_events(everything, party, is_sent), events) << "party " << index_of(party) << " sent " << is_sent;
    }
  }
}

TEST(PorthosDry, SendsInTheOrderOfTheRealRun) {
  const Everything everything;
  const auto real = record(everything, 77, 3);
  for (const PartyId party : kAllParties) {
    Session session = make_dry_session(party);
    const RingTensor x = RingTensor::dry(Ring::k32, everything.shape);
    const ProtocolPasses passes = set_up_porthos(session, everything.specs, nullptr);
    for (const auto& pass : passes.passes) everything.walk({party, pass->phase(), *pass}, 0, x);
    for (const PartyId peer : kAllParties) {
      for (const Phase phase : {Phase::kSetup, Phase::kOffline, Phase::kOnline}) {
        std::vector<Event> dry, sent;
        for (const DryEvent& e : static_cast<DryNetwork&>(*session.network).events()) {
          if (e.kind == DryEvent::Kind::kSend && e.peer == peer && e.phase == phase) {
            dry.push_back(event(peer, phase, e.tag, e.bytes));
          }
        }
        for (const Recorded& r : real[static_cast<size_t>(party)]) {
          if (r.is_sent && r.peer == peer && r.phase == phase) {
            sent.push_back(event(peer, phase, r.tag, static_cast<int64_t>(r.payload.size())));
          }
        }
        EXPECT_EQ(dry, sent) << index_of(party) << " -> " << index_of(peer) << " " << name_of(phase);
      }
    }
  }
}

// AloneNetwork lets one party compute for real on arbitrary bytes, in one thread: for its memory.
class AloneNetwork final : public Network {
 public:
  explicit AloneNetwork(PartyId self) : self_(self) {}
  PartyId self() const override { return self_; }
  Channel& channel(PartyId, Phase) override { return channel_; }
  void set_step_name(Phase, std::string) override {}
  Digest transcript(PartyId, Phase) const override { return {}; }
  void abort(const std::string&) override {}

 private:
  class Arbitrary final : public Channel {
   public:
    void send(const MessageTag&, Buffer) override {}
    Buffer receive(const MessageTag&, size_t bytes) override {
      Buffer buffer = Buffer::stored(bytes);
      std::memset(buffer.data(), 0x5a, bytes);
      return buffer;
    }
    Traffic sent() const override { return {}; }
    Traffic received() const override { return {}; }
  };
  PartyId self_;
  Arbitrary channel_;
};

TEST(PorthosDry, NeedsTheMemoryOfTheRealRun) {
  const Everything everything;
  for (const PartyId party : kAllParties) {
    std::vector<int64_t> peaks[2];
    for (const bool is_dry : {false, true}) {
      Session session = make_dry_session(party);
      if (!is_dry) session.network = std::make_unique<AloneNetwork>(party);
      const RingTensor x = is_dry ? RingTensor::dry(Ring::k32, everything.shape) : constant(everything.shape, 1);
      const ProtocolPasses passes =
          set_up_porthos(session, everything.specs, party == kE && !is_dry ? &everything.pointers : nullptr);
      for (const auto& pass : passes.passes) {
        auto meter = std::make_shared<MemoryMeter>();
        const MeterScope scope(meter);
        everything.walk({party, pass->phase(), *pass}, 0, x);
        peaks[is_dry ? 1 : 0].push_back(meter->peak());
      }
    }
    EXPECT_EQ(peaks[1], peaks[0]) << "party " << index_of(party);
  }
}

TEST(PorthosDraws, UseNoPositionOfAKeyTwice) {
  const Everything everything;
  auto sessions = make_local_sessions({.seed = 4});
  std::mutex mutex;
  // A purpose belongs to one key. Both walks of a party may draw the same pad again (H: lambda), of the same size.
  std::map<std::tuple<size_t, std::thread::id, PrgPosition>, int> drawn;
  std::map<PrgPosition, std::set<size_t>> sizes;
  for (size_t party = 0; party < 3; ++party) {
    sessions[party].audit = [&, party](const PrgPosition& position, size_t bytes) {
      const std::lock_guard lock(mutex);
      ++drawn[{party, std::this_thread::get_id(), position}];
      sizes[position].insert(bytes);
    };
  }
  const RingTensor x = constant(everything.shape, 5);
  run_passes(sessions, everything.specs, everything.pointers, [&](const Cell& cell) {
    for (uint32_t inference = 0; inference < 2; ++inference) everything.walk(cell, inference, x);
  });
  std::set<int> purposes;
  for (const auto& [key, count] : drawn) {
    EXPECT_EQ(count, 1) << "party " << std::get<0>(key) << " purpose " << std::get<2>(key).purpose;
    purposes.insert(static_cast<int>(purpose_of(std::get<2>(key))));
  }
  for (const auto& [position, bytes] : sizes) EXPECT_EQ(bytes.size(), 1u) << "purpose " << position.purpose;
  EXPECT_EQ(purposes.size(), static_cast<size_t>(kPurposes)) << "the walk does not draw for every purpose";
}

TEST(PorthosRuns, DifferInEveryMaskedMessage) {
  const Everything everything;
  const auto first = record(everything, 9, {}, 2), second = record(everything, 9, {}, 1);
  for (size_t party = 0; party < 3; ++party) {
    std::map<Event, std::vector<std::byte>> sent;
    auto key = [](const Recorded& r, uint32_t inference) {
      MessageTag tag = r.tag;
      tag.inference = r.phase == Phase::kSetup ? tag.inference : inference;
      return event(r.peer, r.phase, tag, static_cast<int64_t>(r.payload.size()));
    };
    for (const Recorded& r : second[party]) {
      if (r.is_sent) sent[key(r, 0)] = r.payload;
    }
    for (const Recorded& r : first[party]) {
      if (!r.is_sent || r.payload.size() < 64) continue;  // a few bits may meet by chance
      EXPECT_NE(sent.at(key(r, 0)), r.payload) << "party " << party << " step " << r.tag.step << " part " << r.tag.part;
      sent[key(r, 0)] = r.payload;
    }
  }
}

TEST(PorthosRuns, WithTheSameSeedHaveTheSameTranscript) {
  const Everything everything;
  auto transcripts = [&] {
    auto sessions = make_local_sessions({.seed = 6, .network = {.keep_transcript = true}});
    const RingTensor x = constant(everything.shape, -3);
    run_passes(sessions, everything.specs, everything.pointers, [&](const Cell& cell) { everything.walk(cell, 0, x); });
    std::vector<Digest> digests;
    for (const PartyId from : kAllParties) {
      for (const PartyId to : kAllParties) {
        if (from == to) continue;
        for (const Phase phase : {Phase::kSetup, Phase::kOffline, Phase::kOnline}) {
          digests.push_back(sessions[static_cast<size_t>(from)].network->transcript(to, phase));
        }
      }
    }
    return digests;
  };
  const std::vector<Digest> first = transcripts();
  EXPECT_EQ(first, transcripts());
  EXPECT_EQ(std::set<Digest>(first.begin(), first.end()).size(), 10u)
      << "eight channels carry something of their own, five only that a party is ready, five nothing";
}

}  // namespace
}  // namespace treville::porthos
