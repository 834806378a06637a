#include "import/node_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "import/plain_ops.h"

namespace treville::import {

const Node* producer(NodeImport& node, ValueId value) {
  const auto& nodes = node.graph().nodes;
  const auto found = std::find_if(nodes.rbegin(), nodes.rend(), [&](const Node& each) {
    return std::find(each.outputs.begin(), each.outputs.end(), value) != each.outputs.end();
  });
  return found == nodes.rend() ? nullptr : &*found;
}

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

void finish_sized_parts(NodeImport& node) {
  finish_slices(node, node.input(0), constant_axis(node, 2), constant_list(node, 1, "list of sizes"));
}

void finish_unpacked(NodeImport& node, int64_t axis) {
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!node.reads_result(i)) continue;
    const auto at = static_cast<int64_t>(i);
    const int64_t end = at + 1;
    const ValueId part =
        node.step(fmt::format("part_{}", i), "Slice", {node.input(0)},
                  {{"starts", Ints{at}}, {"ends", Ints{end}}, {"axes", Ints{axis}}, {"steps", Ints{1}}});
    node.finish_result(i, "Squeeze", {part}, {{"axes", Ints{axis}}});
  }
}

void finish_padded(NodeImport& node, Attributes attributes) {
  if (const auto paddings = node.constant_ints(1)) {
    if (paddings->size() % 2 != 0) node.fail("its paddings are not pairs");
    const size_t rank = paddings->size() / 2;
    Ints pads(paddings->size());
    for (size_t axis = 0; axis < rank; ++axis) {
      pads[axis] = (*paddings)[2 * axis];
      pads[rank + axis] = (*paddings)[2 * axis + 1];
    }
    attributes["pads"] = pads;
    return node.finish("Pad", {node.input(0)}, attributes);
  }
  const ValueId turned = node.step("pads_by_side", "Transpose", {node.input(1)}, {{"perm", Ints{1, 0}}});
  const ValueId pads = node.step("pads", "Reshape", {turned}, {{"shape", Ints{-1}}, {"allow_zero", int64_t{1}}});
  node.finish("Pad", {node.input(0), pads}, attributes);
}

void finish_pad(NodeImport& node) {
  double value = 0;
  if (node.input_count() > 2) {
    const auto constant = node.constant_number(2);
    if (!constant) node.refuse("its value is computed. Export the model so that it is a constant.");
    value = *constant;
  }
  if (!std::isfinite(value)) node.refuse("a value that is not a finite number is not supported");
  finish_padded(node, {{"mode", std::string("constant")}, {"value", value}});
}

void finish_resize_bilinear(NodeImport& node, bool align_corners, bool half_pixel_centers) {
  const char* mode = align_corners ? "align_corners" : half_pixel_centers ? "half_pixel" : "asymmetric";
  finish_with_ints(
      node, "Resize", "sizes",
      {{"mode", std::string("linear")}, {"coordinate_mode", std::string(mode)}, {"layout", std::string("NHWC")}});
}

void finish_resize_nearest(NodeImport& node, bool align_corners, bool half_pixel_centers) {
  const char* mode = align_corners ? "align_corners" : half_pixel_centers ? "tf_half_pixel_for_nn" : "asymmetric";
  finish_with_ints(node, "Resize", "sizes",
                   {{"mode", std::string("nearest")},
                    {"coordinate_mode", std::string(mode)},
                    {"nearest_mode", std::string(align_corners ? "round_prefer_ceil" : "floor")},
                    {"layout", std::string("NHWC")}});
}

namespace {

// ints_of reads a constant integer operand of a node of the graph.
std::optional<Ints> ints_of(NodeImport& node, ValueId value) {
  const Constant* held = node.graph().constant(value);
  const auto* tensor = held ? std::get_if<IntTensor>(held) : nullptr;
  return tensor ? std::optional(tensor->values) : std::nullopt;
}

// finish_dilated finds SpaceToBatch -> convolution -> BatchToSpace, as which TensorFlow writes dilated convolutions,
// and makes it one convolution: its pads are those of the first less the crops of the last.
bool finish_dilated(NodeImport& node) {
  const Node* conv = producer(node, node.input(0));
  if (conv == nullptr || conv->op != "Conv" || conv->get_string("auto_pad", "") != "valid" ||
      conv->get_string("layout", "NHWC") != "NHWC")
    return false;
  const Node* before = producer(node, conv->inputs[0]);
  if (before == nullptr || before->op != "SpaceToBatch") return false;
  const auto block = node.constant_ints(1), crops = node.constant_ints(2);
  const auto same_block = ints_of(node, before->inputs[1]), pads = ints_of(node, before->inputs[2]);
  if (!block || !crops || !pads || same_block != block || pads->size() != crops->size()) return false;
  const size_t dims = block->size();
  const bool is_plain = conv->get_ints("strides") == Ints(dims, 1) && conv->get_ints("dilations") == Ints(dims, 1);
  Ints left(2 * dims);
  for (size_t i = 0; i < 2 * dims && pads->size() == 2 * dims; ++i)
    left[i % 2 * dims + i / 2] = (*pads)[i] - (*crops)[i];
  if (!is_plain || pads->size() != 2 * dims || *std::min_element(left.begin(), left.end()) < 0) return false;
  Attributes attributes = conv->attributes;
  attributes["dilations"] = *block;
  attributes["pads"] = left;
  attributes["auto_pad"] = std::string("explicit");
  std::vector<ValueId> inputs = conv->inputs;
  inputs[0] = before->inputs[0];
  node.finish("Conv", inputs, attributes);
  return true;
}

}  // namespace

void finish_space_to_batch(NodeImport& node) {
  node.finish("SpaceToBatch", {node.input(0), node.input(1), node.input(2)});
}

void finish_batch_to_space(NodeImport& node) {
  if (!finish_dilated(node)) node.finish("BatchToSpace", {node.input(0), node.input(1), node.input(2)});
}

}  // namespace treville::import
