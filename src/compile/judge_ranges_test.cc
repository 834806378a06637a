#include "compile/judge_ranges.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compile/compile.h"
#include "compile/test_clear_run.h"
#include "compile/test_model.h"
#include "program/testing.h"
#include "program/text.h"

namespace treville {
namespace {

using testing::Builder;
using testing::Model;

RingTensor words(Shape shape, const std::vector<int32_t>& values) {
  RingTensor tensor = RingTensor::stored(Ring::k32, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.as<uint32_t>().begin());
  return tensor;
}

std::vector<RingTensor> list(RingTensor a, RingTensor b) {
  std::vector<RingTensor> all;
  all.push_back(std::move(a));
  all.push_back(std::move(b));
  return all;
}

// Matmul of x in [-1, 1] at scale 4 with columns (3, -2) and (1, 1), bias (5, 0), then a relu that truncates by 2.
struct Small {
  Builder builder;
  SlotId x, y, z;
  std::vector<RingTensor> constants = list(words({2, 2}, {3, 1, -2, 1}), words({2}, {5, 0}));
  explicit Small(int k) {
    const ConstantId weight = builder.constant("w", {2, 2}, Bits(2)), bias = builder.constant("b", {2}, Bits(6));
    x = builder.add(InputStep{PartyId::kDealer, "x", {1, 2}, Ring::k32, Bits(4)}, 1);
    y = builder.add(LinearStep{{{x, MatmulGeometry{1, 2, 2}, weight}}, bias, Bits(32)}, 2);
    z = builder.add(ReluStep{y, Bits(2), Bits(k)}, 2);
    builder.output(z);
  }
};

TEST(ProveSteps, BoundsALinearLayerByItsWeights) {
  const Small small(7);
  const std::vector<IntegerRange> ranges = prove_steps(small.builder.program, small.constants);
  EXPECT_EQ(ranges[0].low, -16);
  EXPECT_EQ(ranges[0].high, 16);
  EXPECT_EQ(ranges[1].low, -5 * 16 + 5);  // of the first column
  EXPECT_EQ(ranges[1].high, 5 * 16 + 5);
  EXPECT_EQ(ranges[2].low, 0);
  EXPECT_EQ(ranges[2].high, std::ceil(85 / 4.0));
}

TEST(ProveSteps, GoesOnFromWhatAStepCanHold) {
  const Small small(5);  // 85 / 4 needs six bits
  const std::vector<IntegerRange> ranges = prove_steps(small.builder.program, small.constants);
  EXPECT_EQ(ranges[2].low, 0);
  EXPECT_EQ(ranges[2].high, 15);
}

TEST(JudgeRanges, ProvesWhatFitsForEveryInput) {
  Small small(6);  // |y| <= 85 and the relu takes 31 * 4
  judge_ranges(small.builder.program, small.constants, {});
  EXPECT_EQ(small.builder.program.steps[2].verdict.kind, RangeVerdict::kProved);
  EXPECT_EQ(small.builder.program.steps[3].verdict.kind, RangeVerdict::kProved);
  EXPECT_EQ(small.builder.program.steps[0].verdict.kind, RangeVerdict::kNone);
}

TEST(JudgeRanges, CountsTheBitsThatTypicalInputsLeave) {
  Small small(5);  // takes 15, truncated
  Evidence evidence{Evidence::Kind::kTypical, {-1, -1, 3, -1}};
  judge_ranges(small.builder.program, small.constants, evidence);
  const StepVerdict calibrated = small.builder.program.steps[2].verdict;
  EXPECT_EQ(calibrated.kind, RangeVerdict::kCalibrated);
  EXPECT_DOUBLE_EQ(calibrated.margin, 2.3);  // log2(15 / 3) = 2.32

  evidence.largest[2] = 9;  // less than a bit is left
  judge_ranges(small.builder.program, small.constants, evidence);
  EXPECT_EQ(small.builder.program.steps[2].verdict.kind, RangeVerdict::kUnsafe);
  evidence.largest[2] = 0;  // typical inputs that are all zero show nothing
  judge_ranges(small.builder.program, small.constants, evidence);
  EXPECT_EQ(small.builder.program.steps[2].verdict.kind, RangeVerdict::kUnsafe);
}

TEST(JudgeRanges, StandsInTheText) {
  Small small(5);
  const Evidence evidence{Evidence::Kind::kTypical, {-1, -1, 3, -1}};
  judge_ranges(small.builder.program, small.constants, evidence);
  verify(small.builder.program);
  const std::string text = to_text(small.builder.program);
  EXPECT_NE(text.find("verdict=calibrated margin=2.3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("verdict=proved\n"), std::string::npos) << text;
  EXPECT_EQ(parse_program(text, "text"), small.builder.program);
}

TEST(JudgeRanges, RefusesVerdictsThatCannotBe) {
  Small small(5);
  small.builder.program.steps[0].verdict = {RangeVerdict::kProved, 0};  // an input opens nothing
  EXPECT_THROW(verify(small.builder.program), UserError);
  small.builder.program.steps[0].verdict = {};
  small.builder.program.steps[2].verdict = {RangeVerdict::kCalibrated, 0.5};
  EXPECT_THROW(verify(small.builder.program), UserError);
  small.builder.program.steps[2].verdict = {RangeVerdict::kUnsafe, 2};
  EXPECT_THROW(verify(small.builder.program), UserError);
}

// A network with every kind of layer that opens something.
Graph network() {
  Model model;
  const ValueId x = model.input({1, 8, 8, 3});
  ValueId y = model.op("Relu", {model.conv(x, 3, 8, 3, 1, "NHWC", true)});
  y = model.max_pool(model.conv(y, 8, 8, 3, 1), 2, 2);
  y = model.op("Clip", {model.conv(y, 8, 8, 1, 0)}, {{"min", 0.0}, {"max", 0.5}});
  y = model.op("LeakyRelu", {model.conv(y, 8, 8, 1, 0)}, {{"alpha", 0.1}});
  y = model.op("Sigmoid", {model.conv(y, 8, 8, 1, 0)});
  y = model.op("Mul", {y, model.conv(y, 8, 8, 1, 0)});
  return model.done({y});
}

TEST(JudgeRanges, NoValueOfARunExceedsWhatIsProved) {
  CompileOptions options;
  options.calibration = {testing::random_inputs(network(), 3)};
  const Compiled compiled = compile(network(), options);
  const std::vector<IntegerRange> proved = prove_steps(compiled.program, compiled.constants);
  int checked = 0;
  for (const float size : {1.0F, 0.1F}) {
    std::vector<FloatTensor> inputs = testing::random_inputs(network(), 11, -size, size);
    testing::clear_run(compiled, inputs, [&](StepId id, const Step& step, const Shared& result) {
      const FloatTensor values = decode({result.plane().clone(), result.modulus()}, step.type);
      const double unit = std::ldexp(1.0 / static_cast<double>(step.type.divisor), -step.type.scale.value());
      for (const float value : values.values) {
        EXPECT_LE(value, proved[index_of(id)].high * unit * (1 + 1e-6)) << name_of(step.body);
        EXPECT_GE(value, proved[index_of(id)].low * unit * (1 + 1e-6)) << name_of(step.body);
        ++checked;
      }
    });
  }
  EXPECT_GT(checked, 5000);
}

// Once clipped, a value is what it was clipped to: whether the clip's operand fits is the verdict of the clip.
TEST(JudgeRanges, ProvesAMaximumOfWhatIsClipped) {
  Model model;
  const ValueId x = model.input({1, 4, 4, 3});
  const ValueId clipped = model.op("Clip", {model.conv(x, 3, 8, 3, 1)}, {{"min", 0.0}, {"max", 0.5}});
  const Graph graph = model.done({model.max_pool(clipped, 2, 2), clipped});
  CompileOptions options;
  options.calibration = {testing::random_inputs(graph, 3)};
  const VerdictCount verdicts = count_verdicts(compile(graph, options).program);
  EXPECT_EQ(verdicts.calibrated, 1);
  EXPECT_GT(verdicts.proved, 0);
  EXPECT_EQ(verdicts.unsafe, 0);
}

// A sigmoid is below 1, although interval arithmetic over the slopes and lines of its table does not see it.
TEST(JudgeRanges, ProvesWhatReadsABoundedFunction) {
  Model model;
  const ValueId x = model.input({1, 4, 4, 3});
  const ValueId gate = model.op("Sigmoid", {model.conv(x, 3, 8, 3, 1)});
  const Graph graph = model.done({model.conv(gate, 8, 8, 3, 1)});
  CompileOptions options;
  options.calibration = {testing::random_inputs(graph, 3, -4, 4)};
  const Program program = compile(graph, options).program;
  const std::string reader = "Conv" + std::to_string(graph.nodes.size() - 1);
  int rescales = 0;
  for (const Step& step : program.steps) {
    if (!std::holds_alternative<RescaleStep>(step.body) || step.layer != reader) continue;
    EXPECT_EQ(step.verdict.kind, RangeVerdict::kProved) << to_text(program);
    ++rescales;
  }
  EXPECT_EQ(rescales, 1) << to_text(program);
}

TEST(JudgeRanges, ProvesAnOutputThatIsClipped) {
  Model model;
  const ValueId x = model.input({1, 4, 4, 3});
  const Graph graph = model.done({model.op("Clip", {model.conv(x, 3, 8, 3, 1)}, {{"min", 0.0}, {"max", 0.5}})});
  CompileOptions options;
  options.calibration = {testing::random_inputs(graph, 3)};
  const Program program = compile(graph, options).program;
  ASSERT_TRUE(std::holds_alternative<OutputStep>(program.steps.back().body));
  EXPECT_EQ(program.steps.back().verdict.kind, RangeVerdict::kProved);
  EXPECT_EQ(count_verdicts(program).calibrated, 1) << to_text(program);  // the clip itself
}

TEST(JudgeRanges, ACompiledProgramSaysHowItsRangesAreKnown) {
  CompileOptions options;
  options.calibration = {testing::random_inputs(network(), 3)};
  const VerdictCount calibrated = count_verdicts(compile(network(), options).program);
  EXPECT_GT(calibrated.calibrated, 0);
  EXPECT_EQ(calibrated.unsafe, 0);
  EXPECT_GE(calibrated.least_margin, options.margin_bits - 0.1);

  options.calibration.clear();
  const VerdictCount synthetic = count_verdicts(compile(network(), options).program);
  EXPECT_EQ(synthetic.calibrated, 0);

  options.ranges = Ranges::kGuaranteed;
  const VerdictCount guaranteed = count_verdicts(compile(network(), options).program);
  EXPECT_EQ(guaranteed.calibrated, 0);
  EXPECT_EQ(guaranteed.unsafe, 0);
}

}  // namespace
}  // namespace treville
