// variables finds where a checkpoint keeps the value of each variable of a graph, and puts the values in the variables'
// place.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "import/tensorflow.h"

namespace treville::import {

// replace_variables turns the variables of a flat graph into weights that are read from the checkpoint `prefix`. Which
// entry belongs to which variable is what the graph's own restore operations say; where there are none, what the
// checkpoint's object graph says; else an entry has the variable's name. `outputs` is what will be computed: UserError
// when that would change a variable it reads. The checkpoint is opened when the first value is read.
void replace_variables(TfModel& model, const std::vector<std::string>& outputs, const std::filesystem::path& prefix,
                       const std::string& file);

}  // namespace treville::import
