// The table of TensorFlow operations. A row's function says how one node becomes operations of the graph. Writers strip
// attributes that have their default value, so every reader names TensorFlow's default.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <tuple>

#include "import/node_rows.h"
#include "import/plain_ops.h"
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

void import_identity_n(TfNode& node) {
  for (size_t i = 0; i < node.result_count(); ++i)
    if (node.reads_result(i)) node.alias_result(i, node.input(i));
}

FloatTensor scalar(double value) { return FloatTensor(Shape{}, {static_cast<float>(value)}); }

// number_like makes a constant of an operand's type.
ValueId number_like(TfNode& node, size_t i, const std::string& name, int64_t value) {
  if (node.dtype(i) == DType::kFloat) return node.constant_step(name, scalar(static_cast<double>(value)));
  return node.constant_step(name, IntTensor(Shape{}, {value}));
}

ValueId shape_step(TfNode& node, const std::string& name, ValueId x) {
  return node.step(name, "Shape", {x}, {}, DType::kInt);
}

// listed makes a constant list of one integer.
ValueId listed(TfNode& node, const std::string& name, int64_t value) {
  return node.constant_step(name, IntTensor(Shape{1}, {value}));
}

// padded_shape is a shape with as many ones behind it as x has dimensions more than `fewer`, a list of one integer.
ValueId padded_shape(TfNode& node, ValueId shape, ValueId x, ValueId fewer) {
  const ValueId rank = shape_step(node, "rank", shape_step(node, "shape", x));
  const ValueId count = node.step("count", "Sub", {rank, fewer});
  const ValueId one = node.constant_step("one", IntTensor(Shape{}, {1}));
  const ValueId ones = node.step("ones", "Fill", {count, one}, {}, DType::kInt);
  return node.step("padded_shape", "Concat", {shape, ones}, {{"axis", int64_t{0}}});
}

void import_add_n(TfNode& node) { node.finish_folded("Add"); }

void import_power(TfNode& node) { finish_power(node); }

void import_squared_difference(TfNode& node) {
  node.finish("Square", {node.step("difference", "Sub", {node.input(0), node.input(1)})});
}

// floor_of_quotient rounds toward minus infinity, integers too.
ValueId floor_of_quotient(TfNode& node) {
  const bool floats = node.dtype(0) == DType::kFloat;
  std::vector<ValueId> operands = {node.input(0), node.input(1)};
  for (size_t i = 0; i < 2 && !floats; ++i)
    operands[i] =
        node.step(fmt::format("float_{}", i), "Cast", {operands[i]}, {{"to", std::string("float")}}, DType::kFloat);
  const ValueId floor = node.step("floor", "Floor", {node.step("quotient", "Div", operands)});
  return floats ? floor : node.step("int", "Cast", {floor}, {{"to", std::string("int")}}, DType::kInt);
}

void import_floor_div(TfNode& node) { node.alias(floor_of_quotient(node)); }

void import_floor_mod(TfNode& node) {
  const ValueId whole = node.step("whole", "Mul", {floor_of_quotient(node), node.input(1)});
  node.finish("Sub", {node.input(0), whole});
}

// The graph's quotients of integers round toward zero.
void import_truncate_div(TfNode& node) { node.finish("Div", {node.input(0), node.input(1)}); }

void import_not_equal(TfNode& node) {
  node.finish("Not", {node.step("equal", "Equal", {node.input(0), node.input(1)})});
}

void import_select_v2(TfNode& node) {
  node.finish("Where", {node.input(0), node.input(1), node.input(2)}, {}, node.dtype(1));
}

// TensorFlow 1's Select has a condition for each element, or for each row.
void import_select(TfNode& node) {
  const ValueId shape = shape_step(node, "condition_shape", node.input(0));
  const ValueId padded = padded_shape(node, shape, node.input(1), shape_step(node, "condition_rank", shape));
  const ValueId rows = node.step("condition", "Reshape", {node.input(0), padded}, {{"allow_zero", int64_t{1}}});
  node.finish("Where", {rows, node.input(1), node.input(2)}, {}, node.dtype(1));
}

// 0 where the divisor is.
void import_div_no_nan(TfNode& node) {
  const ValueId a = node.input(0), b = node.input(1);
  const ValueId zero = number_like(node, 1, "zero", 0), one = number_like(node, 1, "one", 1);
  const ValueId is_zero = node.step("is_zero", "Equal", {b, zero});
  const ValueId divisor = node.step("divisor", "Where", {is_zero, one, b}, {}, node.dtype(1));
  const ValueId quotient = node.step("quotient", "Div", {a, divisor});
  node.finish("Where", {is_zero, zero, quotient}, {}, node.dtype(0));
}

void import_log1p(TfNode& node) {
  node.finish("Log", {node.step("plus_1", "Add", {node.input(0), node.constant_step("one", scalar(1))})});
}
void import_expm1(TfNode& node) {
  node.finish("Sub", {node.step("exp", "Exp", {node.input(0)}), node.constant_step("one", scalar(1))});
}

void import_elu(TfNode& node) { node.finish("Elu", {node.input(0)}, {{"alpha", 1.0}}); }

void import_selu(TfNode& node) {
  node.finish("Selu", {node.input(0)}, {{"alpha", 1.6732632423543772}, {"gamma", 1.0507009873554805}});
}

void import_clip_by_value(TfNode& node) {
  const auto low = node.constant_number(1), high = node.constant_number(2);
  if (!low || !high) node.refuse("its bounds are computed. Freeze the model so that they are constants.");
  if (std::isnan(*low) || std::isnan(*high)) node.fail("its bounds hold NaN");
  Attributes bounds;
  if (std::isfinite(*low)) bounds["min"] = *low;
  if (std::isfinite(*high)) bounds["max"] = *high;
  node.finish("Clip", {node.input(0)}, bounds);
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
  if (!type) node.refuse("a cast to data type {} is not supported (supported: floats, integers, booleans)", to);
  if (*type == ElementType::kBool) return finish_truth(node);
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
  ValueId a = node.input(0), b = node.input(1);
  const Attributes swap = {{"swap_last", int64_t{1}}};
  if (node.get_bool("adj_x", false)) a = node.step("transpose_a", "Transpose", {a}, swap);
  if (node.get_bool("adj_y", false)) b = node.step("transpose_b", "Transpose", {b}, swap);
  node.finish("MatMul", {a, b});
}

void import_einsum(TfNode& node) {
  node.finish("Einsum", node.inputs_from(0), {{"equation", node.get_string("equation", "")}});
}

// layout_of reads data_format, whose name depends on the rank.
std::string layout_of(const TfNode& node) {
  const std::string format = node.get_string("data_format", "NHWC");
  if (format == "NHWC" || format == "NDHWC" || format == "NWC") return "NHWC";
  if (format == "NCHW" || format == "NCDHW" || format == "NCW") return "NCHW";
  node.refuse("data_format \"{}\" is not supported (supported: NHWC, NCHW, NDHWC, NCDHW)", format);
}

void import_bias_add(TfNode& node) {
  ValueId bias = node.input(1);
  if (layout_of(node) == "NCHW") {  // of any rank
    const ValueId shape = padded_shape(node, listed(node, "channels", -1), node.input(0), listed(node, "before", 2));
    bias = node.step("bias", "Reshape", {bias, shape}, {{"allow_zero", int64_t{1}}});
  }
  node.finish("Add", {node.input(0), bias});
}

// spatial picks the spatial numbers of a list with one for each dimension of an image of `dims` spatial dimensions.
Ints spatial(const TfNode& node, const std::string& key, const Ints& values, const std::string& layout, size_t dims) {
  if (values.size() != dims + 2 || *std::min_element(values.begin(), values.end()) < 1) {
    node.fail(fmt::format("{} is {}, expected {} numbers of at least 1", key, to_string(Shape(values)), dims + 2));
  }
  const size_t channel = layout == "NHWC" ? dims + 1 : 1, first = layout == "NHWC" ? 1 : 2;
  if (values[0] != 1 || values[channel] != 1) {
    node.refuse("{}={} over batch or channels is not supported", key, to_string(Shape(values)));
  }
  const auto from = values.begin() + static_cast<std::ptrdiff_t>(first);
  return Ints(from, from + static_cast<std::ptrdiff_t>(dims));
}

Ints spatial(const TfNode& node, const std::string& key, const std::string& layout, size_t dims) {
  return spatial(node, key, node.get_ints(key, Ints(dims + 2, 1)), layout, dims);
}

// add_padding sets auto_pad and pads, the latter from explicit_paddings [batch, ..., 2 each] in the layout's order.
void add_padding(const TfNode& node, const std::string& layout, size_t dims, Attributes& attributes) {
  const std::string padding = node.get_string("padding", "");
  Ints pads(2 * dims, 0);
  if (padding == "SAME" || padding == "VALID") {
    attributes["auto_pad"] = std::string(padding == "SAME" ? "same_upper" : "valid");
  } else if (padding == "EXPLICIT") {
    const Ints all = node.get_ints("explicit_paddings");
    if (all.size() != 2 * (dims + 2) || *std::min_element(all.begin(), all.end()) < 0) {
      node.fail(fmt::format("explicit_paddings is {}, expected {} numbers of at least 0", to_string(Shape(all)),
                            2 * (dims + 2)));
    }
    const size_t first = layout == "NHWC" ? 2 : 4;
    for (size_t i = 0; i < dims; ++i) {
      pads[i] = all[first + 2 * i];
      pads[i + dims] = all[first + 2 * i + 1];
    }
    if (std::accumulate(pads.begin(), pads.end(), int64_t{0}) != std::accumulate(all.begin(), all.end(), int64_t{0})) {
      node.refuse("padding of batch or channels is not supported");
    }
    attributes["auto_pad"] = std::string("explicit");
  } else {
    node.refuse("padding \"{}\" is not supported (supported: SAME, VALID, EXPLICIT)", padding);
  }
  attributes["pads"] = pads;
}

Attributes conv_attributes(const TfNode& node, size_t dims) {
  const std::string layout = layout_of(node);
  Attributes attributes = {{"layout", layout},
                           {"groups", int64_t{1}},
                           {"strides", spatial(node, "strides", layout, dims)},
                           {"dilations", spatial(node, "dilations", layout, dims)}};
  add_padding(node, layout, dims, attributes);
  return attributes;
}

// How many groups there are is not said: the channels of x are a multiple of the weight's.
template <size_t kDims>
void import_conv(TfNode& node) {
  Attributes attributes = conv_attributes(node, kDims);
  attributes["groups"] = int64_t{0};
  node.finish("Conv", {node.input(0), node.input(1)}, attributes);
}

// A transposed convolution: input_sizes (the shape of its result), filter [kernel...,out,in], x.
template <size_t kDims>
void import_conv_backprop_input(TfNode& node) {
  Attributes attributes = conv_attributes(node, kDims);
  if (std::get<std::string>(attributes["auto_pad"]) == "explicit")
    node.refuse("padding EXPLICIT is not supported (supported: SAME, VALID)");
  node.finish("ConvTranspose", {node.input(2), node.input(1), node.input(0)}, attributes, node.dtype(2));
}

// The weight [h,w,in,multiplier] is read as [h,w,1,in*multiplier] of as many groups as inputs: output channel
// c * multiplier + m belongs to input c in both.
void import_depthwise_conv2d(TfNode& node) {
  Attributes attributes = conv_attributes(node, 2);
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

// producer_of is the node that computes a value, or null.
const Node* producer_of(const Graph& graph, ValueId value) {
  const auto found = std::find_if(graph.nodes.rbegin(), graph.nodes.rend(), [&](const Node& each) {
    return std::find(each.outputs.begin(), each.outputs.end(), value) != each.outputs.end();
  });
  return found == graph.nodes.rend() ? nullptr : &*found;
}

bool is_number(const Graph& graph, ValueId value, double number) {
  const Constant* constant = graph.constant(value);
  if (constant == nullptr || shape_of(*constant).elements() != 1) return false;
  return static_cast<double>(to_floats(*constant).values[0]) == number;
}

bool is_filled_with(const Graph& graph, ValueId value, double number) {
  const Node* fill = producer_of(graph, value);
  return fill != nullptr && fill->op == "Fill" && is_number(graph, fill->inputs[1], number);
}

// is_layer_norm recognises how Keras writes a layer normalisation: the rows of [1,rows,size,1] are the channels of a
// batch normalisation in training, whose scale is 1 and offset 0.
bool is_layer_norm(TfNode& node) {
  const Graph& graph = node.graph();
  if (layout_of(node) != "NCHW" || node.reads_result(1) || node.reads_result(2)) return false;
  if (!is_filled_with(graph, node.input(1), 1) || !is_filled_with(graph, node.input(2), 0)) return false;
  const Node* reshape = producer_of(graph, node.input(0));
  if (reshape == nullptr || reshape->op != "Reshape" || reshape->inputs.size() != 2) return false;
  const Node* shape = producer_of(graph, reshape->inputs[1]);
  return shape != nullptr && shape->op == "Stack" && shape->inputs.size() == 4 &&
         is_number(graph, shape->inputs[0], 1) && is_number(graph, shape->inputs[3], 1);
}

void import_batch_norm(TfNode& node) {
  const bool is_training = node.get_bool("is_training", true);
  if (is_training && is_layer_norm(node)) {
    const ValueId one = node.constant_step("scale", FloatTensor(Shape{1}, {1}));
    return node.finish("LayerNorm", {node.input(0), one},
                       {{"axis", int64_t{2}}, {"epsilon", node.get_float("epsilon", static_cast<double>(0.0001F))}});
  }
  if (is_training) {
    node.refuse("is_training=true is not supported. Freeze the model for inference.");
  }
  const double epsilon = node.get_float("epsilon", static_cast<double>(0.0001F));
  if (!(epsilon >= 0) || std::isinf(epsilon)) node.fail("epsilon is not a number of at least 0");
  node.finish("BatchNorm", {node.input(0), node.input(1), node.input(2), node.input(3), node.input(4)},
              {{"epsilon", epsilon}, {"layout", layout_of(node)}});
}

// --- Pools and reductions --------------------------------------------------------------------------------------------

Attributes pool_attributes(const TfNode& node, size_t dims) {
  const std::string layout = layout_of(node);
  Attributes attributes = {{"layout", layout},
                           {"kernel", spatial(node, "ksize", layout, dims)},
                           {"strides", spatial(node, "strides", layout, dims)},
                           {"dilations", Ints(dims, 1)},
                           {"ceil_mode", int64_t{0}}};
  add_padding(node, layout, dims, attributes);
  return attributes;
}

template <size_t kDims>
void import_max_pool(TfNode& node) {
  node.finish("MaxPool", {node.input(0)}, pool_attributes(node, kDims));
}

// MaxPoolV2 has its window as operands.
void import_max_pool_v2(TfNode& node) {
  Attributes attributes = pool_attributes(node, 2);
  for (const auto& [i, from, to] : {std::tuple(1U, "ksize", "kernel"), std::tuple(2U, "strides", "strides")})
    attributes[to] = spatial(node, from, constant_list(node, i, from), layout_of(node), 2);
  node.finish("MaxPool", {node.input(0)}, attributes);
}

template <size_t kDims>
void import_avg_pool(TfNode& node) {
  Attributes attributes = pool_attributes(node, kDims);
  attributes["count_include_pad"] = int64_t{0};
  node.finish("AveragePool", {node.input(0)}, attributes);
}

// TensorFlow's alpha is for each element, the graph's for their mean.
void import_lrn(TfNode& node) {
  const int64_t radius = node.get_int("depth_radius", 5);
  if (radius < 0 || radius > 1024) node.fail(fmt::format("depth_radius is {}", radius));
  const int64_t size = 2 * radius + 1;
  const double alpha = node.get_float("alpha", 1), beta = node.get_float("beta", 0.5), bias = node.get_float("bias", 1);
  if (!std::isfinite(alpha) || !std::isfinite(beta) || !std::isfinite(bias)) node.fail("a number is not finite");
  node.finish("LRN", {node.input(0)},
              {{"size", size},
               {"alpha", alpha * static_cast<double>(size)},
               {"beta", beta},
               {"bias", bias},
               {"layout", std::string("NHWC")}});
}

template <const char* kOp>
void import_reduce(TfNode& node) {
  const auto axes = node.constant_ints(1);
  if (!axes) node.refuse("its axes are computed. Freeze the model so that they are constants.");
  if (axes->empty()) return node.alias(node.input(0));  // no axes, no reduction
  node.finish(kOp, {node.input(0)}, {{"axes", *axes}, {"keepdims", int64_t{node.get_bool("keep_dims", false)}}});
}
constexpr char kReduceL2[] = "ReduceL2", kReduceMean[] = "ReduceMean", kReduceSum[] = "ReduceSum",
               kReduceMax[] = "ReduceMax", kReduceMin[] = "ReduceMin", kReduceProd[] = "ReduceProd";

// L2Loss is half the sum of squares.
void import_l2_loss(TfNode& node) {
  const ValueId sum =
      node.step("sum", "ReduceSumSquare", {node.input(0)}, {{"axes", Ints{}}, {"keepdims", int64_t{0}}});
  node.finish("Mul", {sum, node.constant_step("half", scalar(0.5))});
}

template <const char* kOp>
void import_arg(TfNode& node) {
  const int64_t axis = node.has_input(1) ? constant_axis(node, 1) : 0;
  node.finish(kOp, {node.input(0)}, {{"axis", axis}, {"keepdims", int64_t{0}}}, DType::kInt);
}
constexpr char kArgMax[] = "ArgMax", kArgMin[] = "ArgMin";

void import_top_k(TfNode& node) {
  node.finish_all("TopK", {node.input(0), node.input(1)}, {{"axis", int64_t{-1}}, {"largest", int64_t{1}}},
                  {node.dtype(0), DType::kInt});
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

void import_mirror_pad(TfNode& node) {
  const std::string mode = node.get_string("mode", "");
  if (mode != "REFLECT" && mode != "SYMMETRIC") node.fail(fmt::format("mode is \"{}\"", mode));
  finish_padded(node, {{"mode", std::string(mode == "REFLECT" ? "reflect" : "symmetric")}});
}

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

void import_split(TfNode& node) {
  finish_parts(node, node.input(1), constant_axis(node, 0), node.get_int("num_split", 1), true);
}

void import_split_v(TfNode& node) { finish_sized_parts(node); }
void import_unpack(TfNode& node) { finish_unpacked(node, node.get_int("axis", 0)); }

void import_tile(TfNode& node) { finish_with_ints(node, "Tile", "repeats", {}); }
void import_broadcast_to(TfNode& node) { finish_with_ints(node, "Expand", "shape", {}); }
void import_reverse(TfNode& node) { finish_with_ints(node, "Reverse", "axes", {}); }

void import_resize_bilinear(TfNode& node) {
  finish_resize_bilinear(node, node.get_bool("align_corners", false), node.get_bool("half_pixel_centers", false));
}

void import_resize_nearest(TfNode& node) {
  finish_resize_nearest(node, node.get_bool("align_corners", false), node.get_bool("half_pixel_centers", false));
}

template <const char* kOp>
void import_blocks(TfNode& node) {
  node.finish(kOp, {node.input(0)}, {{"block", node.get_int("block_size", 0)}, {"layout", layout_of(node)}});
}
constexpr char kSpaceToDepth[] = "SpaceToDepth", kDepthToSpace[] = "DepthToSpace";

void import_space_to_batch(TfNode& node) { finish_space_to_batch(node); }
void import_batch_to_space(TfNode& node) { finish_batch_to_space(node); }

// The older pair has one block for height and width.
template <const char* kOp>
void import_image_blocks(TfNode& node) {
  const int64_t block = node.get_int("block_size", 0);
  const ValueId blocks = node.constant_step("blocks", IntTensor(Shape{2}, {block, block}));
  node.finish(kOp, {node.input(0), blocks, node.input(1)});
}
constexpr char kSpaceToBatch[] = "SpaceToBatch", kBatchToSpace[] = "BatchToSpace";

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

template <int64_t kValue>
void import_filled_like(TfNode& node) {
  const ValueId shape = shape_step(node, "shape", node.input(0));
  node.finish("Fill", {shape, number_like(node, 0, "value", kValue)}, {}, node.dtype(0));
}

// The largest table of ones and zeros that constant indices become.
constexpr int64_t kMostOneHot = int64_t{1} << 24;

void import_one_hot(TfNode& node) {
  const auto* indices = node.constant(0) != nullptr ? std::get_if<IntTensor>(node.constant(0)) : nullptr;
  const auto depth = node.constant_number(1), on = node.constant_number(2), off = node.constant_number(3);
  if (indices == nullptr || !depth || !on || !off) node.refuse("{}", advice_for("OneHot").value_or("not supported"));
  if (node.get_int("axis", -1) != -1) node.refuse("an axis other than the last is not supported");
  const auto count = static_cast<int64_t>(indices->values.size());
  if (!(*depth >= 0) || *depth * static_cast<double>(count) > static_cast<double>(kMostOneHot))
    node.refuse("a table of {} rows of {} is not supported", count, *depth);
  const auto width = static_cast<int64_t>(*depth);
  Ints dims = indices->shape.dims();
  dims.push_back(width);
  node.state().fills.spend(count * width, node.where());
  FloatTensor table(Shape(dims), std::vector<float>(static_cast<size_t>(count * width), static_cast<float>(*off)));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = indices->values[static_cast<size_t>(i)];
    if (at >= 0 && at < width) table.values[static_cast<size_t>(i * width + at)] = static_cast<float>(*on);
  }
  if (node.dtype(2) == DType::kFloat) return node.finish(table);
  node.finish(IntTensor(table.shape, std::vector<int64_t>(table.values.begin(), table.values.end())));
}

void import_size(TfNode& node) {
  const ValueId shape = node.step("shape", "Shape", {node.input(0)}, {}, DType::kInt);
  node.finish("ReduceProd", {shape}, {{"axes", Ints{0}}, {"keepdims", int64_t{0}}});
}

void import_rank(TfNode& node) {
  const ValueId shape = node.step("shape", "Shape", {node.input(0)}, {}, DType::kInt);
  const ValueId rank = node.step("rank", "Shape", {shape}, {}, DType::kInt);
  node.finish("Reshape", {rank}, {{"shape", Ints{}}, {"allow_zero", int64_t{1}}});
}

void import_fill(TfNode& node) { node.finish("Fill", {node.input(0), node.input(1)}, {}, node.dtype(1)); }

void import_range(TfNode& node) { node.finish("Range", {node.input(0), node.input(1), node.input(2)}); }

// A running sum is a product with a triangle of ones, along an axis that goes last for that. Neither the rank nor the
// extent is known yet: lists of integers compute the permutations and the triangle.
void import_cumsum(TfNode& node) {
  if (node.dtype(0) != DType::kFloat) node.refuse("integers are not supported");
  const ValueId x = node.input(0), zero = listed(node, "zero", 0), one = listed(node, "one", 1);
  const ValueId shape = shape_step(node, "shape", x), rank = shape_step(node, "rank", shape);
  const int64_t axis = constant_axis(node, 1);
  ValueId at = listed(node, "axis", axis);
  if (axis < 0) at = node.step("axis_from_front", "Add", {rank, at});
  const ValueId next = node.step("next", "Add", {at, one}), last = node.step("last", "Sub", {rank, one});
  const ValueId before = node.step("before", "Range", {zero, at, one});
  const ValueId after = node.step("after", "Range", {next, rank, one});
  const ValueId moved_after = node.step("moved_after", "Range", {at, last, one});
  const ValueId to_last = node.step("to_last", "Concat", {before, after, at}, {{"axis", int64_t{0}}});
  const ValueId back = node.step("back", "Concat", {before, last, moved_after}, {{"axis", int64_t{0}}});
  const ValueId count = node.step("count", "Gather", {shape, at}, {{"axis", int64_t{0}}});
  const ValueId places = node.step("places", "Range", {zero, count, one});
  const ValueId from = node.step("from", "Unsqueeze", {places}, {{"axes", Ints{1}}});
  const ValueId to = node.step("to", "Unsqueeze", {places}, {{"axes", Ints{0}}});
  const bool is_reverse = node.get_bool("reverse", false), is_exclusive = node.get_bool("exclusive", false);
  const std::string order =
      is_reverse ? (is_exclusive ? "Greater" : "GreaterEqual") : (is_exclusive ? "Less" : "LessEqual");
  const ValueId triangle = node.step("triangle", "Cast", {node.step("order", order, {from, to})},
                                     {{"to", std::string("float")}}, DType::kFloat);
  const ValueId rows =
      node.step("rows", "Unsqueeze", {node.step("moved", "Transpose", {x, to_last})}, {{"axes", Ints{0}}});
  const ValueId sums = node.step("sums", "MatMul", {rows, triangle});
  node.finish("Transpose", {node.step("sum", "Squeeze", {sums}, {{"axes", Ints{0}}}), back});
}

struct TfRow {
  std::string_view op;
  void (*import)(TfNode& node);
};

constexpr auto kRows = std::to_array<TfRow>({
    {"AddN", import_add_n},
    {"All", import_reduce<kReduceMin>},
    {"Any", import_reduce<kReduceMax>},
    {"ArgMax", import_arg<kArgMax>},
    {"ArgMin", import_arg<kArgMin>},
    {"AvgPool", import_avg_pool<2>},
    {"AvgPool3D", import_avg_pool<3>},
    {"BatchMatMul", import_batch_mat_mul},
    {"BatchMatMulV2", import_batch_mat_mul},
    {"BatchMatMulV3", import_batch_mat_mul},
    {"BatchToSpace", import_image_blocks<kBatchToSpace>},
    {"BatchToSpaceND", import_batch_to_space},
    {"BiasAdd", import_bias_add},
    {"BroadcastTo", import_broadcast_to},
    {"Cast", import_cast},
    {"CheckNumerics", import_alias},
    {"ClipByValue", import_clip_by_value},
    {"Concat", import_concat},
    {"ConcatV2", import_concat_v2},
    {"Const", import_const},
    {"Conv2D", import_conv<2>},
    {"Conv2DBackpropInput", import_conv_backprop_input<2>},
    {"Conv3D", import_conv<3>},
    {"Conv3DBackpropInputV2", import_conv_backprop_input<3>},
    {"Cumsum", import_cumsum},
    {"DepthToSpace", import_blocks<kDepthToSpace>},
    {"DepthwiseConv2dNative", import_depthwise_conv2d},
    {"DivNoNan", import_div_no_nan},
    {"Einsum", import_einsum},
    {"Elu", import_elu},
    {"EnsureShape", import_alias},
    {"EuclideanNorm", import_reduce<kReduceL2>},
    {"ExpandDims", import_expand_dims},
    {"Expm1", import_expm1},
    {"Fill", import_fill},
    {"FloorDiv", import_floor_div},
    {"FloorMod", import_floor_mod},
    {"FusedBatchNorm", import_batch_norm},
    {"FusedBatchNormV2", import_batch_norm},
    {"FusedBatchNormV3", import_batch_norm},
    {"Gather", import_gather},
    {"GatherV2", import_gather},
    {"Identity", import_alias},
    {"IdentityN", import_identity_n},
    {"IsFinite", import_filled_like<1>},
    {"IsInf", import_filled_like<0>},
    {"IsNan", import_filled_like<0>},
    {"L2Loss", import_l2_loss},
    {"LRN", import_lrn},
    {"LeakyRelu", import_leaky_relu},
    {"Log1p", import_log1p},
    {"MatMul", import_mat_mul},
    {"Max", import_reduce<kReduceMax>},
    {"MaxPool", import_max_pool<2>},
    {"MaxPool3D", import_max_pool<3>},
    {"MaxPoolV2", import_max_pool_v2},
    {"Mean", import_reduce<kReduceMean>},
    {"Min", import_reduce<kReduceMin>},
    {"MirrorPad", import_mirror_pad},
    {"NotEqual", import_not_equal},
    {"OneHot", import_one_hot},
    {"OnesLike", import_filled_like<1>},
    {"Pack", import_pack},
    {"Pad", import_pad},
    {"PadV2", import_pad},
    {"PlaceholderWithDefault", import_alias},
    {"Pow", import_power},
    {"PreventGradient", import_alias},
    {"Prod", import_reduce<kReduceProd>},
    {"Range", import_range},
    {"Rank", import_rank},
    {"Relu6", import_relu6},
    {"Reshape", import_reshape},
    {"ResizeBilinear", import_resize_bilinear},
    {"ResizeNearestNeighbor", import_resize_nearest},
    {"ReverseV2", import_reverse},
    {"Select", import_select},
    {"SelectV2", import_select_v2},
    {"Selu", import_selu},
    {"Shape", import_shape},
    {"Size", import_size},
    {"Slice", import_slice},
    {"Snapshot", import_alias},
    {"Softmax", import_softmax},
    {"SpaceToBatch", import_image_blocks<kSpaceToBatch>},
    {"SpaceToBatchND", import_space_to_batch},
    {"SpaceToDepth", import_blocks<kSpaceToDepth>},
    {"Split", import_split},
    {"SplitV", import_split_v},
    {"SquaredDifference", import_squared_difference},
    {"Squeeze", import_squeeze},
    {"StopGradient", import_alias},
    {"StridedSlice", import_strided_slice},
    {"Sum", import_reduce<kReduceSum>},
    {"Tile", import_tile},
    {"TopK", import_top_k},
    {"TopKV2", import_top_k},
    {"Transpose", import_transpose},
    {"TruncateDiv", import_truncate_div},
    {"Unpack", import_unpack},
    {"ZerosLike", import_filled_like<0>},
});

const TfRow* find_row(std::string_view op) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(), [&](const TfRow& row) { return row.op == op; });
  return found == kRows.end() ? nullptr : found;
}

}  // namespace

bool has_tf_row(std::string_view op) { return find_row(op) != nullptr || find_plain_op(op) != nullptr; }

void import_tf_node(TfNode& node, std::string_view op) {
  if (const TfRow* row = find_row(op)) return row->import(node);
  const PlainOp* plain = find_plain_op(op);
  CHECK(plain != nullptr, "{} has no row", op);
  import_plain(node, *plain);
}

}  // namespace treville::import
