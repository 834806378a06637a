#include "test/keras_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/fold_constants.h"
#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "run/local_run.h"
#include "run/post_process.h"
#include "test/secure_options.h"

namespace treville::testing {
namespace {

void compare(const std::string& what, const FloatTensor& expected, const FloatTensor& found, double absolute,
             double relative) {
  if (expected.values.size() != found.values.size()) {
    throw Mismatch{
        fmt::format("{}: expected shape {}, found {}", what, to_string(expected.shape), to_string(found.shape))};
  }
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const auto x = static_cast<double>(expected.values[i]), y = static_cast<double>(found.values[i]);
    if (!(std::abs(x - y) <= absolute + relative * std::abs(x))) {
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
    inputs.emplace(input->name, encode(FloatTensor(input->shape, value.values), input->ring, input->scale,
                                       step.type.bound, input->name));
  }
  return inputs;
}

}  // namespace

void check_float(const Graph& graph, const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                 double tolerance) {
  Graph copy = graph;
  infer_shapes(copy, inputs.at(0).shape[0]);
  fold_constants(copy);
  verify(copy, "fold_constants");
  const std::vector<Constant> outputs = float_run(copy, inputs);
  if (outputs.size() != expected.size()) {
    throw Mismatch{fmt::format("expected {} outputs, found {}", expected.size(), outputs.size())};
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const auto& found = std::get<FloatTensor>(outputs[i]);
    const std::string what = fmt::format("float, output {}", i);
    if (found.shape != expected[i].shape) {
      throw Mismatch{
          fmt::format("{}: expected shape {}, found {}", what, to_string(expected[i].shape), to_string(found.shape))};
    }
    compare(what, expected[i], found, tolerance, tolerance);
  }
}

std::vector<FloatTensor> revealed_outputs(std::string_view protocol, const Compiled& compiled, const Graph& graph,
                                          const std::vector<FloatTensor>& inputs) {
  const LocalRunResult result =
      run_local(protocol, compiled.program, compiled.constants, encode_inputs(compiled.program, graph, inputs));
  const PartyId recipient = protocol == "clear" ? PartyId::kEvaluator : PartyId::kDealer;
  std::vector<FloatTensor> outputs;
  for (const RevealedOutput& output : result.outputs[index_of(recipient)])
    outputs.push_back(post_process(decode(output.value, output.type), output.post, output.top));
  return outputs;
}

void check_secure(const Graph& graph, const std::vector<FloatTensor>& inputs,
                  const std::vector<FloatTensor>& expected) {
  CompileOptions options = secure_options(inputs);
  options.batch = inputs.at(0).shape[0];
  const Compiled compiled = compile(graph, options);
  for (const char* protocol : {"clear", "porthos"}) {
    const std::vector<FloatTensor> outputs = revealed_outputs(protocol, compiled, graph, inputs);
    if (outputs.size() != expected.size()) {
      throw Mismatch{fmt::format("{}: expected {} outputs, found {}", protocol, expected.size(), outputs.size())};
    }
    for (size_t i = 0; i < outputs.size(); ++i)
      compare(fmt::format("{}, output {}", protocol, i), expected[i], outputs[i],
              std::exp2(-8) * std::max(1.0, largest_magnitude({expected[i]})), 0);
  }
}

std::string run_level(const std::string& name, const std::function<Graph()>& import,
                      const std::vector<FloatTensor>& inputs, const std::vector<FloatTensor>& expected,
                      double tolerance) {
  std::string level = "refused";
  try {
    const Graph graph = import();
    check_float(graph, inputs, expected, tolerance);
    level = "float";
    check_secure(graph, inputs, expected);
    return "float secure";
  } catch (const UserError& error) {
    std::cout << fmt::format("{}: {}: {}\n", name, level, error.what());
    return level;
  }
}

void expect_levels(const std::string& file, const std::map<std::string, std::string>& levels) {
  constexpr const char* kUpdate = "TREVILLE_UPDATE_GOLDEN=1 build/release/keras_test";
  const auto path = std::filesystem::path(TREVILLE_SOURCE_DIR) / "test" / "golden" / file;
  if (std::getenv("TREVILLE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream stream(path);
    stream << "# How far each gets. Written by keras_test: " << kUpdate << "\n";
    for (const auto& [name, level] : levels) stream << name << " " << level << "\n";
  }
  std::map<std::string, std::string> listed;
  std::ifstream golden(path);
  for (std::string line; std::getline(golden, line);) {
    const size_t space = line.find(' ');
    if (!line.empty() && line[0] != '#') listed[line.substr(0, space)] = line.substr(space + 1);
  }
  for (const auto& [name, level] : levels) {
    EXPECT_EQ(listed[name], level) << name << " (if it got further: " << kUpdate << ")";
  }
  EXPECT_EQ(listed.size(), levels.size()) << file << " lists others than there are. Write it anew: " << kUpdate;
}

}  // namespace treville::testing
