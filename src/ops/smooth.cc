// Sigmoid, Tanh, Exp, Log, Erf, Softplus, Softsign, Elu, Selu, Swish, Gelu, Mish, Sqrt, Rsqrt, Reciprocal, HardSigmoid,
// HardSwish, Pow, Square, Sin and Cos: each is one real function, applied to every element.
#include "ops/smooth.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "ops/look_up.h"
#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double gelu(double x) { return x / 2 * std::erfc(-x / std::numbers::sqrt2); }
double gelu_by_tanh(double x) {
  return x / 2 * (1 + std::tanh(std::numbers::sqrt2 * std::numbers::inv_sqrtpi * (x + 0.044715 * x * x * x)));
}

RealFunction elu(double alpha, double gamma) {
  return [=](double x) { return x >= 0 ? gamma * x : gamma * alpha * std::expm1(x); };
}

RealFunction hard_sigmoid(double alpha, double beta) {
  return [=](double x) { return std::clamp(alpha * x + beta, 0.0, 1.0); };
}

using Maker = RealFunction (*)(const Node&);

const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> all = {
      {"Sigmoid", [](const Node&) -> RealFunction { return sigmoid; }},
      {"Tanh", [](const Node&) -> RealFunction { return [](double x) { return std::tanh(x); }; }},
      {"Exp", [](const Node&) -> RealFunction { return [](double x) { return std::exp(x); }; }},
      {"Log", [](const Node&) -> RealFunction { return [](double x) { return std::log(x); }; }},
      {"Erf", [](const Node&) -> RealFunction { return [](double x) { return std::erf(x); }; }},
      {"Softplus", [](const Node&) -> RealFunction { return softplus; }},
      {"Softsign", [](const Node&) -> RealFunction { return [](double x) { return x / (1 + std::abs(x)); }; }},
      {"Elu", [](const Node& node) { return elu(node.get_float("alpha", 1), 1); }},
      {"Selu",
       [](const Node& node) {
         return elu(node.get_float("alpha", 1.6732632423543772), node.get_float("gamma", 1.0507009873554805));
       }},
      {"Swish", [](const Node&) -> RealFunction { return [](double x) { return x * sigmoid(x); }; }},
      {"Gelu",
       [](const Node& node) -> RealFunction {
         return node.get_string("approximate", "none") == "tanh" ? gelu_by_tanh : gelu;
       }},
      {"Mish", [](const Node&) -> RealFunction { return [](double x) { return x * std::tanh(softplus(x)); }; }},
      {"Sqrt", [](const Node&) -> RealFunction { return [](double x) { return std::sqrt(x); }; }},
      {"Rsqrt", [](const Node&) -> RealFunction { return [](double x) { return 1 / std::sqrt(x); }; }},
      {"Reciprocal", [](const Node&) -> RealFunction { return [](double x) { return 1 / x; }; }},
      {"HardSigmoid",
       [](const Node& node) { return hard_sigmoid(node.get_float("alpha", 0.2), node.get_float("beta", 0.5)); }},
      {"HardSwish",
       [](const Node&) -> RealFunction { return [](double x) { return x * std::clamp(x / 6 + 0.5, 0.0, 1.0); }; }},
      {"Pow",
       [](const Node& node) -> RealFunction {
         return [exponent = node.get_float("exponent", 1)](double x) { return std::pow(x, exponent); };
       }},
      {"Square", [](const Node&) -> RealFunction { return [](double x) { return x * x; }; }},
      {"Sin", [](const Node&) -> RealFunction { return [](double x) { return std::sin(x); }; }},
      {"Cos", [](const Node&) -> RealFunction { return [](double x) { return std::cos(x); }; }},
      // The activations that recurrent layers name beside these.
      {"Relu", [](const Node&) -> RealFunction { return [](double x) { return std::max(x, 0.0); }; }},
      {"Identity", [](const Node&) -> RealFunction { return [](double x) { return x; }; }},
  };
  return all;
}

void infer(InferContext& context) {
  check_inputs(context, 1, 1);
  if (context.dtype(0) != DType::kFloat) context.fail("expected floats, found integers");
  context.results = {context.shape(0)};
}

void infer_pow(InferContext& context) {
  infer(context);
  if (!context.node().has("exponent")) context.fail("expected an exponent known at compile time");
}

void infer_gelu(InferContext& context) {
  infer(context);
  const std::string how = context.node().get_string("approximate", "none");
  if (how != "none" && how != "tanh") context.fail(fmt::format("approximate \"{}\" is not none or tanh", how));
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  const RealFunction f = real_function(node);
  FloatTensor y = floats(inputs[0]);
  for (float& value : y.values) value = static_cast<float>(f(value));
  return one(std::move(y));
}

// check_domain refuses intervals that hold arguments at which the function is not defined.
void check_domain(const RangeContext& context) {
  const Interval& x = context.inputs[0];
  const Node& node = context.node;
  const double exponent = node.op == "Pow" ? node.get_float("exponent", 1) : 1;
  const bool is_root = node.op == "Sqrt" || exponent != std::floor(exponent);
  if (node.op == "Log" || node.op == "Rsqrt") {
    if (x.low <= 0) fail_node(context.graph, node, "its operand may be 0 or negative");
  } else if (is_root && x.low < 0) {
    fail_node(context.graph, node, "its operand may be negative");
  }
  if ((node.op == "Reciprocal" || exponent < 0) && x.low <= 0 && x.high >= 0)
    fail_node(context.graph, node, "its operand may be 0");
}

Interval range(const RangeContext& context) {
  check_domain(context);
  if (context.node.op == "Sin" || context.node.op == "Cos") return {-1, 1};
  const RealFunction f = real_function(context.node);
  const Interval x = context.inputs[0];
  const double first = f(x.low), last = f(x.high);
  Interval y{std::min(first, last), std::max(first, last)};
  for (double point : turning_points(context.node))
    if (point > x.low && point < x.high) y = hull(y, {f(point), f(point)});
  return y;
}

void lower_square(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  context.set_result(context.product(x, x, Elementwise{context.output_shape()}));
}

}  // namespace

RealFunction real_function(const Node& node) {
  const auto found = makers().find(node.op);
  return found == makers().end() ? RealFunction{} : found->second(node);
}

std::vector<double> turning_points(const Node& node) {
  if (node.op == "Swish") return {-1.2784645427610738};
  if (node.op == "Gelu") return {-0.7517915246935645, -0.7524614220710162};
  if (node.op == "Mish") return {-1.1924312145154395};
  if (node.op == "HardSwish") return {-3, -1.5, 3};
  if (node.op == "HardSigmoid") {
    const double alpha = node.get_float("alpha", 0.2), beta = node.get_float("beta", 0.5);
    return alpha == 0 ? std::vector<double>{} : std::vector<double>{-beta / alpha, (1 - beta) / alpha};
  }
  if (node.op == "Reciprocal" || node.op == "Rsqrt" || node.op == "Log") return {};
  if (node.op == "Pow" && node.get_float("exponent", 1) < 0) return {};
  return {0};
}

bool has_pole(const Node& node) {
  const double exponent = node.op == "Pow" ? node.get_float("exponent", 1) : 1;
  return node.op == "Log" || node.op == "Sqrt" || node.op == "Rsqrt" || node.op == "Reciprocal" || exponent < 0 ||
         exponent != std::floor(exponent);
}

constinit const OpDef kSigmoid{"Sigmoid", infer, evaluate, range, lower_function};
constinit const OpDef kTanh{"Tanh", infer, evaluate, range, lower_function};
constinit const OpDef kExp{"Exp", infer, evaluate, range, lower_function};
constinit const OpDef kLog{"Log", infer, evaluate, range, lower_function};
constinit const OpDef kErf{"Erf", infer, evaluate, range, lower_function};
constinit const OpDef kSoftplus{"Softplus", infer, evaluate, range, lower_function};
constinit const OpDef kSoftsign{"Softsign", infer, evaluate, range, lower_function};
constinit const OpDef kElu{"Elu", infer, evaluate, range, lower_function};
constinit const OpDef kSelu{"Selu", infer, evaluate, range, lower_function};
constinit const OpDef kSwish{"Swish", infer, evaluate, range, lower_function};
constinit const OpDef kGelu{"Gelu", infer_gelu, evaluate, range, lower_function};
constinit const OpDef kMish{"Mish", infer, evaluate, range, lower_function};
constinit const OpDef kSqrt{"Sqrt", infer, evaluate, range, lower_function};
constinit const OpDef kRsqrt{"Rsqrt", infer, evaluate, range, lower_function};
constinit const OpDef kReciprocal{"Reciprocal", infer, evaluate, range, lower_function};
constinit const OpDef kHardSigmoid{"HardSigmoid", infer, evaluate, range, nullptr};
constinit const OpDef kHardSwish{"HardSwish", infer, evaluate, range, nullptr};
constinit const OpDef kPow{"Pow", infer_pow, evaluate, range, lower_function};
constinit const OpDef kSquare{"Square", infer, evaluate, range, lower_square};
constinit const OpDef kSin{"Sin", infer, evaluate, range, lower_function};
constinit const OpDef kCos{"Cos", infer, evaluate, range, lower_function};

}  // namespace treville::ops
