// Conv: convolution (cross-correlation) of an image with a weight [kernel...,in/groups,out], and a bias.
#include <algorithm>

#include "ops/convolution.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

Ints kernel_of(const Shape& weight) { return Ints(weight.dims().begin(), weight.dims().end() - 2); }

void check_weight(InferContext& context, const ImageShape& image) {
  const Shape& weight = context.shape(1);
  const auto rank = static_cast<int>(image.spatial.size()) + 2;
  if (weight.rank() != rank) {
    context.fail(
        fmt::format("expected a weight [kernel...,in/groups,out] of rank {}, found {}", rank, to_string(weight)));
  }
  int64_t groups = context.node().get_int("groups", 1);
  if (groups == 0) {  // what the weight's channels say
    const bool divides = weight[rank - 2] > 0 && image.channels % weight[rank - 2] == 0;
    groups = divides ? image.channels / weight[rank - 2] : 1;
    context.node().attributes["groups"] = groups;
  }
  check_groups(context, groups, image.channels, weight[rank - 1]);
  if (weight[rank - 2] != image.channels / groups) {
    context.fail(fmt::format("input {} has {} channels in {} groups, but the weight {} expects {} in a group",
                             to_string(context.shape(0)), image.channels, groups, to_string(weight), weight[rank - 2]));
  }
  if (context.input_count() > 2 && context.shape(2) != Shape{weight[rank - 1]})
    context.fail(fmt::format("expected a bias [{}], found {}", weight[rank - 1], to_string(context.shape(2))));
}

void infer(InferContext& context) {
  check_inputs(context, 2, 3);
  const ImageShape image = read_image(context);
  check_weight(context, image);
  const Shape& weight = context.shape(1);
  resolve_window(context, image, kernel_of(weight));
  const WindowGeometry w = window_of(context.node(), context.shape(0), kernel_of(weight));
  context.results = {image_shape(context.node(), {w.batch, w.out, weight[weight.rank() - 1]})};
}

Convolution convolution_of(const Node& node, const Shape& x, const FloatTensor& weight, const FloatTensor* bias) {
  return {window_of(node, x, kernel_of(weight.shape)), weight, bias, node.get_int("groups", 1)};
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  const FloatTensor& x = floats(inputs[0]);
  const Constant* bias = given(inputs, 2);
  const Convolution conv = convolution_of(node, x.shape, floats(inputs[1]), bias ? &floats(bias) : nullptr);
  return one(from_nhwc(node, convolve_float(conv, to_nhwc(node, x))));
}

Interval range(const RangeContext& context) {
  const Shape& shape = ops::input_shape(context.graph, context.node, 1);
  const Ints pads = context.node.get_ints("pads");
  const bool is_padded = std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
  Interval x = context.inputs[0];
  if (is_padded) x = hull(x, {0, 0});  // a position over padding contributes nothing
  const Constant* weight = context.constant(1);
  const bool has_bias = context.inputs.size() > 2;
  if (weight == nullptr) {
    const auto taps = static_cast<double>(shape.elements() / std::max<int64_t>(shape[shape.rank() - 1], 1));
    const Interval sum = times(times(x, context.inputs[1]), {taps, taps});
    return has_bias ? plus(sum, context.inputs[2]) : sum;
  }
  const Constant* bias = has_bias ? context.constant(2) : nullptr;
  const Interval result = range_of_product(floats(weight), x, bias ? &floats(bias) : nullptr);
  return has_bias && !bias ? plus(result, context.inputs[2]) : result;
}

void lower(LowerContext& context) {
  const FloatTensor* weight = float_constant(context, 1);
  const bool has_bias = context.node().inputs.size() > 2;
  const FloatTensor* bias = float_constant(context, 2);
  if (weight == nullptr)
    context.fail(
        "a convolution with a secret weight is a product of two secret tensors, which is not "
        "supported yet");
  if (has_bias && bias == nullptr)
    context.fail("a computed bias is not supported. Export the model with a constant bias.");
  CHECK(!is_nchw(context.node()), "a convolution is still NCHW");
  const SlotId x = require_secret(context, 0);
  const Convolution conv = convolution_of(context.node(), context.input_shape(0), *weight, bias);
  finish(context, lower_convolution(context, conv, x));
}

}  // namespace

constinit const OpDef kConv{"Conv", infer, evaluate, range, lower};

}  // namespace treville::ops
