// Slice (ONNX) and StridedSlice (TensorFlow): both resolve to a start, a step and a count for each axis of x. Part and
// Reverse become a Slice as soon as the shape of x is known.
#include <algorithm>
#include <limits>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

// Cut selects start, start + step, ... (`count` of them) along each axis.
struct Cut {
  Ints starts, steps;
  Shape counts;
  Shape result;  // counts with TensorFlow's new and shrunk axes
};

int64_t count_of(int64_t start, int64_t end, int64_t step) {
  const int64_t distance = step > 0 ? end - start : start - end;
  if (distance <= 0) return 0;
  const uint64_t size = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  return static_cast<int64_t>((static_cast<uint64_t>(distance) - 1) / size) + 1;
}

// clamped counts a negative position from the end, then moves it to the nearest one the step can start or stop at.
int64_t clamped(int64_t position, int64_t extent, bool forward, bool is_end) {
  if (position < 0) position += extent;
  if (forward) return std::clamp<int64_t>(position, 0, extent);
  return std::clamp<int64_t>(position, -1, is_end ? extent - 1 : std::max<int64_t>(extent - 1, -1));
}

struct SliceLists {
  Ints starts, ends;
  std::optional<Ints> axes, steps;
};

// resolve_slice throws what is wrong as text through `fail`.
template <class Fail>
Cut resolve_slice(const SliceLists& lists, const Shape& shape, Fail fail) {
  const size_t count = lists.starts.size();
  const bool fits = lists.ends.size() == count && (!lists.axes || lists.axes->size() == count) &&
                    (!lists.steps || lists.steps->size() == count) && (lists.axes || count <= shape.dims().size());
  if (!fits) fail(fmt::format("its starts, ends, axes and steps do not fit each other and {}", to_string(shape)));
  Cut cut{Ints(shape.dims().size(), 0), Ints(shape.dims().size(), 1), shape, {}};
  for (size_t i = 0; i < count; ++i) {
    const int64_t named = lists.axes ? (*lists.axes)[i] : static_cast<int64_t>(i);
    const auto axis = normal_axis(named, shape.rank());
    if (!axis) fail(fmt::format("axis {} is outside of shape {}", named, to_string(shape)));
    const int64_t step = lists.steps ? (*lists.steps)[i] : 1, extent = shape[static_cast<int>(*axis)];
    if (step == 0) fail("a step is 0");
    const int64_t start = clamped(lists.starts[i], extent, step > 0, false);
    const int64_t end = clamped(lists.ends[i], extent, step > 0, true);
    cut.starts[static_cast<size_t>(*axis)] = start;
    cut.steps[static_cast<size_t>(*axis)] = step;
    cut.counts[static_cast<int>(*axis)] = count_of(start, end, step);
  }
  cut.result = cut.counts;
  return cut;
}

// Masks of a StridedSlice: bit i speaks of entry i of begin, end and strides.
struct Masks {
  int64_t begin, end, ellipsis, new_axis, shrink;
  static bool has(int64_t mask, size_t i) { return i < 64 && (static_cast<uint64_t>(mask) >> i & 1) != 0; }
};

Masks masks_of(const Node& node) {
  return {node.get_int("begin_mask", 0), node.get_int("end_mask", 0), node.get_int("ellipsis_mask", 0),
          node.get_int("new_axis_mask", 0), node.get_int("shrink_axis_mask", 0)};
}

struct StridedLists {
  Ints begin, end, strides;
};

// cut_axis resolves entry i for one axis of x; gives false when the axis is shrunk away.
template <class Fail>
bool cut_axis(const StridedLists& lists, const Masks& masks, size_t i, int axis, const Shape& shape, Cut& cut,
              Fail fail) {
  const int64_t extent = shape[axis], stride = lists.strides[i];
  const bool shrinks = Masks::has(masks.shrink, i), forward = stride > 0;
  if (stride == 0) fail("a stride is 0");
  int64_t start = lists.begin[i], end = lists.end[i];
  if (shrinks) {
    if (start < 0) start += extent;
    if (start < 0 || start >= extent || !forward)
      fail(fmt::format("index {} is outside of axis {} of {}", lists.begin[i], axis, to_string(shape)));
    end = start + 1;
  } else {
    start = Masks::has(masks.begin, i) ? (forward ? 0 : extent - 1) : clamped(start, extent, forward, false);
    end = Masks::has(masks.end, i) ? (forward ? extent : -1) : clamped(end, extent, forward, true);
  }
  cut.starts[static_cast<size_t>(axis)] = start;
  cut.steps[static_cast<size_t>(axis)] = stride;
  cut.counts[axis] = count_of(start, end, stride);
  return !shrinks;
}

template <class Fail>
Cut resolve_strided(const StridedLists& lists, const Masks& masks, const Shape& shape, Fail fail) {
  const size_t count = lists.begin.size();
  if (lists.end.size() != count || lists.strides.size() != count) fail("its begin, end and strides differ in length");
  int named = 0, ellipses = 0;  // entries that stand for an axis of x
  for (size_t i = 0; i < count; ++i) {
    if (Masks::has(masks.ellipsis, i)) {
      ++ellipses;
    } else if (!Masks::has(masks.new_axis, i)) {
      ++named;
    }
  }
  if (ellipses > 1) fail("it has more than one ellipsis");
  if (named > shape.rank()) fail(fmt::format("it selects along {} axes of {}", named, to_string(shape)));
  Cut cut{Ints(shape.dims().size(), 0), Ints(shape.dims().size(), 1), shape, {}};
  Ints result;
  int axis = 0;
  const auto keep_whole = [&](int upto) {
    for (; axis < upto; ++axis) result.push_back(shape[axis]);
  };
  for (size_t i = 0; i < count; ++i) {
    if (Masks::has(masks.ellipsis, i)) {
      keep_whole(axis + shape.rank() - named);
    } else if (Masks::has(masks.new_axis, i)) {
      result.push_back(1);
    } else {
      if (cut_axis(lists, masks, i, axis, shape, cut, fail)) result.push_back(cut.counts[axis]);
      ++axis;
    }
  }
  keep_whole(shape.rank());
  cut.result = Shape(result);
  return cut;
}

// none_if_empty: an empty list of axes or steps says the same as none.
std::optional<Ints> none_if_empty(std::optional<Ints> list) {
  return list && list->empty() ? std::nullopt : std::move(list);
}

// constant_of(i) gives a constant operand or null; the same reading serves the shape rule, evaluation and lowering.
template <class ConstantOf, class Fail>
Cut slice_cut(const Node& node, const Shape& shape, ConstantOf constant_of, Fail fail) {
  const auto starts = list_of(node, "starts", constant_of(1)), ends = list_of(node, "ends", constant_of(2));
  if (!starts || !ends) fail("its starts or ends are missing");
  const auto axes = none_if_empty(list_of(node, "axes", constant_of(3)));
  const auto steps = none_if_empty(list_of(node, "steps", constant_of(4)));
  return resolve_slice({*starts, *ends, axes, steps}, shape, fail);
}

template <class ConstantOf, class Fail>
Cut strided_cut(const Node& node, const Shape& shape, ConstantOf constant_of, Fail fail) {
  const StridedLists lists{integers(constant_of(1)).values, integers(constant_of(2)).values,
                           integers(constant_of(3)).values};
  return resolve_strided(lists, masks_of(node), shape, fail);
}

template <bool kStrided, class ConstantOf, class Fail>
Cut cut_of(const Node& node, const Shape& shape, ConstantOf constant_of, Fail fail) {
  if constexpr (kStrided) {
    return strided_cut(node, shape, constant_of, fail);
  } else {
    return slice_cut(node, shape, constant_of, fail);
  }
}

template <bool kStrided>
void infer(InferContext& context) {
  check_inputs(context, kStrided ? 4 : 1, kStrided ? 4 : 5);
  for (int i = 1; i < context.input_count(); ++i) context.ints(i);
  const auto fail = [&](const std::string& message) { context.fail(message); };
  const Cut cut = cut_of<kStrided>(
      context.node(), context.shape(0), [&](int i) { return context.constant(i); }, fail);
  context.results = {cut.result};
}

template <bool kStrided>
std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    const auto fail = [&](const std::string& message) { fail_node(graph, node, message); };
    const auto constant_of = [&](size_t i) { return given(inputs, i); };
    const Cut cut = cut_of<kStrided>(node, x.shape, constant_of, fail);
    Ints strides = strides_of(x.shape);
    int64_t offset = 0;
    for (size_t axis = 0; axis < strides.size(); ++axis) {
      offset += cut.starts[axis] * strides[axis];
      strides[axis] *= cut.steps[axis];
    }
    auto y = view(x, cut.counts, offset, strides);
    y.shape = cut.result;
    return y;
  });
}

template <bool kStrided>
void lower(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const auto constant_of = [&](int i) {
    return i < static_cast<int>(context.node().inputs.size()) ? context.constant(i) : nullptr;
  };
  const auto fail = [&](const std::string& message) { context.fail(message); };
  const Shape shape = context.type(x).shape;
  Cut cut = cut_of<kStrided>(context.node(), shape, constant_of, fail);
  if (cut.counts.elements() == 0) context.fail(fmt::format("it selects nothing of {}", to_string(shape)));
  bool keeps_order = cut.counts == shape;
  for (size_t axis = 0; axis < cut.steps.size(); ++axis) {
    if (cut.counts[static_cast<int>(axis)] == 1) cut.steps[axis] = 1;  // a single element has no step
    keeps_order = keeps_order && cut.steps[axis] == 1;
  }
  finish(context, keeps_order ? x : context.emit(SliceStep{x, cut.starts, cut.steps, cut.counts}));
}

void become_slice(InferContext& context, Ints starts, Ints ends, Ints axes, Ints steps) {
  Node& node = context.node();
  node.op = "Slice";
  node.attributes = {
      {"starts", std::move(starts)}, {"ends", std::move(ends)}, {"axes", std::move(axes)}, {"steps", std::move(steps)}};
  infer<false>(context);
}

// infer_part: one of `parts` parts along an axis, which are equal but for the last, that may be smaller.
void infer_part(InferContext& context) {
  check_inputs(context, 1, 1);
  const Shape& shape = context.shape(0);
  const Node& node = context.node();
  const int64_t axis = axis_of(context, node.get_int("axis", 0), shape);
  const int64_t parts = node.get_int("parts", 1), index = node.get_int("index", 0);
  const int64_t extent = shape[static_cast<int>(axis)];
  if (parts < 1 || index < 0 || index >= parts || extent < parts)
    context.fail(fmt::format("part {} of {} along axis {} of {}", index, parts, axis, to_string(shape)));
  const int64_t size = (extent + parts - 1) / parts;
  if (node.get_int("equal", 0) != 0 && extent % parts != 0)
    context.fail(fmt::format("axis {} of {} does not split into {} equal parts", axis, to_string(shape), parts));
  become_slice(context, {index * size}, {std::min(extent, (index + 1) * size)}, {axis}, {1});
}

void infer_reverse(InferContext& context) {
  check_inputs(context, 1, 2);
  Ints axes = read_list(context, "axes", 1).value_or(Ints{});
  for (int64_t& axis : axes) axis = axis_of(context, axis, context.shape(0));
  context.node().inputs.resize(1);
  const size_t count = axes.size();
  become_slice(context, Ints(count, -1), Ints(count, std::numeric_limits<int64_t>::min()), axes, Ints(count, -1));
}

}  // namespace

constinit const OpDef kSlice{"Slice", infer<false>, evaluate<false>, same_range, lower<false>};
constinit const OpDef kPart{"Part", infer_part, nullptr, nullptr, nullptr};
constinit const OpDef kReverse{"Reverse", infer_reverse, nullptr, nullptr, nullptr};
constinit const OpDef kStridedSlice{"StridedSlice", infer<true>, evaluate<true>, same_range, lower<true>};

}  // namespace treville::ops
