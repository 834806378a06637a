// Calibration of models with several inputs: samples belong together by their place, are regrouped to the batch, and
// messages name the input that is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/measure_ranges.h"
#include "compile/test_model.h"

namespace treville {
namespace {

using ::testing::HasSubstr;
using testing::Model;

// sum_model adds input a of `batch` rows of two and input b of `other` rows of two.
Graph sum_model(int64_t batch, int64_t other) {
  Model model;
  const ValueId a = model.input({batch, 2}, "a"), b = model.input({other, 2}, "b");
  return model.done({model.op("Add", {a, b})});
}

CompileOptions with_samples(InputSamples samples) {
  CompileOptions options;
  options.calibration = std::move(samples);
  options.margin_bits = 0;
  return options;
}

std::vector<double> bounds(const Graph& graph, const CompileOptions& options) {
  const std::vector<ValueRange> ranges = measure_ranges(graph, options);
  std::vector<double> result;
  for (const ValueId id : graph.inputs) result.push_back(ranges[index_of(id)].bound);
  result.push_back(ranges[index_of(graph.outputs[0])].bound);
  return result;
}

std::string error_of(const Graph& graph, InputSamples samples) {
  try {
    measure_ranges(graph, with_samples(std::move(samples)));
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Calibration, TakesSamplesOfAllInputsTogether) {
  // The largest of each input is in another sample: sums of other pairs would reach 24.
  const FloatTensor a(Shape{2, 2}, {1, 4, -8, 2}), b(Shape{2, 2}, {16, 0, 3, 5});
  EXPECT_EQ(bounds(sum_model(1, 1), with_samples({{a}, {b}})), (std::vector<double>{8, 16, 17}));
}

TEST(Calibration, TakesSamplesInAnyNumberOfTensors) {
  const FloatTensor a(Shape{2, 2}, {1, 4, -8, 2}), first(Shape{2}, {16, 0}), second(Shape{1, 2}, {3, 5});
  EXPECT_EQ(bounds(sum_model(1, 1), with_samples({{a}, {first, second}})), (std::vector<double>{8, 16, 17}));
}

TEST(Calibration, RegroupsToTheBatchAndFillsTheLastOneFromTheFront) {
  const FloatTensor a(Shape{3, 2}, {1, 4, -8, 2, 0, 0}), b(Shape{3, 2}, {16, 0, 3, 5, 32, 1});
  EXPECT_EQ(bounds(sum_model(2, 2), with_samples({{a}, {b}})), (std::vector<double>{8, 32, 32}));
}

TEST(Calibration, CountsRunsWhereInputsHaveDifferentBatches) {
  const FloatTensor a(Shape{4, 2}, {1, 4, -8, 2, 0, 0, 1, 1}), b(Shape{2, 2}, {16, 0, 3, 5});
  // Run 1 adds b's first row to rows 1 and 2 of a, run 2 its second row to rows 3 and 4.
  EXPECT_EQ(bounds(sum_model(2, 1), with_samples({{a}, {b}})), (std::vector<double>{8, 16, 17}));
}

// The samples have nothing but zeros in the second half, which the input's owner may fill all the same.
TEST(Calibration, APartOfAnInputMayBeAsLargeAsTheInput) {
  Model model;
  const ValueId x = model.input({1, 4}, "x"), h = model.op("Relu", {model.op("Sub", {x, model.random({4}, 5, 6)})});
  const ValueId part =
      model.op("Slice", {x}, {{"starts", testing::Ints{2}}, {"ends", testing::Ints{4}}, {"axes", testing::Ints{1}}});
  const Graph graph = model.done({model.op("Concat", {part, h}, {{"axis", int64_t{1}}}), part, h});
  const auto ranges = measure_ranges(graph, with_samples({{FloatTensor(Shape{1, 4}, {4, -3, 0, 0})}}));
  EXPECT_EQ(ranges[index_of(part)].bound, 4);
  EXPECT_EQ(ranges[index_of(graph.outputs[0])].bound, 4);
  EXPECT_EQ(ranges[index_of(h)].bound, 0);  // of what is computed the samples decide
}

TEST(Calibration, IsNamedInTheSchemeByItsSamples) {
  const FloatTensor a(Shape{2, 2}, {1, 4, -8, 2}), b(Shape{2, 2}, {16, 0, 3, 5});
  EXPECT_EQ(compile(sum_model(1, 1), with_samples({{a}, {b}})).program.scheme,
            "calibrated on 2 samples, margin 0 bits");
}

TEST(Calibration, MistakesNameTheInput) {
  const Graph graph = sum_model(1, 1);
  const FloatTensor two(Shape{2, 2}), three(Shape{3, 2}), wide(Shape{2, 3}), none(Shape{0, 2});
  EXPECT_THAT(error_of(graph, {{two}}), HasSubstr("each of the 2 inputs (a, b), found samples of 1"));
  EXPECT_THAT(error_of(graph, {{two}, {}}), HasSubstr("no calibration sample for input b"));
  EXPECT_THAT(error_of(graph, {{none}, {two}}), HasSubstr("no calibration sample for input a"));
  EXPECT_THAT(error_of(graph, {{two}, {three}}), HasSubstr("input a has 2 samples and input b has 3"));
  EXPECT_THAT(error_of(graph, {{two}, {wide}}), HasSubstr("input b: expected shape [1,2]"));
  EXPECT_THAT(error_of(graph, {{two}, {two}}), HasSubstr("no error"));
}

}  // namespace
}  // namespace treville
