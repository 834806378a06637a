// Reshape, Flatten, Squeeze, Unsqueeze, and Identity and Dropout (at inference): the elements stay in their order.
#include <algorithm>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

void infer_reshape(InferContext& context) {
  check_inputs(context, 1, 2);
  const Shape& shape = context.shape(0);
  const auto asked = read_list(context, "shape", 1);
  if (!asked) context.fail("its shape is missing");
  const auto fail = [&] {
    context.fail(fmt::format("cannot reshape {} to {}", to_string(shape), to_string(Shape(*asked))));
  };
  Ints dims = *asked;
  const bool copies_zero = context.node().get_int("allow_zero", 0) == 0;
  int64_t known = 1;
  size_t inferred = dims.size();
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] == 0 && copies_zero) {
      if (static_cast<int>(axis) >= shape.rank()) fail();
      dims[axis] = shape[static_cast<int>(axis)];
    }
    if (dims[axis] == -1 && inferred == dims.size()) {
      inferred = axis;
    } else if (dims[axis] < 0 || __builtin_mul_overflow(known, dims[axis], &known)) {
      fail();
    }
  }
  if (inferred < dims.size()) {
    if (known == 0 || shape.elements() % known != 0) fail();
    dims[inferred] = shape.elements() / known;
    known *= dims[inferred];
  }
  if (known != shape.elements()) fail();
  context.results = {Shape(dims)};
}

void infer_flatten(InferContext& context) {
  check_inputs(context, 1, 1);
  const Shape& shape = context.shape(0);
  const int64_t given_axis = context.node().get_int("axis", 1);
  const int64_t axis = given_axis < 0 ? given_axis + shape.rank() : given_axis;
  if (axis < 0 || axis > shape.rank())
    context.fail(fmt::format("axis {} is outside of shape {}", given_axis, to_string(shape)));
  int64_t rows = 1, columns = 1;
  for (int i = 0; i < shape.rank(); ++i) (i < axis ? rows : columns) *= shape[i];
  context.results = {Shape{rows, columns}};
}

void infer_squeeze(InferContext& context) {
  check_inputs(context, 1, 2);
  const Shape& shape = context.shape(0);
  const auto axes = read_list(context, "axes", 1).value_or(Ints{});
  std::vector<bool> drop(shape.dims().size(), false);
  for (int64_t axis : axes) drop[static_cast<size_t>(axis_of(context, axis, shape))] = true;
  Ints dims;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const bool dropped = axes.empty() ? shape[axis] == 1 : drop[static_cast<size_t>(axis)];
    if (!dropped) {
      dims.push_back(shape[axis]);
    } else if (shape[axis] != 1) {
      context.fail(fmt::format("axis {} of {} has more than one element", axis, to_string(shape)));
    }
  }
  context.results = {Shape(dims)};
}

void infer_unsqueeze(InferContext& context) {
  check_inputs(context, 1, 2);
  const Shape& shape = context.shape(0);
  const auto axes = read_list(context, "axes", 1);
  if (!axes) context.fail("its axes are missing");
  const int rank = shape.rank() + static_cast<int>(axes->size());
  Ints dims(static_cast<size_t>(rank), 0);
  for (int64_t given_axis : *axes) {
    const auto axis = normal_axis(given_axis, rank);
    if (!axis || dims[static_cast<size_t>(*axis)] == 1)
      context.fail(fmt::format("axes {} do not name new axes of {}", to_string(Shape(*axes)), to_string(shape)));
    dims[static_cast<size_t>(*axis)] = 1;
  }
  int next = 0;
  for (int64_t& dim : dims)
    if (dim == 0) dim = shape[next++];
  context.results = {Shape(dims)};
}

void infer_same(InferContext& context) {
  check_inputs(context, 1, 3);  // Dropout also has a ratio and a mode
  context.results.assign(context.node().outputs.size(), context.shape(0));
}

std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](auto x) {
    x.shape = output_shape(graph, node);
    return x;
  });
}

}  // namespace

constinit const OpDef kReshape{"Reshape", infer_reshape, evaluate, same_range, pass_through};
constinit const OpDef kFlatten{"Flatten", infer_flatten, evaluate, same_range, pass_through};
constinit const OpDef kSqueeze{"Squeeze", infer_squeeze, evaluate, same_range, pass_through};
constinit const OpDef kUnsqueeze{"Unsqueeze", infer_unsqueeze, evaluate, same_range, pass_through};
constinit const OpDef kIdentity{"Identity", infer_same, evaluate, same_range, pass_through};
constinit const OpDef kDropout{"Dropout", infer_same, evaluate, same_range, pass_through};

}  // namespace treville::ops
