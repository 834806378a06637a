#include "cost/cost.h"

#include <algorithm>
#include <map>

#include "mpc/protocols.h"
#include "net/dry_network.h"
#include "party/local_parties.h"
#include "run/execute.h"
#include "run/local_run.h"

namespace treville {
namespace {

// DryParty runs the walks of one party one after the other: offline walks first, whose material the others use.
class DryParty {
 public:
  DryParty(const ProtocolInfo& protocol, const Program& program, PartyId party)
      : program_(program), party_(party), session_(make_dry_session(party)) {
    const auto meter = std::make_shared<MemoryMeter>();
    {
      const MeterScope scope(meter);
      passes_ = protocol.set_up(session_, weight_specs(program), nullptr);
    }
    end_walk(Phase::kSetup, {meter->peak(), {}}, {});
  }

  void run(const RunInputs& inputs) {
    std::vector<Protocol*> order;
    for (const auto& pass : passes_.passes) order.push_back(pass.get());
    std::stable_sort(order.begin(), order.end(),
                     [](const Protocol* a, const Protocol* b) { return a->phase() < b->phase(); });
    for (Protocol* pass : order) walk(*pass, inputs);
  }

  std::vector<WalkCost> costs;
  Trace trace;

 private:
  struct Memory {
    int64_t peak = 0;
    std::vector<int64_t> steps;
  };
  const std::vector<DryEvent>& events() const { return static_cast<const DryNetwork&>(*session_.network).events(); }

  void walk(Protocol& pass, const RunInputs& inputs) {
    const auto meter = std::make_shared<MemoryMeter>();
    const MeterScope scope(meter);
    Memory memory;
    std::vector<size_t> step_ends;
    StepObserver observer;
    observer.before = [&](StepId, const Step&) { meter->reset_peak(); };
    observer.after = [&](StepId, const Step&, const Shared*) {
      memory.steps.push_back(meter->peak());
      memory.peak = std::max(memory.peak, meter->peak());
      step_ends.push_back(events().size() - seen_);
    };
    execute(program_, pass, inputs, observer);
    end_walk(pass.phase(), std::move(memory), std::move(step_ends));
  }

  void end_walk(Phase phase, Memory memory, std::vector<size_t> step_ends) {
    const auto first = events().begin() + static_cast<int64_t>(seen_);
    trace.push_back({party_, phase, {first, events().end()}, std::move(step_ends)});
    seen_ = events().size();
    costs.push_back({party_, phase, memory.peak, std::move(memory.steps)});
  }

  const Program& program_;
  const PartyId party_;
  Session session_;
  ProtocolPasses passes_;
  size_t seen_ = 0;
};

// add_messages sums what was sent, by pair and by step.
void add_messages(CostReport& report) {
  std::map<std::tuple<Phase, PartyId, PartyId>, Traffic> rows;
  for (const WalkTrace& walk : report.trace) {
    for (const DryEvent& event : walk.events) {
      if (event.kind != DryEvent::Kind::kSend) continue;
      const int64_t bytes = event.bytes + kFrameHeaderBytes;
      Traffic& row = rows[{event.phase, walk.party, event.peer}];
      row.messages += 1;
      row.bytes += bytes;
      if (event.phase == Phase::kSetup) continue;
      StepCost& step = report.steps.at(event.tag.step);
      (event.phase == Phase::kOffline ? step.offline_bytes : step.online_bytes) += bytes;
      step.messages += 1;
    }
  }
  for (const auto& [key, traffic] : rows) {
    const auto& [phase, from, to] = key;
    report.traffic.push_back({from, to, phase, traffic});
  }
}

void add_steps(CostReport& report, const Program& program) {
  for (const Step& step : program.steps) {
    report.steps.push_back({name_of(step.body), step.layer});
    if (const auto* linear = std::get_if<LinearStep>(&step.body))
      for (const LinearTerm& term : linear->terms) report.macs += macs(term.map);
    if (const auto* product = std::get_if<ProductStep>(&step.body)) report.macs += macs(product->geometry);
  }
  for (const WalkCost& walk : report.walks) {
    for (size_t i = 0; i < walk.step_peaks.size(); ++i)
      report.steps[i].memory_peak = std::max(report.steps[i].memory_peak, walk.step_peaks[i]);
  }
}

}  // namespace

CostReport dry_cost(std::string_view protocol_name, const Program& program) {
  const ProtocolInfo& protocol = find_protocol(protocol_name);
  CostReport report;
  report.model = program.model;
  report.protocol = protocol_name;
  const DryTensors tensors(program);
  const bool alone = protocol.parties.size() == 1;
  for (PartyId party : protocol.parties) {
    DryParty dry(protocol, program, party);
    dry.run(run_inputs(program, party, alone, tensors.constants, tensors.inputs));
    std::move(dry.trace.begin(), dry.trace.end(), std::back_inserter(report.trace));
    std::move(dry.costs.begin(), dry.costs.end(), std::back_inserter(report.walks));
  }
  check_matched(report.trace);
  report.rounds = count_rounds(report.trace);
  add_steps(report, program);
  add_messages(report);
  for (size_t i = 0; i < report.rounds.online_by_step.size(); ++i)
    report.steps[i].online_rounds = report.rounds.online_by_step[i];
  return report;
}

int64_t CostReport::bytes(Phase phase) const {
  int64_t sum = 0;
  for (const TrafficRow& row : traffic)
    if (row.phase == phase) sum += row.traffic.bytes;
  return sum;
}

int64_t CostReport::messages(Phase phase) const {
  int64_t sum = 0;
  for (const TrafficRow& row : traffic)
    if (row.phase == phase) sum += row.traffic.messages;
  return sum;
}

}  // namespace treville
