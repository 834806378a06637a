// The cost of known networks, to the byte: test/golden/costs.txt has a line for each network, protocol and ring. A
// change of any figure is a change somebody must want; to write the file anew:
//   TREVILLE_UPDATE_GOLDEN=1 build/release/costs_test
// Networks A to D are those of SecureNN (Wagh, Gupta, Chandran, PETS 2019, section 6) with weights made up here. Lines
// of models that are not on this machine are kept, and said not to be checked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <numeric>
#include <random>

#include "base/error.h"
#include "compile/compile.h"
#include "cost/cost.h"
#include "data/npy.h"
#include "import/import.h"
#include "run/local_run.h"
#include "test/models.h"

namespace treville {
namespace {

namespace fs = std::filesystem;
using Ints = std::vector<int64_t>;

const fs::path kGolden = fs::path(TREVILLE_SOURCE_DIR) / "test" / "golden" / "costs.txt";
const fs::path kDigits = fs::path(TREVILLE_SOURCE_DIR) / "examples" / "digits";
constexpr const char* kUpdate = "TREVILLE_UPDATE_GOLDEN=1 build/release/costs_test";
constexpr const char* kHeader =
    "# Bytes and messages of all parties, online rounds, and the most bytes of tensors in each walk, for one "
    "inference\n"
    "# at batch 1. Written by costs_test; see there.\n";

// ---- networks built here

// even gives count numbers in [-bound, bound), the same on every machine.
std::vector<float> even(int64_t count, float bound, std::mt19937& random) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = (static_cast<float>(random() >> 8) / (1 << 23) - 1) * bound;
  return values;
}

// Network builds a chain of layers, front to back. Weights shrink with the fan-in, so that values keep their size.
class Network {
 public:
  explicit Network(Shape input) : random_(17) {
    graph_.name = "network";
    last_ = graph_.add_value({"x", DType::kFloat, std::move(input), {}});
    graph_.inputs.push_back(last_);
  }
  Network& conv(int64_t in, int64_t out, int64_t stride, const std::string& auto_pad) {
    return add("Conv", {last_, weight({5, 5, in, out}, 25 * in), bias(out)},
               {{"strides", Ints{stride, stride}},
                {"dilations", Ints{1, 1}},
                {"pads", Ints{0, 0, 0, 0}},
                {"auto_pad", auto_pad},
                {"groups", int64_t{1}},
                {"layout", std::string("NHWC")}});
  }
  Network& relu() { return add("Relu", {last_}, {}); }
  Network& max_pool() {
    return add("MaxPool", {last_},
               {{"kernel", Ints{2, 2}},
                {"strides", Ints{2, 2}},
                {"dilations", Ints{1, 1}},
                {"pads", Ints{0, 0, 0, 0}},
                {"auto_pad", std::string("explicit")},
                {"ceil_mode", int64_t{0}},
                {"layout", std::string("NHWC")}});
  }
  Network& flatten(int64_t columns) { return add("Reshape", {last_}, {{"shape", Ints{1, columns}}}); }
  Network& dense(int64_t in, int64_t out) {
    add("MatMul", {last_, weight({in, out}, in)}, {});
    return add("Add", {last_, bias(out)}, {});
  }
  Graph done() {
    graph_.outputs = {last_};
    return std::move(graph_);
  }

 private:
  ValueId weight(Shape shape, int64_t fan_in) {
    const int64_t count = shape.elements();
    return graph_.add_constant(
        "w", FloatTensor(std::move(shape), even(count, 1.5F / std::sqrt(static_cast<float>(fan_in)), random_)));
  }
  ValueId bias(int64_t out) { return graph_.add_constant("b", FloatTensor({out}, even(out, 0.1F, random_))); }
  Network& add(const std::string& op, std::vector<ValueId> inputs, std::map<std::string, Attribute> attributes) {
    last_ = graph_.add_node(op, op + std::to_string(graph_.nodes.size()), std::move(inputs), std::move(attributes));
    return *this;
  }

  std::mt19937 random_;
  Graph graph_;
  ValueId last_{};
};

Graph network_a() { return Network({1, 784}).dense(784, 128).relu().dense(128, 128).relu().dense(128, 10).done(); }
// two_convolutions are the networks B and C: MiniONN's and LeNet.
Graph two_convolutions(int64_t first, int64_t second, int64_t hidden) {
  Network network({1, 28, 28, 1});
  network.conv(1, first, 1, "valid").relu().max_pool().conv(first, second, 1, "valid").relu().max_pool();
  return network.flatten(16 * second).dense(16 * second, hidden).relu().dense(hidden, 10).done();
}
Graph network_d() {
  Network network({1, 28, 28, 1});
  network.conv(1, 5, 2, "same_upper").relu().flatten(980).dense(980, 100).relu().dense(100, 10);
  return network.done();
}

// ---- the list of networks

struct Model {
  Graph graph;
  FloatTensor calibration;
};

// Entry makes a model; none when its file is not on this machine.
struct Entry {
  std::string name;
  std::function<std::optional<Model>()> make;
};

Entry built(const std::string& name, const std::function<Graph()>& make) {
  return {name, [make]() -> std::optional<Model> {
            Model model{make(), {}};
            std::mt19937 random(23);
            Shape shape = *model.graph.value(model.graph.inputs[0]).shape;
            const int64_t count = shape.elements();
            model.calibration = FloatTensor(std::move(shape), even(count, 1, random));
            return model;
          }};
}

Model read_model(const fs::path& file, const fs::path& calibration) {
  return {import_model(file, {.batch = 1, .input_shapes = {}, .outputs = {}}), read_npy(calibration)};
}

Entry digits(const std::string& file) {
  return {file, [file]() -> std::optional<Model> { return read_model(kDigits / file, kDigits / "calibration.npy"); }};
}

Entry published(const std::string& name, const std::string& file, const std::string& calibration) {
  return {name, [=]() -> std::optional<Model> {
            const auto dir = test::models_dir();
            if (!dir || !fs::exists(*dir / file)) return std::nullopt;
            return read_model(*dir / file, (*dir / file).parent_path() / calibration);
          }};
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      digits("digits.pb"),
      digits("digits.onnx"),
      built("securenn-a", network_a),
      built("securenn-b", [] { return two_convolutions(16, 16, 100); }),
      built("securenn-c", [] { return two_convolutions(20, 50, 500); }),
      built("securenn-d", network_d),
      published("squeezenet.pb", "squeezenet-v1.0-imagenet/squeezenet_v1.0_frozen.pb", "in_nhwc.npy"),
      published("squeezenet.onnx", "squeezenet-v1.0-imagenet/squeezenet_v1.0.onnx", "in_nchw.npy"),
      published("resnet20.onnx", "resnet20-cifar10/resnet20.onnx", "in.npy"),
      published("mnist-8.onnx", "onnx-mnist-8/model.onnx", "in.npy"),
      published("tf-encrypted-mnist.pb", "tf-encrypted-mnist/mnist_model.pb", "in_digits20.npy"),
  };
  return all;
}

Compiled compile_for(const Model& model, Ring ring) {
  CompileOptions options;
  options.ring = ring;
  options.calibration = {model.calibration};
  return compile(model.graph, options);
}

Compiled compile_digits() { return compile_for(*digits("digits.pb").make(), Ring::k32); }

// ---- lines

std::string key_of(const std::string& network, std::string_view protocol, Ring ring) {
  return fmt::format("{} {} {}", network, protocol, bits_of(ring));
}

std::string figures_of(const CostReport& report) {
  const int64_t messages = report.messages(Phase::kOffline) + report.messages(Phase::kOnline);
  std::string text =
      fmt::format("offline {} online {} setup {} messages {} rounds {} memory", report.bytes(Phase::kOffline),
                  report.bytes(Phase::kOnline), report.bytes(Phase::kSetup), messages,
                  report.rounds.by_phase[static_cast<size_t>(Phase::kOnline)]);
  for (const WalkCost& walk : report.walks)
    text += fmt::format(" {}.{} {}", walk.party, name_of(walk.phase), walk.memory_peak);
  return text;
}

// Table maps "network protocol ring" to figures.
using Table = std::map<std::string, std::string>;

struct Costs {
  Table lines;
  std::vector<std::string> absent;       // networks
  std::vector<std::string> not_allowed;  // keys that the compiler refuses, and why
};

void add_network(const Entry& entry, Costs& costs) {
  const std::optional<Model> model = entry.make();
  if (!model) {
    costs.absent.push_back(entry.name);
    return;
  }
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    try {
      const Compiled compiled = compile_for(*model, ring);
      for (std::string_view protocol : protocol_names())
        costs.lines[key_of(entry.name, protocol, ring)] = figures_of(dry_cost(protocol, compiled.program));
    } catch (const UserError& error) {
      costs.not_allowed.push_back(fmt::format("{} {}: {}", entry.name, bits_of(ring), error.what()));
    }
  }
}

// costs computes all lines once, for all tests of this program.
const Costs& costs() {
  static const Costs result = [] {
    Costs all;
    for (const Entry& entry : entries()) add_network(entry, all);
    return all;
  }();
  return result;
}

Table read_golden() {
  Table golden;
  std::ifstream file(kGolden);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.empty() || line[0] == '#' || colon == std::string::npos) continue;
    golden[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return golden;
}

std::string network_of(const std::string& key) { return key.substr(0, key.find(' ')); }

bool is_absent(const std::string& key) {
  const std::vector<std::string>& absent = costs().absent;
  return std::find(absent.begin(), absent.end(), network_of(key)) != absent.end();
}

// write_golden keeps the lines of models that are not here, and the order of entries().
void write_golden(const Table& before) {
  Table all = costs().lines;
  for (const auto& [key, figures] : before)
    if (is_absent(key)) all[key] = figures;
  std::ofstream file(kGolden);
  file << kHeader;
  for (const Entry& entry : entries())
    for (const auto& [key, figures] : all)
      if (network_of(key) == entry.name) file << key << ": " << figures << "\n";
  CHECK(file.good(), "cannot write {}", kGolden.string());
}

// differences shows lines as a diff does.
std::string differences(const Table& golden) {
  std::string text;
  for (const auto& [key, figures] : golden) {
    const auto now = costs().lines.find(key);
    if (is_absent(key) || (now != costs().lines.end() && now->second == figures)) continue;
    text += fmt::format("- {}: {}\n", key, figures);
    if (now != costs().lines.end()) text += fmt::format("+ {}: {}\n", key, now->second);
  }
  for (const auto& [key, figures] : costs().lines)
    if (golden.count(key) == 0) text += fmt::format("+ {}: {}\n", key, figures);
  return text;
}

TEST(Costs, AreThoseOfTheGoldenFile) {
  const Table golden = read_golden();
  if (std::getenv("TREVILLE_UPDATE_GOLDEN") != nullptr) {
    write_golden(golden);
    GTEST_SKIP() << kGolden << " written";
  }
  for (const std::string& name : costs().absent) std::cout << "not checked, as the model is not here: " << name << "\n";
  for (const std::string& reason : costs().not_allowed) std::cout << "does not compile: " << reason << "\n";
  EXPECT_EQ(differences(golden), "") << "if this is wanted: " << kUpdate;
}

TEST(Costs, TheNetworksBuiltHereCompileInBothRings) {
  for (const char* name : {"digits.pb", "digits.onnx", "securenn-a", "securenn-b", "securenn-c", "securenn-d"})
    for (Ring ring : {Ring::k32, Ring::k64})
      for (std::string_view protocol : protocol_names())
        EXPECT_EQ(costs().lines.count(key_of(name, protocol, ring)), 1u) << name << " " << protocol;
}

// lines_of lists the figures of a network, by protocol and ring.
std::vector<std::string> lines_of(const std::string& network) {
  std::vector<std::string> lines;
  for (const auto& [key, figures] : costs().lines)
    if (network_of(key) == network) lines.push_back(key.substr(network.size()) + ": " + figures);
  return lines;
}

TEST(Costs, DoNotDependOnTheModelsFormat) {
  EXPECT_EQ(lines_of("digits.pb"), lines_of("digits.onnx"));
  EXPECT_EQ(lines_of("squeezenet.pb"), lines_of("squeezenet.onnx")) << "two files of one network";
}

// ---- real runs

RingTensor random_words(Ring ring, const Shape& shape, int64_t magnitude, std::mt19937& random) {
  RingTensor tensor = RingTensor::stored(ring, shape);
  dispatch(ring, [&](auto word) {
    for (auto& value : tensor.as<decltype(word)>()) {
      const auto drawn = static_cast<int64_t>(random() % static_cast<uint64_t>(2 * magnitude + 1));
      value = static_cast<decltype(word)>(drawn - magnitude);
    }
  });
  return tensor;
}

std::map<std::string, RingTensor> inputs_of(const Program& program, int64_t magnitude, uint32_t seed) {
  std::mt19937 random(seed);
  std::map<std::string, RingTensor> inputs;
  for (const Step& step : program.steps) {
    if (const auto* input = std::get_if<InputStep>(&step.body))
      inputs.emplace(input->name, random_words(input->ring, input->shape, magnitude, random));
  }
  return inputs;
}

// Metered is one real run of Porthos: what it sent, as lines to compare, and what its messages were.
struct Metered {
  std::vector<std::string> rows;
  int64_t bytes[3] = {};  // by phase
  int64_t messages = 0;   // without the set-up
  std::vector<Digest> transcripts;
};

Metered run(const Program& program, const std::vector<RingTensor>& constants,
            const std::map<std::string, RingTensor>& inputs) {
  LocalRunOptions options;
  options.seed = 3;
  options.network.keep_transcript = true;
  LocalRunResult result = run_local("porthos", program, constants, inputs, options);
  Metered metered;
  metered.transcripts = std::move(result.transcripts);
  for (const TrafficRow& row : result.traffic) {
    metered.rows.push_back(fmt::format("{} -> {} {}: {} messages, {} bytes", row.from, row.to, name_of(row.phase),
                                       row.traffic.messages, row.traffic.bytes));
    metered.bytes[static_cast<size_t>(row.phase)] += row.traffic.bytes;
    if (row.phase != Phase::kSetup) metered.messages += row.traffic.messages;
  }
  return metered;
}

TEST(Costs, ARunOfTheDigitModelSendsWhatItsLineSays) {
  const Compiled compiled = compile_digits();
  const Metered metered = run(compiled.program, compiled.constants, inputs_of(compiled.program, 4000, 1));
  const auto bytes = [&](Phase phase) { return metered.bytes[static_cast<size_t>(phase)]; };
  const std::string expected = fmt::format("offline {} online {} setup {} messages {} rounds", bytes(Phase::kOffline),
                                           bytes(Phase::kOnline), bytes(Phase::kSetup), metered.messages);
  EXPECT_THAT(costs().lines.at("digits.pb porthos 32"), ::testing::StartsWith(expected));
}

TEST(Costs, DoNotDependOnTheInput) {
  const Compiled compiled = compile_digits();
  const Metered blank = run(compiled.program, compiled.constants, inputs_of(compiled.program, 0, 1));
  for (uint32_t seed : {1u, 2u}) {
    const Metered other = run(compiled.program, compiled.constants, inputs_of(compiled.program, 4000, seed));
    EXPECT_EQ(other.rows, blank.rows) << "seed " << seed;
    EXPECT_NE(other.transcripts, blank.transcripts) << "the inputs are different";
  }
}

TEST(Costs, DoNotDependOnTheWeights) {
  const Compiled compiled = compile_digits();
  const auto inputs = inputs_of(compiled.program, 4000, 1);
  const Metered trained = run(compiled.program, compiled.constants, inputs);
  for (int64_t magnitude : {0, 50}) {
    std::mt19937 random(9);
    std::vector<RingTensor> constants;
    for (const ConstantDecl& declared : compiled.program.constants)
      constants.push_back(random_words(declared.ring, declared.shape, magnitude, random));
    const Metered other = run(compiled.program, constants, inputs);
    EXPECT_EQ(other.rows, trained.rows) << "magnitude " << magnitude;
    EXPECT_NE(other.transcripts, trained.transcripts) << "the weights are different";
  }
}

// mirrored negates all weights and biases of the last layer: the same ranges, other values.
Graph mirrored(Graph graph) {
  for (size_t i = graph.nodes.size() - 2; i < graph.nodes.size(); ++i) {
    auto& tensor = std::get<FloatTensor>(*graph.value(graph.nodes[i].inputs[1]).constant);
    for (float& value : tensor.values) value = -value;
  }
  return graph;
}

TEST(Costs, OfTwoModelsWithOnePlanAreEqual) {
  const Entry entry = built("securenn-d", network_d);
  const Model model = *entry.make();
  const Model other{mirrored(model.graph), model.calibration};
  const Compiled a = compile_for(model, Ring::k32), b = compile_for(other, Ring::k32);
  EXPECT_TRUE(a.program == b.program) << "one plan, and nothing in a program depends on weights but their ranges";
  const auto inputs = inputs_of(a.program, 1000, 1);
  const Metered first = run(a.program, a.constants, inputs), second = run(b.program, b.constants, inputs);
  EXPECT_EQ(first.rows, second.rows);
  EXPECT_NE(first.transcripts, second.transcripts) << "the weights are different";
}

}  // namespace
}  // namespace treville
