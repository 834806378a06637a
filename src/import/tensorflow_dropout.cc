#include "import/tensorflow_dropout.h"

#include <algorithm>
#include <array>

namespace treville::import {
namespace {

class Matcher {
 public:
  Matcher(const tf_format::GraphDef& graph, const std::vector<std::vector<Edge>>& edges)
      : graph_(graph), edges_(edges) {}

  std::optional<Edge> dropped(size_t i) const {
    if (!is(i, {"Mul"}) || edges_[i].size() != 2) return {};
    for (size_t side : {0, 1}) {
      const auto x = scaled_input(edges_[i][side].node, edges_[i][1 - side].node);
      if (x) return x;
    }
    return {};
  }

 private:
  bool is(size_t i, std::initializer_list<std::string_view> ops) const {
    return std::find(ops.begin(), ops.end(), graph_.node(static_cast<int>(i)).op()) != ops.end();
  }
  size_t arity(size_t i) const { return edges_[i].size(); }

  // scaled_input: `mask` must be random and `scaled` a product or quotient with a number that belongs to it.
  std::optional<Edge> scaled_input(size_t scaled, size_t mask) const {
    if (arity(scaled) != 2) return {};
    const size_t factor = edges_[scaled][1].node;
    const bool old_form = is(scaled, {"RealDiv", "Div"}) && is(mask, {"Floor"}) && arity(mask) == 1 &&
                          adds_random(edges_[mask][0].node, factor);
    const bool new_form = is(scaled, {"Mul"}) && is(factor, {"Const"}) && is(mask, {"Cast"}) && arity(mask) == 1 &&
                          compares_random(edges_[mask][0].node);
    if (!old_form && !new_form) return {};
    return edges_[scaled][0];
  }

  // keep_prob + random, in either order, with the keep_prob that x is divided by.
  bool adds_random(size_t sum, size_t keep) const {
    if (!is(sum, {"Add", "AddV2"}) || arity(sum) != 2) return false;
    const size_t a = edges_[sum][0].node, b = edges_[sum][1].node;
    return (a == keep && is_random(b)) || (b == keep && is_random(a));
  }

  bool compares_random(size_t comparison) const {
    return is(comparison, {"GreaterEqual"}) && arity(comparison) == 2 && is_random(edges_[comparison][0].node) &&
           is(edges_[comparison][1].node, {"Const"});
  }

  // RandomUniform, or min + (max - min) * RandomUniform.
  bool is_random(size_t i) const {
    constexpr int kSteps = 3;
    for (int step = 0; step < kSteps; ++step) {
      if (is(i, {"RandomUniform"})) return true;
      if (!is(i, {"Add", "AddV2", "Mul"}) || arity(i) == 0) return false;
      i = edges_[i][0].node;
    }
    return false;
  }

  const tf_format::GraphDef& graph_;
  const std::vector<std::vector<Edge>>& edges_;
};

}  // namespace

std::optional<Edge> dropped_input(const tf_format::GraphDef& graph, const std::vector<std::vector<Edge>>& edges,
                                  size_t i) {
  return Matcher(graph, edges).dropped(i);
}

}  // namespace treville::import
