// TensorFlow Lite models against what the TensorFlow Lite interpreter answered: small ones that the converter made of
// each family of operators (test/tflite, written by tools/make_tflite_cases.py), and trained ones.
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
#include "test/models.h"
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

size_t label_of(const FloatTensor& scores) {
  return static_cast<size_t>(std::max_element(scores.values.begin(), scores.values.end()) - scores.values.begin());
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

// --- Trained ---------------------------------------------------------------------------------------------------------

// A trained model: quantised ones take the numbers of `inputs` as integers and give `golden` as integers.
struct Trained {
  friend void PrintTo(const Trained& trained, std::ostream* stream) { *stream << trained.name; }
  const char* name;
  const char* folder;
  const char* file;
  const char* inputs;
  const char* golden;
  double tolerance;    // of probabilities in float; of a quantised model, in steps of its logits
  double fixed_point;  // of probabilities, fixed point against float
};

class TrainedLite : public ::testing::TestWithParam<Trained> {
 protected:
  static FloatTensor row(const FloatTensor& all, int64_t i) {
    Shape shape = all.shape;
    const int64_t elements = shape.elements() / shape[0];
    shape[0] = 1;
    const auto begin = all.values.begin() + i * elements;
    return {shape, std::vector<float>(begin, begin + elements)};
  }

  // quantised_bound: logits that differ by d change a probability by d / 2 at most; its own step comes on top.
  static double quantised_bound(const Graph& graph, double steps) {
    const Node& softmax = graph.nodes.back();
    CHECK(softmax.op == "Softmax", "the model ends with {}", softmax.op);
    const Interval logits = *graph.value(softmax.inputs[0]).declared_range;
    return steps * (logits.high - logits.low) / 255 / 2 + step_of(graph, 0);
  }

  // real turns the stored integers of an 8-bit tensor into what they stand for.
  static FloatTensor real(FloatTensor stored, const Value& value, double lowest) {
    if (!value.declared_range) return stored;
    const double step = (value.declared_range->high - value.declared_range->low) / 255;
    for (float& element : stored.values) {
      element = static_cast<float>(value.declared_range->low + (element - lowest) * step);
    }
    return stored;
  }
};

TEST_P(TrainedLite, PredictsAsTheInterpreterInFloatAndInFixedPoint) {
  TREVILLE_NEED_MODELS(dir);
  const fs::path folder = dir / GetParam().folder;
  Graph graph = import_model(folder / GetParam().file);
  infer_shapes(graph, 1);
  const FloatTensor inputs = read_npy(folder / GetParam().inputs), golden = read_npy(folder / GetParam().golden);
  const bool is_quantised = graph.value(graph.inputs[0]).declared_range.has_value();
  const double lowest = std::string_view(GetParam().inputs).find("uint8") != std::string_view::npos ? 0 : -128;
  CompileOptions options;
  const double bound = is_quantised ? quantised_bound(graph, GetParam().tolerance) : GetParam().tolerance;
  if (!is_quantised) options.calibration = {{row(inputs, 0)}};
  const Compiled compiled = compile(graph, options);
  EXPECT_EQ(compiled.program.ring, Ring::k32);
  for (int64_t i = 0; i < inputs.shape[0]; ++i) {
    const FloatTensor x = real(row(inputs, i), graph.value(graph.inputs[0]), lowest);
    const FloatTensor expected = real(row(golden, i), graph.value(graph.outputs[0]), lowest);
    const FloatTensor found = to_floats(float_run(graph, {x})[0]);
    const FloatTensor secure = secure_outputs(compiled, {x}).at(0);
    std::cout << fmt::format("{} input {}: float error {:.3g}, fixed point error {:.3g}\n", GetParam().name, i,
                             largest_error(found, expected), largest_error(secure, found));
    EXPECT_LE(largest_error(found, expected), bound) << "input " << i;
    EXPECT_EQ(label_of(found), label_of(expected)) << "input " << i;
    EXPECT_LE(largest_error(secure, found), GetParam().fixed_point) << "input " << i;
    EXPECT_EQ(label_of(secure), label_of(expected)) << "input " << i;
  }
}

constexpr const char* kMobileNet = "mobilenet-v1-025-224-imagenet";
constexpr const char* kResNet8 = "mlperf-tiny-resnet8-cifar10";
constexpr const char* kWakeWords = "mlperf-tiny-vww-mobilenetv1-025-96";
constexpr const char* kKeywords = "mlperf-tiny-kws-dscnn";

INSTANTIATE_TEST_SUITE_P(
    Lite, TrainedLite,
    ::testing::Values(
        Trained{"MobileNetFloat", kMobileNet, "mobilenet_v1_0.25_224_1_default_1.tflite", "in.npy", "out_tflite.npy",
                1e-4, 0.05},
        Trained{"MobileNetUint8", kMobileNet, "mobilenet_v1_0.25_224_quant.tflite", "in_uint8.npy",
                "out_uint8_tflite.npy", 4, 0.05},
        Trained{"ResNet8Float", kResNet8, "pretrainedResnet.tflite", "in.npy", "out_tflite.npy", 1e-4, 0.05},
        Trained{"ResNet8Int8", kResNet8, "pretrainedResnet_quant.tflite", "in_int8.npy", "out_int8_tflite.npy", 4,
                0.05},
        Trained{"WakeWordsFloat", kWakeWords, "vww_96_float.tflite", "in.npy", "out_tflite.npy", 1e-4, 0.05},
        Trained{"WakeWordsInt8", kWakeWords, "vww_96_int8.tflite", "in_int8.npy", "out_int8_tflite.npy", 4, 0.05},
        Trained{"KeywordsFloat", kKeywords, "kws_ref_model_float32.tflite", "in.npy", "out_tflite.npy", 0.02, 0.05},
        Trained{"KeywordsInt8", kKeywords, "kws_ref_model.tflite", "in_int8.npy", "out_int8_tflite.npy", 4, 0.05}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace treville
