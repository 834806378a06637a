// Piecewise polynomials in fixed point: how a smooth function becomes one public table look-up and a few products
// (docs/protocols/porthos.md, section 11). Pure numerics; lookup.cc turns the result into steps.
//
// An argument is an integer X at x_scale. Its leading part is the index I = X / 2^truncate, rounded down or up as the
// local truncation happens to (docs/protocols/porthos.md, section 5), so entry I must serve all X in ((I-1) 2^t, (I+1)
// 2^t). The tables hold the coefficients of one polynomial for each index. Outside of the calibrated interval the
// function is constant, as at the interval's ends.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/smooth.h"
#include "tensor/look_up_table.h"

namespace treville::ops {

struct PiecewiseProblem {
  RealFunction function;
  double low = 0, high = 0;      // the interval of the arguments
  int x_scale = 0, y_scale = 0;  // fraction bits of the argument, and those in whose last place errors are counted
  int ring_bits = 32;
  int64_t elements = 1;  // how many arguments are looked up at once: few make round trips dearer than bits
};

// Coefficient: a table of integers at `scale`; bound is the largest magnitude of the numbers they stand for.
struct Coefficient {
  LookUpTable table;
  int scale = 0;
  double bound = 0;
};

// Level j says what happens to the sum of the terms above x^j: multiplied by the argument (or offset), then truncated
// by `truncate` bits (k wide) when it would not fit the ring, then coefficient j added.
struct Level {
  double product_bound = 0, sum_bound = 0;
  int product_scale = 0;  // before the truncation
  int truncate = 0, k = 0;
};

struct Piecewise {
  int degree = 0, n = 0, truncate = 0;
  int x_scale = 0;
  int64_t center = 0;                     // subtracted from X first
  bool has_offset = false;                // the polynomial is in X - I 2^truncate, else in X itself (degree 1 at most)
  LookUpTable index;                      // I itself, when has_offset
  std::vector<Coefficient> coefficients;  // of x^0, x^1, ...
  std::vector<Level> levels;              // levels[j] for j < degree
  int scale = 0;                          // of the result
  double bound = 0;                       // of the result
  double error = 0;                       // largest error over the interval, in units of the last place of y_scale
  double cost = 0;                        // in bits, a round trip counted as many
};

// Most bits of an index, and the largest error that a fit may have.
inline constexpr int kFewestIndexBits = 3, kMostIndexBits = 10;
inline constexpr double kLargestError = 2;
// What a round trip counts in bits: a millisecond at a gigabit a second.
inline constexpr double kRoundTripBits = 1 << 20;

// fit_piecewise gives the cheapest fit whose error is at most kLargestError, or nothing.
std::optional<Piecewise> fit_piecewise(const PiecewiseProblem& problem);

// evaluate computes in exact integers what the steps compute, at p.scale. up: the leading part is rounded up where it
// is not whole; truncations of products round up or down by the same flag.
int64_t evaluate(const Piecewise& p, int64_t x, bool up);

}  // namespace treville::ops
