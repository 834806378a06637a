#include "ops/einsum.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/text.h"
#include "ops/common.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

using Fail = std::function<void(const std::string&)>;

// Labels of an ellipsis' axes, from the right: characters that no equation has.
char ellipsis_label(size_t from_right) { return static_cast<char>(1 + from_right); }

// expand_ellipsis replaces "..." by labels for the axes that the letters leave.
std::string expand_ellipsis(const std::string& term, size_t rank, const Fail& fail) {
  const size_t at = term.find("...");
  if (at == std::string::npos) return term;
  const size_t letters = term.size() - 3;
  if (letters > rank || rank - letters > 16)
    fail(fmt::format("\"{}\" does not label an operand of rank {}", term, rank));
  std::string labels = term.substr(0, at);
  for (size_t i = rank - letters; i-- > 0;) labels += ellipsis_label(i);
  return labels + term.substr(at + 3);
}

// implied_result: the labels of ellipses, then those that come once, in alphabetical order.
std::string implied_result(const std::vector<std::string>& operands) {
  std::map<char, int> counts;
  for (const std::string& labels : operands)
    for (char label : labels) ++counts[label];
  std::string ellipsis, once;
  for (const auto& [label, count] : counts) {
    if (label <= ellipsis_label(16)) {
      ellipsis.insert(ellipsis.begin(), label);
    } else if (count == 1) {
      once += label;
    }
  }
  return ellipsis + once;
}

void check_labels(const std::string& labels, size_t rank, const Fail& fail) {
  for (char label : labels) {
    if (std::isalpha(static_cast<unsigned char>(label)) == 0 && label > ellipsis_label(16))
      fail(fmt::format("its equation has the character '{}'", label));
  }
  if (labels.size() != rank) fail(fmt::format("{} labels for an operand of rank {}", labels.size(), rank));
}

void infer(InferContext& context) {
  check_inputs(context, 1, 2);
  std::vector<Shape> shapes;
  for (int i = 0; i < context.input_count(); ++i) shapes.push_back(context.shape(i));
  const Equation equation = parse_equation(context.node().get_string("equation", ""), shapes,
                                           [&](const std::string& message) { context.fail(message); });
  std::map<char, int64_t> extents;
  for (size_t i = 0; i < shapes.size(); ++i) {
    for (size_t axis = 0; axis < equation.operands[i].size(); ++axis) {
      const int64_t extent = shapes[i].dims()[axis];
      int64_t& known = extents.emplace(equation.operands[i][axis], extent).first->second;
      const bool is_diagonal = equation.operands[i].find(equation.operands[i][axis]) < axis;
      if (known != extent && (is_diagonal || (known != 1 && extent != 1)))
        context.fail(fmt::format("a label has extents {} and {}", known, extent));
      known = std::max(known, extent);
    }
  }
  Ints dims;
  for (char label : equation.result) dims.push_back(extents.at(label));
  context.results = {Shape(dims)};
}

// label_strides gives the strides with which an operand is read as a tensor over all labels.
Ints label_strides(const std::string& all, const std::string& own, const Shape& shape) {
  const Ints strides = strides_of(shape);
  Ints result;
  for (char label : all) {
    int64_t stride = 0;  // along a diagonal: of both axes
    for (size_t axis = 0; axis < own.size(); ++axis)
      if (own[axis] == label && shape.dims()[axis] != 1) stride += strides[axis];
    result.push_back(stride);
  }
  return result;
}

// evaluate adds the products over all labels, as the equation says; the expanded form is the fast one.
std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  std::vector<Shape> shapes;
  for (const Constant* input : inputs) shapes.push_back(floats(input).shape);
  const Equation equation = parse_equation(node.get_string("equation", ""), shapes,
                                           [&](const std::string& message) { fail_node(graph, node, message); });
  FloatTensor y(output_shape(graph, node));
  std::string all = equation.result;
  Ints dims = y.shape.dims();
  for (size_t i = 0; i < shapes.size(); ++i) {
    for (size_t axis = 0; axis < equation.operands[i].size(); ++axis) {
      const size_t at = all.find(equation.operands[i][axis]);
      if (at == std::string::npos) {
        all += equation.operands[i][axis];
        dims.push_back(shapes[i].dims()[axis]);
      } else {
        dims[at] = std::max(dims[at], shapes[i].dims()[axis]);
      }
    }
  }
  FloatTensor products((Shape(dims)));
  std::fill(products.values.begin(), products.values.end(), 1.0F);
  for (size_t i = 0; i < shapes.size(); ++i) {
    const FloatTensor& x = floats(inputs[i]);
    walk(products.shape, 0, label_strides(all, equation.operands[i], shapes[i]),
         [&](size_t to, size_t from) { products.values[to] *= x.values[from]; });
  }
  walk(products.shape, 0, label_strides(all, equation.result, y.shape),
       [&](size_t from, size_t to) { y.values[to] += products.values[from]; });
  return one(std::move(y));
}

}  // namespace

Equation parse_equation(const std::string& text, const std::vector<Shape>& shapes, const Fail& fail) {
  std::string compact;
  std::copy_if(text.begin(), text.end(), std::back_inserter(compact), [](char c) { return c != ' '; });
  const size_t arrow = compact.find("->");
  Equation equation;
  equation.operands = split(compact.substr(0, arrow), ',');
  if (equation.operands.size() != shapes.size())
    fail(
        fmt::format("its equation \"{}\" is for {} operands, found {}", text, equation.operands.size(), shapes.size()));
  size_t widest = 0;  // of the ellipses
  for (size_t i = 0; i < shapes.size(); ++i) {
    std::string& labels = equation.operands[i];
    const auto rank = static_cast<size_t>(shapes[i].rank());
    if (labels.find("...") != std::string::npos)
      widest = std::max(widest, rank + 3 - std::min(rank + 3, labels.size()));
    labels = expand_ellipsis(labels, rank, fail);
    check_labels(labels, rank, fail);
  }
  if (arrow == std::string::npos) {
    equation.result = implied_result(equation.operands);
  } else {
    const std::string result = compact.substr(arrow + 2);
    const bool has_ellipsis = result.find("...") != std::string::npos;
    equation.result = expand_ellipsis(result, has_ellipsis ? widest + result.size() - 3 : 0, fail);
    check_labels(equation.result, equation.result.size(), fail);
    for (char label : equation.result)
      if (std::count(equation.result.begin(), equation.result.end(), label) > 1)
        fail("a label comes twice in its result");
  }
  for (char label : equation.result) {
    const bool known = std::any_of(equation.operands.begin(), equation.operands.end(),
                                   [&](const std::string& labels) { return labels.find(label) != std::string::npos; });
    if (!known) fail("its result has a label that no operand has");
  }
  return equation;
}

constinit const OpDef kEinsum{"Einsum", infer, evaluate, nullptr, nullptr};

}  // namespace treville::ops
