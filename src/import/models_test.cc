// Imports of models that others trained or published: counts of operations, shapes and names, and what is unsupported.
#include "test/models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "import/import.h"

namespace treville {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::map<std::string, int> count_ops(const Graph& graph) {
  std::map<std::string, int> counts;
  for (const Node& node : graph.nodes) ++counts[node.op];
  return counts;
}

std::vector<std::string> names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> result;
  for (ValueId id : ids) result.push_back(graph.value(id).name);
  return result;
}

std::map<std::string, int> count_unsupported(const ImportResult& result) {
  std::map<std::string, int> counts;
  for (const UnsupportedNode& node : result.unsupported) ++counts[node.origin];
  return counts;
}

const Node& find(const Graph& graph, const std::string& name) {
  const auto found =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.name == name; });
  CHECK(found != graph.nodes.end(), "the graph has no node {}", name);
  return *found;
}

TEST(RealModels, SqueezeNetFromTensorFlow) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / "squeezenet-v1.0-imagenet" / "squeezenet_v1.0_frozen.pb");
  const auto ops = count_ops(graph);
  EXPECT_EQ(ops.at("Conv"), 26);
  EXPECT_EQ(ops.at("Relu"), 26);
  EXPECT_EQ(ops.at("Add"), 26);
  EXPECT_EQ(ops.at("Concat"), 8);
  EXPECT_EQ(ops.at("MaxPool"), 3);
  EXPECT_EQ(ops.at("ReduceMean"), 1);
  EXPECT_EQ(graph.format, "tensorflow-graphdef");
  EXPECT_EQ(graph.value(graph.inputs.at(0)).shape, (Shape{-1, 227, 227, 3}));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("softmax"));
  EXPECT_EQ(graph.parameters(), 1248424);
}

TEST(RealModels, SqueezeNetFromOnnxHasTheSameParameters) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / "squeezenet-v1.0-imagenet" / "squeezenet_v1.0.onnx",
                                   {.batch = 2, .input_shapes = {}, .outputs = {}});
  EXPECT_EQ(count_ops(graph).at("Conv"), 26);
  EXPECT_EQ(graph.value(graph.inputs.at(0)).shape, (Shape{2, 3, 227, 227}));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("prob"));
  EXPECT_EQ(graph.parameters(), 1248424);
}

TEST(RealModels, ResNet20KeepsItsShapeSubGraph) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / "resnet20-cifar10" / "resnet20.onnx");
  const auto ops = count_ops(graph);
  EXPECT_EQ(ops.at("Conv"), 19);
  EXPECT_EQ(ops.at("Slice"), 6);
  EXPECT_EQ(ops.at("Pad"), 3);
  EXPECT_EQ(ops.at("ConstantOfShape"), 2);
  EXPECT_EQ(ops.at("Shape"), 1);
  EXPECT_EQ(ops.at("MatMul"), 1);
  EXPECT_THAT(names(graph, graph.inputs), ElementsAre("input"));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("logits"));
}

TEST(RealModels, OnnxMnist8TreatsRepeatedInitialisersAsWeights) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / "onnx-mnist-8" / "model.onnx");
  EXPECT_THAT(names(graph, graph.inputs), ElementsAre("Input3"));
  EXPECT_EQ(graph.value(graph.inputs.at(0)).shape, (Shape{1, 1, 28, 28}));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("Plus214_Output_0"));
  EXPECT_EQ(find(graph, "Convolution28").get_string("auto_pad", ""), "same_upper");
  EXPECT_EQ(count_ops(graph).at("Reshape"), 2);
  EXPECT_EQ(count_ops(import_model(dir / "onnx-mnist-8" / "opt-mnist.onnx")).at("Conv"), 2);
}

TEST(RealModels, TfEncryptedMnist) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / "tf-encrypted-mnist" / "mnist_model.pb");
  const auto ops = count_ops(graph);
  EXPECT_EQ(ops.at("Conv"), 2);
  EXPECT_EQ(ops.at("AveragePool"), 2);
  EXPECT_EQ(ops.at("MatMul"), 2);
  EXPECT_EQ(graph.value(graph.inputs.at(0)).shape, (Shape{-1, 784}));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("fc2/add"));
}

TEST(RealModels, SigmoidIsOneOperation) {
  TREVILLE_NEED_MODELS(dir);
  EXPECT_EQ(count_ops(import_model(dir / "tf-encrypted-mnist" / "2lfc.pb")).at("Sigmoid"), 2);
}

TEST(RealModels, TfCifarCnn) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / "tf-cifar-cnn-mlnet" / "cifar_model" / "frozen_model.pb");
  EXPECT_EQ(count_ops(graph).at("Conv"), 1);
  EXPECT_THAT(names(graph, graph.inputs), ElementsAre("Input"));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("Output"));
}

TEST(RealModels, FullyConnectedAndScalarGraphsOfTensorFlow1) {
  TREVILLE_NEED_MODELS(dir);
  const Graph layers = import_model(dir / "tf2onnx-test-frozen" / "fc-layers" / "frozen.pb");
  EXPECT_EQ(count_ops(layers).at("MatMul"), 3);
  EXPECT_THAT(names(layers, layers.outputs), ElementsAre("output"));
  const Graph line = import_model(dir / "tf2onnx-test-frozen" / "graphdef" / "frozen.pb",
                                  {.batch = {}, .input_shapes = {{"X", Shape{1}}}, .outputs = {}});
  EXPECT_EQ(line.value(line.inputs.at(0)).shape, (Shape{1}));
}

TEST(RealModels, RecurrentModelsImportStepByStep) {
  TREVILLE_NEED_MODELS(dir);
  const ImportResult result = inspect_model(dir / "tf2onnx-test-frozen" / "lstm" / "frozen.pb");
  // The dropout is recognised: no random numbers, and keep_prob is no input.
  EXPECT_THAT(names(result.graph, result.graph.inputs), ElementsAre("X"));
  EXPECT_TRUE(result.unsupported.empty());
  const auto ops = count_ops(result.graph);
  EXPECT_EQ(ops.at("Sigmoid"), 84);
  EXPECT_EQ(ops.at("Tanh"), 56);
  EXPECT_EQ(ops.at("Part"), 4 * 28);
}

struct Lite {
  const char* name;
  const char* file;
  int convolutions, activations, parameters;
  bool declares_ranges;
};

class LiteModels : public ::testing::TestWithParam<Lite> {};

TEST_P(LiteModels, ImportWithTheirLayersParametersAndRanges) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / GetParam().file);
  auto ops = count_ops(graph);
  EXPECT_EQ(ops["Conv"], GetParam().convolutions);
  EXPECT_EQ(ops["Relu"] + ops["Clip"], GetParam().activations);
  EXPECT_EQ(graph.parameters(), GetParam().parameters);
  EXPECT_EQ(graph.value(graph.inputs.at(0)).declared_range.has_value(), GetParam().declares_ranges);
  EXPECT_EQ(graph.value(graph.inputs.at(0)).dtype, DType::kFloat);
}

// The quantised MobileNet has no fused activations: all 27 are found in its ranges.
INSTANTIATE_TEST_SUITE_P(
    Lite, LiteModels,
    ::testing::Values(
        Lite{"MobileNetFloat", "mobilenet-v1-025-224-imagenet/mobilenet_v1_0.25_224_1_default_1.tflite", 28, 27, 467593,
             false},
        Lite{"MobileNetUint8", "mobilenet-v1-025-224-imagenet/mobilenet_v1_0.25_224_quant.tflite", 28, 27, 467593,
             true},
        Lite{"ResNet8Float", "mlperf-tiny-resnet8-cifar10/pretrainedResnet.tflite", 9, 7, 77706, false},
        Lite{"ResNet8Int8", "mlperf-tiny-resnet8-cifar10/pretrainedResnet_quant.tflite", 9, 7, 77706, true},
        Lite{"WakeWordsFloat", "mlperf-tiny-vww-mobilenetv1-025-96/vww_96_float.tflite", 27, 27, 210850, false},
        Lite{"WakeWordsInt8", "mlperf-tiny-vww-mobilenetv1-025-96/vww_96_int8.tflite", 27, 27, 210850, true},
        Lite{"KeywordsFloat", "mlperf-tiny-kws-dscnn/kws_ref_model_float32.tflite", 9, 9, 22604, false},
        Lite{"KeywordsInt8", "mlperf-tiny-kws-dscnn/kws_ref_model.tflite", 9, 9, 22604, true}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(RealModels, ResNet8FromKeras) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / "mlperf-tiny-resnet8-cifar10" / "pretrainedResnet.h5");
  const auto ops = count_ops(graph);
  EXPECT_EQ(ops.at("Conv"), 9);
  EXPECT_EQ(ops.at("BatchNorm"), 7);
  EXPECT_EQ(ops.at("AveragePool"), 1);
  EXPECT_EQ(graph.format, "keras-h5");
  EXPECT_EQ(graph.value(graph.inputs.at(0)).shape, (Shape{-1, 32, 32, 3}));
  EXPECT_EQ(graph.parameters(), 78666);
}

TEST(RealModels, MnistFromAKerasArchive) {
  TREVILLE_NEED_MODELS(dir);
  const Graph graph = import_model(dir / "keras-v3-mnist-cnn" / "model.keras");
  EXPECT_EQ(count_ops(graph).at("Conv"), 2);
  EXPECT_THAT(names(graph, graph.inputs), ElementsAre("input_layer"));
  EXPECT_THAT(names(graph, graph.outputs), ElementsAre("dense_1"));
  EXPECT_EQ(graph.parameters(), 225034);
}

struct Light {
  const char* file;
  int convolutions;
  std::map<std::string, int> unsupported;
};

class LightModels : public ::testing::TestWithParam<Light> {};

TEST_P(LightModels, ImportWithTheirConvolutionsAndUnsupportedNodes) {
  TREVILLE_NEED_MODELS(dir);
  const ImportResult result = inspect_model(dir / "onnx-light-models" / (std::string(GetParam().file) + ".onnx"));
  EXPECT_EQ(count_ops(result.graph).at("Conv"), GetParam().convolutions);
  EXPECT_EQ(count_unsupported(result), GetParam().unsupported);
  EXPECT_EQ(result.graph.inputs.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Onnx, LightModels,
                         ::testing::Values(Light{"light_bvlc_alexnet", 5, {}}, Light{"light_densenet121", 121, {}},
                                           Light{"light_inception_v1", 57, {}}, Light{"light_inception_v2", 69, {}},
                                           Light{"light_resnet50", 53, {}}, Light{"light_shufflenet", 49, {}},
                                           Light{"light_squeezenet", 26, {}}, Light{"light_vgg19", 16, {}},
                                           Light{"light_zfnet512", 5, {}}),
                         [](const auto& test) { return std::string(test.param.file); });

TEST(ExampleModels, DigitsImportAlikeFromBothFormats) {
  const std::filesystem::path dir = std::filesystem::path(TREVILLE_SOURCE_DIR) / "examples" / "digits";
  const Graph onnx = import_model(dir / "digits.onnx"), tensorflow = import_model(dir / "digits.pb");
  // The ONNX file has its batch normalisation of 16 channels folded into a bias.
  EXPECT_EQ(tensorflow.parameters() - onnx.parameters(), 4 * 16 - 16);
  EXPECT_EQ(count_ops(onnx).at("Conv"), count_ops(tensorflow).at("Conv"));
  EXPECT_EQ(onnx.inputs.size(), 1u);
  EXPECT_EQ(tensorflow.inputs.size(), 1u);
}

// The node tests of ONNX: one small model an operation.
TEST(OnnxNodeTests, ImportOrRefuseWithoutACrash) {
  const std::filesystem::path dir = "/usr/share/libonnx-testdata/data/node";
  if (!std::filesystem::is_directory(dir)) GTEST_SKIP() << "no " << dir << ": install libonnx-testdata";
  int imported = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const auto path = entry.path() / "model.onnx";
    if (!std::filesystem::exists(path)) continue;
    try {
      import_model(path);
      ++imported;
    } catch (const UserError&) {
      ++refused;
    }
  }
  RecordProperty("imported", imported);
  EXPECT_GT(imported, 100);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace treville
