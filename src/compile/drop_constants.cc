#include "compile/drop_constants.h"

#include <map>

namespace treville {

void drop_constants(Program& program, std::vector<RingTensor>& constants) {
  std::map<ConstantId, ConstantId> renamed;
  std::vector<ConstantDecl> declarations;
  std::vector<RingTensor> kept;
  const auto keep = [&](ConstantId& id) {
    const auto [found, is_new] = renamed.try_emplace(id, ConstantId(static_cast<uint32_t>(kept.size())));
    if (is_new) {
      declarations.push_back(program.constants[index_of(id)]);
      kept.push_back(std::move(constants[index_of(id)]));
    }
    id = found->second;
  };
  for (Step& step : program.steps) {
    if (auto* linear = std::get_if<LinearStep>(&step.body)) {
      for (LinearTerm& term : linear->terms) keep(term.weight);
      if (linear->bias) keep(*linear->bias);
    } else if (auto* sum = std::get_if<AddConstantStep>(&step.body)) {
      keep(sum->constant);
    }
  }
  program.constants = std::move(declarations);
  constants = std::move(kept);
}

}  // namespace treville
