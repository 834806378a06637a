// The general layers of Keras: dense ones, those that move elements, those that do nothing at inference, wrappers, and
// those that cannot be computed securely.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

ValueId import_dense(KerasLayer& layer) {
  const ValueId x = layer.x();
  const bool biased = layer.get_bool("use_bias", true);
  const auto weights =
      layer.weights(biased ? std::vector<std::string>{"kernel", "bias"} : std::vector<std::string>{"kernel"});
  const int64_t units = layer.get_int("units", -1);
  layer.expect_shape(weights[0], "kernel", {-1, units});
  ValueId y = layer.step("matmul", "MatMul", {x, weights[0]});
  if (biased) {
    layer.expect_shape(weights[1], "bias", {layer.weight_shape(weights[0])[1]});
    y = layer.step("bias", "Add", {y, weights[1]});
  }
  return apply_activation_of(layer, y);
}

// channels_last moves the channels of axis 1 behind the others.
ValueId channels_last(KerasLayer& layer, ValueId x, int rank) {
  Ints perm = {0};
  for (int64_t axis = 2; axis < rank; ++axis) perm.push_back(axis);
  perm.push_back(1);
  return layer.transpose("channels_last", x, perm);
}

ValueId import_flatten(KerasLayer& layer) {
  ValueId x = layer.x();
  if (layer.channels_first() && layer.rank(x) > 2) x = channels_last(layer, x, layer.rank(x));
  return layer.set_rank(layer.step("flatten", "Flatten", {x}, {{"axis", int64_t{1}}}), 2);
}

ValueId import_reshape(KerasLayer& layer) {
  Ints shape = {0};
  for (const int64_t dim : layer.get_ints("target_shape", {})) {
    if (dim < 1 && dim != -1) layer.fail("its target_shape must hold sizes of at least 1, or -1");
    shape.push_back(dim);
  }
  const ValueId y = layer.reshape("reshape", layer.x(), shape);
  return layer.set_rank(y, static_cast<int>(shape.size()));
}

ValueId import_permute(KerasLayer& layer) {
  Ints perm = {0}, sorted;
  const Ints dims = layer.get_ints("dims", {});
  perm.insert(perm.end(), dims.begin(), dims.end());
  sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int64_t>(i))
      layer.fail(fmt::format("its dims {} are not a permutation", to_string(Shape(dims))));
  }
  return layer.transpose("permute", layer.x(), perm);
}

ValueId import_repeat_vector(KerasLayer& layer) {
  const int64_t n = layer.get_int("n", 0);
  if (n < 1) layer.fail("its n must be at least 1");
  const ValueId row = layer.step("row", "Unsqueeze", {layer.x()}, {{"axes", Ints{1}}});
  return layer.set_rank(layer.step("repeat", "Tile", {row}, {{"repeats", Ints{1, n, 1}}}), 3);
}

// Layers that change nothing at inference.
ValueId import_nothing(KerasLayer& layer) {
  const KerasArgument* training = layer.argument(1, "training");
  if (training != nullptr && layer.argument_bool(1, "training", false)) {
    layer.refuse("it is called with training=True. Save the model for inference.");
  }
  return layer.x();
}

// per_channel is one number, or one for each channel of the last axis.
ValueId per_channel(KerasLayer& layer, const std::string& suffix, const std::vector<double>& values) {
  if (values.size() == 1) return layer.number(suffix, values[0]);
  return layer.vector(suffix, std::vector<float>(values.begin(), values.end()));
}

ValueId import_rescaling(KerasLayer& layer) {
  std::vector<double> scale = layer.get_floats("scale"), offset = layer.get_floats("offset");
  if (scale.empty()) layer.fail("its scale is missing");
  const bool has_offset = std::any_of(offset.begin(), offset.end(), [](double value) { return value != 0; });
  const ValueId scaled = layer.step("scale", "Mul", {layer.x(), per_channel(layer, "factor", scale)});
  if (!has_offset) return scaled;
  return layer.step("offset", "Add", {scaled, per_channel(layer, "shift", offset)});
}

// Statistics of a Normalization layer: from its configuration, else from its weights (mean, variance, count).
struct Statistics {
  std::vector<float> mean, variance;
};

Statistics statistics_of(KerasLayer& layer) {
  const std::vector<double> mean = layer.get_floats("mean"), variance = layer.get_floats("variance");
  if (!mean.empty() && !variance.empty()) {
    return {std::vector<float>(mean.begin(), mean.end()), std::vector<float>(variance.begin(), variance.end())};
  }
  const auto weights = layer.all_weights();
  if (weights.size() < 2)
    layer.fail("its mean and variance are missing. Save the model with its weights, after adapt().");
  return {layer.weight_values(weights[0]).values, layer.weight_values(weights[1]).values};
}

// (x - mean) / max(sqrt(variance), 1e-7) becomes one product and one sum.
ValueId import_normalization(KerasLayer& layer) {
  const ValueId x = layer.x();
  const Statistics statistics = statistics_of(layer);
  const size_t count = statistics.mean.size();
  if (count == 0 || statistics.variance.size() != count) layer.fail("its mean and variance differ in size");
  const bool invert = layer.get_bool("invert", false);
  FloatTensor scale(Shape{static_cast<int64_t>(count)}), shift(scale.shape);
  for (size_t i = 0; i < count; ++i) {
    const double deviation = std::max(std::sqrt(static_cast<double>(statistics.variance[i])), 1e-7);
    const double mean = static_cast<double>(statistics.mean[i]);
    scale.values[i] = static_cast<float>(invert ? deviation : 1 / deviation);
    shift.values[i] = static_cast<float>(invert ? mean : -mean / deviation);
  }
  const Ints axes = layer.get_ints("axis", {-1});
  if (count > 1) {
    if (axes.size() != 1) layer.refuse("several axes are not supported (supported: one, or none)");
    const int rank = layer.rank(x);
    const int64_t axis = axes[0] < 0 ? axes[0] + rank : axes[0];
    if (axis < 1 || axis >= rank) layer.fail("its axis is out of range");
    Ints dims(static_cast<size_t>(rank - axis), 1);
    dims[0] = static_cast<int64_t>(count);
    scale.shape = shift.shape = Shape(dims);
  }
  const ValueId scaled = layer.step("scale", "Mul", {x, layer.constant_step("factor", std::move(scale))});
  return layer.step("shift", "Add", {scaled, layer.constant_step("offset", std::move(shift))});
}

// TimeDistributed applies a layer to each step: the steps join the batch, and leave it again afterwards. The shapes are
// computed, because the batch is open.
ValueId import_time_distributed(KerasLayer& layer) {
  const ValueId x = layer.x();
  const ValueId shape = layer.step("shape", "Shape", {x}, {}, DType::kInt);
  const ValueId steps = layer.step("steps", "Shape", {x}, {{"start", int64_t{0}}, {"end", int64_t{2}}}, DType::kInt);
  const ValueId rest = layer.step("step_shape", "Slice", {shape},
                                  {{"starts", Ints{2}},
                                   {"ends", Ints{std::numeric_limits<int64_t>::max()}},
                                   {"axes", Ints{0}},
                                   {"steps", Ints{1}}});
  const ValueId any = layer.constant_step("any", IntTensor(Shape{1}, {-1}));
  const ValueId joined_shape = layer.step("joined_shape", "Concat", {any, rest}, {{"axis", int64_t{0}}});
  const ValueId joined = layer.step("join", "Reshape", {x, joined_shape}, {{"allow_zero", int64_t{1}}});
  const int rank = layer.rank(x);
  layer.set_rank(joined, rank - 1);
  KerasLayer inner = layer.part("layer", layer.all_weights(), "step", joined);
  if (inner.class_name() == "TimeDistributed") inner.refuse("TimeDistributed of TimeDistributed is not supported");
  const KerasRow* row = find_keras_row(inner.class_name());
  if (row == nullptr) layer.refuse("TimeDistributed of {} is not supported", inner.class_name());
  const ValueId y = row->import(inner);
  const ValueId inner_rest = layer.step("result_shape", "Shape", {y}, {{"start", int64_t{1}}}, DType::kInt);
  const ValueId final_shape = layer.step("final_shape", "Concat", {steps, inner_rest}, {{"axis", int64_t{0}}});
  const ValueId left = layer.step("leave", "Reshape", {y, final_shape}, {{"allow_zero", int64_t{1}}});
  return layer.set_rank(left, layer.has_rank(y) ? layer.rank(y) + 1 : rank);
}

// --- Known, and not supported ----------------------------------------------------------------------------------------

ValueId refuse_lambda(KerasLayer& layer) {
  layer.refuse("it holds Python code, which is not run. Replace it by layers, or convert the model to ONNX.");
}
ValueId refuse_embedding(KerasLayer& layer) {
  layer.refuse(
      "it looks up secret indices. Look the vectors up before the model and give those, or replace it by a "
      "Dense layer without bias over one-hot inputs.");
}
ValueId refuse_masking(KerasLayer& layer) {
  layer.refuse("a mask would show which steps are empty. Give sequences of one length and leave the layer out.");
}
ValueId refuse_random(KerasLayer& layer) {
  layer.refuse("random changes of images are for training. Save the model for inference, without it.");
}
ValueId refuse_text(KerasLayer& layer) {
  layer.refuse("it prepares text or categories. Apply it before the model and give its result.");
}
ValueId refuse_attention(KerasLayer& layer) {
  layer.refuse("not supported. Write it with Dense, Dot and Softmax layers, or convert the model to ONNX.");
}

constexpr auto kRows = std::to_array<KerasRow>({
    {"ActivityRegularization", import_nothing},
    {"AlphaDropout", import_nothing},
    {"Dense", import_dense},
    {"Dropout", import_nothing},
    {"Flatten", import_flatten},
    {"GaussianDropout", import_nothing},
    {"GaussianNoise", import_nothing},
    {"Identity", import_nothing},
    {"Normalization", import_normalization},
    {"Permute", import_permute},
    {"RepeatVector", import_repeat_vector},
    {"Rescaling", import_rescaling},
    {"Reshape", import_reshape},
    {"SpatialDropout1D", import_nothing},
    {"SpatialDropout2D", import_nothing},
    {"SpatialDropout3D", import_nothing},
    {"TimeDistributed", import_time_distributed},

    {"AdditiveAttention", refuse_attention},
    {"Attention", refuse_attention},
    {"CategoryEncoding", refuse_text},
    {"Discretization", refuse_text},
    {"Embedding", refuse_embedding},
    {"Hashing", refuse_text},
    {"IntegerLookup", refuse_text},
    {"Lambda", refuse_lambda},
    {"Masking", refuse_masking},
    {"MultiHeadAttention", refuse_attention},
    {"RandomBrightness", refuse_random},
    {"RandomContrast", refuse_random},
    {"RandomCrop", refuse_random},
    {"RandomFlip", refuse_random},
    {"RandomHeight", refuse_random},
    {"RandomRotation", refuse_random},
    {"RandomTranslation", refuse_random},
    {"RandomWidth", refuse_random},
    {"RandomZoom", refuse_random},
    {"StringLookup", refuse_text},
    {"TextVectorization", refuse_text},
});

}  // namespace

const KerasRow* find_core_row(std::string_view class_name) { return find_row(kRows, class_name); }

const KerasRow* find_keras_row(std::string_view class_name) {
  for (const auto find : {find_core_row, find_activation_row, find_conv_row, find_pool_row, find_merge_row,
                          find_norm_row, find_recurrent_row}) {
    if (const KerasRow* row = find(class_name)) return row;
  }
  return nullptr;
}

}  // namespace treville::import
