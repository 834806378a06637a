// The table of TensorFlow operations. A row's function says how one node becomes operations of the graph. Writers strip
// attributes that have their default value, so every reader names TensorFlow's default.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "import/node_rows.h"
#include "import/tensorflow.h"

namespace treville::import {
namespace {

// --- Constants and aliases -------------------------------------------------------------------------------------------

void import_const(TfNode& node) {
  const tf_format::TensorProto* tensor = node.get_tensor("value");
  if (tensor == nullptr) node.fail("its value is missing");
  if (!tf_element_type(tensor->dtype())) {
    node.refuse("a constant of data type {} is not supported (supported: floats, integers, booleans)", tensor->dtype());
  }
  node.finish(decode_tf_tensor(*tensor, node.state().fills, node.where()));
}

void import_alias(TfNode& node) { node.alias(node.input(0)); }

// --- Elementwise -----------------------------------------------------------------------------------------------------

template <const char* kOp>
void import_binary(TfNode& node) {
  node.finish(kOp, {node.input(0), node.input(1)});
}
constexpr char kAdd[] = "Add", kSub[] = "Sub", kMul[] = "Mul", kDiv[] = "Div";

template <const char* kOp>
void import_unary(TfNode& node) {
  node.finish(kOp, {node.input(0)});
}
constexpr char kRelu[] = "Relu", kNeg[] = "Neg", kSqrt[] = "Sqrt", kRsqrt[] = "Rsqrt";

void import_add_n(TfNode& node) {
  const std::vector<ValueId> terms = node.inputs_from(0);
  if (terms.empty()) node.fail("it adds nothing");
  if (terms.size() == 1) return node.alias(terms[0]);
  ValueId sum = terms[0];
  for (size_t i = 1; i + 1 < terms.size(); ++i) sum = node.step(fmt::format("sum_{}", i), "Add", {sum, terms[i]});
  node.finish("Add", {sum, terms.back()});
}

void import_square(TfNode& node) { node.finish("Mul", {node.input(0), node.input(0)}); }

void import_squared_difference(TfNode& node) {
  const ValueId difference = node.step("difference", "Sub", {node.input(0), node.input(1)});
  node.finish("Mul", {difference, difference});
}

void import_relu6(TfNode& node) { node.finish("Clip", {node.input(0)}, {{"min", 0.0}, {"max", 6.0}}); }

void import_leaky_relu(TfNode& node) {
  // TensorFlow's default is the float nearest to 0.2.
  const double alpha = node.get_float("alpha", static_cast<double>(0.2F));
  if (!std::isfinite(alpha)) node.fail("alpha is not a finite number");
  node.finish("LeakyRelu", {node.input(0)}, {{"alpha", alpha}});
}

void import_cast(TfNode& node) {
  const int32_t to = node.get_type("DstT", tf_format::DT_INVALID);
  const auto type = tf_element_type(to);
  if (!type || *type == ElementType::kBool) {
    node.refuse("a cast to data type {} is not supported (supported: floats and integers)", to);
  }
  const bool floats = is_float(*type);
  node.finish("Cast", {node.input(0)}, {{"to", std::string(floats ? "float" : "int")}},
              floats ? DType::kFloat : DType::kInt);
}

// --- Linear ----------------------------------------------------------------------------------------------------------

void import_mat_mul(TfNode& node) {
  ValueId a = node.input(0), b = node.input(1);
  const Attributes swap = {{"perm", Ints{1, 0}}};
  if (node.get_bool("transpose_a", false)) a = node.step("transpose_a", "Transpose", {a}, swap);
  if (node.get_bool("transpose_b", false)) b = node.step("transpose_b", "Transpose", {b}, swap);
  node.finish("MatMul", {a, b});
}

void import_batch_mat_mul(TfNode& node) {
  if (node.get_bool("adj_x", false) || node.get_bool("adj_y", false)) {
    node.refuse("adj_x and adj_y are not supported (supported: false)");
  }
  node.finish("MatMul", {node.input(0), node.input(1)});
}

std::string layout_of(const TfNode& node) {
  std::string format = node.get_string("data_format", "NHWC");
  if (format != "NHWC" && format != "NCHW") {
    node.refuse("data_format \"{}\" is not supported (supported: NHWC, NCHW)", format);
  }
  return format;
}

void import_bias_add(TfNode& node) {
  ValueId bias = node.input(1);
  if (layout_of(node) == "NCHW") {
    bias = node.step("bias", "Reshape", {bias}, {{"shape", Ints{-1, 1, 1}}, {"allow_zero", int64_t{1}}});
  }
  node.finish("Add", {node.input(0), bias});
}

// spatial picks height and width of a list with one number for each dimension of an image.
Ints spatial(const TfNode& node, const std::string& key, const std::string& layout, Ints otherwise) {
  const Ints values = node.get_ints(key, std::move(otherwise));
  if (values.size() != 4 || *std::min_element(values.begin(), values.end()) < 1) {
    node.fail(fmt::format("{} is {}, expected 4 numbers of at least 1", key, to_string(Shape(values))));
  }
  const size_t channel = layout == "NHWC" ? 3 : 1, height = layout == "NHWC" ? 1 : 2;
  if (values[0] != 1 || values[channel] != 1) {
    node.refuse("{}={} over batch or channels is not supported", key, to_string(Shape(values)));
  }
  return {values[height], values[height + 1]};
}

// add_padding sets auto_pad and pads, the latter from explicit_paddings [batch, ..., 2 each] in the layout's order.
void add_padding(const TfNode& node, const std::string& layout, Attributes& attributes) {
  const std::string padding = node.get_string("padding", "");
  Ints pads = {0, 0, 0, 0};
  if (padding == "SAME" || padding == "VALID") {
    attributes["auto_pad"] = std::string(padding == "SAME" ? "same_upper" : "valid");
  } else if (padding == "EXPLICIT") {
    const Ints all = node.get_ints("explicit_paddings");
    if (all.size() != 8 || *std::min_element(all.begin(), all.end()) < 0) {
      node.fail(fmt::format("explicit_paddings is {}, expected 8 numbers of at least 0", to_string(Shape(all))));
    }
    const size_t height = layout == "NHWC" ? 2 : 4;
    pads = {all[height], all[height + 2], all[height + 1], all[height + 3]};
    if (std::accumulate(pads.begin(), pads.end(), int64_t{0}) != std::accumulate(all.begin(), all.end(), int64_t{0})) {
      node.refuse("padding of batch or channels is not supported");
    }
    attributes["auto_pad"] = std::string("explicit");
  } else {
    node.refuse("padding \"{}\" is not supported (supported: SAME, VALID, EXPLICIT)", padding);
  }
  attributes["pads"] = pads;
}

Attributes conv_attributes(const TfNode& node) {
  const std::string layout = layout_of(node);
  Attributes attributes = {{"layout", layout},
                           {"groups", int64_t{1}},
                           {"strides", spatial(node, "strides", layout, {})},
                           {"dilations", spatial(node, "dilations", layout, {1, 1, 1, 1})}};
  add_padding(node, layout, attributes);
  return attributes;
}

void import_conv2d(TfNode& node) { node.finish("Conv", {node.input(0), node.input(1)}, conv_attributes(node)); }

// The weight [h,w,in,multiplier] is read as [h,w,1,in*multiplier] of as many groups as inputs: output channel
// c * multiplier + m belongs to input c in both.
void import_depthwise_conv2d(TfNode& node) {
  Attributes attributes = conv_attributes(node);
  const Constant* weight = node.constant(1);
  if (weight == nullptr) node.refuse("its weight is computed. Freeze the model so that weights are constants.");
  const Shape& shape = shape_of(*weight);
  if (shape.rank() != 4 || shape[2] < 1) {
    node.fail(fmt::format("its weight has shape {}, expected [height,width,channels,multiplier]", to_string(shape)));
  }
  attributes["groups"] = shape[2];
  const Ints grouped = {shape[0], shape[1], 1, -1};
  const ValueId hwio =
      node.step("weight", "Reshape", {node.input(1)}, {{"shape", grouped}, {"allow_zero", int64_t{1}}});
  node.finish("Conv", {node.input(0), hwio}, attributes);
}

void import_batch_norm(TfNode& node) {
  if (node.get_bool("is_training", true)) {
    node.refuse("is_training=true is not supported. Freeze the model for inference.");
  }
  const double epsilon = node.get_float("epsilon", static_cast<double>(0.0001F));
  if (!(epsilon >= 0) || std::isinf(epsilon)) node.fail("epsilon is not a number of at least 0");
  node.finish("BatchNorm", {node.input(0), node.input(1), node.input(2), node.input(3), node.input(4)},
              {{"epsilon", epsilon}, {"layout", layout_of(node)}});
}

// --- Pools and reductions --------------------------------------------------------------------------------------------

Attributes pool_attributes(const TfNode& node) {
  const std::string layout = layout_of(node);
  Attributes attributes = {{"layout", layout},
                           {"kernel", spatial(node, "ksize", layout, {})},
                           {"strides", spatial(node, "strides", layout, {})},
                           {"dilations", Ints{1, 1}},
                           {"ceil_mode", int64_t{0}}};
  add_padding(node, layout, attributes);
  return attributes;
}

void import_max_pool(TfNode& node) { node.finish("MaxPool", {node.input(0)}, pool_attributes(node)); }

void import_avg_pool(TfNode& node) {
  Attributes attributes = pool_attributes(node);
  attributes["count_include_pad"] = int64_t{0};
  node.finish("AveragePool", {node.input(0)}, attributes);
}

void import_reduce(TfNode& node, const char* op) {
  const auto axes = node.constant_ints(1);
  if (!axes) node.refuse("its axes are computed. Freeze the model so that they are constants.");
  if (axes->empty()) return node.alias(node.input(0));  // no axes, no reduction
  node.finish(op, {node.input(0)}, {{"axes", *axes}, {"keepdims", int64_t{node.get_bool("keep_dims", false)}}});
}
void import_mean(TfNode& node) { import_reduce(node, "ReduceMean"); }
void import_reduce_sum(TfNode& node) { import_reduce(node, "ReduceSum"); }

void import_arg_max(TfNode& node) {
  const int64_t axis = node.has_input(1) ? constant_axis(node, 1) : 0;
  node.finish("ArgMax", {node.input(0)}, {{"axis", axis}, {"keepdims", int64_t{0}}}, DType::kInt);
}

void import_softmax(TfNode& node) { node.finish("Softmax", {node.input(0)}, {{"axis", int64_t{-1}}}); }

// --- Shapes ----------------------------------------------------------------------------------------------------------

void import_concat_v2(TfNode& node) {
  if (node.input_count() < 2) node.fail("an input is missing");
  const int64_t axis = constant_axis(node, node.input_count() - 1);
  std::vector<ValueId> parts = node.inputs_from(0);
  parts.pop_back();
  node.finish("Concat", parts, {{"axis", axis}});
}

void import_concat(TfNode& node) {
  if (node.input_count() < 2) node.fail("an input is missing");
  node.finish("Concat", node.inputs_from(1), {{"axis", constant_axis(node, 0)}});
}

void import_pad(TfNode& node) { finish_pad(node); }

void import_reshape(TfNode& node) { finish_with_ints(node, "Reshape", "shape", {{"allow_zero", int64_t{1}}}); }
void import_transpose(TfNode& node) { finish_with_ints(node, "Transpose", "perm", {}); }
void import_expand_dims(TfNode& node) { finish_with_ints(node, "Unsqueeze", "axes", {}); }

void import_squeeze(TfNode& node) {
  Attributes attributes;
  const Ints axes = node.get_ints("squeeze_dims");
  if (!axes.empty()) attributes["axes"] = axes;
  node.finish("Squeeze", {node.input(0)}, attributes);
}

void import_strided_slice(TfNode& node) {
  Attributes attributes;
  for (const char* key : {"begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"}) {
    attributes[key] = node.get_int(key, 0);
  }
  node.finish("StridedSlice", {node.input(0), node.input(1), node.input(2), node.input(3)}, attributes);
}

void import_slice(TfNode& node) { finish_sized_slice(node); }

// --- Shape sub-graphs ------------------------------------------------------------------------------------------------

void import_shape(TfNode& node) { node.finish("Shape", {node.input(0)}, {}, DType::kInt); }

void import_gather(TfNode& node) {
  if (node.get_int("batch_dims", 0) != 0) node.refuse("batch_dims other than 0 are not supported");
  const int64_t axis = node.input_count() > 2 ? constant_axis(node, 2) : 0;
  node.finish("Gather", {node.input(0), node.input(1)}, {{"axis", axis}});
}

void import_pack(TfNode& node) {
  if (node.input_count() == 0) node.fail("an input is missing");
  node.finish("Stack", node.inputs_from(0), {{"axis", node.get_int("axis", 0)}});
}

void import_fill(TfNode& node) { node.finish("Fill", {node.input(0), node.input(1)}, {}, node.dtype(1)); }

void import_range(TfNode& node) { node.finish("Range", {node.input(0), node.input(1), node.input(2)}); }

// --- Known, and not supported ----------------------------------------------------------------------------------------

void refuse_control_flow(TfNode& node) {
  node.refuse("control flow is not supported. Freeze the model for inference, so that its switches are constants.");
}
void refuse_random(TfNode& node) {
  node.refuse("random numbers are not supported. Freeze the model for inference, without dropout.");
}
void refuse_quantised(TfNode& node) {
  node.refuse("quantised models are not supported. Give the float model; it is quantised at compile time.");
}
void refuse_resize(TfNode& node) { node.refuse("not supported. Change the size of images before the model."); }

constexpr auto kRows = std::to_array<TfRow>({
    {"Add", import_binary<kAdd>},
    {"AddN", import_add_n},
    {"AddV2", import_binary<kAdd>},
    {"ArgMax", import_arg_max},
    {"AvgPool", import_avg_pool},
    {"BatchMatMul", import_batch_mat_mul},
    {"BatchMatMulV2", import_batch_mat_mul},
    {"BiasAdd", import_bias_add},
    {"Cast", import_cast},
    {"CheckNumerics", import_alias},
    {"Concat", import_concat},
    {"ConcatV2", import_concat_v2},
    {"Const", import_const},
    {"Conv2D", import_conv2d},
    {"DepthwiseConv2dNative", import_depthwise_conv2d},
    {"Div", import_binary<kDiv>},
    {"EnsureShape", import_alias},
    {"ExpandDims", import_expand_dims},
    {"Fill", import_fill},
    {"FusedBatchNorm", import_batch_norm},
    {"FusedBatchNormV2", import_batch_norm},
    {"FusedBatchNormV3", import_batch_norm},
    {"Gather", import_gather},
    {"GatherV2", import_gather},
    {"Identity", import_alias},
    {"LeakyRelu", import_leaky_relu},
    {"MatMul", import_mat_mul},
    {"MaxPool", import_max_pool},
    {"Mean", import_mean},
    {"Mul", import_binary<kMul>},
    {"Neg", import_unary<kNeg>},
    {"Pack", import_pack},
    {"Pad", import_pad},
    {"PadV2", import_pad},
    {"PlaceholderWithDefault", import_alias},
    {"PreventGradient", import_alias},
    {"Range", import_range},
    {"RealDiv", import_binary<kDiv>},
    {"Relu", import_unary<kRelu>},
    {"Relu6", import_relu6},
    {"Reshape", import_reshape},
    {"Rsqrt", import_unary<kRsqrt>},
    {"Shape", import_shape},
    {"Slice", import_slice},
    {"Snapshot", import_alias},
    {"Softmax", import_softmax},
    {"Sqrt", import_unary<kSqrt>},
    {"Square", import_square},
    {"SquaredDifference", import_squared_difference},
    {"Squeeze", import_squeeze},
    {"StopGradient", import_alias},
    {"StridedSlice", import_strided_slice},
    {"Sub", import_binary<kSub>},
    {"Sum", import_reduce_sum},
    {"Transpose", import_transpose},

    {"Enter", refuse_control_flow},
    {"Exit", refuse_control_flow},
    {"FakeQuantWithMinMaxVars", refuse_quantised},
    {"LoopCond", refuse_control_flow},
    {"Merge", refuse_control_flow},
    {"NextIteration", refuse_control_flow},
    {"RandomUniform", refuse_random},
    {"ResizeBilinear", refuse_resize},
    {"ResizeNearestNeighbor", refuse_resize},
    {"Switch", refuse_control_flow},
});

}  // namespace

const TfRow* find_tf_row(std::string_view op) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(), [&](const TfRow& row) { return row.op == op; });
  return found == kRows.end() ? nullptr : found;
}

}  // namespace treville::import
