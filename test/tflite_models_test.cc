// TensorFlow Lite models against what the TensorFlow Lite interpreter answered: small ones that the converter made of
// each family of operators (test/tflite, written by tools/make_tflite_cases.py). Trained ones are in
// trained_models_test.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <span>

#include "compile/compile.h"
#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "compile/test_clear_run.h"
#include "data/npy.h"
#include "import/import.h"
#include "run/post_process.h"
#include "test/operations_survey.h"

namespace treville {
namespace {

namespace fs = std::filesystem;

double largest_of(const FloatTensor& tensor) {
  double largest = 0;
  for (float value : tensor.values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

double largest_error(const FloatTensor& a, const FloatTensor& b) {
  CHECK(a.values.size() == b.values.size(), "{} and {} elements", a.values.size(), b.values.size());
  double largest = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a.values[i]) - b.values[i]));
  }
  return largest;
}

// secure_outputs runs a compiled model with the cleartext protocol and does the recipient's part.
std::vector<FloatTensor> secure_outputs(const Compiled& compiled, const std::vector<FloatTensor>& inputs) {
  std::vector<FloatTensor> outputs = testing::clear_run(compiled, inputs).outputs;
  size_t next = 0;
  for (const Step& step : compiled.program.steps) {
    const auto* output = std::get_if<OutputStep>(&step.body);
    if (output == nullptr) continue;
    outputs.at(next) = post_process(outputs.at(next), output->post, output->top, output->axis);
    ++next;
  }
  return outputs;
}

// step_of is one step of an 8-bit output; 0 for a float.
double step_of(const Graph& graph, size_t output) {
  const auto& range = graph.value(graph.outputs[output]).declared_range;
  return range ? (range->high - range->low) / 255 : 0;
}

// --- Made by the converter -------------------------------------------------------------------------------------------

// steps: how far a quantised model's answer may be from the float meaning of its weights, in steps of its output. Each
// quantised layer adds an error of about a step of its own.
struct Made {
  friend void PrintTo(const Made& made, std::ostream* stream) { *stream << made.name; }
  const char* name;
  double steps = 0;
  double tolerance = 1e-4;
};

class MadeModels : public ::testing::TestWithParam<Made> {
 protected:
  static std::vector<FloatTensor> read_all(const std::string& prefix) {
    const fs::path folder = fs::path(TREVILLE_SOURCE_DIR) / "test" / "tflite" / GetParam().name;
    std::vector<FloatTensor> result;
    while (fs::exists(folder / fmt::format("{}_{}.npy", prefix, result.size()))) {
      result.push_back(read_npy(folder / fmt::format("{}_{}.npy", prefix, result.size())));
    }
    return result;
  }
  static Graph read_graph() {
    Graph graph = import_model(fs::path(TREVILLE_SOURCE_DIR) / "test" / "tflite" / GetParam().name / "model.tflite");
    infer_shapes(graph);
    return graph;
  }
};

TEST_P(MadeModels, AnswerAsTheInterpreterInFloat) {
  const Graph graph = read_graph();
  const std::vector<FloatTensor> expected = read_all("out");
  ASSERT_FALSE(expected.empty());
  const std::vector<Constant> found = float_run(graph, read_all("in"));
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(shape_of(found[i]), expected[i].shape) << "output " << i;
    const double bound =
        GetParam().tolerance * std::max(1.0, largest_of(expected[i])) + GetParam().steps * step_of(graph, i);
    EXPECT_LE(largest_error(to_floats(found[i]), expected[i]), bound) << "output " << i;
  }
}

// SecureModels are those whose operations all have a lowering.
class SecureModels : public MadeModels {};

TEST_P(SecureModels, AnswerAlikeInFixedPoint) {
  const Graph graph = read_graph();
  const std::vector<FloatTensor> inputs = read_all("in");
  CompileOptions options;
  options.input_range = {-4, 4};
  const Compiled compiled = compile(graph, options);
  const bool is_declared = graph.value(graph.inputs[0]).declared_range.has_value();
  EXPECT_EQ(compiled.program.ring, is_declared ? Ring::k32 : Ring::k64);
  const std::vector<Constant> expected = float_run(graph, inputs);
  const std::vector<FloatTensor> found = secure_outputs(compiled, inputs);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const FloatTensor reference = to_floats(expected[i]);
    const double bound = std::ldexp(std::max(1.0, largest_of(reference)), -8) + step_of(graph, i);
    EXPECT_LE(largest_error(found[i], reference), bound) << "output " << i;
  }
}

std::string name_of(const ::testing::TestParamInfo<Made>& test) { return test.param.name; }

// The first kSecureCount have a lowering for all their operations over the range that the test gives their inputs.
const Made kMade[] = {{"arithmetic"},
                      {"classifier"},
                      {"convolutions"},
                      {"dense"},
                      {"pools"},
                      {"shapes"},
                      {"signature"},
                      {"space_and_batch"},
                      {"network_int8", 3},
                      {"network_uint8", 3},
                      {"network_int16", 1},
                      {"network_float_ends", 3},
                      {"network_float16"},
                      {"activations"},
                      {"comparisons"},
                      {"extrema"},
                      {"images"},
                      {"moves"},
                      {"normalisations"},
                      {"roundings"},
                      {"transposed_convolutions"},
                      {"volumes"},
                      {"dense_int8_weights", 0, 0.02},
                      {"batch_matmul"},
                      {"pad_value"},
                      {"largest"},
                      {"functions"},
                      {"smooth_int8", 3}};
constexpr size_t kSecureCount = 26;

INSTANTIATE_TEST_SUITE_P(Lite, SecureModels, ::testing::ValuesIn(kMade, kMade + kSecureCount), name_of);
INSTANTIATE_TEST_SUITE_P(Lite, MadeModels, ::testing::ValuesIn(kMade), name_of);

// Each case gets as far as the two suites above check.
TEST(MadeModelsOfLite, AreWhatTheOperationsPageShows) {
  testing::OperationsSurvey survey;
  for (size_t i = 0; i < std::size(kMade); ++i) {
    const fs::path folder = fs::path(TREVILLE_SOURCE_DIR) / "test" / "tflite" / kMade[i].name;
    survey.add(testing::operations_of(import_model(folder / "model.tflite")),
               i < kSecureCount ? "float secure" : "float");
  }
  testing::expect_survey("operations_tflite.txt", survey);
}

}  // namespace
}  // namespace treville
