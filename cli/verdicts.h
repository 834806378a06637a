// How it is known that the ranges of a program hold, for people and as JSON; and the two files of a compiled model.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/model.h"
#include "compile/judge_ranges.h"

namespace treville::cli {

// describe: "3 steps proved, 49 calibrated with at least 2.1 bits of margin, 0 unsafe".
std::string describe(const VerdictCount& verdicts);
Json to_json(const VerdictCount& verdicts);
const char* name_of(RangeVerdict verdict);

struct CompiledFiles {
  std::string program, weights, digest;
};
// write_compiled writes program.treville and weights.treville (mode 0600) into a folder, which it makes. It takes the
// weights out of the model. Throws UserError.
CompiledFiles write_compiled(const std::string& directory, CompiledModel& model);
void print_files(const CompiledFiles& files);

}  // namespace treville::cli
