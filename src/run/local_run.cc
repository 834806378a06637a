#include "run/local_run.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "mpc/protocols.h"
#include "party/local_parties.h"
#include "program/digest.h"
#include "run/post_process.h"

namespace treville {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void check_given(const Program& program, const std::vector<RingTensor>& constants,
                 const std::map<std::string, RingTensor>& inputs) {
  CHECK(constants.size() == program.constants.size(), "{} constants given, the program has {}", constants.size(),
        program.constants.size());
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input == nullptr) continue;
    const auto found = inputs.find(input->name);
    if (found == inputs.end()) throw UserError("input \"{}\" {} is missing", input->name, to_string(input->shape));
    if (found->second.shape() != input->shape || found->second.ring() != input->ring)
      throw UserError("input \"{}\" has shape {}, expected {}", input->name, to_string(found->second.shape()),
                      to_string(input->shape));
  }
}

// LocalRun holds what the threads of the parties share.
class LocalRun {
 public:
  LocalRun(const ProtocolInfo& protocol, const Program& program, const std::vector<RingTensor>& constants,
           const std::map<std::string, RingTensor>& inputs, const LocalRunOptions& options)
      : protocol_(protocol), program_(program), constants_(constants), inputs_(inputs), options_(options) {}

  LocalRunResult run() {
    make_sessions();
    {
      std::vector<std::jthread> threads;
      for (Session& session : sessions_) threads.emplace_back([&] { run_party(session); });
    }
    if (first_error_) std::rethrow_exception(first_error_);
    for (Session& session : sessions_) add_traffic(session);
    return std::move(result_);
  }

 private:
  bool alone() const { return protocol_.parties.size() == 1; }

  void make_sessions() {
    if (alone()) {
      sessions_.emplace_back().self = protocol_.parties[0];
      return;
    }
    for (Session& session : make_local_sessions({options_.seed, digest(program_), options_.network}))
      sessions_.push_back(std::move(session));
  }

  void run_party(Session& session) {
    try {
      const Clock::time_point start = Clock::now();
      const auto setup_meter = std::make_shared<MemoryMeter>();
      ProtocolPasses passes = set_up(session, setup_meter);
      const double setup_seconds = seconds_since(start);
      RunInputs inputs = run_inputs(program_, session.self, alone(), constants_, inputs_);
      inputs.inference = options_.inference;
      PartyOutputs party = run_passes(session, passes, program_, inputs, pass_options(session.self));
      keep(session.self, std::move(party), {session.self, Phase::kSetup, setup_meter->peak()}, setup_seconds,
           seconds_since(start));
    } catch (...) {
      fail(std::current_exception());
      if (session.network) session.network->abort(message_of(std::current_exception()));
    }
  }

  ProtocolPasses set_up(Session& session, std::shared_ptr<MemoryMeter> meter) const {
    const MeterScope scope(std::move(meter));
    const std::vector<WeightSpec> specs = weight_specs(program_);
    const std::vector<const RingTensor*> weights = weight_pointers(program_, constants_);
    const bool owns_weights = session.self == PartyId::kEvaluator;
    return protocol_.set_up(session, specs, owns_weights ? &weights : nullptr);
  }

  PassOptions pass_options(PartyId party) {
    PassOptions options;
    if (options_.observe) options.observe = [this, party](Phase phase) { return options_.observe(party, phase); };
    options.on_error = [this](std::exception_ptr error) { fail(std::move(error)); };
    return options;
  }

  void fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!first_error_) first_error_ = std::move(error);
  }

  void keep(PartyId party, PartyOutputs outputs, PassPeak setup, double setup_seconds, double total_seconds) {
    const std::lock_guard lock(mutex_);
    result_.outputs[static_cast<size_t>(index_of(party))] = std::move(outputs.outputs);
    result_.peaks.push_back(setup);
    result_.peaks.insert(result_.peaks.end(), outputs.peaks.begin(), outputs.peaks.end());
    result_.setup_seconds = std::max(result_.setup_seconds, setup_seconds);
    result_.run_seconds = std::max(result_.run_seconds, total_seconds - setup_seconds);
  }

  void add_traffic(Session& session) {
    if (!session.network) return;
    for (const TrafficRow& row : session.network->sent_traffic()) {
      result_.traffic.push_back(row);
      if (options_.network.keep_transcript)
        result_.transcripts.push_back(session.network->transcript(row.to, row.phase));
    }
  }

  const ProtocolInfo& protocol_;
  const Program& program_;
  const std::vector<RingTensor>& constants_;
  const std::map<std::string, RingTensor>& inputs_;
  const LocalRunOptions& options_;
  std::vector<Session> sessions_;
  std::mutex mutex_;
  std::exception_ptr first_error_;
  LocalRunResult result_;
};

}  // namespace

std::vector<FloatTensor> LocalRunResult::values(PartyId party) const {
  std::vector<FloatTensor> result;
  for (const RevealedOutput& output : outputs[index_of(party)])
    result.push_back(post_process(decode(output.value, output.type), output.post, output.top, output.axis));
  return result;
}

const RevealedOutput& LocalRunResult::output(PartyId party, const std::string& name) const {
  const auto& all = outputs[static_cast<size_t>(index_of(party))];
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& output) { return output.name == name; });
  CHECK(found != all.end(), "party {} received no output \"{}\"", party, name);
  return *found;
}

LocalRunResult run_local(std::string_view protocol, const Program& program, const std::vector<RingTensor>& constants,
                         const std::map<std::string, RingTensor>& inputs, const LocalRunOptions& options) {
  check_given(program, constants, inputs);
  return LocalRun(find_protocol(protocol), program, constants, inputs, options).run();
}

RunInputs run_inputs(const Program& program, PartyId party, bool alone, const std::vector<RingTensor>& constants,
                     const std::map<std::string, RingTensor>& inputs) {
  RunInputs mine;
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input != nullptr && (alone || input->owner == party)) mine.inputs[input->name] = &inputs.at(input->name);
  }
  if (alone || party == PartyId::kEvaluator)
    for (const RingTensor& constant : constants) mine.constants.push_back(&constant);
  return mine;
}

DryTensors::DryTensors(const Program& program) {
  for (const ConstantDecl& constant : program.constants)
    constants.push_back(RingTensor::dry(constant.ring, constant.shape));
  for (const Step& step : program.steps) {
    if (const auto* input = std::get_if<InputStep>(&step.body))
      inputs.emplace(input->name, RingTensor::dry(input->ring, input->shape));
  }
}

std::vector<const RingTensor*> weight_pointers(const Program& program, const std::vector<RingTensor>& constants) {
  std::vector<const RingTensor*> weights;
  for (ConstantId id : weight_constants(program)) weights.push_back(&constants[index_of(id)]);
  return weights;
}

}  // namespace treville
