// Three party processes on this machine, as `treville run` starts them: a private folder with fresh certificates, the
// public program for all, the weights for the model owner, each input for its owner; the results come back as JSON.
#pragma once

#include <sys/types.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/inputs.h"
#include "program/program.h"
#include "program/weights.h"

namespace treville::cli {

struct LocalJob {
  const Program* program = nullptr;
  const Weights* weights = nullptr;                // for the model owner's process only
  const std::vector<Inference>* inputs = nullptr;  // by input of the program; null where the command takes none
  std::string command = "party";
  int count = 1;                            // of inferences, where inputs do not say it
  std::string store = {};                   // where the parties keep things; empty: nothing outlives the run
  std::vector<std::string> arguments = {};  // more of them, for all three
};

// LocalStore is where a local party's store stands in the folder of all three.
struct LocalStore {
  std::string folder, key;
};
LocalStore local_store(const std::string& folder, PartyId party);

// ProgressUpdate: what the model owner's process reports while it works.
using ProgressUpdate = std::function<void(int64_t done, int64_t total, const std::string& what)>;

struct LocalResult {
  std::array<Json, 3> parties;  // what `treville party --json` printed
  double seconds = 0;           // from the first process started to the last one ended
};

// run_local_parties starts the processes and waits for them. When one fails, the error of the party that names the
// root cause is thrown as the kind it was; the others are ended.
LocalResult run_local_parties(const LocalJob& job, const ProgressUpdate& progress);

}  // namespace treville::cli
