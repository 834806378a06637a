// Keys are not formatted.
#include <fmt/format.h>

#include "crypto/prg.h"

std::string show(const treville::Key& key) { return fmt::format("{}", key); }
