// From a graph to revealed values: compiled programs run with the cleartext protocol, which computes with the same
// integers as the secure ones, against the float reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/test_clear_run.h"
#include "compile/test_model.h"
#include "data/npy.h"
#include "import/import.h"
#include "test/models.h"

namespace treville {
namespace {

using testing::clear_run;
using testing::ClearRun;
using testing::Ints;
using testing::Model;

// relative_error compares with the float graph that compile returns, relative to the largest output.
double relative_error(const Compiled& compiled, const FloatTensor& input) {
  const auto expected = std::get<FloatTensor>(float_run(compiled.graph, {input})[0]);
  const ClearRun run = clear_run(compiled, {input});
  double error = 0, magnitude = 0;
  EXPECT_EQ(run.outputs[0].values.size(), expected.values.size());
  for (size_t i = 0; i < expected.values.size(); ++i) {
    error = std::max(error, static_cast<double>(std::abs(run.outputs[0].values[i] - expected.values[i])));
    magnitude = std::max(magnitude, static_cast<double>(std::abs(expected.values[i])));
  }
  return error / magnitude;
}

CompileOptions calibrated(std::vector<FloatTensor> samples) {
  CompileOptions options;
  options.calibration = {std::move(samples)};
  return options;
}

// A model with a residual sum, a projection, a concatenation of un-activated outputs, pools and a mean.
Graph mixed_model(uint32_t seed) {
  Model m(seed);
  const ValueId x = m.input({1, 3, 12, 12});
  const ValueId a = m.op("Relu", {m.batch_norm(m.conv(x, 3, 8, 3, 1, "NCHW", true), 8, "NCHW")});
  const ValueId b = m.op("Add", {m.conv(a, 8, 8, 3, 1, "NCHW"), m.conv(a, 8, 8, 1, 0, "NCHW")});
  const ValueId c = m.op("Relu", {m.op("Add", {b, a})});
  const ValueId pooled = m.op("MaxPool", {c},
                              {{"kernel", Ints{3, 3}},
                               {"strides", Ints{1, 1}},
                               {"pads", Ints{1, 1, 1, 1}},
                               {"auto_pad", std::string("explicit")},
                               {"layout", std::string("NCHW")}});
  const ValueId d = m.op("Concat", {m.conv(c, 8, 4, 1, 0, "NCHW"), c, pooled}, {{"axis", int64_t{1}}});
  ValueId e = m.op("Relu", {m.batch_norm(d, 20, "NCHW")});
  e = m.max_pool(m.op("LeakyRelu", {m.conv(e, 20, 10, 3, 0, "NCHW")}, {{"alpha", 0.125}}), 2, 2, "NCHW");
  e = m.op("AveragePool", {e},
           {{"kernel", Ints{3, 3}},
            {"strides", Ints{2, 2}},
            {"pads", Ints{1, 1, 1, 1}},
            {"auto_pad", std::string("explicit")},
            {"layout", std::string("NCHW")}});
  e = m.op("Clip", {m.conv(e, 10, 12, 1, 0, "NCHW")}, {{"min", 0.0}, {"max", 6.0}});
  e = m.op("Flatten", {m.op("ReduceMean", {e}, {{"axes", Ints{2, 3}}, {"keepdims", int64_t{1}}})},
           {{"axis", int64_t{1}}});
  return m.done({m.op("Add", {m.op("MatMul", {e, m.random({12, 7})}), m.random({7})})});
}

TEST(Compile, MixedModelsMatchTheFloatReferenceInBothRings) {
  for (uint32_t seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(seed);
    const Graph graph = mixed_model(seed);
    CompileOptions options = calibrated(testing::random_inputs(graph, seed + 100));
    const Compiled narrow = compile(graph, options);
    EXPECT_EQ(narrow.program.ring, Ring::k32);
    EXPECT_EQ(narrow.program.scheme, "calibrated on 1 sample, margin 2 bits");
    options.ring = Ring::k64;
    const Compiled wide = compile(graph, options);
    for (uint32_t run = 0; run < 2; ++run) {
      const FloatTensor input = testing::random_inputs(graph, seed * 7 + run)[0];
      EXPECT_LE(relative_error(narrow, input), 0.01);
      EXPECT_LE(relative_error(wide, input), 1e-4);  // an average over padded windows rounds its factors
    }
  }
}

TEST(Compile, WithoutSamplesIsWideAndSaysSo) {
  const Graph graph = mixed_model(1);
  const Compiled compiled = compile(graph, {});
  EXPECT_EQ(compiled.program.ring, Ring::k64);
  EXPECT_EQ(compiled.program.scheme, "uncalibrated");
  EXPECT_LE(relative_error(compiled, testing::random_inputs(graph, 5)[0]), 1e-4);
}

TEST(Compile, GuaranteesWhatFitsAndRefusesWhatDoesNot) {
  const Graph graph = mixed_model(1);
  CompileOptions options;
  options.ranges = Ranges::kGuaranteed;
  const Compiled compiled = compile(graph, options);
  EXPECT_EQ(compiled.program.scheme, "guaranteed");
  EXPECT_LE(relative_error(compiled, testing::random_inputs(graph, 5)[0]), 1e-3);
  options.input_range = {-1e12, 1e12};
  EXPECT_THROW(compile(graph, options), UserError);
}

TEST(Compile, RefusesASampleOfAnotherShape) {
  EXPECT_THROW(compile(mixed_model(1), calibrated({FloatTensor(Shape{1, 3, 12, 11})})), UserError);
}

TEST(Compile, DumpsAfterEveryPass) {
  std::vector<std::string> passes;
  CompileOptions options;
  options.dump_after = [&](std::string_view pass, const std::string& text) {
    EXPECT_FALSE(text.empty());
    passes.emplace_back(pass);
  };
  compile(mixed_model(1), options);
  EXPECT_EQ(passes.front(), "infer_shapes");
  EXPECT_EQ(passes.back(), "judge_ranges");
}

TEST(Compile, RevealsTheLabelOnly) {
  Model m;
  const ValueId x = m.op("MatMul", {m.input({3, 20}), m.random({20, 10})});
  const Graph graph = m.done({m.op("Softmax", {x}, {{"axis", int64_t{1}}})});
  CompileOptions options = calibrated(testing::random_inputs(graph, 1));
  options.reveal_label_only = true;
  const Compiled compiled = compile(graph, options);
  const std::vector<FloatTensor> inputs = testing::random_inputs(graph, 2);
  const auto scores = std::get<FloatTensor>(float_run(graph, inputs)[0]);
  const ClearRun run = clear_run(compiled, inputs);
  ASSERT_EQ(run.outputs[0].shape, Shape{3});
  for (int row = 0; row < 3; ++row) {
    const auto first = scores.values.begin() + row * 10;
    EXPECT_EQ(run.outputs[0].values[static_cast<size_t>(row)], std::max_element(first, first + 10) - first);
  }
}

TEST(Compile, MergesAProjectionWithItsBranch) {
  const Compiled compiled = compile(mixed_model(1), calibrated(testing::random_inputs(mixed_model(1), 1)));
  size_t most = 0;
  for (const Step& step : compiled.program.steps)
    if (const auto* linear = std::get_if<LinearStep>(&step.body)) most = std::max(most, linear->terms.size());
  EXPECT_EQ(most, 2U);
}

// interactive lists the steps that cost messages, with everything that determines their cost.
std::vector<std::string> interactive(const Program& program) {
  std::vector<std::string> result;
  for (const Step& step : program.steps) {
    const char* name = name_of(step.body);
    const bool is_local = std::visit(
        [](const auto& body) {
          using Body = std::decay_t<decltype(body)>;
          return std::is_same_v<Body, AddStep> || std::is_same_v<Body, AddConstantStep> ||
                 std::is_same_v<Body, ScaleStep> || std::is_same_v<Body, SumPoolStep> ||
                 std::is_same_v<Body, SumAxesStep> || std::is_same_v<Body, ReshapeStep> ||
                 std::is_same_v<Body, TransposeStep> || std::is_same_v<Body, PadStep> ||
                 std::is_same_v<Body, SliceStep> || std::is_same_v<Body, GatherStep> ||
                 std::is_same_v<Body, ConcatStep> || std::is_same_v<Body, InputStep>;
        },
        step.body);
    if (!is_local) result.push_back(fmt::format("{} {}", name, step.type.shape.elements()));
  }
  return result;
}

FloatTensor row(const FloatTensor& all, int64_t i, Shape shape) {
  const auto size = static_cast<std::ptrdiff_t>(shape.elements());
  return FloatTensor(std::move(shape), {all.values.begin() + i * size, all.values.begin() + (i + 1) * size});
}

std::vector<size_t> top(const std::vector<float>& values, size_t count) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](size_t a, size_t b) { return values[a] > values[b]; });
  order.resize(count);
  return order;
}

// Accuracy of a trained model: the largest error of what is revealed and the agreement of the labels.
struct Accuracy {
  double error = 0, largest = 0, fullest = 0;
  int agreeing = 0, runs = 0;
};

// check_model compiles with the first `samples` inputs as calibration and runs `runs` of them.
Accuracy check_model(const Compiled& compiled, const FloatTensor& inputs, int runs) {
  Accuracy accuracy;
  const Shape shape = *compiled.graph.value(compiled.graph.inputs[0]).shape;
  for (int i = 0; i < runs; ++i) {
    const FloatTensor input = row(inputs, i, shape);
    Graph logits = compiled.graph;
    if (logits.nodes.back().op == "Softmax") logits.outputs = {logits.nodes.back().inputs[0]};
    const auto expected = std::get<FloatTensor>(float_run(logits, {input})[0]);
    const ClearRun run = clear_run(compiled, {input});
    for (size_t j = 0; j < expected.values.size(); ++j) {
      accuracy.error = std::max<double>(accuracy.error, std::abs(run.outputs[0].values[j] - expected.values[j]));
      accuracy.largest = std::max<double>(accuracy.largest, std::abs(expected.values[j]));
    }
    accuracy.agreeing += top(run.outputs[0].values, 1) == top(expected.values, 1);
    accuracy.fullest = std::max(accuracy.fullest, run.fullest);
    ++accuracy.runs;
  }
  return accuracy;
}

void print(const std::string& what, const Accuracy& accuracy) {
  fmt::print("{}: largest error {:.3g} at outputs up to {:.3g}, label agrees on {} of {}, fullest range {:.2f}\n", what,
             accuracy.error, accuracy.largest, accuracy.agreeing, accuracy.runs, accuracy.fullest);
}

FloatTensor first_rows(const FloatTensor& all, int64_t count) {
  Shape shape = all.shape;
  shape[0] = 1;
  const int64_t size = shape.elements();
  shape[0] = count;
  return FloatTensor(shape, {all.values.begin(), all.values.begin() + count * size});
}

TEST(TrainedModels, DigitsFromBothFormatsCostTheSameAndAgree) {
  const std::filesystem::path folder = std::filesystem::path(TREVILLE_SOURCE_DIR) / "examples" / "digits";
  const FloatTensor inputs = read_npy(folder / "samples.npy");
  const FloatTensor golden = read_npy(folder / "golden_logits.npy");
  CompileOptions options = calibrated({read_npy(folder / "calibration.npy")});
  options.batch = 1;
  const Compiled pb = compile(import_model(folder / "digits.pb"), options);
  const Compiled onnx = compile(import_model(folder / "digits.onnx"), options);
  EXPECT_EQ(interactive(pb.program), interactive(onnx.program));
  for (const Compiled* compiled : {&pb, &onnx}) {
    const Accuracy accuracy = check_model(*compiled, inputs, 20);
    print("digits " + compiled->graph.format, accuracy);
    EXPECT_LE(accuracy.error, 0.02);
    EXPECT_EQ(accuracy.agreeing, 20);
  }
  const ClearRun run = clear_run(pb, {row(inputs, 0, {1, 28, 28, 1})});
  for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(run.outputs[0].values[i], golden.values[i], 0.02);
}

TEST(TrainedModels, SqueezeNetIsAccurateInBothRings) {
  TREVILLE_NEED_MODELS(models);
  const std::filesystem::path folder = models / "squeezenet-v1.0-imagenet";
  const FloatTensor nhwc = read_npy(folder / "in_nhwc.npy"), nchw = read_npy(folder / "in_nchw.npy");
  const FloatTensor golden = read_npy(folder / "out_ort.npy");
  CompileOptions options = calibrated({first_rows(nhwc, 2)});
  options.batch = 1;
  const Compiled pb = compile(import_model(folder / "squeezenet_v1.0_frozen.pb"), options);
  const Accuracy narrow = check_model(pb, nhwc, 4);
  print("SqueezeNet 1.0, 32 bits", narrow);
  EXPECT_LE(narrow.error, 0.3);
  EXPECT_EQ(narrow.agreeing, 4);
  options.calibration = {{first_rows(nchw, 2)}};
  const Compiled onnx = compile(import_model(folder / "squeezenet_v1.0.onnx"), options);
  EXPECT_EQ(interactive(pb.program), interactive(onnx.program));
  const ClearRun run = clear_run(onnx, {row(nchw, 0, {1, 3, 227, 227})});
  const FloatTensor expected = row(golden, 0, {1, 1000});
  EXPECT_EQ(top(run.outputs[0].values, 5), top(expected.values, 5));
  options.ring = Ring::k64;
  const Accuracy wide = check_model(compile(import_model(folder / "squeezenet_v1.0.onnx"), options), nchw, 1);
  print("SqueezeNet 1.0, 64 bits", wide);
  EXPECT_LE(wide.error, 0.001);
}

// A small model with its inputs: calibrated on the first two, run on all.
void check_small(const std::string& name, const std::filesystem::path& model, const std::filesystem::path& input,
                 int runs, double tolerance) {
  const FloatTensor inputs = read_npy(input);
  CompileOptions options = calibrated({first_rows(inputs, 2)});
  options.batch = 1;
  const Accuracy accuracy = check_model(compile(import_model(model), options), inputs, runs);
  print(name, accuracy);
  EXPECT_LE(accuracy.error, tolerance * accuracy.largest) << name;
  EXPECT_EQ(accuracy.agreeing, runs) << name;
}

// with_trained_like_weights gives a topology whose weights are all alike random ones that keep magnitudes, as training
// does.
Graph with_trained_like_weights(Graph graph) {
  infer_shapes(graph, 1);
  std::mt19937 generator(1);
  for (Node& node : graph.nodes) {
    if (node.op == "BatchNorm") {
      const float values[] = {1, 0, 0, 1};
      for (size_t i = 0; i < 4; ++i) {
        FloatTensor flat(*graph.value(node.inputs[i + 1]).shape);
        std::fill(flat.values.begin(), flat.values.end(), values[i]);
        node.inputs[i + 1] = graph.add_constant(node.name, std::move(flat));
      }
    }
    if (node.op != "Conv" && node.op != "MatMul") continue;
    FloatTensor weight(*graph.value(node.inputs[1]).shape);
    const int64_t outputs = weight.shape[weight.shape.rank() - 1];
    const auto inputs = static_cast<float>(weight.shape.elements() / outputs);
    std::normal_distribution<float> normal(0, std::sqrt(1.5F / inputs));
    for (float& value : weight.values) value = normal(generator);
    node.inputs[1] = graph.add_constant(node.name, std::move(weight));
  }
  return graph;
}

// ReLUs, maxima and rescales of whole topologies: what docs/protocols/porthos.md, section 15, counts ("pooled first").
// DenseNet rescales each un-activated part of its concatenations once: 32 channels a layer, 1,078,784 elements in all,
// and 175,616 behind its average pools.
TEST(Topologies, AreLoweredToTheCountedSteps) {
  TREVILLE_NEED_MODELS(models);
  struct Expected {
    const char* name;
    int64_t relus, maxima, rescales;
  };
  const FloatTensor input = read_npy(models / "onnx-light-models" / "in_1x3x224x224.npy");
  for (const Expected& expected :
       {Expected{"resnet50", 9006592, 200704, 0}, Expected{"densenet121", 15065344, 200704, 1254400}}) {
    CompileOptions options = calibrated({input});
    const std::string file = fmt::format("light_{}.onnx", expected.name);
    const Compiled compiled =
        compile(with_trained_like_weights(import_model(models / "onnx-light-models" / file)), options);
    EXPECT_EQ(compiled.program.ring, Ring::k32);
    int64_t relus = 0, maxima = 0, rescales = 0;
    for (const Step& step : compiled.program.steps) {
      const int64_t elements = step.type.shape.elements();
      if (std::holds_alternative<ReluStep>(step.body)) relus += elements;
      if (std::holds_alternative<MaxPoolStep>(step.body)) maxima += elements;
      if (std::holds_alternative<RescaleStep>(step.body)) rescales += elements;
    }
    EXPECT_EQ(relus, expected.relus) << expected.name;
    EXPECT_EQ(maxima, expected.maxima) << expected.name;
    EXPECT_EQ(rescales, expected.rescales) << expected.name;
    EXPECT_LE(compiled.program.slots, 4U) << expected.name;
  }
}

TEST(TrainedModels, SmallModelsAreAccurate) {
  TREVILLE_NEED_MODELS(models);
  check_small("ResNet-20", models / "resnet20-cifar10" / "resnet20.onnx", models / "resnet20-cifar10" / "in.npy", 4,
              0.02);
  check_small("ONNX MNIST", models / "onnx-mnist-8" / "model.onnx", models / "onnx-mnist-8" / "in.npy", 3, 0.01);
  check_small("TF Encrypted MNIST", models / "tf-encrypted-mnist" / "mnist_model.pb",
              models / "tf-encrypted-mnist" / "in_digits20.npy", 20, 0.01);
}

}  // namespace
}  // namespace treville
