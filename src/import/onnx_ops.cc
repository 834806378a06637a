// The table of ONNX operations. A row's function says how one node becomes operations of the graph; what changed
// between operator sets is handled where it is read.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "import/onnx.h"

namespace treville::import {
namespace {

const std::string kNchw = "NCHW";

FloatTensor scalar(double value) { return FloatTensor(Shape{}, {static_cast<float>(value)}); }

IntTensor int_list(const Ints& values) { return IntTensor(Shape{static_cast<int64_t>(values.size())}, values); }

// --- Elementwise -----------------------------------------------------------------------------------------------------

template <const char* kOp>
void import_binary(OnnxNode& node) {
  node.finish(kOp, {node.input(0), node.input(1)});
}
constexpr char kAdd[] = "Add", kSub[] = "Sub", kMul[] = "Mul", kDiv[] = "Div", kMatMul[] = "MatMul";

template <const char* kOp>
void import_unary(OnnxNode& node) {
  node.finish(kOp, {node.input(0)});
}
constexpr char kRelu[] = "Relu", kSqrt[] = "Sqrt", kNeg[] = "Neg";

void import_sum(OnnxNode& node) {
  const std::vector<ValueId> terms = node.inputs_from(0);
  if (terms.empty()) node.fail("it adds nothing");
  if (terms.size() == 1) return node.alias(terms[0]);
  ValueId sum = terms[0];
  for (size_t i = 1; i + 1 < terms.size(); ++i) sum = node.step(fmt::format("sum_{}", i), "Add", {sum, terms[i]});
  node.finish("Add", {sum, terms.back()});
}

void import_clip(OnnxNode& node) {
  Attributes bounds;
  const auto set = [&](const char* key, std::optional<double> bound) {
    // The largest float and the infinities are how exporters write "no bound".
    if (bound && std::abs(*bound) < static_cast<double>(std::numeric_limits<float>::max())) bounds[key] = *bound;
  };
  if (node.opset() < 11) {
    if (node.has("min")) set("min", node.get_float("min", 0));
    if (node.has("max")) set("max", node.get_float("max", 0));
  } else {
    for (size_t i = 1; i <= 2; ++i) {
      if (!node.has_input(i)) continue;
      const auto bound = node.constant_number(i);
      if (!bound) node.refuse("its bounds are computed. Export it with constant min and max.");
      if (std::isnan(*bound)) node.fail("its bounds hold NaN");
      set(i == 1 ? "min" : "max", bound);
    }
  }
  node.finish("Clip", {node.input(0)}, bounds);
}

void import_leaky_relu(OnnxNode& node) {
  const double alpha = node.get_float("alpha", 0.01);
  if (!std::isfinite(alpha)) node.fail("alpha is not a finite number");
  node.finish("LeakyRelu", {node.input(0)}, {{"alpha", alpha}});
}

void import_cast(OnnxNode& node) {
  // Numbers of the format's element types.
  constexpr std::array<int64_t, 4> kFloats = {1, 10, 11, 16};
  constexpr std::array<int64_t, 8> kInts = {2, 3, 4, 5, 6, 7, 12, 13};
  const int64_t to = node.get_int("to", 0);
  if (std::count(kFloats.begin(), kFloats.end(), to) > 0) {
    return node.finish("Cast", {node.input(0)}, {{"to", std::string("float")}}, DType::kFloat);
  }
  if (std::count(kInts.begin(), kInts.end(), to) > 0) {
    return node.finish("Cast", {node.input(0)}, {{"to", std::string("int")}}, DType::kInt);
  }
  node.refuse("a cast to element type {} is not supported (supported: floats and integers)", to);
}

// --- Linear ----------------------------------------------------------------------------------------------------------

// Gemm is alpha * A' * B' + beta * C. The factors go to the weight and the bias, where they fold.
void import_gemm(OnnxNode& node) {
  ValueId a = node.input(0), b = node.input(1);
  const Attributes swap = {{"perm", Ints{1, 0}}};
  if (node.get_int("transA", 0) != 0) a = node.step("transpose_a", "Transpose", {a}, swap);
  if (node.get_int("transB", 0) != 0) b = node.step("transpose_b", "Transpose", {b}, swap);
  const double alpha = node.get_float("alpha", 1), beta = node.get_float("beta", 1);
  if (!std::isfinite(alpha) || !std::isfinite(beta)) node.fail("alpha or beta is not a finite number");
  if (alpha != 1) b = node.step("alpha_b", "Mul", {b, node.constant_step("alpha", scalar(alpha))});
  if (!node.has_input(2) || beta == 0) return node.finish("MatMul", {a, b});
  ValueId c = node.input(2);
  if (beta != 1) c = node.step("beta_c", "Mul", {c, node.constant_step("beta", scalar(beta))});
  node.finish("Add", {node.step("matmul", "MatMul", {a, b}), c});
}

// Window is what convolutions and pools share.
struct Window {
  Ints kernel;
  Attributes attributes;
};

std::string auto_pad_of(const OnnxNode& node) {
  const std::string mode = node.get_string("auto_pad", "NOTSET");
  if (mode == "NOTSET" || mode.empty()) return "explicit";
  if (mode == "VALID") return "valid";
  if (mode == "SAME_UPPER") return "same_upper";
  if (mode == "SAME_LOWER") return "same_lower";
  node.refuse("auto_pad \"{}\" is not supported (supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER)", mode);
}

// weight_extent is the kernel a constant weight [out,in,spatial...] implies.
Ints weight_extent(const OnnxNode& node) {
  const Constant* weight = node.constant(1);
  if (weight == nullptr) return {};
  const Ints& dims = shape_of(*weight).dims();
  if (dims.size() < 3) node.fail(fmt::format("its weight has shape {}", to_string(shape_of(*weight))));
  return Ints(dims.begin() + 2, dims.end());
}

Window read_window(const OnnxNode& node, const Ints& weight_kernel) {
  Window window;
  window.kernel = node.get_ints("kernel_shape", weight_kernel);
  if (!weight_kernel.empty() && window.kernel != weight_kernel) {
    node.fail(fmt::format("kernel_shape {} is not that of its weight, {}", to_string(Shape(window.kernel)),
                          to_string(Shape(weight_kernel))));
  }
  Ints strides = node.get_ints("strides"), dilations = node.get_ints("dilations"), pads = node.get_ints("pads");
  const size_t rank = std::max({window.kernel.size(), strides.size(), dilations.size(), pads.size() / 2});
  if (rank != 2 && rank != 0) {
    node.refuse("{} spatial dimensions are not supported (supported: 2)", rank);
  }
  if (strides.empty()) strides = {1, 1};
  if (dilations.empty()) dilations = {1, 1};
  if (pads.empty()) pads = {0, 0, 0, 0};
  const auto at_least = [&](const Ints& values, size_t count, int64_t least, const char* key) {
    if (values.size() == count && *std::min_element(values.begin(), values.end()) >= least) return;
    node.fail(fmt::format("{} is {}, expected {} numbers of at least {}", key, to_string(Shape(values)), count, least));
  };
  at_least(strides, 2, 1, "strides");
  at_least(dilations, 2, 1, "dilations");
  if (pads.size() == 4 && *std::min_element(pads.begin(), pads.end()) < 0) {
    node.refuse("negative pads are not supported");
  }
  at_least(pads, 4, 0, "pads");
  if (!window.kernel.empty()) at_least(window.kernel, 2, 1, "kernel_shape");
  const std::string auto_pad = auto_pad_of(node);
  if (auto_pad != "explicit") pads = {0, 0, 0, 0};
  window.attributes = {
      {"strides", strides}, {"dilations", dilations}, {"pads", pads}, {"auto_pad", auto_pad}, {"layout", kNchw}};
  return window;
}

void import_conv(OnnxNode& node) {
  Window window = read_window(node, weight_extent(node));
  const int64_t groups = node.get_int("group", 1);
  if (groups < 1) node.fail(fmt::format("group is {}", groups));
  window.attributes["groups"] = groups;
  // [out,in/groups,h,w] becomes [h,w,in/groups,out].
  std::vector<ValueId> inputs = {node.input(0),
                                 node.step("weight", "Transpose", {node.input(1)}, {{"perm", Ints{2, 3, 1, 0}}})};
  if (node.has_input(2)) inputs.push_back(node.input(2));
  node.finish("Conv", inputs, window.attributes);
}

void import_batch_norm(OnnxNode& node) {
  if (node.get_int("training_mode", 0) != 0) node.refuse("training_mode=1 is not supported. Export it for inference.");
  if (node.get_int("spatial", 1) != 1) node.refuse("spatial=0 is not supported (supported: 1)");
  const double epsilon = node.get_float("epsilon", 1e-5);
  if (!(epsilon >= 0) || std::isinf(epsilon)) node.fail("epsilon is not a number of at least 0");
  node.finish("BatchNorm", {node.input(0), node.input(1), node.input(2), node.input(3), node.input(4)},
              {{"epsilon", epsilon}, {"layout", kNchw}});
}

// --- Pools and reductions --------------------------------------------------------------------------------------------

Window read_pool(const OnnxNode& node) {
  Window window = read_window(node, {});
  if (window.kernel.empty()) node.fail("kernel_shape is missing");
  window.attributes["kernel"] = window.kernel;
  window.attributes["ceil_mode"] = node.get_int("ceil_mode", 0);
  return window;
}

void import_max_pool(OnnxNode& node) { node.finish("MaxPool", {node.input(0)}, read_pool(node).attributes); }

void import_average_pool(OnnxNode& node) {
  Window window = read_pool(node);
  window.attributes["count_include_pad"] = node.get_int("count_include_pad", 0);
  node.finish("AveragePool", {node.input(0)}, window.attributes);
}

void import_global_average_pool(OnnxNode& node) {
  node.finish("ReduceMean", {node.input(0)}, {{"axes", Ints{2, 3}}, {"keepdims", int64_t{1}}});
}

void import_global_max_pool(OnnxNode& node) {
  node.finish("MaxPool", {node.input(0)}, {{"global", int64_t{1}}, {"layout", kNchw}});
}

// The axes are an attribute before operator set `moved`, then an optional input.
std::optional<Ints> read_axes(const OnnxNode& node, int64_t moved) {
  if (node.opset() < moved) return node.has("axes") ? node.get_ints("axes") : std::optional<Ints>();
  if (!node.has_input(1)) return {};
  auto axes = node.constant_ints(1);
  if (!axes) node.refuse("its axes are computed. Export it with constant axes.");
  return axes;
}

void import_reduce(OnnxNode& node, const char* op, int64_t moved) {
  const Ints axes = read_axes(node, moved).value_or(Ints{});
  if (axes.empty() && node.get_int("noop_with_empty_axes", 0) != 0) return node.alias(node.input(0));
  node.finish(op, {node.input(0)}, {{"axes", axes}, {"keepdims", node.get_int("keepdims", 1)}});
}
void import_reduce_mean(OnnxNode& node) { import_reduce(node, "ReduceMean", 18); }
void import_reduce_sum(OnnxNode& node) { import_reduce(node, "ReduceSum", 13); }

void import_arg_max(OnnxNode& node) {
  if (node.get_int("select_last_index", 0) != 0) node.refuse("select_last_index=1 is not supported (supported: 0)");
  node.finish("ArgMax", {node.input(0)}, {{"axis", node.get_int("axis", 0)}, {"keepdims", node.get_int("keepdims", 1)}},
              DType::kInt);
}

// Before operator set 13 the axis and all later ones are one distribution.
void import_softmax(OnnxNode& node) {
  const bool joint = node.opset() < 13;
  Attributes attributes = {{"axis", node.get_int("axis", joint ? 1 : -1)}};
  if (joint) attributes["joint"] = int64_t{1};
  node.finish("Softmax", {node.input(0)}, attributes);
}

// --- Shapes ----------------------------------------------------------------------------------------------------------

// finish_with_ints emits op(x) with attribute `key` when input i is constant, else op(x, input i).
void finish_with_ints(OnnxNode& node, const std::string& op, size_t i, const std::string& key, Attributes attributes) {
  if (const auto values = node.constant_ints(i)) {
    attributes[key] = *values;
    return node.finish(op, {node.input(0)}, attributes);
  }
  node.finish(op, {node.input(0), node.input(i)}, attributes);
}

void import_reshape(OnnxNode& node) {
  finish_with_ints(node, "Reshape", 1, "shape", {{"allow_zero", node.get_int("allowzero", 0)}});
}

void import_flatten(OnnxNode& node) { node.finish("Flatten", {node.input(0)}, {{"axis", node.get_int("axis", 1)}}); }

void import_squeeze(OnnxNode& node) {
  if (node.opset() >= 13 && node.has_input(1)) return finish_with_ints(node, "Squeeze", 1, "axes", {});
  Attributes attributes;
  if (node.opset() < 13 && node.has("axes")) attributes["axes"] = node.get_ints("axes");
  node.finish("Squeeze", {node.input(0)}, attributes);
}

void import_unsqueeze(OnnxNode& node) {
  if (node.opset() >= 13) return finish_with_ints(node, "Unsqueeze", 1, "axes", {});
  if (!node.has("axes")) node.fail("axes is missing");
  node.finish("Unsqueeze", {node.input(0)}, {{"axes", node.get_ints("axes")}});
}

void import_transpose(OnnxNode& node) {
  Attributes attributes;
  if (node.has("perm")) attributes["perm"] = node.get_ints("perm");
  node.finish("Transpose", {node.input(0)}, attributes);
}

void import_concat(OnnxNode& node) {
  if (node.input_count() == 0 || !node.has("axis")) node.fail("an input or the axis is missing");
  node.finish("Concat", node.inputs_from(0), {{"axis", node.get_int("axis", 0)}});
}

Ints first_axes(size_t count) {
  Ints axes(count);
  std::iota(axes.begin(), axes.end(), int64_t{0});
  return axes;
}

void finish_slice(OnnxNode& node, const Ints& starts, const Ints& ends, const Ints& axes, const Ints& steps) {
  if (starts.size() != ends.size() || starts.size() != axes.size() || starts.size() != steps.size()) {
    node.fail(fmt::format("it has {} starts, {} ends, {} axes and {} steps", starts.size(), ends.size(), axes.size(),
                          steps.size()));
  }
  if (std::count(steps.begin(), steps.end(), 0) > 0) node.fail("a step is 0");
  node.finish("Slice", {node.input(0)}, {{"starts", starts}, {"ends", ends}, {"axes", axes}, {"steps", steps}});
}

void import_slice(OnnxNode& node) {
  if (node.opset() < 10) {
    const Ints starts = node.get_ints("starts");
    return finish_slice(node, starts, node.get_ints("ends"), node.get_ints("axes", first_axes(starts.size())),
                        Ints(starts.size(), 1));
  }
  const auto starts = node.constant_ints(1), ends = node.constant_ints(2);
  const size_t count = starts ? starts->size() : ends ? ends->size() : 0;
  const bool count_known = starts || ends;
  const auto axes = node.has_input(3) ? node.constant_ints(3) : Ints(first_axes(count));
  const auto steps = node.has_input(4) ? node.constant_ints(4) : Ints(count, 1);
  if (starts && ends && axes && steps) return finish_slice(node, *starts, *ends, *axes, *steps);
  std::vector<ValueId> inputs = {node.input(0), node.input(1), node.input(2)};
  if (node.has_input(3)) {
    inputs.push_back(node.input(3));
  } else if (node.has_input(4)) {
    if (!count_known) node.refuse("computed starts and ends with steps need axes. Export it with axes.");
    inputs.push_back(node.constant_step("axes", int_list(*axes)));
  }
  if (node.has_input(4)) inputs.push_back(node.input(4));
  node.finish("Slice", inputs);
}

void import_pad(OnnxNode& node) {
  const std::string mode = node.get_string("mode", "constant");
  if (mode != "constant") node.refuse("mode \"{}\" is not supported (supported: constant)", mode);
  double value = 0;
  if (node.opset() < 11) {
    value = node.get_float("value", 0);
  } else if (node.has_input(2)) {
    const auto constant = node.constant_number(2);
    if (!constant) node.refuse("its value is computed. Export it with a constant value.");
    value = *constant;
  }
  if (!std::isfinite(value)) node.refuse("a value that is not a finite number is not supported");
  Attributes attributes = {{"mode", std::string("constant")}, {"value", value}};
  if (node.opset() < 11) {
    if (!node.has("pads")) node.fail("pads is missing");
    attributes["pads"] = node.get_ints("pads");
    return node.finish("Pad", {node.input(0)}, attributes);
  }
  if (node.has_input(3)) {
    const auto axes = node.constant_ints(3), pads = node.constant_ints(1);
    const bool all_in_order = axes && pads && *axes == first_axes(pads->size() / 2);
    if (!all_in_order) node.refuse("axes are not supported. Export it with pads for every axis.");
  }
  finish_with_ints(node, "Pad", 1, "pads", attributes);
}

void import_identity(OnnxNode& node) { node.alias(node.input(0)); }

void import_dropout(OnnxNode& node) {
  if (node.has_input(2)) {
    const auto training = node.constant_number(2);
    if (!training || *training != 0) node.refuse("training mode is not supported. Export it for inference.");
  }
  node.alias(node.input(0));
}

// --- Shape sub-graphs ------------------------------------------------------------------------------------------------

void import_shape(OnnxNode& node) {
  Attributes attributes;
  if (node.has("start")) attributes["start"] = node.get_int("start", 0);
  if (node.has("end")) attributes["end"] = node.get_int("end", 0);
  node.finish("Shape", {node.input(0)}, attributes, DType::kInt);
}

void import_gather(OnnxNode& node) {
  node.finish("Gather", {node.input(0), node.input(1)}, {{"axis", node.get_int("axis", 0)}});
}

void import_constant(OnnxNode& node) {
  if (auto tensor = node.get_tensor("value")) return node.finish(std::move(*tensor));
  if (node.has("value_float")) return node.finish(scalar(node.get_float("value_float", 0)));
  if (node.has("value_int")) return node.finish(IntTensor(Shape{}, {node.get_int("value_int", 0)}));
  if (node.has("value_ints")) return node.finish(int_list(node.get_ints("value_ints")));
  if (node.has("value_floats")) {
    std::vector<float> values = node.get_floats("value_floats");
    const auto count = static_cast<int64_t>(values.size());
    return node.finish(FloatTensor(Shape{count}, std::move(values)));
  }
  node.refuse("its kind of value is not supported (supported: tensors, floats and integers)");
}

void import_constant_of_shape(OnnxNode& node) {
  const auto value = node.get_tensor("value");
  if (!value) return node.finish("ConstantOfShape", {node.input(0)}, {{"value", 0.0}}, DType::kFloat);
  if (shape_of(*value).elements() != 1) node.fail("its value must have one element");
  if (!all_finite(*value)) node.fail("its value is not a finite number");
  if (const auto* ints = std::get_if<IntTensor>(&*value)) {
    return node.finish("ConstantOfShape", {node.input(0)}, {{"value", ints->values[0]}}, DType::kInt);
  }
  const double number = static_cast<double>(std::get<FloatTensor>(*value).values[0]);
  node.finish("ConstantOfShape", {node.input(0)}, {{"value", number}}, DType::kFloat);
}

void import_range(OnnxNode& node) { node.finish("Range", {node.input(0), node.input(1), node.input(2)}); }

// --- Known, and not supported ----------------------------------------------------------------------------------------

void refuse_log_softmax(OnnxNode& node) {
  node.refuse("not supported. End the model before it, or with Softmax: arg max and ranking are the same.");
}
void refuse_control_flow(OnnxNode& node) {
  node.refuse("control flow is not supported. Export the model for fixed shapes, so that the exporter unrolls it.");
}
void refuse_quantised(OnnxNode& node) {
  node.refuse("quantised models are not supported. Export the float model; it is quantised at compile time.");
}
void refuse_resize(OnnxNode& node) { node.refuse("not supported. Change the size of images before the model."); }

constexpr auto kRows = std::to_array<OnnxRow>({
    {"Add", import_binary<kAdd>},
    {"ArgMax", import_arg_max},
    {"AveragePool", import_average_pool},
    {"BatchNormalization", import_batch_norm},
    {"Cast", import_cast},
    {"Clip", import_clip},
    {"Concat", import_concat},
    {"Constant", import_constant},
    {"ConstantOfShape", import_constant_of_shape},
    {"Conv", import_conv},
    {"Div", import_binary<kDiv>},
    {"Dropout", import_dropout},
    {"Flatten", import_flatten},
    {"Gather", import_gather},
    {"Gemm", import_gemm},
    {"GlobalAveragePool", import_global_average_pool},
    {"GlobalMaxPool", import_global_max_pool},
    {"Identity", import_identity},
    {"LeakyRelu", import_leaky_relu},
    {"MatMul", import_binary<kMatMul>},
    {"MaxPool", import_max_pool},
    {"Mul", import_binary<kMul>},
    {"Neg", import_unary<kNeg>},
    {"Pad", import_pad},
    {"Range", import_range},
    {"ReduceMean", import_reduce_mean},
    {"ReduceSum", import_reduce_sum},
    {"Relu", import_unary<kRelu>},
    {"Reshape", import_reshape},
    {"Shape", import_shape},
    {"Slice", import_slice},
    {"Softmax", import_softmax},
    {"Sqrt", import_unary<kSqrt>},
    {"Squeeze", import_squeeze},
    {"Sub", import_binary<kSub>},
    {"Sum", import_sum},
    {"Transpose", import_transpose},
    {"Unsqueeze", import_unsqueeze},

    {"DequantizeLinear", refuse_quantised},
    {"If", refuse_control_flow},
    {"LogSoftmax", refuse_log_softmax},
    {"Loop", refuse_control_flow},
    {"QLinearConv", refuse_quantised},
    {"QLinearMatMul", refuse_quantised},
    {"QuantizeLinear", refuse_quantised},
    {"Resize", refuse_resize},
    {"Scan", refuse_control_flow},
    {"Upsample", refuse_resize},
});

}  // namespace

const OnnxRow* find_onnx_row(std::string_view op) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(), [&](const OnnxRow& row) { return row.op == op; });
  return found == kRows.end() ? nullptr : found;
}

}  // namespace treville::import
