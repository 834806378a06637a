// Pools of Keras, over windows and over whole images or sequences.
#include <array>
#include <numeric>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

Attributes pool_attributes(KerasLayer& layer, size_t spatial) {
  const Ints kernel = layer.extents("pool_size", spatial, {2});
  const std::string padding = layer.get_string("padding", "valid");
  if (padding != "valid" && padding != "same") {
    layer.refuse("padding \"{}\" is not supported (supported: valid, same)", padding);
  }
  return {{"layout", layer.layout()},
          {"kernel", kernel},
          {"strides", layer.extents("strides", spatial, kernel)},
          {"dilations", Ints(spatial, 1)},
          {"pads", Ints(2 * spatial, 0)},
          {"ceil_mode", int64_t{0}},
          {"auto_pad", std::string(padding == "same" ? "same_upper" : "valid")}};
}

template <size_t kSpatial>
ValueId import_max_pool(KerasLayer& layer) {
  return layer.step("pool", "MaxPool", {layer.x()}, pool_attributes(layer, kSpatial));
}

template <size_t kSpatial>
ValueId import_average_pool(KerasLayer& layer) {
  Attributes attributes = pool_attributes(layer, kSpatial);
  attributes["count_include_pad"] = int64_t{0};
  return layer.step("pool", "AveragePool", {layer.x()}, attributes);
}

Ints spatial_axes(const KerasLayer& layer, size_t spatial) {
  Ints axes(spatial);
  std::iota(axes.begin(), axes.end(), layer.channels_first() ? 2 : 1);
  return axes;
}

template <size_t kSpatial>
ValueId import_global_average(KerasLayer& layer) {
  const bool keep = layer.get_bool("keepdims", false);
  const ValueId y = layer.step("mean", "ReduceMean", {layer.x()},
                               {{"axes", spatial_axes(layer, kSpatial)}, {"keepdims", int64_t{keep}}});
  return layer.set_rank(y, keep ? static_cast<int>(kSpatial) + 2 : 2);
}

template <size_t kSpatial>
ValueId import_global_max(KerasLayer& layer) {
  const bool keep = layer.get_bool("keepdims", false);
  const ValueId y = layer.step("max", "MaxPool", {layer.x()}, {{"global", int64_t{1}}, {"layout", layer.layout()}});
  if (keep) return y;
  return layer.set_rank(layer.step("squeeze", "Squeeze", {y}, {{"axes", spatial_axes(layer, kSpatial)}}), 2);
}

constexpr auto kRows = std::to_array<KerasRow>({
    {"AveragePooling1D", import_average_pool<1>},
    {"AveragePooling2D", import_average_pool<2>},
    {"AveragePooling3D", import_average_pool<3>},
    {"GlobalAveragePooling1D", import_global_average<1>},
    {"GlobalAveragePooling2D", import_global_average<2>},
    {"GlobalAveragePooling3D", import_global_average<3>},
    {"GlobalMaxPooling1D", import_global_max<1>},
    {"GlobalMaxPooling2D", import_global_max<2>},
    {"GlobalMaxPooling3D", import_global_max<3>},
    {"MaxPooling1D", import_max_pool<1>},
    {"MaxPooling2D", import_max_pool<2>},
    {"MaxPooling3D", import_max_pool<3>},
});

}  // namespace

const KerasRow* find_pool_row(std::string_view class_name) { return find_row(kRows, class_name); }

}  // namespace treville::import
