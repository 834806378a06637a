// drop_constants removes constants that no step reads any more and numbers the others in the order of their use.
#pragma once

#include <vector>

#include "program/program.h"
#include "tensor/ring_tensor.h"

namespace treville {

void drop_constants(Program& program, std::vector<RingTensor>& constants);

}  // namespace treville
