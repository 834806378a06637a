// Whole Keras models, small ones of test/keras (made by tools/make_keras_fixtures.py with what Keras 2.15 answers) and
// trained ones: import, float meaning and protocols against the recorded outputs.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "data/npy.h"
#include "import/import.h"
#include "test/keras_run.h"
#include "test/models.h"

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

class KerasFixture : public ::testing::TestWithParam<const char*> {
 protected:
  static fs::path path(const char* suffix) { return kFixtures / (std::string(GetParam()) + suffix); }
  const std::vector<FloatTensor> inputs_ = read_all(GetParam(), "in"), outputs_ = read_all(GetParam(), "out");
};

TEST_P(KerasFixture, ComputesWhatKerasComputes) {
  ASSERT_FALSE(outputs_.empty());
  for (const char* suffix : {".h5", ".keras"}) {
    try {
      check_float(import_model(path(suffix)), inputs_, outputs_, 1e-4);
    } catch (const Mismatch& mismatch) {
      ADD_FAILURE() << suffix << ": " << mismatch.message;
    }
  }
}

TEST_P(KerasFixture, IsTheSameGraphFromBothFormats) {
  const Graph h5 = import_model(path(".h5")), archive = import_model(path(".keras"));
  const auto body = [](const Graph& graph) {
    const std::string text = print(graph);
    return text.substr(text.find('\n'));
  };
  EXPECT_EQ(body(h5), body(archive));
  EXPECT_EQ(h5.parameters(), archive.parameters());
}

TEST_P(KerasFixture, RevealsWhatKerasComputes) {
  try {
    check_secure(import_model(path(".keras")), inputs_, outputs_);
  } catch (const Mismatch& mismatch) {
    ADD_FAILURE() << mismatch.message;
  }
}

INSTANTIATE_TEST_SUITE_P(Keras, KerasFixture,
                         ::testing::Values("functional", "convolutions", "transposed", "recurrent", "linear_gates", "norms",
                                           "channels_first"),
                         [](const auto& test) { return std::string(test.param); });

struct Trained {
  const char *name, *model, *input, *output;
};

class TrainedKeras : public ::testing::TestWithParam<Trained> {};

// The error is compared with the largest output, which is a probability.
TEST_P(TrainedKeras, ComputesWhatItsAuthorsRuntimeComputes) {
  TREVILLE_NEED_MODELS(dir);
  const Trained& trained = GetParam();
  try {
    check_float(import_model(dir / trained.model), {read_npy(dir / trained.input)}, {read_npy(dir / trained.output)},
                1e-5);
  } catch (const Mismatch& mismatch) {
    ADD_FAILURE() << mismatch.message;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, TrainedKeras,
    ::testing::Values(
        Trained{"ResNet8", "mlperf-tiny-resnet8-cifar10/pretrainedResnet.h5", "mlperf-tiny-resnet8-cifar10/in.npy",
                "mlperf-tiny-resnet8-cifar10/out_h5_tfjs.npy"},
        Trained{"MobileNet", "mlperf-tiny-vww-mobilenetv1-025-96/vww_96.h5",
                "mlperf-tiny-vww-mobilenetv1-025-96/in.npy", "mlperf-tiny-vww-mobilenetv1-025-96/out_h5_tfjs.npy"},
        Trained{"ShortDnn", "tf-encrypted-mnist/short-dnn.h5", "tf-encrypted-mnist/in_digits20_nhwc.npy",
                "tf-encrypted-mnist/out_short-dnn_tfjs.npy"},
        Trained{"MnistArchive", "keras-v3-mnist-cnn/model.keras", "keras-v3-mnist-cnn/in.npy",
                "keras-v3-mnist-cnn/out_tfjs.npy"},
        Trained{"DoodleNet", "ml5-doodlenet/model.json", "ml5-doodlenet/in.npy", "ml5-doodlenet/out_tfjs.npy"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace treville::testing
