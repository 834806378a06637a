// local_run runs all parties of a protocol as threads of this process, over queues in memory: for tests, for
// `run --local`, and for the cleartext protocol, which has one party.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/local_network.h"
#include "run/execute.h"
#include "run/run_passes.h"

namespace treville {

struct LocalRunOptions {
  // seed fixes all keys: tests only.
  std::optional<uint64_t> seed{};
  LocalNetworkOptions network{};
  uint32_t inference = 0;
  std::function<StepObserver(PartyId, Phase)> observe{};
};

struct LocalRunResult {
  std::array<std::vector<RevealedOutput>, 3> outputs;  // by party
  std::vector<TrafficRow> traffic;                     // what each party sent
  // transcripts has one hash for each row of traffic, where LocalNetworkOptions::keep_transcript is set.
  std::vector<Digest> transcripts;
  std::vector<PassPeak> peaks;  // by walk; the set-up of each party stands as Phase::kSetup
  double setup_seconds = 0;
  double run_seconds = 0;

  // output finds what a party received by name; CHECK that it is there.
  const RevealedOutput& output(PartyId party, const std::string& name) const;
  // values are what a party has in the end: its outputs as real numbers, after its own part (a softmax, the largest).
  std::vector<FloatTensor> values(PartyId party) const;
};
// recipient_of is who receives the outputs of a program whose client is the dealer: in "clear" the only party.
inline PartyId recipient_of(std::string_view protocol) {
  return protocol == "clear" ? PartyId::kEvaluator : PartyId::kDealer;
}

// run_local sets the protocol up and runs one inference. constants has a tensor for every ConstantId (they belong to
// the evaluator), inputs one for every InputStep by name. The first error of any party is thrown again, the others are
// stopped. With the protocol "clear" the evaluator is the only party: it has all inputs and receives all outputs.
LocalRunResult run_local(std::string_view protocol, const Program& program, const std::vector<RingTensor>& constants,
                         const std::map<std::string, RingTensor>& inputs, const LocalRunOptions& options = {});

// run_inputs selects what `party` gives: the inputs it owns, and the constants of the steps at the evaluator. A party
// that is alone gives everything.
RunInputs run_inputs(const Program& program, PartyId party, bool alone, const std::vector<RingTensor>& constants,
                     const std::map<std::string, RingTensor>& inputs);
// DryTensors are the inputs and constants of a program without data.
struct DryTensors {
  explicit DryTensors(const Program& program);
  std::vector<RingTensor> constants;
  std::map<std::string, RingTensor> inputs;
};
// weight_pointers lists the weights of set_up_protocol.
std::vector<const RingTensor*> weight_pointers(const Program& program, const std::vector<RingTensor>& constants);

}  // namespace treville
