// expand_recurrent writes a Lstm, Gru or Rnn step by step in time; docs/graph.md defines the layers.
#pragma once

#include <vector>

#include "compile/graph_builder.h"

namespace treville {

bool is_recurrent(const Node& node);
// expand_recurrent gives the sequence and the final states, in the order of the node's outputs.
std::vector<ValueId> expand_recurrent(GraphBuilder& builder, const Node& node);

}  // namespace treville
