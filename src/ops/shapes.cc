// Shape, Cast, ConstantOfShape, Range, Fill: what models compute their shapes with. They run at compile time.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

// A model file of a few bytes must not ask for memory without end.
constexpr int64_t kMostElements = int64_t{1} << 27;

Shape checked_shape(const InferContext& context, const Ints& dims) {
  int64_t elements = 1;
  for (int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(elements, std::max<int64_t>(dim, 1), &elements) || elements > kMostElements)
      context.fail(fmt::format("cannot make a constant of shape {}", to_string(Shape(dims))));
  }
  return Shape(dims);
}

// --- Shape -----------------------------------------------------------------------------------------------------------

Ints part_of_shape(const Node& node, const Shape& shape) {
  const int64_t rank = shape.rank();
  const auto position = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t start = position(node.get_int("start", 0));
  const int64_t end = std::max(start, position(node.get_int("end", rank)));
  return Ints(shape.dims().begin() + start, shape.dims().begin() + end);
}

void infer_shape(InferContext& context) {
  check_inputs(context, 1, 1);
  context.results = {Shape{static_cast<int64_t>(part_of_shape(context.node(), context.shape(0)).size())}};
  context.dtypes = {DType::kInt};
}

// evaluate_shape needs no operand: the shape stands in the graph.
std::vector<Constant> evaluate_shape(const Graph& graph, const Node& node, Inputs) {
  return one(IntTensor(output_shape(graph, node), part_of_shape(node, input_shape(graph, node, 0))));
}

// --- Cast ------------------------------------------------------------------------------------------------------------

bool casts_to_int(const Node& node) { return node.get_string("to", "float") == "int"; }

void infer_cast(InferContext& context) {
  check_inputs(context, 1, 1);
  const std::string to = context.node().get_string("to", "float");
  if (to != "float" && to != "int")
    context.fail(fmt::format("a cast to \"{}\" is not supported (supported: float, int)", to));
  context.results = {context.shape(0)};
  context.dtypes = {casts_to_int(context.node()) ? DType::kInt : DType::kFloat};
}

// saturated rounds toward zero; what does not fit becomes the nearest integer.
int64_t saturated(float value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63F) return std::numeric_limits<int64_t>::max();
  if (value < -0x1p63F) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

std::vector<Constant> evaluate_cast(const Graph&, const Node& node, Inputs inputs) {
  if (const FloatTensor* x = std::get_if<FloatTensor>(inputs[0])) {
    if (!casts_to_int(node)) return one(*x);
    IntTensor y(x->shape);
    std::transform(x->values.begin(), x->values.end(), y.values.begin(), saturated);
    return one(std::move(y));
  }
  const IntTensor& x = integers(inputs[0]);
  if (casts_to_int(node)) return one(x);
  FloatTensor y(x.shape);
  std::transform(x.values.begin(), x.values.end(), y.values.begin(),
                 [](int64_t value) { return static_cast<float>(value); });
  return one(std::move(y));
}

void lower_cast(LowerContext& context) {
  if (casts_to_int(context.node())) context.fail("a cast of a secret to integers is not supported");
  pass_through(context);
}

// --- ConstantOfShape and Fill ----------------------------------------------------------------------------------------

bool is_int_value(const Node& node) {
  const auto found = node.attributes.find("value");
  return found != node.attributes.end() && std::holds_alternative<int64_t>(found->second);
}

void infer_constant_of_shape(InferContext& context) {
  check_inputs(context, 1, 1);
  context.results = {checked_shape(context, read_list(context, "shape", 0).value_or(Ints{}))};
  context.dtypes = {is_int_value(context.node()) ? DType::kInt : DType::kFloat};
}

template <class Tensor, class Number>
Constant filled(const Shape& shape, Number value) {
  Tensor tensor(shape);
  std::fill(tensor.values.begin(), tensor.values.end(), value);
  return tensor;
}

std::vector<Constant> evaluate_constant_of_shape(const Graph& graph, const Node& node, Inputs) {
  const Shape& shape = output_shape(graph, node);
  if (is_int_value(node)) return one(filled<IntTensor>(shape, node.get_int("value", 0)));
  return one(filled<FloatTensor>(shape, static_cast<float>(node.get_float("value", 0))));
}

void infer_fill(InferContext& context) {
  check_inputs(context, 2, 2);
  if (context.shape(1).elements() != 1)
    context.fail(fmt::format("expected one value to fill with, found {}", to_string(context.shape(1))));
  context.results = {checked_shape(context, context.ints(0))};
  context.dtypes = {context.dtype(1)};
}

std::vector<Constant> evaluate_fill(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[1], [&](const auto& value) {
    return std::get<std::decay_t<decltype(value)>>(
        filled<std::decay_t<decltype(value)>>(output_shape(graph, node), value.values[0]));
  });
}

// --- Range -----------------------------------------------------------------------------------------------------------

// range_count gives ceil((limit - start) / delta), at least 0; nothing when delta is 0 or the count is out of reach.
std::optional<int64_t> range_count(double start, double limit, double delta) {
  if (delta == 0) return {};
  const double count = std::max(0.0, std::ceil((limit - start) / delta));
  if (!(count <= static_cast<double>(kMostElements))) return {};
  return static_cast<int64_t>(count);
}

void infer_range(InferContext& context) {
  check_inputs(context, 3, 3);
  double numbers[3];
  for (int i = 0; i < 3; ++i) {
    const Constant* constant = context.constant(i);
    if (constant == nullptr || shape_of(*constant).elements() != 1 || context.dtype(i) != context.dtype(0))
      context.fail("its start, limit and delta must be single numbers of one type, known at compile time");
    numbers[i] = std::visit([](const auto& tensor) { return static_cast<double>(tensor.values[0]); }, *constant);
  }
  const auto count = range_count(numbers[0], numbers[1], numbers[2]);
  if (!count) context.fail("its delta is 0 or it has too many elements");
  context.results = {Shape{*count}};
}

std::vector<Constant> evaluate_range(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& start) {
    using Tensor = std::decay_t<decltype(start)>;
    using Number = typename decltype(start.values)::value_type;
    const Number delta = std::get<Tensor>(*inputs[2]).values[0];
    Tensor y(output_shape(graph, node));
    for (size_t i = 0; i < y.values.size(); ++i) y.values[i] = start.values[0] + static_cast<Number>(i) * delta;
    return y;
  });
}

}  // namespace

constinit const OpDef kShape{"Shape", infer_shape, evaluate_shape, nullptr, nullptr};
constinit const OpDef kCast{"Cast", infer_cast, evaluate_cast, same_range, lower_cast};
constinit const OpDef kConstantOfShape{"ConstantOfShape", infer_constant_of_shape, evaluate_constant_of_shape, nullptr,
                                       nullptr};
constinit const OpDef kRange{"Range", infer_range, evaluate_range, nullptr, nullptr};
constinit const OpDef kFill{"Fill", infer_fill, evaluate_fill, nullptr, nullptr};

}  // namespace treville::ops
