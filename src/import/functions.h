// functions makes a graph whose nodes call functions of its library flat: every call becomes the nodes of the
// function's body, and a condition on a constant becomes the branch it chooses. The file is not trusted: how deep and
// how far calls unfold is bounded.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "tf_format.pb.h"

namespace treville::import {

struct FlatGraph {
  tf_format::GraphDef graph;       // without a library; only nodes that the roots depend on
  std::vector<std::string> roots;  // the same results as references into it
};

// inline_functions unfolds what `roots` ("node", "node:1", or "^node" for an order) depend on, by data and by order.
// Nodes of a body are named <call>/<node>; nodes of the graph keep their names. `graph` loses the nodes that were
// taken. Throws UserError beginning with `file` for unknown nodes and functions, and above the bounds.
FlatGraph inline_functions(tf_format::GraphDef& graph, const std::vector<std::string>& roots, const std::string& file);

// unread_nodes names the nodes that no other node reads.
std::vector<std::string> unread_nodes(const tf_format::GraphDef& graph);

// FlatNodes finds nodes of a flat graph by name and looks through aliases.
class FlatNodes {
 public:
  explicit FlatNodes(const tf_format::GraphDef& graph);
  // source is where the tensor `reference` comes from, behind Identity nodes: a node and which of its outputs. The node
  // is null when the graph does not have it.
  struct Source {
    const tf_format::NodeDef* node = nullptr;
    int output = 0;
  };
  Source source(const std::string& reference) const;

 private:
  std::unordered_map<std::string, const tf_format::NodeDef*> nodes_;
};

}  // namespace treville::import
