// measure_ranges finds how large every value of the float graph becomes: by running samples through it, by running
// random inputs of the declared interval, or by interval arithmetic.
#pragma once

#include <vector>

#include "compile/compile.h"

namespace treville {

// measure_ranges returns the range of each value, by ValueId, with the margin of options applied. kCalibrated without
// samples is measured like kSynthetic.
std::vector<ValueRange> measure_ranges(const Graph& graph, const CompileOptions& options);

// is_calibrated tells whether samples decide the ranges.
inline bool is_calibrated(const CompileOptions& options) {
  return options.ranges == Ranges::kCalibrated && !options.calibration.empty();
}

}  // namespace treville
