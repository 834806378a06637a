// Add, Sub, Mul, Div, Mod with numpy broadcasting. Sums are local, between secrets and with a constant; products with a
// constant are linear layers.
#include <algorithm>
#include <cmath>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

void infer(InferContext& context) {
  check_inputs(context, 2, 2);
  const auto shape = broadcast(context.shape(0), context.shape(1));
  if (!shape) {
    context.fail(
        fmt::format("shapes {} and {} do not broadcast", to_string(context.shape(0)), to_string(context.shape(1))));
  }
  if (context.dtype(0) != context.dtype(1)) context.fail("one operand is integer, the other float. Add a cast.");
  context.results = {*shape};
}

// Integers wrap around, as in the frameworks.
int64_t wrapped(uint64_t value) { return static_cast<int64_t>(value); }

struct Sum {
  float operator()(float a, float b) const { return a + b; }
  int64_t operator()(int64_t a, int64_t b) const {
    return wrapped(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
};
struct Difference {
  float operator()(float a, float b) const { return a - b; }
  int64_t operator()(int64_t a, int64_t b) const {
    return wrapped(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  }
};
struct Product {
  float operator()(float a, float b) const { return a * b; }
  int64_t operator()(int64_t a, int64_t b) const {
    return wrapped(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
};
// Integer quotients round toward zero; b is not 0.
struct Quotient {
  float operator()(float a, float b) const { return a / b; }
  int64_t operator()(int64_t a, int64_t b) const { return b == -1 ? Difference()(int64_t{0}, a) : a / b; }
};

template <class F>
std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& a) {
    using Tensor = std::decay_t<decltype(a)>;
    const Tensor& b = std::get<Tensor>(*inputs[1]);
    Tensor y = view(a, output_shape(graph, node), 0, broadcast_strides(a.shape, output_shape(graph, node)));
    walk(y.shape, 0, broadcast_strides(b.shape, y.shape),
         [&](size_t to, size_t from) { y.values[to] = F()(y.values[to], b.values[from]); });
    return y;
  });
}

void check_divisor(const Graph& graph, const Node& node, const Constant* constant) {
  if (const IntTensor* divisor = std::get_if<IntTensor>(constant))
    if (std::count(divisor->values.begin(), divisor->values.end(), 0) > 0)
      fail_node(graph, node, "an integer is divided by 0");
}

std::vector<Constant> evaluate_div(const Graph& graph, const Node& node, Inputs inputs) {
  check_divisor(graph, node, inputs[1]);
  return evaluate<Quotient>(graph, node, inputs);
}

// Remainders have the sign of the divisor, or of the dividend where `truncated`.
struct FloorRemainder {
  float operator()(float a, float b) const {
    const float rest = std::fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
  int64_t operator()(int64_t a, int64_t b) const {
    const int64_t rest = b == -1 ? 0 : a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
};
struct Remainder {
  float operator()(float a, float b) const { return std::fmod(a, b); }
  int64_t operator()(int64_t a, int64_t b) const { return b == -1 ? 0 : a % b; }
};

std::vector<Constant> evaluate_mod(const Graph& graph, const Node& node, Inputs inputs) {
  check_divisor(graph, node, inputs[1]);
  if (node.get_int("truncated", 0) != 0) return evaluate<Remainder>(graph, node, inputs);
  return evaluate<FloorRemainder>(graph, node, inputs);
}

Interval range_mod(const RangeContext& context) {
  const double largest = context.inputs[1].magnitude();
  return {-largest, largest};
}

Interval negated(const Interval& x) { return {-x.high, -x.low}; }

Interval range_add(const RangeContext& context) { return plus(context.inputs[0], context.inputs[1]); }
Interval range_sub(const RangeContext& context) { return plus(context.inputs[0], negated(context.inputs[1])); }
Interval range_mul(const RangeContext& context) { return times(context.inputs[0], context.inputs[1]); }
Interval range_div(const RangeContext& context) {
  const Interval& divisor = context.inputs[1];
  if (const Constant* constant = context.constant(1)) {
    // The reciprocals of the constant itself: its hull may hold 0 where no element does.
    Interval reciprocals;
    bool first = true;
    for (float value : floats(constant).values) {
      const double reciprocal = 1 / static_cast<double>(value);
      reciprocals = first ? Interval{reciprocal, reciprocal} : hull(reciprocals, {reciprocal, reciprocal});
      first = false;
    }
    return times(context.inputs[0], reciprocals);
  }
  if (divisor.low <= 0 && divisor.high >= 0) fail_node(context.graph, context.node, "its divisor may be 0");
  return times(context.inputs[0], {1 / divisor.high, 1 / divisor.low});
}

FloatTensor mapped(FloatTensor x, float (*f)(float)) {
  std::transform(x.values.begin(), x.values.end(), x.values.begin(), f);
  return x;
}

bool varies_only_along_last(const Shape& constant, const Shape& result) {
  for (int axis = 0; axis + 1 < constant.rank(); ++axis)
    if (constant[axis] != 1) return false;
  return result.rank() > 0;
}

// spread broadcasts a constant to a vector over the last axis of the result, or to the result's full shape.
FloatTensor spread(const FloatTensor& constant, const Shape& result) {
  if (!varies_only_along_last(constant.shape, result))
    return view(constant, result, 0, broadcast_strides(constant.shape, result));
  const Shape channels{result[result.rank() - 1]};
  const FloatTensor flat(Shape{constant.shape.elements()}, constant.values);
  return view(flat, channels, 0, broadcast_strides(flat.shape, channels));
}

// secret_side gives the only secret operand with the output's shape.
SlotId secret_side(LowerContext& context, int side) {
  return expanded(context, context.operand(side), context.output_shape());
}

void lower_secret_sum(LowerContext& context, bool subtract) {
  std::vector<SlotId> slots = {secret_side(context, 0), secret_side(context, 1)};
  const auto aligned = context.align(std::move(slots));
  context.set_result(
      context.emit(AddStep{aligned.slots[0], aligned.slots[1], aligned.shifts[0], aligned.shifts[1], subtract}));
}

void lower_sum(LowerContext& context, bool subtract) {
  const FloatTensor *a = float_constant(context, 0), *b = float_constant(context, 1);
  if (a == nullptr && b == nullptr) return lower_secret_sum(context, subtract);
  SlotId x = secret_side(context, a ? 1 : 0);
  if (a && subtract) {
    const double bound = context.type(x).bound;
    x = context.emit(ScaleStep{x, -1, Bits(0)}, bound);
  }
  FloatTensor constant = spread(a ? *a : *b, context.output_shape());
  if (b && subtract) constant = mapped(std::move(constant), [](float value) { return -value; });
  context.set_result(context.add_constant(x, constant));
}
void lower_add(LowerContext& context) { lower_sum(context, false); }
void lower_sub(LowerContext& context) { lower_sum(context, true); }

// lower_product multiplies by a constant: a vector over the last axis, one factor an element of an image shared by the
// batch, or one an element.
void lower_product(LowerContext& context, int side, const FloatTensor& constant) {
  const Shape& result = context.output_shape();
  const SlotId x = secret_side(context, side);
  const bool batch_shares = result.rank() > 1 && (constant.shape.rank() < result.rank() || constant.shape[0] == 1);
  FloatTensor factor = spread(constant, result);
  if (batch_shares && factor.shape.rank() > 1) {
    const auto size = result.elements() / std::max<int64_t>(result[0], 1);
    factor = FloatTensor(Shape{size}, std::vector<float>(factor.values.begin(), factor.values.begin() + size));
  }
  finish(context, scale_channels(context, x, factor, nullptr));
}

void lower_mul(LowerContext& context) {
  const FloatTensor *a = float_constant(context, 0), *b = float_constant(context, 1);
  if (a == nullptr && b == nullptr) {
    const SlotId left = secret_side(context, 0), right = secret_side(context, 1);
    return context.set_result(context.product(left, right, Elementwise{context.output_shape()}));
  }
  lower_product(context, a ? 1 : 0, a ? *a : *b);
}

void lower_div(LowerContext& context) {
  const FloatTensor* divisor = float_constant(context, 1);
  CHECK(divisor != nullptr, "a division by a secret is still there");
  if (std::count(divisor->values.begin(), divisor->values.end(), 0.0F) > 0)
    context.fail("its constant divisor holds a 0");
  lower_product(context, 0, mapped(*divisor, [](float value) { return 1 / value; }));
}

}  // namespace

constinit const OpDef kAdd{"Add", infer, evaluate<Sum>, range_add, lower_add};
constinit const OpDef kSub{"Sub", infer, evaluate<Difference>, range_sub, lower_sub};
constinit const OpDef kMul{"Mul", infer, evaluate<Product>, range_mul, lower_mul};
constinit const OpDef kDiv{"Div", infer, evaluate_div, range_div, lower_div};
constinit const OpDef kMod{"Mod", infer, evaluate_mod, range_mod, nullptr};

}  // namespace treville::ops
