// Suggestions for mistyped names: unknown options, keys and operations are errors that name the nearest known one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace treville {

// closest returns the known name with the smallest edit distance to `name` (at most a third of its length, at least
// two), or an empty view.
std::string_view closest(std::string_view name, std::span<const std::string_view> known);

// did_you_mean gives "; did you mean 'crop'?", or a list of the known names when none is near.
std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& known);

}  // namespace treville
