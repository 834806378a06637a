// Normalisation by what is computed from the input itself: InstanceNorm, GroupNorm, LayerNorm, LRN and L2Normalize.
// They run in the clear here; the pass expand_composites writes them as means, squares and roots.
#include "ops/normalize.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "ops/lowering.h"
#include "ops/ops.h"
#include "ops/windows.h"

namespace treville::ops {
namespace {

int channel_axis(const Node& node, const Shape& shape) { return is_nchw(node) ? 1 : shape.rank() - 1; }

void check_floats(const InferContext& context) {
  for (int i = 0; i < context.input_count(); ++i)
    if (context.dtype(i) != DType::kFloat) context.fail("expected floats, found integers");
}

// check_channels: scale and bias have one number for each channel (or for each group).
void check_channels(InferContext& context) {
  check_inputs(context, 3, 3);
  check_floats(context);
  const Shape& shape = context.shape(0);
  if (shape.rank() < 3)
    context.fail(fmt::format("expected an image [batch, ..., channels], found {}", to_string(shape)));
  const Shape channels{shape[channel_axis(context.node(), shape)]};
  const Shape groups{context.node().get_int("groups", 1)};
  for (int i = 1; i < 3; ++i) {
    const bool is_group = context.node().op == "GroupNorm" && context.shape(i) == groups;
    if (context.shape(i) != channels && !is_group) {
      context.fail(fmt::format("expected {} of shape {} for an input {}, found {}", i == 1 ? "scale" : "bias",
                               to_string(channels), to_string(shape), to_string(context.shape(i))));
    }
  }
  context.results = {shape};
}

void infer_group(InferContext& context) {
  check_channels(context);
  const Shape& shape = context.shape(0);
  const int64_t groups = context.node().get_int("groups", 1);
  const int64_t channels = shape[channel_axis(context.node(), shape)];
  if (groups < 1 || channels % groups != 0)
    context.fail(fmt::format("{} groups do not divide {} channels", groups, channels));
}

void infer_layer(InferContext& context) {
  check_inputs(context, 2, 3);
  check_floats(context);
  const Shape& shape = context.shape(0);
  const auto axis = static_cast<size_t>(axis_of(context, context.node().get_int("axis", -1), shape));
  const Shape normalized(Ints(shape.dims().begin() + static_cast<std::ptrdiff_t>(axis), shape.dims().end()));
  for (int i = 1; i < context.input_count(); ++i) {
    if (broadcast(context.shape(i), normalized) != normalized) {
      context.fail(fmt::format("expected {} that broadcasts to {}, found {}", i == 1 ? "a scale" : "a bias",
                               to_string(normalized), to_string(context.shape(i))));
    }
  }
  Shape rows = shape;
  for (auto i = static_cast<int>(axis); i < rows.rank(); ++i) rows[i] = 1;
  context.results = {shape, rows, rows};
}

void infer_lrn(InferContext& context) {
  check_inputs(context, 1, 1);
  check_floats(context);
  if (context.shape(0).rank() < 2)
    context.fail(fmt::format("shape {} has no channel axis", to_string(context.shape(0))));
  if (context.node().get_int("size", 1) < 1) context.fail("expected a size of at least 1");
  context.results = {context.shape(0)};
}

void infer_l2(InferContext& context) {
  check_inputs(context, 1, 1);
  check_floats(context);
  for (int64_t axis : context.node().get_ints("axes")) axis_of(context, axis, context.shape(0));
  context.results = {context.shape(0)};
}

// Moments of each group: the mean, and 1 / sqrt(variance + epsilon).
struct Moments {
  std::vector<double> means, inverses;
};

// standardize brings every group of elements to mean 0 and variance 1. group_of gives an element's group from its index
// along each axis, among `groups`; moments may be null.
FloatTensor standardize(const FloatTensor& x, size_t groups, double epsilon,
                        const std::function<size_t(const Ints& index)>& group_of, Moments* moments = nullptr) {
  std::vector<double> sums(groups, 0), squares(groups, 0), counts(groups, 0);
  std::vector<size_t> group(x.values.size());
  Ints index(x.shape.dims().size(), 0);
  for (size_t i = 0; i < group.size(); ++i) {
    group[i] = group_of(index);
    sums[group[i]] += x.values[i];
    counts[group[i]] += 1;
    for (size_t axis = index.size(); axis-- > 0 && ++index[axis] == x.shape.dims()[axis];) index[axis] = 0;
  }
  for (size_t g = 0; g < groups; ++g) sums[g] /= std::max(counts[g], 1.0);
  for (size_t i = 0; i < group.size(); ++i) squares[group[i]] += std::pow(x.values[i] - sums[group[i]], 2);
  FloatTensor y(x.shape);
  for (size_t i = 0; i < group.size(); ++i) {
    const size_t g = group[i];
    y.values[i] = static_cast<float>((x.values[i] - sums[g]) / std::sqrt(squares[g] / counts[g] + epsilon));
  }
  if (moments == nullptr) return y;
  moments->means = sums;
  for (size_t g = 0; g < groups; ++g) moments->inverses.push_back(1 / std::sqrt(squares[g] / counts[g] + epsilon));
  return y;
}

// scale_and_shift multiplies by scale and adds bias (may be null), both read with these strides.
void scale_and_shift(FloatTensor& y, const FloatTensor& scale, const Ints& scale_strides, const FloatTensor* bias,
                     const Ints& bias_strides) {
  walk(y.shape, 0, scale_strides, [&](size_t i, size_t at) { y.values[i] *= scale.values[at]; });
  if (bias == nullptr) return;
  walk(y.shape, 0, bias_strides, [&](size_t i, size_t at) { y.values[i] += bias->values[at]; });
}

// for_channels repeats what has one number a group for the group's channels.
FloatTensor for_channels(const FloatTensor& given, int64_t channels) {
  FloatTensor all(Shape{channels});
  const size_t size = all.values.size() / std::max<size_t>(given.values.size(), 1);
  for (size_t i = 0; i < all.values.size(); ++i) all.values[i] = given.values[i / size];
  return all;
}

std::vector<Constant> evaluate_groups(const Node& node, Inputs inputs, int64_t groups) {
  const FloatTensor& x = floats(inputs[0]);
  const auto axis = static_cast<size_t>(channel_axis(node, x.shape));
  const int64_t channels = x.shape.dims()[axis], size = channels / groups;
  FloatTensor y = standardize(x, static_cast<size_t>(x.shape[0] * groups), node.get_float("epsilon", 1e-5),
                              [&](const Ints& i) { return static_cast<size_t>(i[0] * groups + i[axis] / size); });
  Ints along_channels(x.shape.dims().size(), 0);
  along_channels[axis] = 1;
  const FloatTensor scale = for_channels(floats(inputs[1]), channels), bias = for_channels(floats(inputs[2]), channels);
  scale_and_shift(y, scale, along_channels, &bias, along_channels);
  return one(std::move(y));
}

std::vector<Constant> evaluate_instance(const Graph&, const Node& node, Inputs inputs) {
  const Shape& shape = floats(inputs[0]).shape;
  return evaluate_groups(node, inputs, shape[channel_axis(node, shape)]);
}

std::vector<Constant> evaluate_group(const Graph&, const Node& node, Inputs inputs) {
  return evaluate_groups(node, inputs, node.get_int("groups", 1));
}

std::vector<Constant> evaluate_layer(const Graph&, const Node& node, Inputs inputs) {
  const FloatTensor& x = floats(inputs[0]);
  const auto axis = static_cast<int>(*normal_axis(node.get_int("axis", -1), x.shape.rank()));
  Shape rows = x.shape;
  for (int i = axis; i < rows.rank(); ++i) rows[i] = 1;
  const Ints strides = broadcast_strides(rows, x.shape);
  Moments moments;
  const auto row_of = [&](const Ints& i) {
    return static_cast<size_t>(std::inner_product(i.begin(), i.end(), strides.begin(), int64_t{0}));
  };
  FloatTensor y =
      standardize(x, static_cast<size_t>(rows.elements()), node.get_float("epsilon", 1e-5), row_of, &moments);
  const Constant* bias = given(inputs, 2);
  scale_and_shift(y, floats(inputs[1]), broadcast_strides(shape_of(*inputs[1]), x.shape),
                  bias ? &floats(bias) : nullptr, bias ? broadcast_strides(shape_of(*bias), x.shape) : Ints{});
  std::vector<Constant> results = one(std::move(y));
  for (const std::vector<double>* values : {&moments.means, &moments.inverses})
    results.push_back(FloatTensor(rows, std::vector<float>(values->begin(), values->end())));
  return results;
}

std::vector<Constant> evaluate_lrn(const Graph&, const Node& node, Inputs inputs) {
  const FloatTensor& x = floats(inputs[0]);
  const int axis = channel_axis(node, x.shape);
  const LrnWindow window = lrn_window(node);
  const int64_t channels = x.shape[axis], stride = strides_of(x.shape)[static_cast<size_t>(axis)];
  const RealFunction factor = lrn_factor(node);
  FloatTensor y(x.shape);
  for (size_t i = 0; i < x.values.size(); ++i) {
    const int64_t c = static_cast<int64_t>(i) / stride % channels;
    double sum = 0;
    for (int64_t other = std::max<int64_t>(0, c - window.before); other <= std::min(channels - 1, c + window.after);
         ++other)
      sum += std::pow(x.values[static_cast<size_t>(static_cast<int64_t>(i) + (other - c) * stride)], 2);
    y.values[i] = static_cast<float>(x.values[i] * factor(sum));
  }
  return one(std::move(y));
}

std::vector<Constant> evaluate_l2(const Graph&, const Node& node, Inputs inputs) {
  FloatTensor y = floats(inputs[0]);
  Shape groups = y.shape;
  Ints axes = node.get_ints("axes");
  for (int64_t axis : axes) groups[static_cast<int>(*normal_axis(axis, y.shape.rank()))] = 1;
  if (axes.empty()) groups = Shape(Ints(y.shape.dims().size(), 1));
  const Ints strides = broadcast_strides(groups, y.shape);
  std::vector<double> squares(static_cast<size_t>(groups.elements()), 0);
  walk(y.shape, 0, strides, [&](size_t i, size_t g) { squares[g] += std::pow(y.values[i], 2); });
  const double least = node.get_float("epsilon", 1e-12);
  walk(y.shape, 0, strides, [&](size_t i, size_t g) {
    y.values[i] = static_cast<float>(y.values[i] / std::sqrt(std::max(squares[g], least)));
  });
  return one(std::move(y));
}

Interval range_l2(const RangeContext&) { return {-1, 1}; }

// Every element of a standardised group of n lies within sqrt(n - 1).
double standardized_bound(double count) { return std::sqrt(std::max(count - 1, 0.0)); }

Interval scaled(double bound, const RangeContext& context) {
  const Interval product = times({-bound, bound}, context.inputs[1]);
  return context.inputs.size() > 2 ? plus(product, context.inputs[2]) : product;
}

Interval range_groups(const RangeContext& context) {
  const Shape& shape = input_shape(context.graph, context.node, 0);
  const int64_t channels = shape[channel_axis(context.node, shape)];
  const int64_t groups = context.node.op == "GroupNorm" ? context.node.get_int("groups", 1) : channels;
  return scaled(standardized_bound(static_cast<double>(shape.elements() / shape[0] / groups)), context);
}

Interval range_layer(const RangeContext& context) {
  const Shape& shape = input_shape(context.graph, context.node, 0);
  double count = 1;
  for (auto i = static_cast<int>(*normal_axis(context.node.get_int("axis", -1), shape.rank())); i < shape.rank(); ++i)
    count *= static_cast<double>(shape[i]);
  return scaled(standardized_bound(count), context);
}

// The factor is largest where the sum of squares is least (for a beta above 0) or at its other end.
Interval range_lrn(const RangeContext& context) {
  const Interval& x = context.inputs[0];
  const RealFunction factor = lrn_factor(context.node);
  const double most = static_cast<double>(context.node.get_int("size", 1)) * std::pow(x.magnitude(), 2);
  const double first = factor(0), last = factor(most);
  return times(x, {std::min(first, last), std::max(first, last)});
}

}  // namespace

LrnWindow lrn_window(const Node& node) {
  const int64_t size = node.get_int("size", 1);
  return {(size - 1) / 2, size / 2};
}

RealFunction lrn_factor(const Node& node) {
  const double slope = node.get_float("alpha", 1e-4) / static_cast<double>(node.get_int("size", 1));
  return [slope, bias = node.get_float("bias", 1), beta = node.get_float("beta", 0.75)](double sum) {
    return std::pow(bias + slope * sum, -beta);
  };
}

constinit const OpDef kInstanceNorm{"InstanceNorm", check_channels, evaluate_instance, range_groups, nullptr};
constinit const OpDef kGroupNorm{"GroupNorm", infer_group, evaluate_group, range_groups, nullptr};
constinit const OpDef kLayerNorm{"LayerNorm", infer_layer, evaluate_layer, range_layer, nullptr};
constinit const OpDef kLrn{"LRN", infer_lrn, evaluate_lrn, range_lrn, nullptr};
constinit const OpDef kL2Normalize{"L2Normalize", infer_l2, evaluate_l2, range_l2, nullptr};

}  // namespace treville::ops
