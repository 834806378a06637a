// Layers of Keras that join several tensors.
#include <algorithm>
#include <array>

#include "import/keras_layer.h"

namespace treville::import {
namespace {

// operands are the layer's inputs, which must have one number of dimensions: Keras does not broadcast like the graph.
std::vector<ValueId> operands(KerasLayer& layer) {
  std::vector<ValueId> values = layer.inputs_from(0);
  if (values.empty()) layer.fail("it has no inputs");
  for (ValueId value : values) {
    if (layer.rank(value) != layer.rank(values[0])) {
      layer.refuse("inputs of {} and {} dimensions are not supported. Reshape one of them.", layer.rank(values[0]),
                   layer.rank(value));
    }
  }
  return values;
}

ValueId fold(KerasLayer& layer, const char* op) {
  const std::vector<ValueId> values = operands(layer);
  ValueId result = values[0];
  for (size_t i = 1; i < values.size(); ++i) result = layer.step(fmt::format("{}_{}", op, i), op, {result, values[i]});
  return result;
}

template <const char* kOp>
ValueId import_fold(KerasLayer& layer) {
  return fold(layer, kOp);
}
constexpr char kAdd[] = "Add", kMul[] = "Mul", kMax[] = "Max", kMin[] = "Min";

ValueId import_subtract(KerasLayer& layer) {
  const std::vector<ValueId> values = operands(layer);
  if (values.size() != 2) layer.fail(fmt::format("it has {} inputs, expected 2", values.size()));
  return layer.step("sub", "Sub", values);
}

ValueId import_average(KerasLayer& layer) {
  const ValueId sum = fold(layer, "Add");
  return layer.step("mean", "Mul", {sum, layer.number("share", 1.0 / static_cast<double>(layer.input_count()))});
}

ValueId import_concatenate(KerasLayer& layer) {
  return layer.step("concat", "Concat", operands(layer), {{"axis", layer.get_int("axis", -1)}});
}

// Dot multiplies along one axis of each input: vectors give one number, sequences a matrix.
ValueId import_dot(KerasLayer& layer) {
  std::vector<ValueId> values = operands(layer);
  if (values.size() != 2) layer.fail(fmt::format("it has {} inputs, expected 2", values.size()));
  const int rank = layer.rank(values[0]);
  Ints axes = layer.get_ints("axes", {-1});
  if (axes.size() == 1) axes.push_back(axes[0]);
  for (int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  const bool valid =
      axes.size() == 2 && std::all_of(axes.begin(), axes.end(), [&](int64_t axis) { return axis >= 1 && axis < rank; });
  if (!valid) layer.fail("its axes are out of range");
  if (rank > 3) layer.refuse("inputs of {} dimensions are not supported (supported: 2 and 3)", rank);
  if (layer.get_bool("normalize", false)) {
    for (size_t i = 0; i < 2; ++i) {
      values[i] = layer.step(fmt::format("normalize_{}", i), "L2Normalize", {values[i]},
                             {{"axes", Ints{axes[i]}}, {"epsilon", 1e-12}});
    }
  }
  if (rank == 2) {
    const ValueId products = layer.step("products", "Mul", values);
    return layer.step("sum", "ReduceSum", {products}, {{"axes", Ints{1}}, {"keepdims", int64_t{1}}});
  }
  if (axes[0] != 2) values[0] = layer.transpose("left", values[0], {0, 2, 1});
  if (axes[1] != 1) values[1] = layer.transpose("right", values[1], {0, 2, 1});
  return layer.step("product", "MatMul", values);
}

constexpr auto kRows = std::to_array<KerasRow>({
    {"Add", import_fold<kAdd>},
    {"Average", import_average},
    {"Concatenate", import_concatenate},
    {"Dot", import_dot},
    {"Maximum", import_fold<kMax>},
    {"Minimum", import_fold<kMin>},
    {"Multiply", import_fold<kMul>},
    {"Subtract", import_subtract},
});

}  // namespace

const KerasRow* find_merge_row(std::string_view class_name) { return find_row(kRows, class_name); }

}  // namespace treville::import
