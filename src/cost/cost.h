// The exact cost of a program under a protocol, without computing it: every party's passes run dry (shapes only), their
// messages are recorded, matched and replayed. What a real run meters is equal, byte for byte.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cost/replay.h"
#include "program/program.h"

namespace treville {

// WalkCost is the memory of one walk: the most bytes of tensors it holds at once, in all and within each step.
struct WalkCost {
  PartyId party;
  Phase phase;
  int64_t memory_peak = 0;
  std::vector<int64_t> step_peaks;
};

// StepCost sums over all parties; memory is that of the walk that needs most.
struct StepCost {
  std::string name;  // "relu"
  std::string layer;
  int64_t offline_bytes = 0, online_bytes = 0;
  int64_t messages = 0;
  int online_rounds = 0;
  int64_t memory_peak = 0;
};

struct CostReport {
  std::string model, protocol;
  std::vector<TrafficRow> traffic;  // directed pairs and phases that carry messages; frame headers and payloads
  Rounds rounds;
  std::vector<WalkCost> walks;
  std::vector<StepCost> steps;
  int64_t macs = 0;
  Trace trace;

  int64_t bytes(Phase phase) const;
  int64_t messages(Phase phase) const;
};

// dry_cost needs a program that verifies. A message that is not matched is a BugError.
CostReport dry_cost(std::string_view protocol, const Program& program);

// cost_table prints the report for people; layer_table one line for each step.
std::string cost_table(const CostReport& report, std::span<const Estimate> estimates = {});
std::string layer_table(const CostReport& report);

}  // namespace treville
