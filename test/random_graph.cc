#include "test/random_graph.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "base/error.h"
#include "compile/infer_shapes.h"
#include "ops/op.h"

namespace treville::testing {
namespace {

using Ints = std::vector<int64_t>;
using Attributes = std::map<std::string, Attribute>;
using Made = std::optional<ValueId>;

constexpr int64_t kMostElements = 1500;
constexpr double kLargest = 48, kSmallest = 1.0 / 16;  // of the largest element of a value that is kept

double largest_of(const FloatTensor& x) {
  double largest = 0;
  for (float value : x.values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

bool has_zeros(const FloatTensor& x) { return std::count(x.values.begin(), x.values.end(), 0.0F) > 0; }

double smallest_of(const FloatTensor& x) { return *std::min_element(x.values.begin(), x.values.end()); }

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {
    result_.graph.name = "random_" + std::to_string(seed);
    layout_ = chance(50) ? "NHWC" : "NCHW";
  }

  RandomGraph run() {
    const int64_t inputs = 1 + std::max<int64_t>(0, below(10) - 7);
    for (int64_t i = 0; i < inputs; ++i) live_.push_back(input());
    const int64_t nodes = 3 + below(8);
    for (int64_t made = 0, tries = 0; made < nodes && tries < 200; ++tries) made += grow();
    choose_outputs();
    return std::move(result_);
  }

 private:
  // --- Numbers -------------------------------------------------------------------------------------------------------

  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  bool chance(int64_t percent) { return below(100) < percent; }
  double real(double low, double high) { return low + (high - low) * static_cast<double>(random_()) / 4294967296.0; }
  template <class T>
  T pick(std::initializer_list<T> list) {
    return list.begin()[below(static_cast<int64_t>(list.size()))];
  }
  std::string word(std::initializer_list<const char*> list) { return pick(list); }
  Ints some(size_t count, int64_t least, int64_t most) {
    Ints list(count);
    for (int64_t& number : list) number = least + below(most - least + 1);
    return list;
  }
  FloatTensor random_tensor(Shape shape, double low, double high) {
    FloatTensor x(std::move(shape));
    for (float& value : x.values) value = static_cast<float>(real(low, high));
    return x;
  }

  // --- Values --------------------------------------------------------------------------------------------------------

  Graph& graph() { return result_.graph; }
  const Shape& shape(ValueId id) { return *graph().value(id).shape; }
  int rank(ValueId id) { return shape(id).rank(); }
  int64_t extent(ValueId id, int64_t axis) { return shape(id)[static_cast<int>(axis)]; }
  const FloatTensor& value(ValueId id) { return std::get<FloatTensor>(values_.at(id)); }
  int64_t any_axis(ValueId id) { return below(rank(id)); }
  bool is_image(ValueId id) { return rank(id) >= 3 && rank(id) <= 5; }
  size_t spatial_dims(ValueId id) { return static_cast<size_t>(rank(id)) - 2; }
  int64_t channel_axis(ValueId id) { return layout_ == "NCHW" ? 1 : rank(id) - 1; }
  int64_t channels(ValueId id) { return extent(id, channel_axis(id)); }
  int64_t spatial_axis(size_t i) { return static_cast<int64_t>(i) + (layout_ == "NCHW" ? 2 : 1); }

  ValueId input() {
    Ints dims;
    switch (below(5)) {
      case 0:
        dims = {1 + below(3), 2 + below(12)};
        break;
      case 1:
        dims = {1 + below(2), 2 + below(5), 2 + below(5)};
        break;
      case 2:
        dims = {1, 2 + below(3), 2 + below(4), 2 + below(4), 2 + below(3)};
        break;
      default:
        dims = {1 + below(2), 3 + below(6), 3 + below(6), 3 + below(6)};
    }
    const std::string name = "x" + std::to_string(graph().inputs.size());
    const ValueId id = graph().add_value({name, DType::kFloat, Shape(dims), {}});
    graph().inputs.push_back(id);
    result_.inputs.push_back(first_random_input(Shape(dims)));
    values_[id] = result_.inputs.back();
    return id;
  }

  // first_random_input draws as measure_ranges does without samples.
  FloatTensor first_random_input(Shape of) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    FloatTensor x(std::move(of));
    for (float& value : x.values) value = uniform(inputs_);
    return x;
  }

  ValueId constant(Constant tensor) {
    const ValueId id = graph().add_constant("c" + std::to_string(graph().value_count()), std::move(tensor));
    values_[id] = *graph().constant(id);
    return id;
  }
  ValueId random(Shape of, double low, double high) { return constant(random_tensor(std::move(of), low, high)); }
  ValueId number(double x) { return constant(FloatTensor(Shape{}, {static_cast<float>(x)})); }
  // weight keeps magnitudes: `reads` is the number of products in a sum.
  ValueId weight(Shape of, int64_t reads) {
    const double size = real(0.5, 2) / std::sqrt(static_cast<double>(reads));
    return random(std::move(of), -size, size);
  }

  // add appends a node, or nothing when its attributes do not fit or its values would be of no use.
  Made add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    const std::string name = op + std::to_string(graph().value_count());
    const ValueId id = graph().add_node(op, name, std::move(inputs), std::move(attributes));
    if (op == "TopK")
      graph().nodes.back().outputs.push_back(graph().add_value({name + "_indices", DType::kInt, {}, {}}));
    if (evaluate(graph().nodes.back())) return id;
    graph().nodes.pop_back();
    return {};
  }

  bool evaluate(Node& node) {
    try {
      infer_node(graph(), node);
    } catch (const UserError&) {
      return false;
    }
    const int64_t elements = shape(node.outputs[0]).elements();
    if (elements < 1 || elements > kMostElements) return false;
    std::vector<const Constant*> operands;
    for (ValueId read : node.inputs) operands.push_back(&values_.at(read));
    std::vector<Constant> results = find_op(node.op)->evaluate(graph(), node, operands);
    for (size_t i = 0; i < results.size() && i < node.outputs.size(); ++i)
      values_[node.outputs[i]] = std::move(results[i]);
    const auto* made = std::get_if<FloatTensor>(&values_.at(node.outputs[0]));
    if (made == nullptr) return true;
    const double largest = largest_of(*made);
    return std::isfinite(largest) && largest <= kLargest && largest >= kSmallest &&
           std::none_of(made->values.begin(), made->values.end(), [](float x) { return std::isnan(x); });
  }

  // --- Linear layers -------------------------------------------------------------------------------------------------

  // window gives what convolutions and pools share.
  Attributes window(ValueId x, const Ints& kernel) {
    const size_t dims = kernel.size();
    Attributes attributes = {{"layout", layout_}, {"strides", some(dims, 1, 2)}};
    if (chance(30)) attributes["dilations"] = some(dims, 1, 2);
    if (chance(30)) {
      attributes["auto_pad"] = word({"valid", "same_upper", "same_lower"});
      return attributes;
    }
    Ints pads(2 * dims);
    for (size_t i = 0; i < 2 * dims; ++i)
      pads[i] = below(std::min(kernel[i % dims], extent(x, spatial_axis(i % dims))));
    attributes["pads"] = pads;
    return attributes;
  }

  Ints kernel_for(ValueId x) {
    Ints kernel = some(spatial_dims(x), 1, 3);
    for (size_t i = 0; i < kernel.size(); ++i) kernel[i] = std::min(kernel[i], extent(x, spatial_axis(i)));
    return kernel;
  }

  int64_t common_groups(ValueId x) {
    const int64_t c = channels(x);
    return chance(50) ? 1 : chance(50) ? c : c % 2 == 0 ? 2 : 1;
  }

  Made conv(ValueId x) {
    if (!is_image(x)) return {};
    const Ints kernel = kernel_for(x);
    const int64_t groups = common_groups(x), c = channels(x), out = groups * (1 + below(3));
    Attributes attributes = window(x, kernel);
    attributes["groups"] = groups;
    Ints dims = kernel;
    dims.insert(dims.end(), {c / groups, out});
    const int64_t reads = Shape(kernel).elements() * c / groups;
    std::vector<ValueId> inputs = {x, weight(Shape(dims), reads)};
    if (chance(50)) inputs.push_back(random({out}, -1, 1));
    return add("Conv", inputs, attributes);
  }

  Made conv_transpose(ValueId x) {
    if (!is_image(x)) return {};
    const Ints kernel = kernel_for(x);
    const size_t n = kernel.size();
    const int64_t groups = common_groups(x), c = channels(x), out = groups * (1 + below(2));
    Attributes attributes = {{"layout", layout_}, {"groups", groups}, {"strides", some(n, 1, 2)}};
    if (chance(20)) attributes["dilations"] = some(n, 1, 2);
    if (chance(30)) {
      attributes["auto_pad"] = word({"valid", "same_upper", "same_lower"});
    } else {
      Ints pads(2 * n);
      for (size_t i = 0; i < 2 * n; ++i) pads[i] = below(kernel[i % n]);
      attributes["pads"] = pads;
      if (chance(30)) attributes["output_padding"] = some(n, 0, 1);
    }
    Ints dims = kernel;
    dims.insert(dims.end(), {out / groups, c});
    std::vector<ValueId> inputs = {x, weight(Shape(dims), Shape(kernel).elements() * c / groups)};
    if (chance(50)) inputs.push_back(random({out}, -1, 1));
    return add("ConvTranspose", inputs, attributes);
  }

  Made dense(ValueId x) {
    if (rank(x) < 2) return {};
    const int64_t in = extent(x, rank(x) - 1), out = 1 + below(8);
    Made y;
    if (chance(80)) {
      y = add("MatMul", {x, weight({in, out}, in)});
    } else {
      const int64_t rows = extent(x, rank(x) - 2);
      y = add("MatMul", {weight({out, rows}, rows), x});
    }
    return y && chance(50) ? add("Add", {*y, random({extent(*y, rank(*y) - 1)}, -1, 1)}) : y;
  }

  Made batch_norm(ValueId x) {
    if (!is_image(x) && rank(x) != 2) return {};
    const int64_t c = rank(x) == 2 ? extent(x, 1) : channels(x);
    return add("BatchNorm", {x, random({c}, 0.5, 1.5), random({c}, -1, 1), random({c}, -1, 1), random({c}, 0.25, 2)},
               {{"epsilon", 1e-3}, {"layout", rank(x) == 2 ? std::string("NHWC") : layout_}});
  }

  Made einsum(ValueId x) {
    if (rank(x) != 3) return {};
    const int64_t i = extent(x, 2);
    return chance(70) ? add("Einsum", {x, weight({i, 2, 3}, i)}, {{"equation", std::string("bti,ihd->bhtd")}})
                      : add("Einsum", {x}, {{"equation", std::string("bti->tb")}});
  }

  // --- Elementwise ---------------------------------------------------------------------------------------------------

  Made activation(ValueId x) {
    switch (below(5)) {
      case 0:
        return add("LeakyRelu", {x}, {{"alpha", real(-0.5, 1.5)}});
      case 1:
        return clip(x);
      case 2:
        return add("PRelu", {x, random({extent(x, rank(x) - 1)}, -0.5, 1)});
      default:
        return add("Relu", {x});
    }
  }

  Made clip(ValueId x) {
    Attributes limits;
    const double low = real(-1.5, 0.5);
    if (chance(75)) limits["min"] = chance(40) ? 0.0 : low;
    if (chance(75)) limits["max"] = real(0.6, 6);
    return add("Clip", {x}, limits);
  }

  Made smooth(ValueId x) {
    const std::string op = word({"Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "Swish", "Mish", "Sin", "Cos", "Elu",
                                 "Selu", "Gelu", "HardSigmoid", "HardSwish", "Square", "Abs", "Neg", "Exp"});
    if (op == "Exp" && largest_of(value(x)) > 3) return {};
    Attributes attributes;
    if (op == "Elu") attributes["alpha"] = real(0.5, 2);
    if (op == "Gelu") attributes["approximate"] = word({"none", "tanh"});
    if (op == "HardSigmoid") attributes = {{"alpha", real(0.1, 0.5)}, {"beta", real(0.3, 0.7)}};
    return add(op, {x}, attributes);
  }

  // positive is a value of x's shape that keeps a distance from zero.
  Made positive(ValueId x) {
    const Made y = add(word({"Abs", "Square", "Softplus", "Sigmoid"}), {x});
    return y ? add("Add", {*y, number(real(0.25, 1.5))}) : y;
  }

  Made of_positive(ValueId x) {
    // What is positive by chance may be negative for other inputs, with which models of several inputs are calibrated.
    const bool is_positive = graph().inputs.size() == 1 && smallest_of(value(x)) > 0.125;
    const Made y = is_positive ? x : positive(x);
    if (!y) return {};
    const std::string op = word({"Log", "Sqrt", "Rsqrt", "Reciprocal", "Pow", "Div"});
    if (op == "Pow") return add(op, {*y}, {{"exponent", pick({-1.5, -1.0, -0.75, 0.5, 1.5, 2.0, 3.0, 4.0, 2.5})}});
    if (op == "Div") return add(op, {chance(50) ? x : random(shape(x), -1, 1), *y});
    return add(op, {*y});
  }

  // gap is a number that no element is near: the middle of the widest gap among the middle half of the values.
  double gap(const FloatTensor& x) {
    std::vector<float> sorted = x.values;
    std::sort(sorted.begin(), sorted.end());
    size_t best = sorted.size() / 4;
    for (size_t i = best; i + 1 < sorted.size() && i <= sorted.size() * 3 / 4; ++i)
      if (sorted[i + 1] - sorted[i] > sorted[best + 1] - sorted[best]) best = i;
    return best + 1 < sorted.size() ? (sorted[best] + sorted[best + 1]) / 2 : sorted[0] + 0.5;
  }

  // truth is a comparison of x's elements: with a number, with other elements, or logic of two of them.
  Made truth(ValueId x) {
    const std::string op = word({"Less", "LessEqual", "Greater", "GreaterEqual"});
    if (chance(20)) {
      const Made a = truth(x), b = truth(x);
      return a && b ? add(word({"And", "Or", "Xor"}), {*a, *b}) : a;
    }
    if (chance(15)) {
      const Made a = truth(x);
      return a ? add("Not", {*a}) : a;
    }
    if (chance(20)) {
      const Made y = same_shape(x);
      return y ? add(op, {x, *y}) : y;
    }
    const ValueId threshold = number(gap(value(x)));
    return chance(50) ? add(op, {x, threshold}) : add(op, {threshold, x});
  }

  Made choice(ValueId x) {
    if (chance(25)) return add(word({"Sign", "Floor", "Ceil", "Round"}), {x});
    const Made condition = truth(x);
    if (!condition || chance(20)) return condition;
    const Made other = chance(50) ? Made(number(real(-1, 1))) : same_shape(x);
    if (!other) return condition;
    return chance(50) ? add("Where", {*condition, x, *other}) : add("Where", {*condition, *other, x});
  }

  // --- Two operands --------------------------------------------------------------------------------------------------

  // same_shape is a secret of x's shape, or of one that broadcasts to it.
  Made same_shape(ValueId x) {
    std::vector<ValueId> found;
    for (ValueId id : live_)
      if (id != x && shape(id) == shape(x)) found.push_back(id);
    if (!found.empty() && chance(70)) return found[static_cast<size_t>(below(static_cast<int64_t>(found.size())))];
    if (chance(25)) return add("ReduceMean", {x}, {{"axes", Ints{any_axis(x)}}, {"keepdims", int64_t{1}}});
    switch (below(4)) {
      case 0:
        return add("Relu", {x});
      case 1:
        return add("Tanh", {x});
      case 2:
        return add("Mul", {x, random({extent(x, rank(x) - 1)}, -3, 3)});
      default: {
        const int64_t last = extent(x, rank(x) - 1);
        return rank(x) >= 2 ? add("MatMul", {x, weight({last, last}, last)}) : add("Sin", {x});
      }
    }
  }

  // broadcasting is a constant whose shape broadcasts to x's.
  ValueId broadcasting(ValueId x, double low, double high) {
    Ints dims = shape(x).dims();
    if (chance(60)) dims.erase(dims.begin(), dims.begin() + below(static_cast<int64_t>(dims.size()) + 1));
    for (int64_t& dim : dims)
      if (chance(40)) dim = 1;
    return random(Shape(dims), low, high);
  }

  Made with_constant(ValueId x) {
    switch (below(8)) {
      case 0:
        return add("Mul", {x, number(real(-4, 4))});
      case 1:
        return add("Sub", {broadcasting(x, -2, 2), x});
      case 2:
        return add("Div", {x, broadcasting(x, 0.5, 3)});
      case 3:
        return add(word({"Max", "Min"}), {x, broadcasting(x, -1, 1)});
      case 4:
        return add("Mul", {broadcasting(x, -2, 2), x});
      case 5:
        return add("Sub", {x, broadcasting(x, -2, 2)});
      default:
        return add("Add", {x, broadcasting(x, -2, 2)});
    }
  }

  Made with_secret(ValueId x) {
    const Made y = same_shape(x);
    if (!y) return {};
    const std::string op = word({"Add", "Add", "Add", "Sub", "Mul", "Mul", "Max", "Min", "Concat", "Concat"});
    const bool swap = chance(50);
    std::vector<ValueId> inputs = {swap ? *y : x, swap ? x : *y};
    if (op != "Concat") return add(op, inputs);
    if (shape(*y) != shape(x)) return {};
    if (chance(25)) inputs.push_back(random(shape(x), -1, 1));
    return add(op, inputs, {{"axis", any_axis(x)}});
  }

  Made secret_product(ValueId x) {
    if (rank(x) < 2) return {};
    Ints perm(static_cast<size_t>(rank(x)));
    std::iota(perm.begin(), perm.end(), 0);
    std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
    const Made other = chance(50) ? Made(x) : same_shape(x);
    if (!other || shape(*other) != shape(x)) return {};
    const Made turned = add("Transpose", {*other}, {{"perm", perm}});
    if (!turned) return {};
    return chance(50) ? add("MatMul", {x, *turned}) : add("MatMul", {*turned, x});
  }

  // --- Windows and sums ----------------------------------------------------------------------------------------------

  Made pool(ValueId x) {
    if (!is_image(x)) return {};
    const bool is_max = chance(50);
    if (is_max && chance(20)) return add("MaxPool", {x}, {{"global", int64_t{1}}, {"layout", layout_}});
    const Ints kernel = kernel_for(x);
    Attributes attributes = window(x, kernel);
    attributes["kernel"] = kernel;
    if (chance(25)) attributes["ceil_mode"] = int64_t{1};
    if (!is_max && chance(40)) attributes["count_include_pad"] = int64_t{1};
    return add(is_max ? "MaxPool" : "AveragePool", {x}, attributes);
  }

  Made reduce(ValueId x) {
    Ints axes;
    for (int64_t axis = 0; axis < rank(x); ++axis)
      if (chance(40)) axes.push_back(chance(30) ? axis - rank(x) : axis);
    return add(word({"ReduceMean", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
                     "ReduceSumSquare"}),
               {x}, {{"axes", axes}, {"keepdims", below(2)}});
  }

  Made norm(ValueId x) {
    const int64_t last = extent(x, rank(x) - 1);
    switch (below(5)) {
      case 0:
        return add("LayerNorm", {x, random({last}, 0.5, 1.5), random({last}, -1, 1)},
                   {{"axis", int64_t{-1}}, {"epsilon", real(0.01, 0.1)}});
      case 1:
        return has_zeros(value(x)) ? Made() : add("L2Normalize", {x}, {{"axes", Ints{any_axis(x)}}, {"epsilon", 1e-6}});
      case 2:
        if (rank(x) != 4) return {};
        return add("LRN", {x},
                   {{"size", 1 + below(5)},
                    {"alpha", real(0.01, 1)},
                    {"beta", pick({0.5, 0.75, 1.0})},
                    {"bias", real(1, 2)},
                    {"layout", layout_}});
      default:
        break;
    }
    if (!is_image(x)) return {};
    const int64_t c = channels(x);
    const std::vector<ValueId> inputs = {x, random({c}, 0.5, 1.5), random({c}, -1, 1)};
    const Attributes attributes = {{"epsilon", real(0.01, 0.1)}, {"layout", layout_}};
    if (c % 2 != 0 || chance(50)) return add("InstanceNorm", inputs, attributes);
    Attributes grouped = attributes;
    grouped["groups"] = c % 2 == 0 ? int64_t{2} : int64_t{1};
    return add("GroupNorm", inputs, grouped);
  }

  Made softmax(ValueId x) {
    const int64_t axis = any_axis(x);
    if (extent(x, axis) < 2) return {};
    return add("Softmax", {x}, {{"axis", axis - (chance(50) ? rank(x) : 0)}});
  }

  Made extremum(ValueId x) {
    const int64_t axis = any_axis(x);
    if (extent(x, axis) < 2) return {};  // nothing to compare
    return add(word({"ArgMax", "ArgMin"}), {x}, {{"axis", axis}, {"keepdims", below(2)}});
  }

  // --- Sequences -----------------------------------------------------------------------------------------------------

  Made recurrent(ValueId x) {
    if (rank(x) != 3 || extent(x, 1) > 5) return {};
    const int64_t batch = extent(x, 0), in = extent(x, 2), h = 1 + below(4);
    const std::string op = word({"Lstm", "Gru", "Rnn"});
    const int64_t gates = op == "Lstm" ? 4 : op == "Gru" ? 3 : 1;
    std::vector<ValueId> inputs = {x, weight({in, gates * h}, in), weight({h, gates * h}, h),
                                   random({gates * h}, -0.5, 0.5)};
    if (op == "Gru") inputs.push_back(random({gates * h}, -0.5, 0.5));
    if (chance(40)) inputs.push_back(random({batch, h}, -1, 1));
    if (op == "Lstm" && inputs.size() == 5 && chance(60)) inputs.push_back(random({batch, h}, -1, 1));
    if (op == "Lstm" && inputs.size() == 6 && chance(60)) inputs.push_back(random({3 * h}, -1, 1));
    Attributes attributes = {{"reverse", below(2)}, {"activation", word({"Tanh", "Tanh", "Relu", "Softsign"})}};
    if (op != "Rnn") attributes["recurrent_activation"] = word({"Sigmoid", "Sigmoid", "HardSigmoid"});
    if (op == "Gru") attributes["linear_before_reset"] = below(2);
    return add(op, inputs, attributes);
  }

  // --- Moves ---------------------------------------------------------------------------------------------------------

  // factors splits a count into random extents.
  Ints factors(int64_t count) {
    Ints dims;
    while (count > 1 && dims.size() < 3) {
      int64_t factor = 1 + below(std::min<int64_t>(count, 6));
      while (count % factor != 0) --factor;
      dims.push_back(factor);
      count /= factor;
    }
    dims.push_back(count);
    return dims;
  }

  Made reshaped(ValueId x) {
    switch (below(4)) {
      case 0:
        return add("Flatten", {x}, {{"axis", below(rank(x) + 1)}});
      case 1:
        return add("Unsqueeze", {x}, {{"axes", Ints{below(rank(x) + 1)}}});
      case 2: {
        Ints axes;
        for (int64_t axis = 0; axis < rank(x); ++axis)
          if (extent(x, axis) == 1 && chance(70)) axes.push_back(axis);
        return axes.empty() ? Made() : add("Squeeze", {x}, {{"axes", axes}});
      }
      default:
        return add("Reshape", {x}, {{"shape", factors(shape(x).elements())}});
    }
  }

  Made turned(ValueId x) {
    Ints perm(static_cast<size_t>(rank(x)));
    std::iota(perm.begin(), perm.end(), 0);
    for (size_t i = perm.size(); i > 1; --i)
      std::swap(perm[i - 1], perm[static_cast<size_t>(below(static_cast<int64_t>(i)))]);
    return add("Transpose", {x}, {{"perm", perm}});
  }

  Made part(ValueId x) {
    const int64_t axis = any_axis(x), size = extent(x, axis);
    switch (below(5)) {
      case 0:
        return add("Reverse", {x}, {{"axes", Ints{axis}}});
      case 1: {
        const int64_t parts = 1 + below(std::min<int64_t>(size, 3));
        return add("Part", {x}, {{"axis", axis}, {"parts", parts}, {"index", below(parts)}});
      }
      case 2: {
        const Ints indices = some(static_cast<size_t>(1 + below(4)), -size, size - 1);
        return add("Gather", {x, constant(IntTensor(Shape{static_cast<int64_t>(indices.size())}, indices))},
                   {{"axis", axis}});
      }
      case 3: {
        const auto one = [&](int64_t number) { return constant(IntTensor(Shape{1}, {number})); };
        const int64_t begin = below(size);
        return add("StridedSlice", {x, one(below(extent(x, 0))), one(extent(x, 0)), one(1 + begin % 2)},
                   {{"begin_mask", below(2)}, {"shrink_axis_mask", below(2)}, {"new_axis_mask", int64_t{0}}});
      }
      default: {
        const bool back = chance(30);
        const int64_t start = below(size), step = 1 + below(2);
        return add("Slice", {x},
                   {{"axes", Ints{axis}},
                    {"starts", Ints{start}},
                    {"ends", Ints{back ? -size - 1 : size - below(2)}},
                    {"steps", Ints{back ? -step : step}}});
      }
    }
  }

  Made padded(ValueId x) {
    const auto n = static_cast<size_t>(rank(x));
    const std::string mode = word({"constant", "constant", "reflect", "symmetric", "edge", "wrap"});
    Ints pads(2 * n, 0);
    for (size_t i = 0; i < 2 * n; ++i)
      if (chance(40))
        pads[i] = mode == "constant" && extent(x, static_cast<int64_t>(i % n)) > 2 ? below(4) - 1 : below(2);
    Attributes attributes = {{"pads", pads}, {"mode", mode}};
    if (mode == "constant" && chance(50)) attributes["value"] = real(-1, 1);
    return add("Pad", {x}, attributes);
  }

  Made repeated(ValueId x) {
    if (chance(60)) return add("Tile", {x}, {{"repeats", some(static_cast<size_t>(rank(x)), 1, 2)}});
    Ints dims = shape(x).dims();
    for (int64_t& dim : dims)
      if (dim == 1) dim = 1 + below(3);
    if (chance(50)) dims.insert(dims.begin(), 1 + below(2));
    return add("Expand", {x}, {{"shape", dims}});
  }

  Made resized(ValueId x) {
    if (!is_image(x)) return {};
    const std::string mode = word({"nearest", "linear", "cubic"});
    Attributes attributes = {{"mode", mode},
                             {"layout", layout_},
                             {"coordinate_mode", word({"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                                                       "align_corners", "asymmetric", "tf_half_pixel_for_nn"})},
                             {"nearest_mode", word({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})}};
    if (mode == "cubic") attributes["exclude_outside"] = below(2);
    attributes["sizes"] = some(spatial_dims(x), 1, 7);
    return add("Resize", {x}, attributes);
  }

  Made blocks(ValueId x) {
    if (rank(x) != 4) return {};
    const Attributes attributes = {{"block", int64_t{2}}, {"layout", layout_}, {"mode", word({"DCR", "CRD"})}};
    switch (below(4)) {
      case 0:
        return add("SpaceToDepth", {x}, attributes);
      case 1:
        return add("DepthToSpace", {x}, attributes);
      case 2: {
        const int64_t pad = extent(x, 1) % 2, right = extent(x, 2) % 2;
        return add("SpaceToBatch", {x}, {{"block", Ints{2, 2}}, {"pads", Ints{pad, 0, 0, right}}});
      }
      default:
        return add("BatchToSpace", {x}, {{"block", Ints{2, 1}}, {"pads", Ints{0, 0, below(2), 0}}});
    }
  }

  // --- The whole -----------------------------------------------------------------------------------------------------

  // grow adds a node, and what it needs, to a value; later values are read more often.
  int64_t grow() {
    using Make = Made (Generator::*)(ValueId);
    static constexpr std::pair<int, Make> kMakers[] = {
        {14, &Generator::conv},         {5, &Generator::conv_transpose}, {9, &Generator::dense},
        {4, &Generator::batch_norm},    {2, &Generator::einsum},         {12, &Generator::activation},
        {9, &Generator::smooth},        {5, &Generator::of_positive},    {5, &Generator::choice},
        {8, &Generator::with_constant}, {12, &Generator::with_secret},   {4, &Generator::secret_product},
        {9, &Generator::pool},          {6, &Generator::reduce},         {5, &Generator::norm},
        {3, &Generator::softmax},       {4, &Generator::recurrent},      {6, &Generator::reshaped},
        {4, &Generator::turned},        {5, &Generator::part},           {4, &Generator::padded},
        {3, &Generator::repeated},      {4, &Generator::resized},        {4, &Generator::blocks},
    };
    int total = 0;
    for (const auto& [chances, make] : kMakers) total += chances;
    int64_t left = below(total);
    size_t chosen = 0;
    while (left >= kMakers[chosen].first) left -= kMakers[chosen++].first;
    const auto count = static_cast<int64_t>(live_.size());
    const ValueId x = live_[static_cast<size_t>(std::max(below(count), std::max(below(count), below(count))))];
    if (rank(x) == 0) return 0;
    const Made made = (this->*kMakers[chosen].second)(x);
    if (!made || graph().value(*made).constant) return 0;
    live_.push_back(*made);
    return 1;
  }

  // choose_outputs takes the last value and sometimes others; what the recipient computes itself may end the model.
  void choose_outputs() {
    ValueId last = live_.back();
    std::vector<ValueId>& outputs = graph().outputs;
    if (rank(last) >= 1 && chance(30)) {
      const int64_t n = extent(last, rank(last) - 1);
      const int kind = static_cast<int>(below(3));
      const Made end = kind == 0   ? add("Softmax", {last}, {{"axis", int64_t{-1}}})
                       : kind == 1 ? extremum(last)
                                   : add("TopK", {last}, {{"k", 1 + below(n)}, {"axis", int64_t{-1}}});
      if (end) last = *end;
      if (end && kind == 2) outputs.push_back(graph().nodes.back().outputs[1]);
    }
    outputs.push_back(last);
    for (int64_t more = below(3); more > 0; --more) {
      const ValueId other = live_[static_cast<size_t>(below(static_cast<int64_t>(live_.size())))];
      const bool is_new = std::find(outputs.begin(), outputs.end(), other) == outputs.end();
      const bool is_input = std::find(graph().inputs.begin(), graph().inputs.end(), other) != graph().inputs.end();
      if (is_new && !is_input) outputs.push_back(other);
    }
    graph().remove_dead();
  }

  std::mt19937 random_, inputs_{1};
  RandomGraph result_;
  std::string layout_;
  std::map<ValueId, Constant> values_;
  std::vector<ValueId> live_;
};

}  // namespace

RandomGraph random_graph(uint32_t seed) { return Generator(seed).run(); }

}  // namespace treville::testing
