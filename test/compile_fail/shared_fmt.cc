// Secrets are not formatted.
#include <fmt/format.h>

#include "mpc/value.h"

std::string show(const treville::Shared& x) { return fmt::format("{}", x); }
