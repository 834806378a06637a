// Whole Keras models, small ones of test/keras (made by tools/make_keras_fixtures.py with what Keras 2.15 answers) and
// trained ones: import, float meaning and protocols against the recorded outputs.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "data/npy.h"
#include "import/import.h"
#include "test/model_run.h"
#include "test/models.h"
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

struct Trained {
  const char *name, *model, *input, *output;
};

constexpr auto kTrained = std::to_array<Trained>({
    {"ResNet8", "mlperf-tiny-resnet8-cifar10/pretrainedResnet.h5", "mlperf-tiny-resnet8-cifar10/in.npy",
     "mlperf-tiny-resnet8-cifar10/out_h5_tfjs.npy"},
    {"MobileNet", "mlperf-tiny-vww-mobilenetv1-025-96/vww_96.h5", "mlperf-tiny-vww-mobilenetv1-025-96/in.npy",
     "mlperf-tiny-vww-mobilenetv1-025-96/out_h5_tfjs.npy"},
    {"ShortDnn", "tf-encrypted-mnist/short-dnn.h5", "tf-encrypted-mnist/in_digits20_nhwc.npy",
     "tf-encrypted-mnist/out_short-dnn_tfjs.npy"},
    {"MnistArchive", "keras-v3-mnist-cnn/model.keras", "keras-v3-mnist-cnn/in.npy", "keras-v3-mnist-cnn/out_tfjs.npy"},
    {"DoodleNet", "ml5-doodlenet/model.json", "ml5-doodlenet/in.npy", "ml5-doodlenet/out_tfjs.npy"},
});

// The outputs are probabilities.
TEST(TrainedKeras, ComputeWhatAnotherRuntimeComputes) {
  TREVILLE_NEED_MODELS(dir);
  std::map<std::string, std::string> levels;
  for (const Trained& trained : kTrained) {
    try {
      levels[trained.name] = run_level(
          trained.name, [&] { return import_model(dir / trained.model); }, {read_npy(dir / trained.input)},
          {read_npy(dir / trained.output)}, 1e-5);
    } catch (const Mismatch& mismatch) {
      ADD_FAILURE() << trained.name << ": " << mismatch.message;
    }
  }
  expect_levels("keras_models.txt", levels, "keras_test");
}

}  // namespace
}  // namespace treville::testing
