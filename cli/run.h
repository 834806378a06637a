// The main job: secure inference of a model on inputs, in three local party processes, checked against the float model.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/model.h"

namespace treville::cli {

struct RunOptions {
  ModelOptions model;
  std::vector<std::string> inputs;
  std::string labels;
  std::vector<std::string> outputs;  // files to write to
  std::string store;                 // where the parties keep things between runs; empty: nowhere
  bool preprocessed = false;
  bool profile = false;
  bool no_check = false;
  bool json = false;
};

// run_model does all of `treville run`. `next_steps` are lines of advice at the end of the screen.
int run_model(const RunOptions& options, const std::vector<std::string>& next_steps);

}  // namespace treville::cli
