// ConvTranspose: the transposed convolution with a weight [kernel...,out/groups,in], and a bias. Input element i adds
// its multiple of the kernel at output i * stride - pad. At run time it is an ordinary convolution without zeros
// between the elements: for each residue of an output position modulo the stride (a phase) only every stride-th tap of
// the kernel meets an element, so one convolution computes all phases as channels of their own, which are then
// interleaved.
#include <algorithm>

#include "kernels/float_linear.h"
#include "ops/convolution.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

// Weight gives the extents of [kernel..., out/groups, in] by meaning.
struct WeightShape {
  Ints kernel;
  int64_t groups = 1, in = 1, out_in_group = 1;
  int64_t in_in_group() const { return in / groups; }
  int64_t out() const { return out_in_group * groups; }
  int64_t taps() const {
    int64_t count = 1;
    for (int64_t extent : kernel) count *= extent;
    return count;
  }
  // at is the position of a weight's element; `input` counts over all groups.
  size_t at(int64_t tap, int64_t out_channel, int64_t input) const {
    return static_cast<size_t>((tap * out_in_group + out_channel) * in + input);
  }
};

WeightShape weight_of(const Node& node, const Shape& weight) {
  const Ints& dims = weight.dims();
  return {Ints(dims.begin(), dims.end() - 2), node.get_int("groups", 1), dims[dims.size() - 1], dims[dims.size() - 2]};
}

// --- Shapes ----------------------------------------------------------------------------------------------------------

void check_weight(InferContext& context, const ImageShape& image) {
  const Shape& weight = context.shape(1);
  const auto rank = static_cast<int>(image.spatial.size()) + 2;
  if (weight.rank() != rank || weight.elements() == 0) {
    context.fail(
        fmt::format("expected a weight [kernel...,out/groups,in] of rank {}, found {}", rank, to_string(weight)));
  }
  const WeightShape shape = weight_of(context.node(), weight);
  check_groups(context, shape.groups, image.channels, shape.groups);
  if (shape.in != image.channels) {
    context.fail(fmt::format("input {} has {} channels, but the weight {} expects {}", to_string(context.shape(0)),
                             image.channels, to_string(weight), shape.in));
  }
}

// wanted_extents gives the spatial extents of the output that the model asks for: an attribute, or an integer operand
// with the output's whole shape, which is then dropped.
std::optional<Ints> wanted_extents(InferContext& context, size_t dims) {
  Node& node = context.node();
  std::optional<Ints> wanted;
  if (node.has("output_shape")) wanted = node.get_ints("output_shape");
  const int last = context.input_count() - 1;
  if (last >= 2 && context.dtype(last) == DType::kInt) {
    const Ints whole = context.ints(last);
    if (whole.size() != dims + 2)
      context.fail(fmt::format("the size of its output is {}, expected {} numbers", to_string(Shape(whole)), dims + 2));
    wanted = image_of(node, Shape(whole)).spatial;
    node.inputs.pop_back();
  }
  node.attributes.erase("output_shape");
  if (wanted && (wanted->size() != dims || *std::min_element(wanted->begin(), wanted->end()) < 1))
    context.fail(fmt::format("its output_shape is {}, expected {} numbers", to_string(Shape(*wanted)), dims));
  return wanted;
}

// Side is one dimension of the output: what is cut in front and behind, and added behind.
struct Side {
  int64_t before, after, more;
};

// resolve_side follows ONNX, and TensorFlow for the size of a convolution's input: what the strides would make larger
// than asked is cut on both sides, what they leave out is added behind.
Side resolve_side(int64_t natural, Side given, const std::string& auto_pad, std::optional<int64_t> wanted) {
  if (auto_pad == "valid") given.before = given.after = 0;
  if (!wanted) return given;
  if (auto_pad == "valid") {
    given.after = natural - *wanted;
  } else {
    const int64_t total = std::max<int64_t>(0, natural - *wanted);
    given.before = auto_pad == "same_upper" ? total / 2 : total - total / 2;
    given.after = natural - *wanted - given.before;
  }
  if (given.after < 0) {
    given.more -= given.after;
    given.after = 0;
  }
  return given;
}

void infer(InferContext& context) {
  check_inputs(context, 2, 4);
  Node& node = context.node();
  const ImageShape image = read_image(context);
  check_weight(context, image);
  const WeightShape weight = weight_of(node, context.shape(1));
  const size_t dims = image.spatial.size();
  const std::string auto_pad = read_auto_pad(context);
  const Ints strides = read_window_list(context, "strides", dims, 1, 1);
  const Ints dilations = read_window_list(context, "dilations", dims, 1, 1);
  Ints pads = read_window_list(context, "pads", 2 * dims, 0, 0);
  Ints more = read_window_list(context, "output_padding", dims, 0, 0);
  const std::optional<Ints> wanted = wanted_extents(context, dims);
  const bool is_same = auto_pad == "same_upper" || auto_pad == "same_lower";
  Ints out;
  for (size_t i = 0; i < dims; ++i) {
    const int64_t span = (weight.kernel[i] - 1) * dilations[i] + 1;
    const int64_t natural = (image.spatial[i] - 1) * strides[i] + span + more[i];
    std::optional<int64_t> extent = wanted ? std::optional((*wanted)[i]) : std::nullopt;
    if (!extent && is_same) extent = image.spatial[i] * strides[i];
    const Side side = resolve_side(natural, {pads[i], pads[i + dims], more[i]}, auto_pad, extent);
    out.push_back(natural - more[i] + side.more - side.before - side.after);
    if (out.back() < 1)
      context.fail(fmt::format("pads {} leave nothing of an output of extent {}", to_string(Shape(pads)), natural));
    pads[i] = side.before, pads[i + dims] = side.after, more[i] = side.more;
  }
  node.attributes["strides"] = strides;
  node.attributes["dilations"] = dilations;
  node.attributes["pads"] = pads;
  node.attributes["output_padding"] = more;
  node.attributes["auto_pad"] = std::string("explicit");
  if (node.inputs.size() > 2 && context.shape(2) != Shape{weight.out()})
    context.fail(fmt::format("expected a bias [{}], found {}", weight.out(), to_string(context.shape(2))));
  context.results = {image_shape(node, {image.batch, out, weight.out()})};
}

// --- Float meaning ---------------------------------------------------------------------------------------------------

// Extents, strides, dilations and front pads of a node whose pads are resolved, for x with channels last.
struct Geometry {
  int64_t batch = 1;
  Ints in, out, strides, dilations, before;
};

Geometry geometry_of(const Node& node, const Shape& x, const Shape& result) {
  const ImageShape from = image_of(node, x), to = image_of(node, result);
  const size_t dims = from.spatial.size();
  Ints pads = node.get_ints("pads", Ints(2 * dims, 0));
  pads.resize(dims);
  return {from.batch,
          from.spatial,
          to.spatial,
          node.get_ints("strides", Ints(dims, 1)),
          node.get_ints("dilations", Ints(dims, 1)),
          pads};
}

// coordinates unravels a position within `extents`.
Ints coordinates(int64_t position, const Ints& extents) {
  Ints result(extents.size());
  for (size_t i = extents.size(); i-- > 0; position /= extents[i]) result[i] = position % extents[i];
  return result;
}

// landing_places gives, for each input position, the output position that a tap adds to, or -1 where it is cut.
Ints landing_places(const Geometry& g, const Ints& tap) {
  int64_t count = 1;
  for (int64_t extent : g.in) count *= extent;
  Ints places(static_cast<size_t>(count));
  for (int64_t position = 0; position < count; ++position) {
    const Ints at = coordinates(position, g.in);
    int64_t place = 0;
    for (size_t i = 0; i < g.in.size(); ++i) {
      const int64_t to = at[i] * g.strides[i] + tap[i] * g.dilations[i] - g.before[i];
      place = place < 0 || to < 0 || to >= g.out[i] ? -1 : place * g.out[i] + to;
    }
    places[static_cast<size_t>(position)] = place;
  }
  return places;
}

// tap_weight is the matrix [in, out] of one tap; entries between different groups are 0.
FloatTensor tap_weight(const WeightShape& w, const FloatTensor& weight, int64_t tap) {
  FloatTensor matrix(Shape{w.in, w.out()});
  for (int64_t input = 0; input < w.in; ++input) {
    const int64_t first = input / w.in_in_group() * w.out_in_group;
    for (int64_t o = 0; o < w.out_in_group; ++o)
      matrix.values[static_cast<size_t>(input * w.out() + first + o)] = weight.values[w.at(tap, o, input)];
  }
  return matrix;
}

std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  const FloatTensor x = to_nhwc(node, floats(inputs[0]));
  const FloatTensor& weight = floats(inputs[1]);
  const WeightShape w = weight_of(node, weight.shape);
  const Geometry g = geometry_of(node, floats(inputs[0]).shape, output_shape(graph, node));
  Ints dims = g.out;
  dims.insert(dims.begin(), g.batch);
  dims.push_back(w.out());
  FloatTensor y((Shape(dims)));
  if (node.inputs.size() > 2) {
    const FloatTensor& bias = floats(inputs[2]);
    for (size_t i = 0; i < y.values.size(); ++i) y.values[i] = bias.values[i % bias.values.size()];
  }
  const int64_t rows = x.shape.elements() / w.in, out_size = y.shape.elements() / g.batch;
  for (int64_t tap = 0; tap < w.taps(); ++tap) {
    const FloatTensor part = apply_float(MatmulGeometry{rows, w.in, w.out()}, tap_weight(w, weight, tap), x);
    const Ints places = landing_places(g, coordinates(tap, w.kernel));
    const auto positions = static_cast<int64_t>(places.size());
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t place = places[static_cast<size_t>(row % positions)];
      if (place < 0) continue;
      float* to = y.values.data() + row / positions * out_size + place * w.out();
      const float* from = part.values.data() + row * w.out();
      for (int64_t o = 0; o < w.out(); ++o) to[o] += from[o];
    }
  }
  return one(from_nhwc(node, std::move(y)));
}

// range: an output is a sum over some of the taps, so every product may be missing.
Interval range(const RangeContext& context) {
  const WeightShape w = weight_of(context.node, ops::input_shape(context.graph, context.node, 1));
  const Interval x = hull(context.inputs[0], {0, 0});
  const Constant* weight = context.constant(1);
  Interval all;
  if (weight == nullptr) {
    const auto taps = static_cast<double>(w.taps() * w.in_in_group());
    all = times(times(x, context.inputs[1]), {taps, taps});
  } else {
    FloatTensor taps(Shape{w.taps() * w.in_in_group(), w.out()});
    for (int64_t tap = 0; tap < w.taps(); ++tap)
      for (int64_t input = 0; input < w.in; ++input)
        for (int64_t o = 0; o < w.out_in_group; ++o) {
          const int64_t row = tap * w.in_in_group() + input % w.in_in_group();
          const int64_t column = input / w.in_in_group() * w.out_in_group + o;
          taps.values[static_cast<size_t>(row * w.out() + column)] = floats(weight).values[w.at(tap, o, input)];
        }
    all = range_of_product(taps, x, nullptr);
  }
  return context.inputs.size() > 2 ? plus(all, context.inputs[2]) : all;
}

// --- Lowering --------------------------------------------------------------------------------------------------------

// Phase is how one dimension is computed: with q = output position + pad = a * stride + phase, tap k of phase
// (k * dilation) mod stride meets input a - (k * dilation) / stride. Block a runs over `count` values from `first`.
struct Phase {
  int64_t stride, dilation;
  int64_t reach;    // the largest (k * dilation) / stride
  int64_t spacing;  // of the convolution's taps: its dilation
  int64_t first, count;
  int64_t skip;  // outputs of the first block that are cut
  int64_t taps() const { return reach / spacing + 1; }
  int64_t tap(int64_t k) const { return (reach - k * dilation / stride) / spacing; }
  int64_t phase(int64_t k) const { return k * dilation % stride; }
};

Phase phase_of(const Geometry& g, const WeightShape& w, size_t i) {
  Phase p{g.strides[i], g.dilations[i], 0, 1, 0, 0, 0};
  p.reach = (w.kernel[i] - 1) * p.dilation / p.stride;
  if (p.stride == 1) p.spacing = p.dilation;  // one phase: the taps stay as far apart as they are
  p.first = std::min(g.before[i] / p.stride, p.reach);
  p.count = (g.before[i] + g.out[i] - 1) / p.stride - p.first + 1;
  p.skip = g.before[i] - p.first * p.stride;
  return p;
}

std::vector<Phase> phases_of(const Geometry& g, const WeightShape& w) {
  std::vector<Phase> phases;
  for (size_t i = 0; i < g.in.size(); ++i) phases.push_back(phase_of(g, w, i));
  return phases;
}

WindowGeometry window_of_phases(const Geometry& g, const WeightShape& w, const std::vector<Phase>& phases) {
  WindowGeometry window;
  window.batch = g.batch, window.channels = w.in, window.in = g.in;
  for (const Phase& p : phases) {
    window.out.push_back(p.count);
    window.kernel.push_back(p.taps());
    window.strides.push_back(1);
    window.dilations.push_back(p.spacing);
    window.before.push_back(p.reach - p.first);
  }
  return window;
}

int64_t phase_count(const std::vector<Phase>& phases) {
  int64_t count = 1;
  for (const Phase& p : phases) count *= p.stride;
  return count;
}

// phase_weight is the weight [taps..., in/groups, groups * phases * out/groups] of the convolution of all phases.
FloatTensor phase_weight(const WeightShape& w, const std::vector<Phase>& phases, const FloatTensor& weight) {
  const int64_t all_phases = phase_count(phases);
  Ints dims;
  for (const Phase& p : phases) dims.push_back(p.taps());
  dims.insert(dims.end(), {w.in_in_group(), w.out() * all_phases});
  FloatTensor result((Shape(dims)));
  for (int64_t k = 0; k < w.taps(); ++k) {
    const Ints at = coordinates(k, w.kernel);
    int64_t tap = 0, phase = 0;
    for (size_t i = 0; i < phases.size(); ++i) {
      tap = tap * phases[i].taps() + phases[i].tap(at[i]);
      phase = phase * phases[i].stride + phases[i].phase(at[i]);
    }
    for (int64_t input = 0; input < w.in; ++input) {
      const int64_t group = input / w.in_in_group(), row = tap * w.in_in_group() + input % w.in_in_group();
      const int64_t column = (group * all_phases + phase) * w.out_in_group;
      for (int64_t o = 0; o < w.out_in_group; ++o)
        result.values[static_cast<size_t>(row * w.out() * all_phases + column + o)] = weight.values[w.at(k, o, input)];
    }
  }
  return result;
}

FloatTensor phase_bias(const WeightShape& w, int64_t phases, const FloatTensor& bias) {
  FloatTensor result(Shape{w.out() * phases});
  for (size_t i = 0; i < result.values.size(); ++i) {
    const int64_t channel = static_cast<int64_t>(i) % w.out_in_group;
    const int64_t group = static_cast<int64_t>(i) / (w.out_in_group * phases);
    result.values[i] = bias.values[static_cast<size_t>(group * w.out_in_group + channel)];
  }
  return result;
}

// interleaved turns [batch, blocks..., groups * phases * out/groups] into [batch, blocks * stride..., out].
SlotId interleaved(LowerContext& context, SlotId x, const Geometry& g, const WeightShape& w,
                   const std::vector<Phase>& phases) {
  const auto dims = static_cast<int64_t>(phases.size());
  const double bound = context.type(x).bound;
  Ints apart = {g.batch}, permutation = {0}, joined = {g.batch};
  for (const Phase& p : phases) apart.push_back(p.count);
  apart.push_back(w.groups);
  for (const Phase& p : phases) apart.push_back(p.stride), joined.push_back(p.count * p.stride);
  apart.push_back(w.out_in_group);
  joined.push_back(w.out());
  for (int64_t i = 0; i < dims; ++i) permutation.insert(permutation.end(), {1 + i, 2 + dims + i});
  permutation.insert(permutation.end(), {1 + dims, 2 + 2 * dims});
  x = context.emit(TransposeStep{reshape(context, x, Shape(apart)), permutation}, bound);
  return reshape(context, x, Shape(joined));
}

// cut drops what lies before and behind the output.
SlotId cut(LowerContext& context, SlotId x, const Geometry& g, const std::vector<Phase>& phases) {
  SliceStep slice{x, Ints(phases.size() + 2, 0), Ints(phases.size() + 2, 1), context.type(x).shape};
  for (size_t i = 0; i < phases.size(); ++i) {
    slice.starts[i + 1] = phases[i].skip;
    slice.shape[static_cast<int>(i) + 1] = g.out[i];
  }
  const double bound = context.type(x).bound;
  return slice.shape == context.type(x).shape ? x : context.emit(std::move(slice), bound);
}

void lower(LowerContext& context) {
  const FloatTensor *weight = float_constant(context, 1), *bias = float_constant(context, 2);
  if (weight == nullptr) context.fail("a weight that is computed from secrets is not supported");
  if (context.node().inputs.size() > 2 && bias == nullptr)
    context.fail("a computed bias is not supported. Export the model with a constant bias.");
  CHECK(!is_nchw(context.node()), "a transposed convolution is still NCHW");
  const WeightShape w = weight_of(context.node(), weight->shape);
  const Geometry g = geometry_of(context.node(), context.input_shape(0), context.output_shape());
  const std::vector<Phase> phases = phases_of(g, w);
  const FloatTensor spread = phase_weight(w, phases, *weight);
  FloatTensor spread_bias;
  if (bias) spread_bias = phase_bias(w, phase_count(phases), *bias);
  const Convolution conv{window_of_phases(g, w, phases), spread, bias ? &spread_bias : nullptr, w.groups};
  SlotId y = lower_convolution(context, conv, require_secret(context, 0));
  if (phase_count(phases) > 1) y = interleaved(context, y, g, w, phases);
  finish(context, cut(context, y, g, phases));
}

}  // namespace

constinit const OpDef kConvTranspose{"ConvTranspose", infer, evaluate, range, lower};

}  // namespace treville::ops
