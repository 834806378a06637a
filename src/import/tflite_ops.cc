// The table of TensorFlow Lite's operators. A row's function says how one operator becomes operations of the graph.
// Images are NHWC throughout.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "import/node_rows.h"
#include "import/plain_ops.h"
#include "import/tflite.h"

namespace treville::import {
namespace {

const std::string kNhwc = "NHWC";

FloatTensor scalar(double value) { return FloatTensor(Shape{}, {static_cast<float>(value)}); }

// An alias that becomes a value of its own, as an output of the model, has the range of what it names.
void import_alias(TfliteNode& node) {
  const ValueId x = node.input(0);
  node.alias(x);
  if (node.result() != x) node.graph().value(node.result()).declared_range = node.graph().value(x).declared_range;
}

// --- Activations -----------------------------------------------------------------------------------------------------

struct Activation {
  std::string op;  // empty: none
  Attributes attributes;
};

// implied_activation finds what a converter of quantised models leaves to saturation: results below a range that begins
// at zero become zero, and those above one that ends at 6 become 6. Operators whose result cannot be negative need
// none.
Activation implied_activation(const TfliteNode& node) {
  const auto range = quantised_range(node.output_tensor());
  if (!range || range->low != 0) return {};
  const double step = range->high / 255;
  if (std::abs(range->high - 6) <= step) return {"Clip", {{"min", 0.0}, {"max", range->high}}};
  return {"Relu", {}};
}

Activation fused_activation(const TfliteNode& node) {
  const std::string& name = node.option_text("activation");
  if (name == "NONE") return {};
  if (name == "RELU") return {"Relu", {}};
  if (name == "RELU6") return {"Clip", {{"min", 0.0}, {"max", 6.0}}};
  if (name == "RELU_N1_TO_1") return {"Clip", {{"min", -1.0}, {"max", 1.0}}};
  if (name == "TANH") return {"Tanh", {}};
  node.refuse("fused activation \"{}\" is not supported (supported: RELU, RELU6, RELU_N1_TO_1, TANH)", name);
}

void finish_activated(TfliteNode& node, const Activation& activation, const std::string& op,
                      std::vector<ValueId> inputs, Attributes attributes = {}) {
  if (activation.op.empty()) return node.finish(op, std::move(inputs), std::move(attributes));
  const ValueId linear = node.step("linear", op, std::move(inputs), std::move(attributes));
  node.finish(activation.op, {linear}, activation.attributes);
}

// finish_signed is finish_activated for operators whose result may be negative.
void finish_signed(TfliteNode& node, const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
  Activation activation = fused_activation(node);
  if (activation.op.empty()) activation = implied_activation(node);
  finish_activated(node, activation, op, std::move(inputs), std::move(attributes));
}

void finish_fused(TfliteNode& node, const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
  finish_activated(node, fused_activation(node), op, std::move(inputs), std::move(attributes));
}

// --- Elementwise -----------------------------------------------------------------------------------------------------

template <const char* kOp>
void import_unary(TfliteNode& node) {
  node.finish(kOp, {node.input(0)});
}
constexpr char kRelu[] = "Relu", kElu[] = "Elu", kHardSwish[] = "HardSwish", kSigmoid[] = "Sigmoid", kTanh[] = "Tanh",
               kExp[] = "Exp", kLog[] = "Log", kSqrt[] = "Sqrt", kRsqrt[] = "Rsqrt", kNeg[] = "Neg", kAbs[] = "Abs",
               kFloor[] = "Floor", kCeil[] = "Ceil", kRound[] = "Round", kSin[] = "Sin", kCos[] = "Cos",
               kSign[] = "Sign", kNot[] = "Not", kSquare[] = "Square";

template <const char* kOp>
void import_binary(TfliteNode& node) {
  node.finish(kOp, {node.input(0), node.input(1)});
}
constexpr char kMax[] = "Max", kMin[] = "Min", kPRelu[] = "PRelu", kAdd[] = "Add", kSub[] = "Sub", kMul[] = "Mul",
               kDiv[] = "Div", kEqual[] = "Equal", kLess[] = "Less", kLessEqual[] = "LessEqual", kGreater[] = "Greater",
               kGreaterEqual[] = "GreaterEqual", kAnd[] = "And", kOr[] = "Or";

// may_be_negative: whether an input's quantised range goes below zero; unknown ranges may.
bool may_be_negative(const TfliteNode& node, size_t i) {
  const auto range = quantised_range(node.input_tensor(i));
  return !range || range->low < 0;
}

template <const char* kOp>
void import_arithmetic(TfliteNode& node) {
  const bool keeps_sign = std::string(kOp) != kSub && !may_be_negative(node, 0) && !may_be_negative(node, 1);
  if (keeps_sign) return finish_fused(node, kOp, {node.input(0), node.input(1)});
  finish_signed(node, kOp, {node.input(0), node.input(1)});
}

void import_add_n(TfliteNode& node) { node.finish_folded("Add"); }

void import_squared_difference(TfliteNode& node) {
  node.finish("Square", {node.step("difference", "Sub", {node.input(0), node.input(1)})});
}

void import_not_equal(TfliteNode& node) {
  node.finish("Not", {node.step("equal", "Equal", {node.input(0), node.input(1)})});
}

void import_pow(TfliteNode& node) { finish_power(node); }

void import_clip(TfliteNode& node, double low, double high) {
  node.finish("Clip", {node.input(0)}, {{"min", low}, {"max", high}});
}
void import_relu6(TfliteNode& node) { import_clip(node, 0, 6); }
void import_relu_n1_to_1(TfliteNode& node) { import_clip(node, -1, 1); }
void import_relu_0_to_1(TfliteNode& node) { import_clip(node, 0, 1); }

void import_leaky_relu(TfliteNode& node) {
  const double alpha = node.option_float("alpha");
  if (!std::isfinite(alpha)) node.fail("alpha is not a finite number");
  node.finish("LeakyRelu", {node.input(0)}, {{"alpha", alpha}});
}

void import_elu(TfliteNode& node) { node.finish(kElu, {node.input(0)}, {{"alpha", 1.0}}); }

void import_gelu(TfliteNode& node) {
  const bool by_tanh = node.option_int("approximate") != 0;
  node.finish("Gelu", {node.input(0)}, {{"approximate", std::string(by_tanh ? "tanh" : "none")}});
}

// The logits are scaled by beta, where the factor folds into the layer before.
void import_softmax(TfliteNode& node) {
  const double beta = node.option_float("beta");
  if (!std::isfinite(beta) || beta <= 0) node.fail("beta is not a positive number");
  ValueId logits = node.input(0);
  if (beta != 1) logits = node.step("beta_x", "Mul", {logits, node.constant_step("beta", scalar(beta))});
  node.finish("Softmax", {logits}, {{"axis", int64_t{-1}}});
}

// A condition that is one flag for a whole row of the first axis is broadcast as TensorFlow 1 did.
void import_select(TfliteNode& node) {
  ValueId condition = node.input(0);
  const int rank = node.input_shape(1).rank();
  if (node.input_shape(0).rank() == 1 && rank > 1) {
    Ints shape(static_cast<size_t>(rank), 1);
    shape[0] = -1;
    condition = node.step("rows", "Reshape", {condition}, {{"shape", shape}, {"allow_zero", int64_t{1}}});
  }
  node.finish("Where", {condition, node.input(1), node.input(2)}, {}, node.dtype(1));
}

void import_select_v2(TfliteNode& node) {
  node.finish("Where", {node.input(0), node.input(1), node.input(2)}, {}, node.dtype(1));
}

void import_cast(TfliteNode& node) {
  const std::optional<ElementType> type = node.output_tensor().type;
  if (!type) node.refuse("a cast to {} is not supported", node.output_tensor().type_name);
  const bool floats = is_float(*type);
  if (*type == ElementType::kBool) return finish_truth(node);
  const bool from_floats = node.dtype(0) == DType::kFloat;
  if (floats && from_floats) return node.alias(node.input(0));
  node.finish("Cast", {node.input(0)}, {{"to", std::string(floats ? "float" : "int")}},
              floats ? DType::kFloat : DType::kInt);
}

// QUANTIZE gives its input the range of what it writes, unless it has one already.
void import_quantise(TfliteNode& node) {
  Value& value = node.graph().value(node.input(0));
  if (!value.constant && !value.declared_range) value.declared_range = quantised_range(node.output_tensor());
  import_alias(node);
}

// --- Linear ----------------------------------------------------------------------------------------------------------

void add_padding(const TfliteNode& node, size_t dims, Attributes& attributes) {
  const std::string& padding = node.option_text("padding");
  if (padding != "SAME" && padding != "VALID") node.refuse("its padding is not supported (supported: SAME, VALID)");
  attributes["auto_pad"] = std::string(padding == "SAME" ? "same_upper" : "valid");
  attributes["pads"] = Ints(2 * dims, 0);
}

const Ints& positive(const TfliteNode& node, const std::string& key) {
  const Ints& values = node.option_ints(key);
  if (*std::min_element(values.begin(), values.end()) < 1) {
    node.fail(fmt::format("its {} are {}, expected numbers of at least 1", key, to_string(Shape(values))));
  }
  return values;
}

Attributes conv_attributes(const TfliteNode& node) {
  const Ints& strides = positive(node, "strides");
  Attributes attributes = {
      {"layout", kNhwc},
      {"groups", int64_t{1}},
      {"strides", strides},
      {"dilations", node.has_option("dilations") ? positive(node, "dilations") : Ints(strides.size(), 1)}};
  add_padding(node, strides.size(), attributes);
  return attributes;
}

// check_weight refuses computed weights, whose shape decides how they are read.
const Shape& check_weight(const TfliteNode& node, size_t i, int rank) {
  const Constant* weight = node.constant(i);
  if (weight == nullptr) node.refuse("its weight is computed. Convert the model so that weights are constants.");
  const Shape& shape = shape_of(*weight);
  if (shape.rank() != rank || shape.elements() == 0) {
    node.fail(fmt::format("its weight has shape {}, expected {} dimensions", to_string(shape), rank));
  }
  return shape;
}

std::vector<ValueId> with_bias(TfliteNode& node, ValueId x, ValueId weight, size_t bias) {
  std::vector<ValueId> inputs = {x, weight};
  if (node.has_input(bias)) inputs.push_back(node.input(bias));
  return inputs;
}

// The weight is [out,h,w,in]; one with fewer input channels than the image has belongs to groups.
void import_conv_2d(TfliteNode& node) {
  Attributes attributes = conv_attributes(node);
  const Shape& shape = check_weight(node, 1, 4);
  const int64_t channels = node.extent(0, -1);
  if (channels % shape[3] == 0 && channels > 0) attributes["groups"] = channels / shape[3];
  const ValueId hwio = node.step("weight", "Transpose", {node.input(1)}, {{"perm", Ints{1, 2, 3, 0}}});
  finish_signed(node, "Conv", with_bias(node, node.input(0), hwio, 2), attributes);
}

// The weight is [1,h,w,channels * multiplier]; output c * multiplier + m belongs to input c.
void import_depthwise_conv_2d(TfliteNode& node) {
  Attributes attributes = conv_attributes(node);
  const Shape& shape = check_weight(node, 1, 4);
  if (shape[0] != 1) node.fail(fmt::format("its weight has shape {}, expected [1,h,w,channels]", to_string(shape)));
  attributes["groups"] = node.extent(0, -1);
  const ValueId hwio = node.step("weight", "Reshape", {node.input(1)},
                                 {{"shape", Ints{shape[1], shape[2], 1, shape[3]}}, {"allow_zero", int64_t{1}}});
  finish_signed(node, "Conv", with_bias(node, node.input(0), hwio, 2), attributes);
}

// The weight is [d,h,w,in,out] already.
void import_conv_3d(TfliteNode& node) {
  const Attributes attributes = conv_attributes(node);
  check_weight(node, 1, 5);
  finish_signed(node, "Conv", with_bias(node, node.input(0), node.input(1), 2), attributes);
}

// Inputs are the output's shape, the weight [out,h,w,in] and x.
void import_transpose_conv(TfliteNode& node) {
  const Attributes attributes = conv_attributes(node);
  check_weight(node, 1, 4);
  const ValueId weight = node.step("weight", "Transpose", {node.input(1)}, {{"perm", Ints{1, 2, 0, 3}}});
  std::vector<ValueId> inputs = with_bias(node, node.input(2), weight, 3);
  inputs.push_back(node.input(0));
  finish_signed(node, "ConvTranspose", inputs, attributes);
}

// x is flattened to rows as long as the weight [units,in] is wide, unless keep_num_dims.
void import_fully_connected(TfliteNode& node) {
  if (node.option_text("weights_format") != "DEFAULT") {
    node.refuse("shuffled weights are not supported. Convert the model with weights in their default order.");
  }
  const Shape& weight = node.input_shape(1);
  if (weight.rank() != 2) node.fail(fmt::format("its weight has shape {}, expected [units,in]", to_string(weight)));
  ValueId x = node.input(0);
  if (node.option_int("keep_num_dims") == 0 && node.input_shape(0).rank() != 2) {
    x = node.step("rows", "Reshape", {x}, {{"shape", Ints{-1, node.extent(1, 1)}}, {"allow_zero", int64_t{1}}});
  }
  const ValueId turned = node.step("weight", "Transpose", {node.input(1)}, {{"perm", Ints{1, 0}}});
  if (!node.has_input(2)) return finish_signed(node, "MatMul", {x, turned});
  const ValueId product = node.step("matmul", "MatMul", {x, turned});
  finish_signed(node, "Add", {product, node.input(2)});
}

ValueId adjoint(TfliteNode& node, size_t i, const std::string& option) {
  if (node.option_int(option) == 0) return node.input(i);
  const int rank = node.input_shape(i).rank();
  if (rank < 2) node.fail(fmt::format("input {} has shape {}", i, to_string(node.input_shape(i))));
  Ints perm(static_cast<size_t>(rank));
  std::iota(perm.begin(), perm.end(), int64_t{0});
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return node.step(option, "Transpose", {node.input(i)}, {{"perm", perm}});
}

void import_batch_mat_mul(TfliteNode& node) {
  node.finish("MatMul", {adjoint(node, 0, "adj_x"), adjoint(node, 1, "adj_y")});
}

// --- Pools, norms and reductions -------------------------------------------------------------------------------------

Attributes pool_attributes(const TfliteNode& node) {
  Attributes attributes = {{"layout", kNhwc},
                           {"kernel", positive(node, "kernel")},
                           {"strides", positive(node, "strides")},
                           {"dilations", Ints{1, 1}},
                           {"ceil_mode", int64_t{0}}};
  add_padding(node, 2, attributes);
  return attributes;
}

void import_max_pool(TfliteNode& node) { finish_fused(node, "MaxPool", {node.input(0)}, pool_attributes(node)); }

void import_average_pool(TfliteNode& node) {
  Attributes attributes = pool_attributes(node);
  attributes["count_include_pad"] = int64_t{0};
  finish_fused(node, "AveragePool", {node.input(0)}, attributes);
}

// TensorFlow multiplies the plain sum by alpha, the graph (as ONNX) alpha by the mean.
void import_lrn(TfliteNode& node) {
  const int64_t size = 2 * node.option_int("radius") + 1;
  if (size < 1) node.fail("its radius is negative");
  node.finish("LRN", {node.input(0)},
              {{"size", size},
               {"alpha", node.option_float("alpha") * static_cast<double>(size)},
               {"beta", node.option_float("beta")},
               {"bias", node.option_float("bias")},
               {"layout", kNhwc}});
}

void import_l2_normalisation(TfliteNode& node) {
  finish_fused(node, "L2Normalize", {node.input(0)}, {{"axes", Ints{-1}}, {"epsilon", 1e-12}});
}

template <const char* kOp>
void import_reduce(TfliteNode& node) {
  const Ints axes = constant_list(node, 1, "axis");
  if (axes.empty()) return node.alias(node.input(0));  // no axes, no reduction
  node.finish(kOp, {node.input(0)}, {{"axes", axes}, {"keepdims", node.option_int("keep_dims")}});
}
constexpr char kReduceMean[] = "ReduceMean", kReduceSum[] = "ReduceSum", kReduceMax[] = "ReduceMax",
               kReduceMin[] = "ReduceMin";

template <const char* kOp>
void import_arg(TfliteNode& node) {
  node.finish(kOp, {node.input(0)}, {{"axis", constant_axis(node, 1)}, {"keepdims", int64_t{0}}}, DType::kInt);
}
constexpr char kArgMax[] = "ArgMax", kArgMin[] = "ArgMin";

void import_top_k(TfliteNode& node) {
  node.finish_all("TopK", {node.input(0), node.input(1)}, {{"axis", int64_t{-1}}, {"largest", int64_t{1}}},
                  {node.dtype(0), DType::kInt});
}

// --- Shapes ----------------------------------------------------------------------------------------------------------

void import_reshape(TfliteNode& node) {
  const Attributes as_given = {{"allow_zero", int64_t{1}}};
  if (node.has_input(1)) return finish_with_ints(node, "Reshape", "shape", as_given);
  node.finish("Reshape", {node.input(0)}, {{"shape", node.option_ints("new_shape")}, {"allow_zero", int64_t{1}}});
}

void import_squeeze(TfliteNode& node) {
  const Ints& axes = node.option_ints("squeeze_dims");
  node.finish("Squeeze", {node.input(0)}, axes.empty() ? Attributes{} : Attributes{{"axes", axes}});
}

void import_expand_dims(TfliteNode& node) {
  node.finish("Unsqueeze", {node.input(0)}, {{"axes", Ints{constant_axis(node, 1)}}});
}

void import_transpose(TfliteNode& node) { finish_with_ints(node, "Transpose", "perm", {}); }

void import_concatenation(TfliteNode& node) {
  if (node.input_count() == 0) node.fail("an input is missing");
  finish_fused(node, "Concat", node.inputs_from(0), {{"axis", node.option_int("axis")}});
}

// Integers are stacked by constant folding, floats as a concatenation along a new axis.
void import_pack(TfliteNode& node) {
  if (node.input_count() == 0) node.fail("an input is missing");
  const int64_t axis = node.option_int("axis");
  if (node.dtype(0) == DType::kInt) return node.finish("Stack", node.inputs_from(0), {{"axis", axis}});
  std::vector<ValueId> parts;
  for (size_t i = 0; i < node.input_count(); ++i) {
    parts.push_back(node.step(fmt::format("part_{}", i), "Unsqueeze", {node.input(i)}, {{"axes", Ints{axis}}}));
  }
  node.finish("Concat", parts, {{"axis", axis}});
}

void import_unpack(TfliteNode& node) { finish_unpacked(node, node.option_int("axis")); }

// The axis comes first, then x.
void import_split(TfliteNode& node) {
  finish_parts(node, node.input(1), constant_axis(node, 0), node.option_int("num_splits"), true);
}
void import_split_v(TfliteNode& node) { finish_sized_parts(node); }

void import_slice(TfliteNode& node) { finish_sized_slice(node); }

void import_strided_slice(TfliteNode& node) {
  if (node.option_int("offset") != 0) node.refuse("ends that count from the begins are not supported");
  Attributes attributes;
  for (const char* key : {"begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"}) {
    attributes[key] = node.option_int(key);
  }
  node.finish("StridedSlice", {node.input(0), node.input(1), node.input(2), node.input(3)}, attributes);
}

void import_gather(TfliteNode& node) {
  if (node.option_int("batch_dims") != 0) node.refuse("batch_dims other than 0 are not supported");
  node.finish("Gather", {node.input(0), node.input(1)}, {{"axis", node.option_int("axis")}});
}

void import_tile(TfliteNode& node) { finish_with_ints(node, "Tile", "repeats", {}); }
void import_broadcast_to(TfliteNode& node) { finish_with_ints(node, "Expand", "shape", {}); }
void import_reverse(TfliteNode& node) { finish_with_ints(node, "Reverse", "axes", {}); }

void import_pad(TfliteNode& node) { finish_pad(node); }

void import_mirror_pad(TfliteNode& node) {
  const std::string& mode = node.option_text("mode");
  if (mode != "REFLECT" && mode != "SYMMETRIC") node.fail(fmt::format("mode is \"{}\"", mode));
  finish_padded(node, {{"mode", std::string(mode == "REFLECT" ? "reflect" : "symmetric")}});
}

// --- Images ----------------------------------------------------------------------------------------------------------

void import_resize_bilinear(TfliteNode& node) {
  finish_resize_bilinear(node, node.option_int("align_corners") != 0, node.option_int("half_pixel_centers") != 0);
}

void import_resize_nearest(TfliteNode& node) {
  finish_resize_nearest(node, node.option_int("align_corners") != 0, node.option_int("half_pixel_centers") != 0);
}

template <const char* kOp>
void import_blocks(TfliteNode& node) {
  node.finish(kOp, {node.input(0)},
              {{"block", node.option_int("block_size")}, {"mode", std::string("DCR")}, {"layout", kNhwc}});
}
constexpr char kSpaceToDepth[] = "SpaceToDepth", kDepthToSpace[] = "DepthToSpace";

void import_space_to_batch(TfliteNode& node) { finish_space_to_batch(node); }
void import_batch_to_space(TfliteNode& node) { finish_batch_to_space(node); }

// --- Shape sub-graphs ------------------------------------------------------------------------------------------------

void import_shape(TfliteNode& node) { node.finish("Shape", {node.input(0)}, {}, DType::kInt); }

void import_fill(TfliteNode& node) { node.finish("Fill", {node.input(0), node.input(1)}, {}, node.dtype(1)); }

void import_range(TfliteNode& node) { node.finish("Range", {node.input(0), node.input(1), node.input(2)}); }

void import_zeros_like(TfliteNode& node) {
  const bool floats = node.dtype(0) == DType::kFloat;
  const ValueId shape = node.step("shape", "Shape", {node.input(0)}, {}, DType::kInt);
  if (floats) return node.finish("ConstantOfShape", {shape}, {{"value", 0.0}}, DType::kFloat);
  node.finish("ConstantOfShape", {shape}, {{"value", int64_t{0}}}, DType::kInt);
}

// --- Known, and not supported ----------------------------------------------------------------------------------------

template <const char* kName>
void refuse_with_advice(TfliteNode& node) {
  node.refuse("{}", *advice_for(kName));
}
void import_log_softmax(TfliteNode& node) { node.finish("LogSoftmax", {node.input(0)}, {{"axis", int64_t{-1}}}); }

constexpr char kWhile[] = "While", kRandomUniform[] = "RandomUniform";

void refuse_variables(TfliteNode& node) {
  node.refuse("variables are not supported. Convert the model with its variables frozen.");
}

constexpr auto kRows = std::to_array<TfliteRow>({
    {"ABS", import_unary<kAbs>},
    {"ADD", import_arithmetic<kAdd>},
    {"ADD_N", import_add_n},
    {"ARG_MAX", import_arg<kArgMax>},
    {"ARG_MIN", import_arg<kArgMin>},
    {"AVERAGE_POOL_2D", import_average_pool},
    {"BATCH_MATMUL", import_batch_mat_mul},
    {"BATCH_TO_SPACE_ND", import_batch_to_space},
    {"BROADCAST_TO", import_broadcast_to},
    {"CAST", import_cast},
    {"CEIL", import_unary<kCeil>},
    {"CONCATENATION", import_concatenation},
    {"CONV_2D", import_conv_2d},
    {"CONV_3D", import_conv_3d},
    {"COS", import_unary<kCos>},
    {"DEPTHWISE_CONV_2D", import_depthwise_conv_2d},
    {"DEPTH_TO_SPACE", import_blocks<kDepthToSpace>},
    {"DEQUANTIZE", import_alias},
    {"DIV", import_arithmetic<kDiv>},
    {"ELU", import_elu},
    {"EQUAL", import_binary<kEqual>},
    {"EXP", import_unary<kExp>},
    {"EXPAND_DIMS", import_expand_dims},
    {"FILL", import_fill},
    {"FLOOR", import_unary<kFloor>},
    {"FULLY_CONNECTED", import_fully_connected},
    {"GATHER", import_gather},
    {"GELU", import_gelu},
    {"GREATER", import_binary<kGreater>},
    {"GREATER_EQUAL", import_binary<kGreaterEqual>},
    {"HARD_SWISH", import_unary<kHardSwish>},
    {"L2_NORMALIZATION", import_l2_normalisation},
    {"LEAKY_RELU", import_leaky_relu},
    {"LESS", import_binary<kLess>},
    {"LESS_EQUAL", import_binary<kLessEqual>},
    {"LOCAL_RESPONSE_NORMALIZATION", import_lrn},
    {"LOG", import_unary<kLog>},
    {"LOGICAL_AND", import_binary<kAnd>},
    {"LOGICAL_NOT", import_unary<kNot>},
    {"LOGICAL_OR", import_binary<kOr>},
    {"LOGISTIC", import_unary<kSigmoid>},
    {"LOG_SOFTMAX", import_log_softmax},
    {"MAXIMUM", import_binary<kMax>},
    {"MAX_POOL_2D", import_max_pool},
    {"MEAN", import_reduce<kReduceMean>},
    {"MINIMUM", import_binary<kMin>},
    {"MIRROR_PAD", import_mirror_pad},
    {"MUL", import_arithmetic<kMul>},
    {"NEG", import_unary<kNeg>},
    {"NOT_EQUAL", import_not_equal},
    {"PACK", import_pack},
    {"PAD", import_pad},
    {"PADV2", import_pad},
    {"POW", import_pow},
    {"PRELU", import_binary<kPRelu>},
    {"QUANTIZE", import_quantise},
    {"RANGE", import_range},
    {"REDUCE_MAX", import_reduce<kReduceMax>},
    {"REDUCE_MIN", import_reduce<kReduceMin>},
    {"RELU", import_unary<kRelu>},
    {"RELU6", import_relu6},
    {"RELU_0_TO_1", import_relu_0_to_1},
    {"RELU_N1_TO_1", import_relu_n1_to_1},
    {"RESHAPE", import_reshape},
    {"RESIZE_BILINEAR", import_resize_bilinear},
    {"RESIZE_NEAREST_NEIGHBOR", import_resize_nearest},
    {"REVERSE_V2", import_reverse},
    {"ROUND", import_unary<kRound>},
    {"RSQRT", import_unary<kRsqrt>},
    {"SELECT", import_select},
    {"SELECT_V2", import_select_v2},
    {"SHAPE", import_shape},
    {"SIGN", import_unary<kSign>},
    {"SIN", import_unary<kSin>},
    {"SLICE", import_slice},
    {"SOFTMAX", import_softmax},
    {"SPACE_TO_BATCH_ND", import_space_to_batch},
    {"SPACE_TO_DEPTH", import_blocks<kSpaceToDepth>},
    {"SPLIT", import_split},
    {"SPLIT_V", import_split_v},
    {"SQRT", import_unary<kSqrt>},
    {"SQUARE", import_unary<kSquare>},
    {"SQUARED_DIFFERENCE", import_squared_difference},
    {"SQUEEZE", import_squeeze},
    {"STRIDED_SLICE", import_strided_slice},
    {"SUB", import_arithmetic<kSub>},
    {"SUM", import_reduce<kReduceSum>},
    {"TANH", import_unary<kTanh>},
    {"TILE", import_tile},
    {"TOPK_V2", import_top_k},
    {"TRANSPOSE", import_transpose},
    {"TRANSPOSE_CONV", import_transpose_conv},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", import_sequence_lstm},
    {"UNIDIRECTIONAL_SEQUENCE_RNN", import_sequence_rnn},
    {"UNPACK", import_unpack},
    {"ZEROS_LIKE", import_zeros_like},

    {"ASSIGN_VARIABLE", refuse_variables},
    {"CALL_ONCE", refuse_variables},
    {"IF", refuse_with_advice<kWhile>},
    {"RANDOM_STANDARD_NORMAL", refuse_with_advice<kRandomUniform>},
    {"RANDOM_UNIFORM", refuse_with_advice<kRandomUniform>},
    {"READ_VARIABLE", refuse_variables},
    {"VAR_HANDLE", refuse_variables},
    {"WHILE", refuse_with_advice<kWhile>},
});

}  // namespace

const TfliteRow* find_tflite_row(std::string_view op) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(), [&](const TfliteRow& row) { return row.op == op; });
  return found == kRows.end() ? nullptr : found;
}

}  // namespace treville::import
