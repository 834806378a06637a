#include "import/fused_ops.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace treville::import {
namespace {

using tf_format::GraphDef;
using tf_format::NodeDef;

struct Fused {
  std::string_view op, product;
};
constexpr auto kFused = std::to_array<Fused>({{"FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"},
                                              {"_FusedConv2D", "Conv2D"},
                                              {"_FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"},
                                              {"_FusedMatMul", "MatMul"}});

// Follower is an operation behind the product; it reads `operands` more inputs of the fused node.
struct Follower {
  std::string_view name, op;
  int operands;
};
constexpr auto kFollowers = std::to_array<Follower>({{"BiasAdd", "BiasAdd", 1},
                                                     {"Elu", "Elu", 0},
                                                     {"FusedBatchNorm", "FusedBatchNorm", 4},
                                                     {"LeakyRelu", "LeakyRelu", 0},
                                                     {"Prelu", "Prelu", 1},
                                                     {"Relu", "Relu", 0},
                                                     {"Relu6", "Relu6", 0},
                                                     {"Sigmoid", "Sigmoid", 0},
                                                     {"Tanh", "Tanh", 0}});

template <class List, class Key>
auto find_row(const List& list, Key List::value_type::*key, const std::string& name) {
  const auto* found = std::find_if(list.begin(), list.end(), [&](const auto& row) { return row.*key == name; });
  return found == list.end() ? nullptr : found;
}

// followers_of is nothing when an operation is unknown or the inputs do not suffice.
std::optional<std::vector<const Follower*>> followers_of(const NodeDef& node) {
  std::vector<const Follower*> followers;
  int inputs = 2;
  const auto names = node.attr().find("fused_ops");
  if (names == node.attr().end()) return {};
  for (const std::string& name : names->second.list().s()) {
    const Follower* follower = find_row(kFollowers, &Follower::name, name);
    if (follower == nullptr) return {};
    inputs += follower->operands;
    followers.push_back(follower);
  }
  if (followers.empty() || inputs > node.input_size()) return {};
  return followers;
}

void copy_attribute(const NodeDef& from, const char* key, NodeDef& to, const char* new_key) {
  const auto found = from.attr().find(key);
  if (found != from.attr().end()) (*to.mutable_attr())[new_key].CopyFrom(found->second);
}

void set_attributes(const NodeDef& fused, NodeDef& node) {
  if (node.op() == "BiasAdd" || node.op() == "FusedBatchNorm")
    copy_attribute(fused, "data_format", node, "data_format");
  if (node.op() == "LeakyRelu") copy_attribute(fused, "leakyrelu_alpha", node, "alpha");
  if (node.op() == "FusedBatchNorm") {
    copy_attribute(fused, "epsilon", node, "epsilon");
    (*node.mutable_attr())["is_training"].set_b(false);
  }
}

class Expander {
 public:
  explicit Expander(GraphDef& graph) : graph_(graph) {
    for (const NodeDef& node : graph.node()) names_.insert(node.name());
  }

  void run() {
    const int count = graph_.node_size();
    for (int i = 0; i < count; ++i) {
      const Fused* fused = find_row(kFused, &Fused::op, graph_.node(i).op());
      if (fused == nullptr) continue;
      if (const auto followers = followers_of(graph_.node(i))) expand(i, std::string(fused->product), *followers);
    }
  }

 private:
  void expand(int i, const std::string& product, const std::vector<const Follower*>& followers) {
    const NodeDef fused = graph_.node(i);
    NodeDef first;
    first.set_name(unique_name(fused.name() + "/product"));
    first.set_op(product);
    first.add_input(fused.input(0));
    first.add_input(fused.input(1));
    first.mutable_attr()->insert(fused.attr().begin(), fused.attr().end());
    std::string last = first.name();
    graph_.add_node()->Swap(&first);
    int operand = 2;
    for (size_t k = 0; k < followers.size(); ++k) {
      const bool is_last = k + 1 == followers.size();
      NodeDef* node = is_last ? graph_.mutable_node(i) : graph_.add_node();
      node->Clear();
      node->set_name(is_last ? fused.name() : unique_name(fused.name() + "/" + std::string(followers[k]->name)));
      node->set_op(std::string(followers[k]->op));
      node->add_input(last);
      for (int more = followers[k]->operands; more > 0; --more) node->add_input(fused.input(operand++));
      set_attributes(fused, *node);
      last = node->name();
    }
  }

  std::string unique_name(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !names_.insert(name).second; ++i) name = wanted + "_" + std::to_string(i);
    return name;
  }

  GraphDef& graph_;
  std::unordered_set<std::string> names_;
};

}  // namespace

void expand_fused_ops(GraphDef& graph) { Expander(graph).run(); }

}  // namespace treville::import
