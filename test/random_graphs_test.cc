// Random models from the float graph to what the protocols reveal, in both rings. TREVILLE_SEEDS=N runs the first N
// seeds, TREVILLE_SEEDS=FIRST:COUNT others.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "cost/cost.h"
#include "program/text.h"
#include "run/local_run.h"
#include "test/random_graph.h"
#include "test/random_graph_error.h"
#include "test/secure_options.h"

namespace treville::testing {
namespace {

constexpr uint32_t kSeeds = 200;
// The tolerance is kFactor times the estimate of random_graph_error.h, which is the largest of a few random runs and so
// may be several times too small for results of a few elements, and kFloatShare of the largest value, by which float
// runs differ themselves.
constexpr double kFactor = 8, kFloatShare = 1e-6;
// Of so many seeds,
constexpr uint32_t kFewestForShares = 100;
// what may be refused, undecided by rounding, and the tolerances that make the test worth its time, as shares.
constexpr double kMostRefused = 0.05, kMostUndecided = 0.1;
constexpr double kTypicalTolerance[] = {0.02, 1e-4};  // by ring

// Mismatch is a wrong result: neither passed nor refused.
struct Mismatch {
  std::string message;
};

// Tally counts what was compared.
struct Tally {
  int graphs = 0, refused = 0, outputs = 0, undecided = 0;
  std::map<std::string, int> reasons;
  std::array<std::vector<double>, 2> tolerances, used;  // by ring: as shares of the largest value, and of the tolerance
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Expected is an output of the float model. A choice is judged by the scores it chose from.
struct Expected {
  FloatTensor value;
  std::string choice;  // "ArgMax", "ArgMin", "TopK" for the indices of TopK, "" for values
  int64_t axis = 0;
  FloatTensor scores;
};

std::vector<Expected> expected_outputs(const RandomGraph& random) {
  std::map<ValueId, Constant> values;
  float_run(random.graph, random.inputs, [&](ValueId id, const Constant& value) { values[id] = value; });
  std::vector<Expected> expected;
  for (ValueId output : random.graph.outputs) {
    Expected& one = expected.emplace_back();
    one.value = to_floats(values.at(output));
    for (const Node& node : random.graph.nodes) {
      const bool chooses = random.graph.value(output).dtype == DType::kInt;
      if (!chooses || std::find(node.outputs.begin(), node.outputs.end(), output) == node.outputs.end()) continue;
      one.scores = to_floats(values.at(node.inputs[0]));
      one.choice = node.op;
      one.axis = (node.get_int("axis", 0) + one.scores.shape.rank()) % one.scores.shape.rank();
    }
  }
  return expected;
}

// score_chosen gives for each chosen index the score that stands there, in the order of the result's elements.
std::vector<double> scores_chosen(const Expected& expected, const FloatTensor& indices) {
  const Shape& shape = expected.scores.shape;
  int64_t inner = 1;
  for (int i = static_cast<int>(expected.axis) + 1; i < shape.rank(); ++i) inner *= shape[i];
  const int64_t extent = shape[static_cast<int>(expected.axis)];
  const auto lines = shape.elements() / extent;
  const int64_t chosen = indices.shape.elements() / lines;
  std::vector<double> scores;
  for (int64_t i = 0; i < indices.shape.elements(); ++i) {
    const auto index = static_cast<int64_t>(indices.values[static_cast<size_t>(i)]);
    if (index < 0 || index >= extent) throw Mismatch{fmt::format("index {} of {}", index, extent)};
    const int64_t line = i / (chosen * inner) * inner + i % inner;
    scores.push_back(
        expected.scores.values[static_cast<size_t>((line / inner * extent + index) * inner + line % inner)]);
  }
  return scores;
}

// difference gives the largest difference of elements; of choices the largest difference of what was chosen.
double difference(const Expected& expected, const FloatTensor& wanted, const FloatTensor& found) {
  if (wanted.values.size() != found.values.size())
    throw Mismatch{fmt::format("shape {}, expected {}", to_string(found.shape), to_string(wanted.shape))};
  std::vector<double> a(wanted.values.begin(), wanted.values.end()), b(found.values.begin(), found.values.end());
  if (!expected.choice.empty()) a = scores_chosen(expected, wanted), b = scores_chosen(expected, found);
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(b[i])) throw Mismatch{fmt::format("element {} is {}", i, b[i])};
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

// choice_estimate finds what an index was chosen from: its error counts, since an index has none.
ErrorEstimate estimate_of(const Graph& graph, const std::vector<ErrorEstimate>& estimates, ValueId output,
                          const std::string& choice) {
  if (choice.empty()) return estimates[index_of(output)];
  for (const Node& node : graph.nodes)
    if (node.op == "ArgMax" || node.op == "ArgMin" || node.op == "TopK") {
      ErrorEstimate estimate = estimates[index_of(node.inputs[0])];
      estimate.error *= 2;  // two elements that were each moved
      return estimate;
    }
  throw Mismatch{"the compiled graph no longer chooses"};
}

CompileOptions options_for(const RandomGraph& random, Ring ring) {
  CompileOptions options = secure_options(random.inputs);
  options.ring = ring;
  // Several inputs cannot be samples; random_graph.h gives those that random calibration begins with.
  options.margin_bits = options.synthetic_margin_bits = 2;
  options.input_range = {-1, 1};
  return options;
}

std::map<std::string, RingTensor> encode_inputs(const RandomGraph& random, const Program& program) {
  std::map<std::string, RingTensor> inputs;
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input == nullptr) continue;
    for (size_t i = 0; i < random.inputs.size(); ++i)
      if (random.graph.value(random.graph.inputs[i]).name == input->name)
        inputs.emplace(input->name, encode(FloatTensor(input->shape, random.inputs[i].values), input->ring,
                                           input->scale, step.type.bound, input->name));
  }
  return inputs;
}

using Sent = std::map<std::tuple<PartyId, PartyId, Phase>, std::pair<int64_t, int64_t>>;

Sent sent_in(const std::vector<TrafficRow>& rows) {
  Sent sent;
  for (const TrafficRow& row : rows)
    if (row.traffic.messages > 0) sent[{row.from, row.to, row.phase}] = {row.traffic.messages, row.traffic.bytes};
  return sent;
}

void compare(const std::string& what, const Expected& expected, const FloatTensor& wanted, const FloatTensor& found,
             const ErrorEstimate& estimate, double unit, Tally& tally, Ring ring) {
  const double off = difference(expected, wanted, found);
  ++tally.outputs;
  if (!estimate.is_decided) {
    ++tally.undecided;
    return;
  }
  const double largest = largest_magnitude({expected.choice.empty() ? expected.value : expected.scores});
  const double tolerance = kFactor * (estimate.error + unit) + kFloatShare * largest;
  tally.tolerances[ring == Ring::k64].push_back(tolerance / std::max(largest, 1e-30));
  tally.used[ring == Ring::k64].push_back(off / tolerance);
  if (off > tolerance)
    throw Mismatch{
        fmt::format("{}: off by {:.4g}, estimated {:.4g}, largest {:.4g}", what, off, estimate.error, largest)};
}

void check_ring(const RandomGraph& random, Ring ring, Tally& tally) {
  const Compiled compiled = compile(random.graph, options_for(random, ring));
  const std::vector<Expected> expected = expected_outputs(random);
  const std::vector<ErrorEstimate> estimates = estimate_errors(compiled, random.inputs);
  const std::map<std::string, RingTensor> inputs = encode_inputs(random, compiled.program);
  const LocalRunResult secure = run_local("porthos", compiled.program, compiled.constants, inputs);
  const LocalRunResult alone = run_local("clear", compiled.program, compiled.constants, inputs);
  const std::vector<FloatTensor> clear = alone.values(PartyId::kEvaluator), found = secure.values(PartyId::kDealer);
  if (clear.size() != expected.size() || found.size() != expected.size()) throw Mismatch{"another number of outputs"};
  for (size_t i = 0; i < expected.size(); ++i) {
    const ErrorEstimate estimate =
        estimate_of(compiled.graph, estimates, compiled.graph.outputs[i], expected[i].choice);
    const SlotType& type = alone.outputs[index_of(PartyId::kEvaluator)][i].type;
    const double unit =
        expected[i].choice.empty() ? std::ldexp(1.0, -type.scale.value()) / static_cast<double>(type.divisor) : 0;
    const std::string which = fmt::format("output {} in the {}-bit ring", i, bits_of(ring));
    compare("clear, " + which, expected[i], expected[i].value, clear[i], estimate, unit, tally, ring);
    compare("porthos against clear, " + which, expected[i], clear[i], found[i], estimate, unit, tally, ring);
  }
  if (sent_in(dry_cost("porthos", compiled.program).traffic) != sent_in(secure.traffic))
    throw Mismatch{fmt::format("the dry cost is not what was sent in the {}-bit ring", bits_of(ring))};
}

// What the compiler may refuse: ranges and scales that do not fit the ring.
constexpr const char* kReasons[] = {"fraction bits are left", "it cannot be looked up to", "bits are missing"};

// allowed_reason is the entry of kReasons that a message holds, or null.
const char* allowed_reason(const std::string& message) {
  for (const char* reason : kReasons)
    if (message.find(reason) != std::string::npos) return reason;
  return nullptr;
}

// failure_of checks a graph in both rings; absent when all is well.
std::optional<std::string> failure_of(const RandomGraph& random, Tally& tally) {
  try {
    for (Ring ring : {Ring::k32, Ring::k64}) {
      ++tally.graphs;
      try {
        check_ring(random, ring, tally);
      } catch (const UserError& error) {
        ++tally.refused;
        const char* reason = allowed_reason(error.what());
        if (reason == nullptr) return fmt::format("refused in the {}-bit ring: {}", bits_of(ring), error.what());
        ++tally.reasons[fmt::format("{} bits: {}", bits_of(ring), reason)];
      }
    }
  } catch (const Mismatch& mismatch) {
    return mismatch.message;
  } catch (const std::exception& error) {
    return std::string("error: ") + error.what();
  }
  return {};
}

// prefix ends a graph at the result of one of its nodes.
RandomGraph prefix(const RandomGraph& whole, size_t node) {
  RandomGraph part = whole;
  part.graph.outputs = {whole.graph.nodes[node].outputs[0]};
  part.graph.remove_dead();
  return part;
}

// program_of shows what the compiler makes of a graph, in the ring where it failed.
std::string program_of(const RandomGraph& random, const std::string& failure) {
  const Ring ring = failure.find("32-bit") != std::string::npos ? Ring::k32 : Ring::k64;
  CompileOptions options = options_for(random, ring);
  std::string text;
  options.dump_after = [&](std::string_view pass, const std::string& dumped) {
    if (pass == "plan_fixed_point" || pass == "softmax_last") text += dumped;
  };
  try {
    text += to_text(compile(random.graph, options).program);
  } catch (const std::exception&) {  // what was dumped before is shown
  }
  return text;
}

// smallest_failing is the first prefix that fails, else the whole.
std::string smallest_failing(const RandomGraph& whole) {
  Tally ignored;
  for (size_t i = 0; i < whole.graph.nodes.size(); ++i) {
    const RandomGraph part = prefix(whole, i);
    if (const auto failure = failure_of(part, ignored))
      return *failure + "\n" + print(part.graph) + program_of(part, *failure);
  }
  return "only the whole graph fails\n" + print(whole.graph);
}

std::pair<uint32_t, uint32_t> seeds_to_run() {
  const char* given = std::getenv("TREVILLE_SEEDS");
  if (given == nullptr) return {0, kSeeds};
  const std::string text = given;
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {0, static_cast<uint32_t>(std::stoul(text))};
  return {static_cast<uint32_t>(std::stoul(text)), static_cast<uint32_t>(std::stoul(text.substr(colon + 1)))};
}

TEST(RandomGraphs, AgreeInFloatClearAndPorthosInBothRings) {
  const auto [first, count] = seeds_to_run();
  Tally tally;
  for (uint32_t seed = first; seed < first + count; ++seed) {
    const RandomGraph random = random_graph(seed);
    if (const auto failure = failure_of(random, tally))
      ADD_FAILURE() << "seed " << seed << ": " << *failure << "\nsmallest failing part: " << smallest_failing(random);
  }
  fmt::print("{} programs, {} refused; {} outputs compared, {} of them undecided\n", tally.graphs, tally.refused,
             tally.outputs, tally.undecided);
  for (const auto& [reason, times] : tally.reasons) fmt::print("  {}: {}\n", reason, times);
  if (count < kFewestForShares) return;
  EXPECT_LE(tally.refused, kMostRefused * tally.graphs + 2);
  EXPECT_LE(tally.undecided, kMostUndecided * tally.outputs + 10);
  for (size_t i : {size_t{0}, size_t{1}}) {
    EXPECT_LE(median(tally.tolerances[i]), kTypicalTolerance[i]);
    fmt::print("  {}-bit ring: tolerance {:.2g} of the largest value (median), {:.2g} of it used\n", 32 << i,
               median(tally.tolerances[i]), median(tally.used[i]));
  }
}

}  // namespace
}  // namespace treville::testing
