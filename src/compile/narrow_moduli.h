// narrow_moduli computes each linear layer modulo no more bits than its readers need: the correction that travels to
// the evaluator (docs/protocols/porthos.md, section 4) shrinks with it, and outputs reveal no needless high bits.
#pragma once

#include "program/program.h"

namespace treville {

// narrow_moduli needs single-assignment form.
void narrow_moduli(Program& program);

}  // namespace treville
