// The protocol "clear": fixed point without secrets, one party that owns the input and the weights and receives the
// output. It is the oracle of the other protocols: the same operations modulo the same powers of two, with truncation
// rounded to nearest, so that a protocol that rounds either way stays within one unit. It also checks every value that
// enters a step against the k the compiler gave it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mpc/protocol.h"

namespace treville {

// StepRange: what one step found of its truncated operands: how many there were, their largest magnitude and the bits
// it needs, the bits the step allows, and how many went beyond.
struct StepRange {
  StepId step{};
  std::string name;  // "relu conv1/relu"
  int64_t values = 0;
  uint64_t largest = 0;
  Bits used, allowed;
  int64_t violations = 0;
};

// RangeReport has a row for every step that truncates, in the order they ran.
struct RangeReport {
  std::vector<StepRange> steps;
  bool ok() const;
  // message lists the steps whose values did not fit, with what to do; empty when all did.
  std::string message() const;
};

// ClearProtocol is the only pass; its phase is online. A value that does not fit is reduced as the protocols would
// reduce it, and counted in ranges(), which begins anew with each inference.
class ClearProtocol : public Protocol {
 public:
  virtual const RangeReport& ranges() const = 0;
};

// make_clear: weights has one tensor a spec; null in a dry run.
std::unique_ptr<ClearProtocol> make_clear(std::span<const WeightSpec> specs,
                                          const std::vector<const RingTensor*>* weights);

}  // namespace treville
