// TensorFlow's operations against TensorFlow itself: the small graphs of test/tensorflow, made by
// tools/make_tensorflow_cases.py with what TensorFlow answers, through the importer, the float meaning, the compiler
// and the protocols. golden/tensorflow_ops.txt lists how far each gets. To write it anew:
// TREVILLE_UPDATE_GOLDEN=1 build/release/tensorflow_ops_test
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>

#include "base/error.h"
#include "data/npy.h"
#include "import/import.h"
#include "test/model_run.h"
#include "test/operations_survey.h"

namespace treville::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kCases = fs::path(TREVILLE_SOURCE_DIR) / "test" / "tensorflow";

// TensorFlow computes in floats of 24 bits, and sums in another order.
constexpr double kFloatTolerance = 2e-5;

double share_of(const std::string& name) {
  const Limit* limit = limit_of(name);
  return limit != nullptr ? limit->share : kShare;
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(kCases))
    if (file.path().extension() == ".pb") names.push_back(file.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<FloatTensor> read_all(const std::string& name, const char* what) {
  std::vector<FloatTensor> tensors;
  for (int i = 0;; ++i) {
    const fs::path path = kCases / fmt::format("{}.{}.{}.npy", name, what, i);
    if (!fs::exists(path)) return tensors;
    tensors.push_back(read_npy(path));
  }
}

// reason_of leaves out the file's path, the general advice, and what follows the first sentence.
std::string reason_of(const std::string& message) {
  std::string text = message.substr(0, message.find(". "));
  const size_t path = text.find(".pb: ");
  if (path != std::string::npos) text = text.substr(path + 5);
  text = text.substr(0, text.find("\nExpress them"));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// given_to orders a case's inputs as the graph has them, by name: "x0", "x1", ... What no output needs is left out.
std::vector<FloatTensor> given_to(const Graph& graph, const std::vector<FloatTensor>& all) {
  std::vector<FloatTensor> inputs;
  for (ValueId input : graph.inputs) inputs.push_back(all.at(std::stoul(graph.value(input).name.substr(1))));
  return inputs;
}

// level_of adds to the survey, and to the level whether the 32-bit ring does it too, or what stands in the way of the
// next level.
std::string level_of(const std::string& name, OperationsSurvey& survey) {
  const std::vector<FloatTensor> all = read_all(name, "in"), outputs = read_all(name, "out");
  EXPECT_FALSE(outputs.empty()) << name;
  Graph graph;
  try {
    graph = import_model(kCases / (name + ".pb"));
  } catch (const UserError& error) {
    return fmt::format("refused: {}", reason_of(error.what()));
  }
  const Operations operations = operations_of(graph);
  const std::vector<FloatTensor> inputs = given_to(graph, all);
  const Reached reached = how_far([&] { return graph; }, inputs, outputs, kFloatTolerance, share_of(name));
  survey.add(operations, reached.level);
  if (reached.level != "float secure") return fmt::format("{}: {}", reached.level, reason_of(reached.reason));
  try {
    check_secure(graph, inputs, outputs, Ring::k32, share_of(name));
    return "float secure in both rings";
  } catch (const UserError& error) {
    return fmt::format("float secure; 32 bits: {}", reason_of(error.what()));
  }
}

TEST(TensorFlowOps, GetAsFarAsTheGoldenFileSays) {
  std::map<std::string, std::string> levels;
  OperationsSurvey survey;
  for (const std::string& name : case_names()) {
    try {
      levels[name] = level_of(name, survey);
    } catch (const Mismatch& mismatch) {
      ADD_FAILURE() << name << ": " << mismatch.message;
    } catch (const Error& error) {
      ADD_FAILURE() << name << ": " << error.what();
    }
  }
  EXPECT_GT(levels.size(), 400u);
  expect_levels("tensorflow_ops.txt", levels, "tensorflow_ops_test");
  expect_survey("operations_tensorflow.txt", survey);
}

}  // namespace
}  // namespace treville::testing
