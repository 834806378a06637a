// The digit model under conditions that would show a deadlock: an offline queue of one block, the smallest socket
// buffers, and slow online messages. It must finish, and every message must be the same as with plenty of room.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>
#include <tuple>

#include "base/error.h"
#include "compile/compile.h"
#include "data/npy.h"
#include "import/import.h"
#include "mpc/protocol.h"
#include "party/keys.h"
#include "party/local_parties.h"
#include "party/open_session.h"
#include "program/digest.h"
#include "run/local_run.h"
#include "run/run_passes.h"

namespace treville {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kSeed = 21;
constexpr int kSocketBufferBytes = 8 << 10;
constexpr milliseconds kOnlineDelay{10};

struct Digits {
  Program program;
  std::vector<RingTensor> constants;
  std::map<std::string, RingTensor> inputs;
};

Digits compile_digits() {
  const std::filesystem::path folder = std::filesystem::path(TREVILLE_SOURCE_DIR) / "examples" / "digits";
  CompileOptions options;
  options.calibration = {{read_npy(folder / "calibration.npy")}};
  Compiled compiled =
      compile(import_model(folder / "digits.pb", {.batch = 1, .input_shapes = {}, .outputs = {}}), options);
  Digits digits{std::move(compiled.program), std::move(compiled.constants), {}};
  FloatTensor image = read_npy(folder / "samples.npy");
  image.values.resize(28 * 28);
  image.shape = {1, 28, 28, 1};
  for (const Step& step : digits.program.steps) {
    if (const auto* input = std::get_if<InputStep>(&step.body))
      digits.inputs.emplace(input->name, encode(image, input->ring, input->scale, step.type.bound, input->name));
  }
  return digits;
}

const Digits& digits() {
  static const Digits made = compile_digits();
  return made;
}

// Sent is what a party sent to another in a phase: how much, and the hash of all of it.
using Link = std::tuple<PartyId, PartyId, Phase>;
struct Sent {
  Traffic traffic;
  Digest transcript{};
  bool operator==(const Sent&) const = default;
};

struct Result {
  std::vector<float> logits;
  std::map<Link, Sent> sent;
};

std::vector<float> logits_of(const std::vector<RevealedOutput>& outputs) {
  CHECK(outputs.size() == 1, "{} outputs", outputs.size());
  return decode(outputs[0].value, outputs[0].type).values;
}

Result run_in_memory(const LocalNetworkOptions& network) {
  LocalRunOptions options;
  options.seed = kSeed;
  options.network = network;
  options.network.keep_transcript = true;
  const LocalRunResult run = run_local("porthos", digits().program, digits().constants, digits().inputs, options);
  Result result{logits_of(run.outputs[0]), {}};
  for (size_t i = 0; i < run.traffic.size(); ++i) {
    const TrafficRow& row = run.traffic[i];
    result.sent[{row.from, row.to, row.phase}] = {row.traffic, run.transcripts[i]};
  }
  return result;
}

const Result& with_plenty_of_room() {
  static const Result result = run_in_memory({});
  return result;
}

void expect_same(const Result& found) {
  const Result& expected = with_plenty_of_room();
  EXPECT_EQ(found.logits, expected.logits);
  ASSERT_EQ(found.sent.size(), expected.sent.size());
  for (const auto& [link, sent] : expected.sent) {
    const auto& [from, to, phase] = link;
    EXPECT_TRUE(found.sent.at(link) == sent) << index_of(from) << " -> " << index_of(to) << " " << name_of(phase);
  }
}

// SlowNetwork sends every online message late, as a party on a distant machine does.
class SlowNetwork final : public Network {
 public:
  explicit SlowNetwork(std::unique_ptr<Network> inner) : inner_(std::move(inner)) {
    for (PartyId peer : kAllParties)
      if (peer != inner_->self()) at(peer) = std::make_unique<SlowChannel>(inner_->channel(peer, Phase::kOnline));
  }

  PartyId self() const override { return inner_->self(); }
  Channel& channel(PartyId peer, Phase phase) override {
    return phase == Phase::kOnline ? *at(peer) : inner_->channel(peer, phase);
  }
  void set_step_name(Phase phase, std::string name) override { inner_->set_step_name(phase, std::move(name)); }
  Digest transcript(PartyId peer, Phase phase) const override { return inner_->transcript(peer, phase); }
  void abort(const std::string& reason) override { inner_->abort(reason); }
  void check() const override { inner_->check(); }

 private:
  class SlowChannel final : public Channel {
   public:
    explicit SlowChannel(Channel& inner) : inner_(inner) {}
    void send(const MessageTag& tag, Buffer payload) override {
      std::this_thread::sleep_for(kOnlineDelay);
      inner_.send(tag, std::move(payload));
    }
    Buffer receive(const MessageTag& tag, size_t bytes) override { return inner_.receive(tag, bytes); }
    Traffic sent() const override { return inner_.sent(); }
    Traffic received() const override { return inner_.received(); }

   private:
    Channel& inner_;
  };

  std::unique_ptr<SlowChannel>& at(PartyId peer) { return channels_[static_cast<size_t>(index_of(peer))]; }

  std::unique_ptr<Network> inner_;
  std::array<std::unique_ptr<SlowChannel>, 3> channels_;
};

// ---- three parties behind sockets

// Loopback is a federation on ports of the system's choice.
class Loopback {
 public:
  Loopback() {
    char directory[] = "/tmp/treville_deadlock_XXXXXX";
    CHECK(mkdtemp(directory) != nullptr, "no temporary directory");
    directory_ = directory;
    const std::vector<PartyFiles> files = make_keys(directory_, {"dealer", "evaluator", "helper"});
    for (PartyId party : kAllParties) {
      const auto i = static_cast<size_t>(index_of(party));
      listeners_[i] = listen_at({"127.0.0.1", 0});
      Member& member = federation_.members[i];
      member.id = party;
      member.name = files[i].name;
      member.address = member.listen = {"127.0.0.1", listeners_[i].port};
      member.certificate = files[i].certificate;
      member.key = files[i].key;
      member.fingerprint = certificate_fingerprint(member.certificate);
    }
    federation_.silence_deadline = seconds(20);
  }
  ~Loopback() { std::filesystem::remove_all(directory_); }

  // open gives a session with queues and buffers as small as they get, and the keys of the run in memory.
  Session open(PartyId party) const {
    SessionOptions options;
    options.network.offline_queue_bytes = 1;
    options.network.keep_transcript = true;
    options.rendezvous.listening_socket = listeners_[static_cast<size_t>(index_of(party))].socket;
    options.rendezvous.socket_buffer_bytes = kSocketBufferBytes;
    Session session = open_session(federation_, party, digest(digits().program), options);
    Session in_memory = std::move(
        make_local_sessions({.seed = kSeed, .program = {}, .network = {}})[static_cast<size_t>(index_of(party))]);
    session.keys = in_memory.keys;
    session.id = in_memory.id;
    return session;
  }

 private:
  std::filesystem::path directory_;
  Federation federation_;
  std::array<Listener, 3> listeners_;
};

// walk runs one party; the error of a party that fails ends the others.
std::vector<RevealedOutput> walk(Session& session) {
  try {
    const Digits& d = digits();
    const std::vector<const RingTensor*> weights = weight_pointers(d.program, d.constants);
    ProtocolPasses passes = set_up_protocol("porthos", session, weight_specs(d.program),
                                            session.self == PartyId::kEvaluator ? &weights : nullptr);
    const RunInputs inputs = run_inputs(d.program, session.self, false, d.constants, d.inputs);
    return run_passes(session, passes, d.program, inputs).outputs;
  } catch (const std::exception& error) {
    session.network->abort(error.what());
    throw;
  }
}

Result run_on_sockets(bool slow) {
  const Loopback loopback;
  std::array<std::vector<RevealedOutput>, 3> outputs;
  std::array<std::exception_ptr, 3> errors;
  std::array<std::optional<Session>, 3> sessions;
  std::vector<std::jthread> threads;
  for (PartyId party : kAllParties) {
    threads.emplace_back([&, party, i = static_cast<size_t>(index_of(party))] {
      try {
        sessions[i] = loopback.open(party);
        std::unique_ptr<Network>& network = sessions[i]->network;
        if (slow && party != PartyId::kDealer) network = std::make_unique<SlowNetwork>(std::move(network));
        outputs[i] = walk(*sessions[i]);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    });
  }
  threads.clear();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  Result result{logits_of(outputs[0]), {}};
  for (std::optional<Session>& session : sessions) {
    for (const TrafficRow& row : session->network->sent_traffic())
      result.sent[{row.from, row.to, row.phase}] = {row.traffic, session->network->transcript(row.to, row.phase)};
  }
  // Closing waits for the peers: all at once, as in three processes.
  for (std::optional<Session>& session : sessions) threads.emplace_back([&session] { session.reset(); });
  return result;
}

TEST(Deadlock, NoneInMemoryWithAnOfflineQueueOfOneBlock) {
  LocalNetworkOptions network;
  network.offline_queue_bytes = 1;
  network.deadline = seconds(30);
  expect_same(run_in_memory(network));
}

TEST(Deadlock, NoneOverTlsWithAnOfflineQueueOfOneBlock) { expect_same(run_on_sockets(false)); }

TEST(Deadlock, NoneOverTlsWhenOnlineMessagesOfEvaluatorAndHelperAreLate) { expect_same(run_on_sockets(true)); }

TEST(Deadlock, TheModelHasManyMoreBlocksThanTheQueueHolds) {
  int64_t largest = 0;
  for (const auto& [link, sent] : with_plenty_of_room().sent)
    if (std::get<Phase>(link) == Phase::kOffline) largest = std::max(largest, sent.traffic.messages);
  EXPECT_GE(largest, 10);
}

}  // namespace
}  // namespace treville
