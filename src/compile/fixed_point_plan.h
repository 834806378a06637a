// FixedPointPlan says for every value of a graph how large it may become and how many fraction bits it should have.
// Scales here are *effective*: a sum that stands for an average of d elements, held at scale s, has s + log2(d).
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "graph/graph.h"
#include "ops/op.h"

namespace treville {

// Ranges: kCalibrated from samples, kSynthetic from random inputs of the declared interval, kGuaranteed by interval
// arithmetic from that interval.
enum class Ranges : uint8_t { kCalibrated, kSynthetic, kGuaranteed };

// ValueRange is what is known of a value: |x| <= bound with the margin included, its typical size, and two intervals
// for the functions that are looked up (margin included; an empty one stands for -bound to bound): `ratio` keeps the
// sign of a value that was always positive or always negative, as a reciprocal needs, `wide` also allows for sums that
// come out differently by as much as they varied.
struct ValueRange {
  double bound = 0;
  double rms = 0;
  Interval ratio{}, wide{};
  bool is_proved = false;  // bound holds whatever the inputs are: a sigmoid stays below 1
  Interval arguments(bool keeps_sign) const {
    const Interval& chosen = keeps_sign ? ratio : wide;
    return chosen.low < chosen.high ? chosen : Interval{-bound, bound};
  }
};

// ValuePlan: scale is the number of fraction bits wanted once the value is truncated; limit is the largest at which it,
// and every sum it enters before the next truncation, still fits the ring; wants_mask says that a linear layer reads it
// (perhaps through local operations).
struct ValuePlan {
  ValueRange range;
  int scale = 0;
  int limit = 0;
  bool wants_mask = false;
};

struct FixedPointPlan {
  Ring ring = Ring::k32;
  Bits k_max{20};
  std::vector<ValuePlan> values;  // by ValueId
  const ValuePlan& of(ValueId id) const { return values[index_of(id)]; }
};

// magnitude_bits is the number e of integer bits of a range: the values of magnitude `bound` and their rounding stay
// below 2^e with something to spare. It is negative for bounds below 1/2.
int magnitude_bits(double bound);
// width_bits is the smallest k with |round(x * 2^scale)| + 1 < 2^(k-1) for all |x| <= bound.
int width_bits(double bound, int scale);

}  // namespace treville
