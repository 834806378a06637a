#include "mpc/porthos/pass.h"
#include "mpc/porthos/porthos_test_util.h"

namespace treville::porthos {
namespace {

std::vector<int64_t> random_values(int64_t count, int bits, std::mt19937_64& random) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(Held::extended(random(), bits));
  return values;
}

RingTensor random_tensor(Ring ring, const Shape& shape, int bits, std::mt19937_64& random) {
  return tensor_of(ring, shape, random_values(shape.elements(), bits, random));
}

const ConvGeometry kConv{.batch = 2,
                         .in_h = 7,
                         .in_w = 6,
                         .in_c = 4,
                         .out_h = 4,
                         .out_w = 3,
                         .out_c = 5,
                         .kernel_h = 3,
                         .kernel_w = 3,
                         .stride_h = 2,
                         .stride_w = 2,
                         .pad_top = 1,
                         .pad_left = 1};
const ConvGeometry kDepthwise{.batch = 1,
                              .in_h = 5,
                              .in_w = 5,
                              .in_c = 6,
                              .out_h = 5,
                              .out_w = 5,
                              .out_c = 6,
                              .kernel_h = 3,
                              .kernel_w = 3,
                              .pad_top = 1,
                              .pad_left = 1,
                              .groups = 6};
const MatmulGeometry kMatmul{.rows = 3, .inner = 50, .cols = 70};
const ChannelGeometry kChannel{.outer = 9, .channels = 11};

// expect_linear runs the sum of all maps, each on its own input, and compares it with the reference modulo 2^modulus.
void expect_linear(const std::vector<LinearMap>& maps, Ring ring, int modulus, PartyId owner, bool with_bias) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("ring {}, modulus {}, owner {}, seed {}", bits_of(ring), modulus, owner, seed));
  std::mt19937_64 random(seed);
  const Shape result = output_shape(maps[0]);
  const Shape channels{result[result.rank() - 1]};
  const RingTensor bias = random_tensor(ring, channels, 20, random);
  std::vector<RingTensor> inputs, weights;
  std::vector<WeightSpec> specs;
  std::vector<const RingTensor*> pointers;
  for (const LinearMap& map : maps) {
    inputs.push_back(random_tensor(ring, input_shape(map), bits_of(ring).value(), random));
    weights.push_back(random_tensor(ring, weight_shape(map), bits_of(ring).value(), random));
    specs.push_back({map, ring});
  }
  for (const RingTensor& weight : weights) pointers.push_back(&weight);
  Held held;
  auto sessions = make_local_sessions({.seed = seed});
  run_passes(sessions, specs, pointers, [&](const Cell& cell) {
    Protocol& p = cell.protocol;
    p.begin_inference(3);
    std::vector<Shared> shared;
    std::vector<SharedTerm> terms;
    for (size_t i = 0; i < maps.size(); ++i) {
      p.begin_step(StepId{static_cast<uint32_t>(i)}, "input");
      shared.push_back(p.input(owner, &inputs[i], ring, input_shape(maps[i])));
    }
    for (size_t i = 0; i < maps.size(); ++i) terms.push_back({&shared[i], &p.weight(i)});
    p.begin_step(StepId{9}, "linear");
    const bool gives_bias = with_bias && cell.party == PartyId::kEvaluator;
    held.keep(cell, "y", p.linear(terms, gives_bias ? &bias : nullptr, result, Bits(modulus)));
  });
  if (testing::Test::HasFatalFailure()) return;
  EXPECT_EQ(held.at("y").form, SharedForm::kAdditive);
  EXPECT_FALSE(held.at("y").has_helper);
  std::vector<uint64_t> wanted(static_cast<size_t>(result.elements()), 0);
  for (size_t i = 0; i < maps.size(); ++i) {
    const std::vector<uint64_t> part = Held::widened(apply_reference(maps[i], weights[i], inputs[i]));
    for (size_t e = 0; e < wanted.size(); ++e) wanted[e] += part[e];
  }
  const std::vector<uint64_t> constant = Held::widened(bias);
  for (size_t e = 0; e < wanted.size(); ++e) {
    if (with_bias) wanted[e] += constant[e % constant.size()];
    wanted[e] = Held::reduced(wanted[e], modulus);
  }
  EXPECT_EQ(held.value("y"), wanted);
}

TEST(PorthosLinear, EqualsTheReferenceForEveryGeometryRingAndModulus) {
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    for (const LinearMap& map : std::vector<LinearMap>{kConv, kDepthwise, kMatmul, kChannel}) {
      for (const int modulus : {bits_of(ring).value(), bits_of(ring).value() - 1, 27, 1}) {
        expect_linear({map}, ring, modulus, PartyId::kDealer, modulus != 27);
      }
    }
  }
}

TEST(PorthosLinear, SumsTermsWithOneMask) {
  const ConvGeometry projection{.batch = 2, .in_h = 4, .in_w = 3, .in_c = 7, .out_h = 4, .out_w = 3, .out_c = 5};
  expect_linear({kConv, projection}, Ring::k32, 32, PartyId::kDealer, true);
  expect_linear({kConv, projection}, Ring::k64, 50, PartyId::kDealer, false);
}

TEST(PorthosLinear, TakesAnInputOfTheModelOwner) {
  expect_linear({kConv}, Ring::k32, 32, PartyId::kEvaluator, true);
  expect_linear({kMatmul}, Ring::k64, 40, PartyId::kEvaluator, false);
}

TEST(PorthosLinear, SendsWeightsOnceAndOneResidueForEachResult) {
  auto sessions = make_local_sessions({.seed = 5});
  std::mt19937_64 random(5);
  const RingTensor weight = random_tensor(Ring::k32, weight_shape(kMatmul), 12, random);
  const RingTensor x = random_tensor(Ring::k32, input_shape(kMatmul), 12, random);
  run_passes(sessions, {{kMatmul, Ring::k32}}, {&weight}, [&](const Cell& cell) {
    Protocol& p = cell.protocol;
    const Shared shared = p.input(PartyId::kDealer, &x, Ring::k32, {3, 50});
    p.begin_step(StepId{1}, "linear");
    const SharedTerm term{&shared, &p.weight(0)};
    p.linear({&term, 1}, nullptr, {3, 70}, Bits(32));
  });
  auto sent = [&](PartyId from, PartyId to, Phase phase) {
    return sessions[static_cast<size_t>(from)].network->channel(to, phase).sent();
  };
  EXPECT_EQ(sent(kE, kH, Phase::kSetup), (Traffic{2, 2 * kFrameHeaderBytes + 50 * 70 * 4}));  // and "ready"
  EXPECT_EQ(sent(kH, kE, Phase::kOffline), (Traffic{1, kFrameHeaderBytes + 3 * 70 * 4}));
  EXPECT_EQ(sent(kD, kE, Phase::kOnline), (Traffic{1, kFrameHeaderBytes + 3 * 50 * 4}));
  for (const PartyId to : {kE, kH}) EXPECT_EQ(sent(kD, to, Phase::kOffline).messages, 0);
  EXPECT_EQ(sent(kE, kH, Phase::kOnline).messages, 0);
}

// Two layers with what lies between them in a network: every value is the integer the exact shares give.
TEST(PorthosLinear, FollowsReluAndRescaleAndLocalSteps) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const MatmulGeometry first{.rows = 4, .inner = 30, .cols = 40}, second{.rows = 4, .inner = 40, .cols = 10};
  const RingTensor w0 = random_tensor(Ring::k32, weight_shape(first), 8, random);
  const RingTensor w1 = random_tensor(Ring::k32, weight_shape(second), 8, random);
  const RingTensor w2 = random_tensor(Ring::k32, weight_shape(second), 8, random);
  const RingTensor x = random_tensor(Ring::k32, {4, 30}, 10, random);
  const RingTensor constant = random_tensor(Ring::k32, {10}, 8, random);
  auto sessions = make_local_sessions({.seed = seed});
  Held held;
  run_passes(
      sessions, {{first, Ring::k32}, {second, Ring::k32}, {second, Ring::k32}}, {&w0, &w1, &w2}, [&](const Cell& cell) {
        Protocol& p = cell.protocol;
        const Shared input = p.input(PartyId::kDealer, &x, Ring::k32, {4, 30});
        p.begin_step(StepId{1}, "linear");
        const SharedTerm a{&input, &p.weight(0)};
        Shared hidden = p.linear({&a, 1}, nullptr, {4, 40}, Bits(32));
        held.keep(cell, "hidden", hidden);
        p.begin_step(StepId{2}, "rescale");
        const Shared plain = p.rescale(hidden.clone(), Bits(8), Bits(20));
        held.keep(cell, "plain", plain);
        p.begin_step(StepId{3}, "relu");
        const Shared active = p.relu(std::move(hidden), Bits(8), Bits(20));
        held.keep(cell, "active", active);
        p.begin_step(StepId{4}, "linear");
        const std::array<SharedTerm, 2> terms = {SharedTerm{&active, &p.weight(1)}, SharedTerm{&plain, &p.weight(2)}};
        Shared sum = p.linear(terms, nullptr, {4, 10}, Bits(32));
        held.keep(cell, "sum", p.add_constant(std::move(sum), cell.party == kE ? &constant : nullptr));
      });
  const auto hidden = held.signed_value("hidden"), truncated = held.truncated("hidden", 8);
  const auto plain = held.signed_value("plain"), active = held.signed_value("active");
  const RingTensor product = apply_reference(first, w0, x);
  for (size_t i = 0; i < hidden.size(); ++i) {
    EXPECT_EQ(hidden[i], static_cast<int32_t>(product.as<uint32_t>()[i]));
    EXPECT_EQ(plain[i], truncated[i]);
    EXPECT_EQ(active[i], std::max<int64_t>(truncated[i], 0));
  }
  const RingTensor y1 = apply_reference(second, w1, tensor_of(Ring::k32, {4, 40}, active));
  const RingTensor y2 = apply_reference(second, w2, tensor_of(Ring::k32, {4, 40}, plain));
  const auto sum = held.value("sum");
  for (size_t i = 0; i < sum.size(); ++i) {
    EXPECT_EQ(sum[i], y1.as<uint32_t>()[i] + y2.as<uint32_t>()[i] + constant.as<uint32_t>()[i % 10]);
  }
}

TEST(PorthosReveal, GivesTheValueModuloItsModulusToItsReceiverAlone) {
  std::mt19937_64 random(7);
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    const Shape shape{5, 100};
    const RingTensor x = random_tensor(ring, shape, bits_of(ring).value(), random);
    for (const PartyId receiver : kAllParties) {
      for (const int modulus : {bits_of(ring).value(), 19, 1}) {
        Held held;
        run_passes([&](const Cell& cell) {
          Shared shared = cell.protocol.input(PartyId::kDealer, &x, ring, shape);
          std::optional<RingTensor> plane;
          if (shared.has_plane()) plane = std::move(shared.plane());
          const Shared y(SharedForm::kAdditive, ring, Bits(modulus), shape, std::move(plane));
          cell.protocol.begin_step(StepId{1}, "output");
          const auto result = cell.protocol.reveal(y, receiver);
          EXPECT_EQ(result.has_value(), cell.party == receiver && cell.phase == Phase::kOnline);
          if (result) held.keep_public("y", *result);
        });
        ASSERT_TRUE(held.is_revealed("y"));
        const std::vector<uint64_t> wanted = Held::widened(x);
        for (size_t i = 0; i < wanted.size(); ++i) {
          ASSERT_EQ(held.revealed("y")[i], Held::reduced(wanted[i], modulus)) << "to party " << index_of(receiver);
        }
      }
    }
  }
}

TEST(PorthosShares, AreTwoHalvesOfTheValueMadeNewEachTime) {
  std::mt19937_64 random(8);
  const Shape shape{1000};
  const RingTensor x = random_tensor(Ring::k32, shape, 32, random);
  Held held;
  run_passes([&](const Cell& cell) {
    const Shared shared = cell.protocol.input(PartyId::kDealer, &x, Ring::k32, shape);
    for (const uint32_t step : {1, 2}) {
      cell.protocol.begin_step(StepId{step}, "output");
      const auto half = cell.protocol.shares(shared);
      const bool gives = cell.party == kD ? cell.phase == Phase::kOffline : cell.party == kE;
      ASSERT_EQ(half.has_value(), gives);
      if (half) held.keep_public(fmt::format("{} {}", cell.party, step), *half);
    }
  });
  const std::vector<uint64_t> wanted = Held::widened(x);
  for (const int step : {1, 2}) {
    const auto& d = held.revealed(fmt::format("0 {}", step));
    const auto& e = held.revealed(fmt::format("1 {}", step));
    for (size_t i = 0; i < wanted.size(); ++i) ASSERT_EQ(Held::reduced(d[i] + e[i], 32), wanted[i]);
  }
  EXPECT_NE(held.revealed("1 1"), held.revealed("1 2"));
}

TEST(PorthosInput, RefusesTheHelperAsOwner) {
  Session session = make_dry_session(kH);
  ProtocolPasses helper = set_up_porthos(session, {}, nullptr);
  EXPECT_THROW(helper.passes[0]->input(PartyId::kHelper, nullptr, Ring::k32, {1}), UserError);
}

}  // namespace
}  // namespace treville::porthos
