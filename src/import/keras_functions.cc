// Functions that a functional model calls where others call layers: TensorFlow's in Keras 2 (TFOpLambda), Keras's own
// operations in Keras 3. Their arguments stand in the call.
#include <algorithm>
#include <array>
#include <limits>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

// The first argument's name differs: "x" in TensorFlow, "x1" in Keras 3, "features", "input", ...; it is a tensor in
// the first place of the call, or the call's only tensor.
ValueId first(KerasLayer& layer) {
  if (layer.argument(0, "x") != nullptr) return layer.operand(0, "x");
  return layer.operand(0, "x1");
}

template <const char* kOp>
ValueId import_unary(KerasLayer& layer) {
  return layer.step("op", kOp, {first(layer)});
}
constexpr char kRelu[] = "Relu", kSigmoid[] = "Sigmoid", kTanh[] = "Tanh", kExp[] = "Exp", kLog[] = "Log",
               kSqrt[] = "Sqrt", kRsqrt[] = "Rsqrt", kSquare[] = "Square", kAbs[] = "Abs", kNeg[] = "Neg",
               kErf[] = "Erf", kSoftplus[] = "Softplus", kSwish[] = "Swish", kReciprocal[] = "Reciprocal";

// The second operand is "y" in TensorFlow and "x2" in Keras 3; it may be a number.
template <const char* kOp>
ValueId import_binary(KerasLayer& layer) {
  const bool keras = layer.argument(9, "x2") != nullptr;
  const ValueId a = first(layer), b = keras ? layer.operand(1, "x2") : layer.operand(1, "y");
  // A constant alone has no rank; the result has the tensor's.
  const ValueId result = layer.step("op", kOp, {a, b});
  int rank = 0;
  for (ValueId value : {a, b}) {
    if (layer.graph().constant(value) == nullptr) rank = std::max(rank, layer.rank(value));
  }
  return layer.set_rank(result, rank);
}
constexpr char kAdd[] = "Add", kSub[] = "Sub", kMul[] = "Mul", kDiv[] = "Div", kMax[] = "Max", kMin[] = "Min",
               kMatMul[] = "MatMul";

template <const char* kName>
ValueId import_activation(KerasLayer& layer) {
  return apply_activation(layer, kName, first(layer), "op");
}
constexpr char kRelu6[] = "relu6", kGelu[] = "gelu", kSelu[] = "selu", kElu[] = "elu", kSoftsign[] = "softsign",
               kHardSigmoid[] = "hard_sigmoid", kHardSwish[] = "hard_swish", kMish[] = "mish";

ValueId import_softmax(KerasLayer& layer) {
  return layer.step("op", "Softmax", {first(layer)},
                    {{"axis", layer.argument_ints(1, "axis").value_or(Ints{-1}).front()}});
}

ValueId import_matmul(KerasLayer& layer) {
  for (const char* flag : {"transpose_a", "transpose_b", "adjoint_a", "adjoint_b"}) {
    if (layer.argument_bool(9, flag, false)) layer.refuse("{}=True is not supported (supported: False)", flag);
  }
  return import_binary<kMatMul>(layer);
}

template <const char* kOp>
ValueId import_reduce(KerasLayer& layer) {
  const ValueId x = first(layer);
  const int rank = layer.rank(x);
  auto axes = layer.argument_ints(1, "axis");
  const bool keep = layer.argument_bool(2, "keepdims", false);
  if (!axes) {
    axes.emplace();
    for (int64_t axis = 0; axis < rank; ++axis) axes->push_back(axis);
  }
  const ValueId y = layer.step("op", kOp, {x}, {{"axes", *axes}, {"keepdims", int64_t{keep}}});
  return layer.set_rank(y, keep ? rank : rank - static_cast<int>(axes->size()));
}
constexpr char kMean[] = "ReduceMean", kSum[] = "ReduceSum", kMaximum[] = "ReduceMax", kMinimum[] = "ReduceMin";

ValueId import_reshape(KerasLayer& layer) {
  const auto shape =
      layer.argument(9, "newshape") != nullptr ? layer.argument_ints(1, "newshape") : layer.argument_ints(1, "shape");
  if (!shape) layer.refuse("its shape is computed. Give it as numbers.");
  const ValueId y = layer.step("op", "Reshape", {first(layer)}, {{"shape", *shape}, {"allow_zero", int64_t{1}}});
  return layer.set_rank(y, static_cast<int>(shape->size()));
}

ValueId import_transpose(KerasLayer& layer) {
  const auto perm =
      layer.argument(9, "axes") != nullptr ? layer.argument_ints(1, "axes") : layer.argument_ints(1, "perm");
  Attributes attributes;
  if (perm) attributes["perm"] = *perm;
  return layer.step("op", "Transpose", {first(layer)}, attributes);
}

ValueId import_concat(KerasLayer& layer) {
  const auto axis = layer.argument_ints(1, "axis");
  return layer.step("op", "Concat", layer.inputs_from(0), {{"axis", axis ? axis->front() : int64_t{-1}}});
}

ValueId import_expand_dims(KerasLayer& layer) {
  const auto axis = layer.argument_ints(1, "axis");
  if (!axis) layer.refuse("its axis is missing");
  const ValueId x = first(layer);
  return layer.set_rank(layer.step("op", "Unsqueeze", {x}, {{"axes", *axis}}), layer.rank(x) + 1);
}

ValueId import_squeeze(KerasLayer& layer) {
  const auto axes = layer.argument_ints(1, "axis");
  if (!axes) layer.refuse("its axis is missing");
  const ValueId x = first(layer);
  return layer.set_rank(layer.step("op", "Squeeze", {x}, {{"axes", *axes}}),
                        layer.rank(x) - static_cast<int>(axes->size()));
}

ValueId import_clip(KerasLayer& layer) {
  const bool keras = layer.argument(9, "x_min") != nullptr || layer.argument(9, "x_max") != nullptr;
  const auto low = layer.argument_number(1, keras ? "x_min" : "clip_value_min");
  const auto high = layer.argument_number(2, keras ? "x_max" : "clip_value_max");
  if (!low || !high) layer.refuse("its bounds are computed. Give them as numbers.");
  return layer.step("op", "Clip", {first(layer)}, {{"min", *low}, {"max", *high}});
}

ValueId import_power(KerasLayer& layer) {
  const auto exponent = layer.argument_number(1, layer.argument(9, "x2") != nullptr ? "x2" : "y");
  if (!exponent) layer.refuse("its exponent is computed. Give it as a number.");
  return layer.step("op", "Pow", {first(layer)}, {{"exponent", *exponent}});
}

ValueId import_alias(KerasLayer& layer) { return first(layer); }

constexpr auto kRows = std::to_array<KerasRow>({
    // Keras 2: the function's name within TensorFlow
    {"__operators__.add", import_binary<kAdd>},
    {"__operators__.mul", import_binary<kMul>},
    {"__operators__.sub", import_binary<kSub>},
    {"__operators__.truediv", import_binary<kDiv>},
    {"cast", import_alias},
    {"clip_by_value", import_clip},
    {"concat", import_concat},
    {"expand_dims", import_expand_dims},
    {"identity", import_alias},
    {"linalg.matmul", import_matmul},
    {"math.abs", import_unary<kAbs>},
    {"math.add", import_binary<kAdd>},
    {"math.divide", import_binary<kDiv>},
    {"math.erf", import_unary<kErf>},
    {"math.exp", import_unary<kExp>},
    {"math.log", import_unary<kLog>},
    {"math.maximum", import_binary<kMax>},
    {"math.minimum", import_binary<kMin>},
    {"math.multiply", import_binary<kMul>},
    {"math.negative", import_unary<kNeg>},
    {"math.pow", import_power},
    {"math.reciprocal", import_unary<kReciprocal>},
    {"math.reduce_max", import_reduce<kMaximum>},
    {"math.reduce_mean", import_reduce<kMean>},
    {"math.reduce_min", import_reduce<kMinimum>},
    {"math.reduce_sum", import_reduce<kSum>},
    {"math.rsqrt", import_unary<kRsqrt>},
    {"math.sigmoid", import_unary<kSigmoid>},
    {"math.softplus", import_unary<kSoftplus>},
    {"math.sqrt", import_unary<kSqrt>},
    {"math.square", import_unary<kSquare>},
    {"math.subtract", import_binary<kSub>},
    {"math.tanh", import_unary<kTanh>},
    {"math.truediv", import_binary<kDiv>},
    {"nn.elu", import_activation<kElu>},
    {"nn.gelu", import_activation<kGelu>},
    {"nn.relu", import_unary<kRelu>},
    {"nn.relu6", import_activation<kRelu6>},
    {"nn.selu", import_activation<kSelu>},
    {"nn.sigmoid", import_unary<kSigmoid>},
    {"nn.silu", import_unary<kSwish>},
    {"nn.softmax", import_softmax},
    {"nn.softplus", import_unary<kSoftplus>},
    {"nn.softsign", import_activation<kSoftsign>},
    {"nn.swish", import_unary<kSwish>},
    {"nn.tanh", import_unary<kTanh>},
    {"reshape", import_reshape},
    {"squeeze", import_squeeze},
    {"transpose", import_transpose},
    // Keras 3: the operation's class
    {"Absolute", import_unary<kAbs>},
    {"Add", import_binary<kAdd>},
    {"Amax", import_reduce<kMaximum>},
    {"Amin", import_reduce<kMinimum>},
    {"Cast", import_alias},
    {"Clip", import_clip},
    {"Concatenate", import_concat},
    {"Divide", import_binary<kDiv>},
    {"Elu", import_activation<kElu>},
    {"Exp", import_unary<kExp>},
    {"ExpandDims", import_expand_dims},
    {"Gelu", import_activation<kGelu>},
    {"HardSigmoid", import_activation<kHardSigmoid>},
    {"HardSilu", import_activation<kHardSwish>},
    {"Log", import_unary<kLog>},
    {"Matmul", import_matmul},
    {"Max", import_reduce<kMaximum>},
    {"Maximum", import_binary<kMax>},
    {"Mean", import_reduce<kMean>},
    {"Min", import_reduce<kMinimum>},
    {"Minimum", import_binary<kMin>},
    {"Mish", import_activation<kMish>},
    {"Multiply", import_binary<kMul>},
    {"Negative", import_unary<kNeg>},
    {"Power", import_power},
    {"Reciprocal", import_unary<kReciprocal>},
    {"Relu", import_unary<kRelu>},
    {"Relu6", import_activation<kRelu6>},
    {"Reshape", import_reshape},
    {"Rsqrt", import_unary<kRsqrt>},
    {"Selu", import_activation<kSelu>},
    {"Sigmoid", import_unary<kSigmoid>},
    {"Silu", import_unary<kSwish>},
    {"Softmax", import_softmax},
    {"Softplus", import_unary<kSoftplus>},
    {"Softsign", import_activation<kSoftsign>},
    {"Sqrt", import_unary<kSqrt>},
    {"Square", import_unary<kSquare>},
    {"Squeeze", import_squeeze},
    {"Subtract", import_binary<kSub>},
    {"Sum", import_reduce<kSum>},
    {"Tanh", import_unary<kTanh>},
    {"Transpose", import_transpose},
    {"TrueDivide", import_binary<kDiv>},
});

}  // namespace

const KerasRow* find_keras_function(std::string_view function) { return find_row(kRows, function); }

}  // namespace treville::import
