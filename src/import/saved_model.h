// saved_model reads a TensorFlow SavedModel without TensorFlow: the graph that one of its signatures computes, with
// variables replaced by their values from the checkpoint. Models of TensorFlow 1 (sessions) and 2 (functions) alike.
#pragma once

#include <filesystem>
#include <string>

#include "import/import.h"
#include "saved_model_format.pb.h"

namespace treville::import {

// import_saved_model reads folder/saved_model.pb and folder/variables. `file` is the model's name for messages.
// options.signature chooses what to compute; inputs and outputs have the signature's names.
ImportResult import_saved_model(const std::filesystem::path& folder, const std::string& file,
                                const ImportOptions& options);
// The same for a parsed saved_model.pb.
ImportResult import_saved_model(tf_format::SavedModel model, const std::filesystem::path& folder,
                                const std::string& file, const ImportOptions& options);

}  // namespace treville::import
