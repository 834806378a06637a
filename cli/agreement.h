// What the recipient would see of the float model, and whether a computed output agrees with it; shared by run and
// compare.
#pragma once

#include <string>
#include <vector>

#include "cli/results.h"
#include "compile/compile.h"
#include "compile/reference.h"

namespace treville::cli {

// float_outputs runs the float model: its outputs in the program's order and by its names, as revealed and after
// post-processing. inputs are in the order of the graph's; observer, where given, sees every value.
std::vector<NamedOutput> float_outputs(const Compiled& compiled, const std::vector<FloatTensor>& inputs,
                                       const ValueObserver& observer = {});

// Agreement of one output with the float model's on one inference.
struct Agreement {
  bool agrees = true;
  double largest_error = 0;  // of the values before a softmax
  double largest_value = 0;  // of the float model, to judge it by
  std::string float_prediction;
};

// agreement_of compares one output. Scores agree where the same class is best (two that the float model holds equal
// within the error may swap) and no value differs by more than a fiftieth of the largest; labels where they are equal.
Agreement agreement_of(const NamedOutput& computed, const NamedOutput& reference,
                       const std::vector<std::string>& labels);

}  // namespace treville::cli
