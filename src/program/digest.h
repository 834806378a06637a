// The digest of a program is SHA-256 of its text form (so `sha256sum` of a program's file gives it). Parties compare it
// before they run, and weights name it.
#pragma once

#include "crypto/hash.h"
#include "program/program.h"

namespace treville {

Digest digest(const Program& program);

}  // namespace treville
