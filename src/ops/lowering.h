// What lowerings share: reshapes that vanish when there is nothing to do, constants, picking elements along an axis,
// and room in the ring for sums.
#pragma once

#include "ops/common.h"
#include "ops/op.h"

namespace treville::ops {

// float_constant is the plain operand or null.
const FloatTensor* float_constant(LowerContext& context, int input);
// require_secret fails when the operand is a constant.
SlotId require_secret(LowerContext& context, int input);
// reshape gives x another shape, at no step when it has it.
SlotId reshape(LowerContext& context, SlotId x, const Shape& shape);
// finish makes x, reshaped to the node's output, the node's result.
void finish(LowerContext& context, SlotId x);
// scale_channels multiplies consecutive runs of x's elements by a vector (over the last axis, over an image, over all)
// and adds a bias of the vector's extent when it is not null. The result has x's shape.
SlotId scale_channels(LowerContext& context, SlotId x, const FloatTensor& factor, const FloatTensor* bias);
// with_room rescales x first when a sum of `count` of its elements would not fit its modulus.
SlotId with_room(LowerContext& context, SlotId x, int64_t count);
// is_graph_output tells whether the node's result is revealed.
bool is_graph_output(const LowerContext& context);
// integer_bits is the number of bits of the largest |integer| of a slot's type: |real| * 2^scale * divisor < 2^bits.
int integer_bits(const SlotType& type);
// emit_value emits a step whose result has `bound`, or without one the planned bound of the node's output.
SlotId emit_value(LowerContext& context, StepBody body, std::optional<double> bound);
// A divisor that is a power of two is a matter of the scale alone: divided gives x at a scale that is larger.
bool is_power_of_two(int64_t divisor);
SlotId divided(LowerContext& context, SlotId x, int64_t power_of_two, std::optional<double> bound);
// gathered takes indices along an axis, of any number: nothing where they are all in order, one slice where they are a
// progression.
SlotId gathered(LowerContext& context, SlotId x, int axis, const Ints& indices);
// expanded repeats x along axes of extent 1 to `shape`, to which x's shape broadcasts.
SlotId expanded(LowerContext& context, SlotId x, const Shape& shape);
// pass_through is the lowering of what changes nothing but the shape.
void pass_through(LowerContext& context);

}  // namespace treville::ops
