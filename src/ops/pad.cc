// Pad adds elements of one value around a tensor; a negative pad cuts.
#include <algorithm>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

constexpr int64_t kMaxPad = int64_t{1} << 31;

void infer(InferContext& context) {
  check_inputs(context, 1, 2);
  const std::string mode = context.node().get_string("mode", "constant");
  if (mode != "constant") context.fail(fmt::format("mode \"{}\" is not supported (supported: constant)", mode));
  Shape shape = context.shape(0);
  const Ints pads = read_list(context, "pads", 1).value_or(Ints{});
  const auto rank = static_cast<size_t>(shape.rank());
  if (pads.size() != 2 * rank)
    context.fail(fmt::format("expected {} pads for {}, found {}", 2 * rank, to_string(shape), pads.size()));
  for (size_t axis = 0; axis < rank; ++axis) {
    int64_t& extent = shape[static_cast<int>(axis)];
    for (int64_t pad : {pads[axis], pads[axis + rank]})
      if (pad < -kMaxPad || pad > kMaxPad) context.fail(fmt::format("a pad of {} is not supported", pad));
    // Pads may cut on both sides, but not more than there is.
    const int64_t cut = std::min<int64_t>(pads[axis], 0) + std::min<int64_t>(pads[axis + rank], 0);
    if (extent + cut < 0)
      context.fail(fmt::format("pads {} cut more than {} has", to_string(Shape(pads)), to_string(context.shape(0))));
    extent += pads[axis] + pads[axis + rank];
  }
  context.results = {shape};
}

// Cut is the part of x that stays, and where it lands in the result.
struct Cut {
  Ints from, to;
  Shape kept;
};

Cut cut_of(const Shape& shape, const Ints& pads) {
  const size_t rank = shape.dims().size();
  Cut cut{Ints(rank), Ints(rank), shape};
  for (size_t axis = 0; axis < rank; ++axis) {
    cut.from[axis] = std::max<int64_t>(-pads[axis], 0);
    cut.to[axis] = std::max<int64_t>(pads[axis], 0);
    cut.kept[static_cast<int>(axis)] += std::min<int64_t>(pads[axis], 0) + std::min<int64_t>(pads[axis + rank], 0);
  }
  return cut;
}

int64_t dot(const Ints& a, const Ints& b) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    std::decay_t<decltype(x)> y(output_shape(graph, node));
    using Number = typename decltype(y.values)::value_type;
    std::fill(y.values.begin(), y.values.end(), static_cast<Number>(node.get_float("value", 0)));
    const Cut cut = cut_of(x.shape, *list_of(node, "pads", given(inputs, 1)));
    const Ints from = strides_of(x.shape), to = strides_of(y.shape);
    const auto kept = view(x, cut.kept, dot(cut.from, from), from);
    walk(cut.kept, dot(cut.to, to), to, [&](size_t i, size_t at) { y.values[at] = kept.values[i]; });
    return y;
  });
}

Interval range(const RangeContext& context) {
  const double value = context.node.get_float("value", 0);
  return hull(context.inputs[0], {value, value});
}

void lower(LowerContext& context) {
  if (context.node().get_float("value", 0) != 0)
    context.fail("padding with another value than 0 is not supported. Export the model with zero padding.");
  SlotId x = require_secret(context, 0);
  const Constant* constant = context.node().inputs.size() > 1 ? context.constant(1) : nullptr;
  const Cut cut = cut_of(context.type(x).shape, *list_of(context.node(), "pads", constant));
  const double bound = context.type(x).bound;
  if (cut.kept != context.type(x).shape)
    x = context.emit(SliceStep{x, cut.from, Ints(cut.from.size(), 1), cut.kept}, bound);
  Ints after;
  for (size_t axis = 0; axis < cut.to.size(); ++axis) {
    const int i = static_cast<int>(axis);
    after.push_back(context.output_shape()[i] - cut.kept[i] - cut.to[axis]);
  }
  if (cut.kept != context.output_shape()) x = context.emit(PadStep{x, cut.to, after});
  context.set_result(x);
}

}  // namespace

constinit const OpDef kPad{"Pad", infer, evaluate, range, lower};

}  // namespace treville::ops
