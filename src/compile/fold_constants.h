// fold_constants replaces nodes whose inputs are all known by their results, so that the sub-graphs which compute
// shapes, axes and normalised weights vanish.
#pragma once

#include "graph/graph.h"

namespace treville {

// fold_node evaluates one node whose output shapes are known, when all its inputs are constant (a Shape node needs
// only the shape of its input). Its outputs then are constants and the caller drops the node. Returns whether it did.
bool fold_node(Graph& graph, const Node& node);

// fold_constants folds every such node and removes what is dead.
void fold_constants(Graph& graph);

}  // namespace treville
