// What the recipient computes itself when it ends a model.
#pragma once

#include <string_view>

namespace treville::ops {

// is_for_recipient: the operation has no steps of its own; at the end of a model the recipient computes it from its
// revealed operand.
inline bool is_for_recipient(std::string_view op) { return op == "Softmax" || op == "LogSoftmax" || op == "TopK"; }
// is_softmax: a softmax or its logarithm.
inline bool is_softmax(std::string_view op) { return op == "Softmax" || op == "LogSoftmax"; }

}  // namespace treville::ops
