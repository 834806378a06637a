// Convolutions of Keras in one, two and three dimensions, plain, separable, depthwise and transposed, and the layers
// that pad, crop and enlarge images. Weights stand in Keras as the graph wants them: [spatial..., in, out], and
// [spatial..., out, in] for transposed ones.
#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

// Window is what a convolution slides.
struct Window {
  size_t spatial;
  Ints kernel, strides, dilations;
};

Window window_of(KerasLayer& layer, size_t spatial) {
  Window window{spatial, layer.extents("kernel_size", spatial, {}), layer.extents("strides", spatial, {1}),
                layer.extents("dilation_rate", spatial, {1})};
  return window;
}

Attributes attributes_of(KerasLayer& layer, const Window& window, int64_t groups) {
  return {{"layout", layer.layout()}, {"strides", window.strides},           {"dilations", window.dilations},
          {"groups", groups},         {"auto_pad", std::string("explicit")}, {"pads", Ints(2 * window.spatial, 0)}};
}

// set_padding sets how the edges are treated; causal padding is all before the first step.
void set_padding(KerasLayer& layer, const Window& window, Attributes& attributes) {
  const std::string padding = layer.get_string("padding", "valid");
  if (padding == "valid" || padding == "same") {
    attributes["auto_pad"] = std::string(padding == "same" ? "same_upper" : "valid");
  } else if (padding == "causal" && window.spatial == 1) {
    attributes["pads"] = Ints{window.dilations[0] * (window.kernel[0] - 1), 0};
  } else {
    layer.refuse("padding \"{}\" is not supported (supported: valid, same, and causal in one dimension)", padding);
  }
}

bool use_bias(const KerasLayer& layer) { return layer.get_bool("use_bias", true); }

std::vector<std::string> weight_names(const KerasLayer& layer, std::vector<std::string> names) {
  if (use_bias(layer)) names.push_back("bias");
  return names;
}

// kernel_dims is a kernel's shape with `tail` behind the spatial dimensions.
Ints kernel_dims(const Window& window, std::initializer_list<int64_t> tail) {
  Ints dims = window.kernel;
  dims.insert(dims.end(), tail);
  return dims;
}

ValueId finish_conv(KerasLayer& layer, const std::string& op, std::vector<ValueId> inputs, Attributes attributes,
                    std::optional<ValueId> bias, int64_t channels) {
  if (bias) {
    layer.expect_shape(*bias, "bias", {channels});
    inputs.push_back(*bias);
  }
  return apply_activation_of(layer, layer.step("conv", op, std::move(inputs), std::move(attributes)));
}

template <size_t kSpatial>
ValueId import_conv(KerasLayer& layer) {
  const Window window = window_of(layer, kSpatial);
  const int64_t groups = layer.get_int("groups", 1);
  const auto weights = layer.weights(weight_names(layer, {"kernel"}));
  layer.expect_shape(weights[0], "kernel", kernel_dims(window, {-1, layer.get_int("filters", -1)}));
  Attributes attributes = attributes_of(layer, window, groups);
  set_padding(layer, window, attributes);
  const int64_t filters = layer.weight_shape(weights[0])[static_cast<int>(kSpatial) + 1];
  if (groups < 1 || filters % groups != 0)
    layer.fail(fmt::format("its {} filters are not of {} groups", filters, groups));
  return finish_conv(layer, "Conv", {layer.x(), weights[0]}, attributes,
                     use_bias(layer) ? std::optional(weights[1]) : std::nullopt, filters);
}

// Depthwise weights [spatial..., in, multiplier] become those of as many groups as inputs: output channel
// c * multiplier + m belongs to input c in both.
ValueId grouped_weight(KerasLayer& layer, ValueId weight, const Window& window, const std::string& what) {
  layer.expect_shape(weight, what, kernel_dims(window, {-1, layer.get_int("depth_multiplier", 1)}));
  return layer.step(what, "Reshape", {weight}, {{"shape", kernel_dims(window, {1, -1})}, {"allow_zero", int64_t{1}}});
}

template <size_t kSpatial>
ValueId import_depthwise(KerasLayer& layer) {
  const Window window = window_of(layer, kSpatial);
  const auto weights = layer.weights(weight_names(layer, {"depthwise_kernel"}));
  const ValueId weight = grouped_weight(layer, weights[0], window, "depthwise_kernel");
  const Shape& shape = layer.weight_shape(weights[0]);
  const int64_t in = shape[static_cast<int>(kSpatial)];
  Attributes attributes = attributes_of(layer, window, in);
  set_padding(layer, window, attributes);
  return finish_conv(layer, "Conv", {layer.x(), weight}, attributes,
                     use_bias(layer) ? std::optional(weights[1]) : std::nullopt,
                     in * layer.get_int("depth_multiplier", 1));
}

// A separable convolution is a depthwise one without bias and a 1 x 1 one.
template <size_t kSpatial>
ValueId import_separable(KerasLayer& layer) {
  const Window window = window_of(layer, kSpatial);
  const auto weights = layer.weights(weight_names(layer, {"depthwise_kernel", "pointwise_kernel"}));
  const ValueId depthwise = grouped_weight(layer, weights[0], window, "depthwise_kernel");
  const int64_t in = layer.weight_shape(weights[0])[static_cast<int>(kSpatial)];
  Attributes attributes = attributes_of(layer, window, in);
  set_padding(layer, window, attributes);
  const ValueId inner = layer.step("depthwise", "Conv", {layer.x(), depthwise}, attributes);
  const Window point{kSpatial, Ints(kSpatial, 1), Ints(kSpatial, 1), Ints(kSpatial, 1)};
  layer.expect_shape(weights[1], "pointwise_kernel",
                     kernel_dims(point, {in * layer.get_int("depth_multiplier", 1), layer.get_int("filters", -1)}));
  const int64_t filters = layer.weight_shape(weights[1])[static_cast<int>(kSpatial) + 1];
  return finish_conv(layer, "Conv", {inner, weights[1]}, attributes_of(layer, point, 1),
                     use_bias(layer) ? std::optional(weights[2]) : std::nullopt, filters);
}

// The result of a transposed convolution has size n * s for "same" and n * s + max(k - s, 0) for "valid", or, with
// output_padding p, (n - 1) * s + k - 2 * (k / 2 for "same") + p. Against the full (n - 1) * s + k, what is missing is
// cut off (half of it, rounded down, in front), and what is too much is added behind.
template <size_t kSpatial>
ValueId import_transposed(KerasLayer& layer) {
  const Window window = window_of(layer, kSpatial);
  const auto weights = layer.weights(weight_names(layer, {"kernel"}));
  layer.expect_shape(weights[0], "kernel", kernel_dims(window, {layer.get_int("filters", -1), -1}));
  const std::string padding = layer.get_string("padding", "valid");
  if (padding != "valid" && padding != "same") {
    layer.refuse("padding \"{}\" is not supported (supported: valid, same)", padding);
  }
  const bool same = padding == "same";
  Ints extra = layer.get_ints("output_padding", {});
  const bool sized = !extra.empty();
  if (extra.size() == 1) extra.resize(kSpatial, extra[0]);
  if (sized && (extra.size() != kSpatial || *std::min_element(extra.begin(), extra.end()) < 0)) {
    layer.fail("its output_padding must be one number of at least 0 for each dimension");
  }
  Ints pads(2 * kSpatial, 0), added(kSpatial, 0);
  for (size_t i = 0; i < kSpatial; ++i) {
    const int64_t k = (window.kernel[i] - 1) * window.dilations[i] + 1, s = window.strides[i];
    const int64_t longer = sized ? extra[i] - (same ? 2 * (k / 2) : 0) : same ? s - k : std::max(s - k, int64_t{0});
    pads[i] = std::max(-longer, int64_t{0}) / 2;
    pads[kSpatial + i] = std::max(-longer, int64_t{0}) - pads[i];
    added[i] = std::max(longer, int64_t{0});
  }
  Attributes attributes = attributes_of(layer, window, 1);
  attributes["pads"] = pads;
  attributes["output_padding"] = added;
  const int64_t filters = layer.weight_shape(weights[0])[static_cast<int>(kSpatial)];
  return finish_conv(layer, "ConvTranspose", {layer.x(), weights[0]}, attributes,
                     use_bias(layer) ? std::optional(weights[1]) : std::nullopt, filters);
}

// --- Padding, cropping, enlarging ------------------------------------------------------------------------------------

// first_spatial_axis is 1, or 2 with the channels in front.
size_t first_spatial_axis(const KerasLayer& layer) { return layer.channels_first() ? 2 : 1; }

template <size_t kSpatial>
ValueId import_zero_padding(KerasLayer& layer) {
  const auto padding = layer.pairs("padding", kSpatial);
  const size_t rank = kSpatial + 2, first = first_spatial_axis(layer);
  Ints pads(2 * rank, 0);
  for (size_t i = 0; i < kSpatial; ++i) {
    pads[first + i] = padding[i].first;
    pads[rank + first + i] = padding[i].second;
  }
  return layer.step("pad", "Pad", {layer.x()}, {{"pads", pads}, {"mode", std::string("constant")}, {"value", 0.0}});
}

template <size_t kSpatial>
ValueId import_cropping(KerasLayer& layer) {
  const auto cropping = layer.pairs("cropping", kSpatial);
  Ints starts, ends, axes(kSpatial), steps(kSpatial, 1);
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(first_spatial_axis(layer)));
  for (const auto& [before, after] : cropping) {
    starts.push_back(before);
    ends.push_back(after == 0 ? std::numeric_limits<int64_t>::max() : -after);
  }
  return layer.step("crop", "Slice", {layer.x()},
                    {{"starts", starts}, {"ends", ends}, {"axes", axes}, {"steps", steps}});
}

template <size_t kSpatial>
ValueId import_up_sampling(KerasLayer& layer) {
  const Ints size = layer.extents("size", kSpatial, {2});
  const std::string mode = layer.get_string("interpolation", "nearest");
  if (mode != "nearest" && mode != "bilinear") {
    layer.refuse("interpolation \"{}\" is not supported (supported: nearest, bilinear)", mode);
  }
  return layer.step("resize", "Resize", {layer.x()},
                    {{"mode", std::string(mode == "nearest" ? "nearest" : "linear")},
                     {"scales", std::vector<double>(size.begin(), size.end())},
                     {"coordinate_mode", std::string("half_pixel")},
                     {"nearest_mode", std::string("round_prefer_floor")},
                     {"layout", layer.layout()}});
}

constexpr auto kRows = std::to_array<KerasRow>({
    {"Conv1D", import_conv<1>},
    {"Conv1DTranspose", import_transposed<1>},
    {"Conv2D", import_conv<2>},
    {"Conv2DTranspose", import_transposed<2>},
    {"Conv3D", import_conv<3>},
    {"Conv3DTranspose", import_transposed<3>},
    {"Cropping1D", import_cropping<1>},
    {"Cropping2D", import_cropping<2>},
    {"Cropping3D", import_cropping<3>},
    {"DepthwiseConv1D", import_depthwise<1>},
    {"DepthwiseConv2D", import_depthwise<2>},
    {"SeparableConv1D", import_separable<1>},
    {"SeparableConv2D", import_separable<2>},
    {"UpSampling1D", import_up_sampling<1>},
    {"UpSampling2D", import_up_sampling<2>},
    {"UpSampling3D", import_up_sampling<3>},
    {"ZeroPadding1D", import_zero_padding<1>},
    {"ZeroPadding2D", import_zero_padding<2>},
    {"ZeroPadding3D", import_zero_padding<3>},
});

}  // namespace

const KerasRow* find_conv_row(std::string_view class_name) { return find_row(kRows, class_name); }

}  // namespace treville::import
