// Softmax over an axis; with joint = 1 (ONNX before operator set 13) over the axis and all later ones together. At run
// time the recipient computes it on the revealed operand, so it may only end a model.
#include <algorithm>
#include <cmath>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

// narrow_joint turns a joint softmax into one over a single axis where the others have extent one.
void narrow_joint(Node& node, const Shape& shape, int64_t axis) {
  int64_t long_axis = shape.rank() - 1;
  int count = 0;
  for (int64_t i = axis; i < shape.rank(); ++i) {
    if (shape[static_cast<int>(i)] == 1) continue;
    long_axis = i;
    ++count;
  }
  if (count > 1) return;
  node.attributes.erase("joint");
  node.attributes["axis"] = long_axis;
}

void infer(InferContext& context) {
  check_inputs(context, 1, 1);
  if (context.dtype(0) != DType::kFloat) context.fail("expected floats, found integers");
  const Shape& shape = context.shape(0);
  const int64_t axis = axis_of(context, context.node().get_int("axis", -1), shape);
  if (context.node().get_int("joint", 0) != 0) narrow_joint(context.node(), shape, axis);
  context.results = {shape};
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  FloatTensor y = floats(inputs[0]);
  const int64_t axis = *normal_axis(node.get_int("axis", -1), y.shape.rank());
  const bool joint = node.get_int("joint", 0) != 0;
  Shape groups = y.shape;  // one distribution for each element of this shape
  for (int i = static_cast<int>(axis); i < (joint ? y.shape.rank() : static_cast<int>(axis) + 1); ++i) groups[i] = 1;
  const Ints strides = broadcast_strides(groups, y.shape);
  std::vector<double> largest(static_cast<size_t>(groups.elements()), -HUGE_VAL), sums(largest.size(), 0);
  walk(y.shape, 0, strides,
       [&](size_t i, size_t group) { largest[group] = std::max<double>(largest[group], y.values[i]); });
  walk(y.shape, 0, strides, [&](size_t i, size_t group) { sums[group] += std::exp(y.values[i] - largest[group]); });
  walk(y.shape, 0, strides, [&](size_t i, size_t group) {
    y.values[i] = static_cast<float>(std::exp(y.values[i] - largest[group]) / sums[group]);
  });
  return one(std::move(y));
}

Interval range(const RangeContext&) { return {0, 1}; }

void lower(LowerContext& context) {
  if (!is_graph_output(context))
    context.fail("a softmax inside the model is not supported yet (supported: as an output)");
  const int rank = context.output_shape().rank();
  const bool over_last = normal_axis(context.node().get_int("axis", -1), rank) == rank - 1;
  if (!over_last || context.node().get_int("joint", 0) != 0)
    context.fail("a softmax over another axis than the last is not supported");
  context.set_result(require_secret(context, 0));
}

}  // namespace

constinit const OpDef kSoftmax{"Softmax", infer, evaluate, range, lower};

}  // namespace treville::ops
