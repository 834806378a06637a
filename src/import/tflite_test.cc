// TensorFlow Lite files, written by hand here: names, quantisation, activations that a converter left to saturation,
// what is refused, and files that contradict themselves. Files of the real converter are in test/tflite_test.cc.
#include "import/tflite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tflite_format_generated.h>

#include <map>

#include "import/import.h"
#include "import/test_support.h"

namespace treville::import {
namespace {

namespace format = tflite_format;
using format::BuiltinOperator;
using format::BuiltinOptions;
using format::TensorType;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Quantisation {
  std::vector<float> scales;
  std::vector<int64_t> zeros;
  int axis = 0;
  int details = 0;
};

// FileBuilder writes one model: tensors, then operators, then finish.
class FileBuilder {
 public:
  FileBuilder() { buffers_.push_back(format::CreateBuffer(b_)); }

  int tensor(const std::string& name, std::vector<int> shape, TensorType type = TensorType::FLOAT32,
             Quantisation quantisation = {}, uint32_t buffer = 0) {
    const auto dims = b_.CreateVector(shape);
    const auto text = b_.CreateString(name);
    flatbuffers::Offset<format::QuantizationParameters> q;
    if (!quantisation.scales.empty()) {
      const auto scales = b_.CreateVector(quantisation.scales);
      const auto zeros = b_.CreateVector(quantisation.zeros);
      format::QuantizationParametersBuilder builder(b_);
      builder.add_scale(scales);
      builder.add_zero_point(zeros);
      builder.add_quantized_dimension(quantisation.axis);
      builder.add_details_type(static_cast<uint8_t>(quantisation.details));
      q = builder.Finish();
    }
    format::TensorBuilder builder(b_);
    builder.add_shape(dims);
    builder.add_type(type);
    builder.add_buffer(buffer);
    builder.add_name(text);
    builder.add_quantization(q);
    if (is_next_sparse_) builder.add_sparsity(sparsity_);
    is_next_sparse_ = false;
    tensors_.push_back(builder.Finish());
    return static_cast<int>(tensors_.size()) - 1;
  }

  template <class T>
  uint32_t buffer(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
    buffers_.push_back(format::CreateBuffer(b_, b_.CreateVector(bytes, values.size() * sizeof(T))));
    return static_cast<uint32_t>(buffers_.size()) - 1;
  }
  // far_buffer says that the data stands at an offset of the file.
  uint32_t far_buffer(uint64_t offset, uint64_t size) {
    buffers_.push_back(format::CreateBuffer(b_, 0, offset, size));
    return static_cast<uint32_t>(buffers_.size()) - 1;
  }

  template <class T>
  int constant(const std::string& name, std::vector<int> shape, TensorType type, const std::vector<T>& values,
               Quantisation quantisation = {}) {
    return tensor(name, std::move(shape), type, std::move(quantisation), buffer(values));
  }

  void next_is_sparse() {
    sparsity_ = format::CreateSparsityParameters(b_);
    is_next_sparse_ = true;
  }

  void op(BuiltinOperator code, std::vector<int> inputs, std::vector<int> outputs,
          BuiltinOptions type = BuiltinOptions::NONE, flatbuffers::Offset<void> options = 0,
          const std::string& custom = "") {
    const auto name = custom.empty() ? flatbuffers::Offset<flatbuffers::String>() : b_.CreateString(custom);
    const auto old = static_cast<int8_t>(std::min(static_cast<int>(code), 127));
    codes_.push_back(format::CreateOperatorCode(b_, old, name, 1, code));
    operators_.push_back(format::CreateOperator(b_, static_cast<uint32_t>(codes_.size()) - 1, b_.CreateVector(inputs),
                                                b_.CreateVector(outputs), type, options));
  }

  void add(int a, int b, int y, format::ActivationFunctionType activation = format::ActivationFunctionType::NONE) {
    op(BuiltinOperator::ADD, {a, b}, {y}, BuiltinOptions::AddOptions, format::CreateAddOptions(b_, activation).Union());
  }

  void signature(const std::map<std::string, uint32_t>& inputs, const std::map<std::string, uint32_t>& outputs) {
    signatures_.push_back(
        format::CreateSignatureDef(b_, maps_of(inputs), maps_of(outputs), b_.CreateString("serving_default"), 0));
  }

  std::string finish(const std::vector<int>& inputs, const std::vector<int>& outputs, uint32_t version = 3) {
    const auto graph =
        format::CreateSubGraph(b_, b_.CreateVector(tensors_), b_.CreateVector(inputs), b_.CreateVector(outputs),
                               b_.CreateVector(operators_), b_.CreateString("main"));
    const auto graphs = b_.CreateVector(std::vector{graph});
    b_.Finish(format::CreateModel(b_, version, b_.CreateVector(codes_), graphs, b_.CreateString("by hand"),
                                  b_.CreateVector(buffers_), b_.CreateVector(signatures_)),
              format::ModelIdentifier());
    return std::string(reinterpret_cast<const char*>(b_.GetBufferPointer()), b_.GetSize());
  }

  flatbuffers::FlatBufferBuilder& builder() { return b_; }

 private:
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<format::TensorMap>>> maps_of(
      const std::map<std::string, uint32_t>& names) {
    std::vector<flatbuffers::Offset<format::TensorMap>> maps;
    for (const auto& [name, index] : names) {
      maps.push_back(format::CreateTensorMap(b_, b_.CreateString(name), index));
    }
    return b_.CreateVector(maps);
  }

  flatbuffers::FlatBufferBuilder b_;
  std::vector<flatbuffers::Offset<format::Buffer>> buffers_;
  std::vector<flatbuffers::Offset<format::Tensor>> tensors_;
  std::vector<flatbuffers::Offset<format::OperatorCode>> codes_;
  std::vector<flatbuffers::Offset<format::Operator>> operators_;
  std::vector<flatbuffers::Offset<format::SignatureDef>> signatures_;
  flatbuffers::Offset<format::SparsityParameters> sparsity_;
  bool is_next_sparse_ = false;
};

ImportResult inspect(const std::string& bytes, const ImportOptions& options = {}) {
  const TempFile file(".tflite", bytes);
  return inspect_model(file.path(), options);
}

Graph import_bytes(const std::string& bytes, const ImportOptions& options = {}) {
  const TempFile file(".tflite", bytes);
  return import_model(file.path(), options);
}

std::string error_of(const std::string& bytes) {
  return user_error([&] { import_bytes(bytes); });
}

// sum_file is y = x + c.
std::string sum_file(FileBuilder& f, int constant) {
  const int x = f.tensor("x", {2}), y = f.tensor("y", {2});
  f.add(x, constant, y);
  return f.finish({x}, {y});
}

TEST(Tflite, TheFirstOfJoinedNamesIsUsedAndNamesAreUnique) {
  FileBuilder f;
  const int x = f.tensor("x", {2}), a = f.tensor("layer/Relu;layer/MatMul", {2}), b = f.tensor("layer/Relu;other", {2});
  const int c = f.tensor("", {2});
  f.add(x, x, a, format::ActivationFunctionType::RELU);
  f.add(a, a, b);
  f.add(b, b, c);
  const Graph graph = import_bytes(f.finish({x}, {a, b, c}));
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("layer/Relu", "layer/Relu;other", ":3"));
  EXPECT_EQ(find_node(graph, "layer/Relu").op, "Relu");
  EXPECT_EQ(find_node(graph, "layer/Relu/linear").op, "Add");
  EXPECT_EQ(graph.format, "tflite");
}

TEST(Tflite, ASignatureNamesInputsAndOutputs) {
  FileBuilder f;
  const int x = f.tensor("serving_default_x:0", {2}), y = f.tensor("PartitionedCall:0", {2});
  f.add(x, x, y);
  f.signature({{"image", 0}}, {{"scores", 1}});
  const std::string bytes = f.finish({x}, {y});
  const Graph graph = import_bytes(bytes);
  EXPECT_THAT(names_of(graph, graph.inputs), ElementsAre("image"));
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("scores"));
}

TEST(Tflite, OutputsAreChosenByNameAndDeadInputsAreLeftOut) {
  FileBuilder f;
  const int x = f.tensor("x", {2}), unread = f.tensor("unread", {2}), y = f.tensor("y", {2}), z = f.tensor("z", {2});
  f.add(x, x, y);
  f.add(y, unread, z);
  const std::string bytes = f.finish({x, unread}, {z});
  const Graph graph = import_bytes(bytes, {.batch = {}, .input_shapes = {}, .outputs = {"y"}});
  EXPECT_THAT(names_of(graph, graph.inputs), ElementsAre("x"));
  EXPECT_THAT(names_of(graph, graph.outputs), ElementsAre("y"));
  EXPECT_THAT(user_error([&] { import_bytes(bytes, {.batch = {}, .input_shapes = {}, .outputs = {"yy"}}); }),
              HasSubstr("no tensor \"yy\" to compute; did you mean 'y'?"));
}

TEST(Tflite, WeightsAreDequantisedPerTensorAndPerChannel) {
  FileBuilder f;
  const int c = f.constant<int8_t>("c", {2}, TensorType::INT8, {-1, 3}, {{0.5}, {1}});
  Graph graph = import_bytes(sum_file(f, c));
  EXPECT_EQ(floats_of(graph, find_node(graph, "y").inputs[1]), (std::vector<float>{-1, 1}));

  // Channels along the first of two dimensions, with the zero point written once.
  FileBuilder channels;
  const int m = channels.constant<int8_t>("m", {2, 3}, TensorType::INT8, {1, 2, 3, 4, 5, 6}, {{2, 0.5}, {0}, 0});
  graph = import_bytes(sum_file(channels, m));
  EXPECT_EQ(floats_of(graph, find_node(graph, "y").inputs[1]), (std::vector<float>{2, 4, 6, 2, 2.5, 3}));

  FileBuilder bias;
  const int b = bias.constant<int32_t>("b", {2}, TensorType::INT32, {1 << 20, -3}, {{0.25}, {0}});
  graph = import_bytes(sum_file(bias, b));
  EXPECT_EQ(floats_of(graph, find_node(graph, "y").inputs[1]), (std::vector<float>{1 << 18, -0.75}));

  FileBuilder small;
  const int four = small.constant<uint8_t>("w", {3}, TensorType::INT4, {0xF7, 0x08}, {{1}, {0}});
  graph = import_bytes(sum_file(small, four));
  EXPECT_EQ(floats_of(graph, find_node(graph, "y").inputs[1]), (std::vector<float>{7, -1, -8}));
}

TEST(Tflite, HalfPrecisionWeightsBecomeFloats) {
  FileBuilder f;
  const int c = f.constant<uint16_t>("c", {2}, TensorType::FLOAT16, {0x3C00, 0xC000});
  const Graph graph = import_bytes(sum_file(f, c));
  EXPECT_EQ(floats_of(graph, find_node(graph, "y").inputs[1]), (std::vector<float>{1, -2}));
}

// scaled_sum is y = x + x with quantised ends.
Graph scaled_sum(TensorType type, Quantisation in, Quantisation out,
                 format::ActivationFunctionType activation = format::ActivationFunctionType::NONE) {
  FileBuilder f;
  const int x = f.tensor("x", {2}, type, std::move(in)), y = f.tensor("y", {2}, type, std::move(out));
  f.add(x, x, y, activation);
  return import_bytes(f.finish({x}, {y}));
}

TEST(Tflite, ScaleAndZeroPointDeclareRanges) {
  const Graph bytes = scaled_sum(TensorType::UINT8, {{0.5}, {10}}, {{1}, {128}});
  const auto range = bytes.value(bytes.inputs[0]).declared_range;
  ASSERT_TRUE(range);
  EXPECT_EQ(range->low, -5);
  EXPECT_EQ(range->high, 122.5);
  EXPECT_EQ(bytes.value(bytes.inputs[0]).dtype, DType::kFloat);
  EXPECT_EQ(bytes.value(bytes.outputs[0]).declared_range->low, -128);
  const Graph words = scaled_sum(TensorType::INT16, {{0.25}, {0}}, {{1}, {0}});
  EXPECT_EQ(words.value(words.inputs[0]).declared_range->low, -8192);
  const Graph floats = scaled_sum(TensorType::FLOAT32, {}, {});
  EXPECT_FALSE(floats.value(floats.inputs[0]).declared_range);
}

TEST(Tflite, AnActivationLeftToSaturationIsWrittenOut) {
  const Quantisation any = {{0.1F}, {0}};  // of int8: about -13 to 13
  const auto op_of_output = [](const Graph& graph) { return find_node(graph, "y").op; };
  EXPECT_EQ(op_of_output(scaled_sum(TensorType::INT8, any, {{0.1F}, {-128}})), "Relu");
  const Graph six = scaled_sum(TensorType::INT8, any, {{6.0F / 255}, {-128}});
  EXPECT_EQ(op_of_output(six), "Clip");
  EXPECT_NEAR(find_node(six, "y").get_float("max", 0), 6, 1e-6);
  EXPECT_EQ(op_of_output(scaled_sum(TensorType::INT8, any, {{0.1F}, {-127}})), "Add");
  // Of two operands that cannot be negative the sum cannot either.
  EXPECT_EQ(op_of_output(scaled_sum(TensorType::INT8, {{0.1F}, {-128}}, {{0.1F}, {-128}})), "Add");
  EXPECT_EQ(op_of_output(scaled_sum(TensorType::INT8, any, {{0.1F}, {-128}}, format::ActivationFunctionType::RELU6)),
            "Clip");
}

TEST(Tflite, QuantiseGivesAFloatInputTheRangeOfItsResult) {
  FileBuilder f;
  const int x = f.tensor("x", {2}), q = f.tensor("q", {2}, TensorType::INT8, {{0.5}, {0}}), y = f.tensor("y", {2});
  f.op(BuiltinOperator::QUANTIZE, {x}, {q});
  f.op(BuiltinOperator::DEQUANTIZE, {q}, {y});
  const Graph graph = import_bytes(f.finish({x}, {y}));
  EXPECT_EQ(graph.value(graph.inputs[0]).declared_range->high, 63.5);
}

TEST(Tflite, AnImageOfBytesThatTheModelCastsIsAFloatInput) {
  FileBuilder f;
  const int x = f.tensor("x", {2}, TensorType::UINT8), y = f.tensor("y", {2});
  f.op(BuiltinOperator::CAST, {x}, {y}, BuiltinOptions::CastOptions,
       format::CreateCastOptions(f.builder(), TensorType::UINT8, TensorType::FLOAT32).Union());
  const Graph graph = import_bytes(f.finish({x}, {y}));
  EXPECT_EQ(graph.value(graph.inputs[0]).dtype, DType::kFloat);
  EXPECT_EQ(graph.value(graph.inputs[0]).declared_range->high, 255);
}

TEST(Tflite, DataMayStandBehindTheFlatBuffer) {
  FileBuilder f;
  constexpr uint64_t kAt = 4096;
  const int c = f.tensor("c", {2}, TensorType::FLOAT32, {}, f.far_buffer(kAt, 8));
  std::string bytes = sum_file(f, c);
  ASSERT_LT(bytes.size(), kAt);
  bytes.resize(kAt);
  const float values[] = {3, -4};
  bytes.append(reinterpret_cast<const char*>(values), sizeof(values));
  const Graph graph = import_bytes(bytes);
  EXPECT_EQ(floats_of(graph, find_node(graph, "y").inputs[1]), (std::vector<float>{3, -4}));
  bytes.pop_back();
  EXPECT_THAT(error_of(bytes), HasSubstr("ends behind the file"));
}

TEST(Tflite, AllUnsupportedOperatorsAreListedWithAdvice) {
  FileBuilder f;
  const int x = f.tensor("x", {2}), a = f.tensor("a", {2}), b = f.tensor("b", {2}), c = f.tensor("c", {2});
  f.op(BuiltinOperator::CUSTOM, {x}, {a}, BuiltinOptions::NONE, 0, "TFLite_Detection_PostProcess");
  f.op(BuiltinOperator::CUMSUM, {a}, {b});
  f.op(BuiltinOperator::WHILE, {b}, {c});
  const std::string message = error_of(f.finish({x}, {c}));
  EXPECT_THAT(message, AllOf(HasSubstr("3 nodes are not supported"),
                             HasSubstr("node \"a\" (TFLite_Detection_PostProcess): custom operators are not supported"),
                             HasSubstr("node \"b\" (CUMSUM): not supported"),
                             HasSubstr("node \"c\" (WHILE): control flow is not supported")));
}

TEST(Tflite, SparseAndBlockwiseTensorsAreRefusedWhereTheyAreRead) {
  FileBuilder f;
  f.next_is_sparse();
  const int c = f.constant<float>("c", {2}, TensorType::FLOAT32, {1, 2});
  EXPECT_THAT(error_of(sum_file(f, c)), HasSubstr("node \"y\" (ADD): tensor \"c\": sparse weights"));
  FileBuilder blocks;
  const int w = blocks.constant<int8_t>("w", {2}, TensorType::INT8, {1, 2}, {{1}, {0}, 0, 1});
  EXPECT_THAT(error_of(sum_file(blocks, w)), HasSubstr("tensor \"w\": its kind of quantisation"));
  FileBuilder text;
  const int s = text.constant<uint8_t>("s", {2}, TensorType::STRING, {1, 2});
  EXPECT_THAT(error_of(sum_file(text, s)), HasSubstr("element type STRING is not supported"));
}

TEST(Tflite, FilesThatContradictThemselvesAreDamaged) {
  const auto damaged = [](const std::string& bytes, const std::string& what) {
    EXPECT_THAT(error_of(bytes), AllOf(HasSubstr(what), HasSubstr("damaged")));
  };
  damaged(std::string("\x1c\0\0\0TFL3", 8) + std::string(512, '\0'), "not a TensorFlow Lite model");
  damaged("no model at all", "not a TensorFlow Lite model");
  {
    FileBuilder f;
    const int x = f.tensor("x", {2});
    f.op(BuiltinOperator::RELU, {x}, {7});
    damaged(f.finish({x}, {x}), "an output of RELU is tensor 7 of 1");
  }
  {
    FileBuilder f;
    const int x = f.tensor("x", {2});
    damaged(f.finish({x}, {-1}), "an output of the model is tensor -1 of 1");
  }
  {
    FileBuilder f;
    const int c = f.constant<float>("c", {3}, TensorType::FLOAT32, {1, 2});
    damaged(sum_file(f, c), "expected 3 elements of 4 bytes");
  }
  {
    FileBuilder f;
    const int c = f.constant<int8_t>("c", {2}, TensorType::INT8, {1, 2}, {{1, 2, 3}, {0, 0, 0}});
    damaged(sum_file(f, c), "3 scales along dimension 0 of shape [2]");
  }
  {
    FileBuilder f;
    const int c = f.constant<int8_t>("c", {2}, TensorType::INT8, {1, 2}, {{1, 2}, {0, 0, 0}});
    damaged(sum_file(f, c), "2 scales and 3 zero points");
  }
  {
    FileBuilder f;
    const int c = f.constant<int8_t>("c", {2}, TensorType::INT8, {1, 2}, {{-1}, {0}});
    damaged(sum_file(f, c), "a scale is not a number of at least 0");
  }
  {
    FileBuilder f;
    damaged(sum_file(f, f.tensor("c", {2}, TensorType::FLOAT32, {}, 9)), "buffer 9");
  }
  {
    FileBuilder f;
    damaged(sum_file(f, f.tensor("c", {2})), "tensor \"c\": nothing before it computes it");
  }
  {
    FileBuilder f;
    const int x = f.tensor("x", {2}), y = f.tensor("y", {2});
    f.add(x, x, y);
    f.add(x, x, y);
    damaged(f.finish({x}, {y}), "tensor \"y\" is computed twice");
  }
  {
    FileBuilder f;
    const int x = f.tensor("x", {2}), y = f.tensor("y", {2});
    f.op(BuiltinOperator::LEAKY_RELU, {x}, {y});
    damaged(f.finish({x}, {y}), "its option alpha is missing");
  }
}

TEST(Tflite, AnotherSchemaVersionIsRefused) {
  FileBuilder f;
  const int x = f.tensor("x", {2});
  EXPECT_THAT(error_of(f.finish({x}, {x}, 2)), HasSubstr("not a TensorFlow Lite model of schema version 3, but 2"));
}

// Two hundred tensors share 4 KiB: decoded they would hold two hundred times the file.
TEST(Tflite, TensorsThatShareDataAreBoundedByTheFile) {
  FileBuilder f;
  const uint32_t data = f.buffer(std::vector<int8_t>(1 << 14, 1));
  const int x = f.tensor("x", {1 << 14});
  int sum = x;
  for (int i = 0; i < 200; ++i) {
    const int c = f.tensor(fmt::format("c{}", i), {1 << 14}, TensorType::INT8, {{1}, {0}}, data);
    const int y = f.tensor(fmt::format("y{}", i), {1 << 14});
    f.add(sum, c, y);
    sum = y;
  }
  EXPECT_THAT(error_of(f.finish({x}, {sum})), HasSubstr("too many tensors share their data"));
}

TEST(Tflite, ReadsOptionsOfEveryKindOfWindow) {
  FileBuilder f;
  const int x = f.tensor("x", {1, 8, 8, 2}), y = f.tensor("y", {1, 4, 4, 3});
  const int w = f.constant("w", {3, 3, 2, 1}, TensorType::FLOAT32, std::vector<float>(18, 1));
  f.op(
      BuiltinOperator::CONV_2D, {x, w, -1}, {y}, BuiltinOptions::Conv2DOptions,
      format::CreateConv2DOptions(f.builder(), format::Padding::VALID, 2, 1, format::ActivationFunctionType::TANH, 4, 3)
          .Union());
  const ImportResult result = inspect(f.finish({x}, {y}));
  EXPECT_TRUE(result.unsupported.empty());
  const Node& conv = find_node(result.graph, "y/linear");
  EXPECT_EQ(conv.get_ints("strides"), (Ints{1, 2}));
  EXPECT_EQ(conv.get_ints("dilations"), (Ints{3, 4}));
  EXPECT_EQ(conv.get_int("groups", 0), 2);
  EXPECT_EQ(conv.get_string("auto_pad", ""), "valid");
  EXPECT_EQ(conv.inputs.size(), 2u);
  EXPECT_EQ(find_node(result.graph, "y").op, "Tanh");
}

}  // namespace
}  // namespace treville::import
