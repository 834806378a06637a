// execute walks a Program against one pass of a Protocol: the one switch from Step to Protocol.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mpc/protocol.h"
#include "program/program.h"
#include "tensor/float_tensor.h"

namespace treville {

// RunInputs: what this party gives. inputs holds fixed-point tensors by name at their owner (dry tensors in a dry run);
// constants holds the biases and added constants at the model owner, by ConstantId (null for weights and elsewhere).
struct RunInputs {
  std::map<std::string, const RingTensor*> inputs;
  std::vector<const RingTensor*> constants;
  uint32_t inference = 0;
};

struct RevealedOutput {
  std::string name;
  SlotType type;
  Public value;
  PostProcess post = PostProcess::kNone;
  OutputPolicy policy = OutputPolicy::kReveal;
  int64_t top = 0;
  int64_t axis = -1;
};

// StepObserver sees the walk: before and after each step, with the step's shared result (null for outputs). Used for
// progress, per-layer meters, range checks of the cleartext protocol and compare.
struct StepObserver {
  std::function<void(StepId, const Step&)> before;
  std::function<void(StepId, const Step&, const Shared* result)> after;
};

// execute runs all steps of one pass and returns what was revealed to this party in it.
std::vector<RevealedOutput> execute(const Program& program, Protocol& pass, const RunInputs& inputs,
                                    const StepObserver& observer = {});

// weight_specs lists the weights of a program for set_up_protocol, in the order execute uses them: term by term, step
// by step. weight_constants gives the ConstantId of each.
std::vector<WeightSpec> weight_specs(const Program& program);
std::vector<ConstantId> weight_constants(const Program& program);

// decode turns a revealed value into reals: sign-extended from its modulus, / 2^scale / divisor.
FloatTensor decode(const Public& value, const SlotType& type);
// encode rounds reals to integers at a scale. Throws UserError when a value is not finite or exceeds `bound` (the
// calibrated range of the input), naming the input but not the value.
RingTensor encode(const FloatTensor& value, Ring ring, Bits scale, double bound, const std::string& name);

}  // namespace treville
