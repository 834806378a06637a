// treville party: one real party of a federation. It finds the other two, checks that they run the same program, and
// runs its side.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "cli/command.h"
#include "cli/model.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "data/npy.h"
#include "net/tls_network.h"
#include "party/federation.h"
#include "party/open_session.h"
#include "program/digest.h"
#include "program/text.h"
#include "program/weights.h"
#include "run/local_run.h"
#include "tensor/memory_meter.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string id;
  std::string federation;
  std::string program;
  std::string weights;
  std::vector<std::string> inputs;
  std::string preprocess;
  std::string labels;
  std::string output;
  std::optional<int> count;
  bool json = false;
  bool progress_json = false;
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

const InputStep& input_step(const Program& program) {
  const InputStep* found = nullptr;
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input == nullptr) continue;
    if (found != nullptr)
      throw UserError("{}: programs with several inputs cannot be run from here yet", program.model);
    found = input;
  }
  if (found == nullptr) throw UserError("{}: the program has no input", program.model);
  return *found;
}

// encoded_inputs reads this party's inputs and checks them before anybody is called.
std::vector<RingTensor> encoded_inputs(const Program& program, const Options& options, PartyId self) {
  const InputStep& input = input_step(program);
  std::vector<RingTensor> tensors;
  if (input.owner != self) {
    if (!options.inputs.empty()) {
      throw UserError("--input: party {} gives the input of this program, not party {}", input.owner, self);
    }
    return tensors;
  }
  if (options.inputs.empty()) throw UserError("--input is missing: party {} gives input \"{}\"", self, input.name);
  const Preprocess preprocess = parse_preprocess(options.preprocess.empty() ? program.preprocess : options.preprocess);
  for (const std::string& path : options.inputs) {
    tensors.push_back(encode_input(read_input(path, input.shape, preprocess), program, path));
  }
  return tensors;
}

// Reporter turns the steps of a walk into progress: of the online walk, or of the offline one where there is no other.
class Reporter {
 public:
  Reporter(const Options& options, const Program& program, int count)
      : progress_(options.json || options.progress_json),
        as_json_(options.progress_json),
        steps_(static_cast<int64_t>(program.steps.size())),
        total_(steps_ * count) {}

  StepObserver observer(PartyId self, Phase phase, int inference) {
    const bool shows = self == PartyId::kDealer ? phase == Phase::kOffline : phase == Phase::kOnline;
    StepObserver observer;
    if (!shows) return observer;
    observer.after = [this, inference](StepId id, const Step& step, const Shared*) {
      const std::lock_guard lock(mutex_);
      show(inference * steps_ + index_of(id) + 1, fmt::format("{} {}", name_of(step.body), step.layer));
    };
    return observer;
  }
  void finish() { progress_.finish(); }

 private:
  void show(int64_t done, const std::string& what) {
    if (!as_json_) {
      progress_.show(done, total_, what);
      return;
    }
    const auto now = Clock::now();
    if (done < total_ && now - last_ < std::chrono::milliseconds(40)) return;
    last_ = now;
    fmt::print(stderr, "{}\n", Json({{"done", done}, {"total", total_}, {"what", what}}).dump());
    std::fflush(stderr);
  }

  Progress progress_;
  bool as_json_;
  int64_t steps_, total_;
  Clock::time_point last_;
  std::mutex mutex_;
};

struct Timing {
  double handshake = 0, setup = 0;
  double setup_cpu = 0;  // of this process until everything was set up
  std::vector<double> inferences;
  double total_cpu = 0;
};

struct Outcome {
  std::vector<std::vector<NamedOutput>> outputs;  // by inference, at the recipient
  Timing timing;
  std::vector<PassPeak> peaks;  // largest over the inferences
  int64_t setup_peak = 0;
};

void keep_largest(std::vector<PassPeak>& held, const std::vector<PassPeak>& peaks) {
  held.resize(std::max(held.size(), peaks.size()));
  for (size_t i = 0; i < peaks.size(); ++i) {
    const int64_t largest = std::max(held[i].bytes, peaks[i].bytes);
    held[i] = peaks[i];
    held[i].bytes = largest;
  }
}

Outcome run_inferences(const Program& program, Session& session, const std::vector<RingTensor>& constants,
                       const std::vector<RingTensor>& inputs, int count, Reporter& reporter) {
  Outcome outcome;
  const auto setup_start = Clock::now();
  const std::vector<WeightSpec> specs = weight_specs(program);
  const bool owns_weights = session.self == PartyId::kEvaluator;
  std::vector<const RingTensor*> weights;
  if (owns_weights) weights = weight_pointers(program, constants);
  const auto setup_meter = std::make_shared<MemoryMeter>();
  ProtocolPasses passes = [&] {
    const MeterScope scope(setup_meter);
    return set_up_protocol("porthos", session, specs, owns_weights ? &weights : nullptr);
  }();
  outcome.setup_peak = setup_meter->peak();
  outcome.timing.setup = seconds_since(setup_start);
  outcome.timing.setup_cpu = cpu_seconds();
  const std::string input_name = input_step(program).name;
  for (int i = 0; i < count; ++i) {
    std::map<std::string, RingTensor> named;
    if (!inputs.empty()) named[input_name] = inputs[static_cast<size_t>(i)].clone();
    RunInputs run = run_inputs(program, session.self, false, constants, named);
    run.inference = static_cast<uint32_t>(i);
    PassOptions options;
    options.observe = [&, i](Phase phase) { return reporter.observer(session.self, phase, i); };
    const auto start = Clock::now();
    const PartyOutputs result = run_passes(session, passes, program, run, options);
    outcome.timing.inferences.push_back(seconds_since(start));
    std::vector<NamedOutput> outputs;
    for (const RevealedOutput& output : result.outputs) {
      if (output.policy == OutputPolicy::kReveal) outputs.push_back(decode_output(output));
    }
    outcome.outputs.push_back(std::move(outputs));
    keep_largest(outcome.peaks, result.peaks);
  }
  outcome.timing.total_cpu = cpu_seconds();
  return outcome;
}

Json peers_json(const Session& session) {
  Json peers = Json::array();
  for (const PeerInfo& peer : session.peers) {
    peers.push_back({{"party", index_of(peer.party)},
                     {"name", peer.name},
                     {"address", peer.address},
                     {"tls", peer.tls_version},
                     {"cipher", peer.cipher},
                     {"pid", peer.process_id}});
  }
  return peers;
}

Json traffic_json(const Session& session) {
  Json rows = Json::array();
  for (const TrafficRow& row : session.network->sent_traffic()) {
    if (row.traffic.messages == 0) continue;
    rows.push_back({{"to", index_of(row.to)},
                    {"phase", name_of(row.phase)},
                    {"messages", row.traffic.messages},
                    {"bytes", row.traffic.bytes}});
  }
  return rows;
}

Json result_json(const Program& program, const Federation& federation, const Session& session, const Outcome& outcome,
                 const std::vector<std::string>& labels) {
  Json inferences = Json::array();
  for (size_t i = 0; i < outcome.outputs.size(); ++i) {
    Json outputs = Json::array();
    for (const NamedOutput& output : outcome.outputs[i]) {
      Json json = to_json(output);
      json["predictions"] = predictions_json(output, labels);
      outputs.push_back(json);
    }
    inferences.push_back({{"seconds", outcome.timing.inferences[i]}, {"outputs", outputs}});
  }
  Json memory = Json::array({{{"phase", name_of(Phase::kSetup)}, {"peak_bytes", outcome.setup_peak}}});
  for (const PassPeak& peak : outcome.peaks)
    memory.push_back({{"phase", name_of(peak.phase)}, {"peak_bytes", peak.bytes}});
  Json result = {
      {"party", index_of(session.self)},
      {"name", federation.member(session.self).name},
      {"pid", getpid()},
      {"model", program.model},
      {"program", hex(session.program)},
      {"protocol", "porthos"},
      {"session", hex(session.id)},
      {"peers", peers_json(session)},
      {"inferences", inferences},
      {"traffic", traffic_json(session)},
      {"memory", memory},
      {"seconds", {{"handshake", outcome.timing.handshake}, {"setup", outcome.timing.setup}}},
      {"cpu_seconds",
       {{"setup", outcome.timing.setup_cpu}, {"inferences", outcome.timing.total_cpu - outcome.timing.setup_cpu}}}};
  if (auto* tls = dynamic_cast<TlsNetwork*>(session.network.get())) {
    tls->flush();
    const TlsStats stats = tls->stats();
    result["tls"] = {{"raw_sent", stats.raw_sent},
                     {"raw_received", stats.raw_received},
                     {"frames_sent", stats.frames_sent},
                     {"frames_received", stats.frames_received},
                     {"handshake_bytes", stats.handshake_bytes},
                     {"heartbeats", stats.heartbeats}};
  }
  return result;
}

void print_people(const Program& program, const Federation& federation, const Session& session, const Outcome& outcome,
                  const Options& options, const std::vector<std::string>& labels) {
  fmt::print("{}: party {} ({}), {} inference{} done\n\n", program.model, session.self,
             federation.member(session.self).name, outcome.timing.inferences.size(),
             outcome.timing.inferences.size() == 1 ? "" : "s");
  for (const PeerInfo& peer : session.peers) {
    fmt::print("  with     party {} ({}) at {}, {}, {}\n", peer.party, peer.name, peer.address, peer.tls_version,
               peer.cipher);
  }
  Traffic total;
  for (const TrafficRow& row : session.network->sent_traffic()) total.bytes += row.traffic.bytes;
  double seconds = 0;
  for (double s : outcome.timing.inferences) seconds += s;
  fmt::print("  time     connected in {}, set up in {}, inference {}\n", human_seconds(outcome.timing.handshake),
             human_seconds(outcome.timing.setup),
             human_seconds(seconds / static_cast<double>(std::max<size_t>(outcome.timing.inferences.size(), 1))));
  fmt::print("  sent     {}\n", human_bytes(total.bytes));
  for (size_t i = 0; i < outcome.outputs.size(); ++i) {
    for (const NamedOutput& output : outcome.outputs[i]) {
      fmt::print("  output   {}: {}\n",
                 options.inputs.empty() ? output.name : fs::path(options.inputs[i]).filename().string(),
                 describe_prediction(output, labels));
    }
  }
}

// write_output joins the first output of all inferences along the first dimension.
void write_output(const std::string& path, const Outcome& outcome) {
  FloatTensor joined;
  for (const std::vector<NamedOutput>& outputs : outcome.outputs) {
    if (outputs.empty()) return;
    const FloatTensor& value = outputs.front().final;
    if (joined.values.empty()) {
      joined = value;
      continue;
    }
    joined.values.insert(joined.values.end(), value.values.begin(), value.values.end());
    joined.shape[0] += value.shape[0];
  }
  write_npy(path, joined);
}

fs::path in_folder(const std::string& path, const char* file) {
  return fs::is_directory(path) ? fs::path(path) / file : fs::path(path);
}

// meet opens the session. Parties compare a digest of the configuration, which tells nobody what differs: the number of
// inputs is what people get wrong, so this party says its own.
Session meet(const Federation& federation, PartyId self, const Program& program, int count,
             const SessionOptions& options) {
  try {
    return open_session(federation, self, digest(program), options);
  } catch (const PeerError& error) {
    const std::string message = error.what();
    if (message.find("configuration") == std::string::npos) throw;
    throw PeerError("{}. Party {} runs porthos on {} input{}: --count must be the same at all parties", message, self,
                    count, count == 1 ? "" : "s");
  }
}

int party(const Options& options) {
  check_writable("--output", options.output);
  const Federation federation = load_federation(options.federation);
  const PartyId self = find_member(federation, options.id);
  const fs::path program_path = in_folder(options.program, "program.treville");
  const Program program = read_program(program_path);
  std::vector<RingTensor> constants;
  if (self == PartyId::kEvaluator) {
    const fs::path weights =
        options.weights.empty() ? program_path.parent_path() / "weights.treville" : fs::path(options.weights);
    constants = read_weights(weights, program).constants;
  } else if (!options.weights.empty()) {
    throw UserError("--weights: party 1 owns the model; party {} must not have its weights", self);
  }
  const std::vector<RingTensor> inputs = encoded_inputs(program, options, self);
  const int count = options.count.value_or(static_cast<int>(std::max<size_t>(inputs.size(), 1)));
  if (!inputs.empty() && static_cast<size_t>(count) != inputs.size()) {
    throw UserError("--count is {}, but {} --input{} given", count, inputs.size(),
                    inputs.size() == 1 ? " is" : "s are");
  }
  const std::vector<std::string> labels = read_labels(options.labels);
  check_labels(labels, options.labels, program);

  Reporter reporter(options, program, count);
  SessionOptions session_options;
  session_options.config = fmt::format("protocol=porthos inferences={}", count);
  if (!options.json && !options.progress_json) {
    session_options.rendezvous.progress = [](const std::string& line) { fmt::print(stderr, "  {}\n", line); };
  }
  const auto start = Clock::now();
  Session session = meet(federation, self, program, count, session_options);
  const double handshake = seconds_since(start);
  Outcome outcome = run_inferences(program, session, constants, inputs, count, reporter);
  outcome.timing.handshake = handshake;
  reporter.finish();
  if (!options.output.empty()) write_output(options.output, outcome);
  if (options.json) {
    print_json(result_json(program, federation, session, outcome, labels));
  } else {
    print_people(program, federation, session, outcome, options, labels);
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
      "party 1 has the weights, party 2 nothing. `treville keys` makes certificates and a federation file.",
      options->json);
  app->add_option("--id", options->id, "0, 1 or 2, or the party's name in the federation file")->required();
  app->add_option("--federation", options->federation, "The federation file (YAML)")->required();
  app->add_option("--program", options->program, "program.treville, or the folder `treville compile` wrote")
      ->required();
  app->add_option("--weights", options->weights, "weights.treville (party 1; default: beside the program)");
  app->add_option("--input", options->inputs, "A .npy array or an image (the input's owner); may be repeated")
      ->allow_extra_args(false);
  app->add_option("--preprocess", options->preprocess, "Overrides the preprocessing the program was compiled with");
  app->add_option("--labels", options->labels, "Class names, one a line");
  app->add_option("--output", options->output, "Write the output to a .npy file (the recipient)");
  app->add_option("--count", options->count,
                  "How many inputs there will be (all parties must agree; default: the inputs given, or 1)")
      ->check(CLI::Range(1, 1'000'000));
  app->add_flag("--progress-json", options->progress_json, "Progress as JSON lines on stderr");
  return {app, [options] { return party(*options); }};
}

}  // namespace treville::cli
