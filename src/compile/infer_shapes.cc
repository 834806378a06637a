#include "compile/infer_shapes.h"

#include <algorithm>

#include "base/error.h"
#include "compile/fold_constants.h"
#include "ops/op.h"
#include "program/rules.h"

namespace treville {
namespace {

// check_size throws UserError for a shape that no program could hold: a small file may ask for any size.
void check_size(const Graph& graph, const std::string& value, const Shape& shape) {
  int64_t elements = 1;
  for (int64_t dim : shape.dims()) {
    const bool fits = dim <= kMaxElements && (elements *= std::max<int64_t>(dim, 1)) <= kMaxElements;
    if (fits) continue;
    throw UserError("{}: value \"{}\" would have shape {}, more than the {} elements that are supported", graph.name,
                    value, to_string(shape), kMaxElements);
  }
}

void fix_input_shapes(Graph& graph, std::optional<int64_t> batch) {
  for (ValueId input : graph.inputs) {
    Value& value = graph.value(input);
    if (!value.shape) throw UserError("input {}: the model does not say its shape. Export it with one.", value.name);
    Shape& shape = *value.shape;
    if (batch && shape.rank() > 0 && shape[0] < 0) shape[0] = *batch;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] >= 0) continue;
      throw UserError("input {}: dimension {} of {} is dynamic. {}", value.name, axis, to_string(shape),
                      axis == 0 ? "Fix it with --batch (usually --batch 1)." : "Export the model with a fixed shape.");
    }
    check_size(graph, value.name, shape);
  }
}

void check_supported(const Graph& graph) {
  std::string missing;
  for (const Node& node : graph.nodes) {
    const OpDef* op = find_op(node.op);
    if (op == nullptr || op->infer == nullptr)
      missing += fmt::format("\n  node \"{}\": {}", node.name, node.origin.empty() ? node.op : node.origin);
  }
  if (!missing.empty()) throw UserError("{}: these operations are not supported:{}", graph.name, missing);
}

}  // namespace

void infer_node(Graph& graph, Node& node) {
  InferContext context(graph, node);
  find_op(node.op)->infer(context);
  CHECK(context.results.size() >= node.outputs.size(), "{}: {} output shapes for {} outputs", node.op,
        context.results.size(), node.outputs.size());
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    Value& value = graph.value(node.outputs[i]);
    check_size(graph, value.name, context.results[i]);
    value.shape = context.results[i];
    if (i < context.dtypes.size()) {
      value.dtype = context.dtypes[i];
    } else if (!node.inputs.empty()) {
      value.dtype = graph.value(node.inputs[0]).dtype;
    }
  }
}

void infer_shapes(Graph& graph, std::optional<int64_t> batch) {
  check_supported(graph);
  fix_input_shapes(graph, batch);
  for (size_t i = 0; i < graph.value_count(); ++i) {
    Value& value = graph.value(ValueId(i));
    if (value.constant) value.shape = shape_of(*value.constant);
  }
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    infer_node(graph, node);
    if (!fold_node(graph, node)) kept.push_back(std::move(node));
  }
  graph.nodes = std::move(kept);
}

}  // namespace treville
