// What the local response normalisation is, for its float meaning and for the pass that expands it.
#pragma once

#include "ops/smooth.h"

namespace treville::ops {

// LrnWindow: how many channels before and after its own an element is normalised by.
struct LrnWindow {
  int64_t before, after;
};
LrnWindow lrn_window(const Node& node);
// lrn_factor gives (bias + alpha / size * sum)^-beta from the sum of squares in the window.
RealFunction lrn_factor(const Node& node);

}  // namespace treville::ops
