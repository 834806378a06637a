// parse_json reads the text of a model's configuration. How deep it nests is bounded, so that whatever walks it may
// recurse.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace treville::import {

// parse_json throws UserError, naming the file, when the text is no JSON or nests too deeply.
nlohmann::json parse_json(const std::string& text, const std::string& file);

}  // namespace treville::import
