// signature binds a graph's inputs and outputs to the names that a model's signature gives them.
#pragma once

#include <string>
#include <vector>

#include "import/import.h"
#include "import/tensorflow.h"
#include "saved_model_format.pb.h"

namespace treville::import {

// feed_inputs makes every input of the signature a placeholder: whatever computes it in the graph is cut off. The
// placeholders' names go to `model.input_names`.
void feed_inputs(const tf_format::SignatureDef& signature, TfModel& model, const std::string& file);

// Output is one result of a signature: the user's name and the graph's reference.
struct Output {
  std::string name, reference;
};

// choose_outputs gives the signature's results sorted by name, or those that options.outputs names: names of the
// signature first, else nodes of the graph.
std::vector<Output> choose_outputs(const tf_format::SignatureDef& signature, const ImportOptions& options);

// name_outputs gives the imported outputs the user's names.
void name_outputs(const std::vector<Output>& outputs, Graph& graph);

}  // namespace treville::import
