#include "import/node_rows.h"

#include <cmath>
#include <limits>
#include <numeric>

namespace treville::import {

int64_t constant_axis(const NodeImport& node, size_t i) {
  const Ints axis = constant_list(node, i, "axis");
  if (axis.size() != 1) node.fail(fmt::format("its axis has {} elements, expected 1", axis.size()));
  return axis[0];
}

Ints constant_list(const NodeImport& node, size_t i, const std::string& what) {
  auto values = node.constant_ints(i);
  if (!values) node.refuse("its {} is computed. Export the model so that it is a constant.", what);
  return std::move(*values);
}

void finish_with_ints(NodeImport& node, const std::string& op, const std::string& key, Attributes attributes) {
  if (const auto values = node.constant_ints(1)) {
    attributes[key] = *values;
    return node.finish(op, {node.input(0)}, attributes);
  }
  node.finish(op, {node.input(0), node.input(1)}, attributes);
}

void finish_sized_slice(NodeImport& node) {
  const Ints starts = constant_list(node, 1, "begin"), sizes = constant_list(node, 2, "size");
  if (starts.size() != sizes.size()) {
    node.fail(fmt::format("it has {} begins and {} sizes", starts.size(), sizes.size()));
  }
  Ints axes(starts.size()), ends(starts.size());
  std::iota(axes.begin(), axes.end(), int64_t{0});
  for (size_t i = 0; i < ends.size(); ++i) {
    const bool in_range = starts[i] >= 0 && sizes[i] >= -1;
    if (!in_range) node.fail("a begin is negative or a size less than -1");
    const bool to_the_end = sizes[i] == -1;
    if (to_the_end || __builtin_add_overflow(starts[i], sizes[i], &ends[i])) {
      ends[i] = std::numeric_limits<int64_t>::max();
    }
  }
  node.finish("Slice", {node.input(0)},
              {{"starts", starts}, {"ends", ends}, {"axes", axes}, {"steps", Ints(axes.size(), 1)}});
}

Ints by_side(const NodeImport& node, const Ints& paddings) {
  if (paddings.size() % 2 != 0) node.fail("its paddings are not pairs");
  const size_t rank = paddings.size() / 2;
  Ints pads(paddings.size());
  for (size_t axis = 0; axis < rank; ++axis) {
    pads[axis] = paddings[2 * axis];
    pads[rank + axis] = paddings[2 * axis + 1];
  }
  return pads;
}

void finish_pad(NodeImport& node) {
  double value = 0;
  if (node.input_count() > 2) {
    const auto constant = node.constant_number(2);
    if (!constant) node.refuse("its value is computed. Export the model so that it is a constant.");
    value = *constant;
  }
  if (!std::isfinite(value)) node.refuse("a value that is not a finite number is not supported");
  Attributes attributes = {{"mode", std::string("constant")}, {"value", value}};
  if (const auto paddings = node.constant_ints(1)) {
    attributes["pads"] = by_side(node, *paddings);
    return node.finish("Pad", {node.input(0)}, attributes);
  }
  const ValueId turned = node.step("pads_by_side", "Transpose", {node.input(1)}, {{"perm", Ints{1, 0}}});
  const ValueId pads = node.step("pads", "Reshape", {turned}, {{"shape", Ints{-1}}, {"allow_zero", int64_t{1}}});
  node.finish("Pad", {node.input(0), pads}, attributes);
}

Attributes section_attributes(int64_t axis, int64_t start, int64_t end) {
  return {{"starts", Ints{start}}, {"ends", Ints{end}}, {"axes", Ints{axis}}, {"steps", Ints{1}}};
}

}  // namespace treville::import
