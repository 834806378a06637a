// The configuration of a Keras model becomes a graph: topology, names and weights, in the spellings of Keras 2 and 3.
#include "import/keras_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "import/keras_json.h"
#include "import/test_support.h"

namespace treville::import {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Named = std::vector<std::pair<std::string, Constant>>;

FloatTensor tensor(Shape shape, float value = 0.5F) {
  FloatTensor result(std::move(shape));
  std::fill(result.values.begin(), result.values.end(), value);
  return result;
}

ImportResult import_text(const std::string& text, const Named& weights = {}, const std::string& version = "2.15.0",
                         const ImportOptions& options = {}) {
  return import_keras_config(text, version, "keras", NamedWeights(weights), "model.keras", options);
}

std::string error_of(const std::string& text, const Named& weights = {}) {
  return user_error([&] { import_text(text, weights); });
}

std::vector<std::string> ops_of(const Graph& graph) {
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.op);
  return ops;
}

std::string sequential(const std::string& layers) {
  return R"({"class_name":"Sequential","config":{"name":"s","layers":[)" + layers + "]}}";
}

const char* kInput4 = R"({"class_name":"InputLayer","config":{"batch_input_shape":[null,4],"name":"in"}})";

Named dense_weights(const std::string& name, int64_t in, int64_t out) {
  return {{name + "/kernel:0", tensor(Shape{in, out})}, {name + "/bias:0", tensor(Shape{out})}};
}

TEST(KerasModel, ASequentialModelIsAChain) {
  const auto result =
      import_text(sequential(std::string(kInput4) +
                             R"(,{"class_name":"Dense","config":{"name":"d","units":3,"activation":"relu"}})"),
                  dense_weights("d", 4, 3));
  const Graph& graph = result.graph;
  EXPECT_THAT(ops_of(graph), ElementsAre("MatMul", "Add", "Relu"));
  EXPECT_THAT(names_of(graph, graph.inputs), ElementsAre("in"));
  EXPECT_EQ(graph.value(graph.inputs[0]).shape, (Shape{-1, 4}));
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("d"));
  EXPECT_EQ(graph.parameters(), 15);
  EXPECT_TRUE(result.unsupported.empty());
}

TEST(KerasModel, TheFirstLayerSaysTheShapeWhereThereIsNoInputLayer) {
  const auto result =
      import_text(sequential(R"({"class_name":"Flatten","config":{"name":"f","batch_input_shape":[2,3,5]}})"));
  EXPECT_THAT(names_of(result.graph, result.graph.inputs), ElementsAre("f_input"));
  EXPECT_EQ(result.graph.value(result.graph.inputs[0]).shape, (Shape{2, 3, 5}));
}

TEST(KerasModel, AModelWithoutAShapeAsksForIt) {
  EXPECT_THAT(error_of(sequential(R"({"class_name":"Flatten","config":{"name":"f"}})")),
              HasSubstr("does not say the shape of its input \"f_input\""));
}

TEST(KerasModel, AListOfLayersIsAnOldSequentialModel) {
  const auto result = import_text(
      R"({"class_name":"Sequential","config":[{"class_name":"Flatten","config":{"name":"f","batch_input_shape":[null,3]}}]})");
  EXPECT_THAT(ops_of(result.graph), ElementsAre("Flatten"));
}

// Two inputs, a layer that is called twice, two outputs; in the spelling of Keras 2.
TEST(KerasModel, AFunctionalModelOfKeras2SharesLayers) {
  const std::string text = R"({"class_name":"Functional","config":{"name":"m","layers":[
    {"class_name":"InputLayer","name":"a","config":{"batch_input_shape":[null,4],"name":"a"},"inbound_nodes":[]},
    {"class_name":"InputLayer","name":"b","config":{"batch_input_shape":[null,4],"name":"b"},"inbound_nodes":[]},
    {"class_name":"Dense","name":"d","config":{"name":"d","units":2},"inbound_nodes":[[["a",0,0,{}]],[["b",0,0,{}]]]},
    {"class_name":"Add","name":"sum","config":{"name":"sum"},"inbound_nodes":[[["d",0,0,{}],["d",1,0,{}]]]}],
    "input_layers":[["b",0,0],["a",0,0]],"output_layers":[["sum",0,0],["d",1,0]]}})";
  const Graph graph = import_text(text, dense_weights("d", 4, 2)).graph;
  EXPECT_THAT(names_of(graph, graph.inputs), ElementsAre("b", "a"));
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("sum", "d"));
  EXPECT_THAT(ops_of(graph), ElementsAre("MatMul", "Add", "MatMul", "Add", "Add"));
  EXPECT_EQ(graph.parameters(), 10) << "shared weights are stored once";
}

TEST(KerasModel, AFunctionalModelOfKeras3) {
  const auto ref = [](const std::string& layer) {
    return R"({"class_name":"__keras_tensor__","config":{"shape":[null,4],"dtype":"float32","keras_history":[")" +
           layer + R"(",0,0]}})";
  };
  const std::string text =
      R"({"module":"keras.src.models.functional","class_name":"Functional","config":{"name":"m","layers":[
    {"module":"keras.layers","class_name":"InputLayer","name":"a","config":{"batch_shape":[null,4],"name":"a"},"inbound_nodes":[]},
    {"module":"keras.layers","class_name":"ReLU","name":"r","config":{"name":"r","max_value":6.0},"inbound_nodes":[{"args":[)" +
      ref("a") + R"(],"kwargs":{}}]},
    {"module":"keras.src.ops.numpy","class_name":"Multiply","name":"m","config":{"name":"m"},"inbound_nodes":[{"args":[)" +
      ref("r") + R"(,0.5],"kwargs":{}}]},
    {"module":"keras.layers","class_name":"Concatenate","name":"c","config":{"name":"c","axis":-1},"inbound_nodes":[{"args":[[)" +
      ref("m") + "," + ref("a") + R"(]],"kwargs":{}}]}],
    "input_layers":["a",0,0],"output_layers":["c",0,0]}})";
  const Graph graph = import_text(text, {}, "3.3.0").graph;
  EXPECT_THAT(ops_of(graph), ElementsAre("Clip", "Mul", "Concat"));
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("c"));
  EXPECT_EQ(graph.nodes[0].get_float("max", 0), 6);
}

TEST(KerasModel, AModelInsideAModelKeepsItsWeightsAndItsOwnFirstCall) {
  const std::string inner = R"({"class_name":"Sequential","name":"body","config":{"name":"body","layers":[)" +
                            std::string(kInput4) + R"(,{"class_name":"Dense","config":{"name":"d","units":4}}]},)";
  // Keras counts the call with which the inner model was built: references begin at 1.
  const std::string text = R"({"class_name":"Functional","config":{"name":"m","layers":[
    {"class_name":"InputLayer","name":"x","config":{"batch_input_shape":[null,4],"name":"x"},"inbound_nodes":[]},)" +
                           inner + R"("inbound_nodes":[[["x",0,0,{}]],[["body",1,0,{}]]]}],
    "input_layers":[["x",0,0]],"output_layers":[["body",2,0]]}})";
  const Graph graph = import_text(text, dense_weights("d", 4, 4)).graph;
  EXPECT_THAT(ops_of(graph), ElementsAre("MatMul", "Add", "MatMul", "Add"));
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("body"));
  EXPECT_EQ(graph.nodes[1].name, "body/d");
  EXPECT_EQ(graph.parameters(), 20);
}

TEST(KerasModel, FunctionsOfTensorFlowAreLayers) {
  const std::string text = R"({"class_name":"Functional","config":{"name":"m","layers":[
    {"class_name":"InputLayer","name":"x","config":{"batch_input_shape":[null,4],"name":"x"},"inbound_nodes":[]},
    {"class_name":"TFOpLambda","name":"tf.math.multiply","config":{"name":"tf.math.multiply","function":"math.multiply"},
     "inbound_nodes":[["x",0,0,{"y":0.25,"name":null}]]},
    {"class_name":"TFOpLambda","name":"tf.math.subtract","config":{"name":"tf.math.subtract","function":"math.subtract"},
     "inbound_nodes":[["tf.math.multiply",0,0,{"y":["x",0,0],"name":null}]]},
    {"class_name":"TFOpLambda","name":"f","config":{"name":"f","function":"signal.fft"},
     "inbound_nodes":[["tf.math.subtract",0,0,{}]]}],
    "input_layers":[["x",0,0]],"output_layers":[["f",0,0]]}})";
  const ImportResult result = import_text(text);
  ASSERT_EQ(result.unsupported.size(), 1u);
  EXPECT_THAT(result.unsupported[0].reason, HasSubstr("the function \"signal.fft\" is not supported"));
  EXPECT_THAT(ops_of(result.graph), ElementsAre("Mul", "Sub", "Unsupported:TFOpLambda"));
  EXPECT_THAT(floats_of(result.graph, result.graph.nodes[0].inputs[1]), ElementsAre(0.25F));
}

TEST(KerasModel, WhatIsNotSupportedIsListedAtOnce) {
  const ImportResult result = import_text(sequential(
      std::string(kInput4) + R"(,{"class_name":"Embedding","config":{"name":"e","input_dim":9,"output_dim":2}},
      {"class_name":"Lambda","config":{"name":"l"}},{"class_name":"MyLayer","config":{"name":"my"}},
      {"class_name":"Flatten","config":{"name":"f"}},
      {"class_name":"Activation","config":{"name":"a","activation":"sparsemax"}})"));
  std::vector<std::string> names;
  for (const UnsupportedNode& node : result.unsupported) names.push_back(node.name);
  EXPECT_THAT(names, ElementsAre("e", "l", "my", "a"));
  EXPECT_THAT(result.unsupported[0].reason, HasSubstr("Look the vectors up before the model"));
  EXPECT_THAT(result.unsupported[1].reason, HasSubstr("Python code"));
}

TEST(KerasModel, EarlierLayersCanBeTheOutputs) {
  ImportOptions options;
  options.outputs = {"d"};
  options.batch = 7;
  const std::string text = sequential(std::string(kInput4) + R"(,{"class_name":"Dense","config":{"name":"d","units":3}},
                 {"class_name":"Lambda","config":{"name":"l"}})");
  const ImportResult result = import_text(text, dense_weights("d", 4, 3), "2.15.0", options);
  EXPECT_TRUE(result.unsupported.empty());
  EXPECT_EQ(result.graph.value(result.graph.inputs[0]).shape, (Shape{7, 4}));
  options.outputs = {"e"};
  EXPECT_THAT(user_error([&] { import_text(text, dense_weights("d", 4, 3), "2.15.0", options); }),
              HasSubstr("the model has no layer \"e\" to compute"));
}

TEST(KerasModel, BatchNormalisationWithoutScaleOrCentre) {
  const auto result = import_text(
      sequential(
          std::string(kInput4) +
          R"(,{"class_name":"BatchNormalization","config":{"name":"n","axis":[1],"epsilon":0.01,"scale":false}})"),
      {{"n/beta", tensor(Shape{4})}, {"n/moving_mean", tensor(Shape{4})}, {"n/moving_variance", tensor(Shape{4}, 2)}});
  const Node& norm = result.graph.nodes.at(0);
  EXPECT_EQ(norm.op, "BatchNorm");
  EXPECT_EQ(norm.get_float("epsilon", 0), 0.01);
  EXPECT_THAT(floats_of(result.graph, norm.inputs[1]), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(floats_of(result.graph, norm.inputs[4]), ElementsAre(2, 2, 2, 2));
}

TEST(KerasModel, HardSigmoidIsThatOfTheVersion) {
  const std::string text = sequential(
      std::string(kInput4) + R"(,{"class_name":"Activation","config":{"name":"a","activation":"hard_sigmoid"}})");
  EXPECT_EQ(import_text(text, {}, "2.15.0").graph.nodes.at(0).get_float("alpha", 0), 0.2);
  EXPECT_EQ(import_text(text, {}, "3.3.3").graph.nodes.at(0).get_float("alpha", 0), 1.0 / 6);
}

TEST(KerasModel, WeightsThatAreMissingOrOfAnotherShapeAreNamed) {
  const std::string text =
      sequential(std::string(kInput4) + R"(,{"class_name":"Dense","config":{"name":"d","units":3}})");
  EXPECT_THAT(error_of(text),
              HasSubstr("node \"d\" (Dense): expected 2 weights (kernel, bias), the file has 0 for it"));
  EXPECT_THAT(error_of(text, dense_weights("d", 4, 2)), HasSubstr("its kernel has shape [4,2], expected [-1,3]"));
  Named infinite = dense_weights("d", 4, 3);
  std::get<FloatTensor>(infinite[0].second).values[5] = INFINITY;
  EXPECT_THAT(error_of(text, infinite), HasSubstr("hold NaN or infinite values"));
}

TEST(KerasModel, DamagedConfigurationsGiveOneClearError) {
  EXPECT_THAT(error_of("{"), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(std::string(200, '[') + std::string(200, ']')), HasSubstr("nests more than 100 deep"));
  EXPECT_THAT(error_of("[]"), HasSubstr("not a Keras model"));
  EXPECT_THAT(error_of(R"({"class_name":"MyModel","config":{}})"), HasSubstr("a class of its own (MyModel)"));
  EXPECT_THAT(error_of(sequential("")), HasSubstr("has no layers"));
  EXPECT_THAT(error_of(sequential(std::string(kInput4) + "," + kInput4)), HasSubstr("two layers are named \"in\""));
  EXPECT_THAT(
      error_of(sequential(std::string(kInput4) + R"(,{"class_name":"Dense","config":{"name":"d","units":"many"}})"),
               dense_weights("d", 4, 3)),
      HasSubstr("its units must be whole numbers"));
  const std::string loop = R"({"class_name":"Functional","config":{"name":"m","layers":[
    {"class_name":"ReLU","name":"p","config":{},"inbound_nodes":[[["q",0,0,{}]]]},
    {"class_name":"ReLU","name":"q","config":{},"inbound_nodes":[[["p",0,0,{}]]]}],
    "input_layers":[],"output_layers":[["q",0,0]]}})";
  EXPECT_THAT(error_of(loop), HasSubstr("reads its own result"));
  const std::string absent = R"({"class_name":"Functional","config":{"name":"m","layers":[
    {"class_name":"ReLU","name":"p","config":{},"inbound_nodes":[[["z",0,0,{}]]]}],
    "input_layers":[],"output_layers":[["p",0,0]]}})";
  EXPECT_THAT(error_of(absent), HasSubstr("reads what the model does not have"));
}

TEST(KerasModel, ModelsInsideModelsCannotGrowWithoutBound) {
  // Each model calls the one inside it twice: 2^24 layers from a small file.
  std::string inner = R"({"class_name":"Dropout","name":"l","config":{"name":"l"},)";
  for (int depth = 0; depth < 24; ++depth) {
    inner = R"({"class_name":"Functional","name":"l","config":{"name":"l","layers":[
      {"class_name":"InputLayer","name":"x","config":{"batch_input_shape":[null,4]},"inbound_nodes":[]},)" +
            inner + R"("inbound_nodes":[[["x",0,0,{}]],[["l",0,0,{}]]]}],
      "input_layers":[["x",0,0]],"output_layers":[["l",)" +
            (depth == 0 ? "1" : "2") + R"(,0]]},)";
  }
  inner.back() = '}';
  EXPECT_THAT(error_of(inner), HasSubstr("too many"));
}

TEST(KerasModel, SnakeCaseIsThatOfKeras) {
  EXPECT_EQ(snake_case("Conv2D"), "conv2d");
  EXPECT_EQ(snake_case("MaxPooling2D"), "max_pooling2d");
  EXPECT_EQ(snake_case("Conv2DTranspose"), "conv2d_transpose");
  EXPECT_EQ(snake_case("GlobalAveragePooling2D"), "global_average_pooling2d");
  EXPECT_EQ(snake_case("PReLU"), "p_re_lu");
  EXPECT_EQ(snake_case("LSTM"), "lstm");
}

// The shard's bytes stand in the manifest's order, which is not that of the names.
TEST(TfjsLayers, ReadTheirShardsInTheManifestsOrder) {
  const std::string layers = std::string(kInput4) + R"(,{"class_name":"Dense","config":{"name":"d","units":1}})";
  const std::string model = R"({"format":"layers-model","modelTopology":{"keras_version":"2.4.0","model_config":)" +
                            sequential(layers) + R"(},"weightsManifest":[{"paths":["s.bin"],"weights":[
    {"name":"d/kernel","shape":[4,1],"dtype":"float32"},{"name":"d/bias","shape":[1],"dtype":"float32"}]}]})";
  const float values[] = {1, 2, 3, 4, 5};
  const std::string shard(reinterpret_cast<const char*>(values), sizeof(values));
  const TempFolder folder({{"model.json", model}, {"s.bin", shard}});
  const Graph graph = import_model(folder.path() / "model.json");
  EXPECT_EQ(graph.format, "tfjs-layers");
  EXPECT_THAT(floats_of(graph, graph.nodes.at(0).inputs[1]), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(floats_of(graph, graph.nodes.at(1).inputs[1]), ElementsAre(5));
  std::filesystem::remove(folder.path() / "s.bin");
  EXPECT_THAT(user_error([&] { import_model(folder.path() / "model.json"); }), HasSubstr("s.bin"));
}

TEST(TfjsLayers, AConfigurationAloneIsRefused) {
  const TempFile file(".json", sequential(kInput4));
  EXPECT_THAT(user_error([&] { import_model(file.path()); }), HasSubstr("configuration without weights"));
}

// A configuration written by hand shows every damaged place; the error is always of the user.
TEST(KerasModel, AnyPartOfAConfigurationMayBeMissing) {
  const std::string text = R"({"class_name":"Functional","config":{"name":"m","layers":[
    {"class_name":"InputLayer","name":"a","config":{"batch_input_shape":[null,4],"name":"a"},"inbound_nodes":[]},
    {"class_name":"Dense","name":"d","config":{"name":"d","units":2},"inbound_nodes":[[["a",0,0,{}]],[["a",0,0,{}]]]},
    {"class_name":"Add","name":"sum","config":{"name":"sum"},"inbound_nodes":[[["d",0,0,{}],["d",1,0,{}]]]}],
    "input_layers":[["a",0,0]],"output_layers":[["sum",0,0],["d",1,0]]}})";
  int errors = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    for (const char replacement : {'9', '"', ' ', '-'}) {
      std::string damaged = text;
      damaged[at] = replacement;
      errors += error_of(damaged, dense_weights("d", 4, 2)) != "no error";
    }
  }
  EXPECT_GT(errors, 500);
}

}  // namespace
}  // namespace treville::import
