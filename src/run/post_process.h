// What a recipient computes in the clear, on its own, from a value that was revealed to it: a softmax or its logarithm,
// the largest or least values along an axis, an index counted from the other end. The program only names it
// (PostProcess); the values themselves are already known here.
#pragma once

#include <cstdint>

#include "program/program.h"
#include "tensor/float_tensor.h"

namespace treville {

// post_process gives what the model's output is, from the revealed values. `top` is the number of values or indices
// that are kept (largest or least first, the lower index first on ties), or the number of elements of which one's index
// is counted from the last; `axis` the one along which they lie (-1: the last). Indices are given as floats.
FloatTensor post_process(const FloatTensor& revealed, PostProcess post, int64_t top, int64_t axis = -1);

}  // namespace treville
