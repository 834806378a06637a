// What happens when a party dies or a message is lost, late or damaged: at every message and every step of a program
// with all kinds of steps, one run each. Every party must end soon, either with the outputs of an undisturbed run or
// with a PeerError that says who failed and where, and whoever depends on the fault must fail and receive no output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <tuple>

#include "base/error.h"
#include "cost/cost.h"
#include "net/faulty_network.h"
#include "net/frame.h"
#include "party/local_parties.h"
#include "program/digest.h"
#include "program/testing.h"
#include "run/local_run.h"
#include "run/run_passes.h"

namespace treville {
namespace {

using std::chrono::milliseconds;
using testing::Builder;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kShortDeadline{150};  // for faults that only silence shows
constexpr milliseconds kLongDeadline{60'000};
constexpr std::chrono::seconds kSoon{10};  // far below the long deadline, far above a run on a busy machine

// TestModel is a program with every kind of step that sends, and all three parties as recipients.
struct TestModel {
  Program program;
  std::vector<RingTensor> constants;
  std::map<std::string, RingTensor> inputs;
};

RingTensor random_tensor(const Shape& shape, uint32_t magnitude, std::mt19937& random) {
  RingTensor tensor = RingTensor::stored(Ring::k32, shape);
  for (uint32_t& word : tensor.as<uint32_t>()) word = random() % (2 * magnitude + 1) - magnitude;
  return tensor;
}

TestModel make_model() {
  Builder b;
  const SlotId x = b.input({1, 6, 6, 3}, Bits(8));
  const SlotId offset = b.input({1, 3, 3, 4}, Bits(8), PartyId::kEvaluator, "offset");
  LinearStep conv;
  conv.terms.push_back({x, testing::conv_of({1, 6, 6, 3}, 4, 3, 1), b.constant("w", {3, 3, 3, 4}, Bits(6))});
  conv.bias = b.constant("bias", {4}, Bits(14));
  conv.modulus = Bits(28);
  const SlotId pooled = b.add(MaxPoolStep{b.add(conv), testing::pool_of({1, 6, 6, 4}, 2, 2, 0), Bits(6), Bits(18)});
  const SlotId active = b.add(ReluStep{pooled, Bits(0), Bits(19)});
  const SlotId clipped = b.add(ClipStep{pooled, Bits(0), Bits(19), 1500});
  const SlotId leaky = b.add(LeakyReluStep{pooled, Bits(0), Bits(19), 3, Bits(4)});
  const SlotId sum = b.add(AddStep{b.add(AddStep{active, clipped}), offset});
  const SlotId joined = b.add(ConcatStep{{sum, leaky}, {4, 0}, 3});
  const SlotId sign = b.add(NonNegativeStep{joined, Bits(4), Bits(22)});
  const TableId table = b.table("table", 3, 6, true);
  const SlotId entry = b.add(ReshapeStep{b.add(LookUpStep{joined, Bits(12), Bits(3), {table}}), {1, 3, 3, 8}});
  const SlotId product = b.add(ProductStep{sign, joined, Elementwise{{1, 3, 3, 8}}});
  const SlotId square = b.add(ProductStep{entry, entry, Elementwise{{1, 3, 3, 8}}});
  const SlotId mixed = b.add(ProductStep{sign, entry, BatchMatmul{1, 6, 12, 6}});
  const SlotId kept = b.add(AddStep{product, b.add(ScaleStep{square, 1, Bits(12)})});
  const SlotId added = b.add(AddStep{
      kept, b.add(PadStep{b.add(ReshapeStep{mixed, {1, 3, 3, 4}}), {0, 0, 0, 0}, {0, 0, 0, 4}}), Bits(0), Bits(12)});
  const SlotId rescaled = b.add(RescaleStep{added, Bits(4), Bits(26)});
  LinearStep last;
  last.terms.push_back(
      {b.add(ReshapeStep{rescaled, {1, 72}}), MatmulGeometry{1, 72, 5}, b.constant("fc", {72, 5}, Bits(8))});
  last.modulus = Bits(32);
  const SlotId y = b.add(last);
  const SlotId label = b.add(ArgMaxStep{y, Bits(8), Bits(20)});
  // The dealer's output comes last: there its online walk waits for its own offline walk, which may have failed before.
  b.output(y, PartyId::kEvaluator, "scores");
  b.output(label, PartyId::kHelper, "label");
  b.output(y);
  std::mt19937 random(5);
  TestModel m{std::move(b.program), {}, {}};
  for (const ConstantDecl& declared : m.program.constants)
    m.constants.push_back(random_tensor(declared.shape, 60, random));
  m.inputs.emplace("x", random_tensor({1, 6, 6, 3}, 256, random));
  m.inputs.emplace("offset", random_tensor({1, 3, 3, 4}, 256, random));
  return m;
}

const TestModel& model() {
  static const TestModel made = make_model();
  return made;
}

const Trace& trace() {
  static const Trace made = dry_cost("porthos", model().program).trace;
  return made;
}

// Killed is the end of a party of which nobody else knows the reason: no kind of error of the project.
struct Killed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Case is one run with one fault: a walk that throws before a step, or a disturbed message.
struct Case {
  std::string name;
  PartyId party = PartyId::kDealer;  // who dies, or who sends the disturbed message
  size_t walk = 0, event = 0;        // in the trace: the first event that the fault prevents
  std::optional<uint32_t> killed_at;
  std::optional<Fault> fault;
  milliseconds deadline = kLongDeadline;
};

bool stops_sender(const Case& c) {
  return c.killed_at || c.fault->kind == Fault::Kind::kClose || c.fault->kind == Fault::Kind::kStall;
}

// ---- who depends on a fault

// Place is an event of the trace: walk and index.
using Place = std::pair<size_t, size_t>;

// receivers_of gives for every message that is sent where it is received.
std::map<Place, Place> receivers_of(const Trace& all) {
  using Channel = std::tuple<PartyId, PartyId, Phase>;
  std::map<Channel, std::vector<Place>> sent, received;
  for (size_t w = 0; w < all.size(); ++w) {
    for (size_t i = 0; i < all[w].events.size(); ++i) {
      const DryEvent& event = all[w].events[i];
      if (event.kind == DryEvent::Kind::kSend) {
        sent[{all[w].party, event.peer, event.phase}].emplace_back(w, i);
      } else {
        received[{event.peer, all[w].party, event.phase}].emplace_back(w, i);
      }
    }
  }
  std::map<Place, Place> receivers;
  for (const auto& [channel, places] : sent)
    for (size_t i = 0; i < places.size(); ++i) receivers[places[i]] = received.at(channel).at(i);
  return receivers;
}

// parties_behind gives the parties that cannot finish when the event at `first` does not happen: they wait for it, or
// for something that waits for it.
std::array<bool, 3> parties_behind(const Trace& all, Place first) {
  static const std::map<Place, Place> receivers = receivers_of(all);
  std::vector<size_t> ends;  // by walk: how many of its events still happen
  for (const WalkTrace& walk : all) ends.push_back(walk.events.size());
  std::array<bool, 3> behind{};
  std::vector<Place> open = {first};
  while (!open.empty()) {
    const auto [walk, from] = open.back();
    open.pop_back();
    behind[static_cast<size_t>(index_of(all[walk].party))] = true;
    for (size_t i = from; i < ends[walk]; ++i) {
      if (all[walk].events[i].kind == DryEvent::Kind::kSend) open.push_back(receivers.at({walk, i}));
    }
    ends[walk] = std::min(ends[walk], from);
    if (all[walk].phase != Phase::kSetup) continue;
    for (size_t w = 0; w < all.size(); ++w)
      if (all[w].party == all[walk].party && ends[w] > 0 && w != walk) open.emplace_back(w, 0);
  }
  return behind;
}

std::array<bool, 3> must_fail(const Case& c) {
  if (c.fault && c.fault->kind == Fault::Kind::kDelay) return {};
  static const std::map<Place, Place> receivers = receivers_of(trace());
  std::array<bool, 3> fail = stops_sender(c) ? parties_behind(trace(), {c.walk, c.event})
                                             : parties_behind(trace(), receivers.at({c.walk, c.event}));
  if (stops_sender(c)) fail[static_cast<size_t>(index_of(c.party))] = true;
  return fail;
}

// ---- one run

// Outcome is how one party's run ended.
struct Outcome {
  enum class Kind { kFinished, kPeerError, kKilled, kOther };
  Kind kind = Kind::kOther;
  std::string error;
  std::vector<RevealedOutput> outputs;
};

PassOptions kill_before(std::optional<uint32_t> step, Phase pass) {
  PassOptions options;
  if (!step) return options;
  options.observe = [step, pass](Phase phase) {
    StepObserver observer;
    if (phase == pass) {
      observer.before = [step](StepId id, const Step& body) {
        if (index_of(id) == *step) throw Killed(fmt::format("killed at step {} {}", *step, name_of(body.body)));
      };
    }
    return observer;
  };
  return options;
}

Outcome run_party(Session session, const PassOptions& options) {
  const TestModel& m = model();
  Outcome outcome;
  const auto failed = [&](Outcome::Kind kind, const std::exception& error) {
    outcome.kind = kind;
    outcome.error = error.what();
    session.network->abort(error.what());
  };
  try {
    const std::vector<const RingTensor*> weights = weight_pointers(m.program, m.constants);
    ProtocolPasses passes = set_up_protocol("porthos", session, weight_specs(m.program),
                                            session.self == PartyId::kEvaluator ? &weights : nullptr);
    const RunInputs inputs = run_inputs(m.program, session.self, false, m.constants, m.inputs);
    outcome.outputs = run_passes(session, passes, m.program, inputs, options).outputs;
    outcome.kind = Outcome::Kind::kFinished;
  } catch (const Killed& error) {
    failed(Outcome::Kind::kKilled, error);
  } catch (const PeerError& error) {
    failed(Outcome::Kind::kPeerError, error);
  } catch (const std::exception& error) {
    failed(Outcome::Kind::kOther, error);
  }
  return outcome;
}

std::array<Outcome, 3> run_three(const Case& c) {
  LocalNetworkOptions network;
  network.deadline = c.deadline;
  std::array<Session, 3> sessions = make_local_sessions({.seed = 11, .program = {}, .network = network});
  if (c.fault) {
    std::unique_ptr<Network>& faulty = sessions[static_cast<size_t>(index_of(c.party))].network;
    faulty = make_faulty_network(std::move(faulty), *c.fault);
  }
  std::array<Outcome, 3> outcomes;
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i, session = std::move(sessions[i])]() mutable {
      const bool dies = c.killed_at && session.self == c.party;
      const PassOptions options = dies ? kill_before(c.killed_at, trace()[c.walk].phase) : PassOptions{};
      outcomes[i] = run_party(std::move(session), options);
    });
  }
  threads.clear();
  return outcomes;
}

// ---- what must hold

bool same_outputs(const std::vector<RevealedOutput>& a, const std::vector<RevealedOutput>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const RevealedOutput& left, const RevealedOutput& right) {
                      return left.name == right.name &&
                             std::ranges::equal(left.value.value.as<uint32_t>(), right.value.value.as<uint32_t>());
                    });
}

const std::array<Outcome, 3>& undisturbed() {
  static const std::array<Outcome, 3> outcomes = run_three({});
  return outcomes;
}

// names_the_fault: an error says who failed and at which step. Where silence is all there is to see, a party that waits
// for a party that waits may be named first. The step of a phase is known where its walk has begun: never offline at
// the evaluator, which has no offline walk.
bool names_the_fault(const Case& c, const std::string& error) {
  const bool silent = c.deadline == kShortDeadline;
  const bool names_party = error.find(label(c.party)) != std::string::npos ||
                           (silent && error.find("gave no sign of life for 150 ms") != std::string::npos);
  const bool in_setup = error.find(", setup") != std::string::npos || trace()[c.walk].phase == Phase::kSetup;
  const bool before_any_step = error.find(", offline: ") != std::string::npos;
  return names_party && (in_setup || before_any_step || error.find("step ") != std::string::npos);
}

// problem_of is empty when the party behaved as it must.
std::string problem_of(const Case& c, PartyId party, const Outcome& outcome, bool must) {
  switch (outcome.kind) {
    case Outcome::Kind::kFinished:
      if (must) return "finished, although it depends on the fault";
      if (!same_outputs(outcome.outputs, undisturbed()[static_cast<size_t>(index_of(party))].outputs))
        return "received other outputs";
      return "";
    case Outcome::Kind::kPeerError:
      if (c.fault && c.fault->kind == Fault::Kind::kDelay) return "did not wait: " + outcome.error;
      if (!outcome.outputs.empty()) return "failed and received outputs";
      if (party == c.party && stops_sender(c)) return "";
      return names_the_fault(c, outcome.error) ? "" : "does not name the fault: " + outcome.error;
    case Outcome::Kind::kKilled:
      return party == c.party && c.killed_at && outcome.outputs.empty() ? "" : "was killed";
    case Outcome::Kind::kOther:
      break;
  }
  return "ended with another error: " + outcome.error;
}

// check_all runs the cases, several at once as many of them wait, and returns how many parties had to fail.
int check_all(const std::vector<Case>& cases) {
  for (const Outcome& outcome : undisturbed()) EXPECT_EQ(outcome.error, "");
  std::vector<std::string> problems;
  std::mutex mutex;
  std::atomic<size_t> next = 0;
  std::atomic<int> failed = 0;
  const auto work = [&] {
    for (size_t i = next++; i < cases.size(); i = next++) {
      const Case& c = cases[i];
      const std::array<bool, 3> must = must_fail(c);
      const Clock::time_point start = Clock::now();
      const std::array<Outcome, 3> outcomes = run_three(c);
      const std::lock_guard lock(mutex);
      if (Clock::now() - start > kSoon) problems.push_back(c.name + ": took too long");
      for (PartyId party : kAllParties) {
        const auto p = static_cast<size_t>(index_of(party));
        failed += must[p];
        const std::string problem = problem_of(c, party, outcomes[p], must[p]);
        if (!problem.empty()) problems.push_back(fmt::format("{}: {} {}", c.name, label(party), problem));
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back(work);
  }
  if (problems.size() > 20) problems.resize(20);
  EXPECT_THAT(problems, ::testing::IsEmpty());
  return failed;
}

// ---- the cases

// step_of is the step in which an event of a walk happens.
uint32_t step_of(const WalkTrace& walk, size_t event) {
  return static_cast<uint32_t>(std::upper_bound(walk.step_ends.begin(), walk.step_ends.end(), event) -
                               walk.step_ends.begin());
}

std::vector<Case> deaths() {
  std::vector<Case> cases;
  for (size_t w = 0; w < trace().size(); ++w) {
    const WalkTrace& walk = trace()[w];
    for (size_t step = 0; step < walk.step_ends.size(); ++step) {
      const size_t begin = step == 0 ? 0 : walk.step_ends[step - 1];
      if (begin == walk.step_ends[step]) continue;
      Case c;
      c.name = fmt::format("{} {} walk killed at step {} {}", label(walk.party), name_of(walk.phase), step,
                           name_of(model().program.steps[step].body));
      c.party = walk.party;
      c.walk = w;
      c.event = begin;
      c.killed_at = static_cast<uint32_t>(step);
      cases.push_back(std::move(c));
    }
  }
  return cases;
}

struct NamedKind {
  Fault::Kind kind;
  const char* name;
};

std::vector<Case> disturbed_messages(const NamedKind& kind) {
  std::vector<Case> cases;
  std::map<std::tuple<PartyId, PartyId, Phase>, int64_t> sent;
  for (size_t w = 0; w < trace().size(); ++w) {
    const WalkTrace& walk = trace()[w];
    for (size_t i = 0; i < walk.events.size(); ++i) {
      const DryEvent& event = walk.events[i];
      if (event.kind != DryEvent::Kind::kSend) continue;
      Case c;
      c.party = walk.party;
      c.walk = w;
      c.event = i;
      c.fault = Fault{kind.kind, event.peer, event.phase, sent[{walk.party, event.peer, event.phase}]++, {}};
      c.name = fmt::format("{} {} to {} {} message {}, step {}", kind.name, label(walk.party), label(event.peer),
                           name_of(event.phase), c.fault->message, step_of(walk, i));
      if (kind.kind == Fault::Kind::kDelay) c.fault->time = milliseconds(5);
      if (kind.kind == Fault::Kind::kStall) c.fault->time = 2 * kShortDeadline;
      if (kind.kind == Fault::Kind::kStall || kind.kind == Fault::Kind::kDrop) c.deadline = kShortDeadline;
      cases.push_back(std::move(c));
    }
  }
  return cases;
}

TEST(Faults, TheProgramHasEveryKindOfStepThatSends) {
  ASSERT_NO_THROW(verify(model().program));
  std::set<std::string> kinds;
  for (const Step& step : model().program.steps) kinds.insert(name_of(step.body));
  EXPECT_THAT(kinds, ::testing::IsSupersetOf({"input", "linear", "relu", "clip", "leaky_relu", "max_pool", "rescale",
                                              "arg_max", "add", "concat", "output"}));
  for (const Outcome& outcome : undisturbed()) EXPECT_EQ(outcome.outputs.size(), 1u);
}

TEST(Faults, APartyThatDiesAtAnyStepEndsTheOthers) {
  const std::vector<Case> cases = deaths();
  EXPECT_GE(cases.size(), 30u);
  EXPECT_GE(check_all(cases), static_cast<int>(2 * cases.size())) << "the dead party and most others";
}

class MessageFaults : public ::testing::TestWithParam<NamedKind> {};

TEST_P(MessageFaults, EndEveryPartyThatDependsOnThem) {
  const std::vector<Case> cases = disturbed_messages(GetParam());
  EXPECT_GE(cases.size(), 60u);
  const int failed = check_all(cases);
  if (GetParam().kind == Fault::Kind::kDelay) {
    EXPECT_EQ(failed, 0);
  } else {
    EXPECT_GE(failed, static_cast<int>(cases.size()));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, MessageFaults,
    ::testing::Values(NamedKind{Fault::Kind::kDrop, "dropped"}, NamedKind{Fault::Kind::kDelay, "delayed"},
                      NamedKind{Fault::Kind::kTruncate, "truncated"}, NamedKind{Fault::Kind::kCorruptTag, "corrupted"},
                      NamedKind{Fault::Kind::kClose, "closed"}, NamedKind{Fault::Kind::kStall, "stalled"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace treville
