// What the tests of models share: a graph's float meaning and what the protocols reveal, against expected outputs, and
// golden lists of how far each model gets.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compile/compile.h"
#include "graph/graph.h"
#include "program/program.h"

namespace treville::testing {

// Mismatch is a wrong result: neither right nor refused.
struct Mismatch {
  std::string message;
};

// compare throws Mismatch where a value differs by more than `absolute` + `relative` of the expected one, or the number
// of values does. NaN is NaN, and an infinity itself.
void compare(const std::string& what, const FloatTensor& expected, const FloatTensor& found, double absolute,
             double relative);

// encode_inputs gives every input of the program its value, from those of the graph's inputs in order.
std::map<std::string, RingTensor> encode_inputs(const Program& program, const Graph& graph,
                                                const std::vector<FloatTensor>& values);

// revealed_outputs runs a program in one process and does the recipient's part.
std::vector<FloatTensor> revealed_outputs(const char* protocol, const Compiled& compiled,
                                          const std::map<std::string, RingTensor>& inputs);

// check_float throws Mismatch unless the graph's float meaning gives the expected outputs, with an error of at most
// `tolerance` of each value or of 1; UserError where the graph cannot be run. A dynamic batch takes the inputs'.
void check_float(const Graph& graph, const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                 double tolerance);

// check_secure compiles the graph for a ring and runs it in the protocols `clear` and `porthos`: what they reveal must
// be within `share` of the largest expected value, or of 1. UserError where the compiler refuses.
constexpr double kShare = 0x1p-8;
void check_secure(const Graph& graph, const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                  Ring ring = Ring::k64, double share = kShare);

// Limit: what fixed point does not do as floats do, how far off it may be (as a share of the largest output, or of 1),
// and why. Such a test passes in float, and its secure result is still compared, with that share.
struct Limit {
  std::string_view test;  // how the name begins
  double share;
  const char* reason;
};
// limit_of finds the limit of a test by its name, or null.
const Limit* limit_of(std::string_view test);

// Reached is how far a model gets: "refused", "float" (import and float meaning) or "float secure"; and why not
// further.
struct Reached {
  std::string level = "refused";
  std::string reason;
};

// how_far runs a model in float and in the 64-bit ring. Throws Mismatch for a wrong result.
Reached how_far(const std::function<Graph()>& import, const std::vector<FloatTensor>& inputs,
                const std::vector<FloatTensor>& expected, double tolerance, double share = kShare);
// run_level gives the level alone, and prints the reason with the name.
std::string run_level(const std::string& name, const std::function<Graph()>& import,
                      const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                      double tolerance);

// expect_levels fails the test for every name whose level is not that of test/golden/<file>. With
// TREVILLE_UPDATE_GOLDEN=1 it writes the file first. `program` is the test program, for the advice how to.
void expect_levels(const std::string& file, const std::map<std::string, std::string>& levels,
                   const std::string& program);

}  // namespace treville::testing
