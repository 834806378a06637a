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

// lower_right: secret * constant, the leading dimensions folded into the rows.
void lower_right(LowerContext& context, const Operands& o, const FloatTensor& b) {
  const MatmulGeometry map{o.a_stack.elements() * o.rows, o.inner, o.cols};
  const SlotId x = reshape(context, context.operand(0), Shape{map.rows, map.inner});
  finish(context, context.linear(x, map, FloatTensor(Shape{o.inner, o.cols}, b.values), nullptr));
}

// lower_left: constant * secret = (secret' * constant')'.
void lower_left(LowerContext& context, const Operands& o, const FloatTensor& a) {
  const FloatTensor weight = transpose(FloatTensor(Shape{o.rows, o.inner}, a.values), {1, 0});
  SlotId x = context.operand(1);
  const bool is_vector = context.type(x).shape.rank() < 2;
  const Ints swap = is_vector ? Ints{} : swap_last(context.type(x).shape.rank());
  if (!is_vector) {
    const double bound = context.type(x).bound;
    x = context.emit(TransposeStep{x, swap}, bound);
  }
  Ints dims = o.b_stack.dims();
  dims.insert(dims.end(), {o.cols, o.rows});
  const MatmulGeometry map{o.b_stack.elements() * o.cols, o.inner, o.rows};
  SlotId y = context.linear(reshape(context, x, Shape{map.rows, map.inner}), map, weight, nullptr);
  if (!is_vector) y = context.emit(TransposeStep{reshape(context, y, Shape(dims)), swap});
  finish(context, y);
}

// lower_secret: a stack of products of two secrets.
void lower_secret(LowerContext& context, const Operands& o) {
  const auto stacked = [&](int side, const Shape& own_stack, int64_t rows, int64_t cols) {
    Ints own = own_stack.dims(), wanted = o.stack.dims();
    for (Ints* dims : {&own, &wanted}) dims->insert(dims->end(), {rows, cols});
    const SlotId x = expanded(context, reshape(context, context.operand(side), Shape(own)), Shape(wanted));
    return reshape(context, x, Shape{o.stack.elements(), rows, cols});
  };
  const BatchMatmul geometry{o.stack.elements(), o.rows, o.inner, o.cols};
  const SlotId a = stacked(0, o.a_stack, o.rows, o.inner), b = stacked(1, o.b_stack, o.inner, o.cols);
  finish(context, context.product(a, b, geometry));
}

void lower(LowerContext& context) {
  const FloatTensor *a = float_constant(context, 0), *b = float_constant(context, 1);
  const Operands o = *operands_of(context.input_shape(0), context.input_shape(1));
  if (a == nullptr && b == nullptr) return lower_secret(context, o);
  const bool is_stack = b ? o.b_stack.elements() != 1 : o.a_stack.elements() != 1;
  if (is_stack) {
    context.fail(fmt::format("a product with a stack of constant matrices {} is not supported (supported: one matrix)",
                             to_string(context.input_shape(b ? 1 : 0))));
  }
  return b ? lower_right(context, o, *b) : lower_left(context, o, *a);
}

}  // namespace

constinit const OpDef kMatMul{"MatMul", infer, evaluate, range, lower};

}  // namespace treville::ops
