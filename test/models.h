// Where tests find the trained models that are too large for the repository. Tests skip with a message without them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace treville::test {

// models_dir is $TREVILLE_MODELS, else the folder shared/models beside the source tree, when there is such a folder.
inline std::optional<std::filesystem::path> models_dir() {
  const char* given = std::getenv("TREVILLE_MODELS");
  const std::filesystem::path path = given != nullptr
                                         ? std::filesystem::path(given)
                                         : std::filesystem::path(TREVILLE_SOURCE_DIR) / ".." / "shared" / "models";
  if (!std::filesystem::is_directory(path)) return std::nullopt;
  return path;
}

}  // namespace treville::test

// TREVILLE_NEED_MODELS(dir) sets `dir`, or skips the test.
#define TREVILLE_NEED_MODELS(dir)                                                                  \
  const auto dir##_found = ::treville::test::models_dir();                                         \
  if (!dir##_found) GTEST_SKIP() << "no models: set TREVILLE_MODELS to the folder of test models"; \
  const std::filesystem::path& dir = *dir##_found
