// Rows that importers of TensorFlow's formats have in common: what Slice, Pad or Split say is the same in a GraphDef
// and in TensorFlow Lite, only how their options are stored differs.
#pragma once

#include <string>

#include "import/node_import.h"

namespace treville::import {

// constant_axis reads an input that must be one constant integer.
int64_t constant_axis(const NodeImport& node, size_t i);
// constant_list reads an input that must be a constant list of integers; `what` names it in the refusal.
Ints constant_list(const NodeImport& node, size_t i, const std::string& what);

// finish_with_ints emits op(x) with attribute `key` when input 1 is constant, else op(x, input 1).
void finish_with_ints(NodeImport& node, const std::string& op, const std::string& key, Attributes attributes);

// finish_sized_slice is Slice with a begin and a size for each axis; a size of -1 means up to the end.
void finish_sized_slice(NodeImport& node);

// by_side turns paddings [rank,2], before and after of each axis, into all the befores, then all the afters.
Ints by_side(const NodeImport& node, const Ints& paddings);
// finish_pad pads with constants; an input 2 is the value.
void finish_pad(NodeImport& node);

// section_attributes of a Slice that takes [start, end) of an axis.
Attributes section_attributes(int64_t axis, int64_t start, int64_t end);

}  // namespace treville::import
