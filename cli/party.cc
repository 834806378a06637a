// treville party: one real party of a federation. It finds the other two, checks that they run the same program, and
// runs its side.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <set>

#include "base/error.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/model.h"
#include "cli/output_files.h"
#include "cli/party_side.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "run/local_run.h"
#include "run/preprocess.h"
#include "tensor/memory_meter.h"

namespace treville::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  PartyOptions party;
  std::vector<std::string> inputs;
  std::string preprocess;
  std::string labels;
  std::vector<std::string> outputs;
  std::optional<int> count;
  bool preprocessed = false;
  bool profile = false;
};

// OwnInputs is what this party gives: for every inference its inputs, encoded.
struct OwnInputs {
  std::vector<Inference> files;
  std::vector<std::map<std::string, RingTensor>> encoded;

  const std::map<std::string, RingTensor>& of(int inference) const {
    static const std::map<std::string, RingTensor> kNone;
    return encoded.empty() ? kNone : encoded[static_cast<size_t>(inference)];
  }
};

// refuse_foreign throws for an input that another party gives, and for any where this party gives none.
void refuse_foreign(const Program& program, const std::vector<std::string>& given, PartyId self) {
  std::set<PartyId> owners;
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input == nullptr) continue;
    owners.insert(input->owner);
    for (const std::string& text : given)
      if (input->owner != self && split_name(text, {input->name}))
        throw UserError("--input: party {} gives input \"{}\" of this program, not party {}", input->owner, input->name,
                        self);
  }
  if (!given.empty() && owners.count(self) == 0)
    throw UserError("--input: party {} gives the input of this program, not party {}", fmt::join(owners, " or "), self);
}

// own_inputs reads this party's inputs and checks them before anybody is called.
OwnInputs own_inputs(const Program& program, const Options& options, PartyId self) {
  if (inputs_of(program).empty()) throw UserError("{}: the program has no input", program.model);
  const std::vector<NamedShape> inputs = inputs_of(program, self);
  refuse_foreign(program, options.inputs, self);
  OwnInputs own;
  if (inputs.empty()) return own;
  if (options.inputs.empty()) throw UserError("--input is missing: party {} gives {}", self, describe(inputs));
  const Preprocess preprocess = parse_preprocess(options.preprocess.empty() ? program.preprocess : options.preprocess);
  own.files = read_inferences(options.inputs, inputs, preprocess);
  for (const Inference& inference : own.files) own.encoded.push_back(encode_inputs(inference, inputs, program));
  return own;
}

struct Timing {
  double handshake = 0, setup = 0;
  double setup_cpu = 0;  // of this process until everything was set up
  std::vector<double> inferences;
  std::vector<double> steps;  // of the online walk, with --profile
  double total_cpu = 0;
};

struct Outcome {
  std::vector<std::vector<NamedOutput>> outputs;  // by inference, at the recipient
  Timing timing;
  std::vector<PassPeak> peaks;  // largest over the inferences
  int64_t setup_peak = 0;
  std::vector<uint32_t> records;  // with --preprocessed: the number of each inference's
};

void keep_largest(std::vector<PassPeak>& held, const std::vector<PassPeak>& peaks) {
  held.resize(std::max(held.size(), peaks.size()));
  for (size_t i = 0; i < peaks.size(); ++i) {
    const int64_t largest = std::max(held[i].bytes, peaks[i].bytes);
    held[i] = peaks[i];
    held[i].bytes = largest;
  }
}

// Engine runs inferences one after the other: both phases interleaved, or the online phase from records.
class Engine {
 public:
  Engine(const PartySide& side, Session& session, ProtocolPasses& passes, bool preprocessed, int count)
      : side_(side), session_(session), passes_(passes) {
    if (!preprocessed) return;
    records_ = side.store->records(session.program, session.model);
    check_left(session, *records_, count, records_of_others());
    from_records_ = std::make_unique<PreprocessedRuns>(session, passes, side.program, *records_);
  }

  PartyOutputs run(RunInputs inputs, const PassOptions& options, Outcome& outcome) {
    if (!from_records_) {
      const auto start = Clock::now();
      PartyOutputs outputs = run_passes(session_, passes_, side_.program, inputs, options);
      outcome.timing.inferences.push_back(seconds_since(start));
      return outputs;
    }
    PreprocessedRuns::Result result = from_records_->run(inputs, options);
    outcome.timing.inferences.push_back(result.seconds);
    outcome.records.push_back(result.record.number);
    return std::move(result.outputs);
  }

 private:
  int64_t records_of_others() const {
    int64_t count = 0;
    for (const Store::RecordFolder& row : side_.store->list())
      if (row.program != session_.program || row.model != session_.model) count += row.left;
    return count;
  }

  const PartySide& side_;
  Session& session_;
  ProtocolPasses& passes_;
  std::unique_ptr<Records> records_;
  std::unique_ptr<PreprocessedRuns> from_records_;
};

// StepClock adds up how long each step of the online walk takes, waiting included: the walk is straight, so that the
// times of its steps add up to its own.
class StepClock {
 public:
  explicit StepClock(size_t steps) : seconds_(steps) {}
  StepObserver around(StepObserver observer) {
    observer.before = [this, before = std::move(observer.before)](StepId id, const Step& step) {
      if (index_of(id) == 0) last_ = Clock::now();
      if (before) before(id, step);
    };
    observer.after = [this, after = std::move(observer.after)](StepId id, const Step& step, const Shared* result) {
      if (after) after(id, step, result);
      const auto now = Clock::now();
      seconds_[index_of(id)] += std::chrono::duration<double>(now - last_).count();
      last_ = now;
    };
    return observer;
  }
  // mean of each step over the inferences.
  std::vector<double> mean(int count) const {
    std::vector<double> result = seconds_;
    for (double& seconds : result) seconds /= count;
    return result;
  }

 private:
  std::vector<double> seconds_;
  Clock::time_point last_;
};

Outcome run_inferences(const PartySide& side, Session& session, const Options& options, const OwnInputs& inputs,
                       int count, Reporter& reporter) {
  Outcome outcome;
  const auto setup_start = Clock::now();
  const auto setup_meter = std::make_shared<MemoryMeter>();
  ProtocolPasses passes = [&] {
    const MeterScope scope(setup_meter);
    return set_up(side, session);
  }();
  outcome.setup_peak = setup_meter->peak();
  outcome.timing.setup = seconds_since(setup_start);
  outcome.timing.setup_cpu = cpu_seconds();
  Engine engine(side, session, passes, options.preprocessed, count);
  // The dealer's online walk waits for the result: progress is that of its offline walk, where it has one.
  const bool offline_shows = session.self == PartyId::kDealer && !options.preprocessed;
  StepClock clock(side.program.steps.size());
  for (int i = 0; i < count; ++i) {
    RunInputs run = run_inputs(side.program, session.self, false, side.weights.constants, inputs.of(i));
    run.inference = static_cast<uint32_t>(i);
    PassOptions pass_options;
    pass_options.observe = [&, i](Phase phase) {
      StepObserver observer = reporter.observer(phase == (offline_shows ? Phase::kOffline : Phase::kOnline), i);
      return options.profile && phase == Phase::kOnline ? clock.around(std::move(observer)) : observer;
    };
    const PartyOutputs result = engine.run(run, pass_options, outcome);
    outcome.outputs.push_back(decode_outputs(result.outputs));
    keep_largest(outcome.peaks, result.peaks);
  }
  outcome.timing.total_cpu = cpu_seconds();
  if (options.profile) outcome.timing.steps = clock.mean(count);
  return outcome;
}

Json result_json(const PartySide& side, Session& session, const Outcome& outcome, const Options& options,
                 const std::vector<std::string>& labels) {
  Json inferences = Json::array();
  for (size_t i = 0; i < outcome.outputs.size(); ++i) {
    Json outputs = Json::array();
    for (const NamedOutput& output : outcome.outputs[i]) {
      Json json = to_json(output);
      json["predictions"] = predictions_json(output, labels);
      outputs.push_back(json);
    }
    Json inference = {{"seconds", outcome.timing.inferences[i]}, {"outputs", outputs}};
    if (options.preprocessed) inference["record"] = outcome.records[i];
    inferences.push_back(std::move(inference));
  }
  Json memory = Json::array({{{"phase", name_of(Phase::kSetup)}, {"peak_bytes", outcome.setup_peak}}});
  for (const PassPeak& peak : outcome.peaks)
    memory.push_back({{"phase", name_of(peak.phase)}, {"peak_bytes", peak.bytes}});
  Json result = session_json(side, session);
  result["inferences"] = inferences;
  result["seconds_are"] = options.preprocessed ? "online" : "offline and online";
  result["memory"] = memory;
  result["seconds"] = {{"handshake", outcome.timing.handshake}, {"setup", outcome.timing.setup}};
  result["cpu_seconds"] = {{"setup", outcome.timing.setup_cpu},
                           {"inferences", outcome.timing.total_cpu - outcome.timing.setup_cpu}};
  if (options.profile) result["step_seconds"] = outcome.timing.steps;
  result["resident_bytes"] = largest_resident_bytes();
  add_tls(result, session);
  return result;
}

void print_people(const PartySide& side, const Session& session, const Outcome& outcome, const Options& options,
                  const OwnInputs& inputs, const std::vector<std::string>& labels) {
  fmt::print("{}: party {} ({}), {} inference{} done\n\n", side.program.model, session.self,
             side.federation.member(session.self).name, outcome.timing.inferences.size(),
             outcome.timing.inferences.size() == 1 ? "" : "s");
  for (const PeerInfo& peer : session.peers) {
    fmt::print("  with     party {} ({}) at {}, {}, {}\n", peer.party, peer.name, peer.address, peer.tls_version,
               peer.cipher);
  }
  Traffic total;
  for (const TrafficRow& row : session.network->sent_traffic()) total.bytes += row.traffic.bytes;
  double seconds = 0;
  for (double s : outcome.timing.inferences) seconds += s;
  fmt::print("  time     connected in {}, set up in {}, inference {}{}\n", human_seconds(outcome.timing.handshake),
             human_seconds(outcome.timing.setup),
             human_seconds(seconds / static_cast<double>(std::max<size_t>(outcome.timing.inferences.size(), 1))),
             options.preprocessed ? " online, the rest was preprocessed" : "");
  fmt::print("  weights  {}\n", weights_text(side, session));
  fmt::print("  sent     {}\n", human_bytes(total.bytes));
  if (session.store) {
    for (const std::string& note : session.store->weights().notes()) fmt::print("  note     {}\n", note);
  }
  for (size_t i = 0; i < outcome.outputs.size(); ++i) {
    const std::vector<NamedOutput>& outputs = outcome.outputs[i];
    for (const NamedOutput& output : outputs) {
      const std::string input = inputs.files.empty() ? "" : inputs.files[i].name;
      const std::string name = input.empty() ? output.name : outputs.size() == 1 ? input : input + ": " + output.name;
      fmt::print("  output   {}: {}\n", name, describe_prediction(output, labels));
    }
  }
}

int party(const Options& options) {
  const PartySide side = load_party(options.party);
  const OutputFiles output_files("--output", options.outputs, output_names(side.program, side.self));
  const OwnInputs inputs = own_inputs(side.program, options, side.self);
  const size_t given = inputs.files.size();
  const int count = options.count.value_or(static_cast<int>(std::max<size_t>(given, 1)));
  if (given > 0 && static_cast<size_t>(count) != given) {
    throw UserError("--count is {}, but --input gives {} inference{}", count, given, given == 1 ? "" : "s");
  }
  if (options.preprocessed && options.party.no_store)
    throw UserError("--preprocessed reads a store: leave out --no-store");
  const std::vector<std::string> labels = read_labels(options.labels);
  check_labels(labels, options.labels, side.program);

  Reporter reporter(options.party, side.program, count);
  const auto start = Clock::now();
  Session session = meet(side, options.party, options.preprocessed ? "preprocessed" : "inferences", count);
  session.online_only = options.preprocessed;
  const double handshake = seconds_since(start);
  Outcome outcome = run_inferences(side, session, options, inputs, count, reporter);
  outcome.timing.handshake = handshake;
  reporter.finish();
  output_files.write(outcome.outputs);
  if (options.party.json) {
    print_json(result_json(side, session, outcome, options, labels));
  } else {
    print_people(side, session, outcome, options, inputs, labels);
  }
  return kSuccess;
}

}  // namespace

Command add_party(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app = new_command(
      root, "party", "One real party of a federation; start the three in any order",
      "Examples:\n"
      "  treville party --id 0 --federation federation.yaml --program compiled --input photo.jpg   # the client\n"
      "  treville party --id 1 --federation federation.yaml --program compiled                     # the model owner\n"
      "  treville party --id 2 --federation federation.yaml --program program.treville             # the helper\n\n"
      "All three need the federation file and the public program. Party 0 gives the input and receives the output,\n"
      "party 1 has the weights, party 2 nothing. `treville keys` makes certificates and a federation file.\n"
      "The weights are shared once: each party keeps its part, sealed, in its store (the folder NAME.store beside its\n"
      "key, unless the federation file names another).",
      options->party.json);
  options->party.add_to(*app);
  for (const char* name : {"--id", "--federation", "--program"}) app->get_option(name)->required();
  app->add_option(
         "--input", options->inputs,
         "FILE or NAME=FILE: a .npy array, an image, or a .npz archive of all inputs (each input's owner); may "
         "be repeated")
      ->allow_extra_args(false);
  app->add_option("--preprocess", options->preprocess, "Overrides the preprocessing the program was compiled with");
  app->add_option("--labels", options->labels, "Class names, one a line");
  app->add_option("--output", options->outputs,
                  "Write the output to a .npy file (the recipient); several outputs: a .npz archive of all, or "
                  "NAME=FILE.npy, which may be repeated")
      ->allow_extra_args(false);
  app->add_option("--count", options->count,
                  "How many inputs there will be (all parties must agree; default: the inputs given, or 1)")
      ->check(CLI::Range(1, 1'000'000));
  app->add_flag("--profile", options->profile, "With --json: the seconds of every step of the online walk");
  app->add_flag("--preprocessed", options->preprocessed,
                "Run the online phase alone, from what `treville preprocess` left (all parties must agree)");
  return {app, [options] { return party(*options); }};
}

}  // namespace treville::cli
