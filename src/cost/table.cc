#include <fmt/format.h>

#include "cost/cost.h"

namespace treville {
namespace {

constexpr Phase kPhases[] = {Phase::kSetup, Phase::kOffline, Phase::kOnline};

std::string megabytes(int64_t bytes) { return fmt::format("{:.2f} MB", static_cast<double>(bytes) / 1e6); }

std::string seconds(double value) {
  return value < 1 ? fmt::format("{:.1f} ms", value * 1e3) : fmt::format("{:.2f} s", value);
}

const char* party_name(PartyId party) {
  return party == PartyId::kDealer ? "dealer" : party == PartyId::kEvaluator ? "evaluator" : "helper";
}

}  // namespace

std::string cost_table(const CostReport& report, std::span<const Estimate> estimates) {
  std::string text = fmt::format("{} with {}: {} steps, {:.3f} G multiply-accumulates\n\n", report.model,
                                 report.protocol, report.steps.size(), static_cast<double>(report.macs) / 1e9);
  text += fmt::format("{:<9}{:<24}{:>10}{:>16}{:>14}\n", "phase", "from -> to", "messages", "bytes", "");
  for (Phase phase : kPhases) {
    for (const TrafficRow& row : report.traffic) {
      if (row.phase != phase) continue;
      text += fmt::format("{:<9}{:<24}{:>10}{:>16}{:>14}\n", name_of(phase),
                          fmt::format("{} -> {}", party_name(row.from), party_name(row.to)), row.traffic.messages,
                          row.traffic.bytes, megabytes(row.traffic.bytes));
    }
  }
  text += fmt::format("\n{:<9}{:>10}{:>16}{:>14}{:>9}\n", "phase", "messages", "bytes", "", "rounds");
  for (Phase phase : kPhases) {
    text += fmt::format("{:<9}{:>10}{:>16}{:>14}{:>9}\n", name_of(phase), report.messages(phase), report.bytes(phase),
                        megabytes(report.bytes(phase)), report.rounds.by_phase[static_cast<size_t>(phase)]);
  }
  text += "\nmost memory of tensors at once\n";
  for (const WalkCost& walk : report.walks)
    text +=
        fmt::format("{:<11}{:<9}{:>14}\n", party_name(walk.party), name_of(walk.phase), megabytes(walk.memory_peak));
  if (!estimates.empty()) {
    text += fmt::format("\ntime of messages alone\n{:<24}{:>11}{:>11}{:>11}{:>20}\n", "network", "setup", "offline",
                        "online", "offline + online");
  }
  for (const Estimate& e : estimates) {
    text += fmt::format("{:<24}{:>11}{:>11}{:>11}{:>20}\n", e.network.name, seconds(e.setup_seconds),
                        seconds(e.offline_seconds), seconds(e.online_seconds), seconds(e.total_seconds));
  }
  return text;
}

std::string layer_table(const CostReport& report) {
  std::string text = fmt::format("{:>5} {:<13}{:>14}{:>14}{:>10}{:>8}{:>14}  {}\n", "step", "", "offline", "online",
                                 "messages", "rounds", "memory", "layer");
  for (size_t i = 0; i < report.steps.size(); ++i) {
    const StepCost& step = report.steps[i];
    text += fmt::format("{:>5} {:<13}{:>14}{:>14}{:>10}{:>8}{:>14}  {}\n", i, step.name, step.offline_bytes,
                        step.online_bytes, step.messages, step.online_rounds, megabytes(step.memory_peak), step.layer);
  }
  return text;
}

}  // namespace treville
