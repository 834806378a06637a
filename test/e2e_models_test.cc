// Trained models through `treville run`: three processes, calibrated on some inputs and checked on others, against the
// answers of an independent float runtime.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/npy.h"
#include "test/models.h"
#include "test/process.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;

FloatTensor rows(const FloatTensor& all, int64_t first, int64_t count) {
  Shape shape = all.shape;
  const int64_t row = shape.elements() / shape[0];
  shape[0] = count;
  const auto begin = all.values.begin() + first * row;
  return FloatTensor(shape, std::vector<float>(begin, begin + count * row));
}

std::vector<size_t> top(const std::vector<float>& values, size_t n) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
  order.resize(n);
  std::sort(order.begin(), order.end());  // as a set
  return order;
}

// same_top tells whether both name the same n best classes. golden holds probabilities; classes that it holds equal up
// to twice the error of these runs (0.03 in a logit) may stand for each other.
bool same_top(const std::vector<float>& secure, const std::vector<float>& golden, size_t n) {
  constexpr float kTie = 0.06F;
  const std::vector<size_t> ours = top(secure, n), theirs = top(golden, n);
  if (ours == theirs) return true;
  float last = golden[theirs[0]], lost = 0;
  for (const size_t each : theirs) last = std::min(last, golden[each]);
  for (const size_t each : theirs)
    if (std::find(ours.begin(), ours.end(), each) == ours.end()) lost = std::max(lost, golden[each]);
  const float least = last * std::exp(-kTie), most = last * std::exp(kTie);
  return lost <= most && std::all_of(ours.begin(), ours.end(), [&](size_t each) { return golden[each] >= least; });
}

struct TrainedModel {
  const char* name;
  const char* file;
  const char* inputs;
  const char* golden;
  int64_t calibration;  // the first inputs; the others are checked
  size_t top;
  double bytes;  // of one inference, at most
};

class TrainedModels : public testing::TestWithParam<TrainedModel> {};

TEST_P(TrainedModels, AgreeWithTheIndependentRuntimeOnInputsThatDidNotCalibrate) {
  TREVILLE_NEED_MODELS(dir);
  const TrainedModel& model = GetParam();
  const fs::path folder = (dir / model.file).parent_path();
  const FloatTensor inputs = read_npy(folder / model.inputs);
  const FloatTensor golden = read_npy(folder / model.golden);
  const int64_t checked = inputs.shape[0] - model.calibration;
  ASSERT_GE(checked, 1);
  const Scratch scratch;
  write_npy(scratch / "calibration.npy", rows(inputs, 0, model.calibration));
  write_npy(scratch / "inputs.npy", rows(inputs, model.calibration, checked));
  const Finished run = treville({"run", (dir / model.file).string(), "--json", "--calibrate",
                                 (scratch / "calibration.npy").string(), "--input", (scratch / "inputs.npy").string()},
                                170);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json report = run.json();
  EXPECT_TRUE(report.at("plaintext").at("agrees").get<bool>());
  EXPECT_LE(report.at("bytes_per_inference").at("offline").get<double>() +
                report.at("bytes_per_inference").at("online").get<double>(),
            model.bytes);
  const auto& inferences = report.at("inferences");
  ASSERT_EQ(static_cast<int64_t>(inferences.size()), checked);
  for (int64_t i = 0; i < checked; ++i) {
    const auto secure = inferences[static_cast<size_t>(i)].at("outputs")[0].at("values").get<std::vector<float>>();
    const FloatTensor expected = rows(golden, model.calibration + i, 1);
    ASSERT_EQ(secure.size(), expected.values.size());
    if (model.top == 1) {
      EXPECT_EQ(top(secure, 1), top(expected.values, 1)) << "input " << model.calibration + i;
    } else {
      EXPECT_TRUE(same_top(secure, expected.values, model.top)) << "input " << model.calibration + i;
    }
    RecordProperty("seconds", std::to_string(inferences[static_cast<size_t>(i)].at("seconds").get<double>()));
  }
}

INSTANTIATE_TEST_SUITE_P(
    EndToEnd, TrainedModels,
    testing::Values(TrainedModel{"SqueezeNetGraphDef", "squeezenet-v1.0-imagenet/squeezenet_v1.0_frozen.pb",
                                 "in_nhwc.npy", "out_ort.npy", 2, 5, 220e6},
                    TrainedModel{"SqueezeNetOnnx", "squeezenet-v1.0-imagenet/squeezenet_v1.0.onnx", "in_nchw.npy",
                                 "out_ort.npy", 2, 5, 220e6},
                    TrainedModel{"ResNet20", "resnet20-cifar10/resnet20.onnx", "in.npy", "out_resnet20_ort.npy", 2, 1,
                                 220e6},
                    TrainedModel{"Mnist8", "onnx-mnist-8/model.onnx", "in.npy", "out_ort.npy", 2, 1, 220e6},
                    TrainedModel{"TfEncryptedMnist", "tf-encrypted-mnist/mnist_model.pb", "in_digits20.npy",
                                 "out_digits20_tfjs.npy", 10, 1, 220e6}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace treville::test
