// Hand-built frozen graphs, one for each trap of TensorFlow's format.
#include "import/tensorflow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "import/test_support.h"

namespace treville::import {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tf_format::AttrValue;
using tf_format::GraphDef;
using tf_format::NodeDef;
using tf_format::TensorProto;

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();

void set_dims(tf_format::TensorShapeProto& shape, const Ints& dims) {
  for (int64_t dim : dims) shape.add_dim()->set_size(dim);
}

AttrValue& attribute(NodeDef& node, const std::string& key) { return (*node.mutable_attr())[key]; }

void set_ints(NodeDef& node, const std::string& key, const Ints& values) {
  auto& list = *attribute(node, key).mutable_list();
  for (int64_t value : values) list.add_i(value);
}

// Builder writes a graph with the placeholder "x"; the last node is named "n".
class Builder {
 public:
  Builder() {
    graph_.mutable_versions()->set_producer(27);
    NodeDef& x = node("Placeholder", {}, "x");
    attribute(x, "dtype").set_type(tf_format::DT_FLOAT);
    set_dims(*attribute(x, "shape").mutable_shape(), {-1, 8, 8, 3});
  }

  GraphDef& proto() { return graph_; }

  NodeDef& node(const std::string& op, const std::vector<std::string>& inputs, const std::string& name = "n") {
    NodeDef& added = *graph_.add_node();
    added.set_op(op);
    added.set_name(name);
    for (const std::string& input : inputs) added.add_input(input);
    return added;
  }

  TensorProto& tensor(const std::string& name, int type, const Ints& dims) {
    NodeDef& added = node("Const", {}, name);
    attribute(added, "dtype").set_type(type);
    TensorProto& value = *attribute(added, "value").mutable_tensor();
    value.set_dtype(type);
    set_dims(*value.mutable_tensor_shape(), dims);
    return value;
  }
  // A constant as TensorFlow's optimiser writes it: one value stands for all.
  void filled(const std::string& name, const Ints& dims, float value) {
    tensor(name, tf_format::DT_FLOAT, dims).add_float_val(value);
  }
  void ints(const std::string& name, const std::vector<int32_t>& values) {
    TensorProto& added = tensor(name, tf_format::DT_INT32, {static_cast<int64_t>(values.size())});
    added.set_tensor_content(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int32_t));
  }
  void number(const std::string& name, int32_t value) { tensor(name, tf_format::DT_INT32, {}).add_int_val(value); }

  ImportResult inspect(const ImportOptions& options = {}) const {
    ImportResult result = import_tensorflow(graph_, "m.pb", options);
    verify(result.graph, "import");
    return result;
  }
  Graph import() const {
    ImportResult result = inspect();
    CHECK(result.unsupported.empty(), "{}", result.unsupported[0].reason);
    return std::move(result.graph);
  }
  std::string refusal() const {
    const ImportResult result = inspect();
    return result.unsupported.empty() ? "supported" : result.unsupported[0].reason;
  }
  std::string error(const ImportOptions& options = {}) const {
    return user_error([&] { inspect(options); });
  }

 private:
  GraphDef graph_;
};

// --- Constants -------------------------------------------------------------------------------------------------------

Constant decode(const TensorProto& tensor) {
  FillBudget fills;
  return decode_tf_tensor(tensor, fills, "t");
}

TensorProto tensor_of(int type, const Ints& dims) {
  TensorProto tensor;
  tensor.set_dtype(type);
  set_dims(*tensor.mutable_tensor_shape(), dims);
  return tensor;
}

TEST(TfTensor, OneValueFillsAndTheLastValueRepeats) {
  TensorProto fill = tensor_of(tf_format::DT_FLOAT, {2, 3});
  fill.add_float_val(7);
  EXPECT_THAT(std::get<FloatTensor>(decode(fill)).values, ElementsAre(7, 7, 7, 7, 7, 7));
  TensorProto partial = tensor_of(tf_format::DT_INT32, {5});
  for (int value : {1, 2, 3}) partial.add_int_val(value);
  EXPECT_THAT(std::get<IntTensor>(decode(partial)).values, ElementsAre(1, 2, 3, 3, 3));
  const TensorProto zeros = tensor_of(tf_format::DT_FLOAT, {3});
  EXPECT_THAT(std::get<FloatTensor>(decode(zeros)).values, Each(0));
}

TEST(TfTensor, ReadsEveryStorage) {
  TensorProto content = tensor_of(tf_format::DT_FLOAT, {2});
  const float values[] = {1.5F, -2};
  content.set_tensor_content(values, sizeof(values));
  EXPECT_THAT(std::get<FloatTensor>(decode(content)).values, ElementsAre(1.5F, -2.0F));
  TensorProto half = tensor_of(tf_format::DT_HALF, {2});
  half.add_half_val(0x3c00);
  EXPECT_THAT(std::get<FloatTensor>(decode(half)).values, ElementsAre(1.0F, 1.0F));
  TensorProto doubles = tensor_of(tf_format::DT_DOUBLE, {});
  doubles.add_double_val(0.5);
  EXPECT_THAT(std::get<FloatTensor>(decode(doubles)).values, ElementsAre(0.5F));
  TensorProto longs = tensor_of(tf_format::DT_INT64, {1});
  longs.add_int64_val(int64_t{1} << 40);
  EXPECT_THAT(std::get<IntTensor>(decode(longs)).values, ElementsAre(int64_t{1} << 40));
  TensorProto truth = tensor_of(tf_format::DT_BOOL, {2});
  truth.add_bool_val(true);
  EXPECT_THAT(std::get<IntTensor>(decode(truth)).values, ElementsAre(1, 1));
  TensorProto bytes = tensor_of(tf_format::DT_UINT8, {2});
  bytes.set_tensor_content("\xff\x01", 2);
  EXPECT_THAT(std::get<IntTensor>(decode(bytes)).values, ElementsAre(255, 1));
}

TEST(TfTensor, FillsAreBoundedOneByOneAndTogether) {
  TensorProto huge = tensor_of(tf_format::DT_FLOAT, {1000000000000});
  huge.add_float_val(1);
  EXPECT_THAT(user_error([&] { decode(huge); }), HasSubstr("repeats one value for 999999999999 elements"));
  TensorProto large = tensor_of(tf_format::DT_FLOAT, {1 << 20});
  large.add_float_val(1);
  FillBudget fills;
  const auto exhaust = [&] {
    for (int i = 0; i < 129; ++i) decode_tf_tensor(large, fills, "t");
  };
  EXPECT_THAT(user_error(exhaust), HasSubstr("2^27 together"));
}

TEST(TfTensor, RefusesCountsThatTheDataDoesNotHold) {
  TensorProto more = tensor_of(tf_format::DT_FLOAT, {1});
  more.add_float_val(1);
  more.add_float_val(2);
  EXPECT_THAT(user_error([&] { decode(more); }), HasSubstr("expected 1 elements of shape [1], found 2"));
  TensorProto cut = tensor_of(tf_format::DT_FLOAT, {2});
  cut.set_tensor_content("1234567");
  EXPECT_THAT(user_error([&] { decode(cut); }), HasSubstr("found 7 bytes"));
  const TensorProto negative = tensor_of(tf_format::DT_FLOAT, {-1});
  EXPECT_THAT(user_error([&] { decode(negative); }), HasSubstr("negative"));
  const TensorProto overflow = tensor_of(tf_format::DT_FLOAT, {kInt64Max, 2});
  EXPECT_THAT(user_error([&] { decode(overflow); }), HasSubstr("too many elements"));
}

TEST(TfModel, NamesTensorAndNodeOfNaN) {
  Builder builder;
  builder.filled("w", {3}, std::nanf(""));
  builder.node("Add", {"x", "w"});
  EXPECT_THAT(builder.error(), HasSubstr("m.pb: node \"n\" (Add): its tensor \"w\" holds NaN"));
}

// --- The graph -------------------------------------------------------------------------------------------------------

TEST(TfModel, NodesMayComeInAnyOrder) {
  GraphDef reversed;
  Builder builder;
  builder.node("Relu", {"x"}, "a");
  builder.node("Neg", {"a"}, "b");
  for (int i = builder.proto().node_size(); i-- > 0;) *reversed.add_node() = builder.proto().node(i);
  const Graph graph = import_tensorflow(reversed, "m.pb", {}).graph;
  EXPECT_NO_THROW(verify(graph, "import"));
  EXPECT_EQ(graph.nodes[0].name, "a");
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("b"));
}

TEST(TfModel, DeepChainsDoNotExhaustTheStack) {
  Builder builder;
  std::string last = "x";
  for (int i = 0; i < 200000; ++i) {
    const std::string name = std::to_string(i);
    builder.node("Relu", {last}, name);
    last = name;
  }
  EXPECT_EQ(builder.import().nodes.size(), 200000u);
}

TEST(TfModel, ControlInputsCountForOrderOnly) {
  Builder builder;
  builder.node("NoOp", {}, "init");
  builder.node("CheckNumerics", {"x"}, "check");
  builder.node("Assert", {"x"}, "assert");
  builder.node("Relu", {"x:0", "^check", "^init", "^assert"});
  const Graph graph = builder.import();
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("n"));
  EXPECT_EQ(graph.nodes.size(), 1u);
}

TEST(TfModel, OutputsGroupedByANoOpAreFound) {
  Builder builder;
  builder.node("Relu", {"x"});
  builder.node("NoOp", {"^n"}, "group_deps");
  EXPECT_THAT(names_of(builder.import(), builder.import().outputs), ElementsAre("n"));
}

TEST(TfModel, IdentitiesOfConstantsAreConstants) {
  Builder builder;
  builder.number("axis", 3);
  builder.node("Identity", {"axis"}, "axis/read");
  builder.node("ConcatV2", {"x", "x", "axis/read"});
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "n").get_int("axis", 0), 3);
  EXPECT_EQ(find_node(graph, "n").inputs.size(), 2u);
}

TEST(TfModel, AnOutputThatIsAnIdentityKeepsItsName) {
  Builder builder;
  builder.node("Relu", {"x"}, "relu");
  builder.node("Identity", {"relu"}, "inner");
  builder.node("StopGradient", {"inner"}, "Output");
  const Graph graph = builder.import();
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("Output"));
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(TfModel, UnusedPlaceholdersAndDefaultsAreNoInputs) {
  Builder builder;
  attribute(builder.node("Placeholder", {}, "is_training"), "dtype").set_type(tf_format::DT_BOOL);
  builder.filled("one", {}, 1);
  builder.node("PlaceholderWithDefault", {"one"}, "keep_prob");
  builder.node("RealDiv", {"x", "keep_prob"});
  const Graph graph = builder.import();
  EXPECT_THAT(names_of(graph, graph.inputs), ElementsAre("x"));
  EXPECT_THAT(floats_of(graph, graph.nodes[0].inputs[1]), ElementsAre(1));
}

TEST(TfModel, DropoutWrittenOutIsItsInput) {
  Builder old;
  attribute(old.node("Placeholder", {}, "keep_prob"), "dtype").set_type(tf_format::DT_FLOAT);
  for (const char* name : {"min", "span"}) old.filled(name, {}, name[0] == 's');
  old.node("RealDiv", {"x", "keep_prob"}, "div");
  old.node("Shape", {"x"}, "shape");
  old.node("RandomUniform", {"shape"}, "uniform");
  old.node("Mul", {"uniform", "span"}, "uniform/mul");
  old.node("Add", {"uniform/mul", "min"}, "random");
  old.node("Add", {"keep_prob", "random"}, "sum");
  old.node("Floor", {"sum"}, "mask");
  old.node("Mul", {"div", "mask"}, "dropped");
  old.node("Relu", {"dropped"});
  const Graph graph = old.import();
  EXPECT_EQ(graph.nodes.size(), 1u);
  EXPECT_THAT(names_of(graph, graph.inputs), ElementsAre("x"));
  Builder recent;
  for (const char* name : {"scale", "rate"}) recent.filled(name, {}, name[0] == 's' ? 2.0F : 0.5F);
  recent.node("Mul", {"x", "scale"}, "scaled");
  recent.node("Shape", {"x"}, "shape");
  recent.node("RandomUniform", {"shape"}, "uniform");
  recent.node("GreaterEqual", {"uniform", "rate"}, "kept");
  recent.node("Cast", {"kept"}, "mask");
  recent.node("Mul", {"scaled", "mask"});
  EXPECT_EQ(find_node(recent.import(), "n").op, "Identity");
}

TEST(TfModel, OtherRandomProductsAreRefused) {
  Builder builder;
  builder.node("Shape", {"x"}, "shape");
  builder.node("RandomUniform", {"shape"}, "uniform");
  builder.node("Mul", {"x", "uniform"});
  EXPECT_THAT(builder.refusal(), HasSubstr("random numbers are not supported"));
}

TEST(TfModel, OldScalarShapesMeanAnyShape) {
  Builder builder;
  attribute(*builder.proto().mutable_node(0), "shape").mutable_shape()->clear_dim();
  builder.node("Relu", {"x"});
  EXPECT_EQ(builder.import().value(builder.import().inputs[0]).shape, Shape{});
  builder.proto().mutable_versions()->set_producer(21);
  EXPECT_FALSE(builder.import().value(builder.import().inputs[0]).shape.has_value());
}

TEST(TfModel, ListsEveryUnsupportedNodeAndItsReadOutputs) {
  Builder builder;
  builder.node("Igamma", {"x"}, "a");
  builder.node("Unique", {"a"}, "b");
  builder.node("Add", {"b:1", "b:3"}, "c");
  builder.node("LookupTableFindV2", {"c"}, "d");
  builder.node("RandomStandardNormal", {"d"}, "e");
  builder.node("VarHandleOp", {}, "v");
  builder.node("Add", {"e", "v"});
  const ImportResult result = builder.inspect();
  std::vector<std::string> seen, reasons;
  for (const auto& node : result.unsupported) {
    seen.push_back(node.name + " " + node.origin);
    reasons.push_back(node.reason);
  }
  EXPECT_THAT(seen,
              ElementsAre("a Igamma", "b Unique", "d LookupTableFindV2", "e RandomStandardNormal", "v VarHandleOp"));
  EXPECT_THAT(reasons,
              ElementsAre("not supported", HasSubstr("depends on the data"), HasSubstr("which key is asked for"),
                          HasSubstr("random numbers are not supported"), HasSubstr("the model is not frozen")));
  EXPECT_THAT(names_of(result.graph, find_node(result.graph, "b").outputs), ElementsAre("b:1", "b:3"));
}

TEST(TfModel, RefusesAnOutputThatNoOperationHas) {
  Builder builder;
  builder.node("Relu", {"x"}, "a");
  builder.node("Neg", {"a:2000000000"});
  EXPECT_THAT(builder.refusal(), HasSubstr("its output 2000000000 is read"));
}

TEST(TfSplit, GivesEachOutputThatIsRead) {
  Builder builder;
  builder.number("axis", 3);
  attribute(builder.node("Split", {"axis", "x"}, "s"), "num_split").set_i(3);
  builder.node("Sub", {"s:2", "s"});
  const Graph graph = builder.import();
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.nodes[0].get_int("index", 9), 0);
  EXPECT_EQ(graph.nodes[1].get_int("index", 9), 2);
  EXPECT_EQ(graph.nodes[1].get_int("parts", 0), 3);
  EXPECT_EQ(graph.nodes[2].inputs[0], graph.nodes[1].outputs[0]);
  Builder sizes;
  sizes.number("axis", 1);
  sizes.ints("sizes", {3, -1});
  sizes.node("SplitV", {"x", "sizes", "axis"}, "s");
  sizes.node("Relu", {"s:1"});
  EXPECT_EQ(find_node(sizes.import(), "s/1").get_ints("starts"), (Ints{3}));
  Builder unpack;
  attribute(unpack.node("Unpack", {"x"}, "u"), "axis").set_i(1);
  unpack.node("Relu", {"u:4"});
  EXPECT_EQ(find_node(unpack.import(), "u/part_4").get_ints("starts"), (Ints{4}));
  EXPECT_EQ(find_node(unpack.import(), "u/4").op, "Squeeze");
}

void set_conv(NodeDef& node, const Ints& strides, const std::string& padding, const std::string& format) {
  set_ints(node, "strides", strides);
  attribute(node, "padding").set_s(padding);
  attribute(node, "data_format").set_s(format);
}

TEST(TfConv, ReadsThreeDimensionsAndTheirTransposes) {
  Builder builder;
  builder.filled("w", {2, 3, 3, 3, 4}, 1);
  set_conv(builder.node("Conv3D", {"x", "w"}), {1, 1, 2, 3, 1}, "SAME", "NDHWC");
  EXPECT_EQ(find_node(builder.import(), "n").get_ints("strides"), (Ints{1, 2, 3}));
  Builder back;
  back.filled("w", {3, 3, 5, 3}, 1);
  back.ints("sizes", {1, 5, 16, 16});
  set_conv(back.node("Conv2DBackpropInput", {"sizes", "w", "x"}), {1, 1, 2, 2}, "SAME", "NCHW");
  const Graph graph = back.import();
  const Node& node = find_node(graph, "n");
  EXPECT_EQ(node.op, "ConvTranspose");
  EXPECT_EQ(node.get_string("layout", ""), "NCHW");
  EXPECT_EQ(node.get_string("auto_pad", ""), "same_upper");
  EXPECT_EQ(graph.value(node.inputs[0]).name, "x");
  EXPECT_EQ(ints_of(graph, node.inputs[2]), (Ints{1, 5, 16, 16}));
  EXPECT_EQ(graph.value(node.outputs[0]).dtype, DType::kFloat);
}

// dilated writes a convolution of 3 x 3 between moves of blocks to the batch and back.
Graph dilated(const std::vector<int32_t>& pads, const std::vector<int32_t>& crops) {
  Builder builder;
  builder.filled("w", {3, 3, 3, 4}, 1);
  builder.ints("block", {2, 3});
  for (const auto& [name, values] : {std::pair("pads", pads), std::pair("crops", crops)}) {
    TensorProto& tensor = builder.tensor(name, tf_format::DT_INT32, {2, 2});
    for (int32_t value : values) tensor.add_int_val(value);
  }
  builder.node("SpaceToBatchND", {"x", "block", "pads"}, "to");
  set_conv(builder.node("Conv2D", {"to", "w"}, "conv"), {1, 1, 1, 1}, "VALID", "NHWC");
  builder.node("BatchToSpaceND", {"conv", "block", "crops"});
  return builder.import();
}

TEST(TfConv, BetweenBlocksIsDilated) {
  const Graph graph = dilated({2, 2, 3, 4}, {0, 0, 0, 1});
  const Node& conv = find_node(graph, "n");
  EXPECT_EQ(conv.op, "Conv");
  EXPECT_EQ(conv.get_ints("dilations"), (Ints{2, 3}));
  EXPECT_EQ(conv.get_ints("pads"), (Ints{2, 3, 2, 3}));
  EXPECT_EQ(graph.value(conv.inputs[0]).name, "x");
  EXPECT_EQ(find_node(dilated({0, 0, 0, 1}, {0, 0, 0, 2}), "n").op, "BatchToSpace") << "more is cut than was added";
}

TEST(TfResize, NamesPositionsAsTheGraphDoes) {
  const auto mode = [](const char* op, bool corners, bool halves) {
    Builder builder;
    builder.ints("size", {4, 5});
    NodeDef& node = builder.node(op, {"x", "size"});
    attribute(node, "align_corners").set_b(corners);
    attribute(node, "half_pixel_centers").set_b(halves);
    const Graph graph = builder.import();
    return find_node(graph, "n").get_string("coordinate_mode", "");
  };
  EXPECT_EQ(mode("ResizeBilinear", false, false), "asymmetric");
  EXPECT_EQ(mode("ResizeBilinear", true, false), "align_corners");
  EXPECT_EQ(mode("ResizeBilinear", false, true), "half_pixel");
  EXPECT_EQ(mode("ResizeNearestNeighbor", false, true), "tf_half_pixel_for_nn");
}

TEST(TfArithmetic, QuotientsOfShapesRoundDown) {
  Builder builder;
  builder.ints("a", {7});
  builder.ints("b", {2});
  builder.node("FloorDiv", {"a", "b"}, "q");
  builder.node("Reshape", {"x", "q"});
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "q/floor").op, "Floor");
  EXPECT_EQ(graph.value(find_node(graph, "n").inputs[1]).dtype, DType::kInt);
}

TEST(TfModel, LoopsAreListedNotCalledDamaged) {
  Builder builder;
  builder.node("Enter", {"x"}, "enter");
  builder.node("Merge", {"enter", "next"}, "merge");
  builder.node("Relu", {"merge"}, "body");
  builder.node("NextIteration", {"body"}, "next");
  builder.node("Exit", {"merge"}, "exit");
  EXPECT_THAT(builder.refusal(), HasSubstr("control flow is not supported"));
  Builder cycle;
  cycle.node("Relu", {"b"}, "a");
  cycle.node("Relu", {"a"}, "b");
  cycle.node("Relu", {"a"});
  EXPECT_THAT(cycle.error(), HasSubstr("reads its own result"));
}

TEST(TfModel, RefusesDamagedGraphs) {
  Builder unknown;
  unknown.node("Relu", {"nowhere"});
  EXPECT_THAT(unknown.error(), HasSubstr("reads \"nowhere\", which the graph does not have"));
  Builder twice;
  twice.node("Relu", {"x"});
  twice.node("Relu", {"x"});
  EXPECT_THAT(twice.error(), HasSubstr("two nodes are named \"n\""));
  Builder second;
  second.node("Relu", {"x:5"});
  EXPECT_THAT(second.error(), HasSubstr("output 5 of node \"x\""));
  Builder missing;
  missing.node("Add", {"x"});
  EXPECT_THAT(missing.error(), HasSubstr("input 1 is missing"));
  Builder kind;
  attribute(kind.node("Pack", {"x"}), "axis").set_f(1);
  EXPECT_THAT(kind.error(), HasSubstr("attribute \"axis\" is of kind 4, expected 3"));
  Builder nothing;
  EXPECT_THAT(nothing.error(), HasSubstr("computes nothing"));
}

TEST(TfModel, OptionsChooseOutputsAndSuggestNames) {
  Builder builder;
  builder.node("Relu", {"x"}, "features");
  builder.node("Sigmoid", {"features"}, "n");
  const ImportResult result = builder.inspect({.batch = 2, .input_shapes = {}, .outputs = {"features:0"}});
  EXPECT_TRUE(result.unsupported.empty());
  EXPECT_EQ(result.graph.value(result.graph.inputs[0]).shape, (Shape{2, 8, 8, 3}));
  EXPECT_THAT(builder.error({.batch = {}, .input_shapes = {}, .outputs = {"featurs"}}),
              HasSubstr("no node \"featurs\" to compute; did you mean \"features\"?"));
}

// --- Operations ------------------------------------------------------------------------------------------------------

TEST(TfConv, ReadsBothLayoutsAndPaddings) {
  Builder builder;
  builder.filled("w", {3, 3, 3, 4}, 1);
  NodeDef& proto = builder.node("Conv2D", {"x", "w"});
  attribute(proto, "data_format").set_s("NCHW");
  attribute(proto, "padding").set_s("EXPLICIT");
  set_ints(proto, "strides", {1, 1, 2, 3});
  set_ints(proto, "explicit_paddings", {0, 0, 0, 0, 1, 2, 3, 4});
  const Graph graph = builder.import();
  const Node& conv = find_node(graph, "n");
  EXPECT_EQ(conv.get_string("layout", ""), "NCHW");
  EXPECT_EQ(conv.get_ints("strides"), (Ints{2, 3}));
  EXPECT_EQ(conv.get_ints("pads"), (Ints{1, 3, 2, 4}));  // top, left, bottom, right
  EXPECT_EQ(conv.get_ints("dilations"), (Ints{1, 1}));
  EXPECT_EQ(conv.origin, "Conv2D");
  Builder same;
  same.filled("w", {3, 3, 3, 4}, 1);
  NodeDef& plain = same.node("Conv2D", {"x", "w"});
  attribute(plain, "padding").set_s("SAME");
  set_ints(plain, "strides", {1, 2, 3, 1});
  EXPECT_EQ(find_node(same.import(), "n").get_ints("strides"), (Ints{2, 3}));
  EXPECT_EQ(find_node(same.import(), "n").get_string("auto_pad", ""), "same_upper");
  set_ints(plain, "dilations", {1, 1, 1, 2});
  EXPECT_THAT(same.refusal(), HasSubstr("over batch or channels"));
}

TEST(TfConv, DepthwiseWeightsBecomeGroups) {
  Builder builder;
  builder.filled("w", {3, 5, 3, 2}, 1);
  NodeDef& proto = builder.node("DepthwiseConv2dNative", {"x", "w"});
  attribute(proto, "padding").set_s("VALID");
  set_ints(proto, "strides", {1, 1, 1, 1});
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "n").get_int("groups", 0), 3);
  EXPECT_EQ(find_node(graph, "n/weight").get_ints("shape"), (Ints{3, 5, 1, -1}));
}

TEST(TfBatchNorm, IsTrainingUnlessSaidOtherwise) {
  Builder builder;
  for (const char* name : {"s", "o", "m", "v"}) builder.filled(name, {3}, 1);
  NodeDef& proto = builder.node("FusedBatchNormV3", {"x", "s", "o", "m", "v"});
  EXPECT_THAT(builder.refusal(), HasSubstr("is_training=true"));
  attribute(proto, "is_training").set_b(false);
  const Graph graph = builder.import();
  EXPECT_FLOAT_EQ(static_cast<float>(find_node(graph, "n").get_float("epsilon", 0)), 1e-4F);
  builder.node("Relu", {"n:1"}, "reads_the_mean");
  EXPECT_THAT(builder.refusal(), HasSubstr("its output 1 is read"));
}

TEST(TfBatchNorm, WrittenOutIsMadeOfFoldableSteps) {
  Builder builder;
  builder.filled("variance", {3}, 4);
  builder.filled("epsilon", {}, 0.001F);
  builder.node("Add", {"variance", "epsilon"}, "sum");
  builder.node("Rsqrt", {"sum"}, "inverse");
  builder.node("Mul", {"x", "inverse"});
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "inverse").op, "Rsqrt");
  EXPECT_EQ(graph.nodes.size(), 3u);
}

TEST(TfMatMul, TransposesBecomeNodes) {
  Builder builder;
  builder.filled("w", {4, 3}, 1);
  attribute(builder.node("MatMul", {"x", "w"}), "transpose_b").set_b(true);
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "n/transpose_b").get_ints("perm"), (Ints{1, 0}));
}

TEST(TfBiasAdd, BroadcastsOverTheChannelsOfItsLayout) {
  Builder last, first;
  for (Builder* builder : {&last, &first}) builder->filled("b", {3}, 1);
  last.node("BiasAdd", {"x", "b"});
  EXPECT_EQ(last.import().nodes.size(), 1u);
  attribute(first.node("BiasAdd", {"x", "b"}), "data_format").set_s("NCHW");
  const Graph graph = first.import();  // which knows no rank yet
  EXPECT_EQ(find_node(graph, "n/bias").inputs.size(), 2u);
  EXPECT_EQ(find_node(graph, "n/padded_shape").op, "Concat");
}

TEST(TfPools, ReadTheirWindow) {
  Builder builder;
  NodeDef& proto = builder.node("AvgPool", {"x"});
  attribute(proto, "padding").set_s("SAME");
  set_ints(proto, "ksize", {1, 3, 2, 1});
  set_ints(proto, "strides", {1, 2, 2, 1});
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "n").get_ints("kernel"), (Ints{3, 2}));
  EXPECT_EQ(find_node(graph, "n").get_int("count_include_pad", 1), 0);
}

TEST(TfPad, PairsBecomeBeforesAndAfters) {
  Builder builder;
  builder.tensor("p", tf_format::DT_INT32, {4, 2});
  TensorProto& paddings = *attribute(*builder.proto().mutable_node(1), "value").mutable_tensor();
  for (int value : {0, 0, 1, 2, 3, 4, 0, 0}) paddings.add_int_val(value);
  builder.filled("v", {}, 5);
  builder.node("PadV2", {"x", "p", "v"});
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "n").get_ints("pads"), (Ints{0, 1, 3, 0, 0, 2, 4, 0}));
  EXPECT_EQ(find_node(graph, "n").get_float("value", 0), 5);
}

TEST(TfReduce, AxesAreConstantsAndNoAxesMeanNoReduction) {
  Builder builder;
  builder.ints("axes", {1, 2});
  attribute(builder.node("Mean", {"x", "axes"}), "keep_dims").set_b(true);
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "n").get_ints("axes"), (Ints{1, 2}));
  EXPECT_EQ(find_node(graph, "n").get_int("keepdims", 0), 1);
  Builder none;
  none.tensor("axes", tf_format::DT_INT32, {0});
  none.node("Sum", {"x", "axes"});
  EXPECT_EQ(find_node(none.import(), "n").op, "Identity");
}

TEST(TfSlice, SizesBecomeEnds) {
  Builder builder;
  builder.ints("begin", {0, 1, 2, 0});
  builder.ints("size", {-1, 3, 0, -1});
  builder.node("Slice", {"x", "begin", "size"});
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "n").get_ints("ends"), (Ints{kInt64Max, 4, 2, kInt64Max}));
}

TEST(TfShape, SubGraphsStaySymbolicAndInteger) {
  Builder builder;
  for (const char* name : {"zero", "one"}) builder.ints(name, {name[0] == 'o'});
  builder.number("minus", -1);
  builder.node("Shape", {"x"}, "shape");
  NodeDef& slice = builder.node("StridedSlice", {"shape", "zero", "one", "one"}, "batch");
  attribute(slice, "shrink_axis_mask").set_i(1);
  builder.node("Pack", {"batch", "minus"}, "pack");
  builder.node("Reshape", {"x", "pack"});
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "batch").get_int("shrink_axis_mask", 0), 1);
  EXPECT_EQ(find_node(graph, "pack").op, "Stack");
  EXPECT_EQ(graph.value(find_node(graph, "pack").outputs[0]).dtype, DType::kInt);
  EXPECT_EQ(find_node(graph, "n").inputs.size(), 2u);
  EXPECT_EQ(graph.value(graph.outputs[0]).dtype, DType::kFloat);
}

TEST(TfActivations, KeepTheirConstants) {
  Builder six, leaky;
  six.node("Relu6", {"x"});
  EXPECT_EQ(find_node(six.import(), "n").get_float("max", 0), 6);
  leaky.node("LeakyRelu", {"x"});
  EXPECT_FLOAT_EQ(static_cast<float>(find_node(leaky.import(), "n").get_float("alpha", 0)), 0.2F);
}

TEST(TfAxes, MustBeConstantWhereTheyAreAttributes) {
  Builder builder;
  builder.node("Shape", {"x"}, "shape");
  builder.node("ArgMax", {"x", "shape"});
  EXPECT_THAT(builder.refusal(), HasSubstr("its axis is computed"));
}

}  // namespace
}  // namespace treville::import
