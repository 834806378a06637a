// keras_topology reads which layers a Keras model has and how they are called: of a Sequential model a chain, of a
// functional one a graph, in the spelling of Keras 2 or of Keras 3. What the layers mean is not its concern.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace treville::import {

// TensorRef names a result: of which layer, which of its calls, which of the call's results.
struct TensorRef {
  std::string layer;
  int64_t call = 0, tensor = 0;
};

// ArgumentSpec is what a call is given: results, or a value written in the file.
struct ArgumentSpec {
  std::vector<TensorRef> tensors;
  const nlohmann::json* literal = nullptr;
};

// CallSpec is one call of a layer.
struct CallSpec {
  std::vector<ArgumentSpec> positional;
  std::map<std::string, ArgumentSpec> keyword;
};

// LayerSpec is a layer with all its calls.
struct LayerSpec {
  std::string name, class_name, kind_and_number;
  const nlohmann::json* entry = nullptr;   // the whole entry
  const nlohmann::json* config = nullptr;  // its "config"
  std::vector<CallSpec> calls;
  int64_t first_call = 0;  // the number that references give the first of `calls`
  bool is_input = false;
  bool is_function = false;  // an operation of Keras 3: it has no weights and is no layer
};

// ModelSpec is a model; `index` finds a layer by its name.
struct ModelSpec {
  std::vector<LayerSpec> layers;
  std::map<std::string, size_t> index;
  std::vector<TensorRef> inputs, outputs;
};

// is_model: the layer is a model of its own.
bool is_model(const LayerSpec& layer);

// read_topology reads {"class_name": "Sequential" | "Functional" | "Model", "config": ...}. The result points into
// `model`, and into `made`, which takes configurations that the file leaves out. `version` is Keras's. Nothing of the
// file is trusted: UserError, naming `file`, for what Keras does not write. References name layers that exist; that the
// calls exist is for the reader of the result to check.
ModelSpec read_topology(const nlohmann::json& model, int version, const std::string& file,
                        std::deque<nlohmann::json>& made);

}  // namespace treville::import
