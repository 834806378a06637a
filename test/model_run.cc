#include "test/model_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/error.h"
#include "compile/fold_constants.h"
#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "run/local_run.h"
#include "test/secure_options.h"

namespace treville::testing {
namespace {

std::optional<int64_t> batch_of(const std::vector<FloatTensor>& inputs) {
  if (inputs.empty() || inputs[0].shape.rank() == 0) return {};
  return inputs[0].shape[0];
}

void expect_count(const std::string& what, size_t expected, size_t found) {
  if (expected != found) throw Mismatch{fmt::format("{}: expected {} outputs, found {}", what, expected, found)};
}

[[noreturn]] void wrong_shape(const std::string& what, const Shape& expected, const Shape& found) {
  throw Mismatch{fmt::format("{}: expected shape {}, found {}", what, to_string(expected), to_string(found))};
}

}  // namespace

void compare(const std::string& what, const FloatTensor& expected, const FloatTensor& found, double absolute,
             double relative) {
  if (expected.values.size() != found.values.size()) wrong_shape(what, expected.shape, found.shape);
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const auto x = static_cast<double>(expected.values[i]), y = static_cast<double>(found.values[i]);
    const bool same = x == y || (std::isnan(x) && std::isnan(y));  // infinities among them
    if (!same && !(std::abs(x - y) <= absolute + relative * std::abs(x))) {
      throw Mismatch{fmt::format("{}: element {} is {}, expected {}", what, i, y, x)};
    }
  }
}

std::map<std::string, RingTensor> encode_inputs(const Program& program, const Graph& graph,
                                                const std::vector<FloatTensor>& values) {
  std::map<std::string, RingTensor> inputs;
  for (const Step& step : program.steps) {
    const auto* input = std::get_if<InputStep>(&step.body);
    if (input == nullptr) continue;
    const auto found = std::find_if(graph.inputs.begin(), graph.inputs.end(),
                                    [&](ValueId id) { return graph.value(id).name == input->name; });
    CHECK(found != graph.inputs.end(), "the program has an input {} that the model has not", input->name);
    const FloatTensor& value = values[static_cast<size_t>(found - graph.inputs.begin())];
    CHECK(value.shape.elements() == input->shape.elements(), "the program changed the shape of {}", input->name);
    inputs.emplace(input->name, encode(FloatTensor(input->shape, value.values), input->ring, input->scale,
                                       step.type.bound, input->name));
  }
  return inputs;
}

std::vector<FloatTensor> revealed_outputs(const char* protocol, const Compiled& compiled,
                                          const std::map<std::string, RingTensor>& inputs) {
  return run_local(protocol, compiled.program, compiled.constants, inputs).values(recipient_of(protocol));
}

const Limit* limit_of(std::string_view test) {
  static constexpr Limit kLimits[] = {
      {"test_round", 0.5, "halves are rounded up, not to the even neighbour"},
      {"round", 0.5, "halves are rounded up, not to the even neighbour"},
  };
  const auto* found = std::find_if(std::begin(kLimits), std::end(kLimits),
                                   [&](const Limit& limit) { return test.starts_with(limit.test); });
  return found == std::end(kLimits) ? nullptr : found;
}

void check_float(const Graph& graph, const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                 double tolerance) {
  Graph copy = graph;
  infer_shapes(copy, batch_of(inputs));
  fold_constants(copy);
  verify(copy, "fold_constants");
  const std::vector<Constant> outputs = float_run(copy, inputs);
  expect_count("float", expected.size(), outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const FloatTensor found = to_floats(outputs[i]);
    const std::string what = fmt::format("float, output {}", i);
    if (found.shape != expected[i].shape) wrong_shape(what, expected[i].shape, found.shape);
    compare(what, expected[i], found, tolerance, tolerance);
  }
}

void check_secure(const Graph& graph, const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                  Ring ring, double share) {
  CompileOptions options = secure_options(inputs);
  options.ring = ring;
  options.batch = batch_of(inputs);
  const Compiled compiled = compile(graph, options);
  const std::map<std::string, RingTensor> encoded = encode_inputs(compiled.program, graph, inputs);
  for (const char* protocol : {"clear", "porthos"}) {
    const std::vector<FloatTensor> outputs = revealed_outputs(protocol, compiled, encoded);
    expect_count(protocol, expected.size(), outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      compare(fmt::format("{} in {} bits, output {}", protocol, bits_of(ring), i), expected[i], outputs[i],
              share * std::max(1.0, largest_magnitude({expected[i]})), 0);
    }
  }
}

Reached how_far(const std::function<Graph()>& import, const std::vector<FloatTensor>& inputs,
                const std::vector<FloatTensor>& expected, double tolerance, double share) {
  Reached reached;
  try {
    const Graph graph = import();
    check_float(graph, inputs, expected, tolerance);
    reached.level = "float";
    check_secure(graph, inputs, expected, Ring::k64, share);
    return {"float secure", ""};
  } catch (const UserError& error) {
    reached.reason = error.what();
    return reached;
  }
}

std::string run_level(const std::string& name, const std::function<Graph()>& import,
                      const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                      double tolerance) {
  const Reached reached = how_far(import, inputs, expected, tolerance);
  if (!reached.reason.empty()) std::cout << fmt::format("{}: {}: {}\n", name, reached.level, reached.reason);
  return reached.level;
}

void expect_levels(const std::string& file, const std::map<std::string, std::string>& levels,
                   const std::string& program) {
  const std::string update = "TREVILLE_UPDATE_GOLDEN=1 build/release/" + program;
  const auto path = std::filesystem::path(TREVILLE_SOURCE_DIR) / "test" / "golden" / file;
  if (std::getenv("TREVILLE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream stream(path);
    stream << "# How far each gets. Written by " << program << ": " << update << "\n";
    for (const auto& [name, level] : levels) stream << name << " " << level << "\n";
  }
  std::map<std::string, std::string> listed;
  std::ifstream golden(path);
  for (std::string line; std::getline(golden, line);) {
    const size_t space = line.find(' ');
    if (!line.empty() && line[0] != '#') listed[line.substr(0, space)] = line.substr(space + 1);
  }
  for (const auto& [name, level] : levels) {
    EXPECT_EQ(listed[name], level) << name << " (if it got further: " << update << ")";
  }
  EXPECT_EQ(listed.size(), levels.size()) << file << " lists others than there are. Write it anew: " << update;
}

}  // namespace treville::testing
