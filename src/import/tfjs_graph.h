// tfjs_graph reads TensorFlow.js graph models: a model.json with a GraphDef written as JSON, whose constants stand in
// shards beside it (tfjs_weights.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "import/import.h"

namespace treville::import {

// import_tfjs_graph reads the text of a model.json whose shards are in `folder`; nothing when it is JSON that is no
// graph model. Throws UserError when the text is no JSON, or a graph model that is damaged.
std::optional<ImportResult> import_tfjs_graph(const std::string& text, const std::filesystem::path& folder,
                                              const std::string& file, const ImportOptions& options);

}  // namespace treville::import
