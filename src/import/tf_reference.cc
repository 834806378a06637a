#include "import/tf_reference.h"

#include <charconv>

namespace treville::import {

TfReference parse_reference(const std::string& text) {
  TfReference reference;
  if (!text.empty() && text[0] == '^') return {text.substr(1), 0, true};
  const size_t colon = text.rfind(':');
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, reference.output);
    if (error == std::errc() && stop == end && colon + 1 < text.size() && reference.output >= 0) {
      reference.name = text.substr(0, colon);
      return reference;
    }
  }
  return {text, 0, false};
}

}  // namespace treville::import
