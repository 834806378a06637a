// MatMul: the matrix product with numpy's broadcasting of leading dimensions; a vector on the left is a row, on the
// right a column, and its extra dimension is dropped from the result.
#include <algorithm>
#include <numeric>

#include "kernels/float_linear.h"
#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

// Operands is both shapes as stacks of matrices.
struct Operands {
  Shape a_stack, b_stack, stack;  // leading dimensions; stack is their broadcast
  int64_t rows = 1, inner = 1, cols = 1;
};

Shape leading(const Shape& shape) {
  const int count = std::max(0, shape.rank() - 2);
  return Shape(Ints(shape.dims().begin(), shape.dims().begin() + count));
}

std::optional<Operands> operands_of(const Shape& a, const Shape& b) {
  if (a.rank() == 0 || b.rank() == 0) return {};
  Operands o{leading(a), leading(b), {}, 1, a[a.rank() - 1], 1};
  if (a.rank() > 1) o.rows = a[a.rank() - 2];
  if (b.rank() > 1) o.cols = b[b.rank() - 1];
  const auto stack = broadcast(o.a_stack, o.b_stack);
  if (!stack || b[b.rank() > 1 ? b.rank() - 2 : 0] != o.inner) return {};
  o.stack = *stack;
  return o;
}

void infer(InferContext& context) {
  check_inputs(context, 2, 2);
  const Shape &a = context.shape(0), &b = context.shape(1);
  if (context.dtype(0) != DType::kFloat || context.dtype(1) != DType::kFloat)
    context.fail("integer products are not supported");
  const auto o = operands_of(a, b);
  if (!o) context.fail(fmt::format("cannot multiply {} by {}", to_string(a), to_string(b)));
  Ints dims = o->stack.dims();
  if (a.rank() > 1) dims.push_back(o->rows);
  if (b.rank() > 1) dims.push_back(o->cols);
  context.results = {Shape(dims)};
}

FloatTensor matrix_at(const FloatTensor& x, size_t index, int64_t rows, int64_t cols) {
  const auto size = rows * cols;
  const auto first = x.values.begin() + static_cast<std::ptrdiff_t>(index) * size;
  return FloatTensor(Shape{rows, cols}, std::vector<float>(first, first + size));
}

std::vector<Constant> evaluate(const Graph& graph, const Node& node, Inputs inputs) {
  const FloatTensor &a = floats(inputs[0]), &b = floats(inputs[1]);
  const Operands o = *operands_of(a.shape, b.shape);
  const Shape& result = output_shape(graph, node);
  if (o.b_stack.elements() == 1 && o.b_stack.rank() <= o.a_stack.rank()) {
    const MatmulGeometry whole{o.a_stack.elements() * o.rows, o.inner, o.cols};
    return one(FloatTensor(result, apply_float(whole, matrix_at(b, 0, o.inner, o.cols), a).values));
  }
  std::vector<size_t> a_index, b_index;
  walk(o.stack, 0, broadcast_strides(o.a_stack, o.stack), [&](size_t, size_t at) { a_index.push_back(at); });
  walk(o.stack, 0, broadcast_strides(o.b_stack, o.stack), [&](size_t, size_t at) { b_index.push_back(at); });
  FloatTensor y(result);
  auto to = y.values.begin();
  for (size_t i = 0; i < a_index.size(); ++i) {
    const FloatTensor product =
        apply_float(MatmulGeometry{o.rows, o.inner, o.cols}, matrix_at(b, b_index[i], o.inner, o.cols),
                    matrix_at(a, a_index[i], o.rows, o.inner));
    to = std::copy(product.values.begin(), product.values.end(), to);
  }
  return one(std::move(y));
}

Interval range(const RangeContext& context) {
  const Constant *a = context.constant(0), *b = context.constant(1);
  const Shape &a_shape = input_shape(context.graph, context.node, 0),
              &b_shape = input_shape(context.graph, context.node, 1);
  const Operands o = *operands_of(a_shape, b_shape);
  if (b && b_shape.rank() <= 2) {
    const FloatTensor weight(Shape{o.inner, o.cols}, floats(b).values);
    return range_of_product(weight, context.inputs[0], nullptr);
  }
  if (a && a_shape.rank() <= 2) {
    const FloatTensor weight = transpose(FloatTensor(Shape{o.rows, o.inner}, floats(a).values), {1, 0});
    return range_of_product(weight, context.inputs[1], nullptr);
  }
  const auto inner = static_cast<double>(o.inner);
  return times(times(context.inputs[0], context.inputs[1]), {inner, inner});
}

Ints swap_last(int rank) {
  Ints permutation(static_cast<size_t>(rank));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[permutation.size() - 1], permutation[permutation.size() - 2]);
  return permutation;
}

SlotId swapped(LowerContext& context, SlotId x, const Ints& permutation) {
  const double bound = context.type(x).bound;
  return context.emit(TransposeStep{x, permutation}, bound);
}

// times_matrix: [..., inner] times a constant [inner, cols]; the leading dimensions fold into the rows.
SlotId times_matrix(LowerContext& context, SlotId x, const FloatTensor& b) {
  Ints dims = context.type(x).shape.dims();
  const MatmulGeometry map{context.type(x).shape.elements() / b.shape[0], b.shape[0], b.shape[1]};
  dims.back() = map.cols;
  x = context.linear(reshape(context, x, Shape{map.rows, map.inner}), map, b, nullptr);
  return reshape(context, x, Shape(dims));
}

// times_stack: [stack, rows, inner] times constants [stack, inner, cols]. Side by side, the matrices are the groups of
// a convolution of one element.
SlotId times_stack(LowerContext& context, SlotId x, const FloatTensor& b) {
  const Shape shape = context.type(x).shape;
  ConvGeometry map;
  map.batch = shape[1], map.groups = shape[0];
  map.in_c = shape[0] * shape[2], map.out_c = shape[0] * b.shape[2];
  FloatTensor weight = transpose(b, {1, 0, 2});
  weight.shape = treville::weight_shape(LinearMap(map));
  x = reshape(context, swapped(context, x, {1, 0, 2}), treville::input_shape(LinearMap(map)));
  x = context.linear(x, map, weight, nullptr);
  return swapped(context, reshape(context, x, Shape{map.batch, map.groups, b.shape[2]}), {1, 0, 2});
}

Shape stacked(const Shape& stack, int64_t rows, int64_t cols) {
  Ints dims = stack.dims();
  dims.insert(dims.end(), {rows, cols});
  return Shape(dims);
}

// times_constant: x [x_stack..., rows, inner] times constants b [b_stack..., inner, cols]; gives [stack..., rows,
// cols].
SlotId times_constant(LowerContext& context, SlotId x, const Shape& x_stack, const FloatTensor& b,
                      const Shape& b_stack) {
  const Shape stack = *broadcast(x_stack, b_stack);
  const int64_t inner = b.shape[b.shape.rank() - 2], cols = b.shape[b.shape.rank() - 1];
  const int64_t rows = context.type(x).shape[context.type(x).shape.rank() - 2];
  if (b_stack.elements() == 1) {
    x = times_matrix(context, x, FloatTensor(Shape{inner, cols}, b.values));
    return reshape(context, x, stacked(stack, rows, cols));
  }
  const int64_t count = stack.elements();
  const Shape whole = stacked(stack, inner, cols);
  FloatTensor all = view(b, whole, 0, broadcast_strides(b.shape, whole));
  all.shape = Shape{count, inner, cols};
  x = reshape(context, expanded(context, x, stacked(stack, rows, inner)), Shape{count, rows, inner});
  return reshape(context, times_stack(context, x, all), stacked(stack, rows, cols));
}

// lower_right: secret * constant.
void lower_right(LowerContext& context, const Operands& o, const FloatTensor& b) {
  const SlotId x = reshape(context, context.operand(0), stacked(o.a_stack, o.rows, o.inner));
  const FloatTensor matrices(stacked(o.b_stack, o.inner, o.cols), b.values);
  finish(context, times_constant(context, x, o.a_stack, matrices, o.b_stack));
}

// lower_left: constant * secret = (secret' * constant')'.
void lower_left(LowerContext& context, const Operands& o, const FloatTensor& a) {
  const FloatTensor matrices(stacked(o.a_stack, o.rows, o.inner), a.values);
  const FloatTensor weight = transpose(matrices, swap_last(matrices.shape.rank()));
  SlotId x = reshape(context, context.operand(1), stacked(o.b_stack, o.inner, o.cols));
  if (o.cols != 1) {
    x = swapped(context, x, swap_last(context.type(x).shape.rank()));
  } else {
    x = reshape(context, x, stacked(o.b_stack, o.cols, o.inner));
  }
  SlotId y = times_constant(context, x, o.b_stack, weight, o.a_stack);
  if (o.cols != 1) y = swapped(context, y, swap_last(context.type(y).shape.rank()));
  finish(context, y);
}

// lower_secret: a stack of products of two secrets.
void lower_secret(LowerContext& context, const Operands& o) {
  const auto matrices = [&](int side, const Shape& stack, int64_t rows, int64_t cols) {
    const SlotId x = reshape(context, context.operand(side), stacked(stack, rows, cols));
    return reshape(context, expanded(context, x, stacked(o.stack, rows, cols)), {o.stack.elements(), rows, cols});
  };
  const BatchMatmul geometry{o.stack.elements(), o.rows, o.inner, o.cols};
  const SlotId a = matrices(0, o.a_stack, o.rows, o.inner), b = matrices(1, o.b_stack, o.inner, o.cols);
  finish(context, context.product(a, b, geometry));
}

void lower(LowerContext& context) {
  const FloatTensor *a = float_constant(context, 0), *b = float_constant(context, 1);
  const Operands o = *operands_of(context.input_shape(0), context.input_shape(1));
  if (a == nullptr && b == nullptr) return lower_secret(context, o);
  return b ? lower_right(context, o, *b) : lower_left(context, o, *a);
}

}  // namespace

constinit const OpDef kMatMul{"MatMul", infer, evaluate, range, lower};

}  // namespace treville::ops
