// How tests of single operations and small models compile them for secure runs: in the 64-bit ring, calibrated on the
// inputs themselves where there is one, else with the range that covers all of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "compile/compile.h"

namespace treville::testing {

inline double largest_magnitude(const std::vector<FloatTensor>& tensors) {
  double largest = 0;
  for (const FloatTensor& tensor : tensors)
    for (float value : tensor.values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

// range_of gives the smallest and the largest number.
inline Interval range_of(const std::vector<FloatTensor>& tensors) {
  Interval range{0, 0};
  bool first = true;
  for (const FloatTensor& tensor : tensors) {
    for (const double value : tensor.values) {
      range = {first ? value : std::min(range.low, value), first ? value : std::max(range.high, value)};
      first = false;
    }
  }
  return range;
}

inline CompileOptions secure_options(const std::vector<FloatTensor>& inputs) {
  CompileOptions options;
  options.ring = Ring::k64;
  if (inputs.size() == 1) {
    options.calibration = {inputs};
  } else {
    options.ranges = Ranges::kSynthetic;
    options.input_range = range_of(inputs);
  }
  return options;
}

}  // namespace treville::testing
