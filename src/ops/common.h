// What the operations share: messages, reading attributes and plain operands, axes, broadcasting, and walking over a
// tensor by strides. Transposes, slices, broadcasts and flips are all one strided walk.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ops/op.h"

namespace treville::ops {

using Ints = std::vector<int64_t>;
using Inputs = std::span<const Constant* const>;

// fail_node throws UserError: model, node, the operation as the model calls it, message.
[[noreturn]] void fail_node(const Graph& graph, const Node& node, const std::string& message);

const Shape& input_shape(const Graph& graph, const Node& node, size_t input);
const Shape& output_shape(const Graph& graph, const Node& node);

// given is null for an input that is absent.
inline const Constant* given(Inputs inputs, size_t i) { return i < inputs.size() ? inputs[i] : nullptr; }
// floats and integers read a plain operand whose type the shape rule has checked.
const FloatTensor& floats(const Constant* constant);
const IntTensor& integers(const Constant* constant);

// list_of reads a list that is an attribute or else the constant operand; absent when there is neither.
std::optional<Ints> list_of(const Node& node, const std::string& key, const Constant* constant);
// read_list is list_of for shape rules: an operand that is there must be constant.
std::optional<Ints> read_list(InferContext& context, const std::string& key, int input);

// check_inputs fails unless the node has between least and most inputs.
void check_inputs(const InferContext& context, int least, int most);
// normal_axis maps -rank..rank-1 to 0..rank-1, or gives nothing.
std::optional<int64_t> normal_axis(int64_t axis, int rank);
// axis_of is normal_axis for an attribute; fails with the shape in the message.
int64_t axis_of(const InferContext& context, int64_t axis, const Shape& shape);

// strides_of gives the row-major strides of a shape.
Ints strides_of(const Shape& shape);
// broadcast joins two shapes by numpy's rule, or gives nothing.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);
// broadcast_strides gives the strides with which a tensor of shape `from` is read as one of shape `to`.
Ints broadcast_strides(const Shape& from, const Shape& to);
// permuted gives the shape whose dimension i is shape[permutation[i]].
Shape permuted(const Shape& shape, const Ints& permutation);

// walk calls f(position, offset) for every element of `shape` in row-major order; offset moves by `strides`.
template <class F>
void walk(const Shape& shape, int64_t offset, const Ints& strides, F f) {
  const int64_t count = shape.elements();
  const int last = shape.rank() - 1;
  Ints index(shape.dims().size(), 0);
  for (int64_t position = 0; position < count; ++position) {
    f(static_cast<size_t>(position), static_cast<size_t>(offset));
    for (int axis = last; axis >= 0; --axis) {
      const auto i = static_cast<size_t>(axis);
      offset += strides[i];
      if (++index[i] < shape[axis]) break;
      offset -= strides[i] * shape[axis];
      index[i] = 0;
    }
  }
}

// view reads x as a tensor of another shape: element i is x[offset + sum of i[axis] * strides[axis]].
template <class Tensor>
Tensor view(const Tensor& x, const Shape& shape, int64_t offset, const Ints& strides) {
  Tensor y(shape);
  walk(shape, offset, strides, [&](size_t to, size_t from) { y.values[to] = x.values[from]; });
  return y;
}

// take gives the elements at `indices` along an axis.
template <class Tensor>
Tensor take(const Tensor& x, int axis, const Ints& indices) {
  Shape shape = x.shape;
  shape[axis] = static_cast<int64_t>(indices.size());
  int64_t inner = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  const int64_t block = inner * x.shape[axis];
  Tensor y(shape);
  auto to = y.values.begin();
  for (auto from = x.values.begin(); from != x.values.end(); from += block)
    for (int64_t index : indices) to = std::copy_n(from + index * inner, inner, to);
  return y;
}

template <class Tensor>
Tensor transpose(const Tensor& x, const Ints& permutation) {
  const Ints all = strides_of(x.shape);
  Ints strides;
  for (int64_t axis : permutation) strides.push_back(all[static_cast<size_t>(axis)]);
  return view(x, permuted(x.shape, permutation), 0, strides);
}

// of_either applies f to the float or integer tensor and wraps the result, as evaluate returns it.
template <class F>
std::vector<Constant> of_either(const Constant* constant, F f) {
  CHECK(constant != nullptr, "an operand is missing");
  std::vector<Constant> results;
  results.push_back(std::visit([&](const auto& tensor) -> Constant { return f(tensor); }, *constant));
  return results;
}

// one wraps a single result.
inline std::vector<Constant> one(Constant constant) {
  std::vector<Constant> results;
  results.push_back(std::move(constant));
  return results;
}

// Interval arithmetic.
Interval hull(const Interval& a, const Interval& b);
Interval plus(const Interval& a, const Interval& b);
Interval times(const Interval& a, const Interval& b);
// range_of_product bounds W * x + bias over all outputs when every element of x lies in `x`; the outputs are the last
// axis of the weight, all other axes are summed over. bias may be null.
Interval range_of_product(const FloatTensor& weight, const Interval& x, const FloatTensor* bias);
// same_range is the rule of operations that only move elements.
Interval same_range(const RangeContext& context);

}  // namespace treville::ops
