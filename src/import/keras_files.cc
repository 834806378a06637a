// The files that a Keras model comes in: where each keeps the configuration, the version and the weights.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "import/keras_json.h"
#include "import/keras_model.h"
#include "import/tfjs_weights.h"
#include "base/zip_archive.h"

namespace treville::import {
namespace {

using nlohmann::json;

// A list keeps the manifest's order, which is the order of a layer's weights.
NamedWeights tfjs_weights(const json& manifest, const std::filesystem::path& folder, const std::string& file) {
  std::map<std::string, Constant> tensors = read_tfjs_weights(manifest, folder, file);
  std::vector<std::pair<std::string, Constant>> ordered;
  for (const json& group : manifest) {
    for (const json& weight : group["weights"]) {
      const auto found = tensors.find(weight["name"].get<std::string>());
      if (found != tensors.end()) ordered.emplace_back(found->first, std::move(found->second));
    }
  }
  return NamedWeights(std::move(ordered));
}

}  // namespace

ImportResult import_keras_h5(std::string bytes, const std::string& file, const ImportOptions& options) {
  const Hdf5File container(std::move(bytes), file);
  const auto config = container.string_attribute("", "model_config");
  if (!config) {
    throw UserError("{}: the file holds no model, perhaps only weights. Save the whole model with model.save.", file);
  }
  const LegacyWeights weights(container, container.exists("model_weights") ? "model_weights" : "");
  return import_keras_config(*config, container.string_attribute("", "keras_version").value_or("2"), "keras-h5",
                             weights, file, options);
}

ImportResult import_keras_archive(std::string bytes, const std::string& file, const ImportOptions& options) {
  constexpr uint64_t kMostText = uint64_t{1} << 26, kMostWeights = uint64_t{1} << 31;
  const ZipArchive archive(std::move(bytes), file);
  const auto config = archive.entry("config.json", kMostText);
  auto packed = archive.entry("model.weights.h5", kMostWeights);
  if (!config || !packed) {
    throw UserError(
        "{}: expected config.json and model.weights.h5 in the archive. It is not a .keras file; save the "
        "model with model.save(\"model.keras\").",
        file);
  }
  std::string version = "3";
  if (const auto metadata = archive.entry("metadata.json", kMostText)) {
    const json parsed = parse_json(*metadata, file);
    if (parsed.is_object() && parsed.contains("keras_version") && parsed["keras_version"].is_string()) {
      version = parsed["keras_version"].get<std::string>();
    }
  }
  const Hdf5File container(std::move(*packed), file);
  return import_keras_config(*config, version, "keras", ArchiveWeights(container), file, options);
}

std::optional<ImportResult> import_tfjs_layers(const std::string& text, const std::filesystem::path& folder,
                                               const std::string& file, const ImportOptions& options) {
  const json parsed = parse_json(text, file);
  if (!parsed.is_object()) return {};
  if (parsed.contains("class_name") && parsed.contains("config")) {
    throw UserError("{}: this is a model's configuration without weights. Save the whole model with model.save.", file);
  }
  if (!parsed.contains("modelTopology")) return {};
  const json& topology = parsed["modelTopology"];
  if (!topology.is_object() || topology.contains("node")) return {};
  if (!parsed.contains("weightsManifest")) throw UserError("{}: it has no weights. Convert the model again.", file);
  try {
    const NamedWeights weights = tfjs_weights(parsed["weightsManifest"], folder, file);
    const bool versioned = topology.contains("keras_version") && topology["keras_version"].is_string();
    const std::string version = versioned ? topology["keras_version"].get<std::string>() : "2";
    return import_keras_json(topology, version, "tfjs-layers", weights, file, options);
  } catch (const json::exception&) {
    throw UserError("{}: the model's configuration is not as TensorFlow.js writes it. Convert the model again.", file);
  }
}

}  // namespace treville::import
