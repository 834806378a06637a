// Whole Keras models, those of test/keras (made by tools/make_keras_fixtures.py with what Keras 2.15 answers): import,
// float meaning and protocols against the recorded outputs. Trained ones are in trained_models_test.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "data/npy.h"
#include "import/import.h"
#include "test/model_run.h"
#include "test/operations_survey.h"

namespace treville::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(TREVILLE_SOURCE_DIR) / "test" / "keras";

std::vector<FloatTensor> read_all(const std::string& name, const char* what) {
  std::vector<FloatTensor> tensors;
  for (int i = 0;; ++i) {
    const fs::path path = kFixtures / fmt::format("{}.{}.{}.npy", name, what, i);
    if (!fs::exists(path)) return tensors;
    tensors.push_back(read_npy(path));
  }
}

constexpr auto kFixtureNames = std::to_array<const char*>(
    {"functional", "convolutions", "transposed", "recurrent", "linear_gates", "norms", "channels_first"});

// levels_of runs all fixtures from files of one format.
std::map<std::string, std::string> levels_of(const std::string& suffix) {
  std::map<std::string, std::string> levels;
  for (const std::string name : kFixtureNames) {
    const std::vector<FloatTensor> inputs = read_all(name, "in"), outputs = read_all(name, "out");
    EXPECT_FALSE(outputs.empty());
    try {
      levels[name] = run_level(
          name, [&] { return import_model(kFixtures / (name + suffix)); }, inputs, outputs, 1e-4);
    } catch (const Mismatch& mismatch) {
      ADD_FAILURE() << name << suffix << ": " << mismatch.message;
    }
  }
  return levels;
}

TEST(KerasFixtures, ComputeWhatKerasComputesFromHdf5) {
  expect_levels("keras_fixtures.txt", levels_of(".h5"), "keras_test");
}

TEST(KerasFixtures, ComputeWhatKerasComputesFromArchives) {
  expect_levels("keras_fixtures.txt", levels_of(".keras"), "keras_test");
}

TEST(KerasFixtures, AreWhatTheOperationsPageShows) {
  OperationsSurvey survey;
  for (const auto& [name, level] : levels_of(".keras"))
    survey.add(operations_of(import_model(kFixtures / (name + ".keras"))), level);
  expect_survey("operations_keras_fixtures.txt", survey);
}

TEST(KerasFixtures, AreTheSameGraphFromBothFormats) {
  const auto body = [](const Graph& graph) {
    const std::string text = print(graph);
    return text.substr(text.find('\n'));
  };
  for (const std::string name : kFixtureNames) {
    const Graph h5 = import_model(kFixtures / (name + ".h5")), archive = import_model(kFixtures / (name + ".keras"));
    EXPECT_EQ(body(h5), body(archive)) << name;
    EXPECT_EQ(h5.parameters(), archive.parameters()) << name;
  }
}

}  // namespace
}  // namespace treville::testing
