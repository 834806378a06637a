// GatherElements, GatherND, ScatterElements and ScatterND: elements or slices at indices that are known at compile
// time.
#include "ops/positions.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

constexpr auto kReductions = std::to_array<std::string_view>({"none", "add", "mul", "max", "min"});

const IntTensor& constant_indices(const InferContext& context) {
  if (context.dtype(1) != DType::kInt) context.fail("its indices are not integers");
  const Constant* constant = context.constant(1);
  if (constant == nullptr) context.fail("computed indices are not supported (supported: constants)");
  return integers(constant);
}

void check_indices(const InferContext& context, const IntTensor& indices, int64_t extent) {
  for (int64_t index : indices.values)
    if (index < -extent || index >= extent)
      context.fail(fmt::format("an index is {}, outside of {}", index, to_string(context.shape(0))));
}

// --- Elements: the index replaces the coordinate along one axis
// --------------------------------------------------------

void check_elements(InferContext& context) {
  const Shape& data = context.shape(0);
  const IntTensor& indices = constant_indices(context);
  const auto axis = static_cast<int>(axis_of(context, context.node().get_int("axis", 0), data));
  bool fits = indices.shape.rank() == data.rank();
  for (int i = 0; fits && i < data.rank(); ++i) fits = i == axis || indices.shape[i] <= data[i];
  if (!fits) context.fail(fmt::format("indices of shape {} do not fit {}", to_string(indices.shape), to_string(data)));
  check_indices(context, indices, data[axis]);
}

Ints element_positions(const Node& node, const Shape& data, const IntTensor& indices) {
  const auto axis = static_cast<int>(*normal_axis(node.get_int("axis", 0), data.rank()));
  Ints strides = strides_of(data);
  const int64_t stride = strides[static_cast<size_t>(axis)];
  strides[static_cast<size_t>(axis)] = 0;
  Ints positions(indices.values.size());
  walk(indices.shape, 0, strides, [&](size_t i, size_t at) {
    const int64_t index = indices.values[i] < 0 ? indices.values[i] + data[axis] : indices.values[i];
    positions[i] = static_cast<int64_t>(at) + index * stride;
  });
  return positions;
}

// --- Slices: the last axis of the indices holds the first coordinates
// ---------------------------------------------------

void check_slices(InferContext& context, int64_t batch) {
  const Shape& data = context.shape(0);
  const IntTensor& indices = constant_indices(context);
  const int rank = indices.shape.rank();
  const int64_t count = rank > 0 ? indices.shape[rank - 1] : 0;
  bool fits = batch >= 0 && rank > batch && count >= 1 && batch + count <= data.rank();
  for (int i = 0; fits && i < batch; ++i) fits = indices.shape[i] == data[i];
  if (!fits) context.fail(fmt::format("indices of shape {} do not fit {}", to_string(indices.shape), to_string(data)));
  for (size_t i = 0; i < indices.values.size(); ++i) {
    const int64_t extent = data[static_cast<int>(batch + static_cast<int64_t>(i) % count)];
    if (indices.values[i] < -extent || indices.values[i] >= extent)
      context.fail(fmt::format("an index is {}, outside of {}", indices.values[i], to_string(data)));
  }
}

// slice_shape is the indices' shape without their last axis, then the data's without what they choose.
Shape slice_shape(const Shape& data, const Shape& indices, int64_t batch) {
  Ints dims(indices.dims().begin(), indices.dims().end() - 1);
  const int64_t chosen = batch + indices[indices.rank() - 1];
  dims.insert(dims.end(), data.dims().begin() + chosen, data.dims().end());
  return Shape(dims);
}

Ints slice_positions(const Shape& data, const IntTensor& indices, int64_t batch) {
  const Ints strides = strides_of(data);
  const int64_t count = indices.shape[indices.shape.rank() - 1];
  int64_t size = 1, batches = 1, slices = 1;
  for (int i = static_cast<int>(batch + count); i < data.rank(); ++i) size *= data[i];
  for (int i = 0; i < batch; ++i) batches *= data[i];
  for (int64_t dim : Ints(indices.shape.dims().begin(), indices.shape.dims().end() - 1)) slices *= dim;
  const int64_t in_batch = slices / std::max<int64_t>(batches, 1);
  const int64_t batch_size = data.elements() / std::max<int64_t>(batches, 1);
  Ints positions;
  for (int64_t slice = 0; slice < slices; ++slice) {
    int64_t first = slice / in_batch * batch_size;
    for (int64_t i = 0; i < count; ++i) {
      const auto axis = static_cast<size_t>(batch + i);
      const int64_t index = indices.values[static_cast<size_t>(slice * count + i)];
      first += (index < 0 ? index + data.dims()[axis] : index) * strides[axis];
    }
    for (int64_t i = 0; i < size; ++i) positions.push_back(first + i);
  }
  return positions;
}

int64_t batch_dims(const Node& node) { return node.get_int("batch_dims", 0); }

// --- Shape rules and float meaning
// ------------------------------------------------------------------------------------

void infer_gather_elements(InferContext& context) {
  check_inputs(context, 2, 2);
  check_elements(context);
  context.results = {context.shape(1)};
}

void infer_gather_nd(InferContext& context) {
  check_inputs(context, 2, 2);
  check_slices(context, batch_dims(context.node()));
  context.results = {slice_shape(context.shape(0), context.shape(1), batch_dims(context.node()))};
}

void check_updates(InferContext& context, const Shape& expected) {
  const std::string reduction = context.node().get_string("reduction", "none");
  if (std::find(kReductions.begin(), kReductions.end(), reduction) == kReductions.end()) {
    context.fail(
        fmt::format("reduction \"{}\" is not supported (supported: {})", reduction, fmt::join(kReductions, ", ")));
  }
  if (context.dtype(0) != context.dtype(2)) context.fail("its updates have another type than its data");
  if (context.shape(2) != expected) {
    context.fail(fmt::format("updates of shape {} where {} belong", to_string(context.shape(2)), to_string(expected)));
  }
  context.results = {context.shape(0)};
}

void infer_scatter_elements(InferContext& context) {
  check_inputs(context, 3, 3);
  check_elements(context);
  check_updates(context, context.shape(1));
}

void infer_scatter_nd(InferContext& context) {
  check_inputs(context, 3, 3);
  check_slices(context, 0);
  check_updates(context, slice_shape(context.shape(0), context.shape(1), 0));
}

std::vector<Constant> evaluate_gather(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    std::decay_t<decltype(x)> y(output_shape(graph, node));
    const Ints positions = gathered_positions(node, x.shape, integers(inputs[1]));
    for (size_t i = 0; i < positions.size(); ++i) y.values[i] = x.values[static_cast<size_t>(positions[i])];
    return y;
  });
}

std::vector<Constant> evaluate_scatter(const Graph&, const Node& node, Inputs inputs) {
  const std::string reduction = node.get_string("reduction", "none");
  return of_either(inputs[0], [&](auto x) {
    const auto& updates = std::get<std::decay_t<decltype(x)>>(*inputs[2]).values;
    const Ints positions = scattered_positions(node, x.shape, integers(inputs[1]));
    for (size_t i = 0; i < positions.size(); ++i) {
      auto& element = x.values[static_cast<size_t>(positions[i])];
      if (reduction == "none") element = updates[i];
      if (reduction == "add") element += updates[i];
      if (reduction == "mul") element *= updates[i];
      if (reduction == "max") element = std::max(element, updates[i]);
      if (reduction == "min") element = std::min(element, updates[i]);
    }
    return x;
  });
}

}  // namespace

Ints gathered_positions(const Node& node, const Shape& data, const IntTensor& indices) {
  return node.op == "GatherElements" ? element_positions(node, data, indices)
                                     : slice_positions(data, indices, batch_dims(node));
}

Ints scattered_positions(const Node& node, const Shape& data, const IntTensor& indices) {
  return node.op == "ScatterElements" ? element_positions(node, data, indices) : slice_positions(data, indices, 0);
}

constinit const OpDef kGatherElements{"GatherElements", infer_gather_elements, evaluate_gather, same_range, nullptr};
constinit const OpDef kGatherNd{"GatherND", infer_gather_nd, evaluate_gather, same_range, nullptr};
constinit const OpDef kScatterElements{"ScatterElements", infer_scatter_elements, evaluate_scatter, nullptr, nullptr};
constinit const OpDef kScatterNd{"ScatterND", infer_scatter_nd, evaluate_scatter, nullptr, nullptr};

}  // namespace treville::ops
