#include "cost/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "mpc/protocol.h"
#include "run/local_run.h"
#include "run/testing.h"

namespace treville {
namespace {

using testing::Builder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::small_model;

constexpr PartyId kD = PartyId::kDealer, kE = PartyId::kEvaluator, kH = PartyId::kHelper;

DryEvent send(PartyId to, Phase phase, uint32_t step, int64_t bytes) {
  return {DryEvent::Kind::kSend, to, phase, {0, step, 0, 0}, bytes};
}
DryEvent receive(PartyId from, Phase phase, uint32_t step, int64_t bytes) {
  return {DryEvent::Kind::kReceive, from, phase, {0, step, 0, 0}, bytes};
}

template <class F>
std::string bug_of(const F& f) {
  try {
    f();
  } catch (const BugError& error) {
    return error.what();
  }
  return "";
}

// talk: D sends 1000 bytes offline for each of two steps; E asks H at step 0 and H answers; at step 1 once more.
Trace talk() {
  const Phase offline = Phase::kOffline, online = Phase::kOnline;
  WalkTrace dealer{kD, offline, {send(kE, offline, 0, 984), send(kE, offline, 1, 984)}, {1, 2}};
  WalkTrace evaluator{kE,
                      online,
                      {receive(kD, offline, 0, 984), send(kH, online, 0, 484), receive(kH, online, 0, 84),
                       receive(kD, offline, 1, 984), send(kH, online, 1, 484), receive(kH, online, 1, 84)},
                      {3, 6}};
  WalkTrace helper{
      kH,
      online,
      {receive(kE, online, 0, 484), send(kE, online, 0, 84), receive(kE, online, 1, 484), send(kE, online, 1, 84)},
      {2, 4}};
  return {helper, evaluator, dealer};
}

TEST(Replay, CountsTheLongestChainOfEachPhase) {
  const Rounds rounds = count_rounds(talk());
  EXPECT_EQ(rounds.by_phase[static_cast<size_t>(Phase::kOnline)], 4);
  EXPECT_EQ(rounds.by_phase[static_cast<size_t>(Phase::kOffline)], 1);
  EXPECT_EQ(rounds.by_phase[static_cast<size_t>(Phase::kSetup)], 0);
  EXPECT_THAT(rounds.online_by_step, ElementsAre(2, 2));
}

TEST(Replay, MessagesThatDoNotDependOnEachOtherAreOneRound) {
  Trace trace = talk();
  // The same messages, but E sends both questions first.
  std::swap(trace[1].events[2], trace[1].events[3]);
  std::swap(trace[1].events[3], trace[1].events[4]);
  trace[1].step_ends = {4, 6};
  EXPECT_EQ(count_rounds(trace).by_phase[static_cast<size_t>(Phase::kOnline)], 2);
}

TEST(Replay, TimesAreLatencyAndBandwidth) {
  // 8000 bit/s is 1000 bytes a second: with headers a message of D takes 1 s, a question 0.5 s, an answer 0.1 s.
  const Estimate e = estimate(talk(), {"slow", 2.0, 8000});
  EXPECT_DOUBLE_EQ(e.setup_seconds, 0);
  EXPECT_DOUBLE_EQ(e.offline_seconds, 2 + 1);
  EXPECT_DOUBLE_EQ(e.online_seconds, 2 * (0.5 + 1 + 0.1 + 1));
  // D's first message is there after 2 s; its second, after 3 s, never delays E.
  EXPECT_DOUBLE_EQ(e.total_seconds, 2 + 2 * (0.5 + 1 + 0.1 + 1));
}

TEST(Replay, APairsBandwidthIsShared) {
  const Phase offline = Phase::kOffline, online = Phase::kOnline;
  const Trace trace = {{kE, offline, {send(kH, offline, 0, 984)}, {1}},
                       {kE, online, {send(kH, online, 0, 984)}, {1}},
                       {kH, online, {receive(kE, offline, 0, 984), receive(kE, online, 0, 984)}, {2}}};
  EXPECT_DOUBLE_EQ(estimate(trace, {"slow", 0, 8000}).total_seconds, 2);
}

TEST(CheckMatched, NamesTheFirstMessageThatIsNot) {
  EXPECT_EQ(bug_of([] { check_matched(talk()); }), "");
  Trace trace = talk();
  trace[2].events.pop_back();
  EXPECT_THAT(
      bug_of([&] { check_matched(trace); }),
      HasSubstr("nobody sends the message from party 0 to party 1, offline, step 1, part 0, block 0, 984 bytes"));
  trace = talk();
  trace[1].events.pop_back();
  EXPECT_THAT(bug_of([&] { check_matched(trace); }), HasSubstr("nobody receives the message from party 2 to party 1"));
  trace = talk();
  trace[1].events[1].bytes = 485;
  EXPECT_THAT(bug_of([&] { check_matched(trace); }), HasSubstr("485 bytes is expected as"));
  trace = talk();
  trace[0].events[0].tag.step = 7;
  EXPECT_THAT(bug_of([&] { check_matched(trace); }), HasSubstr("is expected as"));
}

TEST(CountRounds, ADeadlockIsABug) {
  const Trace trace = {{kE, Phase::kOnline, {receive(kH, Phase::kOnline, 0, 8), send(kH, Phase::kOnline, 0, 8)}, {2}},
                       {kH, Phase::kOnline, {receive(kE, Phase::kOnline, 0, 8), send(kE, Phase::kOnline, 0, 8)}, {2}}};
  EXPECT_EQ(bug_of([&] { check_matched(trace); }), "");
  EXPECT_THAT(bug_of([&] { count_rounds(trace); }), HasSubstr("the walks wait for each other"));
}

TEST(NetModels, AreReadWithTheirUnits) {
  EXPECT_EQ(parse_net_model("lan").rtt_seconds, 1e-3);
  EXPECT_EQ(parse_net_model("wan").bits_per_second, 350e6);
  const NetModel model = parse_net_model("rtt=12.5us,bw=1.5Gbit");
  EXPECT_DOUBLE_EQ(model.rtt_seconds, 12.5e-6);
  EXPECT_DOUBLE_EQ(model.bits_per_second, 1.5e9);
  EXPECT_DOUBLE_EQ(parse_net_model("rtt=0s,bw=8kbit").bits_per_second, 8000);
  for (const char* bad : {"", "man", "rtt=40ms", "rtt=40,bw=350Mbit", "rtt=40ms,bw=0Mbit", "rtt=-1ms,bw=1Mbit",
                          "rtt=40ms,bw=350MB", "rtt=nanms,bw=1Mbit", "bw=1Mbit,rtt=1ms", "rtt=1ms,bw=1Mbit,x=1"})
    EXPECT_THROW(parse_net_model(bad), UserError) << bad;
}

class DryCost : public ::testing::TestWithParam<std::string_view> {};

TEST_P(DryCost, EqualsWhatARunMeters) {
  for (Ring ring : {Ring::k32, Ring::k64}) {
    const auto model = small_model(ring, 3);
    const CostReport report = dry_cost(GetParam(), model.b.program);
    const LocalRunResult run = run_local(GetParam(), model.b.program, model.constants, model.inputs);
    std::vector<TrafficRow> metered;
    for (const TrafficRow& row : run.traffic)
      if (row.traffic.messages > 0) metered.push_back(row);
    EXPECT_EQ(metered.size(), report.traffic.size());
    for (const TrafficRow& row : metered) {
      const auto same = [&](const TrafficRow& other) {
        return other.from == row.from && other.to == row.to && other.phase == row.phase;
      };
      const auto found = std::find_if(report.traffic.begin(), report.traffic.end(), same);
      ASSERT_NE(found, report.traffic.end());
      EXPECT_EQ(found->traffic.messages, row.traffic.messages);
      EXPECT_EQ(found->traffic.bytes, row.traffic.bytes)
          << index_of(row.from) << " -> " << index_of(row.to) << " " << name_of(row.phase);
    }
  }
}

TEST_P(DryCost, OfProductsAndLookUpsEqualsARunOverTheSmallestQueue) {
  // Several blocks each, alternating, so that a walk that waited for another's later step would never end.
  const int64_t n = 3 * 65536 + 5;
  Builder b;
  const SlotId x = b.input({n});
  // 0 -> 3, 3 -> 2, 2 -> 1.
  b.program.tables.push_back({"t", {Bits(3), true, {0, 0, 0, 0, 3, 0, 1, 2}}, Bits(0)});
  SlotId y = x;
  for (int i = 0; i < 3; ++i) {
    const SlotId entry = b.add(ReshapeStep{b.add(LookUpStep{y, Bits(0), Bits(3), {TableId{0}}}), {n}});
    const SlotId sign = b.add(NonNegativeStep{entry, Bits(0), Bits(8)});
    const ChannelGeometry g{1, n};
    LinearStep linear;
    linear.terms.push_back(
        {b.add(ProductStep{sign, entry, Elementwise{{n}}}), g, b.constant("w" + std::to_string(i), {n}, Bits(0))});
    linear.modulus = Bits(20);
    y = b.add(RescaleStep{b.add(ReshapeStep{b.add(linear), {n}}), Bits(0), Bits(12)});
  }
  b.output(b.add(ProductStep{y, y, Elementwise{{n}}}));
  verify(b.program);
  std::vector<RingTensor> constants;
  for (const ConstantDecl& declared : b.program.constants) {
    constants.push_back(RingTensor::zeros(Ring::k32, declared.shape));
    for (uint32_t& word : constants.back().as<uint32_t>()) word = 1;
  }
  std::map<std::string, RingTensor> inputs;
  inputs.emplace("x", RingTensor::zeros(Ring::k32, {n}));
  const CostReport report = dry_cost(GetParam(), b.program);
  const LocalRunResult run = run_local(GetParam(), b.program, constants, inputs,
                                       {.network = {.offline_queue_bytes = 1, .deadline = std::chrono::seconds(20)}});
  int64_t metered = 0, predicted = 0;
  for (const TrafficRow& row : run.traffic) metered += row.traffic.bytes;
  for (const TrafficRow& row : report.traffic) predicted += row.traffic.bytes;
  EXPECT_EQ(metered, predicted);
  const PartyId receiver = GetParam() == "clear" ? kE : kD;
  for (const uint32_t word : run.output(receiver, "y").value.value.as<uint32_t>()) ASSERT_EQ(word, 1u) << "1 squared";
}

TEST_P(DryCost, TheStepsAddUpToTheWhole) {
  const auto model = small_model(Ring::k32, 3);
  const CostReport report = dry_cost(GetParam(), model.b.program);
  ASSERT_EQ(report.steps.size(), model.b.program.steps.size());
  int64_t offline = 0, online = 0, messages = 0, peak = 0, step_peak = 0;
  int rounds = 0;
  for (const StepCost& step : report.steps) {
    offline += step.offline_bytes;
    online += step.online_bytes;
    messages += step.messages;
    rounds += step.online_rounds;
    step_peak = std::max(step_peak, step.memory_peak);
  }
  for (const WalkCost& walk : report.walks)
    if (walk.phase != Phase::kSetup) peak = std::max(peak, walk.memory_peak);
  EXPECT_EQ(offline, report.bytes(Phase::kOffline));
  EXPECT_EQ(online, report.bytes(Phase::kOnline));
  EXPECT_EQ(messages, report.messages(Phase::kOffline) + report.messages(Phase::kOnline));
  EXPECT_EQ(rounds, report.rounds.by_phase[static_cast<size_t>(Phase::kOnline)]);
  EXPECT_EQ(step_peak, peak);
  EXPECT_EQ(report.macs, 8 * 8 * 4 * 27 + 20);
}

INSTANTIATE_TEST_SUITE_P(Protocols, DryCost, ::testing::ValuesIn(protocol_names()),
                         [](const auto& test) { return std::string(test.param); });

TEST(DryCostOfClear, HasNoMessagesAndTheMemoryOfARun) {
  const auto model = small_model(Ring::k32, 3);
  const CostReport report = dry_cost("clear", model.b.program);
  EXPECT_TRUE(report.traffic.empty());
  const LocalRunResult run = run_local("clear", model.b.program, model.constants, model.inputs);
  ASSERT_EQ(report.walks.size(), run.peaks.size());
  for (size_t i = 0; i < run.peaks.size(); ++i) EXPECT_EQ(report.walks[i].memory_peak, run.peaks[i].bytes);
}

TEST(DryCostOfPorthos, AReluIsTwoRoundTripsHoweverLarge) {
  for (int64_t elements : {1, 1000, 300'000}) {
    Builder b;
    const SlotId x = b.input({elements});
    b.output(b.add(ReluStep{x, Bits(12), Bits(20)}));
    const CostReport report = dry_cost("porthos", b.program);
    EXPECT_THAT(report.rounds.online_by_step, ElementsAre(1, 4, 1)) << elements << " elements";
  }
}

TEST(DryCostOfPorthos, SetUpIsTheWeightsOnce) {
  const auto model = small_model(Ring::k32, 3);
  const CostReport report = dry_cost("porthos", model.b.program);
  EXPECT_EQ(report.bytes(Phase::kSetup), (3 * 3 * 3 * 4 + 4 * 5) * 4 + (2 + 6) * kFrameHeaderBytes)
      << "two weights, and every party tells the others that it is ready";
}

TEST(CostTables, ShowBytesRoundsAndEstimates) {
  const auto model = small_model(Ring::k32, 3);
  const CostReport report = dry_cost("porthos", model.b.program);
  const Estimate estimates[] = {estimate(report.trace, lan()), estimate(report.trace, wan())};
  EXPECT_LT(estimates[0].online_seconds, estimates[1].online_seconds);
  EXPECT_GE(estimates[1].total_seconds, estimates[1].online_seconds);
  const std::string table = cost_table(report, estimates);
  EXPECT_THAT(table, HasSubstr(fmt::format("{}", report.bytes(Phase::kOnline))));
  EXPECT_THAT(table, HasSubstr("evaluator -> helper"));
  EXPECT_THAT(table, HasSubstr("wan"));
  EXPECT_THAT(layer_table(report), HasSubstr("max_pool"));
}

}  // namespace
}  // namespace treville
