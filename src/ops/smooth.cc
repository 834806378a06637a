// Sigmoid, Tanh, Exp, Log, Erf, Softplus, Softsign, Elu, Selu, Swish, Gelu, Mish, Sqrt, Rsqrt, Reciprocal, HardSigmoid,
// HardSwish, Pow, Square, the trigonometric and hyperbolic functions: each is one real function, applied to every
// element.
#include "ops/smooth.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <type_traits>

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
      {"Tan", [](const Node&) -> RealFunction { return [](double x) { return std::tan(x); }; }},
      {"Asin",
       [](const Node&) -> RealFunction { return [](double x) { return std::asin(std::clamp(x, -1.0, 1.0)); }; }},
      {"Acos",
       [](const Node&) -> RealFunction { return [](double x) { return std::acos(std::clamp(x, -1.0, 1.0)); }; }},
      {"Atan", [](const Node&) -> RealFunction { return [](double x) { return std::atan(x); }; }},
      {"Sinh", [](const Node&) -> RealFunction { return [](double x) { return std::sinh(x); }; }},
      {"Cosh", [](const Node&) -> RealFunction { return [](double x) { return std::cosh(x); }; }},
      {"Asinh", [](const Node&) -> RealFunction { return [](double x) { return std::asinh(x); }; }},
      {"Acosh", [](const Node&) -> RealFunction { return [](double x) { return std::acosh(std::max(x, 1.0)); }; }},
      {"Atanh", [](const Node&) -> RealFunction { return [](double x) { return std::atanh(x); }; }},
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

// infer_pow: the exponent is an attribute, or the second operand, which becomes one where it is a single number.
void infer_pow(InferContext& context) {
  if (context.node().has("exponent")) return infer(context);
  if (context.input_count() < 2) context.fail("expected an exponent, as an attribute or as an operand");
  check_inputs(context, 2, 2);
  const auto shape = broadcast(context.shape(0), context.shape(1));
  if (!shape) {
    context.fail(
        fmt::format("shapes {} and {} do not broadcast", to_string(context.shape(0)), to_string(context.shape(1))));
  }
  context.results = {*shape};
  const FloatTensor exponents = context.constant(1) ? to_floats(*context.constant(1)) : FloatTensor(Shape{});
  const bool is_single = context.constant(1) && exponents.values.size() == 1 && *shape == context.shape(0);
  if (!is_single || context.dtype(0) != DType::kFloat) return;
  context.node().attributes["exponent"] = static_cast<double>(exponents.values[0]);
  context.node().inputs.resize(1);
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

// evaluate_pow keeps the type of the base.
std::vector<Constant> evaluate_pow(const Graph& graph, const Node& node, Inputs inputs) {
  if (node.has("exponent")) return evaluate(graph, node, inputs);
  const FloatTensor exponents = std::visit(
      [&](const auto& exponent) {
        const auto wide =
            view(exponent, output_shape(graph, node), 0, broadcast_strides(exponent.shape, output_shape(graph, node)));
        return FloatTensor(wide.shape, std::vector<float>(wide.values.begin(), wide.values.end()));
      },
      *inputs[1]);
  return of_either(inputs[0], [&](const auto& base) {
    auto y = view(base, exponents.shape, 0, broadcast_strides(base.shape, exponents.shape));
    using Number = typename decltype(y.values)::value_type;
    for (size_t i = 0; i < y.values.size(); ++i) {
      const double power = std::pow(static_cast<double>(y.values[i]), static_cast<double>(exponents.values[i]));
      y.values[i] = std::is_integral_v<Number> && !(std::abs(power) < 0x1p63) ? Number{0} : static_cast<Number>(power);
    }
    return y;
  });
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
  if (node.op == "Atanh" && (x.low <= -1 || x.high >= 1))
    fail_node(context.graph, node, "its operand may be -1 or 1, or lie beyond");
  constexpr double kQuarter = std::numbers::pi / 2;
  if (node.op == "Tan" && std::floor(x.low / kQuarter / 2 + 0.5) != std::floor(x.high / kQuarter / 2 + 0.5))
    fail_node(context.graph, node, "its operand may be an odd multiple of pi / 2");
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

Interval range_pow(const RangeContext& context) {
  if (context.node.has("exponent")) return range(context);
  const Interval &base = context.inputs[0], &exponent = context.inputs[1];
  if (base.low <= 0) fail_node(context.graph, context.node, "its base may be 0 or negative");
  Interval y{HUGE_VAL, -HUGE_VAL};
  for (double x : {base.low, base.high})
    for (double power : {exponent.low, exponent.high}) y = hull(y, {std::pow(x, power), std::pow(x, power)});
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
  if (node.op == "Asin" || node.op == "Acos") return {-1, 1};
  if (node.op == "Acosh") return {1};
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
constinit const OpDef kPow{"Pow", infer_pow, evaluate_pow, range_pow, lower_function};
constinit const OpDef kSquare{"Square", infer, evaluate, range, lower_square};
constinit const OpDef kSin{"Sin", infer, evaluate, range, lower_function};
constinit const OpDef kCos{"Cos", infer, evaluate, range, lower_function};
constinit const OpDef kTan{"Tan", infer, evaluate, range, lower_function};
constinit const OpDef kAsin{"Asin", infer, evaluate, range, lower_function};
constinit const OpDef kAcos{"Acos", infer, evaluate, range, lower_function};
constinit const OpDef kAtan{"Atan", infer, evaluate, range, lower_function};
constinit const OpDef kSinh{"Sinh", infer, evaluate, range, lower_function};
constinit const OpDef kCosh{"Cosh", infer, evaluate, range, lower_function};
constinit const OpDef kAsinh{"Asinh", infer, evaluate, range, lower_function};
constinit const OpDef kAcosh{"Acosh", infer, evaluate, range, lower_function};
constinit const OpDef kAtanh{"Atanh", infer, evaluate, range, lower_function};

}  // namespace treville::ops
