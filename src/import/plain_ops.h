// What the importers share about operations by name: those that are one operation of the graph without attributes, in
// whatever format, and those for which there is advice instead of support.
#pragma once

#include <optional>
#include <string_view>

#include "import/node_import.h"

namespace treville::import {

// PlainOp: a node of the model is one operation of the graph, with the same operands.
struct PlainOp {
  std::string_view name;  // in the format
  const char* op;
  size_t operands;
};

// find_plain_op is null for an operation that is not plain.
const PlainOp* find_plain_op(std::string_view name);
void import_plain(NodeImport& node, const PlainOp& plain);

// advice_for says why an operation of either format is not supported and what to do; absent when nothing is known.
std::optional<std::string_view> advice_for(std::string_view name);

// finish_power is x to the power of a constant, or a constant to the power of x.
void finish_power(NodeImport& node);
// finish_truth is 1 where input 0 is not 0: a cast to booleans.
void finish_truth(NodeImport& node);
// finish_slices splits x along an axis into parts of the given sizes, one a result; only what is read is computed. One
// size may be -1, the rest.
void finish_slices(NodeImport& node, ValueId x, int64_t axis, const Ints& sizes);
// finish_parts splits x into as many parts as there are results; `equal` forbids a smaller last part.
void finish_parts(NodeImport& node, ValueId x, int64_t axis, int64_t parts, bool equal);

}  // namespace treville::import
