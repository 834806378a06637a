#include "ops/op.h"

#include "base/error.h"
#include "ops/common.h"

namespace treville {

const Shape& InferContext::shape(int input) const {
  CHECK(input < static_cast<int>(node_.inputs.size()), "{} has no input {}", node_.op, input);
  const Value& value = graph_.value(node_.inputs[static_cast<size_t>(input)]);
  CHECK(value.shape.has_value(), "the shape of \"{}\" is not known yet", value.name);
  return *value.shape;
}

const Constant* InferContext::constant(int input) const {
  if (input >= static_cast<int>(node_.inputs.size())) return nullptr;
  return graph_.constant(node_.inputs[static_cast<size_t>(input)]);
}

std::vector<int64_t> InferContext::ints(int input) const {
  if (input >= input_count()) fail(fmt::format("expected an input {}, found {} inputs", input, input_count()));
  const Constant* held = constant(input);
  const IntTensor* tensor = held ? std::get_if<IntTensor>(held) : nullptr;
  if (tensor == nullptr) {
    fail(fmt::format("input {} (\"{}\") must be integers known at compile time. Export the model with fixed shapes.",
                     input, graph_.value(node_.inputs[static_cast<size_t>(input)]).name));
  }
  return tensor->values;
}

void InferContext::fail(const std::string& message) const { ops::fail_node(graph_, node_, message); }

}  // namespace treville
