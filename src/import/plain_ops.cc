#include "import/plain_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace treville::import {
namespace {

constexpr auto kPlain = std::to_array<PlainOp>({
    {"Abs", "Abs", 1},
    {"Acos", "Acos", 1},
    {"Acosh", "Acosh", 1},
    {"Add", "Add", 2},
    {"AddV2", "Add", 2},
    {"And", "And", 2},
    {"Asin", "Asin", 1},
    {"Asinh", "Asinh", 1},
    {"Atan", "Atan", 1},
    {"Atanh", "Atanh", 1},
    {"Ceil", "Ceil", 1},
    {"Cos", "Cos", 1},
    {"Cosh", "Cosh", 1},
    {"Div", "Div", 2},
    {"Equal", "Equal", 2},
    {"Erf", "Erf", 1},
    {"Exp", "Exp", 1},
    {"Floor", "Floor", 1},
    {"Greater", "Greater", 2},
    {"GreaterEqual", "GreaterEqual", 2},
    {"GreaterOrEqual", "GreaterEqual", 2},
    {"HardSwish", "HardSwish", 1},
    {"Inv", "Reciprocal", 1},
    {"Less", "Less", 2},
    {"LessEqual", "LessEqual", 2},
    {"LessOrEqual", "LessEqual", 2},
    {"Log", "Log", 1},
    {"LogicalAnd", "And", 2},
    {"LogicalNot", "Not", 1},
    {"LogicalOr", "Or", 2},
    {"Maximum", "Max", 2},
    {"Minimum", "Min", 2},
    {"Mish", "Mish", 1},
    {"Mul", "Mul", 2},
    {"Neg", "Neg", 1},
    {"Not", "Not", 1},
    {"Or", "Or", 2},
    {"PRelu", "PRelu", 2},
    {"RealDiv", "Div", 2},
    {"Reciprocal", "Reciprocal", 1},
    {"Relu", "Relu", 1},
    {"Rint", "Round", 1},
    {"Round", "Round", 1},
    {"Rsqrt", "Rsqrt", 1},
    {"Sigmoid", "Sigmoid", 1},
    {"Sign", "Sign", 1},
    {"Sin", "Sin", 1},
    {"Sinh", "Sinh", 1},
    {"Softplus", "Softplus", 1},
    {"Softsign", "Softsign", 1},
    {"Sqrt", "Sqrt", 1},
    {"Square", "Square", 1},
    {"Sub", "Sub", 2},
    {"Tan", "Tan", 1},
    {"Tanh", "Tanh", 1},
    {"Xor", "Xor", 2},
});

// Advice is a reason and the operations it holds for.
struct Advice {
  std::string_view reason;
  std::initializer_list<std::string_view> names;
};

const Advice kAdvice[] = {
    {"control flow is not supported. Export or freeze the model for inference with fixed shapes, so that loops are "
     "unrolled and switches are constants.",
     {"If",
      "Loop",
      "Scan",
      "Switch",
      "Merge",
      "Enter",
      "Exit",
      "NextIteration",
      "LoopCond",
      "RefSwitch",
      "StatelessIf",
      "While",
      "StatelessWhile",
      "Case",
      "StatelessCase",
      "For",
      "TensorArrayV3",
      "TensorArrayReadV3",
      "TensorArrayWriteV3",
      "TensorListReserve",
      "TensorListGetItem",
      "TensorListSetItem",
      "TensorListStack",
      "TensorListFromTensor"}},
    {"random numbers are not supported. Export or freeze the model for inference, without dropout or noise.",
     {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "RandomUniformInt",
      "RandomStandardNormal", "TruncatedNormal", "Multinomial", "Bernoulli", "StatelessRandomUniform",
      "StatelessRandomUniformV2", "StatelessRandomNormal", "StatelessRandomNormalV2", "RandomShuffle"}},
    {"quantised models are not supported. Give the float model; it is quantised at compile time.",
     {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs",
      "FakeQuantWithMinMaxVarsPerChannel", "QuantizeV2", "Dequantize", "QuantizedConv2D", "QuantizedMatMul",
      "QuantizedRelu", "QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3"}},
    {"text is not supported: it would have to be looked at. Do this step before the model and give it numbers.",
     {"StringNormalizer", "TfIdfVectorizer",    "StringConcat",   "StringSplit",        "RegexFullMatch",
      "StringJoin",       "StringSplitV2",      "StringToNumber", "StringLower",        "StringUpper",
      "StringLength",     "RegexReplace",       "Substr",         "StaticRegexReplace", "DecodeJpeg",
      "DecodePng",        "DecodeRaw",          "DecodeImage",    "DecodeCSV",          "ParseExample",
      "ParseExampleV2",   "ParseSingleExample", "AsString",       "ImageDecoder"}},
    {"tables of keys and hashes are not supported: a look-up would show which key is asked for. Do this step before "
     "the "
     "model.",
     {"HashTable", "HashTableV2", "LookupTableFind", "LookupTableFindV2", "LookupTableImport", "LookupTableImportV2",
      "StringToHashBucket", "StringToHashBucketFast", "StringToHashBucketStrong", "LookupTableExportV2",
      "MutableHashTableV2", "LabelEncoder", "FeatureVectorizer"}},
    {"the shape of its result depends on the data, which is secret. Take this step out of the model, and do it on the "
     "result.",
     {"NonZero", "Unique", "UniqueV2", "Compress", "NonMaxSuppression", "NonMaxSuppressionV2", "NonMaxSuppressionV3",
      "NonMaxSuppressionV4", "NonMaxSuppressionV5", "CombinedNonMaxSuppression", "Where", "DynamicPartition",
      "BooleanMask", "RoiAlign", "MaxRoiPool", "CropAndResize"}},
    {"indices that are computed from secrets are not supported. Replace it by products with constants, or do this step "
     "outside of the model.",
     {"GatherNd", "ScatterNd", "TensorScatterUpdate", "TensorScatterAdd", "OneHot", "ReverseSequence", "MaxUnpool",
      "GridSample", "EmbeddingBag"}},
    {"sequences and optional values are not supported. Export the model with tensors only.",
     {"SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceLength",
      "SplitToSequence", "ConcatFromSequence", "SequenceMap", "Optional", "OptionalGetElement", "OptionalHasElement"}},
    {"it belongs to training. Export or freeze the model for inference.",
     {"Gradient", "Adam", "Adagrad", "Momentum", "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss",
      "SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits", "ApplyGradientDescent", "ApplyAdam",
      "Conv2DBackpropFilter", "ReluGrad", "BiasAddGrad", "MaxPoolGrad", "AvgPoolGrad"}},
};

}  // namespace

const PlainOp* find_plain_op(std::string_view name) {
  const auto* found = std::find_if(kPlain.begin(), kPlain.end(), [&](const PlainOp& op) { return op.name == name; });
  return found == kPlain.end() ? nullptr : found;
}

void import_plain(NodeImport& node, const PlainOp& plain) {
  std::vector<ValueId> operands;
  for (size_t i = 0; i < plain.operands; ++i) operands.push_back(node.input(i));
  node.finish(plain.op, std::move(operands));
}

std::optional<std::string_view> advice_for(std::string_view name) {
  for (const Advice& advice : kAdvice)
    if (std::find(advice.names.begin(), advice.names.end(), name) != advice.names.end()) return advice.reason;
  return {};
}

void finish_power(NodeImport& node) {
  if (const auto base = node.constant_number_if_single(0); base && node.constant(1) == nullptr) {
    if (!(*base > 0) || std::isinf(*base)) node.refuse("a base that is not positive is not supported");
    const FloatTensor logarithm(Shape{}, {static_cast<float>(std::log(*base))});
    const ValueId exponent = node.step("exponent", "Mul", {node.input(1), node.constant_step("log", logarithm)});
    return node.finish("Exp", {exponent});
  }
  const auto exponent = node.constant_number_if_single(1);
  if (!exponent || node.dtype(0) == DType::kInt) return node.finish("Pow", {node.input(0), node.input(1)});
  if (!std::isfinite(*exponent)) node.fail("its exponent is not a finite number");
  const ValueId x = node.input(0);
  if (*exponent == 1) return node.alias(x);
  if (*exponent == 2) return node.finish("Square", {x});
  if (*exponent == 0.5) return node.finish("Sqrt", {x});
  if (*exponent == -0.5) return node.finish("Rsqrt", {x});
  if (*exponent == -1) return node.finish("Reciprocal", {x});
  node.finish("Pow", {x}, {{"exponent", *exponent}});
}

void finish_truth(NodeImport& node) {
  const bool floats = node.dtype(0) == DType::kFloat;
  const Constant zero = floats ? Constant(FloatTensor(Shape{}, {0.0F})) : Constant(IntTensor(Shape{}, {0}));
  const ValueId is_zero = node.step("is_zero", "Equal", {node.input(0), node.constant_step("zero", zero)});
  node.finish("Not", {is_zero});
}

void finish_slices(NodeImport& node, ValueId x, int64_t axis, const Ints& sizes) {
  if (sizes.size() < node.result_count())
    node.fail(fmt::format("it has {} results but {} sizes", node.result_count(), sizes.size()));
  const auto rest = std::find(sizes.begin(), sizes.end(), -1);
  // What lies behind the rest is counted from the end, so that 0 is the whole extent.
  int64_t first = 0, behind = 0;
  for (auto size = sizes.begin(); size != sizes.end(); ++size) {
    if (size == rest) continue;
    int64_t& sum = size < rest ? first : behind;
    if (*size < 0 || __builtin_add_overflow(sum, *size, &sum)) node.fail(fmt::format("a part has size {}", *size));
  }
  constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
  Ints bounds(sizes.size() + 1);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const bool is_rest = sizes[i] == -1, from_end = bounds[i] < 0 || bounds[i] == kEnd;
    bounds[i + 1] = is_rest ? -behind : bounds[i] + sizes[i];
    if ((is_rest || from_end) && bounds[i + 1] == 0) bounds[i + 1] = kEnd;
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!node.reads_result(i)) continue;
    node.finish_result(
        i, "Slice", {x},
        {{"starts", Ints{bounds[i]}}, {"ends", Ints{bounds[i + 1]}}, {"axes", Ints{axis}}, {"steps", Ints{1}}});
  }
}

void finish_parts(NodeImport& node, ValueId x, int64_t axis, int64_t parts, bool equal) {
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!node.reads_result(i)) continue;
    node.finish_result(
        i, "Part", {x},
        {{"axis", axis}, {"parts", parts}, {"index", static_cast<int64_t>(i)}, {"equal", int64_t{equal}}});
  }
}

}  // namespace treville::import
