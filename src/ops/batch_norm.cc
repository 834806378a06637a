// BatchNorm at inference: scale * (x - mean) / sqrt(variance + epsilon) + bias over the channel axis.
#include <cmath>

#include "ops/lowering.h"
#include "ops/ops.h"
#include "ops/windows.h"

namespace treville::ops {
namespace {

int channel_axis(const Node& node, const Shape& shape) { return is_nchw(node) ? 1 : shape.rank() - 1; }

void infer(InferContext& context) {
  check_inputs(context, 5, 5);
  const Shape& shape = context.shape(0);
  if (shape.rank() < (is_nchw(context.node()) ? 2 : 1))
    context.fail(fmt::format("shape {} has no channel axis", to_string(shape)));
  const Shape channels{shape[channel_axis(context.node(), shape)]};
  constexpr const char* kNames[] = {"x", "scale", "bias", "mean", "variance"};
  for (int i = 1; i < 5; ++i) {
    if (context.shape(i) != channels) {
      context.fail(fmt::format("expected {} of shape {} for an input {}, found {}", kNames[i], to_string(channels),
                               to_string(shape), to_string(context.shape(i))));
    }
  }
  context.results = {shape};
}

// Affine: y = factor * x + offset for each channel.
struct Affine {
  FloatTensor factor, offset;
};

Affine affine_of(const Node& node, const FloatTensor& scale, const FloatTensor& bias, const FloatTensor& mean,
                 const FloatTensor& variance) {
  const double epsilon = node.get_float("epsilon", 1e-5);
  Affine affine{FloatTensor(scale.shape), FloatTensor(scale.shape)};
  for (size_t c = 0; c < scale.values.size(); ++c) {
    const double factor = scale.values[c] / std::sqrt(variance.values[c] + epsilon);
    affine.factor.values[c] = static_cast<float>(factor);
    affine.offset.values[c] = static_cast<float>(bias.values[c] - mean.values[c] * factor);
  }
  return affine;
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  const Affine affine = affine_of(node, floats(inputs[1]), floats(inputs[2]), floats(inputs[3]), floats(inputs[4]));
  FloatTensor y = floats(inputs[0]);
  Ints along_channels(y.shape.dims().size(), 0);
  along_channels[static_cast<size_t>(channel_axis(node, y.shape))] = 1;
  walk(y.shape, 0, along_channels, [&](size_t i, size_t channel) {
    y.values[i] = y.values[i] * affine.factor.values[channel] + affine.offset.values[channel];
  });
  return one(std::move(y));
}

// constants_of gives the four parameters or null when one is computed.
template <class Context>
std::optional<Affine> constant_affine(const Node& node, Context&& constant) {
  for (int i = 1; i < 5; ++i)
    if (constant(i) == nullptr) return {};
  return affine_of(node, *constant(1), *constant(2), *constant(3), *constant(4));
}

Interval range(const RangeContext& context) {
  const auto affine = constant_affine(context.node, [&](int i) {
    const Constant* held = context.constant(i);
    return held ? &floats(held) : nullptr;
  });
  if (!affine) fail_node(context.graph, context.node, "its range is known only for constant parameters");
  Interval all;
  for (size_t c = 0; c < affine->factor.values.size(); ++c) {
    const double factor = affine->factor.values[c], offset = affine->offset.values[c];
    const Interval channel = plus(times(context.inputs[0], {factor, factor}), {offset, offset});
    all = c == 0 ? channel : hull(all, channel);
  }
  return all;
}

void lower(LowerContext& context) {
  const auto affine = constant_affine(context.node(), [&](int i) { return float_constant(context, i); });
  if (!affine) context.fail("computed parameters are not supported. Export the model for inference.");
  const SlotId x = require_secret(context, 0);
  CHECK(channel_axis(context.node(), context.type(x).shape) == context.type(x).shape.rank() - 1,
        "a batch normalisation is still NCHW");
  finish(context, scale_channels(context, x, affine->factor, &affine->offset));
}

}  // namespace

constinit const OpDef kBatchNorm{"BatchNorm", infer, evaluate, range, lower};

}  // namespace treville::ops
