// Hand-built models, one for each trap of the ONNX format.
#include "import/onnx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "import/test_support.h"

namespace treville::import {
namespace {

using onnx_format::AttributeProto;
using onnx_format::ModelProto;
using onnx_format::NodeProto;
using onnx_format::TensorProto;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Builder writes a model with the input "x" and the output "y".
class Builder {
 public:
  explicit Builder(int64_t opset = 13) {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(opset);
    input("x", {1, 3, 8, 8});
    graph().add_output()->set_name("y");
  }

  onnx_format::GraphProto& graph() { return *model_.mutable_graph(); }
  ModelProto& model() { return model_; }

  void input(const std::string& name, const Ints& dims, int type = TensorProto::FLOAT) {
    auto* info = graph().add_input();
    info->set_name(name);
    auto* tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    for (int64_t dim : dims) {
      auto* added = tensor->mutable_shape()->add_dim();
      if (dim >= 0) added->set_dim_value(dim);
    }
  }

  TensorProto& tensor(const std::string& name, int type, const Ints& dims) {
    return set(*graph().add_initializer(), name, type, dims);
  }
  static TensorProto& set(TensorProto& tensor, const std::string& name, int type, const Ints& dims) {
    tensor.set_name(name);
    tensor.set_data_type(type);
    for (int64_t dim : dims) tensor.add_dims(dim);
    return tensor;
  }
  void floats(const std::string& name, const Ints& dims, const std::vector<float>& values) {
    TensorProto& added = tensor(name, TensorProto::FLOAT, dims);
    for (float value : values) added.add_float_data(value);
  }
  void ints(const std::string& name, const Ints& values) {
    TensorProto& added = tensor(name, TensorProto::INT64, {static_cast<int64_t>(values.size())});
    for (int64_t value : values) added.add_int64_data(value);
  }
  void weight(const std::string& name, const Ints& dims) {
    floats(name, dims, std::vector<float>(static_cast<size_t>(Shape(dims).elements()), 0.5F));
  }

  // The last node computes "y" under the node name "n".
  NodeProto& node(const std::string& op, const std::vector<std::string>& inputs, const std::string& output = "y") {
    NodeProto& added = *graph().add_node();
    added.set_op_type(op);
    added.set_name(output == "y" ? "n" : output);
    for (const std::string& name : inputs) added.add_input(name);
    added.add_output(output);
    return added;
  }

  ImportResult inspect(const ImportOptions& options = {}) const {
    ImportResult result = import_onnx(model_, "m.onnx", options);
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
  ModelProto model_;
};

AttributeProto& attribute(NodeProto& node, const std::string& name, AttributeProto::AttributeType type) {
  AttributeProto& added = *node.add_attribute();
  added.set_name(name);
  added.set_type(type);
  return added;
}
void set_int(NodeProto& node, const std::string& name, int64_t value) {
  attribute(node, name, AttributeProto::INT).set_i(value);
}
void set_float(NodeProto& node, const std::string& name, float value) {
  attribute(node, name, AttributeProto::FLOAT).set_f(value);
}
void set_string(NodeProto& node, const std::string& name, const std::string& value) {
  attribute(node, name, AttributeProto::STRING).set_s(value);
}
void set_ints(NodeProto& node, const std::string& name, const Ints& values) {
  AttributeProto& added = attribute(node, name, AttributeProto::INTS);
  for (int64_t value : values) added.add_ints(value);
}

// --- Tensors ---------------------------------------------------------------------------------------------------------

template <class T>
std::string bytes_of_values(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

TEST(OnnxTensor, ReadsEveryStorageOfFloats) {
  const auto decode = [](const TensorProto& tensor) {
    return std::get<FloatTensor>(decode_onnx_tensor(tensor, "t")).values;
  };
  TensorProto raw, list, doubles, halves, brains;
  Builder::set(raw, "t", TensorProto::FLOAT, {2}).set_raw_data(bytes_of_values<float>({1.5F, -2}));
  EXPECT_THAT(decode(raw), ElementsAre(1.5F, -2.0F));
  Builder::set(list, "t", TensorProto::FLOAT, {2}).add_float_data(3);
  list.add_float_data(4);
  EXPECT_THAT(decode(list), ElementsAre(3, 4));
  Builder::set(doubles, "t", TensorProto::DOUBLE, {1}).add_double_data(0.25);
  EXPECT_THAT(decode(doubles), ElementsAre(0.25F));
  // 1, -2, the smallest subnormal and the largest half.
  Builder::set(halves, "t", TensorProto::FLOAT16, {4});
  for (int bits : {0x3c00, 0xc000, 0x0001, 0x7bff}) halves.add_int32_data(bits);
  EXPECT_THAT(decode(halves), ElementsAre(1.0F, -2.0F, std::ldexp(1.0F, -24), 65504.0F));
  Builder::set(brains, "t", TensorProto::BFLOAT16, {2}).set_raw_data(bytes_of_values<uint16_t>({0x3f80, 0xc040}));
  EXPECT_THAT(decode(brains), ElementsAre(1.0F, -3.0F));
}

TEST(OnnxTensor, ReadsIntegersOfEveryWidth) {
  const auto decode = [](int type, const std::string& bytes, int64_t count) {
    TensorProto tensor;
    Builder::set(tensor, "t", type, {count}).set_raw_data(bytes);
    return std::get<IntTensor>(decode_onnx_tensor(tensor, "t")).values;
  };
  EXPECT_THAT(decode(TensorProto::INT8, bytes_of_values<int8_t>({-1, 5}), 2), ElementsAre(-1, 5));
  EXPECT_THAT(decode(TensorProto::UINT8, bytes_of_values<uint8_t>({255}), 1), ElementsAre(255));
  EXPECT_THAT(decode(TensorProto::INT16, bytes_of_values<int16_t>({-300}), 1), ElementsAre(-300));
  EXPECT_THAT(decode(TensorProto::UINT16, bytes_of_values<uint16_t>({65535}), 1), ElementsAre(65535));
  EXPECT_THAT(decode(TensorProto::INT32, bytes_of_values<int32_t>({-7}), 1), ElementsAre(-7));
  EXPECT_THAT(decode(TensorProto::UINT32, bytes_of_values<uint32_t>({4294967295U}), 1), ElementsAre(4294967295));
  EXPECT_THAT(decode(TensorProto::INT64, bytes_of_values<int64_t>({-9}), 1), ElementsAre(-9));
  EXPECT_THAT(decode(TensorProto::BOOL, std::string("\1\0", 2), 2), ElementsAre(1, 0));
  EXPECT_THAT(user_error([&] { decode(TensorProto::UINT64, bytes_of_values<uint64_t>({~uint64_t{0}}), 1); }),
              HasSubstr("does not fit"));
}

TEST(OnnxTensor, RefusesCountsThatTheDataDoesNotHold) {
  const auto error = [](const Ints& dims, const std::string& raw) {
    TensorProto tensor;
    Builder::set(tensor, "t", TensorProto::FLOAT, dims).set_raw_data(raw);
    if (raw.empty()) tensor.add_float_data(1);
    return user_error([&] { decode_onnx_tensor(tensor, "t"); });
  };
  EXPECT_THAT(error({1000000000000}, ""), HasSubstr("expected 1000000000000 elements"));
  EXPECT_THAT(error({2}, "1234567"), HasSubstr("found 7 bytes"));
  EXPECT_THAT(error({1}, "12345678"), HasSubstr("found 8 bytes"));
  EXPECT_THAT(error({-1}, ""), HasSubstr("negative"));
  EXPECT_THAT(error({int64_t{1} << 40, int64_t{1} << 40}, "1234"), HasSubstr("too many elements"));
  EXPECT_THAT(error({int64_t{1} << 40, int64_t{1} << 40, 0}, ""), HasSubstr("too many elements"));
  EXPECT_THAT(error({int64_t{1} << 62}, "1234"), HasSubstr("The file is damaged"));
}

TEST(OnnxTensor, RefusesExternalDataWithAdvice) {
  TensorProto tensor;
  Builder::set(tensor, "t", TensorProto::FLOAT, {1}).set_data_location(TensorProto::EXTERNAL);
  EXPECT_THAT(user_error([&] { decode_onnx_tensor(tensor, "w"); }), HasSubstr("was not read from a folder"));
}

TEST(OnnxTensor, RefusesStringsAndComplexNumbers) {
  for (int type : std::vector<int>{TensorProto::STRING, TensorProto::COMPLEX64, 77}) {
    TensorProto tensor;
    Builder::set(tensor, "t", type, {0});
    EXPECT_THAT(user_error([&] { decode_onnx_tensor(tensor, "w"); }), HasSubstr("element type"));
  }
}

TEST(OnnxModel, NamesTensorAndNodeOfNaN) {
  for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Builder builder;
    builder.floats("w", {1}, {bad});
    builder.node("Add", {"x", "w"});
    EXPECT_THAT(builder.error(), HasSubstr("m.onnx: node \"n\" (Add): its tensor \"w\" holds NaN or infinite"));
  }
}

// --- The model -------------------------------------------------------------------------------------------------------

TEST(OnnxModel, RefusesOtherOperatorSets) {
  for (int64_t opset : {1, 6, 22}) {
    Builder builder(opset);
    builder.node("Relu", {"x"});
    EXPECT_THAT(builder.error(), HasSubstr(fmt::format("uses ONNX operator set {}, supported are 7 to 21", opset)));
  }
  Builder none;
  none.model().clear_opset_import();
  none.node("Relu", {"x"});
  EXPECT_THAT(none.error(), HasSubstr("operator set 1"));
  for (int64_t opset : {7, 21}) {
    Builder builder(opset);
    builder.node("Relu", {"x"});
    EXPECT_EQ(builder.error(), "no error");
  }
}

TEST(OnnxModel, InitialisersRepeatedAsInputsAreWeights) {
  Builder builder(8);
  builder.input("w", {1});
  builder.floats("w", {1}, {2});
  builder.node("Mul", {"x", "w"});
  const Graph graph = builder.import();
  EXPECT_THAT(names_of(graph, graph.inputs), ElementsAre("x"));
  EXPECT_THAT(floats_of(graph, graph.nodes[0].inputs[1]), ElementsAre(2));
}

TEST(OnnxModel, UnreadInitialisersAndDeadNodesAreLeftOut) {
  Builder builder;
  builder.floats("nan", {1}, {std::nanf("")});
  builder.node("Relu", {"x"});
  builder.node("Sigmoid", {"x"}, "dead");
  const Graph graph = builder.import();
  EXPECT_EQ(graph.nodes.size(), 1u);
}

TEST(OnnxModel, ListsEveryUnsupportedNodeAndWhatToDo) {
  Builder builder;
  builder.node("Det", {"x"}, "a");
  builder.node("If", {"a"}, "b").add_output("b2");
  builder.node("Relu", {"b2"}, "c");
  builder.node("Gelu", {"c"}, "d").set_domain("com.microsoft");
  builder.node("DynamicQuantizeLinear", {"d"}, "e");
  builder.node("StringNormalizer", {"e"}, "f");
  builder.node("RandomNormalLike", {"f"}, "g");
  builder.node("NonZero", {"g"}, "h");
  set_string(builder.node("Pad", {"h"}), "mode", "spiral");
  const ImportResult result = builder.inspect();
  std::vector<std::string> seen, reasons;
  for (const auto& node : result.unsupported) {
    seen.push_back(node.name + " " + node.origin);
    reasons.push_back(node.reason);
  }
  EXPECT_THAT(seen, ElementsAre("a Det", "b If", "d com.microsoft.Gelu", "e DynamicQuantizeLinear",
                                "f StringNormalizer", "g RandomNormalLike", "h NonZero", "n Pad"));
  EXPECT_THAT(reasons, ElementsAre("not supported", HasSubstr("Export or freeze the model for inference with fixed"),
                                   HasSubstr("another operator set"), HasSubstr("Give the float model"),
                                   HasSubstr("give it numbers"), HasSubstr("without dropout or noise"),
                                   HasSubstr("depends on the data"), HasSubstr("mode \"spiral\" is not supported")));
  EXPECT_EQ(find_node(result.graph, "n").op, "Unsupported:Pad");
  EXPECT_EQ(find_node(result.graph, "c").op, "Relu");
}

// --- Quantised models
// --------------------------------------------------------------------------------------------------

// quantisation adds a scale and a zero point of one byte: <name>_scale and <name>_zero.
void quantisation(Builder& builder, const std::string& name, float scale, int32_t zero, int type = TensorProto::UINT8) {
  builder.floats(name + "_scale", {}, {scale});
  builder.tensor(name + "_zero", type, {}).add_int32_data(zero);
}

TEST(OnnxQuantised, PairsAreLeftOutAndGiveRanges) {
  Builder builder;
  quantisation(builder, "q", 0.5F, 128);
  builder.node("Tanh", {"x"}, "t");
  builder.node("QuantizeLinear", {"t", "q_scale", "q_zero"}, "i");
  builder.node("MaxPool", {"i"}, "p");
  set_ints(*builder.graph().mutable_node(2), "kernel_shape", {2, 2});
  builder.node("DequantizeLinear", {"p", "q_scale", "q_zero"}, "d");
  builder.node("Neg", {"d"});
  Graph graph = builder.import();
  graph.remove_dead();
  const Node& pool = graph.nodes.at(1);
  EXPECT_EQ(pool.op, "MaxPool");
  EXPECT_EQ(graph.value(pool.inputs[0]).dtype, DType::kFloat);
  EXPECT_EQ(graph.nodes.size(), 3u);
  const auto range = graph.value(pool.inputs[0]).declared_range;
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->low, -64);
  EXPECT_EQ(range->high, 63.5);
}

TEST(OnnxQuantised, IntegersThatBeginAtZeroCutWhatIsBelow) {
  for (const bool has_relu : {false, true}) {
    Builder builder;
    quantisation(builder, "q", 0.25F, -128, TensorProto::INT8);
    builder.node(has_relu ? "Relu" : "Tanh", {"x"}, "t");
    builder.node("QuantizeLinear", {"t", "q_scale", "q_zero"}, "i");
    builder.node("DequantizeLinear", {"i", "q_scale", "q_zero"});
    Graph graph = builder.import();
    graph.remove_dead();
    const auto clip =
        std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.op == "Clip"; });
    EXPECT_EQ(clip == graph.nodes.end(), has_relu);
    if (has_relu) continue;
    EXPECT_EQ(clip->get_float("min", -1), 0);
    EXPECT_EQ(clip->get_float("max", -1), 255 * 0.25);
  }
}

TEST(OnnxQuantised, ConvolutionsAreThoseOfWhatTheIntegersStandFor) {
  Builder builder;
  for (const char* name : {"a", "w", "r"}) quantisation(builder, name, 0.5F, 128);
  TensorProto& weight = builder.tensor("w", TensorProto::UINT8, {2, 3, 1, 1});
  for (int i = 0; i < 6; ++i) weight.add_int32_data(126 + i);
  builder.tensor("b", TensorProto::INT32, {2}).add_int32_data(4);
  builder.graph().mutable_initializer()->rbegin()->add_int32_data(-8);
  builder.node("QuantizeLinear", {"x", "a_scale", "a_zero"}, "i");
  builder.node("QLinearConv", {"i", "a_scale", "a_zero", "w", "w_scale", "w_zero", "r_scale", "r_zero", "b"}, "c");
  builder.node("DequantizeLinear", {"c", "r_scale", "r_zero"});
  Graph graph = builder.import();
  graph.remove_dead();
  const auto conv =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.op == "Conv"; });
  ASSERT_NE(conv, graph.nodes.end());
  EXPECT_EQ(conv->inputs[0], graph.inputs[0]);
  EXPECT_EQ(conv->inputs.size(), 3u);
  EXPECT_EQ(graph.value(graph.inputs[0]).declared_range->high, 63.5);
  EXPECT_EQ(graph.value(conv->outputs[0]).declared_range->low, -64);
}

TEST(OnnxQuantised, RefusesOtherIntegersAndOtherParameters) {
  Builder others;
  quantisation(others, "q", 0.5F, 128);
  quantisation(others, "p", 0.25F, 128);
  others.node("QuantizeLinear", {"x", "q_scale", "q_zero"}, "i");
  others.node("DequantizeLinear", {"i", "p_scale", "p_zero"});
  EXPECT_THAT(others.refusal(), HasSubstr("another scale or zero point"));
  Builder counted;
  quantisation(counted, "q", 0.5F, 128);
  counted.node("Shape", {"x"}, "i");
  counted.node("DequantizeLinear", {"i", "q_scale", "q_zero"});
  EXPECT_THAT(counted.refusal(), HasSubstr("otherwise than by QuantizeLinear"));
  Builder computed;
  computed.node("QuantizeLinear", {"x", "x"});
  EXPECT_THAT(computed.refusal(), HasSubstr("its scale is computed"));
}

TEST(OnnxModel, RefusesDamagedGraphs) {
  Builder unknown;
  unknown.node("Relu", {"nowhere"});
  EXPECT_THAT(unknown.error(), HasSubstr("reads \"nowhere\", which nothing before it computes"));
  Builder twice;
  twice.node("Relu", {"x"});
  twice.node("Relu", {"x"});
  EXPECT_THAT(twice.error(), HasSubstr("value \"y\" is computed twice"));
  Builder shadowed;
  shadowed.floats("y", {1}, {1});
  shadowed.node("Relu", {"x"});
  EXPECT_THAT(shadowed.error(), HasSubstr("computed twice"));
  Builder repeated;
  repeated.floats("w", {1}, {1});
  repeated.floats("w", {1}, {1});
  EXPECT_THAT(repeated.error(), HasSubstr("initializer \"w\" is given twice"));
  Builder nothing;
  EXPECT_THAT(nothing.error(), HasSubstr("output \"y\" is computed by no node"));
  Builder missing;
  missing.node("Add", {"x", ""});
  EXPECT_THAT(missing.error(), HasSubstr("node \"n\" (Add): input 1 is missing"));
  Builder sparse;
  sparse.graph().add_sparse_initializer();
  EXPECT_THAT(sparse.error(), HasSubstr("sparse"));
}

TEST(OnnxModel, RefusesAttributesOfAnotherType) {
  Builder builder;
  set_float(builder.node("Flatten", {"x"}), "axis", 1);
  EXPECT_THAT(builder.error(), HasSubstr("attribute \"axis\" has type 1, expected 2"));
}

TEST(OnnxModel, OptionsFixInputsAndChooseOutputs) {
  Builder builder;
  builder.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->Clear();
  builder.node("Relu", {"x"}, "middle");
  builder.node("Sigmoid", {"middle"});
  const ImportResult all = builder.inspect({.batch = 4, .input_shapes = {}, .outputs = {"middle"}});
  EXPECT_EQ(all.graph.value(all.graph.inputs[0]).shape, (Shape{4, 3, 8, 8}));
  EXPECT_THAT(names_of(all.graph, all.graph.outputs), ElementsAre("middle"));
  EXPECT_THAT(all.unsupported, IsEmpty());
  EXPECT_THAT(builder.error({.batch = {}, .input_shapes = {{"x", Shape{1, 4, 8, 8}}}, .outputs = {}}),
              HasSubstr("the given shape [1,4,8,8] does not fit"));
  EXPECT_THAT(builder.error({.batch = {}, .input_shapes = {{"z", Shape{1}}}, .outputs = {}}),
              HasSubstr("which the model does not have"));
  EXPECT_THAT(builder.error({.batch = 0, .input_shapes = {}, .outputs = {}}), HasSubstr("at least 1"));
  Builder fixed;
  fixed.node("Relu", {"x"});
  EXPECT_THAT(fixed.error({.batch = 2, .input_shapes = {}, .outputs = {}}), HasSubstr("fixed batch 1, asked for 2"));
}

// --- Operations ------------------------------------------------------------------------------------------------------

TEST(OnnxConv, TurnsTheWeightAndReadsTheWindow) {
  Builder builder;
  builder.weight("w", {6, 1, 3, 5});
  builder.weight("b", {6});
  NodeProto& proto = builder.node("Conv", {"x", "w", "b"});
  set_ints(proto, "pads", {1, 2, 3, 4});
  set_ints(proto, "strides", {2, 1});
  set_int(proto, "group", 3);
  const Graph graph = builder.import();
  const Node& conv = find_node(graph, "n");
  EXPECT_EQ(conv.op, "Conv");
  EXPECT_EQ(conv.origin, "Conv");
  EXPECT_EQ(conv.get_ints("pads"), (Ints{1, 2, 3, 4}));
  EXPECT_EQ(conv.get_ints("strides"), (Ints{2, 1}));
  EXPECT_EQ(conv.get_ints("dilations"), (Ints{1, 1}));
  EXPECT_EQ(conv.get_int("groups", 0), 3);
  EXPECT_EQ(conv.get_string("layout", ""), "NCHW");
  EXPECT_EQ(conv.get_string("auto_pad", ""), "explicit");
  EXPECT_EQ(find_node(graph, "n/weight").get_ints("perm"), (Ints{2, 3, 1, 0}));
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "y");
}

TEST(OnnxConv, RefusesOtherDimensionsAndContradictions) {
  Builder line;
  line.weight("w", {6, 3, 1, 1, 1, 3});
  line.node("Conv", {"x", "w"});
  EXPECT_THAT(line.refusal(), HasSubstr("4 spatial dimensions are not supported"));
  Builder wrong;
  wrong.weight("w", {6, 3, 3, 3});
  set_ints(wrong.node("Conv", {"x", "w"}), "kernel_shape", {5, 5});
  EXPECT_THAT(wrong.error(), HasSubstr("kernel_shape [5,5] is not that of its weight, [3,3]"));
  Builder stride;
  stride.weight("w", {6, 3, 3, 3});
  set_ints(stride.node("Conv", {"x", "w"}), "strides", {0, 1});
  EXPECT_THAT(stride.error(), HasSubstr("strides is [0,1]"));
  Builder mode;
  mode.weight("w", {6, 3, 3, 3});
  set_string(mode.node("Conv", {"x", "w"}), "auto_pad", "SAME_LOWER");
  EXPECT_EQ(find_node(mode.import(), "n").get_string("auto_pad", ""), "same_lower");
}

TEST(OnnxGemm, DecomposesIntoFoldableSteps) {
  Builder builder;
  builder.weight("b", {4, 3});
  builder.weight("c", {4});
  NodeProto& proto = builder.node("Gemm", {"x", "b", "c"});
  set_int(proto, "transB", 1);
  set_float(proto, "alpha", 0.5F);
  set_float(proto, "beta", 2);
  const Graph graph = builder.import();
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.op);
  EXPECT_THAT(ops, ElementsAre("Transpose", "Mul", "Mul", "MatMul", "Add"));
  EXPECT_THAT(floats_of(graph, graph.nodes[1].inputs[1]), ElementsAre(0.5F));
  EXPECT_THAT(floats_of(graph, graph.nodes[2].inputs[1]), ElementsAre(2));
  Builder plain;
  plain.weight("b", {3, 4});
  plain.weight("c", {4});
  set_float(plain.node("Gemm", {"x", "b", "c"}), "beta", 0);
  EXPECT_EQ(plain.import().nodes.size(), 1u);
}

TEST(OnnxClip, BoundsAreAttributesBeforeSet11AndInputsAfter) {
  Builder old(10);
  NodeProto& proto = old.node("Clip", {"x"});
  set_float(proto, "min", 0);
  set_float(proto, "max", 6);
  EXPECT_EQ(find_node(old.import(), "n").get_float("max", 0), 6);
  Builder recent(11);
  recent.floats("max", {}, {6});
  recent.node("Clip", {"x", "", "max"});
  const Graph graph = recent.import();
  EXPECT_FALSE(find_node(graph, "n").has("min"));
  EXPECT_EQ(find_node(graph, "n").get_float("max", 0), 6);
  EXPECT_EQ(find_node(graph, "n").inputs.size(), 1u);
  Builder open(11);
  open.floats("min", {}, {-std::numeric_limits<float>::infinity()});
  open.floats("max", {}, {std::numeric_limits<float>::max()});
  open.node("Clip", {"x", "min", "max"});
  EXPECT_TRUE(find_node(open.import(), "n").attributes.empty());
  Builder computed(11);
  computed.node("Clip", {"x", "x"});
  EXPECT_EQ(find_node(computed.import(), "n").op, "Max");
  Builder both(11);
  both.floats("max", {}, {6});
  both.node("Clip", {"x", "x", "max"});
  EXPECT_EQ(find_node(both.import(), "n").op, "Min");
}

TEST(OnnxSlice, AttributesBeforeSet10AndInputsAfter) {
  Builder old(9);
  NodeProto& proto = old.node("Slice", {"x"});
  set_ints(proto, "starts", {0, 1});
  set_ints(proto, "ends", {1, 2});
  const Graph before = old.import();
  EXPECT_EQ(find_node(before, "n").get_ints("axes"), (Ints{0, 1}));
  EXPECT_EQ(find_node(before, "n").get_ints("steps"), (Ints{1, 1}));
  Builder recent(10);
  recent.ints("s", {0});
  recent.ints("e", {8});
  recent.ints("a", {2});
  recent.ints("t", {2});
  recent.node("Slice", {"x", "s", "e", "a", "t"});
  const Graph after = recent.import();
  EXPECT_EQ(find_node(after, "n").get_ints("axes"), (Ints{2}));
  EXPECT_EQ(find_node(after, "n").get_ints("steps"), (Ints{2}));
  EXPECT_EQ(find_node(after, "n").inputs.size(), 1u);
}

TEST(OnnxSlice, KeepsComputedBoundsAndFillsInAxes) {
  Builder builder;
  builder.ints("s", {0, 0});
  builder.ints("t", {1, 2});
  builder.node("Shape", {"x"}, "e");
  builder.node("Slice", {"x", "s", "e", "", "t"});
  const Graph graph = builder.import();
  const Node& slice = find_node(graph, "n");
  ASSERT_EQ(slice.inputs.size(), 5u);
  EXPECT_THAT(ints_of(graph, slice.inputs[3]), ElementsAre(0, 1));
  EXPECT_EQ(graph.value(slice.inputs[2]).dtype, DType::kInt);
  Builder contradictory;
  contradictory.ints("s", {0, 0});
  contradictory.ints("e", {1});
  contradictory.node("Slice", {"x", "s", "e"});
  EXPECT_THAT(contradictory.error(), HasSubstr("2 starts, 1 ends"));
}

TEST(OnnxPad, AttributesBeforeSet11AndInputsAfter) {
  Builder old(10);
  NodeProto& proto = old.node("Pad", {"x"});
  set_ints(proto, "pads", {0, 0, 1, 1, 0, 0, 1, 1});
  set_float(proto, "value", 2);
  EXPECT_EQ(find_node(old.import(), "n").get_float("value", 0), 2);
  Builder recent(11);
  recent.ints("p", {0, 0, 1, 1, 0, 0, 1, 1});
  recent.floats("v", {1}, {3});
  recent.node("Pad", {"x", "p", "v"});
  const Graph graph = recent.import();
  EXPECT_EQ(find_node(graph, "n").get_ints("pads"), (Ints{0, 0, 1, 1, 0, 0, 1, 1}));
  EXPECT_EQ(find_node(graph, "n").get_float("value", 0), 3);
  Builder axes(18);
  axes.ints("p", {1, 1});
  axes.ints("a", {2});
  axes.node("Pad", {"x", "p", "", "a"});
  EXPECT_EQ(find_node(axes.import(), "n").get_ints("axes"), (Ints{2}));
  Builder computed(18);
  computed.ints("p", {1, 1});
  computed.node("Shape", {"x"}, "s");
  computed.node("Pad", {"x", "p", "", "s"});
  EXPECT_THAT(computed.refusal(), HasSubstr("axes are computed"));
}

TEST(OnnxAttributes, MustBeFiniteAndPresent) {
  Builder leaky, pad(10);
  set_float(leaky.node("LeakyRelu", {"x"}), "alpha", std::nanf(""));
  EXPECT_THAT(leaky.error(), HasSubstr("alpha is not a finite number"));
  pad.node("Pad", {"x"});
  EXPECT_THAT(pad.error(), HasSubstr("pads is missing"));
}

TEST(OnnxSqueeze, AxesMoveToAnInputAtSet13) {
  for (const char* op : {"Squeeze", "Unsqueeze"}) {
    Builder old(11);
    set_ints(old.node(op, {"x"}), "axes", {0});
    EXPECT_EQ(find_node(old.import(), "n").get_ints("axes"), (Ints{0}));
    Builder recent(13);
    recent.ints("a", {0});
    recent.node(op, {"x", "a"});
    EXPECT_EQ(find_node(recent.import(), "n").get_ints("axes"), (Ints{0}));
  }
  Builder all(13);
  all.node("Squeeze", {"x"});
  EXPECT_FALSE(find_node(all.import(), "n").has("axes"));
}

TEST(OnnxReduce, AxesMoveToAnInputAtSet13ForSumsAnd18ForMeans) {
  Builder mean(13);
  set_ints(mean.node("ReduceMean", {"x"}), "axes", {2, 3});
  EXPECT_EQ(find_node(mean.import(), "n").get_ints("axes"), (Ints{2, 3}));
  Builder sum(13);
  sum.ints("a", {1});
  set_int(sum.node("ReduceSum", {"x", "a"}), "keepdims", 0);
  const Graph graph = sum.import();
  EXPECT_EQ(find_node(graph, "n").get_ints("axes"), (Ints{1}));
  EXPECT_EQ(find_node(graph, "n").get_int("keepdims", 1), 0);
  Builder none(18);
  set_int(none.node("ReduceMean", {"x"}), "noop_with_empty_axes", 1);
  EXPECT_EQ(find_node(none.import(), "n").op, "Identity");
  Builder squares(18);
  set_int(squares.node("ReduceSumSquare", {"x"}), "noop_with_empty_axes", 1);
  EXPECT_EQ(find_node(squares.import(), "n").op, "Square");
}

TEST(OnnxSoftmax, IsJointBeforeSet13) {
  Builder old(12), recent(13);
  old.node("Softmax", {"x"});
  recent.node("Softmax", {"x"});
  const Graph before = old.import(), after = recent.import();
  EXPECT_EQ(find_node(before, "n").get_int("axis", 9), 1);
  EXPECT_EQ(find_node(before, "n").get_int("joint", 0), 1);
  EXPECT_EQ(find_node(after, "n").get_int("axis", 9), -1);
  EXPECT_EQ(find_node(after, "n").get_int("joint", 0), 0);
}

TEST(OnnxBatchNorm, ReadsEpsilonAndRefusesTraining) {
  Builder builder;
  for (const char* name : {"s", "b", "m", "v"}) builder.weight(name, {3});
  NodeProto& proto = builder.node("BatchNormalization", {"x", "s", "b", "m", "v"});
  EXPECT_FLOAT_EQ(static_cast<float>(find_node(builder.import(), "n").get_float("epsilon", 0)), 1e-5F);
  proto.add_output("mean");
  EXPECT_EQ(builder.refusal(), "supported");  // named, and read by nobody
  builder.graph().add_output()->set_name("mean");
  EXPECT_THAT(builder.refusal(), HasSubstr("its output 1 is read"));
  builder.graph().mutable_output()->RemoveLast();
  set_int(proto, "training_mode", 1);
  EXPECT_THAT(builder.refusal(), HasSubstr("training_mode=1"));
}

TEST(OnnxPools, ReadTheirWindowsAndGlobalForms) {
  Builder builder;
  NodeProto& proto = builder.node("AveragePool", {"x"});
  set_ints(proto, "kernel_shape", {3, 2});
  set_int(proto, "count_include_pad", 1);
  set_int(proto, "ceil_mode", 1);
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "n").get_ints("kernel"), (Ints{3, 2}));
  EXPECT_EQ(find_node(graph, "n").get_int("count_include_pad", 0), 1);
  EXPECT_EQ(find_node(graph, "n").get_int("ceil_mode", 0), 1);
  Builder average, maximum, none;
  average.node("GlobalAveragePool", {"x"});
  EXPECT_EQ(find_node(average.import(), "n").get_int("spatial", 0), 1);
  maximum.node("GlobalMaxPool", {"x"});
  EXPECT_EQ(find_node(maximum.import(), "n").get_int("global", 0), 1);
  none.node("MaxPool", {"x"});
  EXPECT_THAT(none.error(), HasSubstr("kernel_shape is missing"));
}

TEST(OnnxConv, TurnsWeightsOfAnyRank) {
  Builder line, volume, transposed;
  line.weight("w", {6, 3, 3});
  line.node("Conv", {"x", "w"});
  EXPECT_EQ(find_node(line.import(), "n/weight").get_ints("perm"), (Ints{2, 1, 0}));
  EXPECT_EQ(find_node(line.import(), "n").get_ints("strides"), (Ints{1}));
  volume.weight("w", {6, 3, 1, 2, 3});
  volume.node("Conv", {"x", "w"});
  EXPECT_EQ(find_node(volume.import(), "n/weight").get_ints("perm"), (Ints{2, 3, 4, 1, 0}));
  transposed.weight("w", {3, 6, 2, 2});
  NodeProto& proto = transposed.node("ConvTranspose", {"x", "w"});
  set_ints(proto, "strides", {2, 2});
  set_ints(proto, "output_padding", {1, 0});
  set_ints(proto, "output_shape", {1, 6, 17, 16});
  const Graph graph = transposed.import();
  EXPECT_EQ(find_node(graph, "n/weight").get_ints("perm"), (Ints{2, 3, 1, 0}));
  EXPECT_EQ(find_node(graph, "n").get_ints("output_padding"), (Ints{1, 0}));
  EXPECT_EQ(find_node(graph, "n").get_ints("output_shape"), (Ints{17, 16}));
}

TEST(OnnxSplit, GivesEachResultThatIsRead) {
  Builder sizes;
  sizes.ints("sizes", {2, 5, 1});
  NodeProto& split = sizes.node("Split", {"x", "sizes"}, "a");
  split.add_output("b");
  split.add_output("y");
  set_int(split, "axis", 2);
  const Graph graph = sizes.import();
  const Node& last = graph.nodes.back();
  EXPECT_EQ(last.op, "Slice");
  EXPECT_EQ(last.get_ints("starts"), (Ints{7}));
  EXPECT_EQ(last.get_ints("ends"), (Ints{8}));
  EXPECT_EQ(graph.nodes.size(), 1u) << "what nobody reads is not computed";
  Builder equal(18);
  NodeProto& parts = equal.node("Split", {"x"});
  parts.add_output("z");
  set_int(parts, "num_outputs", 2);
  equal.graph().add_output()->set_name("z");
  const Graph halves = equal.import();
  ASSERT_EQ(halves.outputs.size(), 2u);
  EXPECT_EQ(halves.nodes[1].op, "Part");
  EXPECT_EQ(halves.nodes[1].get_int("index", 0), 1);
  EXPECT_EQ(halves.nodes[1].get_int("equal", 9), 0);
  EXPECT_EQ(halves.value(halves.outputs[1]).name, "z");
}

TEST(OnnxTopK, HasTwoResults) {
  Builder builder;
  builder.ints("k", {3});
  builder.node("TopK", {"x", "k"}).add_output("indices");
  builder.graph().add_output()->set_name("indices");
  const Graph graph = builder.import();
  EXPECT_EQ(graph.nodes.back().outputs, graph.outputs);
  EXPECT_EQ(graph.value(graph.outputs[1]).dtype, DType::kInt);
  EXPECT_EQ(graph.value(graph.outputs[1]).name, "indices");
}

TEST(OnnxResize, ReadsScalesAndSizesWhereverTheyStand) {
  Builder old(10), scales(13), sizes(13), crop(13);
  old.floats("s", {4}, {1, 1, 2, 2});
  old.node("Resize", {"x", "s"});
  EXPECT_EQ(find_node(old.import(), "n").get_string("coordinate_mode", ""), "asymmetric");
  EXPECT_EQ(find_node(old.import(), "n").get_string("nearest_mode", ""), "floor");
  scales.floats("s", {4}, {1, 1, 2, 2});
  scales.node("Resize", {"x", "", "s"});
  EXPECT_EQ(find_node(scales.import(), "n").inputs.size(), 2u);
  sizes.floats("none", {0}, {});
  sizes.ints("to", {1, 3, 5, 6});
  set_string(sizes.node("Resize", {"x", "none", "none", "to"}), "mode", "linear");
  const Graph graph = sizes.import();
  EXPECT_EQ(ints_of(graph, find_node(graph, "n").inputs[1]), (Ints{1, 3, 5, 6}));
  crop.ints("to", {1, 3, 5, 6});
  set_string(crop.node("Resize", {"x", "", "", "to"}), "coordinate_transformation_mode", "tf_crop_and_resize");
  EXPECT_THAT(crop.refusal(), HasSubstr("Crop with a slice"));
}

TEST(OnnxRecurrent, IsALayerForEachDirection) {
  Builder builder(14);
  builder.input("s", {5, 2, 3});
  builder.weight("w", {2, 16, 3});
  builder.weight("r", {2, 16, 4});
  builder.weight("b", {2, 32});
  builder.weight("c0", {2, 2, 4});
  NodeProto& proto = builder.node("LSTM", {"s", "w", "r", "b", "", "", "c0"});
  set_string(proto, "direction", "bidirectional");
  set_int(proto, "hidden_size", 4);
  proto.add_output("h");
  builder.graph().add_output()->set_name("h");
  const Graph graph = builder.import();
  const Node &forward = find_node(graph, "n/direction_0"), &backward = find_node(graph, "n/direction_1");
  EXPECT_EQ(forward.op, "Lstm");
  EXPECT_EQ(forward.get_int("reverse", 9), 0);
  EXPECT_EQ(backward.get_int("reverse", 9), 1);
  EXPECT_EQ(forward.inputs.size(), 6u) << "c0 stands behind an h0 of zeros";
  EXPECT_EQ(forward.outputs.size(), 3u);
  ASSERT_EQ(graph.outputs.size(), 2u);
  EXPECT_EQ(find_node(graph, "n").op, "Concat");
  EXPECT_EQ(find_node(graph, "n/1").op, "Concat");
  set_float(proto, "clip", 1);
  EXPECT_THAT(builder.refusal(), HasSubstr("clip is not supported"));
}

TEST(OnnxRecurrent, NeedsTheWholeLengthAndKnownActivations) {
  for (int64_t length : {5, 4}) {
    Builder builder(14);
    builder.input("s", {5, 2, 3});
    builder.weight("w", {1, 4, 3});
    builder.weight("r", {1, 4, 4});
    builder.ints("lengths", {5, length});
    builder.node("RNN", {"s", "w", "r", "", "lengths"});
    EXPECT_THAT(builder.refusal(), HasSubstr(length == 5 ? "supported" : "a length is secret"));
  }
  Builder odd(14);
  odd.weight("w", {1, 4, 3});
  odd.weight("r", {1, 4, 4});
  AttributeProto& names = attribute(odd.node("RNN", {"x", "w", "r"}), "activations", AttributeProto::STRINGS);
  names.add_strings("Affine");
  EXPECT_THAT(odd.refusal(), HasSubstr("activation Affine is not supported"));
}

TEST(OnnxPow, NamesWhatAConstantExponentIs) {
  const auto op = [](float exponent) {
    Builder builder;
    builder.floats("e", {}, {exponent});
    builder.node("Pow", {"x", "e"});
    return find_node(builder.import(), "n").op;
  };
  EXPECT_EQ(op(1), "Identity");
  EXPECT_EQ(op(2), "Square");
  EXPECT_EQ(op(0.5), "Sqrt");
  EXPECT_EQ(op(-0.5), "Rsqrt");
  EXPECT_EQ(op(-1), "Reciprocal");
  EXPECT_EQ(op(3), "Pow");
  Builder base, computed;
  base.floats("b", {}, {2});
  base.node("Pow", {"b", "x"});
  EXPECT_EQ(find_node(base.import(), "n").op, "Exp");
  computed.node("Pow", {"x", "x"});
  EXPECT_EQ(find_node(computed.import(), "n").inputs.size(), 2u);
}

TEST(OnnxConstant, ReadsEveryFormOfValue) {
  const auto constant = [](auto&& fill) {
    Builder builder;
    fill(builder.node("Constant", {}, "c"));
    builder.node("Add", {"x", "c"});
    Graph graph = builder.import();
    const ValueId id = graph.nodes[0].inputs[1];
    return *graph.constant(id);
  };
  EXPECT_EQ(shape_of(constant([](NodeProto& node) { set_float(node, "value_float", 2); })), Shape{});
  EXPECT_EQ(std::get<IntTensor>(constant([](NodeProto& node) {
              set_ints(node, "value_ints", {1, 2});
            })).values,
            (Ints{1, 2}));
  EXPECT_EQ(std::get<IntTensor>(constant([](NodeProto& node) { set_int(node, "value_int", 5); })).values, (Ints{5}));
  const Constant floats =
      constant([](NodeProto& node) { attribute(node, "value_floats", AttributeProto::FLOATS).add_floats(1.5F); });
  EXPECT_EQ(shape_of(floats), Shape{1});
  const Constant tensor = constant([](NodeProto& node) {
    TensorProto& stored = *attribute(node, "value", AttributeProto::TENSOR).mutable_t();
    Builder::set(stored, "", TensorProto::FLOAT, {1, 1}).add_float_data(4);
  });
  EXPECT_EQ(shape_of(tensor), (Shape{1, 1}));
}

TEST(OnnxConstant, OfShapeHasTheTypeOfItsValue) {
  Builder floats, ints;
  floats.ints("s", {2});
  floats.node("ConstantOfShape", {"s"});
  EXPECT_EQ(floats.import().value(floats.import().outputs[0]).dtype, DType::kFloat);
  ints.ints("s", {2});
  NodeProto& proto = ints.node("ConstantOfShape", {"s"});
  TensorProto& value = *attribute(proto, "value", AttributeProto::TENSOR).mutable_t();
  Builder::set(value, "", TensorProto::INT64, {1}).add_int64_data(7);
  const Graph graph = ints.import();
  EXPECT_EQ(graph.value(graph.outputs[0]).dtype, DType::kInt);
  EXPECT_EQ(find_node(graph, "n").get_int("value", 0), 7);
}

TEST(OnnxSum, AddsAnyNumberOfTerms) {
  Builder three, one;
  three.node("Sum", {"x", "x", "x"});
  EXPECT_EQ(three.import().nodes.size(), 2u);
  one.node("Sum", {"x"});
  EXPECT_EQ(find_node(one.import(), "n").op, "Identity");
}

TEST(OnnxIdentity, VanishesExceptAtAnOutput) {
  Builder builder;
  builder.node("Identity", {"x"}, "same");
  builder.node("Dropout", {"same"}, "dropped").add_output("mask");
  builder.node("Relu", {"dropped"});
  const Graph graph = builder.import();
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].inputs[0], graph.inputs[0]);
}

TEST(OnnxShape, ComputesShapesAsIntegers) {
  Builder builder(15);
  set_int(builder.node("Shape", {"x"}, "s"), "start", 1);
  builder.ints("i", {0});
  builder.node("Gather", {"s", "i"}, "g");
  set_int(builder.node("Cast", {"g"}), "to", TensorProto::FLOAT);
  const Graph graph = builder.import();
  EXPECT_EQ(find_node(graph, "s").get_int("start", 0), 1);
  EXPECT_EQ(graph.value(find_node(graph, "g").outputs[0]).dtype, DType::kInt);
  EXPECT_EQ(graph.value(graph.outputs[0]).dtype, DType::kFloat);
}

// --- External data ---------------------------------------------------------------------------------------------------

// external_model is x + w with w of `dims` in another file.
std::string external_model(const Ints& dims, const std::vector<std::pair<std::string, std::string>>& entries) {
  onnx_format::ModelProto model;
  model.add_opset_import()->set_version(13);
  auto& graph = *model.mutable_graph();
  auto* x = graph.add_input();
  x->set_name("x");
  x->mutable_type()->mutable_tensor_type()->set_elem_type(TensorProto::FLOAT);
  auto* node = graph.add_node();
  node->set_op_type("Add");
  node->add_input("x");
  node->add_input("w");
  node->add_output("y");
  graph.add_output()->set_name("y");
  TensorProto& w = *graph.add_initializer();
  w.set_name("w");
  w.set_data_type(TensorProto::FLOAT);
  for (int64_t dim : dims) w.add_dims(dim);
  w.set_data_location(TensorProto::EXTERNAL);
  for (const auto& [key, value] : entries) {
    auto* entry = w.add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
  return model.SerializeAsString();
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::vector<float> weight_of(const std::filesystem::path& path) {
  const Graph graph = import_model(path);
  return floats_of(graph, graph.nodes.at(0).inputs.at(1));
}

TEST(OnnxExternalData, IsReadAtItsPlaceInItsFile) {
  const TempFolder folder(
      Files{{"all.onnx", external_model({2}, {{"location", "w.bin"}})},
            {"part.onnx", external_model({1, 2}, {{"location", "in/w.bin"}, {"offset", "8"}, {"length", "8"}})},
            {"w.bin", floats({1, 2})},
            {"in/w.bin", floats({0, 0, 3, 4, 5})}});
  EXPECT_THAT(weight_of(folder.path() / "all.onnx"), ElementsAre(1, 2));
  EXPECT_THAT(weight_of(folder.path() / "part.onnx"), ElementsAre(3, 4));
}

TEST(OnnxExternalData, SaysWhatIsWrong) {
  const auto error_of = [](const Ints& dims, const std::vector<std::pair<std::string, std::string>>& entries) {
    const TempFolder folder(Files{{"m.onnx", external_model(dims, entries)}, {"w.bin", floats({1, 2})}});
    return user_error([&] { import_model(folder.path() / "m.onnx"); });
  };
  EXPECT_THAT(error_of({2}, {{"location", "gone.bin"}}), HasSubstr("\"gone.bin\" is missing"));
  EXPECT_THAT(error_of({2}, {}), HasSubstr("not inside the model's folder"));
  EXPECT_THAT(error_of({2}, {{"location", "../w.bin"}}), HasSubstr("not inside the model's folder"));
  EXPECT_THAT(error_of({2}, {{"location", "/etc/hosts"}}), HasSubstr("not inside the model's folder"));
  EXPECT_THAT(error_of({3}, {{"location", "w.bin"}}), HasSubstr("which has 8 bytes"));
  EXPECT_THAT(error_of({2}, {{"location", "w.bin"}, {"offset", "4"}}), HasSubstr("which has 8 bytes"));
  EXPECT_THAT(error_of({2}, {{"location", "w.bin"}, {"offset", "-4"}}), HasSubstr("is no offset"));
  EXPECT_THAT(error_of({2}, {{"location", "w.bin"}, {"length", "4"}}), HasSubstr("takes 8 bytes"));
  EXPECT_THAT(error_of({int64_t{1} << 40, int64_t{1} << 40}, {{"location", "w.bin"}}), HasSubstr("too many elements"));
  EXPECT_THAT(error_of({int64_t{1} << 50}, {{"location", "w.bin"}}), HasSubstr("which has 8 bytes"));
}

TEST(OnnxExternalData, MayLieBeyondTwoGibibytes) {
  constexpr int64_t kOffset = (int64_t{5} << 30) + 4;
  const TempFolder folder(Files{
      {"m.onnx", external_model({2}, {{"location", "w.bin"}, {"offset", std::to_string(kOffset)}, {"length", "8"}})},
      {"w.bin", ""}});
  std::error_code error;
  std::filesystem::resize_file(folder.path() / "w.bin", kOffset, error);  // a hole, no disk
  if (error) GTEST_SKIP() << "no sparse files here: " << error.message();
  std::ofstream(folder.path() / "w.bin", std::ios::binary | std::ios::app) << floats({6, 7});
  EXPECT_THAT(weight_of(folder.path() / "m.onnx"), ElementsAre(6, 7));
}

}  // namespace
}  // namespace treville::import
