// Resize scales the spatial dimensions of an image. Every output position of an axis reads one element (nearest), two
// (linear) or four (cubic) of that axis, with weights that do not depend on the data: a gather, or a matrix product
// along the axis.
#include <algorithm>
#include <array>
#include <cmath>

#include "ops/lowering.h"
#include "ops/ops.h"
#include "ops/windows.h"

namespace treville::ops {
namespace {

constexpr auto kModes = std::to_array<std::string_view>({"nearest", "linear", "cubic"});
constexpr auto kCoordinates =
    std::to_array<std::string_view>({"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                                     "asymmetric", "tf_half_pixel_for_nn"});
constexpr auto kRoundings =
    std::to_array<std::string_view>({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});

template <size_t n>
void check_word(InferContext& context, const std::string& key, const std::array<std::string_view, n>& known) {
  const std::string value = context.node().get_string(key, std::string(known[0]));
  if (std::find(known.begin(), known.end(), value) != known.end()) return;
  context.fail(fmt::format("{} \"{}\" is not supported (supported: {})", key, value, fmt::join(known, ", ")));
}

std::vector<double> get_doubles(const Node& node, const std::string& key) {
  const auto found = node.attributes.find(key);
  return found == node.attributes.end() ? std::vector<double>{} : std::get<std::vector<double>>(found->second);
}

// spatial_of drops batch and channels, which must be as they are, from a list with a number for each dimension.
template <class Number>
std::vector<Number> spatial_of(InferContext& context, const std::vector<Number>& all, const std::vector<Number>& same) {
  const Shape& shape = context.shape(0);
  const size_t channel = is_nchw(context.node()) ? 1 : all.size() - 1;
  if (all.size() != shape.dims().size() || all[0] != same[0] || all[channel] != same[channel]) {
    context.fail(fmt::format("resizing {} along batch or channels is not supported (its sizes or scales are [{}])",
                             to_string(shape), fmt::join(all, ",")));
  }
  std::vector<Number> spatial;
  for (size_t i = 1; i < all.size(); ++i)
    if (i != channel) spatial.push_back(all[i]);
  return spatial;
}

// with_axes gives a number for each dimension of x: those given belong to the node's axes, the others are `same`.
template <class Number>
std::vector<Number> with_axes(InferContext& context, const std::vector<Number>& given, std::vector<Number> same) {
  if (!context.node().has("axes")) return given;
  const Ints axes = context.node().get_ints("axes");
  if (axes.size() != given.size())
    context.fail(fmt::format("it has {} axes, but {} sizes or scales", axes.size(), given.size()));
  for (size_t i = 0; i < axes.size(); ++i)
    same[static_cast<size_t>(axis_of(context, axes[i], context.shape(0)))] = given[i];
  return same;
}

// keep_aspect makes one scale of the sizes: the least with which nothing exceeds them, or the largest with which
// nothing falls short of them.
Ints keep_aspect(InferContext& context, const Ints& given, const std::string& policy) {
  if (policy == "stretch") return given;
  if (policy != "not_larger" && policy != "not_smaller")
    context.fail(
        fmt::format("an aspect \"{}\" is not supported (supported: stretch, not_larger, not_smaller)", policy));
  Ints axes = context.node().get_ints("axes");
  if (axes.empty())
    for (size_t i = 0; i < given.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  const Shape& shape = context.shape(0);
  if (axes.size() != given.size()) context.fail(fmt::format("it has {} axes, but {} sizes", axes.size(), given.size()));
  double scale = policy == "not_larger" ? HUGE_VAL : 0;
  for (size_t i = 0; i < given.size(); ++i) {
    const double one =
        static_cast<double>(given[i]) / static_cast<double>(shape[static_cast<int>(axis_of(context, axes[i], shape))]);
    scale = policy == "not_larger" ? std::min(scale, one) : std::max(scale, one);
  }
  Ints sizes = given;
  for (size_t i = 0; i < given.size(); ++i)
    sizes[i] = std::llround(scale * static_cast<double>(shape[static_cast<int>(axis_of(context, axes[i], shape))]));
  return sizes;
}

// resolve_operand turns an operand (integers: the result's shape, or its spatial part; floats: a scale for each
// dimension) into attributes.
void resolve_operand(InferContext& context) {
  Node& node = context.node();
  if (context.input_count() < 2) return;
  const auto dims = static_cast<size_t>(context.shape(0).rank() - 2);
  if (context.dtype(1) == DType::kInt && context.ints(1).size() == dims && !node.has("axes")) {
    node.attributes["sizes"] = context.ints(1);
  } else if (context.dtype(1) == DType::kInt) {
    const Ints given = keep_aspect(context, context.ints(1), node.get_string("aspect", "stretch"));
    const Ints& same = context.shape(0).dims();
    node.attributes["sizes"] = spatial_of(context, with_axes(context, given, same), same);
  } else {
    const Constant* held = context.constant(1);
    if (held == nullptr) context.fail("its scales are computed. Export the model with fixed shapes.");
    const std::vector<float>& all = floats(held).values;
    const std::vector<double> same(context.shape(0).dims().size(), 1);
    const std::vector<double> scales = with_axes(context, std::vector<double>(all.begin(), all.end()), same);
    node.attributes["scales"] = spatial_of(context, scales, same);
  }
  node.attributes.erase("axes");
  node.attributes.erase("aspect");
  node.inputs.resize(1);
}

void infer(InferContext& context) {
  check_inputs(context, 1, 2);
  Node& node = context.node();
  check_word(context, "mode", kModes);
  check_word(context, "coordinate_mode", kCoordinates);
  check_word(context, "nearest_mode", kRoundings);
  const ImageShape image = read_image(context);
  resolve_operand(context);
  Ints sizes = node.get_ints("sizes");
  std::vector<double> scales = get_doubles(node, "scales");
  const size_t dims = image.spatial.size();
  if (sizes.empty()) {
    for (size_t i = 0; i < std::min(dims, scales.size()); ++i)
      sizes.push_back(static_cast<int64_t>(std::floor(static_cast<double>(image.spatial[i]) * scales[i])));
  } else if (scales.empty()) {
    for (size_t i = 0; i < std::min(dims, sizes.size()); ++i)
      scales.push_back(static_cast<double>(sizes[i]) / static_cast<double>(image.spatial[i]));
  }
  const bool fits = sizes.size() == dims && scales.size() == dims &&
                    std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size >= 1; }) &&
                    std::all_of(scales.begin(), scales.end(), [](double scale) { return scale > 0; });
  if (!fits) context.fail(fmt::format("cannot resize {} to [{}]", to_string(context.shape(0)), fmt::join(sizes, ",")));
  node.attributes["sizes"] = sizes;
  node.attributes["scales"] = scales;
  context.results = {image_shape(node, {image.batch, sizes, image.channels})};
}

// --- Positions -------------------------------------------------------------------------------------------------------

// Line is one axis: how its `out` positions lie among its `in` elements.
struct Line {
  int64_t in = 1, out = 1;
  double scale = 1;
  // extent is in * scale, before it was rounded down to a number of positions: ONNX counts with that.
  double extent() const {
    const double exact = static_cast<double>(in) * scale;
    return std::abs(exact - std::nearbyint(exact)) < 1e-9 ? std::nearbyint(exact) : exact;
  }
};

std::vector<Line> lines_of(const Node& node, const Ints& spatial) {
  const Ints sizes = node.get_ints("sizes");
  const std::vector<double> scales = get_doubles(node, "scales");
  std::vector<Line> lines;
  for (size_t i = 0; i < spatial.size(); ++i) lines.push_back({spatial[i], sizes[i], scales[i]});
  return lines;
}

double position(const std::string& mode, const Line& line, int64_t o) {
  const auto x = static_cast<double>(o), in = static_cast<double>(line.in), out = static_cast<double>(line.out);
  if (mode == "asymmetric") return x / line.scale;
  if (mode == "align_corners") return line.out == 1 ? 0 : x * (in - 1) / (line.extent() - 1);
  if (mode == "tf_half_pixel_for_nn") return (x + 0.5) / line.scale;
  if (mode == "pytorch_half_pixel" && line.out == 1) return 0;
  // Symmetric: the middle of the result lies on the middle of x, also where the size was rounded.
  const double shift = mode == "half_pixel_symmetric" ? in / 2 * (1 - out / (line.scale * in)) : 0;
  return shift + (x + 0.5) / line.scale - 0.5;
}

int64_t rounded(const std::string& mode, double x) {
  if (mode == "floor") return static_cast<int64_t>(std::floor(x));
  if (mode == "ceil") return static_cast<int64_t>(std::ceil(x));
  return static_cast<int64_t>(mode == "round_prefer_ceil" ? std::floor(x + 0.5) : std::ceil(x - 0.5));
}

Ints nearest(const Node& node, const Line& line) {
  const std::string mode = node.get_string("coordinate_mode", "half_pixel");
  const std::string rounding = node.get_string("nearest_mode", "round_prefer_floor");
  Ints indices;
  for (int64_t o = 0; o < line.out; ++o)
    indices.push_back(std::clamp<int64_t>(rounded(rounding, position(mode, line, o)), 0, line.in - 1));
  return indices;
}

// cubic_weight is the kernel of Keys with coefficient a, at distance x.
double cubic_weight(double a, double x) {
  x = std::abs(x);
  if (x >= 2) return 0;
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

// weights gives the matrix [in, out] of an axis; elements beyond the border are those at the border, or left out.
FloatTensor weights(const Node& node, const Line& line) {
  const std::string mode = node.get_string("coordinate_mode", "half_pixel");
  const bool is_cubic = node.get_string("mode", "nearest") == "cubic";
  const double a = node.get_float("cubic_coefficient", -0.75);
  const bool excludes = is_cubic && node.get_int("exclude_outside", 0) != 0;
  FloatTensor matrix(Shape{line.in, line.out});
  for (int64_t o = 0; o < line.out; ++o) {
    const double at = position(mode, line, o);
    const auto first = static_cast<int64_t>(std::floor(at)) - (is_cubic ? 1 : 0);
    double total = 0;
    std::vector<std::pair<int64_t, double>> taps;
    for (int64_t i = first; i < first + (is_cubic ? 4 : 2); ++i) {
      const double distance = at - static_cast<double>(i);
      const double weight = is_cubic ? cubic_weight(a, distance) : 1 - std::abs(distance);
      if (excludes && (i < 0 || i >= line.in)) continue;
      taps.emplace_back(std::clamp<int64_t>(i, 0, line.in - 1), weight);
      total += weight;
    }
    for (const auto& [i, weight] : taps)
      matrix.values[static_cast<size_t>(i * line.out + o)] += static_cast<float>(excludes ? weight / total : weight);
  }
  return matrix;
}

// selection gives the indices of a matrix whose outputs are one element each, or nothing.
std::optional<Ints> selection(const FloatTensor& matrix) {
  const int64_t in = matrix.shape[0], out = matrix.shape[1];
  Ints indices(static_cast<size_t>(out), -1);
  for (int64_t i = 0; i < in; ++i)
    for (int64_t o = 0; o < out; ++o) {
      const float weight = matrix.values[static_cast<size_t>(i * out + o)];
      if (std::abs(weight) < 1e-6F) continue;
      if (std::abs(weight - 1) > 1e-6F || indices[static_cast<size_t>(o)] >= 0) return {};
      indices[static_cast<size_t>(o)] = i;
    }
  return indices;
}

// Along is what one axis needs: indices, or a matrix.
struct Along {
  int axis = 0;  // of a tensor with channels last
  Ints indices;
  FloatTensor matrix;
  double growth = 1;  // of a range: the largest sum of weights' magnitudes
};

// steps_of lists the axes that change, those that shrink most first.
std::vector<Along> steps_of(const Node& node, const Ints& spatial) {
  std::vector<Along> steps;
  std::vector<Line> lines = lines_of(node, spatial);
  for (size_t i = 0; i < lines.size(); ++i) {
    Along along{static_cast<int>(i) + 1, {}, {}};
    if (node.get_string("mode", "nearest") == "nearest") {
      along.indices = nearest(node, lines[i]);
    } else {
      along.matrix = weights(node, lines[i]);
      along.indices = selection(along.matrix).value_or(Ints{});
    }
    for (int64_t o = 0; o < lines[i].out && along.indices.empty(); ++o) {
      double sum = 0;
      for (int64_t k = 0; k < lines[i].in; ++k)
        sum += std::abs(along.matrix.values[static_cast<size_t>(k * lines[i].out + o)]);
      along.growth = std::max(along.growth, sum);
    }
    steps.push_back(std::move(along));
  }
  std::stable_sort(steps.begin(), steps.end(), [&](const Along& a, const Along& b) {
    const Line &x = lines[static_cast<size_t>(a.axis) - 1], &y = lines[static_cast<size_t>(b.axis) - 1];
    return x.out * y.in < y.out * x.in;
  });
  return steps;
}

// --- Meaning ---------------------------------------------------------------------------------------------------------

FloatTensor resized(const FloatTensor& x, const Along& along) {
  if (!along.indices.empty()) return take(x, along.axis, along.indices);
  const int64_t in = along.matrix.shape[0], out = along.matrix.shape[1];
  Shape shape = x.shape;
  shape[along.axis] = out;
  int64_t inner = 1;
  for (int axis = along.axis + 1; axis < shape.rank(); ++axis) inner *= shape[axis];
  FloatTensor y(shape);
  const int64_t outer = shape.elements() / (out * inner);
  for (int64_t block = 0; block < outer; ++block)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < out; ++o) {
        const float weight = along.matrix.values[static_cast<size_t>(i * out + o)];
        if (weight == 0) continue;
        const float* from = x.values.data() + (block * in + i) * inner;
        float* to = y.values.data() + (block * out + o) * inner;
        for (int64_t k = 0; k < inner; ++k) to[k] += weight * from[k];
      }
  return y;
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  FloatTensor y = to_nhwc(node, floats(inputs[0]));
  for (const Along& along : steps_of(node, image_of(node, floats(inputs[0]).shape).spatial)) y = resized(y, along);
  return one(from_nhwc(node, std::move(y)));
}

Interval range(const RangeContext& context) {
  const Shape& shape = ops::input_shape(context.graph, context.node, 0);
  double growth = 1;
  for (const Along& along : steps_of(context.node, image_of(context.node, shape).spatial)) growth *= along.growth;
  if (growth <= 1 + 1e-6) return context.inputs[0];
  const double bound = context.inputs[0].magnitude() * growth;
  return {-bound, bound};
}

// product multiplies along an axis, which goes last for that.
SlotId product(LowerContext& context, SlotId x, const Along& along) {
  const int rank = context.type(x).shape.rank();
  Ints last, back(static_cast<size_t>(rank));
  for (int axis = 0; axis < rank; ++axis)
    if (axis != along.axis) last.push_back(axis);
  last.push_back(along.axis);
  for (size_t i = 0; i < last.size(); ++i) back[static_cast<size_t>(last[i])] = static_cast<int64_t>(i);
  const double bound = context.type(x).bound;
  x = context.emit(TransposeStep{x, last}, bound);
  Shape shape = context.type(x).shape;
  const MatmulGeometry map{shape.elements() / along.matrix.shape[0], along.matrix.shape[0], along.matrix.shape[1]};
  x = context.linear(reshape(context, x, Shape{map.rows, map.inner}), map, along.matrix, nullptr);
  shape[rank - 1] = map.cols;
  x = reshape(context, x, shape);
  return context.emit(TransposeStep{x, back}, bound * along.growth);
}

void lower(LowerContext& context) {
  CHECK(!is_nchw(context.node()), "a resize is still NCHW");
  SlotId x = require_secret(context, 0);
  for (const Along& along : steps_of(context.node(), image_of(context.node(), context.input_shape(0)).spatial))
    x = along.indices.empty() ? product(context, x, along) : gathered(context, x, along.axis, along.indices);
  context.set_result(x);
}

}  // namespace

constinit const OpDef kResize{"Resize", infer, evaluate, range, lower};

}  // namespace treville::ops
