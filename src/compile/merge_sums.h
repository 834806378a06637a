// merge_sums makes one linear step of the sum of two: a projection and the branch it joins are then dealt and
// corrected together (docs/protocols/porthos.md, section 4).
#pragma once

#include <vector>

#include "program/program.h"
#include "tensor/ring_tensor.h"

namespace treville {

// merge_sums needs single-assignment form; constants gain the sums of biases.
void merge_sums(Program& program, std::vector<RingTensor>& constants);

}  // namespace treville
