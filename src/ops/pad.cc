// Pad adds elements around a tensor: of one value, or copies of its own (reflect: mirrored without the border,
// symmetric: with it, edge: the border, wrap: from the other side). A negative pad cuts.
#include <algorithm>
#include <array>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

constexpr auto kModes = std::to_array<std::string_view>({"constant", "reflect", "symmetric", "edge", "wrap"});
constexpr int64_t kMaxPad = int64_t{1} << 31;

std::string mode_of(const Node& node) { return node.get_string("mode", "constant"); }

// spread_axes turns pads for some axes into pads for all.
void spread_axes(InferContext& context) {
  Node& node = context.node();
  if (!node.has("axes")) return;
  const Ints axes = node.get_ints("axes"), given = read_list(context, "pads", 1).value_or(Ints{});
  const Shape& shape = context.shape(0);
  if (given.size() != 2 * axes.size())
    context.fail(fmt::format("expected {} pads for {} axes, found {}", 2 * axes.size(), axes.size(), given.size()));
  Ints pads(2 * shape.dims().size(), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axis_of(context, axes[i], shape));
    pads[axis] = given[i];
    pads[axis + shape.dims().size()] = given[i + axes.size()];
  }
  node.attributes.erase("axes");
  node.attributes["pads"] = pads;
  node.inputs.resize(1);
}

void infer(InferContext& context) {
  check_inputs(context, 1, 2);
  spread_axes(context);
  const std::string mode = mode_of(context.node());
  if (std::find(kModes.begin(), kModes.end(), mode) == kModes.end())
    context.fail(fmt::format("mode \"{}\" is not supported (supported: {})", mode, fmt::join(kModes, ", ")));
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
    if (mode != "constant" && extent == 0 && (pads[axis] > 0 || pads[axis + rank] > 0))
      context.fail(fmt::format("there is nothing to copy in {}", to_string(context.shape(0))));
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

int64_t modulo(int64_t value, int64_t divisor) { return (value % divisor + divisor) % divisor; }

// copied is the element that a position of the padded axis, counted from the first of x, takes.
int64_t copied(const std::string& mode, int64_t position, int64_t extent) {
  if (mode == "edge") return std::clamp<int64_t>(position, 0, extent - 1);
  if (mode == "wrap") return modulo(position, extent);
  const int64_t border = mode == "reflect" && extent > 1 ? 1 : 0;
  const int64_t period = 2 * (extent - border), folded = modulo(position, period);
  return folded < extent ? folded : period - folded - (1 - border);
}

// copies lists the elements that an axis of the result takes.
Ints copies(const std::string& mode, int64_t before, int64_t after, int64_t extent) {
  Ints indices;
  for (int64_t position = -before; position < extent + after; ++position)
    indices.push_back(copied(mode, position, extent));
  return indices;
}

std::vector<Constant> evaluate_copies(const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](auto x) {
    const Ints pads = *list_of(node, "pads", given(inputs, 1));
    const size_t rank = x.shape.dims().size();
    for (size_t axis = 0; axis < rank; ++axis) {
      if (pads[axis] == 0 && pads[axis + rank] == 0) continue;
      const int64_t extent = x.shape[static_cast<int>(axis)];
      x = take(x, static_cast<int>(axis), copies(mode_of(node), pads[axis], pads[axis + rank], extent));
    }
    return x;
  });
}

std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  if (mode_of(node) != "constant") return evaluate_copies(node, inputs);
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
  if (mode_of(context.node) != "constant") return context.inputs[0];
  const double value = context.node.get_float("value", 0);
  return hull(context.inputs[0], {value, value});
}

void lower_copies(LowerContext& context, const Ints& pads) {
  SlotId x = require_secret(context, 0);
  const size_t rank = pads.size() / 2;
  for (size_t axis = 0; axis < rank; ++axis) {
    if (pads[axis] == 0 && pads[axis + rank] == 0) continue;
    const int64_t extent = context.type(x).shape[static_cast<int>(axis)];
    const Ints indices = copies(mode_of(context.node()), pads[axis], pads[axis + rank], extent);
    x = gathered(context, x, static_cast<int>(axis), indices);
  }
  context.set_result(x);
}

// border is `value` around x and 0 on it.
FloatTensor border(const Shape& result, const Cut& cut, double value) {
  FloatTensor constant(result);
  std::fill(constant.values.begin(), constant.values.end(), static_cast<float>(value));
  const Ints strides = strides_of(result);
  walk(cut.kept, dot(cut.to, strides), strides, [&](size_t, size_t at) { constant.values[at] = 0; });
  return constant;
}

void lower(LowerContext& context) {
  const Constant* constant = context.node().inputs.size() > 1 ? context.constant(1) : nullptr;
  const Ints pads = *list_of(context.node(), "pads", constant);
  if (context.output_shape().elements() == 0) context.fail("it keeps no elements");
  if (mode_of(context.node()) != "constant") return lower_copies(context, pads);
  SlotId x = require_secret(context, 0);
  const Cut cut = cut_of(context.type(x).shape, pads);
  if (cut.kept.elements() == 0) context.fail("it cuts all of its operand away, so its result is a constant");
  const double bound = context.type(x).bound, value = context.node().get_float("value", 0);
  if (cut.kept != context.type(x).shape)
    x = context.emit(SliceStep{x, cut.from, Ints(cut.from.size(), 1), cut.kept}, bound);
  Ints after;
  for (size_t axis = 0; axis < cut.to.size(); ++axis) {
    const int i = static_cast<int>(axis);
    after.push_back(context.output_shape()[i] - cut.kept[i] - cut.to[axis]);
  }
  if (cut.kept != context.output_shape())
    x = emit_value(context, PadStep{x, cut.to, after}, value == 0 ? std::nullopt : std::optional(bound));
  if (value != 0) x = context.add_constant(x, border(context.output_shape(), cut, value));
  context.set_result(x);
}

}  // namespace

constinit const OpDef kPad{"Pad", infer, evaluate, range, lower};

}  // namespace treville::ops
