// Runs a compiled program with the cleartext protocol, for the compiler's tests.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "compile/compile.h"
#include "party/local_parties.h"
#include "run/execute.h"

namespace treville::testing {

struct ClearRun {
  std::vector<FloatTensor> outputs;  // revealed, before the recipient's own softmax
  double fullest = 0;                // of all values: largest magnitude as a share of the bound the compiler allowed
};

inline double fullness(const Step& step, const Shared& result) {
  if (step.type.bound <= 0 || step.type.is_index) return 0;
  const FloatTensor values = decode({result.plane().clone(), result.modulus()}, step.type);
  double largest = 0;
  for (float value : values.values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest / step.type.bound;
}

// look, when given, sees the result of every step.
inline ClearRun clear_run(const Compiled& compiled, const std::vector<FloatTensor>& inputs,
                          const std::function<void(StepId, const Step&, const Shared&)>& look = {}) {
  const Program& program = compiled.program;
  std::vector<const RingTensor*> weights;
  for (ConstantId id : weight_constants(program)) weights.push_back(&compiled.constants[index_of(id)]);
  auto sessions = make_local_sessions({.seed = 1});
  const ProtocolPasses passes = set_up_protocol("clear", sessions[0], weight_specs(program), &weights);
  RunInputs given;
  std::vector<RingTensor> encoded;
  size_t i = 0;
  encoded.reserve(inputs.size());
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input == nullptr) continue;
    encoded.push_back(encode(inputs[i++], input->ring, input->scale, step.type.bound, input->name));
    given.inputs[input->name] = &encoded.back();
  }
  for (const RingTensor& constant : compiled.constants) given.constants.push_back(&constant);
  ClearRun run;
  StepObserver observer;
  observer.after = [&](StepId id, const Step& step, const Shared* result) {
    if (result == nullptr) return;
    run.fullest = std::max(run.fullest, fullness(step, *result));
    if (look) look(id, step, *result);
  };
  for (const RevealedOutput& output : execute(program, *passes.passes[0], given, observer))
    run.outputs.push_back(decode(output.value, output.type));
  return run;
}

}  // namespace treville::testing
