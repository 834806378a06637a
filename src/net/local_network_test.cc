// The contract of Network, on LocalNetwork and DryNetwork.
#include "net/local_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "net/dry_network.h"

namespace treville {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr PartyId kD = PartyId::kDealer, kE = PartyId::kEvaluator, kH = PartyId::kHelper;

Buffer text_buffer(std::string_view text) {
  Buffer buffer = Buffer::stored(text.size());
  std::memcpy(buffer.data(), text.data(), text.size());
  return buffer;
}

std::string text_of(const Buffer& buffer) { return {reinterpret_cast<const char*>(buffer.data()), buffer.bytes()}; }

Network& at(std::array<std::unique_ptr<Network>, 3>& ends, PartyId party) {
  return *ends[static_cast<size_t>(index_of(party))];
}

template <class F>
std::string peer_error_of(F&& f) {
  try {
    f();
  } catch (const PeerError& error) {
    return error.what();
  }
  return "no PeerError";
}

TEST(LocalNetwork, DeliversInOrderPerPhaseAndCountsHeaders) {
  auto ends = make_local_networks();
  at(ends, kD).channel(kE, Phase::kOnline).send({1, 2, 3, 4}, text_buffer("online"));
  at(ends, kD).channel(kE, Phase::kSetup).send({0, 1, 0, 0}, text_buffer("a"));
  at(ends, kD).channel(kE, Phase::kOffline).send({0, 2, 0, 0}, text_buffer(""));
  EXPECT_EQ(text_of(at(ends, kE).channel(kD, Phase::kSetup).receive({0, 1, 0, 0}, 1)), "a");
  EXPECT_EQ(at(ends, kE).channel(kD, Phase::kOffline).receive({0, 2, 0, 0}, 0).bytes(), 0u);
  EXPECT_EQ(text_of(at(ends, kE).channel(kD, Phase::kOnline).receive({1, 2, 3, 4}, 6)), "online");
  EXPECT_EQ(at(ends, kD).channel(kE, Phase::kOnline).sent(), (Traffic{1, 22}));
  EXPECT_EQ(at(ends, kE).channel(kD, Phase::kSetup).received(), (Traffic{1, 17}));
  int64_t total = 0;
  for (const TrafficRow& row : at(ends, kD).sent_traffic()) total += row.traffic.bytes;
  EXPECT_EQ(total, 22 + 17 + 16);
}

TEST(LocalNetwork, UnexpectedFrameSaysWhatWasExpectedAndStopsTheOthers) {
  auto ends = make_local_networks();
  at(ends, kD).channel(kE, Phase::kOnline).send({1, 11, 0, 0}, text_buffer("1234"));
  at(ends, kE).set_step_name(Phase::kOnline, "step 12 relu conv1");
  const std::string text = peer_error_of([&] { at(ends, kE).channel(kD, Phase::kOnline).receive({1, 12, 0, 0}, 8); });
  EXPECT_THAT(text, HasSubstr("party 1 (evaluator), online, step 12 relu conv1: expected inference 1, step 12, part 0, "
                              "block 0, 8 bytes from party 0 (dealer), got inference 1, step 11, part 0, block 0, 4"));
  EXPECT_THAT(text, HasSubstr("different programs or versions"));
  EXPECT_THAT(peer_error_of([&] { at(ends, kH).channel(kD, Phase::kOnline).receive({}, 1); }),
              HasSubstr("party 1 (evaluator) stopped the session"));
}

TEST(LocalNetwork, SetupAndOfflineShareOneOrder) {
  auto ends = make_local_networks();
  at(ends, kD).channel(kE, Phase::kOffline).send({}, text_buffer("x"));
  EXPECT_THAT(peer_error_of([&] { at(ends, kE).channel(kD, Phase::kSetup).receive({}, 1); }),
              HasSubstr("expected set-up inference 0"));
}

TEST(LocalNetwork, OfflineSendBlocksAtItsBoundAndOneMessageAlwaysFits) {
  auto ends = make_local_networks({.offline_queue_bytes = 100, .deadline = std::chrono::seconds(20)});
  Channel& out = at(ends, kD).channel(kH, Phase::kOffline);
  out.send({}, Buffer::stored(1000));  // larger than the bound, into an empty queue
  std::atomic<bool> sent{false};
  std::thread sender([&] {
    out.send({}, Buffer::stored(1));
    sent = true;
  });
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(sent);
  at(ends, kH).channel(kD, Phase::kOffline).receive({}, 1000);
  sender.join();
  EXPECT_TRUE(sent);
}

TEST(LocalNetwork, OnlineSendNeverBlocks) {
  auto ends = make_local_networks({.offline_queue_bytes = 100, .deadline = milliseconds(200)});
  for (int i = 0; i < 100; ++i) at(ends, kE).channel(kH, Phase::kOnline).send({}, Buffer::stored(1000));
  EXPECT_EQ(at(ends, kE).channel(kH, Phase::kOnline).sent().messages, 100);
}

TEST(LocalNetwork, AbortWakesEveryPartyWithPeerStepAndReason) {
  auto ends = make_local_networks();
  at(ends, kE).set_step_name(Phase::kOnline, "step 7 linear fc");
  std::string evaluator, dealer;
  std::thread waiting_e(
      [&] { evaluator = peer_error_of([&] { at(ends, kE).channel(kH, Phase::kOnline).receive({}, 1); }); });
  std::thread waiting_d(
      [&] { dealer = peer_error_of([&] { at(ends, kD).channel(kE, Phase::kOnline).receive({}, 1); }); });
  std::this_thread::sleep_for(milliseconds(20));
  at(ends, kH).abort("the disk is full");
  waiting_e.join();
  waiting_d.join();
  EXPECT_THAT(evaluator, HasSubstr("step 7 linear fc: party 2 (helper) stopped the session: the disk is full"));
  EXPECT_THAT(dealer, HasSubstr("party 2 (helper) stopped the session: the disk is full"));
}

TEST(LocalNetwork, SilenceEndsAtTheDeadlineNamingThePeer) {
  auto ends = make_local_networks({.deadline = milliseconds(60)});
  EXPECT_THAT(peer_error_of([&] { at(ends, kD).channel(kE, Phase::kOnline).receive({}, 1); }),
              HasSubstr("party 1 (evaluator) gave no sign of life for 60 ms"));
}

TEST(LocalNetwork, WhatADepartedPartySentStillArrives) {
  auto ends = make_local_networks();
  at(ends, kD).channel(kE, Phase::kOffline).send({}, text_buffer("last"));
  ends[0].reset();
  EXPECT_EQ(text_of(at(ends, kE).channel(kD, Phase::kOffline).receive({}, 4)), "last");
  EXPECT_THAT(peer_error_of([&] { at(ends, kE).channel(kD, Phase::kOffline).receive({}, 4); }),
              HasSubstr("party 0 (dealer) left the session"));
}

TEST(LocalNetwork, TranscriptDependsOnHeadersPayloadsAndPhase) {
  auto ends = make_local_networks({.keep_transcript = true});
  auto again = make_local_networks({.keep_transcript = true});
  for (auto* network : {&ends, &again})
    at(*network, kD).channel(kE, Phase::kOnline).send({1, 2, 3, 4}, text_buffer("x"));
  const Digest same = at(ends, kD).transcript(kE, Phase::kOnline);
  EXPECT_EQ(same, at(again, kD).transcript(kE, Phase::kOnline));
  EXPECT_NE(same, at(ends, kD).transcript(kE, Phase::kOffline));
  at(ends, kD).channel(kE, Phase::kOnline).send({1, 2, 3, 5}, text_buffer("x"));
  at(again, kD).channel(kE, Phase::kOnline).send({1, 2, 3, 4}, text_buffer("x"));
  EXPECT_NE(at(ends, kD).transcript(kE, Phase::kOnline), at(again, kD).transcript(kE, Phase::kOnline));
}

// The pattern of the protocol: D and H stream offline to E while E and H talk online, H answering behind its stream.
TEST(LocalNetwork, ProtocolPatternDoesNotDeadlockWithAQueueOfOneBlock) {
  auto ends = make_local_networks({.offline_queue_bytes = 1, .deadline = std::chrono::seconds(20)});
  constexpr uint32_t kBlocks = 200;
  auto stream = [&](PartyId from, PartyId to) {
    for (uint32_t i = 0; i < kBlocks; ++i)
      at(ends, from).channel(to, Phase::kOffline).send({0, i, 0, 0}, Buffer::stored(64));
  };
  auto take = [&](PartyId to, PartyId from, uint32_t i) {
    at(ends, to).channel(from, Phase::kOffline).receive({0, i, 0, 0}, 64);
  };
  std::thread dealer([&] {
    for (uint32_t i = 0; i < kBlocks; ++i)
      at(ends, kD).channel(kH, Phase::kOffline).send({0, i, 0, 0}, Buffer::stored(64));
  });
  std::thread helper_offline([&] { stream(kH, kE); });
  auto online = [&](PartyId self, PartyId peer) {
    for (uint32_t i = 0; i < kBlocks; ++i) {
      take(self, self == kE ? kH : kD, i);
      at(ends, self).channel(peer, Phase::kOnline).send({0, i, 0, 0}, Buffer::stored(32));
      at(ends, self).channel(peer, Phase::kOnline).receive({0, i, 0, 0}, 32);
    }
  };
  std::thread helper_online([&] { online(kH, kE); });
  online(kE, kH);
  for (std::thread* thread : {&dealer, &helper_offline, &helper_online}) thread->join();
  EXPECT_EQ(at(ends, kE).channel(kH, Phase::kOnline).received().messages, kBlocks);
  EXPECT_EQ(at(ends, kE).channel(kH, Phase::kOffline).received().messages, kBlocks);
}

TEST(DryNetwork, RecordsEveryMessageInOrderAndReturnsDryBuffers) {
  DryNetwork network(kE);
  EXPECT_TRUE(network.is_dry());
  network.channel(kH, Phase::kOnline).send({1, 2, 3, 4}, Buffer::dry(100));
  const Buffer got = network.channel(kD, Phase::kOffline).receive({1, 5, 0, 0}, 7);
  EXPECT_TRUE(got.is_dry());
  EXPECT_EQ(got.bytes(), 7u);
  const std::vector<DryEvent> expected = {
      {DryEvent::Kind::kSend, kH, Phase::kOnline, {1, 2, 3, 4}, 100},
      {DryEvent::Kind::kReceive, kD, Phase::kOffline, {1, 5, 0, 0}, 7},
  };
  EXPECT_EQ(network.events(), expected);
  EXPECT_EQ(network.channel(kH, Phase::kOnline).sent(), (Traffic{1, 116}));
  EXPECT_EQ(network.channel(kD, Phase::kOffline).received(), (Traffic{1, 23}));
}

}  // namespace
}  // namespace treville
