// Comparisons, logic and selection (Where, Max, Min, PRelu). The truth values of float operands are the floats 0 and 1,
// which may be secret; those of integers are the integers 0 and 1. Whatever is not 0 counts as true.
#include <algorithm>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

Shape joined_shape(const InferContext& context, int first) {
  Shape joined = context.shape(first);
  for (int i = first + 1; i < context.input_count(); ++i) {
    const auto shape = broadcast(joined, context.shape(i));
    if (!shape)
      context.fail(fmt::format("shapes {} and {} do not broadcast", to_string(joined), to_string(context.shape(i))));
    joined = *shape;
  }
  return joined;
}

void infer_binary(InferContext& context) {
  check_inputs(context, 2, 2);
  if (context.dtype(0) != context.dtype(1)) context.fail("one operand is integer, the other float. Add a cast.");
  context.results = {joined_shape(context, 0)};
}

void infer_prelu(InferContext& context) {
  infer_binary(context);
  if (context.dtype(0) != DType::kFloat) context.fail("expected floats, found integers");
  if (context.results[0] != context.shape(0)) {
    context.fail(fmt::format("a slope of shape {} does not broadcast to {}", to_string(context.shape(1)),
                             to_string(context.shape(0))));
  }
}

void infer_not(InferContext& context) {
  check_inputs(context, 1, 1);
  context.results = {context.shape(0)};
}

void infer_where(InferContext& context) {
  check_inputs(context, 3, 3);
  if (context.dtype(1) != context.dtype(2)) context.fail("one choice is integer, the other float. Add a cast.");
  context.results = {joined_shape(context, 0)};
  context.dtypes = {context.dtype(1)};
}

struct IsEqual {
  bool operator()(auto a, auto b) const { return a == b; }
};
struct IsLess {
  bool operator()(auto a, auto b) const { return a < b; }
};
struct IsLessOrEqual {
  bool operator()(auto a, auto b) const { return a <= b; }
};
struct IsGreater {
  bool operator()(auto a, auto b) const { return a > b; }
};
struct IsGreaterOrEqual {
  bool operator()(auto a, auto b) const { return a >= b; }
};
struct Larger {
  auto operator()(auto a, auto b) const { return std::max(a, b); }
};
struct Smaller {
  auto operator()(auto a, auto b) const { return std::min(a, b); }
};
struct SlopedBelowZero {
  auto operator()(auto x, auto slope) const { return x < 0 ? slope * x : x; }
};
struct BothTrue {
  bool operator()(auto a, auto b) const { return a != 0 && b != 0; }
};
struct EitherTrue {
  bool operator()(auto a, auto b) const { return a != 0 || b != 0; }
};
struct OneTrue {
  bool operator()(auto a, auto b) const { return (a != 0) != (b != 0); }
};

template <class F>
std::vector<Constant> evaluate_binary(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& a) {
    using Tensor = std::decay_t<decltype(a)>;
    using Number = typename decltype(a.values)::value_type;
    const Tensor& b = std::get<Tensor>(*inputs[1]);
    const Shape& shape = output_shape(graph, node);
    Tensor y = view(a, shape, 0, broadcast_strides(a.shape, shape));
    walk(shape, 0, broadcast_strides(b.shape, shape),
         [&](size_t to, size_t from) { y.values[to] = Number(F()(y.values[to], b.values[from])); });
    return y;
  });
}

std::vector<Constant> evaluate_not(const Graph&, const Node&, Inputs inputs) {
  return of_either(inputs[0], [](auto tensor) {
    using Number = typename decltype(tensor.values)::value_type;
    for (auto& value : tensor.values) value = Number(value == 0);
    return tensor;
  });
}

// is_true tells for each element of the condition, broadcast to `shape`, whether it is not 0.
std::vector<bool> is_true(const Constant& condition, const Shape& shape) {
  std::vector<bool> truth(static_cast<size_t>(shape.elements()));
  std::visit(
      [&](const auto& tensor) {
        walk(shape, 0, broadcast_strides(tensor.shape, shape),
             [&](size_t to, size_t from) { truth[to] = tensor.values[from] != 0; });
      },
      condition);
  return truth;
}

std::vector<Constant> evaluate_where(const Graph& graph, const Node& node, Inputs inputs) {
  const Shape& shape = output_shape(graph, node);
  const std::vector<bool> truth = is_true(*inputs[0], shape);
  return of_either(inputs[1], [&](const auto& a) {
    using Tensor = std::decay_t<decltype(a)>;
    const Tensor& b = std::get<Tensor>(*inputs[2]);
    Tensor y = view(a, shape, 0, broadcast_strides(a.shape, shape));
    walk(shape, 0, broadcast_strides(b.shape, shape), [&](size_t to, size_t from) {
      if (!truth[to]) y.values[to] = b.values[from];
    });
    return y;
  });
}

Interval range_truth(const RangeContext&) { return {0, 1}; }
Interval range_max(const RangeContext& context) {
  const Interval &a = context.inputs[0], &b = context.inputs[1];
  return {std::max(a.low, b.low), std::max(a.high, b.high)};
}
Interval range_min(const RangeContext& context) {
  const Interval &a = context.inputs[0], &b = context.inputs[1];
  return {std::min(a.low, b.low), std::min(a.high, b.high)};
}
Interval range_prelu(const RangeContext& context) {
  const Interval& x = context.inputs[0];
  const Interval above{std::max(x.low, 0.0), std::max(x.high, 0.0)};
  const Interval below = times({std::min(x.low, 0.0), std::min(x.high, 0.0)}, context.inputs[1]);
  if (x.low >= 0) return above;
  return x.high < 0 ? below : hull(above, below);
}
Interval range_where(const RangeContext& context) { return hull(context.inputs[1], context.inputs[2]); }

// lower_sign: 1 where the first operand is at least 0. Other comparisons have become this one (expand_composites).
void lower_sign(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const FloatTensor* zero = float_constant(context, 1);
  CHECK(zero && std::all_of(zero->values.begin(), zero->values.end(), [](float v) { return v == 0; }),
        "a comparison with another number than 0 is still there");
  const auto t = context.truncation(x, LowerContext::Use::kActivation);
  finish(context, context.emit(NonNegativeStep{x, t.truncate, t.k}, 1));
}

}  // namespace

constinit const OpDef kMax{"Max", infer_binary, evaluate_binary<Larger>, range_max, nullptr};
constinit const OpDef kMin{"Min", infer_binary, evaluate_binary<Smaller>, range_min, nullptr};
constinit const OpDef kPRelu{"PRelu", infer_prelu, evaluate_binary<SlopedBelowZero>, range_prelu, nullptr};
constinit const OpDef kEqual{"Equal", infer_binary, evaluate_binary<IsEqual>, range_truth, nullptr};
constinit const OpDef kLess{"Less", infer_binary, evaluate_binary<IsLess>, range_truth, nullptr};
constinit const OpDef kLessEqual{"LessEqual", infer_binary, evaluate_binary<IsLessOrEqual>, range_truth, nullptr};
constinit const OpDef kGreater{"Greater", infer_binary, evaluate_binary<IsGreater>, range_truth, nullptr};
constinit const OpDef kGreaterEqual{"GreaterEqual", infer_binary, evaluate_binary<IsGreaterOrEqual>, range_truth,
                                    lower_sign};
constinit const OpDef kNot{"Not", infer_not, evaluate_not, range_truth, nullptr};
constinit const OpDef kAnd{"And", infer_binary, evaluate_binary<BothTrue>, range_truth, nullptr};
constinit const OpDef kOr{"Or", infer_binary, evaluate_binary<EitherTrue>, range_truth, nullptr};
constinit const OpDef kXor{"Xor", infer_binary, evaluate_binary<OneTrue>, range_truth, nullptr};
constinit const OpDef kWhere{"Where", infer_where, evaluate_where, range_where, nullptr};

}  // namespace treville::ops
