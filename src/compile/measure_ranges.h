// measure_ranges finds how large every value of the float graph becomes: by running samples through it, from the ranges
// that a quantised model declares, by running random inputs of the input interval, or by interval arithmetic.
#pragma once

#include <vector>

#include "compile/compile.h"

namespace treville {

// RangeSource is what decides the ranges. kModel: the graph declares them, at least for all inputs.
enum class RangeSource : uint8_t { kSamples, kModel, kSynthetic, kGuaranteed };

// range_source: kCalibrated means samples where there are any, then the model's own ranges, else random inputs.
RangeSource range_source(const Graph& graph, const CompileOptions& options);
// is_calibrated: typical inputs have decided the ranges, here or where the model was quantised.
inline bool is_calibrated(RangeSource source) {
  return source == RangeSource::kSamples || source == RangeSource::kModel;
}

// measure_ranges returns the range of each value, by ValueId, with the margin of options applied.
std::vector<ValueRange> measure_ranges(const Graph& graph, const CompileOptions& options);

}  // namespace treville
