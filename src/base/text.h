// Small operations on text that several parsers share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace treville {

// split cuts text at every separator; empty parts stay, so there is always one part more than separators.
std::vector<std::string> split(std::string_view text, char separator);

}  // namespace treville
