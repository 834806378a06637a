// reuse_slots renumbers slots so that a value takes the place of one that nobody reads any more. The executor keeps
// one value per slot, so this bounds its memory.
#pragma once

#include "program/program.h"

namespace treville {

// reuse_slots turns single-assignment form into the final one. A step's result never takes the slot of an operand.
void reuse_slots(Program& program);

}  // namespace treville
