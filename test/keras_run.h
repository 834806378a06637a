// What the tests of whole models share: a graph's float meaning and what the protocols reveal, against expected
// outputs.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compile/compile.h"
#include "graph/graph.h"

namespace treville::testing {

// Mismatch is a wrong result: neither right nor refused.
struct Mismatch {
  std::string message;
};

// check_float throws Mismatch unless the graph's float meaning gives the expected outputs, with an error of at most
// `tolerance` of each value or of 1; UserError where the graph cannot be run. A dynamic batch takes the inputs'.
void check_float(const Graph& graph, const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                 double tolerance);

// revealed_outputs runs a compiled model in a protocol ("clear" or "porthos", all parties in this process) on the
// inputs of its graph, and gives what the recipient has in the end.
std::vector<FloatTensor> revealed_outputs(std::string_view protocol, const Compiled& compiled, const Graph& graph,
                                          const std::vector<FloatTensor>& inputs);

// check_secure compiles the graph for the 64-bit ring and runs it in the protocols `clear` and `porthos`: what they
// reveal must be within 2^-8 of the largest expected value, or of 1. UserError where the compiler refuses.
void check_secure(const Graph& graph, const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected);

// run_level is how far a model gets: "refused", "float" (import and float meaning) or "float secure". What a UserError
// refused is printed with the name. Throws Mismatch for a wrong result.
std::string run_level(const std::string& name, const std::function<Graph()>& import,
                      const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                      double tolerance);

// expect_levels fails the test for every name whose level is not that of test/golden/<file>. With
// TREVILLE_UPDATE_GOLDEN=1 it writes the file first.
void expect_levels(const std::string& file, const std::map<std::string, std::string>& levels);

}  // namespace treville::testing
