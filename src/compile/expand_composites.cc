#include "compile/expand_composites.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "compile/expand_recurrent.h"
#include "compile/graph_builder.h"
#include "compile/infer_shapes.h"
#include "compile/uses.h"
#include "ops/common.h"
#include "ops/normalize.h"
#include "ops/positions.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/triangles.h"

namespace treville {
namespace {

using Ints = std::vector<int64_t>;

// --- Elementwise -----------------------------------------------------------------------------------------------------

// non_negative is 1 where a >= b, else 0: the sign of their difference.
ValueId non_negative(GraphBuilder& b, ValueId difference) { return b.add("GreaterEqual", {difference, b.number(0)}); }

ValueId one_minus(GraphBuilder& b, ValueId x) { return b.add("Sub", {b.number(1), x}); }

ValueId expand_compare(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0], y = node.inputs[1];
  const auto at_least = [&](ValueId a, ValueId c) { return non_negative(b, b.add("Sub", {a, c})); };
  if (node.op == "GreaterEqual") return at_least(x, y);
  if (node.op == "LessEqual") return at_least(y, x);
  if (node.op == "Less") return one_minus(b, at_least(x, y));
  if (node.op == "Greater") return one_minus(b, at_least(y, x));
  // Equal: both differences are at least 0; one of them always is.
  return b.add("Sub", {b.add("Add", {at_least(x, y), at_least(y, x)}), b.number(1)});
}

ValueId expand_logic(GraphBuilder& b, const Node& node) {
  if (node.op == "Not") return one_minus(b, node.inputs[0]);
  const ValueId x = node.inputs[0], y = node.inputs[1];
  const ValueId both = b.add("Mul", {x, y});
  if (node.op == "And") return both;
  const ValueId sum = b.add("Add", {x, y});
  if (node.op == "Or") return b.add("Sub", {sum, both});
  return b.add("Sub", {sum, b.add("Add", {both, both})});
}

ValueId expand_where(GraphBuilder& b, const Node& node) {
  ValueId condition = node.inputs[0];
  if (const Constant* constant = b.graph().constant(condition)) {
    FloatTensor truth(shape_of(*constant));
    std::visit(
        [&](const auto& tensor) {
          for (size_t i = 0; i < truth.values.size(); ++i) truth.values[i] = tensor.values[i] != 0 ? 1.0F : 0.0F;
        },
        *constant);
    condition = b.constant(std::move(truth));
  }
  const ValueId difference = b.add("Sub", {node.inputs[1], node.inputs[2]});
  return b.add("Add", {node.inputs[2], b.add("Mul", {condition, difference})});
}

ValueId expand_extremum(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0], y = node.inputs[1];
  const ValueId above = b.add("Relu", {b.add("Sub", {x, y})});
  return node.op == "Max" ? b.add("Add", {y, above}) : b.add("Sub", {x, above});
}

ValueId expand_prelu(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const FloatTensor* slope = float_constant(b.graph(), node.inputs[1]);
  if (slope && !slope->values.empty() &&
      std::all_of(slope->values.begin(), slope->values.end(), [&](float s) { return s == slope->values[0]; }))
    return b.add("LeakyRelu", {x}, {{"alpha", static_cast<double>(slope->values[0])}});
  const ValueId above = b.add("Relu", {x});
  const ValueId below = b.add("Sub", {above, x});  // relu(-x)
  return b.add("Sub", {above, b.add("Mul", {below, node.inputs[1]})});
}

// A hard sigmoid is a clip that is scaled afterwards, so that the factor can move into the layer behind.
ValueId expand_hard(GraphBuilder& b, const Node& node) {
  const bool is_swish = node.op == "HardSwish";
  const double alpha = is_swish ? 1.0 / 6 : node.get_float("alpha", 0.2), beta = node.get_float("beta", 0.5);
  const ValueId x = node.inputs[0];
  if (alpha <= 0) {
    const ValueId line = b.add("Add", {b.add("Mul", {x, b.number(alpha)}), b.number(beta)});
    return b.add("Clip", {line}, {{"min", 0.0}, {"max", 1.0}});
  }
  ValueId y = b.add("Clip", {b.add("Add", {x, b.number(beta / alpha)})}, {{"min", 0.0}, {"max", 1 / alpha}});
  if (is_swish) y = b.add("Mul", {x, y});
  return b.add("Mul", {y, b.number(alpha)});
}

ValueId expand_pow(GraphBuilder& b, const Node& node) {
  const double exponent = node.get_float("exponent", 1);
  const ValueId x = node.inputs[0];
  if (exponent == 1) return x;
  if (exponent == 2) return b.add("Square", {x});
  if (exponent == 3) return b.add("Mul", {b.add("Square", {x}), x});
  if (exponent == 4) return b.add("Square", {b.add("Square", {x})});
  if (exponent == 0.5) return b.add("Sqrt", {x});
  if (exponent == -0.5) return b.add("Rsqrt", {x});
  if (exponent == -1) return b.add("Reciprocal", {x});
  return b.add("Pow", {x}, {{"exponent", exponent}});
}

// as_floats makes a constant of integers one of floats, and leaves what is secret.
ValueId as_floats(GraphBuilder& b, ValueId x) {
  return is_float(b.graph(), x) ? x : b.add("Cast", {x}, {{"to", std::string("float")}});
}

// x^y is e^(y log x) where the exponents are computed, or several.
ValueId expand_powers(GraphBuilder& b, const Node& node) {
  const ValueId logarithm = b.add("Log", {as_floats(b, node.inputs[0])});
  return b.add("Exp", {b.add("Mul", {logarithm, as_floats(b, node.inputs[1])})});
}

ValueId expand_rounding(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  if (node.op == "Round") {  // floor(x + 1/2), less 1 where that is odd and x lay in the middle
    const ValueId moved = b.add("Add", {x, b.number(0.5)});
    const ValueId whole = b.add("Floor", {moved});
    const ValueId in_middle = non_negative(b, b.add("Sub", {whole, moved}));
    const ValueId half = b.add("Floor", {b.add("Mul", {whole, b.number(0.5)})});
    const ValueId is_odd = b.add("Sub", {whole, b.add("Add", {half, half})});
    return b.add("Sub", {whole, b.add("Mul", {in_middle, is_odd})});
  }
  return b.add("Neg", {b.add("Floor", {b.add("Neg", {x})})});  // Ceil
}

ValueId expand_sign(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  return b.add("Sub", {non_negative(b, x), non_negative(b, b.add("Neg", {x}))});
}

ValueId expand_abs(GraphBuilder& b, const Node& node) {
  return b.add("LeakyRelu", {node.inputs[0]}, {{"alpha", -1.0}});
}

// Quotients by a root need one look-up, not two: the inverse of a root that is near 0 would be far off.
ValueId expand_div(GraphBuilder& b, const Node& node) {
  if (const Node* root = b.producer(node.inputs[1]); root != nullptr && root->op == "Sqrt")
    return b.add("Mul", {node.inputs[0], b.add("Rsqrt", {root->inputs[0]})});
  return b.add("Mul", {node.inputs[0], b.add("Reciprocal", {node.inputs[1]})});
}

ValueId expand_reciprocal(GraphBuilder& b, const Node& node) {
  return b.add("Rsqrt", {b.producer(node.inputs[0])->inputs[0]});
}

// x - y * floor(x / y); truncated: the same of the magnitudes, with the sign of x.
ValueId expand_mod(GraphBuilder& b, const Node& node) {
  const bool truncated = node.get_int("truncated", 0) != 0;
  const ValueId given = node.inputs[0];
  const ValueId x = truncated ? b.add("Abs", {given}) : given;
  const ValueId y = truncated ? b.add("Abs", {node.inputs[1]}) : node.inputs[1];
  const ValueId rest = b.add("Sub", {x, b.add("Mul", {b.add("Floor", {b.add("Div", {x, y})}), y})});
  return truncated ? b.add("Mul", {rest, b.add("Sign", {given})}) : rest;
}

// --- Moves by constant indices, triangles ----------------------------------------------------------------------------

ValueId flat(GraphBuilder& b, ValueId x) { return b.add("Reshape", {x}, {{"shape", Ints{b.shape(x).elements()}}}); }

// taken is x[positions], x a vector, in a shape.
ValueId taken(GraphBuilder& b, ValueId x, Ints positions, const Shape& shape) {
  const Shape count{static_cast<int64_t>(positions.size())};
  const ValueId indices = b.constant(IntTensor(count, std::move(positions)));
  const ValueId y = b.add("Gather", {x, indices}, {{"axis", int64_t{0}}});
  return b.add("Reshape", {y}, {{"shape", shape.dims()}});
}

ValueId expand_gather(GraphBuilder& b, const Node& node) {
  const Shape data = b.shape(node.inputs[0]), result = b.shape(node.outputs[0]);
  const IntTensor indices = *int_constant(b.graph(), node.inputs[1]);
  return taken(b, flat(b, node.inputs[0]), ops::gathered_positions(node, data, indices), result);
}

// expand_scatter joins data and updates to one vector, of which each element of the result is one. Where updates are
// combined with the data, those to one element are taken in turn: at most one for each element at a time.
ValueId expand_scatter(GraphBuilder& b, const Node& node) {
  static const std::map<std::string, const char*> kCombine = {
      {"add", "Add"}, {"mul", "Mul"}, {"max", "Max"}, {"min", "Min"}};
  const Shape shape = b.shape(node.inputs[0]);
  const Ints targets = ops::scattered_positions(node, shape, *int_constant(b.graph(), node.inputs[1]));
  const auto combine = kCombine.find(node.get_string("reduction", "none"));
  const ValueId updates = flat(b, node.inputs[2]);
  Ints itself(static_cast<size_t>(shape.elements()));
  std::iota(itself.begin(), itself.end(), static_cast<int64_t>(targets.size()));
  ValueId y = node.inputs[0];
  std::vector<bool> done(targets.size(), false);
  for (size_t left = targets.size(); left > 0;) {
    Ints positions = itself;
    std::vector<bool> is_set(itself.size(), false);
    for (size_t i = 0; i < targets.size(); ++i) {
      const auto to = static_cast<size_t>(targets[i]);
      if (done[i] || (is_set[to] && combine != kCombine.end())) continue;
      positions[to] = static_cast<int64_t>(i);
      done[i] = is_set[to] = true;
      --left;
    }
    // What gets no update is combined with what changes nothing: the data itself, 0 or 1.
    const bool is_extremum = combine != kCombine.end() && (combine->first == "max" || combine->first == "min");
    const bool keeps_data = combine == kCombine.end() || is_extremum;
    const FloatTensor nothing(Shape{1}, {combine != kCombine.end() && combine->first == "mul" ? 1.0F : 0.0F});
    if (!keeps_data)
      for (int64_t& position : positions) position = std::min(position, static_cast<int64_t>(targets.size()));
    const ValueId all =
        b.add("Concat", {updates, keeps_data ? flat(b, y) : b.constant(nothing)}, {{"axis", int64_t{0}}});
    const ValueId chosen = taken(b, all, std::move(positions), shape);
    y = combine == kCombine.end() ? chosen : b.add(combine->second, {y, chosen});
  }
  return y;
}

// expand_cum_sum: running sums along the last axis are a product with a triangle of ones.
ValueId expand_cum_sum(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const Shape shape = b.shape(x);
  const auto axis = *ops::normal_axis(node.get_int("axis", 0), shape.rank());
  const int64_t n = shape[static_cast<int>(axis)];
  Ints swap(shape.dims().size());
  std::iota(swap.begin(), swap.end(), int64_t{0});
  std::swap(swap[static_cast<size_t>(axis)], swap.back());
  const ValueId turned = b.add("Transpose", {x}, {{"perm", swap}});
  const ValueId rows = b.add("Reshape", {turned}, {{"shape", Ints{shape.elements() / n, n}}});
  const ValueId sums = b.add("MatMul", {rows, b.constant(ops::cumulative_matrix(node, n))});
  const ValueId back = b.add("Reshape", {sums}, {{"shape", b.shape(turned).dims()}});
  return b.add("Transpose", {back}, {{"perm", swap}});
}

ValueId expand_trilu(GraphBuilder& b, const Node& node) {
  const Shape shape = b.shape(node.inputs[0]);
  const FloatTensor mask = ops::triangle_mask(node, shape[shape.rank() - 2], shape[shape.rank() - 1]);
  return b.add("Mul", {node.inputs[0], b.constant(mask)});
}

// --- Reductions ------------------------------------------------------------------------------------------------------

Ints axes_of(const GraphBuilder& b, const Node& node) {
  const Constant* given = node.inputs.size() > 1 ? b.graph().constant(node.inputs[1]) : nullptr;
  return ops::reduced_axes(node, given, b.shape(node.inputs[0]));
}

// expand_reduction keeps the axes and drops them at the end, when the node does.
ValueId expand_reduction(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const Ints axes = axes_of(b, node);
  const int64_t keepdims = node.get_int("keepdims", 1);
  const auto sum = [&](ValueId of) { return b.add("ReduceSum", {of}, {{"axes", axes}, {"keepdims", keepdims}}); };
  if (node.op == "ReduceL1") return sum(b.add("Abs", {x}));
  if (node.op == "ReduceSumSquare") return sum(b.add("Square", {x}));
  if (node.op == "ReduceL2") return b.add("Sqrt", {sum(b.add("Square", {x}))});
  const ValueId largest = b.add("ReduceMax", {b.add("Neg", {x})}, {{"axes", axes}, {"keepdims", keepdims}});
  return b.add("Neg", {largest});  // ReduceMin
}

// expand_product multiplies the elements of a group in pairs: they become the first axis, which is halved until one is
// left.
ValueId expand_product(GraphBuilder& b, const Node& node) {
  const Shape shape = b.shape(node.inputs[0]);
  const Ints axes = axes_of(b, node);
  const int64_t count = ops::reduced_count(shape, axes);
  Ints order = axes;
  for (int64_t axis = 0; axis < shape.rank(); ++axis)
    if (!std::binary_search(axes.begin(), axes.end(), axis)) order.push_back(axis);
  ValueId y = b.add("Transpose", {node.inputs[0]}, {{"perm", order}});
  y = b.add("Reshape", {y}, {{"shape", Ints{count, shape.elements() / count}}});
  const auto part = [&](int64_t first, int64_t last) {
    return b.add("Slice", {y}, {{"starts", Ints{first}}, {"ends", Ints{last}}, {"axes", Ints{0}}, {"steps", Ints{1}}});
  };
  for (int64_t left = count; left > 1; left = (left + 1) / 2) {
    const int64_t half = left / 2;
    const ValueId pairs = b.add("Mul", {part(0, half), part(half, 2 * half)});
    y = left % 2 == 0 ? pairs : b.add("Concat", {pairs, part(left - 1, left)}, {{"axis", int64_t{0}}});
  }
  return b.add("Reshape", {y}, {{"shape", b.shape(node.outputs[0]).dims()}});
}

// --- Normalisations --------------------------------------------------------------------------------------------------

// mean over axes that stay. A divisor that is no power of two would stand behind all that follows; the small tensor of
// sums is multiplied instead.
ValueId mean(GraphBuilder& b, ValueId x, const Ints& axes) {
  const int64_t count = ops::reduced_count(b.shape(x), axes);
  const bool is_power_of_two = (count & (count - 1)) == 0;
  const ValueId sum =
      b.add(is_power_of_two ? "ReduceMean" : "ReduceSum", {x}, {{"axes", axes}, {"keepdims", int64_t{1}}});
  return is_power_of_two ? sum : b.add("Mul", {sum, b.number(1.0 / static_cast<double>(count))});
}

struct Standardized {
  ValueId average, centered, inverse;  // the mean, x - mean and 1 / sqrt(variance + epsilon)
};

Standardized standardize(GraphBuilder& b, ValueId x, const Ints& axes, double epsilon) {
  const ValueId average = mean(b, x, axes);
  const ValueId centered = b.add("Sub", {x, average});
  const ValueId variance = b.add("Add", {mean(b, b.add("Square", {centered}), axes), b.number(epsilon)});
  return {average, centered, b.add("Rsqrt", {variance})};
}

// along_axis gives a vector the shape that broadcasts it along one axis of a tensor of `rank` axes.
ValueId along_axis(GraphBuilder& b, ValueId vector, int axis, int rank) {
  Ints dims(static_cast<size_t>(rank - axis), 1);
  dims[0] = b.shape(vector).elements();
  return b.add("Reshape", {vector}, {{"shape", dims}});
}

ValueId expand_instance_norm(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const int rank = b.shape(x).rank(), axis = node.get_string("layout", "NHWC") == "NCHW" ? 1 : rank - 1;
  Ints axes;
  for (int i = 1; i < rank; ++i)
    if (i != axis) axes.push_back(i);
  const auto [average, centered, inverse] = standardize(b, x, axes, node.get_float("epsilon", 1e-5));
  const ValueId factor = b.add("Mul", {inverse, along_axis(b, node.inputs[1], axis, rank)});
  return b.add("Add", {b.add("Mul", {centered, factor}), along_axis(b, node.inputs[2], axis, rank)});
}

// one_a_channel repeats a vector that has one number for each group.
ValueId one_a_channel(GraphBuilder& b, ValueId given, int64_t groups, int64_t channels) {
  if (b.shape(given).elements() == channels) return given;
  const ValueId column = b.add("Reshape", {given}, {{"shape", Ints{groups, 1}}});
  const ValueId all = b.add("Tile", {column}, {{"repeats", Ints{1, channels / groups}}});
  return b.add("Reshape", {all}, {{"shape", Ints{channels}}});
}

ValueId expand_group_norm(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const Shape shape = b.shape(x);
  const bool channels_first = node.get_string("layout", "NHWC") == "NCHW";
  const int rank = shape.rank(), axis = channels_first ? 1 : rank - 1;
  const int64_t groups = node.get_int("groups", 1);
  const Ints split = channels_first ? Ints{shape[0], groups, -1} : Ints{shape[0], -1, groups, shape[axis] / groups};
  const ValueId grouped = b.add("Reshape", {x}, {{"shape", split}});
  const auto [average, centered, inverse] =
      standardize(b, grouped, channels_first ? Ints{2} : Ints{1, 3}, node.get_float("epsilon", 1e-5));
  const ValueId normal = b.add("Reshape", {b.add("Mul", {centered, inverse})}, {{"shape", shape.dims()}});
  const auto for_channels = [&](ValueId given) {
    return along_axis(b, one_a_channel(b, given, groups, shape[axis]), axis, rank);
  };
  return b.add("Add", {b.add("Mul", {normal, for_channels(node.inputs[1])}), for_channels(node.inputs[2])});
}

// expand_layer_norm gives the result, the mean and the inverse of the deviation.
std::vector<ValueId> expand_layer_norm(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const int rank = b.shape(x).rank();
  Ints axes;
  for (auto i = static_cast<int>(*ops::normal_axis(node.get_int("axis", -1), rank)); i < rank; ++i) axes.push_back(i);
  const auto [average, centered, inverse] = standardize(b, x, axes, node.get_float("epsilon", 1e-5));
  const ValueId scaled = b.add("Mul", {b.add("Mul", {centered, inverse}), node.inputs[1]});
  return {node.inputs.size() > 2 ? b.add("Add", {scaled, node.inputs[2]}) : scaled, average, inverse};
}

// The sums over windows of channels are a matrix product; its factor and offset make the base of the power.
ValueId expand_lrn(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const bool channels_first = node.get_string("layout", "NHWC") == "NCHW";
  const int rank = b.shape(x).rank();
  const int64_t channels = b.shape(x)[channels_first ? 1 : rank - 1];
  const auto window = ops::lrn_window(node);
  const auto slope = static_cast<float>(node.get_float("alpha", 1e-4) / static_cast<double>(node.get_int("size", 1)));
  FloatTensor band(Shape{channels, channels});  // [from, to]
  for (int64_t to = 0; to < channels; ++to)
    for (int64_t from = std::max<int64_t>(0, to - window.before); from <= std::min(channels - 1, to + window.after);
         ++from)
      band.values[static_cast<size_t>(from * channels + to)] = slope;
  ValueId squares = b.add("Square", {x});
  Ints last, back;  // channels last, and back
  for (int i = 0; i < rank; ++i) {
    last.push_back(i == 0 ? 0 : (i == rank - 1 ? 1 : i + 1));
    back.push_back(i == 0 ? 0 : (i == 1 ? rank - 1 : i - 1));
  }
  if (channels_first) squares = b.add("Transpose", {squares}, {{"perm", last}});
  ValueId base = b.add("MatMul", {squares, b.constant(std::move(band))});
  if (channels_first) base = b.add("Transpose", {base}, {{"perm", back}});
  base = b.add("Add", {base, b.number(node.get_float("bias", 1))});
  const ValueId factor = b.add("Pow", {base}, {{"exponent", -node.get_float("beta", 0.75)}});
  return b.add("Mul", {x, factor});
}

ValueId expand_l2(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const double epsilon = node.get_float("epsilon", 1e-12);
  ValueId squares = b.add("ReduceSum", {b.add("Square", {x})}, {{"axes", axes_of(b, node)}, {"keepdims", int64_t{1}}});
  // A bound below what the fixed-point numbers resolve changes nothing; a larger one is a maximum.
  constexpr double kNegligible = 1e-6;
  if (epsilon > kNegligible) squares = b.add("Clip", {squares}, {{"min", epsilon}});
  return b.add("Mul", {x, b.add("Rsqrt", {squares})});
}

// --- Softmax ---------------------------------------------------------------------------------------------------------

// e^(x - largest) / sum: the largest term is 1, so the sum lies between 1 and the number of terms. The logarithm is
// x - largest - log(sum).
ValueId expand_softmax(GraphBuilder& b, const Node& node) {
  const ValueId x = node.inputs[0];
  const int rank = b.shape(x).rank();
  const auto first = static_cast<int>(*ops::normal_axis(node.get_int("axis", -1), rank));
  Ints axes = {first};
  if (node.get_int("joint", 0) != 0)
    for (int axis = first + 1; axis < rank; ++axis) axes.push_back(axis);
  const auto count = static_cast<double>(ops::reduced_count(b.shape(x), axes));
  if (count == 1) {  // whatever x is
    FloatTensor ones(b.shape(x));
    std::fill(ones.values.begin(), ones.values.end(), 1.0F);
    return b.constant(std::move(ones));
  }
  const std::map<std::string, Attribute> over = {{"axes", axes}, {"keepdims", int64_t{1}}};
  const ValueId shifted = b.add("Sub", {x, b.add("ReduceMax", {x}, over)}, {{"at_most", 0.0}});
  const ValueId powers = b.add("Exp", {shifted});
  auto sum_attributes = over;
  constexpr double kRounding = 1.0 / 16;  // of many terms
  sum_attributes["at_least"] = 1 - kRounding;
  sum_attributes["at_most"] = count * (1 + kRounding);
  const ValueId sum = b.add("ReduceSum", {powers}, sum_attributes);
  if (node.op == "LogSoftmax") return b.add("Sub", {shifted, b.add("Log", {sum})});
  return b.add("Mul", {powers, b.add("Reciprocal", {sum})});
}

// --- The table -------------------------------------------------------------------------------------------------------

using Expansion = ValueId (*)(GraphBuilder&, const Node&);

const std::map<std::string, Expansion>& expansions() {
  static const std::map<std::string, Expansion> table = {
      {"Abs", expand_abs},
      {"And", expand_logic},
      {"Ceil", expand_rounding},
      {"CumSum", expand_cum_sum},
      {"Equal", expand_compare},
      {"GatherElements", expand_gather},
      {"GatherND", expand_gather},
      {"Greater", expand_compare},
      {"GreaterEqual", expand_compare},
      {"GroupNorm", expand_group_norm},
      {"HardSigmoid", expand_hard},
      {"HardSwish", expand_hard},
      {"InstanceNorm", expand_instance_norm},
      {"L2Normalize", expand_l2},
      {"LRN", expand_lrn},
      {"Less", expand_compare},
      {"LessEqual", expand_compare},
      {"LogSoftmax", expand_softmax},
      {"Max", expand_extremum},
      {"Min", expand_extremum},
      {"Mod", expand_mod},
      {"Not", expand_logic},
      {"Or", expand_logic},
      {"PRelu", expand_prelu},
      {"Pow", expand_pow},
      {"ReduceL1", expand_reduction},
      {"ReduceL2", expand_reduction},
      {"ReduceMin", expand_reduction},
      {"ReduceProd", expand_product},
      {"ReduceSumSquare", expand_reduction},
      {"Round", expand_rounding},
      {"ScatterElements", expand_scatter},
      {"ScatterND", expand_scatter},
      {"Sign", expand_sign},
      {"Softmax", expand_softmax},
      {"Trilu", expand_trilu},
      {"Where", expand_where},
      {"Xor", expand_logic},
  };
  return table;
}

bool is_secret(const Graph& graph, ValueId value) { return is_float(graph, value) && !graph.constant(value); }

bool is_zero(const Graph& graph, ValueId value) {
  const FloatTensor* constant = float_constant(graph, value);
  return constant && std::all_of(constant->values.begin(), constant->values.end(), [](float v) { return v == 0; });
}

// ends_model: only moves lead from the value to outputs, so that the recipient can compute the softmax on its own.
bool ends_model(const Graph& graph, ValueId value) {
  const Uses uses(graph);
  for (int hops = 0; hops < 16; ++hops) {
    const bool is_output = std::find(graph.outputs.begin(), graph.outputs.end(), value) != graph.outputs.end();
    if (is_output && uses.count(value) == 1) return true;
    if (uses.count(value) != 1 || is_output) return false;
    const auto reader = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
      return std::find(node.inputs.begin(), node.inputs.end(), value) != node.inputs.end();
    });
    static constexpr std::string_view kMoves[] = {"Reshape",   "Flatten",   "Squeeze",
                                                  "Unsqueeze", "Transpose", "Identity"};
    if (reader == graph.nodes.end()) return false;
    if (std::find(std::begin(kMoves), std::end(kMoves), reader->op) == std::end(kMoves)) return false;
    value = reader->outputs[0];
  }
  return false;
}

// left_to_recipient: a softmax whose distributions the recipient can tell apart in what is revealed: nothing moves it,
// or its axis is the only one beside the batch (softmax_last brings it to the end).
bool left_to_recipient(const Graph& graph, const Node& softmax) {
  if (softmax.get_int("joint", 0) != 0) return false;
  const ValueId result = softmax.outputs[0];
  const Shape& shape = *graph.value(result).shape;
  const auto axis = static_cast<int>(*ops::normal_axis(softmax.get_int("axis", -1), shape.rank()));
  bool is_alone = axis > 0 || shape.rank() == 1;
  for (int i = 1; i < shape.rank(); ++i) is_alone = is_alone && (i == axis || shape[i] == 1);
  if (is_alone) return ends_model(graph, result);
  const bool is_output = std::find(graph.outputs.begin(), graph.outputs.end(), result) != graph.outputs.end();
  return is_output && Uses(graph).count(result) == 1;
}

// only_ranked: an ArgMax over the same axis alone reads the softmax, which keeps the order.
bool only_ranked(const Graph& graph, const Node& softmax) {
  if (Uses(graph).count(softmax.outputs[0]) != 1 || softmax.get_int("joint", 0) != 0) return false;
  const int rank = graph.value(softmax.outputs[0]).shape->rank();
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return node.op == "ArgMax" && node.inputs[0] == softmax.outputs[0] &&
           ops::normal_axis(node.get_int("axis", 0), rank) == ops::normal_axis(softmax.get_int("axis", -1), rank);
  });
}

bool is_root(const Graph& graph, ValueId value) {
  const int producer = Uses(graph).producer(value);
  return producer >= 0 && graph.nodes[static_cast<size_t>(producer)].op == "Sqrt";
}

// has_several_results: what it becomes gives more than one value.
bool has_several_results(const Node& node) { return is_recurrent(node) || node.op == "LayerNorm"; }

ValueId operand_itself(GraphBuilder&, const Node& node) { return node.inputs[0]; }

// expansion_of is null for what stays as it is.
Expansion expansion_of(const Graph& graph, const Node& node) {
  const bool is_secret_node =
      std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) { return is_secret(graph, input); });
  if (!is_secret_node) return nullptr;
  if (node.op == "Div") return is_secret(graph, node.inputs[1]) ? expand_div : nullptr;
  if (ops::is_softmax(node.op) && only_ranked(graph, node)) return operand_itself;
  if (ops::is_softmax(node.op) && left_to_recipient(graph, node)) return nullptr;
  if (node.op == "Reciprocal") return is_root(graph, node.inputs[0]) ? expand_reciprocal : nullptr;
  if (node.op == "GreaterEqual" && is_zero(graph, node.inputs[1]) &&
      graph.value(node.inputs[0]).shape == graph.value(node.outputs[0]).shape)
    return nullptr;
  if (node.op == "Pow" && !node.has("exponent")) return expand_powers;
  if (node.op == "Pow") {
    const double exponent = node.get_float("exponent", 1);
    static constexpr double kOwn[] = {1, 2, 3, 4, 0.5, -0.5, -1};
    return std::find(std::begin(kOwn), std::end(kOwn), exponent) == std::end(kOwn) ? nullptr : expand_pow;
  }
  const auto found = expansions().find(node.op);
  return found == expansions().end() ? nullptr : found->second;
}

// expand_once expands every composite node; what they become may hold composites again.
bool expand_once(Graph& graph) {
  std::vector<Node> old = std::move(graph.nodes);
  std::vector<const Node*> kept;
  graph.nodes = old;  // questions about readers are asked of the whole graph
  std::vector<Expansion> chosen;
  std::vector<bool> several;
  for (const Node& node : old) {
    several.push_back(has_several_results(node));
    chosen.push_back(several.back() ? nullptr : expansion_of(graph, node));
  }
  graph.nodes.clear();
  bool changed = false;
  for (size_t i = 0; i < old.size(); ++i) {
    if (!several[i] && chosen[i] == nullptr) {
      graph.nodes.push_back(std::move(old[i]));
      continue;
    }
    changed = true;
    GraphBuilder builder(graph, old[i]);
    const std::vector<ValueId> results = !several[i]            ? std::vector<ValueId>{chosen[i](builder, old[i])}
                                         : is_recurrent(old[i]) ? expand_recurrent(builder, old[i])
                                                                : expand_layer_norm(builder, old[i]);
    for (size_t j = 0; j < old[i].outputs.size(); ++j) builder.finish(results[j], old[i].outputs[j]);
  }
  return changed;
}

}  // namespace

void expand_composites(Graph& graph) {
  while (expand_once(graph)) {
  }
  graph.remove_dead();
}

}  // namespace treville
