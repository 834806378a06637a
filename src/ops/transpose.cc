// Transpose permutes axes: dimension i of the result is dimension perm[i] of x; without perm they are reversed, or with
// swap_last the last two exchanged.
#include <algorithm>
#include <numeric>

#include "ops/lowering.h"
#include "ops/ops.h"

namespace treville::ops {
namespace {

Ints permutation_of(const Node& node, int rank) {
  Ints reversed(static_cast<size_t>(rank));
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  return node.get_ints("perm", reversed);
}

void infer(InferContext& context) {
  check_inputs(context, 1, 2);
  if (context.input_count() > 1) {  // passes read the attribute
    context.node().attributes["perm"] = context.ints(1);
    context.node().inputs.resize(1);
  }
  const Shape& shape = context.shape(0);
  if (context.node().get_int("swap_last", 0) != 0) {
    Ints swapped(shape.dims().size());
    std::iota(swapped.begin(), swapped.end(), 0);
    if (shape.rank() < 2) context.fail(fmt::format("{} has no two last axes", to_string(shape)));
    std::swap(swapped[swapped.size() - 1], swapped[swapped.size() - 2]);
    context.node().attributes = {{"perm", swapped}};
  }
  Ints permutation = permutation_of(context.node(), shape.rank());
  Ints sorted = permutation, all(shape.dims().size());
  std::iota(all.begin(), all.end(), 0);
  std::sort(sorted.begin(), sorted.end());
  if (sorted != all)
    context.fail(
        fmt::format("perm {} does not permute the axes of {}", to_string(Shape(permutation)), to_string(shape)));
  context.results = {permuted(shape, permutation)};
}

std::vector<Constant> evaluate(const Graph&, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) { return ops::transpose(x, permutation_of(node, x.shape.rank())); });
}

void lower(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const Ints permutation = permutation_of(context.node(), context.type(x).shape.rank());
  if (std::is_sorted(permutation.begin(), permutation.end())) return context.set_result(x);
  context.set_result(context.emit(TransposeStep{x, permutation}));
}

}  // namespace

constinit const OpDef kTranspose{"Transpose", infer, evaluate, same_range, lower};

}  // namespace treville::ops
