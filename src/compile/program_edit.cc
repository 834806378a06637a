#include "compile/program_edit.h"

#include <vector>

namespace treville {

void infer_types(Program& program) {
  std::vector<SlotType> types(program.slots);
  for (Step& step : program.steps) {
    const double bound = step.type.bound;
    step.type = is_output(step) ? types[index_of(step.result)] : infer_type(step.body, types, program);
    step.type.bound = bound;
    types[index_of(step.result)] = step.type;
  }
}

void remove_dead_steps(Program& program) {
  std::vector<bool> is_read(program.slots, false);
  std::vector<Step> kept;
  for (size_t i = program.steps.size(); i-- > 0;) {
    Step& step = program.steps[i];
    const bool stays = is_output(step) || std::holds_alternative<InputStep>(step.body);
    if (!stays && !is_read[index_of(step.result)]) continue;
    for (SlotId slot : operands(step.body)) is_read[index_of(slot)] = true;
    kept.push_back(std::move(step));
  }
  program.steps.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
}

}  // namespace treville
