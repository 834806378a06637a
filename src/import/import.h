// import reads a trained model's file and translates it into a Graph: ONNX (.onnx, operator sets 7 to 21), TensorFlow's
// frozen GraphDef (.pb) and SavedModel (its folder), TensorFlow Lite (.tflite, float and quantised), Keras (.h5,
// .keras) and TensorFlow.js models (model.json); docs/formats.md says what of each. Nothing after the importers knows
// the format. Files are untrusted: whatever their bytes, the answer is a Graph or one UserError that says what to do.
//
// Importers infer no shapes: what depends on one stays a node (Shape, Gather, Concat, ...) for the compiler to fold.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace treville {

struct ImportOptions {
  // batch fixes the first dimension of every input that leaves it open.
  std::optional<int64_t> batch = {};
  // input_shapes fixes inputs by name. It must agree with the dimensions the model gives.
  std::map<std::string, Shape> input_shapes = {};
  // outputs names what to compute; empty: the model's outputs (of a GraphDef: the nodes that no other node reads).
  std::vector<std::string> outputs = {};
  // signature chooses what a SavedModel computes; empty: serving_default, or the only one.
  std::string signature = {};
};

// UnsupportedNode is a node the importer cannot express, and why.
struct UnsupportedNode {
  std::string name;
  std::string origin;  // the operation as the format calls it
  std::string reason;  // "not supported", or which attribute is not, with what to do
};

// ImportResult is a whole model for inspection. Unsupported nodes stand in the graph as "Unsupported:<origin>".
struct ImportResult {
  Graph graph;
  std::vector<UnsupportedNode> unsupported;
};

// import_model throws UserError when the file is not a model this project reads, is damaged, or holds unsupported
// nodes: then one error lists all of them.
Graph import_model(const std::filesystem::path& path, const ImportOptions& options = {});

// inspect_model returns the unsupported nodes instead of throwing.
ImportResult inspect_model(const std::filesystem::path& path, const ImportOptions& options = {});

}  // namespace treville
