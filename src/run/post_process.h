// What a recipient computes in the clear, on its own, from a value that was revealed to it: a softmax, or the largest
// values along the last axis. The program only names it (PostProcess); the values themselves are already known here.
#pragma once

#include <cstdint>

#include "program/program.h"
#include "tensor/float_tensor.h"

namespace treville {

// post_process gives what the model's output is, from the revealed values. `top` is the number of values or indices
// kept by kTopValues and kTopIndices (largest first, the lower index first on ties); indices are given as floats.
FloatTensor post_process(const FloatTensor& revealed, PostProcess post, int64_t top);

}  // namespace treville
