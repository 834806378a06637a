// check_ranges runs a program in the clear and checks every value against the range the compiler allowed for: a value
// outside wraps silently in a secure run.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mpc/clear.h"
#include "program/program.h"
#include "run/execute.h"

namespace treville {

struct CheckedRun {
  RangeReport ranges;
  std::vector<RevealedOutput> outputs;
};

// largest_opened gives, for every step, the largest magnitude of the truncated integers it opened or revealed in a run
// of the program, as Opening::allowed counts them; -1 where it opened none.
std::vector<double> largest_opened(const Program& program, const CheckedRun& run);

// RangeChecker does what check_ranges does for many inputs: the weights are prepared once.
class RangeChecker {
 public:
  RangeChecker(const Program& program, const std::vector<RingTensor>& constants);
  CheckedRun run(const std::map<std::string, RingTensor>& inputs);

 private:
  Program wide_;
  std::vector<RingTensor> constants_;
  std::unique_ptr<ClearProtocol> clear_;
};

// check_ranges gives the outputs of "clear" and what every truncating step found. A program over Z_2^32 runs over
// Z_2^64 with the same k, where its sums do not wrap, so that a value too large for its ring is seen; in a program over
// Z_2^64 a sum beyond 2^63 is not.
CheckedRun check_ranges(const Program& program, const std::vector<RingTensor>& constants,
                        const std::map<std::string, RingTensor>& inputs);

// widened is a program over Z_2^64 that computes the same numbers; widened tensors are sign-extended.
Program widened(const Program& program);
RingTensor widened(const RingTensor& tensor);

}  // namespace treville
