// Softmax and LogSoftmax over an axis; with joint = 1 (ONNX before operator set 13) over the axis and all later ones
// together. At run time the recipient computes it on the revealed operand, so it may only end a model.
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

// Groups: the elements of each distribution, by its largest and the sum of e^(x - largest).
struct Groups {
  Ints strides;  // from an element to its group
  std::vector<double> largest, sums;
};

Groups groups_of(const Node& node, const FloatTensor& x) {
  const int64_t axis = *normal_axis(node.get_int("axis", -1), x.shape.rank());
  const bool joint = node.get_int("joint", 0) != 0;
  Shape shape = x.shape;  // one distribution for each element of this shape
  for (int i = static_cast<int>(axis); i < (joint ? x.shape.rank() : static_cast<int>(axis) + 1); ++i) shape[i] = 1;
  Groups groups{broadcast_strides(shape, x.shape), {}, {}};
  groups.largest.assign(static_cast<size_t>(shape.elements()), -HUGE_VAL);
  groups.sums.assign(groups.largest.size(), 0);
  walk(x.shape, 0, groups.strides,
       [&](size_t i, size_t group) { groups.largest[group] = std::max<double>(groups.largest[group], x.values[i]); });
  walk(x.shape, 0, groups.strides,
       [&](size_t i, size_t group) { groups.sums[group] += std::exp(x.values[i] - groups.largest[group]); });
  return groups;
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  FloatTensor y = floats(inputs[0]);
  const Groups groups = groups_of(node, y);
  walk(y.shape, 0, groups.strides, [&](size_t i, size_t group) {
    y.values[i] = static_cast<float>(std::exp(y.values[i] - groups.largest[group]) / groups.sums[group]);
  });
  return one(std::move(y));
}

// evaluate_log is the logarithm without the detour over probabilities, which may be 0.
std::vector<Constant> evaluate_log(const Graph&, const Node& node, Inputs inputs) {
  FloatTensor y = floats(inputs[0]);
  const Groups groups = groups_of(node, y);
  walk(y.shape, 0, groups.strides, [&](size_t i, size_t group) {
    y.values[i] = static_cast<float>(y.values[i] - groups.largest[group] - std::log(groups.sums[group]));
  });
  return one(std::move(y));
}

Interval range(const RangeContext&) { return {0, 1}; }

// x - largest - log(sum) lies within the spread of x and the logarithm of the number of terms below 0.
Interval range_log(const RangeContext& context) {
  const Interval& x = context.inputs[0];
  const auto terms = static_cast<double>(input_shape(context.graph, context.node, 0).elements());
  return {x.low - x.high - std::log(std::max(terms, 1.0)), 0};
}

void lower(LowerContext& context) { context.set_result(require_secret(context, 0)); }

}  // namespace

constinit const OpDef kSoftmax{"Softmax", infer, evaluate, range, lower};
constinit const OpDef kLogSoftmax{"LogSoftmax", infer, evaluate_log, range_log, lower};

}  // namespace treville::ops
