#include "program/digest.h"

#include "program/text.h"

namespace treville {

Digest digest(const Program& program) { return sha256(to_text(program)); }

}  // namespace treville
