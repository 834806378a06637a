#include "compile/to_nhwc.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <string_view>

#include "base/error.h"
#include "compile/uses.h"
#include "ops/softmax.h"

namespace treville {
namespace {

using Permutation = std::vector<int64_t>;  // value.dim[i] = base.dim[permutation[i]]

Permutation identity(int rank) {
  Permutation result(static_cast<size_t>(rank));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

bool is_identity(const Permutation& p) { return std::is_sorted(p.begin(), p.end()); }

// compose: transposing by `first` and then by `second`.
Permutation compose(const Permutation& first, const Permutation& second) {
  Permutation result;
  for (int64_t axis : second) result.push_back(first[static_cast<size_t>(axis)]);
  return result;
}

Permutation inverse(const Permutation& p) {
  Permutation result(p.size());
  for (size_t i = 0; i < p.size(); ++i) result[static_cast<size_t>(p[i])] = static_cast<int64_t>(i);
  return result;
}

// channels_first: the NCHW view of an NHWC tensor.
Permutation channels_first(int rank) {
  Permutation p = identity(rank);
  p.erase(p.end() - 1);
  p.insert(p.begin() + 1, rank - 1);
  return p;
}

Shape permute(const Shape& shape, const Permutation& p) {
  std::vector<int64_t> dims;
  for (int64_t axis : p) dims.push_back(shape[static_cast<int>(axis)]);
  return Shape(dims);
}

// transpose_constant moves the elements of a constant, extended to the rank of `p` by leading ones.
FloatTensor transpose_constant(const FloatTensor& x, const Permutation& p) {
  std::vector<int64_t> dims(p.size() - x.shape.dims().size(), 1);
  dims.insert(dims.end(), x.shape.dims().begin(), x.shape.dims().end());
  std::vector<int64_t> strides(dims.size(), 1);
  for (size_t axis = dims.size() - 1; axis-- > 0;) strides[axis] = strides[axis + 1] * dims[axis + 1];
  FloatTensor y(permute(Shape(dims), p));
  std::vector<int64_t> index(dims.size(), 0);
  for (float& value : y.values) {
    int64_t from = 0;
    for (size_t axis = 0; axis < p.size(); ++axis) from += index[axis] * strides[static_cast<size_t>(p[axis])];
    value = x.values[static_cast<size_t>(from)];
    for (size_t axis = p.size(); axis-- > 0;) {
      if (++index[axis] < y.shape[static_cast<int>(axis)]) break;
      index[axis] = 0;
    }
  }
  return y;
}

// How operations are carried, by what they do to axes.
constexpr auto kImageOps = std::to_array<std::string_view>(
    {"AveragePool", "BatchNorm", "Conv", "ConvTranspose", "DepthToSpace", "MaxPool", "Resize", "SpaceToDepth"});
constexpr auto kUnaryOps = std::to_array<std::string_view>(
    {"Acos",    "Acosh", "Asin",     "Asinh",    "Atan",       "Atanh",  "Clip",         "Cos",      "Cosh",
     "Dropout", "Elu",   "Erf",      "Exp",      "Floor",      "Gelu",   "GreaterEqual", "Identity", "LeakyRelu",
     "Log",     "Mish",  "Neg",      "Pow",      "Reciprocal", "Relu",   "Rsqrt",        "Selu",     "Sigmoid",
     "Sin",     "Sinh",  "Softplus", "Softsign", "Sqrt",       "Square", "Swish",        "Tan",      "Tanh"});
constexpr auto kBinaryOps = std::to_array<std::string_view>({"Add", "Div", "Mul", "Sub"});
constexpr auto kReductions =
    std::to_array<std::string_view>({"ArgMax", "ArgMin", "ReduceMax", "ReduceMean", "ReduceSum", "Squeeze"});

// Carrier walks the nodes once. Each value of the old graph is known as a view: a base value and the permutation
// through which the old value sees it. A node runs on the bases where it can; elsewhere its operands are transposed.
class Carrier {
 public:
  explicit Carrier(Graph& graph) : graph_(graph) {}

  void run() {
    std::vector<Node> old = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (Node& node : old) carry(std::move(node));
    for (ValueId& output : graph_.outputs) output = as_is(output);
    graph_.remove_dead();
  }

 private:
  struct View {
    ValueId base;
    Permutation permutation;
  };

  const Shape& shape(ValueId value) const { return *graph_.value(value).shape; }
  int rank(ValueId value) const { return shape(value).rank(); }
  View view(ValueId value) const {
    const auto found = views_.find(value);
    return found == views_.end() ? View{value, identity(rank(value))} : found->second;
  }

  // seen_as gives a value w such that `value` = Transpose(w, wanted).
  ValueId seen_as(ValueId value, const Permutation& wanted) {
    const View v = view(value);
    return transposed(v.base, compose(v.permutation, inverse(wanted)));
  }
  ValueId as_is(ValueId value) { return seen_as(value, identity(rank(value))); }

  ValueId transposed(ValueId base, const Permutation& p) {
    if (is_identity(p)) return base;
    const auto key = std::pair(base, p);
    if (const auto found = transposed_.find(key); found != transposed_.end()) return found->second;
    ValueId result;
    if (const FloatTensor* constant = float_constant(graph_, base)) {
      result = graph_.add_constant(graph_.value(base).name, transpose_constant(*constant, p));
    } else {
      const Value source = graph_.value(base);
      result = graph_.add_node("Transpose", source.name + "_transposed", {base}, {{"perm", p}}, source.dtype);
    }
    graph_.value(result).shape = permute(shape(base), p);
    graph_.value(result).declared_range = graph_.value(base).declared_range;
    return transposed_[key] = result;
  }

  // push appends the node, whose outputs the old graph sees through `p`.
  void push(Node node, const Permutation& p) {
    for (ValueId& output : node.outputs) {
      if (p.empty() || is_identity(p)) continue;
      const Value old = graph_.value(output);
      const ValueId base =
          graph_.add_value({old.name, old.dtype, permute(*old.shape, inverse(p)), {}, old.declared_range});
      views_[output] = {base, p};
      output = base;
    }
    graph_.nodes.push_back(std::move(node));
  }

  void carry_as_is(Node node) {
    for (ValueId& input : node.inputs)
      if (!graph_.constant(input)) input = as_is(input);
    push(std::move(node), {});
  }

  template <size_t n>
  static bool is_one_of(std::string_view op, const std::array<std::string_view, n>& ops) {
    return std::find(ops.begin(), ops.end(), op) != ops.end();
  }

  void carry(Node node) {
    const std::string_view op = node.op;
    if (is_one_of(op, kImageOps)) return carry_image(std::move(node));
    if (is_one_of(op, kBinaryOps)) return carry_elementwise(std::move(node));
    if (node.inputs.empty() || graph_.constant(node.inputs[0])) return carry_as_is(std::move(node));
    if (op == "Transpose") return carry_transpose(node);
    if (is_one_of(op, kUnaryOps)) return carry_unary(std::move(node));
    if (op == "Concat") return carry_concat(std::move(node));
    if (ops::is_softmax(op)) return carry_softmax(std::move(node));
    if (is_one_of(op, kReductions)) return carry_reduction(std::move(node));
    if (op == "Pad") return carry_pad(std::move(node));
    if (op == "Slice") return carry_slice(std::move(node));
    if (op == "Gather") return carry_gather(std::move(node));
    if (op == "Tile") return carry_tile(std::move(node));
    if (op == "Reshape" || op == "Flatten") return carry_reshape(std::move(node));
    carry_as_is(std::move(node));
  }

  void carry_image(Node node) {
    const bool channels_last = node.get_string("layout", "NHWC") == "NHWC";
    const Permutation p = channels_last ? identity(rank(node.inputs[0])) : channels_first(rank(node.inputs[0]));
    node.inputs[0] = seen_as(node.inputs[0], p);
    node.attributes["layout"] = std::string("NHWC");
    push(std::move(node), p);
  }

  void carry_transpose(const Node& node) {
    const View v = view(node.inputs[0]);
    Permutation reversed = identity(rank(node.inputs[0]));
    std::reverse(reversed.begin(), reversed.end());
    const Permutation p = compose(v.permutation, node.get_ints("perm", reversed));
    views_[node.outputs[0]] = {v.base, p};
  }

  void carry_unary(Node node) {
    const View v = view(node.inputs[0]);
    node.inputs[0] = v.base;
    push(std::move(node), v.permutation);
  }

  // common_view is the permutation of the first operand of full rank that has one, else the identity.
  Permutation common_view(const Node& node, int full_rank) const {
    for (ValueId input : node.inputs) {
      const View v = view(input);
      if (!graph_.constant(input) && rank(input) == full_rank && !is_identity(v.permutation)) return v.permutation;
    }
    return identity(full_rank);
  }

  void carry_elementwise(Node node) {
    const int full_rank = rank(node.outputs[0]);
    const Permutation p = common_view(node, full_rank);
    const bool fits = std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      return graph_.constant(input) ? float_constant(graph_, input) != nullptr : rank(input) == full_rank;
    });
    if (!fits || is_identity(p)) return carry_as_is(std::move(node));
    for (ValueId& input : node.inputs) {
      if (const FloatTensor* constant = float_constant(graph_, input)) {
        if (constant->values.size() == 1) continue;
        FloatTensor moved = transpose_constant(*constant, inverse(p));
        input = graph_.add_constant(graph_.value(input).name, std::move(moved));
        graph_.value(input).shape = shape_of(*graph_.constant(input));
      } else {
        input = seen_as(input, p);
      }
    }
    push(std::move(node), p);
  }

  // along gives the base's axis for an axis of the old value.
  static int64_t along(const Permutation& p, int64_t axis) {
    return p[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(p.size()) : axis)];
  }

  void carry_concat(Node node) {
    const Permutation p = common_view(node, rank(node.outputs[0]));
    for (ValueId& input : node.inputs) input = seen_as(input, p);
    node.attributes["axis"] = along(p, node.get_int("axis", 0));
    push(std::move(node), p);
  }

  // ends_as_is: the recipient sees this result in the model's layout, in which several of its axes are long.
  bool ends_as_is(const Node& node) const {
    const Shape& all = shape(node.outputs[0]);
    const bool is_output =
        std::find(graph_.outputs.begin(), graph_.outputs.end(), node.outputs[0]) != graph_.outputs.end();
    return is_output &&
           std::count_if(all.dims().begin(), all.dims().end(), [](int64_t extent) { return extent > 1; }) > 1;
  }

  // carry_softmax: one over the last axis stays there; another axis moves with the layout.
  void carry_softmax(Node node) {
    if (ends_as_is(node)) return carry_as_is(std::move(node));
    const View v = view(node.inputs[0]);
    const int last = rank(node.inputs[0]) - 1;
    if (const int64_t axis = node.get_int("axis", -1); axis == -1 || axis == last) return carry_as_is(std::move(node));
    node.inputs[0] = v.base;
    node.attributes["axis"] = along(v.permutation, node.get_int("axis", -1));
    push(std::move(node), v.permutation);
  }

  // carry_reduction: reductions and indices of extrema (axes go or become 1) and Squeeze (axes go).
  void carry_reduction(Node node) {
    const View v = view(node.inputs[0]);
    const int full_rank = rank(node.inputs[0]);
    std::vector<int64_t> axes;
    const bool has_one_axis = node.op == "ArgMax" || node.op == "ArgMin";
    if (has_one_axis) {
      axes = {node.get_int("axis", 0)};
    } else {
      const auto given = list_of(graph_, node, "axes", 1);
      if (!given && node.inputs.size() > 1) return carry_as_is(std::move(node));
      axes = given.value_or(std::vector<int64_t>{});
    }
    if (axes.empty() && node.op == "Squeeze") {
      for (int axis = 0; axis < full_rank; ++axis)
        if (shape(node.inputs[0])[axis] == 1) axes.push_back(axis);
    } else if (axes.empty()) {
      axes = identity(full_rank);
    }
    std::vector<int64_t> moved;
    for (int64_t axis : axes) moved.push_back(along(v.permutation, axis));
    Permutation p = v.permutation;
    if (rank(node.outputs[0]) != full_rank) p = without(p, moved);
    // Indices are revealed as they are: their operand is moved, not they.
    if (has_one_axis && !is_identity(p)) return carry_as_is(std::move(node));
    node.inputs = {v.base};
    std::sort(moved.begin(), moved.end());
    if (has_one_axis) {
      node.attributes["axis"] = moved[0];
    } else {
      node.attributes["axes"] = moved;
    }
    push(std::move(node), p);
  }

  // without removes base axes from a permutation and renumbers the others.
  static Permutation without(const Permutation& p, const std::vector<int64_t>& removed) {
    Permutation result;
    for (int64_t axis : p) {
      if (std::find(removed.begin(), removed.end(), axis) != removed.end()) continue;
      result.push_back(axis - std::count_if(removed.begin(), removed.end(), [&](int64_t r) { return r < axis; }));
    }
    return result;
  }

  void carry_pad(Node node) {
    const View v = view(node.inputs[0]);
    const auto pads = list_of(graph_, node, "pads", 1);
    const size_t count = v.permutation.size();
    if (!pads || pads->size() != 2 * count || node.inputs.size() > 2) return carry_as_is(std::move(node));
    std::vector<int64_t> moved(2 * count);
    for (size_t i = 0; i < count; ++i) {
      moved[static_cast<size_t>(v.permutation[i])] = (*pads)[i];
      moved[static_cast<size_t>(v.permutation[i]) + count] = (*pads)[i + count];
    }
    node.inputs = {v.base};
    node.attributes["pads"] = moved;
    push(std::move(node), v.permutation);
  }

  void carry_slice(Node node) {
    const View v = view(node.inputs[0]);
    const auto starts = list_of(graph_, node, "starts", 1);
    const auto ends = list_of(graph_, node, "ends", 2);
    auto axes = list_of(graph_, node, "axes", 3);
    const auto steps = list_of(graph_, node, "steps", 4);
    if (!starts || !ends) return carry_as_is(std::move(node));
    if (!axes || axes->empty()) axes = identity(static_cast<int>(starts->size()));
    for (int64_t& axis : *axes) axis = along(v.permutation, axis);
    node.inputs = {v.base};
    node.attributes["starts"] = *starts;
    node.attributes["ends"] = *ends;
    node.attributes["axes"] = *axes;
    if (steps) node.attributes["steps"] = *steps;
    push(std::move(node), v.permutation);
  }

  // carry_gather: a single index takes its axis away, a list of them replaces it.
  void carry_gather(Node node) {
    const View v = view(node.inputs[0]);
    const int indices = rank(node.inputs[1]);
    if (indices > 1) return carry_as_is(std::move(node));
    const int64_t axis = along(v.permutation, node.get_int("axis", 0));
    node.inputs[0] = v.base;
    node.attributes["axis"] = axis;
    push(std::move(node), indices == 1 ? v.permutation : without(v.permutation, {axis}));
  }

  void carry_tile(Node node) {
    const View v = view(node.inputs[0]);
    const auto repeats = list_of(graph_, node, "repeats", 1);
    if (!repeats || repeats->size() != v.permutation.size()) return carry_as_is(std::move(node));
    std::vector<int64_t> moved(repeats->size());
    for (size_t i = 0; i < moved.size(); ++i) moved[static_cast<size_t>(v.permutation[i])] = (*repeats)[i];
    node.inputs = {v.base};
    node.attributes["repeats"] = moved;
    push(std::move(node), v.permutation);
  }

  // carry_reshape: a reshape may read the base when the permutation moves only axes of extent one. What it asks for is
  // then said in full, because 0 and the axis of Flatten refer to the old order.
  void carry_reshape(Node node) {
    const View v = view(node.inputs[0]);
    Permutation moving;
    for (int64_t axis : v.permutation)
      if (shape(v.base)[static_cast<int>(axis)] != 1) moving.push_back(axis);
    if (is_identity(v.permutation) || !is_identity(moving)) return carry_as_is(std::move(node));
    node.op = "Reshape";
    node.inputs = {v.base};
    node.attributes = {{"shape", shape(node.outputs[0]).dims()}, {"allow_zero", int64_t{1}}};
    push(std::move(node), {});
  }

  Graph& graph_;
  std::map<ValueId, View> views_;
  std::map<std::pair<ValueId, Permutation>, ValueId> transposed_;
};

}  // namespace

void to_nhwc(Graph& graph) { Carrier(graph).run(); }

}  // namespace treville
