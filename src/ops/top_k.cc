// TopK: the k largest (or smallest) elements along an axis and their indices, the lower index first on ties. At run
// time the recipient chooses them from the revealed operand, as it computes a softmax, so it may only end a model.
#include <algorithm>
#include <numeric>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

void infer(InferContext& context) {
  check_inputs(context, 1, 2);
  Node& node = context.node();
  Shape shape = context.shape(0);
  const auto axis = static_cast<int>(axis_of(context, node.get_int("axis", -1), shape));
  if (context.input_count() > 1) {
    const Ints k = context.ints(1);
    if (k.size() != 1) context.fail(fmt::format("its k has {} elements", k.size()));
    node.attributes["k"] = k[0];
    node.inputs.resize(1);
  }
  const int64_t k = node.get_int("k", 0);
  if (k < 1 || k > shape[axis]) context.fail(fmt::format("k is {}, but axis {} of {}", k, axis, to_string(shape)));
  shape[axis] = k;
  context.results = {shape, shape};
  context.dtypes = {context.dtype(0), DType::kInt};
}

template <class Tensor>
std::vector<Constant> top(const Tensor& x, int axis, int64_t k, bool largest) {
  Tensor values(x.shape);
  values.shape[axis] = k;
  values.values.resize(static_cast<size_t>(values.shape.elements()));
  IntTensor indices(values.shape);
  int64_t inner = 1;
  for (int i = axis + 1; i < x.shape.rank(); ++i) inner *= x.shape[i];
  const int64_t extent = x.shape[axis], outer = x.shape.elements() / (inner * extent);
  std::vector<size_t> order(static_cast<size_t>(extent));
  for (int64_t line = 0; line < outer * inner; ++line) {
    const int64_t first = line / inner * extent * inner + line % inner;
    const auto at = [&](size_t i) { return x.values[static_cast<size_t>(first) + i * static_cast<size_t>(inner)]; };
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return largest ? at(a) > at(b) : at(a) < at(b); });
    for (int64_t i = 0; i < k; ++i) {
      const auto to = static_cast<size_t>((line / inner * k + i) * inner + line % inner);
      values.values[to] = at(order[static_cast<size_t>(i)]);
      indices.values[to] = static_cast<int64_t>(order[static_cast<size_t>(i)]);
    }
  }
  std::vector<Constant> results;
  results.push_back(std::move(values));
  results.push_back(std::move(indices));
  return results;
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  const bool largest = node.get_int("largest", 1) != 0;
  return std::visit(
      [&](const auto& x) {
        const auto axis = static_cast<int>(*normal_axis(node.get_int("axis", -1), x.shape.rank()));
        return top(x, axis, node.get_int("k", 1), largest);
      },
      *inputs[0]);
}

void lower(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  for (size_t i = 0; i < context.node().outputs.size(); ++i) context.set_result(x, static_cast<int>(i));
}

}  // namespace

constinit const OpDef kTopK{"TopK", infer, evaluate, same_range, lower};

}  // namespace treville::ops
