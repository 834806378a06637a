// The node tests of the ONNX standard, as Debian's package libonnx-testdata has them (operator sets up to 17) and as
// tools/make_onnx_cases.py wrote them to test/onnx (18 to 21), against the importer, the float meaning of operations,
// the compiler and the protocols. golden/onnx_nodes.txt lists what passes and how far, golden/operations_onnx.txt by
// operation. To write both anew: TREVILLE_UPDATE_GOLDEN=1 build/release/onnx_nodes_test
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "base/error.h"
#include "test/onnx_node_case.h"

namespace treville::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNodeTests = "/usr/share/libonnx-testdata/data/node";
const fs::path kLaterTests = fs::path(TREVILLE_SOURCE_DIR) / "test" / "onnx";
constexpr const char* kUpdate = "TREVILLE_UPDATE_GOLDEN=1 build/release/onnx_nodes_test";

bool updates_golden() { return std::getenv("TREVILLE_UPDATE_GOLDEN") != nullptr; }

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

const char* name_of(Level level) {
  return level == Level::kSecure ? "float secure" : level == Level::kFloat ? "float" : "refused";
}

// Survey is the result of all node tests.
struct Survey {
  std::map<std::string, Level> passed;        // by test and variant
  std::map<std::string, std::string> errors;  // wrong results
  OperationsSurvey operations;                // of tests with one node
  int outside = 0;                            // tests of operations without a row

  void add(const OnnxNodeCase& test, Secret secret) {
    const std::string name = test.name + suffix_of(secret);
    const Outcome outcome = run_onnx_node_case(test, secret);
    if (!outcome.error.empty()) errors[name] = outcome.error;
    if (outcome.level != Level::kRefused) passed[name] = outcome.level;
    if (outcome.level != Level::kSecure && outcome.error.empty())
      std::cout << fmt::format("{}: {}: {}\n", name, name_of(outcome.level), outcome.reason);
    if (test.ops.size() == 1)
      operations.add({{test.ops[0]}, outcome.operations.of_graph}, name_of(outcome.level), test.opset);
  }
};

// survey runs everything once, for all tests of this program.
const Survey& survey() {
  static const Survey result = [] {
    Survey all;
    std::vector<fs::path> folders(fs::directory_iterator(kNodeTests), fs::directory_iterator{});
    std::sort(folders.begin(), folders.end());
    std::vector<fs::path> later(fs::directory_iterator(kLaterTests), fs::directory_iterator{});
    std::sort(later.begin(), later.end());
    folders.insert(folders.end(), later.begin(), later.end());
    for (const fs::path& folder : folders) {
      const auto test = read_onnx_node_case(folder);
      if (!test || !in_table(*test)) {
        ++all.outside;
        continue;
      }
      for (Secret secret : variants(*test)) all.add(*test, secret);
    }
    const auto secure = std::count_if(all.passed.begin(), all.passed.end(),
                                      [](const auto& entry) { return entry.second == Level::kSecure; });
    std::cout << fmt::format("{} pass in float, {} of them securely; {} tests are of other operations\n",
                             all.passed.size(), secure, all.outside);
    return all;
  }();
  return result;
}

std::map<std::string, std::string> read_golden(const fs::path& path) {
  std::map<std::string, std::string> golden;
  std::istringstream stream(read_file(path));
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.find(' ');
    golden[line.substr(0, space)] = space == std::string::npos ? "" : line.substr(space + 1);
  }
  return golden;
}

std::string golden_text(const Survey& all) {
  std::string text = "# ONNX node tests that pass, and how far. Written by onnx_nodes_test; see there.\n";
  for (const auto& [name, level] : all.passed) text += fmt::format("{} {}\n", name, name_of(level));
  return text;
}

class OnnxNodes : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kNodeTests)) GTEST_SKIP() << "libonnx-testdata is not installed: " << kNodeTests;
  }
  const fs::path golden_ = fs::path(TREVILLE_SOURCE_DIR) / "test" / "golden" / "onnx_nodes.txt";
};

TEST_F(OnnxNodes, GiveNoWrongResult) {
  for (const auto& [name, error] : survey().errors) ADD_FAILURE() << name << ": " << error;
  EXPECT_GT(survey().passed.size(), 100u);
}

TEST_F(OnnxNodes, PassAsFarAsTheGoldenFileSays) {
  if (updates_golden()) std::ofstream(golden_, std::ios::binary) << golden_text(survey());
  std::map<std::string, std::string> golden = read_golden(golden_);
  for (const auto& [name, level] : survey().passed) {
    const auto listed = golden.find(name);
    if (listed == golden.end()) {
      ADD_FAILURE() << name << " passes (" << name_of(level) << ") and is not listed. Add it: " << kUpdate;
      continue;
    }
    EXPECT_EQ(listed->second, name_of(level)) << name << " (if it got further: " << kUpdate << ")";
    golden.erase(listed);
  }
  for (const auto& [name, level] : golden) ADD_FAILURE() << name << " no longer passes; listed: " << level;
}

TEST_F(OnnxNodes, AreWhatTheOperationsPageShows) { expect_survey("operations_onnx.txt", survey().operations); }

}  // namespace
}  // namespace treville::testing
