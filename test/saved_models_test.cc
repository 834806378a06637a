// SavedModels that others trained: what they compute in float is what TensorFlow.js answered, and the same network
// costs the same whether it comes frozen or as a SavedModel. Small ones made by TensorFlow answer as it did, and one
// network is the same from every format.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "cost/cost.h"
#include "data/npy.h"
#include "import/import.h"
#include "test/model_run.h"
#include "test/models.h"

namespace treville {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> result;
  for (ValueId id : ids) result.push_back(graph.value(id).name);
  return result;
}

std::vector<float> answer(Graph graph, const FloatTensor& input) {
  infer_shapes(graph, 1);
  const std::vector<Constant> outputs = float_run(graph, {input});
  return std::get<FloatTensor>(outputs.at(0)).values;
}

void expect_near(const std::vector<float>& found, const std::vector<float>& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], tolerance) << i;
}

TEST(SavedModels, KeywordSpottingOfTensorFlow2AnswersLikeItsReference) {
  TREVILLE_NEED_MODELS(dir);
  const auto folder = dir / "mlperf-tiny-kws-dscnn";
  const Graph graph = import_model(folder / "kws_ref_model");
  EXPECT_EQ(graph.format, "tensorflow-saved-model");
  EXPECT_THAT(names(graph, graph.inputs), ElementsAre("input_1"));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("dense"));
  EXPECT_EQ(graph.value(graph.inputs[0]).shape, (Shape{-1, 49, 10, 1}));
  std::map<std::string, int> ops;
  for (const Node& node : graph.nodes) ++ops[node.op];
  EXPECT_EQ(ops.at("Conv"), 9);
  EXPECT_EQ(ops.at("BatchNorm"), 9);
  expect_near(answer(graph, read_npy(folder / "in.npy")), read_npy(folder / "out_savedmodel_tfjs.npy").values, 1e-4);
}

TEST(SavedModels, CifarNetworkOfTensorFlow1AnswersLikeItsReference) {
  TREVILLE_NEED_MODELS(dir);
  const auto folder = dir / "tf-cifar-cnn-mlnet";
  const FloatTensor input = read_npy(folder / "in.npy");
  const Graph graph = import_model(folder / "cifar_saved_model", {.batch = 4});
  EXPECT_THAT(names(graph, graph.inputs), ElementsAre("Input"));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("Output"));
  const auto expected = read_npy(folder / "out_savedmodel_tfjs.npy").values;
  double largest = 1;
  for (float value : expected) largest = std::max<double>(largest, std::abs(value));
  expect_near(answer(graph, input), expected, 1e-4 * largest);
}

TEST(SavedModels, HalfPlusTwoOfBothVersionsIsExact) {
  TREVILLE_NEED_MODELS(dir);
  const auto folder = dir / "tf-serving-testdata";
  const FloatTensor six({1, 1}, {6}), four({1}, {4});
  EXPECT_THAT(answer(import_model(folder / "saved_model_half_plus_two_cpu" / "00000123"), six), ElementsAre(5.0F));
  EXPECT_THAT(
      answer(import_model(folder / "saved_model_half_plus_two_cpu" / "00000123", {.signature = "regress_x2_to_y3"}),
             six),
      ElementsAre(6.0F));
  EXPECT_THAT(answer(import_model(folder / "saved_model_half_plus_two_tf2_cpu" / "00000123"), four), ElementsAre(4.0F));
  EXPECT_THAT(
      answer(import_model(folder / "saved_model_half_plus_two_tf2_cpu" / "00000123", {.signature = "regress_x2_to_y3"}),
             four),
      ElementsAre(5.0F));
  const auto three = folder / "saved_model_half_plus_three" / "00000123";
  EXPECT_THAT(answer(import_model(three, {.input_shapes = {{"x", Shape{1}}}}), four), ElementsAre(5.0F));
}

TEST(SavedModels, SignaturesOnTextAreRefusedWithTheListOfOthers) {
  TREVILLE_NEED_MODELS(dir);
  const auto folder = dir / "tf-serving-testdata" / "saved_model_half_plus_two_cpu" / "00000123";
  const auto error_of = [&](const std::string& signature) -> std::string {
    try {
      import_model(folder, {.signature = signature});
    } catch (const UserError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(error_of("classify_x_to_y"), HasSubstr("takes no numbers"));
  EXPECT_THAT(error_of("classify_x_to_y"), HasSubstr("\n  regress_x2_to_y3: inputs -> outputs"));
  EXPECT_THAT(error_of("predict"), HasSubstr("there is no signature \"predict\". The model has:\n  classify_x_to_y"));
}

TEST(SavedModels, RegressionEqualsItsFrozenGraph) {
  TREVILLE_NEED_MODELS(dir);
  const auto folder = dir / "tf2onnx-test-frozen";
  const ImportOptions options{.input_shapes = {{"X", Shape{1}}}};
  for (float x : {-3.0F, 0.0F, 2.5F}) {
    const FloatTensor input({1}, {x});
    // They were trained alike, one after the other.
    EXPECT_NEAR(answer(import_model(folder / "regression_saved_model", options), input)[0],
                answer(import_model(folder / "graphdef" / "frozen.pb", options), input)[0], 0.2 * std::abs(x) + 0.2);
  }
}

CostReport cost_of(const std::filesystem::path& path, const ImportOptions& options) {
  CompileOptions compile_options;
  compile_options.ranges = Ranges::kSynthetic;
  compile_options.batch = 1;
  compile_options.ring = Ring::k64;
  return dry_cost("porthos", compile(import_model(path, options), compile_options).program);
}

// The two were trained apart, so widths differ by bits; what is computed is the same.
TEST(SavedModels, MultiplyAsOftenAsTheirFrozenGraphs) {
  TREVILLE_NEED_MODELS(dir);
  const auto cifar = dir / "tf-cifar-cnn-mlnet";
  const CostReport frozen = cost_of(cifar / "cifar_model" / "frozen_model.pb", {.batch = 1});
  const CostReport saved = cost_of(cifar / "cifar_saved_model", {.batch = 1});
  EXPECT_EQ(frozen.macs, saved.macs);
}

// --- Made by TensorFlow: test/saved_models, written by tools/make_saved_models.py ------------------------------------

const std::filesystem::path kMade = std::filesystem::path(TREVILLE_SOURCE_DIR) / "test" / "saved_models";

std::vector<FloatTensor> read_all(const std::string& prefix) {
  std::vector<FloatTensor> tensors;
  for (int i = 0;; ++i) {
    const auto path = kMade / fmt::format("{}.{}.npy", prefix, i);
    if (!std::filesystem::exists(path)) return tensors;
    tensors.push_back(read_npy(path));
  }
}

// expect_answers compares one signature of a SavedModel with what TensorFlow answered, in float and in both protocols.
void expect_answers(const std::string& name, const std::string& signature) {
  const std::vector<FloatTensor> inputs = read_all(name + ".in"), outputs = read_all(name + "." + signature + ".out");
  ASSERT_FALSE(outputs.empty());
  const Graph graph = import_model(kMade / name, {.signature = signature});
  try {
    testing::check_float(graph, inputs, outputs, 1e-5);
    testing::check_secure(graph, inputs, outputs);
  } catch (const testing::Mismatch& mismatch) {
    ADD_FAILURE() << name << ", " << signature << ": " << mismatch.message;
  }
}

std::vector<std::string> output_names(const std::string& name, const std::string& signature) {
  const Graph graph = import_model(kMade / name, {.signature = signature});
  return names(graph, graph.outputs);
}

std::string refusal_of(const std::string& name) {
  try {
    import_model(kMade / name);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

TEST(MadeSavedModels, AnswerForEachSignatureThroughNestedFunctionsThatShareVariables) {
  expect_answers("two_signatures", "serving_default");
  expect_answers("two_signatures", "twice");
  EXPECT_THAT(output_names("two_signatures", "twice"), ElementsAre("once", "sum"));
}

TEST(MadeSavedModels, HaveSeveralInputsAndOutputsInTheOrderOfTheirNames) {
  const Graph graph = import_model(kMade / "several");
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("best", "gap", "total"));
  std::vector<FloatTensor> inputs;
  for (const std::string& name : names(graph, graph.inputs))
    inputs.push_back(read_all("several.in").at(name == "first" ? 0 : 1));
  testing::check_float(graph, inputs, read_all("several.serving_default.out"), 1e-5);
  testing::check_secure(graph, inputs, read_all("several.serving_default.out"));
}

TEST(MadeSavedModels, JoinVariablesThatTensorFlow1StoredInParts) { expect_answers("partitioned", "serving_default"); }

TEST(MadeSavedModels, AnswerAsKerasExportedThem) {
  expect_answers("exported", "serve");
  expect_answers("exported", "serving_default");
}

TEST(MadeSavedModels, TakeTheBranchOfAKnownCondition) { expect_answers("known_condition", "serving_default"); }

TEST(MadeSavedModels, RefuseConditionsOnSecretsAndLoopsWithAdvice) {
  EXPECT_THAT(refusal_of("secret_condition"), HasSubstr("conditions on computed values are not supported"));
  EXPECT_THAT(refusal_of("loop"), HasSubstr("Export the model without them"));
}

// --- One network in every format -------------------------------------------------------------------------------------

constexpr auto kEveryFormat = std::to_array<const char*>(
    {"saved_model", "network.pb", "network.h5", "network.keras", "network.tflite", "tfjs/model.json", "network.onnx"});

// The costs are those of the first format; the outputs are TensorFlow's own.
TEST(EveryFormat, GivesProgramsOfTheSameCostWhoseOutputsAgree) {
  const auto folder = kMade / "every_format";
  const FloatTensor input = read_npy(folder / "in.npy"), expected = read_npy(folder / "out.npy");
  std::map<Ring, CostReport> first;
  for (const char* format : kEveryFormat) {
    const Graph graph = import_model(folder / format);
    testing::check_float(graph, {input}, {expected}, 1e-5);
    for (const Ring ring : {Ring::k32, Ring::k64}) {
      SCOPED_TRACE(fmt::format("{} in {} bits", format, bits_of(ring)));
      CompileOptions options;
      options.ring = ring;
      options.batch = 1;
      options.calibration = {{input}};
      const Compiled compiled = compile(graph, options);
      const CostReport cost = dry_cost("porthos", compiled.program);
      const CostReport& same = first.emplace(ring, cost).first->second;
      for (const Phase phase : {Phase::kSetup, Phase::kOffline, Phase::kOnline}) {
        EXPECT_EQ(cost.bytes(phase), same.bytes(phase)) << name_of(phase);
        EXPECT_EQ(cost.messages(phase), same.messages(phase)) << name_of(phase);
      }
      EXPECT_EQ(cost.rounds.by_phase, same.rounds.by_phase);
      EXPECT_EQ(cost.macs, same.macs);
      testing::check_secure(graph, {input}, {expected}, ring);
    }
  }
}

}  // namespace
}  // namespace treville
