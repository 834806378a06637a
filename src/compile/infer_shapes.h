// infer_shapes gives every value its shape by the operations' rules, from the inputs down. Nodes whose inputs are
// all known are folded on the way, because later shapes may depend on their results.
#pragma once

#include <optional>

#include "graph/graph.h"

namespace treville {

// infer_shapes fixes a dynamic leading dimension of inputs to `batch` and infers all shapes. Throws UserError for
// other dynamic dimensions and lists all operations that are not supported at once.
void infer_shapes(Graph& graph, std::optional<int64_t> batch = {});

// infer_node infers the shapes of one node's outputs.
void infer_node(Graph& graph, Node& node);

}  // namespace treville
