// Reductions over any axes; global average pooling is the mean over the spatial axes. ReduceProd is for constants: what
// models compute shapes with.
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {

Ints reduced_axes(const Node& node, const Constant* constant, const Shape& shape) {
  Ints axes = list_of(node, "axes", constant).value_or(Ints{});
  if (axes.empty()) {
    axes.resize(shape.dims().size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  for (int64_t& axis : axes) axis = normal_axis(axis, shape.rank()).value_or(-1);
  std::sort(axes.begin(), axes.end());
  return axes;
}

Shape kept_shape(const Shape& shape, const Ints& axes) {
  Shape kept = shape;
  for (int64_t axis : axes) kept[static_cast<int>(axis)] = 1;
  return kept;
}

int64_t reduced_count(const Shape& shape, const Ints& axes) {
  int64_t count = 1;
  for (int64_t axis : axes) count *= shape[static_cast<int>(axis)];
  return count;
}

namespace {

enum class Kind : uint8_t { kMean, kSum, kProduct };

// resolve_spatial: "spatial" means all axes but the first two.
void resolve_spatial(Node& node, const Shape& shape) {
  if (node.get_int("spatial", 0) == 0) return;
  Ints axes;
  for (int axis = 2; axis < shape.rank(); ++axis) axes.push_back(axis);
  node.attributes["axes"] = axes;
  node.attributes.erase("spatial");
}

template <Kind kKind>
void infer(InferContext& context) {
  check_inputs(context, 1, 2);
  const Shape& shape = context.shape(0);
  if (context.node().get_int("spatial", 0) != 0 && shape.rank() < 3)
    context.fail(fmt::format("expected an image of rank 3 to 5, found {}", to_string(shape)));
  resolve_spatial(context.node(), shape);
  const Constant* given_axes = context.constant(1);
  if (context.input_count() > 1) context.ints(1);
  for (int64_t axis : list_of(context.node(), "axes", given_axes).value_or(Ints{})) axis_of(context, axis, shape);
  const Ints axes = reduced_axes(context.node(), given_axes, shape);
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) context.fail("an axis is named twice");
  if (kKind == Kind::kMean && reduced_count(shape, axes) == 0)
    context.fail(fmt::format("a reduction of no elements, of {}", to_string(shape)));
  if (context.node().get_int("keepdims", 1) != 0) {
    context.results = {kept_shape(shape, axes)};
    return;
  }
  Ints dims;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (!std::binary_search(axes.begin(), axes.end(), axis)) dims.push_back(shape[axis]);
  context.results = {Shape(dims)};
}

template <Kind kKind>
std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    using Tensor = std::decay_t<decltype(x)>;
    using Number = typename decltype(x.values)::value_type;
    constexpr bool kIsFloat = std::is_same_v<Number, float>;
    const Ints axes = reduced_axes(node, given(inputs, 1), x.shape);
    const Shape kept = kept_shape(x.shape, axes);
    using Sum = std::conditional_t<kIsFloat, double, uint64_t>;
    std::vector<Sum> sums(static_cast<size_t>(kept.elements()), kKind == Kind::kProduct ? 1 : 0);
    walk(x.shape, 0, broadcast_strides(kept, x.shape), [&](size_t from, size_t to) {
      const auto value = static_cast<Sum>(x.values[from]);
      sums[to] = kKind == Kind::kProduct ? sums[to] * value : sums[to] + value;
    });
    const int64_t count = kKind == Kind::kMean ? reduced_count(x.shape, axes) : 1;
    Tensor y(output_shape(graph, node));
    for (size_t i = 0; i < sums.size(); ++i) {
      if constexpr (kIsFloat) {
        y.values[i] = static_cast<float>(sums[i] / static_cast<double>(count));
      } else {
        y.values[i] = static_cast<int64_t>(sums[i]) / count;
      }
    }
    return y;
  });
}

Interval range_sum(const RangeContext& context) {
  const Shape& shape = input_shape(context.graph, context.node, 0);
  const Constant* axes = context.inputs.size() > 1 ? context.constant(1) : nullptr;
  const auto count = static_cast<double>(reduced_count(shape, reduced_axes(context.node, axes, shape)));
  return times(context.inputs[0], {count, count});
}

template <Kind kKind>
void lower(LowerContext& context) {
  const Shape& shape = context.input_shape(0);
  const Constant* given_axes = context.node().inputs.size() > 1 ? context.constant(1) : nullptr;
  const Ints axes = reduced_axes(context.node(), given_axes, shape);
  const int64_t count = reduced_count(shape, axes);
  const SlotId x = require_secret(context, 0);
  if (count == 1) return finish(context, x);
  const SlotId roomy = with_room(context, x, count);
  const bool is_mean = kKind == Kind::kMean;
  if (!is_mean || !is_power_of_two(count)) {
    finish(context, context.emit(SumAxesStep{roomy, axes, is_mean ? count : 1}));
  } else {
    const double bound = context.type(roomy).bound * static_cast<double>(count);
    finish(context, divided(context, context.emit(SumAxesStep{roomy, axes, 1}, bound), count, {}));
  }
}

// The other reductions fold the elements of a group into one number, from `start` on, and may finish with a function.
struct Largest {
  static constexpr double kStart = -std::numeric_limits<double>::infinity();
  static double fold(double sum, double x) { return std::max(sum, x); }
  static double finish(double sum) { return sum; }
};
struct Least {
  static constexpr double kStart = std::numeric_limits<double>::infinity();
  static double fold(double sum, double x) { return std::min(sum, x); }
  static double finish(double sum) { return sum; }
};
struct Magnitudes {
  static constexpr double kStart = 0;
  static double fold(double sum, double x) { return sum + std::abs(x); }
  static double finish(double sum) { return sum; }
};
struct Squares {
  static constexpr double kStart = 0;
  static double fold(double sum, double x) { return sum + x * x; }
  static double finish(double sum) { return sum; }
};
struct Length : Squares {
  static double finish(double sum) { return std::sqrt(sum); }
};

template <class F>
std::vector<Constant> evaluate_fold(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    using Tensor = std::decay_t<decltype(x)>;
    using Number = typename decltype(x.values)::value_type;
    const Shape kept = kept_shape(x.shape, reduced_axes(node, given(inputs, 1), x.shape));
    std::vector<double> sums(static_cast<size_t>(kept.elements()), F::kStart);
    walk(x.shape, 0, broadcast_strides(kept, x.shape),
         [&](size_t from, size_t to) { sums[to] = F::fold(sums[to], static_cast<double>(x.values[from])); });
    Tensor y(output_shape(graph, node));
    std::transform(sums.begin(), sums.end(), y.values.begin(),
                   [](double sum) { return static_cast<Number>(F::finish(sum)); });
    return y;
  });
}

// lower_largest: the reduced axes become one, in front of the window of a maximum.
void lower_largest(LowerContext& context) {
  const Shape& shape = context.input_shape(0);
  const Constant* given_axes = context.node().inputs.size() > 1 ? context.constant(1) : nullptr;
  const Ints axes = reduced_axes(context.node(), given_axes, shape);
  SlotId x = require_secret(context, 0);
  if (reduced_count(shape, axes) == 1) return finish(context, x);
  Ints order = axes;  // reduced axes first, then the others
  for (int64_t axis = 0; axis < shape.rank(); ++axis)
    if (!std::binary_search(axes.begin(), axes.end(), axis)) order.push_back(axis);
  PoolGeometry pool;
  pool.in_h = pool.kernel_h = reduced_count(shape, axes);
  pool.out_h = pool.in_w = pool.out_w = pool.kernel_w = pool.batch = 1;
  pool.stride_h = pool.stride_w = pool.dilation_h = pool.dilation_w = 1;
  pool.pad_top = pool.pad_left = 0;
  pool.channels = shape.elements() / pool.in_h;
  const double bound = context.type(x).bound;
  if (!std::is_sorted(order.begin(), order.end())) x = context.emit(TransposeStep{x, order}, bound);
  x = reshape(context, x, treville::input_shape(pool));
  const auto t = context.truncation(x, LowerContext::Use::kMaximum);
  // A maximum is no larger than its operand, whatever margin its own range got: it is known modulo no more bits.
  finish(context, context.emit(MaxPoolStep{x, pool, t.truncate, t.k}, std::min(bound, context.result_bound())));
}

double count_of(const RangeContext& context) {
  const Shape& shape = input_shape(context.graph, context.node, 0);
  const Constant* axes = context.inputs.size() > 1 ? context.constant(1) : nullptr;
  return static_cast<double>(reduced_count(shape, reduced_axes(context.node, axes, shape)));
}

// An interval of |x|^power, summed over the group.
template <int kPower>
Interval summed_magnitudes(const RangeContext& context) {
  const Interval& x = context.inputs[0];
  const double least = x.low > 0 ? x.low : std::max(0.0, -x.high), count = count_of(context);
  return {count * std::pow(least, kPower), count * std::pow(x.magnitude(), kPower)};
}

Interval range_length(const RangeContext& context) {
  const Interval squares = summed_magnitudes<2>(context);
  return {std::sqrt(squares.low), std::sqrt(squares.high)};
}

}  // namespace

constinit const OpDef kReduceMean{"ReduceMean", infer<Kind::kMean>, evaluate<Kind::kMean>, same_range,
                                  lower<Kind::kMean>};
constinit const OpDef kReduceSum{"ReduceSum", infer<Kind::kSum>, evaluate<Kind::kSum>, range_sum, lower<Kind::kSum>};
constinit const OpDef kReduceProd{"ReduceProd", infer<Kind::kProduct>, evaluate<Kind::kProduct>, nullptr, nullptr};
constinit const OpDef kReduceMax{"ReduceMax", infer<Kind::kSum>, evaluate_fold<Largest>, same_range, lower_largest};
constinit const OpDef kReduceMin{"ReduceMin", infer<Kind::kSum>, evaluate_fold<Least>, same_range, nullptr};
constinit const OpDef kReduceL1{"ReduceL1", infer<Kind::kSum>, evaluate_fold<Magnitudes>, summed_magnitudes<1>,
                                nullptr};
constinit const OpDef kReduceL2{"ReduceL2", infer<Kind::kSum>, evaluate_fold<Length>, range_length, nullptr};
constinit const OpDef kReduceSumSquare{"ReduceSumSquare", infer<Kind::kSum>, evaluate_fold<Squares>,
                                       summed_magnitudes<2>, nullptr};

}  // namespace treville::ops
