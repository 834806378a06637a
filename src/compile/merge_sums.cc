#include "compile/merge_sums.h"

#include <optional>

#include "base/error.h"
#include "compile/program_edit.h"

namespace treville {
namespace {

RingTensor sum_of(const RingTensor& a, const RingTensor& b) {
  RingTensor result = a.clone();
  dispatch(a.ring(), [&](auto word) {
    using Word = decltype(word);
    const auto out = result.as<Word>();
    const auto addend = b.as<Word>();
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<Word>(out[i] + addend[i]);
  });
  return result;
}

// sum_of_biases adds the biases of two linear steps as a new constant.
std::optional<ConstantId> sum_of_biases(Program& program, std::vector<RingTensor>& constants, const LinearStep& a,
                                        const LinearStep& b) {
  if (!a.bias || !b.bias) return a.bias ? a.bias : b.bias;
  ConstantDecl decl = program.constants[index_of(*b.bias)];
  decl.name += "_sum";
  constants.push_back(sum_of(constants[index_of(*a.bias)], constants[index_of(*b.bias)]));
  program.constants.push_back(std::move(decl));
  return ConstantId(static_cast<uint32_t>(constants.size() - 1));
}

bool same_bias_shape(const Program& program, const LinearStep& a, const LinearStep& b) {
  return !a.bias || !b.bias || program.constants[index_of(*a.bias)].shape == program.constants[index_of(*b.bias)].shape;
}

class Merger {
 public:
  Merger(Program& program, std::vector<RingTensor>& constants)
      : program_(program), constants_(constants), readers_(program.slots, 0), producers_(program.slots, nullptr) {
    for (Step& step : program_.steps) {
      for (SlotId slot : operands(step.body)) ++readers_[index_of(slot)];
      if (!is_output(step)) producers_[index_of(step.result)] = &step;
    }
  }

  void run() {
    for (Step& step : program_.steps)
      if (std::holds_alternative<AddStep>(step.body)) merge(step);
  }

 private:
  // lone_linear is the linear step that makes a slot nobody else reads, or null.
  const LinearStep* lone_linear(SlotId slot) const {
    const Step* step = producers_[index_of(slot)];
    return readers_[index_of(slot)] == 1 ? std::get_if<LinearStep>(&step->body) : nullptr;
  }

  void merge(Step& step) {
    const AddStep add = std::get<AddStep>(step.body);
    if (add.subtract || add.shift_a.value() != 0 || add.shift_b.value() != 0 || add.a == add.b) return;
    const LinearStep* a = lone_linear(add.a);
    const LinearStep* b = lone_linear(add.b);
    if (!a || !b || a->modulus != b->modulus || !same_bias_shape(program_, *a, *b)) return;
    // The slots of the old steps lose their reader and the steps die.
    LinearStep sum = *a;
    sum.terms.insert(sum.terms.end(), b->terms.begin(), b->terms.end());
    sum.bias = sum_of_biases(program_, constants_, *a, *b);
    step.body = std::move(sum);
  }

  Program& program_;
  std::vector<RingTensor>& constants_;
  std::vector<int> readers_;
  std::vector<Step*> producers_;
};

}  // namespace

void merge_sums(Program& program, std::vector<RingTensor>& constants) {
  Merger(program, constants).run();
  remove_dead_steps(program);
}

}  // namespace treville
