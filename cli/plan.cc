// treville plan: what a program costs, exactly, before anything runs.
#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "cli/command.h"
#include "cli/screen.h"
#include "cli/verdicts.h"
#include "cost/cost.h"
#include "program/text.h"

namespace treville::cli {
namespace {

struct Options {
  std::string program;
  std::string net = "lan";
  bool layers = false;
  bool json = false;
};

constexpr const char* kRoles[] = {"0 dealer", "1 model owner", "2 helper"};

int64_t bytes_sent(const CostReport& report, PartyId party, Phase phase) {
  int64_t bytes = 0;
  for (const TrafficRow& row : report.traffic) {
    if (row.from == party && row.phase == phase) bytes += row.traffic.bytes;
  }
  return bytes;
}

// memory_peak adds up what the walks of a party hold at most.
int64_t memory_peak(const CostReport& report, PartyId party) {
  int64_t bytes = 0;
  for (const WalkCost& walk : report.walks) {
    if (walk.party == party) bytes += walk.memory_peak;
  }
  return bytes;
}

int online_rounds(const CostReport& report) { return report.rounds.by_phase[static_cast<size_t>(Phase::kOnline)]; }

Json report_json(const Program& program, const CostReport& report, const Estimate& time) {
  Json parties = Json::array();
  for (const PartyId party : kAllParties) {
    parties.push_back({{"party", index_of(party)},
                       {"setup_bytes_sent", bytes_sent(report, party, Phase::kSetup)},
                       {"offline_bytes_sent", bytes_sent(report, party, Phase::kOffline)},
                       {"online_bytes_sent", bytes_sent(report, party, Phase::kOnline)},
                       {"peak_bytes", memory_peak(report, party)}});
  }
  Json pairs = Json::array();
  for (const TrafficRow& row : report.traffic) {
    pairs.push_back({{"from", index_of(row.from)},
                     {"to", index_of(row.to)},
                     {"phase", name_of(row.phase)},
                     {"messages", row.traffic.messages},
                     {"bytes", row.traffic.bytes}});
  }
  Json walks = Json::array();
  for (const WalkCost& walk : report.walks) {
    walks.push_back(
        {{"party", index_of(walk.party)}, {"phase", name_of(walk.phase)}, {"peak_bytes", walk.memory_peak}});
  }
  Json layers = Json::array();
  for (size_t i = 0; i < report.steps.size(); ++i) {
    const StepCost& step = report.steps[i];
    layers.push_back({{"step", i},
                      {"operation", step.name},
                      {"layer", step.layer},
                      {"offline_bytes", step.offline_bytes},
                      {"online_bytes", step.online_bytes},
                      {"messages", step.messages},
                      {"online_rounds", step.online_rounds},
                      {"peak_bytes", step.memory_peak}});
  }
  return {{"model", program.model},
          {"ring", static_cast<int>(program.ring)},
          {"scheme", program.scheme},
          {"verdicts", to_json(count_verdicts(program))},
          {"setup_bytes", report.bytes(Phase::kSetup)},
          {"offline_bytes", report.bytes(Phase::kOffline)},
          {"online_bytes", report.bytes(Phase::kOnline)},
          {"online_rounds", online_rounds(report)},
          {"macs", report.macs},
          {"parties", parties},
          {"pairs", pairs},
          {"memory", walks},
          {"layers", layers},
          {"estimate",
           {{"net", time.network.name},
            {"rtt_seconds", time.network.rtt_seconds},
            {"bits_per_second", time.network.bits_per_second},
            {"setup_seconds", time.setup_seconds},
            {"online_seconds", time.online_seconds},
            {"total_seconds", time.total_seconds}}}};
}

void print_people(const Program& program, const CostReport& report, const Estimate& time, bool layers) {
  fmt::print("{}: {} steps, ring Z_2^{}, {}\n\n", program.model, program.steps.size(), static_cast<int>(program.ring),
             program.scheme);
  Table table({"party", "set-up sent, once", "offline sent", "online sent", "tensors in memory"});
  for (const PartyId party : kAllParties) {
    table.add({kRoles[index_of(party)], human_bytes(bytes_sent(report, party, Phase::kSetup)),
               human_bytes(bytes_sent(report, party, Phase::kOffline)),
               human_bytes(bytes_sent(report, party, Phase::kOnline)), human_bytes(memory_peak(report, party))});
  }
  table.add({"all", human_bytes(report.bytes(Phase::kSetup)), human_bytes(report.bytes(Phase::kOffline)),
             human_bytes(report.bytes(Phase::kOnline)), ""});
  fmt::print("{}", table.text());
  fmt::print("\n  rounds   {} online: one-way messages that wait for one another\n", online_rounds(report));
  fmt::print("  work     {} multiply-accumulates at each party\n", human_count(report.macs));
  fmt::print("  ranges   {}\n", describe(count_verdicts(program)));
  fmt::print("  time     about {} of messages per input on {} ({} round trip, {:.4g} Mbit/s), {} of it online\n",
             human_seconds(time.total_seconds), time.network.name, human_seconds(time.network.rtt_seconds),
             time.network.bits_per_second / 1e6, human_seconds(time.online_seconds));
  fmt::print(
      "\n  Bytes, rounds and memory are exact: a run has the same. The time is an estimate of the network's part.\n");
  if (layers) {
    fmt::print("\n{}", layer_table(report));
  } else {
    fmt::print("  --layers shows each step; --net wan or --net rtt=40ms,bw=350Mbit another network.\n");
  }
}

int plan(const Options& options) {
  const NetModel net = parse_net_model(options.net);
  std::filesystem::path path = options.program;
  if (std::filesystem::is_directory(path)) path /= "program.treville";
  const Program program = read_program(path);
  const CostReport report = dry_cost("porthos", program);
  const Estimate time = estimate(report.trace, net);
  if (options.json) {
    print_json(report_json(program, report, time));
  } else {
    print_people(program, report, time, options.layers);
  }
  return kSuccess;
}

}  // namespace

Command add_plan(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app = new_command(root, "plan", "Exact bytes, rounds and memory of a program, and an estimate of its time",
                              "Examples:\n"
                              "  treville compile model.onnx -o compiled --calibrate photos/\n"
                              "  treville plan compiled\n"
                              "  treville plan compiled --layers --net rtt=40ms,bw=350Mbit\n\n"
                              "Walks the program without data and counts every message. Needs only the public program.",
                              options->json);
  app->add_option("PROGRAM", options->program, "program.treville, or the folder `treville compile` wrote")->required();
  app->add_option("--net", options->net, "lan, wan, or rtt=40ms,bw=350Mbit (only the time depends on it)");
  app->add_flag("--layers", options->layers, "A row for each step");
  return {app, [options] { return plan(*options); }};
}

}  // namespace treville::cli
