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
#include "test/networks.h"

namespace treville {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(TREVILLE_SOURCE_DIR) / "test" / "golden" / "costs.txt";
const fs::path kDigits = fs::path(TREVILLE_SOURCE_DIR) / "examples" / "digits";
constexpr const char* kUpdate = "TREVILLE_UPDATE_GOLDEN=1 build/release/costs_test";
constexpr const char* kHeader =
    "# Bytes and messages of all parties, online rounds, and the most bytes of tensors in each walk, for one "
    "inference\n"
    "# at batch 1. Written by costs_test; see there.\n";

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
            Shape shape = *model.graph.value(model.graph.inputs[0]).shape;
            const int64_t count = shape.elements();
            model.calibration = FloatTensor(std::move(shape), test::EvenNumbers(23)(count, 1));
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
      built("securenn-a", test::securenn_a),
      built("securenn-b", test::securenn_b),
      built("securenn-c", test::securenn_c),
      built("securenn-d", test::securenn_d),
      built("resnet18", [] { return test::resnet(18); }),
      built("resnet34", [] { return test::resnet(34); }),
      built("resnet50", [] { return test::resnet(50); }),
      built("resnet101", [] { return test::resnet(101); }),
      built("resnet152", [] { return test::resnet(152); }),
      built("densenet121", test::densenet121),
      built("squeezenet1.1", test::squeezenet11),
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
  options.calibration = {{model.calibration}};
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

const Entry& entry_of(const std::string& name) {
  const auto found =
      std::find_if(entries().begin(), entries().end(), [&](const Entry& entry) { return entry.name == name; });
  CHECK(found != entries().end(), "no network {}", name);
  return *found;
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

bool is_absent(const Costs& costs, const std::string& key) {
  const std::vector<std::string>& absent = costs.absent;
  return std::find(absent.begin(), absent.end(), network_of(key)) != absent.end();
}

// write_golden keeps the lines of models that are not here, and the order of entries().
void write_golden(const Costs& costs, const Table& before) {
  Table all = costs.lines;
  for (const auto& [key, figures] : before)
    if (is_absent(costs, key)) all[key] = figures;
  std::ofstream file(kGolden);
  file << kHeader;
  for (const Entry& entry : entries())
    for (const auto& [key, figures] : all)
      if (network_of(key) == entry.name) file << key << ": " << figures << "\n";
  CHECK(file.good(), "cannot write {}", kGolden.string());
}

// differences shows lines as a diff does.
std::string differences(const Costs& costs, const Table& golden) {
  std::string text;
  for (const auto& [key, figures] : golden) {
    const auto now = costs.lines.find(key);
    if (is_absent(costs, key) || (now != costs.lines.end() && now->second == figures)) continue;
    text += fmt::format("- {}: {}\n", key, figures);
    if (now != costs.lines.end()) text += fmt::format("+ {}: {}\n", key, now->second);
  }
  for (const auto& [key, figures] : costs.lines)
    if (golden.count(key) == 0) text += fmt::format("+ {}: {}\n", key, figures);
  return text;
}

TEST(Costs, AreThoseOfTheGoldenFile) {
  Costs costs;
  for (const Entry& entry : entries()) add_network(entry, costs);
  const Table golden = read_golden();
  if (std::getenv("TREVILLE_UPDATE_GOLDEN") != nullptr) {
    write_golden(costs, golden);
    GTEST_SKIP() << kGolden << " written";
  }
  for (const std::string& name : costs.absent) std::cout << "not checked, as the model is not here: " << name << "\n";
  for (const std::string& reason : costs.not_allowed) std::cout << "does not compile: " << reason << "\n";
  EXPECT_EQ(differences(costs, golden), "") << "if this is wanted: " << kUpdate;
}

TEST(Costs, EveryNetworkBuiltHereHasItsLines) {
  const Table golden = read_golden();
  for (const char* name :
       {"digits.pb", "digits.onnx", "securenn-a", "securenn-b", "securenn-c", "securenn-d", "resnet18", "resnet34",
        "resnet50", "resnet101", "resnet152", "densenet121", "squeezenet1.1"})
    for (Ring ring : {Ring::k32, Ring::k64})
      for (std::string_view protocol : protocol_names())
        EXPECT_EQ(golden.count(key_of(name, protocol, ring)), 1u) << name << " " << protocol;
}

// lines_of computes the figures of a network, by protocol and ring.
std::vector<std::string> lines_of(const std::string& network) {
  Costs costs;
  add_network(entry_of(network), costs);
  std::vector<std::string> lines;
  for (const auto& [key, figures] : costs.lines) lines.push_back(key.substr(network.size()) + ": " + figures);
  return lines;
}

// Counts are what the reference counts of a network are about: multiply-accumulates of convolutions, elements under a
// ReLU when pooling goes first, comparisons of maxima by rows and columns, multiply-accumulates of dense layers.
struct Counts {
  int64_t conv = 0, relu = 0, comparisons = 0, dense = 0;
  bool operator==(const Counts&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Counts& c) {
  return out << fmt::format("conv {} relu {} comparisons {} dense {}", c.conv, c.relu, c.comparisons, c.dense);
}

// comparisons of a maximum that goes by rows, then by columns, as if windows over padding were full.
int64_t comparisons(const PoolGeometry& pool) {
  const int64_t rows = pool.out_h * pool.in_w * (pool.kernel_h - 1);
  const int64_t columns = pool.out_h * pool.out_w * (pool.kernel_w - 1);
  return pool.batch * pool.channels * (rows + columns);
}

Counts counts_of(const Program& program) {
  Counts counts;
  for (const Step& step : program.steps) {
    if (const auto* linear = std::get_if<LinearStep>(&step.body)) {
      for (const LinearTerm& term : linear->terms)
        if (std::holds_alternative<ConvGeometry>(term.map)) {
          counts.conv += macs(term.map);
        } else if (std::holds_alternative<MatmulGeometry>(term.map)) {
          counts.dense += macs(term.map);
        }
    } else if (std::holds_alternative<ReluStep>(step.body)) {
      counts.relu += step.type.shape.elements();
    } else if (const auto* pool = std::get_if<MaxPoolStep>(&step.body)) {
      counts.comparisons += comparisons(pool->pool);
    }
  }
  return counts;
}

Counts counts_of(const Graph& graph, const std::string& name) {
  Model model{graph, entry_of(name).make()->calibration};
  return counts_of(compile_for(model, Ring::k32).program);
}

TEST(Costs, ProgramsHoldExactlyTheOperationsOfTheNetworks) {
  EXPECT_EQ(counts_of(test::resnet(50), "resnet50"), (Counts{4087136256, 9006592, 1204224, 2048000}));
  EXPECT_EQ(counts_of(test::densenet121(), "densenet121"), (Counts{2833137664, 15065344, 1204224, 1024000}));
  EXPECT_EQ(counts_of(test::squeezenet11(), "squeezenet1.1"), (Counts{387747520, 1695008, 2114560, 0}));
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
  EXPECT_THAT(read_golden().at("digits.pb porthos 32"), ::testing::StartsWith(expected));
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
  const Entry entry = built("securenn-d", test::securenn_d);
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
