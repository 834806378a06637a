// compile turns a float graph into a Program: it simplifies the graph, measures or proves the range of every value,
// picks fixed-point scales that fit the ring, and lowers node by node to steps. compile.cc is the list of passes, each
// in a file pair of its own. This is all that callers of the compiler need to know.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compile/fixed_point_plan.h"
#include "graph/graph.h"
#include "ops/op.h"
#include "program/program.h"
#include "tensor/float_tensor.h"
#include "tensor/ring_tensor.h"

namespace treville {

// InputSamples are samples of every input of a model, in the order of Graph::inputs: for each input tensors of its
// shape, with any leading dimension or none. All inputs have equally many. Empty: there are no samples.
using InputSamples = std::vector<std::vector<FloatTensor>>;

struct CompileOptions {
  // Where ranges come from. kCalibrated without samples takes the ranges that a quantised model declares, and without
  // those falls back to kSynthetic.
  Ranges ranges = Ranges::kCalibrated;
  // Samples that show the range of every value. They are regrouped to the model's batch.
  InputSamples calibration;
  int margin_bits = 2;                   // a range is the largest magnitude seen, times 2^margin_bits
  int synthetic_margin_bits = 8;         // the same for ranges from synthetic inputs
  std::optional<Ring> ring;              // absent: 32 bits when calibrated, 64 otherwise
  std::optional<Bits> k;                 // widest opened value; absent: 20 for the 32-bit ring, 40 for the 64-bit one
  Interval input_range{-1, 1};           // of every input, for kSynthetic and kGuaranteed
  std::optional<int64_t> batch;          // the value of a dynamic leading dimension
  std::string preprocess;                // text of --preprocess, stored in the program
  PartyId client = PartyId::kDealer;     // who gives the inputs
  PartyId recipient = PartyId::kDealer;  // who receives the outputs
  OutputPolicy policy = OutputPolicy::kReveal;
  bool reveal_label_only = false;  // top-1: the index of the largest output instead of the outputs
  // dump_after, when given, is called after each pass with its name and the text of the graph or program.
  std::function<void(std::string_view pass, const std::string& text)> dump_after;
};

struct Compiled {
  Program program;
  std::vector<RingTensor> constants;  // by ConstantId: the private weights and biases, of the model owner alone
  FixedPointPlan plan;                // by ValueId of `graph`
  Graph graph;                        // the simplified float graph, for a float reference of the same values
};

// compile runs all passes. Throws UserError when the model has unsupported or dynamic parts, or when a range does not
// fit the ring: it names the layer and the bits it lacks.
Compiled compile(Graph graph, const CompileOptions& options);

}  // namespace treville
