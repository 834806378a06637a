// judge_ranges says of every step that opens a value how it is known that the value fits: a proof by interval
// arithmetic over the integers of the finished program, weights included, or the room that typical inputs leave. What
// does not fit wraps silently, so the verdicts stand in the program, for all parties to see.
// docs/fixed-point.md, verdicts, says what they mean.
#pragma once

#include <string>
#include <vector>

#include "program/program.h"
#include "tensor/ring_tensor.h"

namespace treville {

// IntegerRange of a value's integers; whole numbers, or a little wider where a double cannot hold them.
struct IntegerRange {
  double low = 0, high = 0;
  double magnitude() const;
};

// prove_steps bounds the integer that each step makes, for every input within its declared bound whose values fit what
// the earlier steps open: a proof about a step is that it cannot be the first one to fail.
// constants: by ConstantId, the weights and biases. Takes about as long as one pass over the weights.
std::vector<IntegerRange> prove_steps(const Program& program, const std::vector<RingTensor>& constants);

// Evidence is what is known of the integer that each step opens, truncated: by step, the largest magnitude, negative
// where nothing is known. kTypical: of typical inputs. kProof: of all inputs, by interval arithmetic over real numbers.
struct Evidence {
  enum class Kind : uint8_t { kTypical, kProof };
  Kind kind = Kind::kTypical;
  std::vector<double> largest;
};

// evidence_of_bounds reads a compiled program's own bounds, which are 2^margin_bits times the largest seen.
Evidence evidence_of_bounds(const Program& program, Evidence::Kind kind, int margin_bits);

// judge_ranges writes a verdict into every step that opens something. What is neither proved nor has evidence is
// unsafe. What lowering has proved stays so: it knows that a sigmoid is at most 1, whatever steps compute it.
void judge_ranges(Program& program, const std::vector<RingTensor>& constants, const Evidence& evidence);

// VerdictCount sums a program's verdicts up; unsafe_layers are in the order of the steps, each once.
struct VerdictCount {
  int proved = 0, calibrated = 0, unsafe = 0;
  double least_margin = kMostMargin;  // of the calibrated ones
  std::vector<std::string> unsafe_layers;
};
VerdictCount count_verdicts(const Program& program);

}  // namespace treville
