// tfjs_weights reads the weights of TensorFlow.js models, graph models and layers models alike: the weightsManifest of
// a model.json lists groups; a group's tensors stand one after the other in its shards, cut anywhere, and may be
// quantised to uint8, uint16 or float16.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tensor/float_tensor.h"

namespace treville::import {

// read_tfjs_weights returns every tensor of `manifest` (the value of "weightsManifest") by its name, as real numbers
// (quantised ones are scaled back). Shards are files in `folder`; `file` is the model's name for messages. Throws
// UserError when the manifest is not as the format wants, and when a shard is missing, cut short or too long.
std::map<std::string, Constant> read_tfjs_weights(const nlohmann::json& manifest, const std::filesystem::path& folder,
                                                  const std::string& file);

}  // namespace treville::import
