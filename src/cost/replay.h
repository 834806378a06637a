// Replaying the messages of a dry run: what every walk sends and waits for, in the order of its calls, gives the
// longest chain of messages and, with a model of the network, a time. Computing counts as nothing.
#pragma once

#include <array>
#include <vector>

#include "cost/net_model.h"
#include "net/dry_network.h"

namespace treville {

// WalkTrace is one thread of one party: its messages, and how many of them came before the end of each step. The
// set-up of a model is a walk of its own, of phase kSetup and without steps.
struct WalkTrace {
  PartyId party = PartyId::kDealer;
  Phase phase = Phase::kOffline;
  std::vector<DryEvent> events;
  std::vector<size_t> step_ends;
};
using Trace = std::vector<WalkTrace>;

// check_matched: every message has its receiver, in order, with one tag and size. Throws BugError that names the first
// which has not.
void check_matched(const Trace& trace);

struct Rounds {
  std::array<int, 3> by_phase{};    // by Phase: one-way messages on the longest chain of that phase
  std::vector<int> online_by_step;  // how much each step lengthens the online chain
};
Rounds count_rounds(const Trace& trace);

// Estimate is the time messages take. online: with all offline material there before. total: both phases interleaved
// from the start, sharing each pair's bandwidth, without the set-up.
struct Estimate {
  NetModel network;
  double setup_seconds = 0, offline_seconds = 0, online_seconds = 0, total_seconds = 0;
};
Estimate estimate(const Trace& trace, const NetModel& network);

}  // namespace treville
