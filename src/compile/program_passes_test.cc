// The passes over programs, on hand-made and random single-assignment programs.
#include <gtest/gtest.h>

#include <random>

#include "compile/drop_constants.h"
#include "compile/merge_sums.h"
#include "compile/narrow_moduli.h"
#include "compile/program_edit.h"
#include "compile/reuse_slots.h"
#include "program/program.h"

namespace treville {
namespace {

// Builder appends steps in single-assignment form.
class Builder {
 public:
  SlotId input(Shape shape) {
    const std::string name = "x" + std::to_string(program.slots);
    return append(InputStep{PartyId::kDealer, name, std::move(shape), Ring::k32, Bits(4)});
  }
  SlotId append(StepBody body) {
    Step step;
    step.type = infer_type(body, types_, program);
    step.type.bound = 1;
    step.result = SlotId(program.slots++);
    step.body = std::move(body);
    step.layer = "layer";
    types_.push_back(step.type);
    program.steps.push_back(std::move(step));
    return program.steps.back().result;
  }
  ConstantId constant(Shape shape, Bits scale, uint32_t value) {
    program.constants.push_back({"c" + std::to_string(constants.size()), shape, Ring::k32, scale});
    constants.push_back(RingTensor::stored(Ring::k32, shape));
    for (uint32_t& word : constants.back().as<uint32_t>()) word = value;
    return ConstantId(static_cast<uint32_t>(constants.size() - 1));
  }
  SlotId linear(SlotId x, bool with_bias = true) {
    LinearStep step{{{x, MatmulGeometry{2, 3, 3}, constant({3, 3}, Bits(8), 1)}}, {}, Bits(32)};
    if (with_bias) step.bias = constant({3}, Bits(12), 5);
    return append(std::move(step));
  }
  void output(SlotId x) {
    const std::string name = "y" + std::to_string(program.steps.size());
    program.steps.push_back({x, OutputStep{x, PartyId::kDealer, name}, types_[index_of(x)], "layer"});
  }

  Program program;
  std::vector<RingTensor> constants;

 private:
  std::vector<SlotType> types_;
};

TEST(MergeSums, MakesOneLinearStepWithTheSumOfBiases) {
  Builder b;
  const SlotId x = b.input({2, 3});
  const SlotId sum = b.append(AddStep{b.linear(x), b.linear(x), Bits(0), Bits(0)});
  b.output(sum);
  merge_sums(b.program, b.constants);
  drop_constants(b.program, b.constants);
  verify(b.program);
  ASSERT_EQ(b.program.steps.size(), 3U);
  const auto& linear = std::get<LinearStep>(b.program.steps[1].body);
  EXPECT_EQ(linear.terms.size(), 2U);
  EXPECT_EQ(b.constants.size(), 3U);
  EXPECT_EQ(b.constants[index_of(*linear.bias)].as<uint32_t>()[0], 10U);
}

TEST(MergeSums, KeepsALinearStepThatOthersRead) {
  Builder b;
  const SlotId x = b.input({2, 3});
  const SlotId shared = b.linear(x);
  b.output(b.append(AddStep{shared, b.linear(x), Bits(0), Bits(0)}));
  b.output(shared);
  merge_sums(b.program, b.constants);
  EXPECT_TRUE(std::holds_alternative<AddStep>(b.program.steps[3].body));
}

TEST(NarrowModuli, KeepsWhatTheReadersOpen) {
  Builder b;
  const SlotId y = b.linear(b.input({2, 3}));
  const SlotId flat = b.append(ReshapeStep{y, {6}});
  b.output(b.append(ReluStep{flat, Bits(5), Bits(18)}));
  narrow_moduli(b.program);
  verify(b.program);
  EXPECT_EQ(std::get<LinearStep>(b.program.steps[1].body).modulus, Bits(23));
  EXPECT_EQ(b.program.steps[2].type.modulus, Bits(23));
}

TEST(NarrowModuli, LeavesAMaximumItsExtraBit) {
  Builder b;
  const SlotId y =
      b.append(LinearStep{{{b.input({1, 2, 2, 1}), ChannelGeometry{4, 1}, b.constant({1}, Bits(8), 1)}}, {}, Bits(32)});
  const SlotId image = b.append(ReshapeStep{y, {1, 2, 2, 1}});
  PoolGeometry pool;
  pool.in_h = pool.in_w = pool.kernel_h = pool.kernel_w = pool.stride_h = pool.stride_w = 2;
  b.output(b.append(MaxPoolStep{image, pool, Bits(5), Bits(18)}));
  narrow_moduli(b.program);
  verify(b.program);
  EXPECT_EQ(std::get<LinearStep>(b.program.steps[1].body).modulus, Bits(24));
}

TEST(RemoveDeadSteps, KeepsInputsOnly) {
  Builder b;
  const SlotId x = b.input({2, 3});
  b.input({7});
  b.append(ReshapeStep{x, {6}});
  b.output(x);
  remove_dead_steps(b.program);
  EXPECT_EQ(b.program.steps.size(), 3U);
}

TEST(ReuseSlots, AChainNeedsTwo) {
  Builder b;
  SlotId x = b.input({2, 3});
  for (int i = 0; i < 10; ++i) x = b.append(ReluStep{b.linear(x), Bits(8), Bits(20)});
  b.output(x);
  reuse_slots(b.program);
  verify(b.program);
  EXPECT_EQ(b.program.slots, 2U);
}

// A walk over the old and the new program side by side: every operand must be found where the value was put.
TEST(ReuseSlots, NeverReadsADeadSlot) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Builder b;
    std::vector<SlotId> values = {b.input({2, 3}), b.input({2, 3})};
    for (int i = 0; i < 40; ++i) {
      const auto pick = [&] { return values[values.size() - 1 - random() % std::min<size_t>(values.size(), 6)]; };
      values.push_back(b.append(AddStep{pick(), pick(), Bits(0), Bits(0)}));
      if (random() % 8 == 0) b.output(pick());
    }
    b.output(values.back());
    remove_dead_steps(b.program);
    const Program before = b.program;
    reuse_slots(b.program);
    verify(b.program);
    EXPECT_LE(b.program.slots, 10U);
    std::vector<SlotId> held(b.program.slots, SlotId(UINT32_MAX));  // the old value in each new slot
    for (size_t i = 0; i < before.steps.size(); ++i) {
      const auto old_operands = operands(before.steps[i].body), new_operands = operands(b.program.steps[i].body);
      ASSERT_EQ(old_operands.size(), new_operands.size());
      for (size_t j = 0; j < old_operands.size(); ++j) EXPECT_EQ(held[index_of(new_operands[j])], old_operands[j]);
      if (is_output(before.steps[i])) continue;
      for (SlotId slot : new_operands) EXPECT_NE(slot, b.program.steps[i].result);
      held[index_of(b.program.steps[i].result)] = before.steps[i].result;
    }
  }
}

}  // namespace
}  // namespace treville
