// Conv: convolution (cross-correlation) of an image with a weight [kh,kw,in/groups,out], and a bias.
#include "kernels/float_linear.h"
#include "ops/lowering.h"
#include "ops/ops.h"
#include "ops/windows.h"

namespace treville::ops {
namespace {

void check_weight(InferContext& context, const ImageShape& image) {
  const Shape& weight = context.shape(1);
  if (weight.rank() != 4)
    context.fail(fmt::format("expected a weight [kh,kw,in/groups,out], found {}", to_string(weight)));
  const int64_t groups = context.node().get_int("groups", 1);
  if (groups < 1 || image.channels % groups != 0 || weight[3] % groups != 0) {
    context.fail(fmt::format("{} groups do not divide {} input channels and {} output channels", groups, image.channels,
                             weight[3]));
  }
  if (weight[2] != image.channels / groups) {
    context.fail(fmt::format("input {} has {} channels in {} groups, but the weight {} expects {} in a group",
                             to_string(context.shape(0)), image.channels, groups, to_string(weight), weight[2]));
  }
  if (context.input_count() > 2 && context.shape(2) != Shape{weight[3]})
    context.fail(fmt::format("expected a bias [{}], found {}", weight[3], to_string(context.shape(2))));
}

void infer(InferContext& context) {
  check_inputs(context, 2, 3);
  const ImageShape image = read_image(context);
  check_weight(context, image);
  const Shape& weight = context.shape(1);
  resolve_window(context, image, weight[0], weight[1]);
  const ConvGeometry g = conv_geometry(context.node(), context.shape(0), weight);
  context.results = {image_shape(context.node(), {g.batch, g.out_h, g.out_w, g.out_c})};
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  const FloatTensor& x = floats(inputs[0]);
  const FloatTensor& weight = floats(inputs[1]);
  FloatTensor y = apply_float(conv_geometry(node, x.shape, weight.shape), weight, to_nhwc(node, x));
  if (const Constant* given_bias = given(inputs, 2)) {
    const FloatTensor& bias = floats(given_bias);
    for (size_t i = 0; i < y.values.size(); ++i) y.values[i] += bias.values[i % bias.values.size()];
  }
  return one(from_nhwc(node, std::move(y)));
}

Interval range(const RangeContext& context) {
  const Shape& shape = ops::input_shape(context.graph, context.node, 1);
  const Ints pads = context.node.get_ints("pads", {0, 0, 0, 0});
  const bool is_padded = pads != Ints{0, 0, 0, 0};
  Interval x = context.inputs[0];
  if (is_padded) x = hull(x, {0, 0});  // a position over padding contributes nothing
  const Constant* weight = context.constant(1);
  const bool has_bias = context.inputs.size() > 2;
  if (weight == nullptr) {
    const auto taps = static_cast<double>(shape[0] * shape[1] * shape[2]);
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
  finish(context,
         context.linear(x, conv_geometry(context.node(), context.input_shape(0), weight->shape), *weight, bias));
}

}  // namespace

constinit const OpDef kConv{"Conv", infer, evaluate, range, lower};

}  // namespace treville::ops
