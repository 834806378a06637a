#include "import/keras_json.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace treville::import {

nlohmann::json parse_json(const std::string& text, const std::string& file) {
  constexpr int kDeepest = 100;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth > kDeepest) throw UserError("{}: its JSON nests more than {} deep. The file is damaged.", file, kDeepest);
  }
  nlohmann::json parsed = nlohmann::json::parse(text, nullptr, false);
  if (parsed.is_discarded()) {
    throw UserError("{}: its configuration is not JSON. The file is damaged; save the model again.", file);
  }
  return parsed;
}

}  // namespace treville::import
