// Results of a run: decoding, predictions and their JSON and text; shared by run, party, compare and demo.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/model.h"
#include "run/execute.h"

namespace treville::cli {

// NamedOutput is one revealed output as the recipient reads it: decoded, and after the softmax or the
// choice of the largest that the program names.
struct NamedOutput {
  std::string name;
  FloatTensor raw;    // as revealed
  FloatTensor final;  // after post-processing; equal to raw where there is none
  bool has_softmax = false;
  bool is_label = false;  // indices, not scores
};

NamedOutput decode_output(const RevealedOutput& output);
// decode_outputs decodes what was revealed, in the program's order; halves that stay with their owners are left out.
std::vector<NamedOutput> decode_outputs(const std::vector<RevealedOutput>& outputs);
// output_names lists a program's outputs in its order: those revealed to one party, or all.
std::vector<std::string> output_names(const Program& program, std::optional<PartyId> recipient = std::nullopt);
Json to_json(const NamedOutput& output);
NamedOutput output_from_json(const Json& json);

// describe_prediction says what an output means for one sample: "3 (99.1 %)", or the first values. Labels that are not
// one for each value of the output are those of another one, and are not used.
std::string describe_prediction(const NamedOutput& output, const std::vector<std::string>& labels);
// predictions_json lists the top 5 of the sample.
Json predictions_json(const NamedOutput& output, const std::vector<std::string>& labels);
// is_classification tells whether an output is one row of scores.
bool is_classification(const NamedOutput& output);

}  // namespace treville::cli
