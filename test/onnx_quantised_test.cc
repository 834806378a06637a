// A network that ONNX Runtime quantised (test/onnx_quantised, written by tools/make_onnx_quantised.py), in both of its
// ways: the float meaning is what ONNX Runtime answered, up to the rounding of 8-bit integers, and the ranges of those
// integers take the place of calibration samples.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compile/compile.h"
#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "compile/test_clear_run.h"
#include "data/npy.h"
#include "import/import.h"

namespace treville {
namespace {

namespace fs = std::filesystem;

// Every quantised layer rounds to half a step of its own integers; four layers, and the weights' rounding is in the
// float meaning, too. Errors of the inner layers reach the output with factors around 1.
constexpr double kSteps = 4;

class OnnxQuantised : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const fs::path folder = fs::path(TREVILLE_SOURCE_DIR) / "test" / "onnx_quantised" / GetParam();
    graph_ = import_model(folder / "model.onnx");
    infer_shapes(graph_);
    inputs_ = read_npy(folder / "in.npy");
    outputs_ = read_npy(folder / "out.npy");
    const auto& range = graph_.value(graph_.outputs[0]).declared_range;
    ASSERT_TRUE(range.has_value());
    step_ = (range->high - range->low) / 255;
  }

  static FloatTensor row(const FloatTensor& all, int64_t i) {
    Shape shape = all.shape;
    shape[0] = 1;
    const auto begin = all.values.begin() + i * shape.elements();
    return {shape, std::vector<float>(begin, begin + shape.elements())};
  }
  void expect_close(const FloatTensor& found, const FloatTensor& expected, double bound) const {
    ASSERT_EQ(found.values.size(), expected.values.size());
    for (size_t i = 0; i < found.values.size(); ++i) EXPECT_NEAR(found.values[i], expected.values[i], bound) << i;
  }

  Graph graph_;
  FloatTensor inputs_, outputs_;
  double step_ = 0;
};

TEST_P(OnnxQuantised, MeansWhatTheRuntimeAnswers) {
  for (int64_t i = 0; i < inputs_.shape[0]; ++i)
    expect_close(to_floats(float_run(graph_, {row(inputs_, i)})[0]), row(outputs_, i), kSteps * step_);
}

TEST_P(OnnxQuantised, IsCalibratedByItsOwnRanges) {
  const Compiled compiled = compile(graph_, {});
  EXPECT_EQ(compiled.program.ring, Ring::k32);
  EXPECT_EQ(compiled.program.scheme.rfind("ranges of the quantised model", 0), 0u) << compiled.program.scheme;
  for (int64_t i = 0; i < inputs_.shape[0]; ++i) {
    const FloatTensor x = row(inputs_, i);
    // One step: fixed point rounds more finely than 8-bit integers do.
    expect_close(testing::clear_run(compiled, {x}).outputs.at(0), to_floats(float_run(graph_, {x})[0]), step_);
  }
}

// The quantiser left both activations out: their integers begin at the zero point.
TEST_P(OnnxQuantised, KeepsTheActivationsThatIntegersStandFor) {
  const auto count = std::count_if(graph_.nodes.begin(), graph_.nodes.end(),
                                   [](const Node& node) { return node.op == "Clip" || node.op == "Relu"; });
  EXPECT_EQ(count, 2);
}

INSTANTIATE_TEST_SUITE_P(Onnx, OnnxQuantised, ::testing::Values("qdq", "qoperator"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace treville
