#include "compile/expand_einsum.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "base/error.h"
#include "compile/infer_shapes.h"
#include "ops/einsum.h"

namespace treville {
namespace {

using Ints = std::vector<int64_t>;

bool has(const std::string& labels, char label) { return labels.find(label) != std::string::npos; }

// Labelled is a value whose axes have labels.
struct Labelled {
  ValueId value{};
  std::string labels;
};

class Expander {
 public:
  explicit Expander(Graph& graph) : graph_(graph) {}

  void run() {
    std::vector<Node> old = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (Node& node : old) {
      if (node.op != "Einsum") {
        graph_.nodes.push_back(std::move(node));
      } else {
        node_ = &node;
        expand();
      }
    }
  }

 private:
  const Shape& shape(ValueId value) const { return *graph_.value(value).shape; }

  ValueId add(const char* op, std::vector<ValueId> inputs, std::map<std::string, Attribute> attributes) {
    const std::string name = fmt::format("{}/{}_{}", node_->name, op, count_++);
    const ValueId id = graph_.add_node(op, name, std::move(inputs), std::move(attributes));
    graph_.nodes.back().origin = node_->origin;
    infer_node(graph_, graph_.nodes.back());
    return id;
  }

  // summed adds over the axes whose label `keeps` does not want.
  template <class Keeps>
  Labelled summed(Labelled x, Keeps keeps) {
    Ints axes;
    std::string kept;
    for (size_t axis = 0; axis < x.labels.size(); ++axis) {
      if (keeps(x.labels[axis])) {
        kept += x.labels[axis];
      } else {
        axes.push_back(static_cast<int64_t>(axis));
      }
    }
    if (axes.empty()) return x;
    return {add("ReduceSum", {x.value}, {{"axes", axes}, {"keepdims", int64_t{0}}}), kept};
  }

  // diagonal keeps one of two axes that have the same label: both become one axis, of which every (n + 1)-th is taken.
  Labelled diagonal(Labelled x) {
    for (size_t first = 0; first < x.labels.size(); ++first) {
      const size_t second = x.labels.find(x.labels[first], first + 1);
      if (second == std::string::npos) continue;
      Ints perm;
      for (size_t axis = 0; axis < x.labels.size(); ++axis)
        if (axis != first && axis != second) perm.push_back(static_cast<int64_t>(axis));
      const auto last = static_cast<int64_t>(perm.size());
      perm.insert(perm.end(), {static_cast<int64_t>(first), static_cast<int64_t>(second)});
      const char label = x.labels[first];
      ValueId y = add("Transpose", {x.value}, {{"perm", perm}});
      Ints dims = shape(y).dims();
      const int64_t n = dims.back();
      dims.pop_back();
      dims.back() = n * n;
      y = reshaped(y, dims);
      y = add("Slice", {y}, {{"starts", Ints{0}}, {"ends", Ints{n * n}}, {"axes", Ints{last}}, {"steps", Ints{n + 1}}});
      x.labels.erase(second, 1);
      x.labels.erase(first, 1);
      return diagonal({y, x.labels + label});
    }
    return x;
  }

  Labelled ordered(Labelled x, const std::string& wanted) {
    if (x.labels == wanted) return x;
    Ints perm;
    for (char label : wanted) perm.push_back(static_cast<int64_t>(x.labels.find(label)));
    return {add("Transpose", {x.value}, {{"perm", perm}}), wanted};
  }

  ValueId reshaped(ValueId x, Ints dims) {
    if (shape(x) == Shape(dims)) return x;
    return add("Reshape", {x}, {{"shape", std::move(dims)}, {"allow_zero", int64_t{1}}});
  }

  // extents of some labels of x.
  Ints extents(const Labelled& x, const std::string& labels) const {
    Ints result;
    for (char label : labels) result.push_back(shape(x.value).dims()[x.labels.find(label)]);
    return result;
  }

  // matrices gives x as a stack of matrices: batch axes, then one axis for each of two groups of labels.
  ValueId matrices(const Labelled& x, const std::string& batch, const std::string& rows, const std::string& columns) {
    const auto product = [](const Ints& list) {
      return std::accumulate(list.begin(), list.end(), int64_t{1}, std::multiplies<>());
    };
    Ints dims = extents(x, batch);
    dims.push_back(product(extents(x, rows)));
    dims.push_back(product(extents(x, columns)));
    return reshaped(ordered(x, batch + rows + columns).value, dims);
  }

  Labelled product(const Labelled& a, const Labelled& b, const std::string& result) {
    std::string batch, contracted, of_a, of_b;
    for (char label : a.labels) {
      if (!has(b.labels, label)) {
        of_a += label;
      } else {
        (has(result, label) ? batch : contracted) += label;
      }
    }
    for (char label : b.labels)
      if (!has(a.labels, label)) of_b += label;
    const ValueId left = matrices(a, batch, of_a, contracted), right = matrices(b, batch, contracted, of_b);
    const ValueId y = add("MatMul", {left, right}, {});
    Ints dims(shape(y).dims().begin(), shape(y).dims().end() - 2);
    for (const Ints& part : {extents(a, of_a), extents(b, of_b)}) dims.insert(dims.end(), part.begin(), part.end());
    return {reshaped(y, dims), batch + of_a + of_b};
  }

  void expand() {
    std::vector<Shape> shapes;
    for (ValueId input : node_->inputs) shapes.push_back(shape(input));
    const ops::Equation equation =
        ops::parse_equation(node_->get_string("equation", ""), shapes,
                            [](const std::string& message) { throw BugError("einsum: " + message); });
    const std::string& result = equation.result;
    Labelled y = diagonal({node_->inputs[0], equation.operands[0]});
    if (node_->inputs.size() == 2) {
      const Labelled other = diagonal({node_->inputs[1], equation.operands[1]});
      const std::string left = y.labels, right = other.labels;
      y = summed(y, [&](char label) { return has(right, label) || has(result, label); });
      const Labelled b = summed(other, [&](char l) { return has(left, l) || has(result, l); });
      y = product(y, b, result);
    } else {
      y = summed(y, [&](char label) { return has(result, label); });
    }
    y = ordered(y, result);
    Node last;
    last.name = node_->name;
    last.op = "Identity";
    last.origin = node_->origin;
    last.inputs = {y.value};
    last.outputs = node_->outputs;
    graph_.nodes.push_back(std::move(last));
  }

  Graph& graph_;
  const Node* node_ = nullptr;
  int count_ = 0;
};

}  // namespace

void expand_einsum(Graph& graph) { Expander(graph).run(); }

}  // namespace treville
