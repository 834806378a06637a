// Every model of the models folder: what it computes in float is what an independent runtime answered, to the error
// that its README states; in fixed point and in a secure run it predicts the same. A model file without a row here
// fails the test. Formats of one network cost the same and agree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <set>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/fold_constants.h"
#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "cost/cost.h"
#include "data/npy.h"
#include "import/import.h"
#include "test/model_run.h"
#include "test/models.h"
#include "test/secure_options.h"

namespace treville::testing {
namespace {

namespace fs = std::filesystem;

// revealed is what the recipient of a model with one input and one output has in the end.
FloatTensor revealed(const char* protocol, const Compiled& compiled, const Graph& graph, const FloatTensor& input) {
  return revealed_outputs(protocol, compiled, encode_inputs(compiled.program, graph, {input})).at(0);
}

// --- The list --------------------------------------------------------------------------------------------------------

// Answers says what a model's outputs are, and so what "the same" is.
enum class Answers : uint8_t { kClasses, kNumbers };

// Trained is a model file with inputs and what another runtime answered. `in_float` is the largest difference allowed
// from those answers: what the READMEs state, or 1e-5 of the largest answer where they state nothing; of a quantised
// model it is a number of steps of its logits, since here its weights are real numbers. `ring32` is the largest error
// of fixed point against float in the 32-bit ring; in the 64-bit ring it is kRing64 of that, and at least kLeast.
struct Trained {
  friend void PrintTo(const Trained& trained, std::ostream* stream) { *stream << trained.name; }
  const char* name;
  const char* file;
  const char* inputs;
  const char* golden;
  double in_float;
  double ring32;
  Answers answers = Answers::kClasses;
};

// The 64-bit ring keeps at least 8 more bits of every value. kLeast is the rounding of float itself.
constexpr double kRing64 = 1.0 / 256, kLeast = 1e-5;

constexpr auto kTrained = std::to_array<Trained>({
    {"SqueezeNetGraphDef", "squeezenet-v1.0-imagenet/squeezenet_v1.0_frozen.pb", "in_nhwc.npy", "out_tfjs.npy", 5e-6,
     0.003},
    {"SqueezeNetOnnx", "squeezenet-v1.0-imagenet/squeezenet_v1.0.onnx", "in_nchw.npy", "out_ort.npy", 5e-6, 0.003},
    {"MobileNetFloat", "mobilenet-v1-025-224-imagenet/mobilenet_v1_0.25_224_1_default_1.tflite", "in.npy",
     "out_tflite.npy", 1e-5, 0.02},
    {"MobileNetUint8", "mobilenet-v1-025-224-imagenet/mobilenet_v1_0.25_224_quant.tflite", "in_uint8.npy",
     "out_uint8_tflite.npy", 4, 0.03},
    {"ResNet20", "resnet20-cifar10/resnet20.onnx", "in.npy", "out_resnet20_ort.npy", 1e-5, 0.001},
    {"ResNet8Keras", "mlperf-tiny-resnet8-cifar10/pretrainedResnet.h5", "in.npy", "out_h5_tfjs.npy", 1e-6, 0.002},
    {"ResNet8Float", "mlperf-tiny-resnet8-cifar10/pretrainedResnet.tflite", "in.npy", "out_tflite.npy", 1e-6, 0.002},
    {"ResNet8Int8", "mlperf-tiny-resnet8-cifar10/pretrainedResnet_quant.tflite", "in_int8.npy", "out_int8_tflite.npy",
     4, 0.006},
    {"WakeWordsKeras", "mlperf-tiny-vww-mobilenetv1-025-96/vww_96.h5", "in.npy", "out_h5_tfjs.npy", 1e-6, 0.001},
    {"WakeWordsFloat", "mlperf-tiny-vww-mobilenetv1-025-96/vww_96_float.tflite", "in.npy", "out_tflite.npy", 1e-6,
     0.001},
    {"WakeWordsInt8", "mlperf-tiny-vww-mobilenetv1-025-96/vww_96_int8.tflite", "in_int8.npy", "out_int8_tflite.npy", 4,
     0.002},
    {"KeywordsSavedModel", "mlperf-tiny-kws-dscnn/kws_ref_model", "in.npy", "out_savedmodel_tfjs.npy", 1e-5, 0.002},
    // Its weights are 8 bits, and the interpreter quantises the activations as it goes.
    {"KeywordsFloat", "mlperf-tiny-kws-dscnn/kws_ref_model_float32.tflite", "in.npy", "out_tflite.npy", 0.02, 0.002},
    {"KeywordsInt8", "mlperf-tiny-kws-dscnn/kws_ref_model.tflite", "in_int8.npy", "out_int8_tflite.npy", 4, 0.002},
    {"MnistKeras3", "keras-v3-mnist-cnn/model.keras", "in.npy", "out_tfjs.npy", 1e-5, 0.001},
    {"MnistFrozen", "tf-encrypted-mnist/mnist_model.pb", "in_digits20.npy", "out_digits20_tfjs.npy", 1e-5, 0.001},
    {"ShortDnn", "tf-encrypted-mnist/short-dnn.h5", "in_digits20_nhwc.npy", "out_short-dnn_tfjs.npy", 1e-5, 0.002},
    {"TwoLayers", "tf-encrypted-mnist/2lfc.pb", "in_2lfc.npy", "out_2lfc_tfjs.npy", 1e-5, 0.008},
    {"CifarFrozen", "tf-cifar-cnn-mlnet/cifar_model/frozen_model.pb", "in.npy", "out_frozen_tfjs.npy", 1.6e-5, 0.001},
    {"CifarSavedModel", "tf-cifar-cnn-mlnet/cifar_saved_model", "in.npy", "out_savedmodel_tfjs.npy", 1.6e-5, 0.001},
    {"Mnist8", "onnx-mnist-8/model.onnx", "in.npy", "out_ort.npy", 1e-5, 0.001},
    {"Mnist8Simplified", "onnx-mnist-8/opt-mnist.onnx", "in.npy", "golden.npy", 1e-5, 0.001},
    {"FullyConnected", "tf2onnx-test-frozen/fc-layers/frozen.pb", "in_digits20.npy", "out_fc-layers_tfjs.npy", 1e-5,
     0.002},
    {"Autoencoder", "tf2onnx-test-frozen/ae0/frozen.pb", "in_digits20.npy", "out_ae0_tfjs.npy", 1e-5, 0.015,
     Answers::kNumbers},
    {"Lstm", "tf2onnx-test-frozen/lstm/frozen.pb", "in_digits20.npy", "out_lstm_tfjs.npy", 1e-5, 0.003},
    {"Gru", "tf2onnx-test-frozen/gru/frozen.pb", "in_digits20.npy", "out_gru_tfjs.npy", 1e-5, 0.003},
    {"DoodleNet", "ml5-doodlenet/model.json", "in.npy", "out_tfjs.npy", 1e-5, 0.006},
});

// Straight is a model that computes slope * x + offset, from its README or from the weights in its file.
struct Straight {
  friend void PrintTo(const Straight& straight, std::ostream* stream) { *stream << straight.name; }
  const char* name;
  const char* file;
  const char* input;  // whose shape the file leaves open; "" where it does not
  double slope, offset;
};

constexpr auto kStraight = std::to_array<Straight>({
    {"HalfPlusTwo", "tf-serving-testdata/saved_model_half_plus_two_cpu/00000123", "", 0.5, 2},
    {"HalfPlusTwoOfTensorFlow2", "tf-serving-testdata/saved_model_half_plus_two_tf2_cpu/00000123", "", 0.5, 2},
    {"HalfPlusThree", "tf-serving-testdata/saved_model_half_plus_three/00000123", "x", 0.5, 3},
    {"RegressionFrozen", "tf2onnx-test-frozen/graphdef/frozen.pb", "X", 0.21396178, 1.0495254},
    {"RegressionSavedModel", "tf2onnx-test-frozen/regression_saved_model", "X", 0.21396178, 1.0495254},
});

// Topology is a well-known network whose weights are all one constant.
struct Topology {
  friend void PrintTo(const Topology& topology, std::ostream* stream) { *stream << topology.name; }
  const char* name;
  int64_t parameters;  // float constants of the file that nodes read, counted with the onnx package
};

constexpr auto kTopologies = std::to_array<Topology>({
    {"bvlc_alexnet", 60'965'224},
    {"densenet121", 8'146'152},
    {"inception_v1", 6'998'552},
    {"inception_v2", 11'234'792},
    {"resnet50", 25'610'152},
    {"shufflenet", 1'420'152},
    {"squeezenet", 1'235'496},
    {"vgg19", 143'667'240},
    {"zfnet512", 87'250'536},
});

std::string topology_file(const Topology& topology) {
  return fmt::format("onnx-light-models/light_{}.onnx", topology.name);
}

// is_model tells which files are models: others of these kinds are data, or parts of a model.
bool is_model(const fs::path& path) {
  const std::string name = path.filename().string(), kind = path.extension().string();
  if (name == "model.json") return true;
  if (kind == ".pb")
    return name != "fingerprint.pb" && name.find("input_") != 0 && name.find("output_") == std::string::npos;
  return kind == ".onnx" || kind == ".tflite" || kind == ".h5" || kind == ".keras";
}

std::set<std::string> models_below(const fs::path& dir) {
  std::set<std::string> models;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    if (!entry.is_regular_file() || !is_model(entry.path())) continue;
    const bool is_folder = entry.path().filename() == "saved_model.pb";
    models.insert(fs::relative(is_folder ? entry.path().parent_path() : entry.path(), dir).string());
  }
  return models;
}

// What has no file name of a model, the Keras.js layers, is read by keras_layers_test.
TEST(TrainedModels, AreAllInTheList) {
  TREVILLE_NEED_MODELS(dir);
  std::set<std::string> listed;
  for (const Trained& trained : kTrained) listed.insert(trained.file);
  for (const Straight& straight : kStraight) listed.insert(straight.file);
  for (const Topology& topology : kTopologies) listed.insert(topology_file(topology));
  EXPECT_THAT(models_below(dir), ::testing::ElementsAreArray(listed)) << "a model without a row, or a row without one";
}

// --- Runs ------------------------------------------------------------------------------------------------------------

FloatTensor row(const FloatTensor& all, int64_t i) {
  Shape shape = all.shape;
  const int64_t elements = shape.elements() / shape[0];
  shape[0] = 1;
  const auto begin = all.values.begin() + i * elements;
  return {shape, std::vector<float>(begin, begin + elements)};
}

double largest_error(const FloatTensor& a, const FloatTensor& b) {
  CHECK(a.values.size() == b.values.size(), "{} and {} elements", a.values.size(), b.values.size());
  double largest = 0;
  for (size_t i = 0; i < a.values.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a.values[i]) - b.values[i]));
  return largest;
}

size_t label_of(const FloatTensor& scores) {
  return static_cast<size_t>(std::max_element(scores.values.begin(), scores.values.end()) - scores.values.begin());
}

// real turns the stored integers of an 8-bit tensor into what they stand for.
FloatTensor real(FloatTensor stored, const Value& value, double lowest) {
  if (!value.declared_range) return stored;
  const double step = (value.declared_range->high - value.declared_range->low) / 255;
  for (float& element : stored.values)
    element = static_cast<float>(value.declared_range->low + (element - lowest) * step);
  return stored;
}

// TrainedModel is a row with its graph, its inputs and the answers of the other runtime.
struct TrainedModel {
  Graph graph;
  std::vector<FloatTensor> inputs, answers;
  bool is_quantised = false;

  TrainedModel(const fs::path& dir, const Trained& trained) {
    const fs::path file = dir / trained.file;
    const fs::path folder = dir / fs::path(trained.file).begin()->string();
    ImportOptions options{.batch = 1};
    if (std::string_view(trained.name) == "Gru") options = {.input_shapes = {{"X", Shape{1, 784}}}};
    graph = import_model(file, options);
    infer_shapes(graph, 1);
    const FloatTensor given = read_npy(folder / trained.inputs), golden = read_npy(folder / trained.golden);
    const double lowest = std::string_view(trained.inputs).find("uint8") != std::string_view::npos ? 0 : -128;
    is_quantised = graph.value(graph.inputs[0]).declared_range.has_value();
    for (int64_t i = 0; i < given.shape[0]; ++i) {
      inputs.push_back(real(row(given, i), graph.value(graph.inputs[0]), lowest));
      answers.push_back(real(row(golden, i), graph.value(graph.outputs[0]), lowest));
    }
  }

  // largest answer, at least 1: what errors are shares of.
  double largest() const { return std::max(1.0, largest_magnitude(answers)); }

  // bound of the error in float: logits that differ by d change a probability by d / 2 at most; its own step comes on
  // top.
  double bound_in_float(const Trained& trained) const {
    if (!is_quantised) return trained.in_float * largest();
    const Node& softmax = graph.nodes.back();
    CHECK(softmax.op == "Softmax", "the model ends with {}", softmax.op);
    const auto step = [&](ValueId id) {
      const Interval range = *graph.value(id).declared_range;
      return (range.high - range.low) / 255;
    };
    return trained.in_float * step(softmax.inputs[0]) / 2 + step(graph.outputs[0]);
  }

  // bound of the error of fixed point, against float.
  double bound_in(Ring ring, const Trained& trained) const {
    return largest() * (ring == Ring::k32 ? trained.ring32 : std::max(kLeast, kRing64 * trained.ring32));
  }

  // compiled in a ring, calibrated on the first half of the inputs, or with the ranges that a quantised model brings.
  Compiled compiled(Ring ring) const {
    CompileOptions options;
    options.ring = ring;
    const auto half = static_cast<std::ptrdiff_t>((inputs.size() + 1) / 2);
    if (!is_quantised) options.calibration = {{inputs.begin(), inputs.begin() + half}};
    return compile(graph, options);
  }
};

class TrainedModels : public ::testing::TestWithParam<Trained> {
 protected:
  // expect_same: an answer within `bound` of what is expected, and the same prediction.
  static void expect_same(const FloatTensor& found, const FloatTensor& expected, double bound) {
    EXPECT_LE(largest_error(found, expected), bound);
    if (GetParam().answers == Answers::kClasses) {
      EXPECT_EQ(label_of(found), label_of(expected));
    }
  }
};

TEST_P(TrainedModels, PredictWhatAnotherRuntimePredicts) {
  TREVILLE_NEED_MODELS(dir);
  const TrainedModel model(dir, GetParam());
  double largest = 0;
  for (size_t i = 0; i < model.inputs.size(); ++i) {
    SCOPED_TRACE(fmt::format("input {}", i));
    const FloatTensor found = to_floats(float_run(model.graph, {model.inputs[i]})[0]);
    expect_same(found, model.answers[i], model.bound_in_float(GetParam()));
    largest = std::max(largest, largest_error(found, model.answers[i]));
  }
  std::cout << fmt::format("{} in float: largest error {:.2g} of {:.2g}\n", GetParam().name, largest,
                           model.bound_in_float(GetParam()));
}

TEST_P(TrainedModels, PredictTheSameInFixedPointInBothRings) {
  TREVILLE_NEED_MODELS(dir);
  const TrainedModel model(dir, GetParam());
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    const double bound = model.bound_in(ring, GetParam());
    const Compiled compiled = model.compiled(ring);
    double largest = 0;
    for (size_t i = 0; i < model.inputs.size(); ++i) {
      SCOPED_TRACE(fmt::format("ring {}, input {}", bits_of(ring), i));
      const FloatTensor expected = to_floats(float_run(model.graph, {model.inputs[i]})[0]);
      const FloatTensor found = revealed("clear", compiled, model.graph, model.inputs[i]);
      expect_same(found, expected, bound);
      largest = std::max(largest, largest_error(found, expected));
    }
    std::cout << fmt::format("{} in ring {}: largest error {:.2g} of {:.2g}\n", GetParam().name, bits_of(ring), largest,
                             bound);
  }
}

// The last input, which did not calibrate where there are several.
TEST_P(TrainedModels, PredictTheSameSecurely) {
  TREVILLE_NEED_MODELS(dir);
  const TrainedModel model(dir, GetParam());
  const FloatTensor& input = model.inputs.back();
  const FloatTensor found = revealed("porthos", model.compiled(Ring::k32), model.graph, input);
  expect_same(found, to_floats(float_run(model.graph, {input})[0]), model.bound_in(Ring::k32, GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Models, TrainedModels, ::testing::ValuesIn(kTrained),
                         [](const auto& test) { return std::string(test.param.name); });

// --- Straight lines --------------------------------------------------------------------------------------------------

class StraightModels : public ::testing::TestWithParam<Straight> {};

TEST_P(StraightModels, AreExactInFloatAndCloseInFixedPointAndSecure) {
  TREVILLE_NEED_MODELS(dir);
  const Straight& straight = GetParam();
  ImportOptions options{.batch = 1};
  if (straight.input[0] != 0) options = {.input_shapes = {{straight.input, Shape{1}}}};
  Graph graph = import_model(dir / straight.file, options);
  infer_shapes(graph, 1);
  const Shape shape = *graph.value(graph.inputs[0]).shape;
  CompileOptions compile_options;
  compile_options.calibration = {{FloatTensor(shape, {4.0F})}};
  const Compiled compiled = compile(graph, compile_options);
  for (const float x : {-6.0F, -1.5F, 0.0F, 0.25F, 4.0F}) {
    const FloatTensor input(shape, {x});
    const float expected = static_cast<float>(straight.slope) * x + static_cast<float>(straight.offset);
    EXPECT_FLOAT_EQ(to_floats(float_run(graph, {input})[0]).values.at(0), expected) << x;
    for (const char* protocol : {"clear", "porthos"})  // an input that is not truncated has 20 bits or more
      EXPECT_NEAR(revealed(protocol, compiled, graph, input).values.at(0), expected, 1e-3) << x;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, StraightModels, ::testing::ValuesIn(kStraight),
                         [](const auto& test) { return std::string(test.param.name); });

// --- Topologies ------------------------------------------------------------------------------------------------------

// spread_weights divides the weights of every layer by the number of products that it sums: with weights that are all
// one constant, values would otherwise grow by that number in every layer, beyond any ring.
void spread_weights(Graph& graph) {
  std::set<size_t> done;
  for (const Node& node : graph.nodes) {
    if (node.op != "Conv" && node.op != "MatMul") continue;
    if (!graph.constant(node.inputs[1]) || !done.insert(index_of(node.inputs[1])).second) continue;
    auto& weight = std::get<FloatTensor>(*graph.value(node.inputs[1]).constant);
    const int64_t outputs = node.op == "Conv" ? weight.shape[0] : weight.shape[weight.shape.rank() - 1];
    const auto summed = static_cast<float>(weight.shape.elements() / outputs);
    for (float& value : weight.values) value /= summed * 0.02F;
  }
}

class Topologies : public ::testing::TestWithParam<Topology> {};

TEST_P(Topologies, AreImportedAndPlanned) {
  TREVILLE_NEED_MODELS(dir);
  Graph graph = import_model(dir / topology_file(GetParam()));
  infer_shapes(graph, 1);
  fold_constants(graph);
  EXPECT_EQ(graph.parameters(), GetParam().parameters);
  const FloatTensor golden = read_npy(dir / fmt::format("onnx-light-models/light_{}_golden.npy", GetParam().name));
  EXPECT_EQ(*graph.value(graph.outputs[0]).shape, golden.shape);
  spread_weights(graph);
  CompileOptions options;
  options.ring = Ring::k64;  // values of made-up weights become small
  options.calibration = {{read_npy(dir / "onnx-light-models/in_1x3x224x224.npy")}};
  const CostReport cost = dry_cost("porthos", compile(std::move(graph), options).program);
  EXPECT_GT(cost.bytes(Phase::kOnline), 0);
}

INSTANTIATE_TEST_SUITE_P(Models, Topologies, ::testing::ValuesIn(kTopologies),
                         [](const auto& test) { return std::string(test.param.name); });

// --- Formats of one network ------------------------------------------------------------------------------------------

struct Pair {
  friend void PrintTo(const Pair& pair, std::ostream* stream) { *stream << pair.first; }
  const char *first, *second;  // names of kTrained
};

class OneNetwork : public ::testing::TestWithParam<Pair> {
 protected:
  static const Trained& trained(std::string_view name) {
    return *std::find_if(kTrained.begin(), kTrained.end(), [&](const Trained& each) { return each.name == name; });
  }
};

TEST_P(OneNetwork, CostsTheSameInBothFormatsAndAgrees) {
  TREVILLE_NEED_MODELS(dir);
  const Trained &first = trained(GetParam().first), &second = trained(GetParam().second);
  const TrainedModel one(dir, first), other(dir, second);
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    SCOPED_TRACE(fmt::format("ring {}", bits_of(ring)));
    const Compiled a = one.compiled(ring), b = other.compiled(ring);
    const CostReport cost_a = dry_cost("porthos", a.program), cost_b = dry_cost("porthos", b.program);
    for (const Phase phase : {Phase::kSetup, Phase::kOffline, Phase::kOnline})
      EXPECT_EQ(cost_a.bytes(phase), cost_b.bytes(phase)) << name_of(phase);
    EXPECT_EQ(cost_a.rounds.by_phase, cost_b.rounds.by_phase);
    EXPECT_EQ(cost_a.macs, cost_b.macs);
    const FloatTensor x = revealed("clear", a, one.graph, one.inputs.back());
    const FloatTensor y = revealed("clear", b, other.graph, other.inputs.back());
    EXPECT_LE(largest_error(x, y), one.bound_in(ring, first));
    EXPECT_EQ(label_of(x), label_of(y));
  }
}

// The quantised files and the keywords are not among these: their weights differ from format to format, and so do the
// widths of what is computed from them.
INSTANTIATE_TEST_SUITE_P(Models, OneNetwork,
                         ::testing::Values(Pair{"SqueezeNetGraphDef", "SqueezeNetOnnx"},
                                           Pair{"ResNet8Keras", "ResNet8Float"},
                                           Pair{"WakeWordsKeras", "WakeWordsFloat"},
                                           Pair{"Mnist8", "Mnist8Simplified"}),
                         [](const auto& test) { return std::string(test.param.first); });

}  // namespace
}  // namespace treville::testing
