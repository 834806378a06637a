// Rows that the importers of TensorFlow's formats have in common: what Slice, Pad or Split say is the same in a
// GraphDef and in TensorFlow Lite, only how their options are stored differs.
#pragma once

#include <string>

#include "import/node_import.h"

namespace treville::import {

// producer is the node of the graph so far that computes a value, or null; it is valid until a node is added.
const Node* producer(NodeImport& node, ValueId value);

// constant_list reads an input that must be a constant list of integers; `what` names it in the refusal. constant_axis
// reads one integer.
Ints constant_list(const NodeImport& node, size_t i, const std::string& what);
int64_t constant_axis(const NodeImport& node, size_t i);

// finish_with_ints emits op(x) with attribute `key` when input 1 is constant, else op(x, input 1).
void finish_with_ints(NodeImport& node, const std::string& op, const std::string& key, Attributes attributes);

// finish_sized_slice is Slice with a begin and a size for each axis; a size of -1 means up to the end.
void finish_sized_slice(NodeImport& node);
// finish_sized_parts is SplitV: x, sizes, axis. One size may be -1, the rest.
void finish_sized_parts(NodeImport& node);
// finish_unpacked gives one result for each position of the axis.
void finish_unpacked(NodeImport& node, int64_t axis);

// finish_padded reads paddings [rank,2] from input 1, before and after of each axis; the graph has all the befores,
// then all the afters. finish_pad pads with zeros, or the number in input 2.
void finish_padded(NodeImport& node, Attributes attributes);
void finish_pad(NodeImport& node);

// The new height and width are input 1; images are NHWC.
void finish_resize_bilinear(NodeImport& node, bool align_corners, bool half_pixel_centers);
void finish_resize_nearest(NodeImport& node, bool align_corners, bool half_pixel_centers);

// Inputs are x, the block and the pads or crops. Around a convolution the pair is how TensorFlow writes dilations, and
// becomes one convolution.
void finish_space_to_batch(NodeImport& node);
void finish_batch_to_space(NodeImport& node);

}  // namespace treville::import
