#include "compile/narrow_moduli.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "compile/fixed_point_plan.h"
#include "compile/program_edit.h"

namespace treville {
namespace {

// revealed_bits is the width that holds an output's whole range.
int revealed_bits(const SlotType& type) {
  return width_bits(type.bound * static_cast<double>(type.divisor), type.scale.value());
}

// Need computes how many bits of its operand a step needs, given how many its own result needs.
struct Need {
  const SlotType& type;
  int result;

  int operator()(const ReluStep& s) const { return s.truncate.value() + s.k.value(); }
  int operator()(const ClipStep& s) const { return s.truncate.value() + s.k.value(); }
  int operator()(const LeakyReluStep& s) const { return s.truncate.value() + s.k.value(); }
  int operator()(const RescaleStep& s) const { return s.truncate.value() + s.k.value(); }
  int operator()(const MaxPoolStep& s) const { return s.truncate.value() + s.k.value() + 1; }
  int operator()(const ArgMaxStep& s) const { return s.truncate.value() + s.k.value() + 1; }
  int operator()(const LookUpStep& s) const { return s.truncate.value() + s.n.value(); }
  int operator()(const NonNegativeStep& s) const { return s.truncate.value() + s.k.value(); }
  int operator()(const ProductStep&) const { return bits_of(type.ring).value(); }
  int operator()(const OutputStep&) const { return std::min(revealed_bits(type), bits_of(type.ring).value()); }
  int operator()(const LinearStep&) const { return bits_of(type.ring).value(); }
  int operator()(const InputStep&) const { return 0; }
  template <class Local>
  int operator()(const Local&) const {
    return result;
  }
};

}  // namespace

void narrow_moduli(Program& program) {
  std::vector<int> needed(program.slots, 0);
  for (size_t i = program.steps.size(); i-- > 0;) {
    Step& step = program.steps[i];
    const int own = needed[index_of(step.result)];
    const int of_operands = std::visit(Need{step.type, own}, step.body);
    for (SlotId slot : operands(step.body)) needed[index_of(slot)] = std::max(needed[index_of(slot)], of_operands);
    if (auto* linear = std::get_if<LinearStep>(&step.body)) linear->modulus = Bits(std::max(own, 1));
  }
  infer_types(program);
}

}  // namespace treville
