// The table of ONNX operations. A row's function says how one node becomes operations of the graph; what changed
// between operator sets is handled where it is read.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "import/onnx.h"
#include "import/onnx_quantize.h"
#include "import/onnx_recurrent.h"
#include "import/plain_ops.h"

namespace treville::import {
namespace {

const std::string kNchw = "NCHW";

FloatTensor scalar(double value) { return FloatTensor(Shape{}, {static_cast<float>(value)}); }

IntTensor int_list(const Ints& values) { return IntTensor(Shape{static_cast<int64_t>(values.size())}, values); }

// --- Elementwise -----------------------------------------------------------------------------------------------------

template <const char* kOp>
void import_folded(OnnxNode& node) {
  node.finish_folded(kOp);
}
constexpr char kAdd[] = "Add", kMax[] = "Max", kMin[] = "Min";

void import_mean(OnnxNode& node) {
  if (node.input_count() == 1) return node.alias(node.input(0));
  ValueId sum = node.input(0);
  for (size_t i = 1; i < node.input_count(); ++i)
    sum = node.step(fmt::format("sum_{}", i), "Add", {sum, node.input(i)});
  const auto count = static_cast<double>(node.input_count());
  node.finish("Div", {sum, node.constant_step("count", scalar(count))});
}

void import_power(OnnxNode& node) { finish_power(node); }

void import_where(OnnxNode& node) {
  node.finish("Where", {node.input(0), node.input(1), node.input(2)}, {}, node.dtype(1));
}

// finite reads a float attribute.
double finite(const OnnxNode& node, const char* key, double otherwise) {
  const double value = node.get_float(key, otherwise);
  if (!std::isfinite(value)) node.fail(fmt::format("{} is not a finite number", key));
  return value;
}

void import_elu(OnnxNode& node) { node.finish("Elu", {node.input(0)}, {{"alpha", finite(node, "alpha", 1)}}); }

void import_selu(OnnxNode& node) {
  const double alpha = finite(node, "alpha", 1.67326319217681884765625);
  node.finish("Selu", {node.input(0)}, {{"alpha", alpha}, {"gamma", finite(node, "gamma", 1.05070102214813232421875)}});
}

// Celu(x) = alpha * Elu(x / alpha).
void import_celu(OnnxNode& node) {
  const double alpha = finite(node, "alpha", 1);
  if (alpha == 0) node.fail("alpha is 0");
  const ValueId factor = node.constant_step("alpha", scalar(alpha));
  const ValueId x = node.step("over_alpha", "Div", {node.input(0), factor});
  node.finish("Mul", {node.step("elu", "Elu", {x}, {{"alpha", 1.0}}), factor});
}

void import_hard_sigmoid(OnnxNode& node) {
  node.finish("HardSigmoid", {node.input(0)},
              {{"alpha", finite(node, "alpha", 0.2)}, {"beta", finite(node, "beta", 0.5)}});
}

// ThresholdedRelu is x where x > alpha, else 0.
void import_thresholded_relu(OnnxNode& node) {
  const ValueId alpha = node.constant_step("alpha", scalar(finite(node, "alpha", 1)));
  node.finish("Mul", {node.input(0), node.step("above", "Greater", {node.input(0), alpha})});
}

void import_gelu(OnnxNode& node) {
  node.finish("Gelu", {node.input(0)}, {{"approximate", node.get_string("approximate", "none")}});
}

// clips_by_operands: integers, or bounds that are computed, are compared with one after the other.
bool clips_by_operands(OnnxNode& node) {
  if (node.dtype(0) == DType::kInt) return true;
  const auto is_computed = [&](size_t i) { return node.has_input(i) && node.constant(i) == nullptr; };
  return node.opset() >= 11 && (is_computed(1) || is_computed(2));
}

void finish_clip_by_operands(OnnxNode& node) {
  ValueId x = node.input(0);
  if (!node.has_input(1) && !node.has_input(2)) return node.alias(x);
  if (!node.has_input(2)) return node.finish("Max", {x, node.input(1)});
  if (node.has_input(1)) x = node.step("above", "Max", {x, node.input(1)});
  node.finish("Min", {x, node.input(2)});
}

// Shrink: x + bias below -lambd, x - bias above lambd, 0 between.
void import_shrink(OnnxNode& node) {
  const double bias = finite(node, "bias", 0), lambd = finite(node, "lambd", 0.5);
  const ValueId x = node.input(0);
  const auto number = [&](const char* name, double value) { return node.constant_step(name, scalar(value)); };
  const ValueId above = node.step("above", "Greater", {x, number("lambd", lambd)});
  const ValueId below = node.step("below", "Less", {x, number("minus_lambd", -lambd)});
  const ValueId high = node.step("less_bias", "Mul", {node.step("high", "Sub", {x, number("bias", bias)}), above});
  const ValueId low = node.step("plus_bias", "Mul", {node.step("low", "Add", {x, number("bias_too", bias)}), below});
  node.finish("Add", {high, low});
}

void import_mod(OnnxNode& node) {
  if (node.dtype(0) == DType::kFloat && node.get_int("fmod", 0) == 0) node.fail("fmod is 0 for floats");
  node.finish("Mod", {node.input(0), node.input(1)}, {{"truncated", node.get_int("fmod", 0)}});
}

void import_clip(OnnxNode& node) {
  if (clips_by_operands(node)) return finish_clip_by_operands(node);
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
      if (std::isnan(*bound)) node.fail("its bounds hold NaN");
      set(i == 1 ? "min" : "max", bound);
    }
  }
  node.finish("Clip", {node.input(0)}, bounds);
}

void import_leaky_relu(OnnxNode& node) {
  node.finish("LeakyRelu", {node.input(0)}, {{"alpha", finite(node, "alpha", 0.01)}});
}

void import_cast(OnnxNode& node) {
  // Numbers of the format's element types.
  constexpr std::array<int64_t, 4> kFloats = {1, 10, 11, 16};
  constexpr std::array<int64_t, 8> kInts = {2, 3, 4, 5, 6, 7, 12, 13};
  constexpr int64_t kBool = 9;
  const int64_t to = node.get_int("to", 0);
  if (std::count(kFloats.begin(), kFloats.end(), to) > 0) {
    return node.finish("Cast", {node.input(0)}, {{"to", std::string("float")}}, DType::kFloat);
  }
  if (std::count(kInts.begin(), kInts.end(), to) > 0) {
    return node.finish("Cast", {node.input(0)}, {{"to", std::string("int")}}, DType::kInt);
  }
  if (to == kBool) return finish_truth(node);
  node.refuse("a cast to element type {} is not supported (supported: floats, integers and booleans)", to);
}

void import_cast_like(OnnxNode& node) {
  if (node.stored_type(1) == ElementType::kBool) return finish_truth(node);
  const bool floats = node.dtype(1) == DType::kFloat;
  node.finish("Cast", {node.input(0)}, {{"to", std::string(floats ? "float" : "int")}}, node.dtype(1));
}

// --- Linear ----------------------------------------------------------------------------------------------------------

void import_mat_mul(OnnxNode& node) { node.finish("MatMul", {node.input(0), node.input(1)}); }

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
Ints weight_extent(const OnnxNode& node, size_t input = 1) {
  const Constant* weight = node.constant(input);
  if (weight == nullptr) return {};
  const Ints& dims = shape_of(*weight).dims();
  if (dims.size() < 3) node.fail(fmt::format("its weight has shape {}", to_string(shape_of(*weight))));
  return Ints(dims.begin() + 2, dims.end());
}

// numbers reads a list with `count` numbers of at least `least`; absent: all are `otherwise`.
Ints numbers(const OnnxNode& node, const char* key, size_t count, int64_t least, int64_t otherwise) {
  Ints values = node.get_ints(key);
  if (values.empty()) values.assign(count, otherwise);
  if (values.size() != count || *std::min_element(values.begin(), values.end()) < least) {
    node.fail(fmt::format("{} is {}, expected {} numbers of at least {}", key, to_string(Shape(values)), count, least));
  }
  return values;
}

constexpr size_t kMostSpatial = 3;

Window read_window(const OnnxNode& node, const Ints& weight_kernel) {
  Window window;
  window.kernel = node.get_ints("kernel_shape", weight_kernel);
  if (!weight_kernel.empty() && window.kernel != weight_kernel) {
    node.fail(fmt::format("kernel_shape {} is not that of its weight, {}", to_string(Shape(window.kernel)),
                          to_string(Shape(weight_kernel))));
  }
  const size_t dims = std::max({window.kernel.size(), node.get_ints("strides").size(),
                                node.get_ints("dilations").size(), node.get_ints("pads").size() / 2});
  if (dims == 0)
    node.refuse("its weight is computed and it has no kernel_shape. Export the model with constant weights.");
  if (dims > kMostSpatial) node.refuse("{} spatial dimensions are not supported (supported: 1 to 3)", dims);
  if (!window.kernel.empty()) window.kernel = numbers(node, "kernel_shape", dims, 1, 1);
  if (window.kernel.empty() && !weight_kernel.empty()) window.kernel = weight_kernel;
  Ints pads = node.get_ints("pads");
  if (pads.size() == 2 * dims && *std::min_element(pads.begin(), pads.end()) < 0)
    node.refuse("negative pads are not supported");
  pads = numbers(node, "pads", 2 * dims, 0, 0);
  const std::string auto_pad = auto_pad_of(node);
  if (auto_pad != "explicit") pads.assign(2 * dims, 0);
  window.attributes = {{"strides", numbers(node, "strides", dims, 1, 1)},
                       {"dilations", numbers(node, "dilations", dims, 1, 1)},
                       {"pads", pads},
                       {"auto_pad", auto_pad},
                       {"layout", kNchw}};
  return window;
}

// weight_last turns [out,in/groups,kernel...] into [kernel...,in/groups,out], and a transposed convolution's
// [in,out/groups,kernel...] into [kernel...,out/groups,in].
ValueId weight_last(OnnxNode& node, ValueId weight, size_t dims) {
  Ints permutation;
  for (size_t i = 0; i < dims; ++i) permutation.push_back(static_cast<int64_t>(i) + 2);
  permutation.insert(permutation.end(), {1, 0});
  return node.step("weight", "Transpose", {weight}, {{"perm", permutation}});
}

void add_groups(const OnnxNode& node, Window& window) {
  const int64_t groups = node.get_int("group", 1);
  if (groups < 1) node.fail(fmt::format("group is {}", groups));
  window.attributes["groups"] = groups;
}

void finish_convolution(OnnxNode& node, const char* op, Window window) {
  add_groups(node, window);
  const size_t dims = std::get<Ints>(window.attributes["strides"]).size();
  std::vector<ValueId> inputs = {node.input(0), weight_last(node, node.input(1), dims)};
  if (node.has_input(2)) inputs.push_back(node.input(2));
  node.finish(op, inputs, window.attributes);
}

void import_conv(OnnxNode& node) { finish_convolution(node, "Conv", read_window(node, weight_extent(node))); }

void import_conv_transpose(OnnxNode& node) {
  Window window = read_window(node, weight_extent(node));
  const size_t dims = std::get<Ints>(window.attributes["strides"]).size();
  window.attributes["output_padding"] = numbers(node, "output_padding", dims, 0, 0);
  if (const Ints shape = node.get_ints("output_shape"); !shape.empty()) {
    if (shape.size() < dims) node.fail(fmt::format("output_shape is {}", to_string(Shape(shape))));
    // Some exporters name batch and channels too.
    window.attributes["output_shape"] = Ints(shape.end() - static_cast<std::ptrdiff_t>(dims), shape.end());
  }
  finish_convolution(node, "ConvTranspose", window);
}

// QLinearConv: x, its scale and zero point, the same of the weight and of the result, and a bias whose integers count
// in the product of both scales.
void import_q_linear_conv(OnnxNode& node) {
  Window window = read_window(node, weight_extent(node, 3));
  add_groups(node, window);
  const size_t dims = std::get<Ints>(window.attributes["strides"]).size();
  std::vector<ValueId> inputs = {dequantised(node, 0), weight_last(node, dequantised(node, 3), dims)};
  if (node.has_input(8)) {
    const ValueId scale = node.step("bias_scale", "Mul", {node.input(1), node.input(4)});
    const ValueId bias = node.step("bias", "Cast", {node.input(8)}, {{"to", std::string("float")}}, DType::kFloat);
    inputs.push_back(node.step("scaled_bias", "Mul", {bias, scale}));
  }
  finish_quantised(node, node.step("real", "Conv", inputs, window.attributes), 6);
}

// QLinearMatMul: a, b and the result, each with its scale and zero point.
void import_q_linear_mat_mul(OnnxNode& node) {
  const ValueId a = dequantised(node, 0), b = dequantised(node, 3);
  finish_quantised(node, node.step("real", "MatMul", {a, b}), 6);
}

void import_einsum(OnnxNode& node) {
  node.finish("Einsum", node.inputs_from(0), {{"equation", node.get_string("equation", "")}});
}

// --- Normalisation ---------------------------------------------------------------------------------------------------

double read_epsilon(const OnnxNode& node, double otherwise) {
  const double epsilon = node.get_float("epsilon", otherwise);
  if (!(epsilon >= 0) || std::isinf(epsilon)) node.fail("epsilon is not a number of at least 0");
  return epsilon;
}

void import_instance_norm(OnnxNode& node) {
  node.finish("InstanceNorm", {node.input(0), node.input(1), node.input(2)},
              {{"epsilon", read_epsilon(node, 1e-5)}, {"layout", kNchw}});
}

void import_group_norm(OnnxNode& node) {
  node.finish("GroupNorm", {node.input(0), node.input(1), node.input(2)},
              {{"epsilon", read_epsilon(node, 1e-5)}, {"groups", node.get_int("num_groups", 1)}, {"layout", kNchw}});
}

void import_layer_norm(OnnxNode& node) {
  std::vector<ValueId> inputs = {node.input(0), node.input(1)};
  if (node.has_input(2)) inputs.push_back(node.input(2));
  node.finish_all("LayerNorm", inputs, {{"epsilon", read_epsilon(node, 1e-5)}, {"axis", node.get_int("axis", -1)}},
                  {DType::kFloat, DType::kFloat, DType::kFloat});
}

// Mean variance normalization: (x - mean) / sqrt(variance + 1e-9) over the axes.
void import_mean_variance(OnnxNode& node) {
  const Attributes over = {{"axes", node.get_ints("axes", {0, 2, 3})}, {"keepdims", int64_t{1}}};
  const ValueId centered =
      node.step("centered", "Sub", {node.input(0), node.step("mean", "ReduceMean", {node.input(0)}, over)});
  const ValueId variance = node.step("variance", "ReduceMean", {node.step("squares", "Square", {centered})}, over);
  const ValueId sum = node.step("sum", "Add", {variance, node.constant_step("epsilon", scalar(1e-9))});
  node.finish("Mul", {centered, node.step("inverse", "Rsqrt", {sum})});
}

void import_lrn(OnnxNode& node) {
  node.finish("LRN", {node.input(0)},
              {{"size", node.get_int("size", 1)},
               {"alpha", finite(node, "alpha", 1e-4)},
               {"beta", finite(node, "beta", 0.75)},
               {"bias", finite(node, "bias", 1)},
               {"layout", kNchw}});
}

// Norms by p, of which the graph has two.
int64_t read_p(const OnnxNode& node) {
  const int64_t p = node.get_int("p", 2);
  if (p != 1 && p != 2) node.refuse("p={} is not supported (supported: 1 and 2)", p);
  return p;
}

void import_lp_normalization(OnnxNode& node) {
  const Ints axes = {node.get_int("axis", -1)};
  if (read_p(node) == 1) {
    const ValueId sum = node.step("sum", "ReduceL1", {node.input(0)}, {{"axes", axes}, {"keepdims", int64_t{1}}});
    return node.finish("Div", {node.input(0), sum});
  }
  node.finish("L2Normalize", {node.input(0)}, {{"axes", axes}, {"epsilon", 0.0}});
}

void import_batch_norm(OnnxNode& node) {
  if (node.get_int("training_mode", 0) != 0) node.refuse("training_mode=1 is not supported. Export it for inference.");
  if (node.get_int("spatial", 1) != 1) node.refuse("spatial=0 is not supported (supported: 1)");
  const double epsilon = read_epsilon(node, 1e-5);
  node.finish("BatchNorm", {node.input(0), node.input(1), node.input(2), node.input(3), node.input(4)},
              {{"epsilon", epsilon}, {"layout", kNchw}});
}

// --- Pools and reductions --------------------------------------------------------------------------------------------

Window read_pool(const OnnxNode& node) {
  if (node.get_ints("kernel_shape").empty()) node.fail("kernel_shape is missing");
  Window window = read_window(node, {});
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

// LpPool is the p-th root of a sum of powers of |x|: an average, pads included, times the number of elements in a
// window.
void import_lp_pool(OnnxNode& node) {
  const int64_t p = node.get_int("p", 2);
  if (p < 1) node.fail(fmt::format("p is {}", p));
  Window window = read_pool(node);
  window.attributes["count_include_pad"] = int64_t{1};
  int64_t count = 1;
  for (int64_t extent : window.kernel) count *= extent;
  ValueId powers = node.step("powers", p == 2 ? "Square" : "Abs", {node.input(0)});
  const auto exponent = static_cast<double>(p);
  if (p > 2) powers = node.step("higher_powers", "Pow", {powers}, {{"exponent", exponent}});
  const ValueId average = node.step("average", "AveragePool", {powers}, window.attributes);
  const std::vector<ValueId> product = {average, node.constant_step("count", scalar(static_cast<double>(count)))};
  if (p == 1) return node.finish("Mul", product);
  node.finish("Pow", {node.step("sum", "Mul", product)}, {{"exponent", 1 / exponent}});
}

void import_global_lp_pool(OnnxNode& node) {
  node.finish(read_p(node) == 1 ? "ReduceL1" : "ReduceL2", {node.input(0)},
              {{"spatial", int64_t{1}}, {"keepdims", int64_t{1}}});
}

void import_global_average_pool(OnnxNode& node) {
  node.finish("ReduceMean", {node.input(0)}, {{"spatial", int64_t{1}}, {"keepdims", int64_t{1}}});
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

// Reduction is one in the graph, and what is computed before and after it (null: nothing).
struct Reduction {
  const char *op, *before, *after;
  int64_t moved;                // the operator set in which the axes became an input
  const char* alone = nullptr;  // what is left of it for a single element; null: nothing
};
constexpr Reduction kMean{"ReduceMean", nullptr, nullptr, 18}, kSum{"ReduceSum", nullptr, nullptr, 13},
    kLargest{"ReduceMax", nullptr, nullptr, 18}, kSmallest{"ReduceMin", nullptr, nullptr, 18},
    kProduct{"ReduceProd", nullptr, nullptr, 18}, kL1{"ReduceL1", nullptr, nullptr, 18, "Abs"},
    kL2{"ReduceL2", nullptr, nullptr, 18, "Abs"}, kSquares{"ReduceSumSquare", nullptr, nullptr, 18, "Square"},
    kLogSum{"ReduceSum", nullptr, "Log", 18, "Log"};

void finish_alone(OnnxNode& node, const char* op) {
  if (op == nullptr) return node.alias(node.input(0));
  node.finish(op, {node.input(0)});
}

// log(sum of e^x) is m + log(sum of e^(x - m)) with the largest element m: no power is above 1.
void import_reduce_log_sum_exp(OnnxNode& node) {
  const Ints axes = read_axes(node, 18).value_or(Ints{});
  const ValueId x = node.input(0);
  if (axes.empty() && node.get_int("noop_with_empty_axes", 0) != 0) return node.alias(x);
  const Attributes kept = {{"axes", axes}, {"keepdims", int64_t{1}}};
  const Attributes over = {{"axes", axes}, {"keepdims", node.get_int("keepdims", 1)}};
  const ValueId shifted =
      node.step("shifted", "Sub", {x, node.step("largest", "ReduceMax", {x}, kept)}, {{"at_most", 0.0}});
  Attributes sum = over;
  constexpr double kRounding = 1.0 / 16;  // one term is 1
  sum["at_least"] = 1 - kRounding;
  const ValueId terms = node.step("sum", "ReduceSum", {node.step("powers", "Exp", {shifted})}, sum);
  const ValueId largest = node.step("largest_too", "ReduceMax", {x}, over);
  node.finish("Add", {largest, node.step("log", "Log", {terms})});
}

template <const Reduction& kReduction>
void import_reduce(OnnxNode& node) {
  const Ints axes = read_axes(node, kReduction.moved).value_or(Ints{});
  ValueId x = node.input(0);
  const bool reduces_nothing = axes.empty() && node.get_int("noop_with_empty_axes", 0) != 0;
  if (reduces_nothing) return finish_alone(node, kReduction.alone);
  if (kReduction.before != nullptr) x = node.step("before", kReduction.before, {x});
  const Attributes attributes = {{"axes", axes}, {"keepdims", node.get_int("keepdims", 1)}};
  if (kReduction.after == nullptr) return node.finish(kReduction.op, {x}, attributes);
  node.finish(kReduction.after, {node.step("reduced", kReduction.op, {x}, attributes)});
}

template <const char* kOp>
void import_arg(OnnxNode& node) {
  Attributes attributes = {{"axis", node.get_int("axis", 0)}, {"keepdims", node.get_int("keepdims", 1)}};
  if (node.get_int("select_last_index", 0) != 0) attributes["last"] = int64_t{1};
  node.finish(kOp, {node.input(0)}, attributes, DType::kInt);
}
constexpr char kArgMax[] = "ArgMax", kArgMin[] = "ArgMin";

void import_top_k(OnnxNode& node) {
  Attributes attributes = {{"axis", node.get_int("axis", -1)}, {"largest", node.get_int("largest", 1)}};
  std::vector<ValueId> inputs = {node.input(0)};
  if (node.opset() < 10) {
    attributes["k"] = node.get_int("k", 0);
  } else {
    inputs.push_back(node.input(1));
  }
  node.finish_all("TopK", inputs, attributes, {node.dtype(0), DType::kInt});
}

// Before operator set 13 the axis and all later ones are one distribution.
template <const char* kOp>
void import_softmax(OnnxNode& node) {
  const bool joint = node.opset() < 13;
  Attributes attributes = {{"axis", node.get_int("axis", joint ? 1 : -1)}};
  if (joint) attributes["joint"] = int64_t{1};
  node.finish(kOp, {node.input(0)}, attributes);
}
constexpr char kSoftmax[] = "Softmax", kLogSoftmax[] = "LogSoftmax";

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

Attributes pad_attributes(const OnnxNode& node) {
  const std::string mode = node.get_string("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap")
    node.refuse("mode \"{}\" is not supported (supported: constant, reflect, edge, wrap)", mode);
  double value = 0;
  if (node.opset() < 11) {
    value = node.get_float("value", 0);
  } else if (node.has_input(2)) {
    const auto constant = node.constant_number(2);
    if (!constant) node.refuse("its value is computed. Export it with a constant value.");
    value = *constant;
  }
  if (!std::isfinite(value)) node.refuse("a value that is not a finite number is not supported");
  return {{"mode", mode}, {"value", value}};
}

void import_pad(OnnxNode& node) {
  Attributes attributes = pad_attributes(node);
  if (node.opset() < 11) {
    if (!node.has("pads")) node.fail("pads is missing");
    attributes["pads"] = node.get_ints("pads");
    return node.finish("Pad", {node.input(0)}, attributes);
  }
  if (node.has_input(3)) {
    const auto axes = node.constant_ints(3);
    if (!axes) node.refuse("its axes are computed. Export it with constant axes.");
    attributes["axes"] = *axes;
  }
  finish_with_ints(node, "Pad", 1, "pads", attributes);
}

void import_split(OnnxNode& node) {
  const int64_t axis = node.get_int("axis", 0);
  const bool has_sizes = node.opset() < 13 ? node.has("split") : node.has_input(1);
  if (!has_sizes) {
    const auto parts = static_cast<int64_t>(node.result_count());
    return finish_parts(node, node.input(0), axis, node.get_int("num_outputs", parts), node.opset() < 18);
  }
  const auto sizes = node.opset() < 13 ? node.get_ints("split") : node.constant_ints(1);
  if (!sizes) node.refuse("its sizes are computed. Export it with constant sizes.");
  finish_slices(node, node.input(0), axis, *sizes);
}

void import_tile(OnnxNode& node) { finish_with_ints(node, "Tile", 1, "repeats", {}); }
void import_expand(OnnxNode& node) { finish_with_ints(node, "Expand", 1, "shape", {}); }

void import_space_to_depth(OnnxNode& node) {
  node.finish("SpaceToDepth", {node.input(0)}, {{"block", node.get_int("blocksize", 0)}, {"layout", kNchw}});
}

void import_depth_to_space(OnnxNode& node) {
  node.finish("DepthToSpace", {node.input(0)},
              {{"block", node.get_int("blocksize", 0)}, {"mode", node.get_string("mode", "DCR")}, {"layout", kNchw}});
}

// has_elements: exporters leave an input out by an empty name, or by a constant of no elements.
bool has_elements(const OnnxNode& node, size_t i) {
  const Constant* held = node.constant(i);
  return node.has_input(i) && (held == nullptr || shape_of(*held).elements() > 0);
}

void import_resize(OnnxNode& node) {
  const bool is_old = node.opset() < 11;  // scales alone, as input 1
  Attributes attributes = {{"mode", node.get_string("mode", "nearest")}, {"layout", kNchw}};
  attributes["coordinate_mode"] =
      is_old ? std::string("asymmetric") : node.get_string("coordinate_transformation_mode", "half_pixel");
  attributes["nearest_mode"] = is_old ? std::string("floor") : node.get_string("nearest_mode", "round_prefer_floor");
  attributes["cubic_coefficient"] = node.get_float("cubic_coeff_a", -0.75);
  attributes["exclude_outside"] = node.get_int("exclude_outside", 0);
  if (std::get<std::string>(attributes["coordinate_mode"]) == "tf_crop_and_resize")
    node.refuse("tf_crop_and_resize is not supported. Crop with a slice, and resize that.");
  if (node.get_int("antialias", 0) != 0) node.refuse("antialias=1 is not supported (supported: 0)");
  attributes["aspect"] = node.get_string("keep_aspect_ratio_policy", "stretch");
  const size_t scales = is_old ? 1 : 2;
  const size_t i = has_elements(node, 3) ? 3 : scales;
  if (!has_elements(node, i)) node.fail("it has neither sizes nor scales");
  if (node.has("axes")) attributes["axes"] = node.get_ints("axes");
  node.finish("Resize", {node.input(0), node.input(i)}, attributes);
}

void import_upsample(OnnxNode& node) {
  Attributes attributes = {{"mode", node.get_string("mode", "nearest")},
                           {"layout", kNchw},
                           {"coordinate_mode", std::string("asymmetric")},
                           {"nearest_mode", std::string("floor")}};
  if (node.opset() >= 9) return node.finish("Resize", {node.input(0), node.input(1)}, attributes);
  const std::vector<float> scales = node.get_floats("scales");
  const FloatTensor all(Shape{static_cast<int64_t>(scales.size())}, scales);
  node.finish("Resize", {node.input(0), node.constant_step("scales", all)}, attributes);
}

void import_size(OnnxNode& node) {
  const ValueId shape = node.step("shape", "Shape", {node.input(0)}, {}, DType::kInt);
  node.finish("ReduceProd", {shape}, {{"axes", Ints{0}}, {"keepdims", int64_t{0}}});
}

void import_identity(OnnxNode& node) { node.alias(node.input(0)); }

void import_dropout(OnnxNode& node) {
  const auto ratio = node.has_input(1) ? node.constant_number(1) : std::optional(0.5);
  const auto training = node.has_input(2) ? node.constant_number(2) : std::optional(0.0);
  const bool drops_nothing = (training && *training == 0) || (ratio && *ratio == 0);
  if (!drops_nothing) node.refuse("training mode is not supported. Export it for inference.");
  node.alias(node.input(0));
  if (!node.reads_result(1)) return;
  const ValueId shape = node.step("shape", "Shape", {node.input(0)}, {}, DType::kInt);
  node.finish_result(1, "ConstantOfShape", {shape}, {{"value", int64_t{1}}}, DType::kInt);
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

void import_gather_elements(OnnxNode& node) {
  node.finish("GatherElements", {node.input(0), node.input(1)}, {{"axis", node.get_int("axis", 0)}});
}

void import_gather_nd(OnnxNode& node) {
  node.finish("GatherND", {node.input(0), node.input(1)}, {{"batch_dims", node.get_int("batch_dims", 0)}});
}

void import_scatter_elements(OnnxNode& node) {
  node.finish("ScatterElements", {node.input(0), node.input(1), node.input(2)},
              {{"axis", node.get_int("axis", 0)}, {"reduction", node.get_string("reduction", "none")}});
}

void import_scatter_nd(OnnxNode& node) {
  node.finish("ScatterND", {node.input(0), node.input(1), node.input(2)},
              {{"reduction", node.get_string("reduction", "none")}});
}

void import_cum_sum(OnnxNode& node) {
  node.finish("CumSum", {node.input(0), node.input(1)},
              {{"exclusive", node.get_int("exclusive", 0)}, {"reverse", node.get_int("reverse", 0)}});
}

void import_trilu(OnnxNode& node) {
  std::vector<ValueId> inputs = {node.input(0)};
  if (node.has_input(1)) inputs.push_back(node.input(1));
  node.finish("Trilu", inputs, {{"upper", node.get_int("upper", 1)}});
}

void import_constant(OnnxNode& node) {
  if (auto tensor = node.get_tensor("value")) {
    node.finish(std::move(*tensor));
    if (const auto type = node.get_tensor_type("value")) node.state().element_types.emplace(node.result(), *type);
    return;
  }
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

struct OnnxRow {
  std::string_view op;
  void (*import)(OnnxNode& node);
};

constexpr auto kRows = std::to_array<OnnxRow>({
    {"ArgMax", import_arg<kArgMax>},
    {"ArgMin", import_arg<kArgMin>},
    {"AveragePool", import_average_pool},
    {"BatchNormalization", import_batch_norm},
    {"Cast", import_cast},
    {"CastLike", import_cast_like},
    {"Celu", import_celu},
    {"Clip", import_clip},
    {"Concat", import_concat},
    {"Constant", import_constant},
    {"ConstantOfShape", import_constant_of_shape},
    {"Conv", import_conv},
    {"ConvTranspose", import_conv_transpose},
    {"CumSum", import_cum_sum},
    {"DepthToSpace", import_depth_to_space},
    {"DequantizeLinear", import_dequantize_linear},
    {"Dropout", import_dropout},
    {"Einsum", import_einsum},
    {"Elu", import_elu},
    {"Expand", import_expand},
    {"Flatten", import_flatten},
    {"GRU", import_gru},
    {"Gather", import_gather},
    {"GatherElements", import_gather_elements},
    {"GatherND", import_gather_nd},
    {"Gelu", import_gelu},
    {"Gemm", import_gemm},
    {"GlobalAveragePool", import_global_average_pool},
    {"GlobalLpPool", import_global_lp_pool},
    {"GlobalMaxPool", import_global_max_pool},
    {"GroupNormalization", import_group_norm},
    {"HardSigmoid", import_hard_sigmoid},
    {"Identity", import_identity},
    {"InstanceNormalization", import_instance_norm},
    {"LRN", import_lrn},
    {"LSTM", import_lstm},
    {"LayerNormalization", import_layer_norm},
    {"LeakyRelu", import_leaky_relu},
    {"LogSoftmax", import_softmax<kLogSoftmax>},
    {"LpNormalization", import_lp_normalization},
    {"LpPool", import_lp_pool},
    {"MatMul", import_mat_mul},
    {"Max", import_folded<kMax>},
    {"MaxPool", import_max_pool},
    {"Mean", import_mean},
    {"MeanVarianceNormalization", import_mean_variance},
    {"Min", import_folded<kMin>},
    {"Mod", import_mod},
    {"Pad", import_pad},
    {"Pow", import_power},
    {"QLinearConv", import_q_linear_conv},
    {"QLinearMatMul", import_q_linear_mat_mul},
    {"QuantizeLinear", import_quantize_linear},
    {"RNN", import_rnn},
    {"Range", import_range},
    {"ReduceL1", import_reduce<kL1>},
    {"ReduceL2", import_reduce<kL2>},
    {"ReduceLogSum", import_reduce<kLogSum>},
    {"ReduceLogSumExp", import_reduce_log_sum_exp},
    {"ReduceMax", import_reduce<kLargest>},
    {"ReduceMean", import_reduce<kMean>},
    {"ReduceMin", import_reduce<kSmallest>},
    {"ReduceProd", import_reduce<kProduct>},
    {"ReduceSum", import_reduce<kSum>},
    {"ReduceSumSquare", import_reduce<kSquares>},
    {"Reshape", import_reshape},
    {"Resize", import_resize},
    {"Scatter", import_scatter_elements},
    {"ScatterElements", import_scatter_elements},
    {"ScatterND", import_scatter_nd},
    {"Selu", import_selu},
    {"Shape", import_shape},
    {"Shrink", import_shrink},
    {"Size", import_size},
    {"Slice", import_slice},
    {"Softmax", import_softmax<kSoftmax>},
    {"SpaceToDepth", import_space_to_depth},
    {"Split", import_split},
    {"Squeeze", import_squeeze},
    {"Sum", import_folded<kAdd>},
    {"ThresholdedRelu", import_thresholded_relu},
    {"Tile", import_tile},
    {"TopK", import_top_k},
    {"Transpose", import_transpose},
    {"Trilu", import_trilu},
    {"Unsqueeze", import_unsqueeze},
    {"Upsample", import_upsample},
    {"Where", import_where},
});

const OnnxRow* find_row(std::string_view op) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(), [&](const OnnxRow& row) { return row.op == op; });
  return found == kRows.end() ? nullptr : found;
}

}  // namespace

bool has_onnx_row(std::string_view op) { return find_row(op) != nullptr || find_plain_op(op) != nullptr; }

void import_onnx_node(OnnxNode& node) {
  const std::string& op = node.origin();
  if (const OnnxRow* row = find_row(op)) return row->import(node);
  if (const PlainOp* plain = find_plain_op(op)) return import_plain(node, *plain);
  node.refuse("{}", advice_for(op).value_or("not supported"));
}

}  // namespace treville::import
