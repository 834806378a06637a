// What the recurrent layers' attributes mean, for their float meaning and for the pass that expands them.
#pragma once

#include <string>

#include "graph/graph.h"

namespace treville::ops {

// activation_node is the operation that an attribute names ("Sigmoid"), with its default attributes and no operands.
Node activation_node(const std::string& name);
// output_activation is the activation of a Lstm's state before the output gate.
std::string output_activation(const Node& node);

}  // namespace treville::ops
