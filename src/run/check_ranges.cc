#include "run/check_ranges.h"

#include <algorithm>
#include <cmath>

#include "run/local_run.h"

namespace treville {
namespace {

double largest_integer(const Public& revealed, const SlotType& type) {
  double largest = 0;
  for (const float value : decode(revealed, type).values) largest = std::max(largest, std::abs(double{value}));
  return std::ldexp(largest * static_cast<double>(type.divisor), type.scale.value());
}

}  // namespace

std::vector<double> largest_opened(const Program& program, const CheckedRun& run) {
  std::vector<double> largest(program.steps.size(), -1);
  for (const StepRange& step : run.ranges.steps) {
    double& held = largest[index_of(step.step)];
    held = std::max(held, static_cast<double>(step.largest));
  }
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const auto* output = std::get_if<OutputStep>(&program.steps[i].body);
    for (const RevealedOutput& revealed : run.outputs)
      if (output != nullptr && revealed.name == output->name)
        largest[i] = largest_integer(revealed.value, revealed.type);
  }
  return largest;
}

Program widened(const Program& program) {
  Program wide = program;
  wide.ring = Ring::k64;
  for (ConstantDecl& constant : wide.constants) constant.ring = Ring::k64;
  std::vector<SlotType> types(wide.slots);
  for (Step& step : wide.steps) {
    if (auto* input = std::get_if<InputStep>(&step.body)) input->ring = Ring::k64;
    if (auto* linear = std::get_if<LinearStep>(&step.body)) linear->modulus = Bits(64);
    const double bound = step.type.bound;
    step.type = infer_type(step.body, types, wide);
    step.type.bound = bound;
    types[index_of(step.result)] = step.type;
  }
  return wide;
}

RingTensor widened(const RingTensor& tensor) {
  if (tensor.ring() == Ring::k64) return tensor.clone();
  RingTensor wide = RingTensor::stored(Ring::k64, tensor.shape());
  const auto from = tensor.as<uint32_t>();
  const auto to = wide.as<uint64_t>();
  for (size_t i = 0; i < from.size(); ++i)
    to[i] = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(from[i])));
  return wide;
}

RangeChecker::RangeChecker(const Program& program, const std::vector<RingTensor>& constants) : wide_(widened(program)) {
  for (const RingTensor& constant : constants) constants_.push_back(widened(constant));
  const std::vector<const RingTensor*> weights = weight_pointers(wide_, constants_);
  clear_ = make_clear(weight_specs(wide_), &weights);
}

CheckedRun RangeChecker::run(const std::map<std::string, RingTensor>& inputs) {
  std::map<std::string, RingTensor> wide_inputs;
  for (const auto& [name, tensor] : inputs) wide_inputs.emplace(name, widened(tensor));
  CheckedRun result;
  result.outputs = execute(wide_, *clear_, run_inputs(wide_, PartyId::kEvaluator, true, constants_, wide_inputs));
  result.ranges = clear_->ranges();
  return result;
}

CheckedRun check_ranges(const Program& program, const std::vector<RingTensor>& constants,
                        const std::map<std::string, RingTensor>& inputs) {
  return RangeChecker(program, constants).run(inputs);
}

}  // namespace treville
