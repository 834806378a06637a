// keras_model translates a Keras model's configuration (JSON) and its weights into a Graph: Sequential and functional
// models, models inside models, layers that are called several times. Which layers there are and how they are called is
// read in keras_topology.h, what a layer means is in the tables of keras_layer.h.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "import/import.h"
#include "import/keras_weights.h"

namespace treville::import {

// import_keras_config translates the configuration `text`. `version` is the Keras version that wrote it ("2.15.0").
ImportResult import_keras_config(const std::string& text, const std::string& version, const std::string& format,
                                 const KerasWeights& weights, const std::string& file, const ImportOptions& options);

// import_keras_json does so for parsed JSON: a model, or an object with one at "model_config".
ImportResult import_keras_json(const nlohmann::json& parsed, const std::string& version, const std::string& format,
                               const KerasWeights& weights, const std::string& file, const ImportOptions& options);

// import_keras_h5 reads an .h5 file: the configuration is an attribute. `bytes` is the whole file.
ImportResult import_keras_h5(std::string bytes, const std::string& file, const ImportOptions& options);

// import_keras_archive reads a .keras file: config.json, metadata.json and model.weights.h5 in a ZIP archive.
ImportResult import_keras_archive(std::string bytes, const std::string& file, const ImportOptions& options);

// import_tfjs_layers reads the model.json of a TensorFlow.js layers model; its shards are files in `folder`. Absent:
// the JSON is none of a layers model.
std::optional<ImportResult> import_tfjs_layers(const std::string& text, const std::filesystem::path& folder,
                                               const std::string& file, const ImportOptions& options);

}  // namespace treville::import
