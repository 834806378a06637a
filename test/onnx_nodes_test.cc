// The node tests of the ONNX standard, as Debian's package libonnx-testdata has them, against the importer, the float
// meaning of operations, the compiler and the protocols. golden/onnx_nodes.txt lists what passes and how far, and
// docs/operations.md shows it by operation. To write both anew: TREVILLE_UPDATE_GOLDEN=1 build/release/onnx_nodes_test
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
constexpr const char* kUpdate = "TREVILLE_UPDATE_GOLDEN=1 build/release/onnx_nodes_test";

bool updates_golden() { return std::getenv("TREVILLE_UPDATE_GOLDEN") != nullptr; }

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

const char* name_of(Level level) {
  return level == Level::kSecure ? "float secure" : level == Level::kFloat ? "float" : "refused";
}

// Row counts the tests of one operation, over all its variants.
struct Row {
  std::set<int64_t> float_opsets, secure_opsets;
  int variants = 0, floats = 0, secures = 0;
};

// Survey is the result of all node tests.
struct Survey {
  std::map<std::string, Level> passed;        // by test and variant
  std::map<std::string, std::string> errors;  // wrong results
  std::map<std::string, Row> rows;            // by operation, of tests with one node
  int outside = 0;                            // tests of operations without a row

  void add(const OnnxNodeCase& test, Secret secret) {
    const std::string name = test.name + suffix_of(secret);
    const Outcome outcome = run_onnx_node_case(test, secret);
    if (!outcome.error.empty()) errors[name] = outcome.error;
    if (outcome.level != Level::kRefused) passed[name] = outcome.level;
    if (outcome.level != Level::kSecure && outcome.error.empty())
      std::cout << fmt::format("{}: {}: {}\n", name, name_of(outcome.level), outcome.reason);
    if (test.ops.size() != 1) return;
    Row& row = rows[test.ops[0]];
    ++row.variants;
    if (outcome.level >= Level::kFloat) ++row.floats, row.float_opsets.insert(test.opset);
    if (outcome.level >= Level::kSecure) ++row.secures, row.secure_opsets.insert(test.opset);
  }
};

// survey runs everything once, for all tests of this program.
const Survey& survey() {
  static const Survey result = [] {
    Survey all;
    std::vector<fs::path> folders(fs::directory_iterator(kNodeTests), fs::directory_iterator{});
    std::sort(folders.begin(), folders.end());
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

std::string operations_page(const Survey& all) {
  std::string text = fmt::format(
      "# Operations\n\n<!-- Written by test/onnx_nodes_test.cc from the tests that pass; do not edit. To write it "
      "anew:\n"
      "{} -->\n\n"
      "What ONNX's own node tests say about each operation of an ONNX model. *Float*: the operation imports and its\n"
      "meaning agrees with the standard's reference within 1e-4. *Secure*: it also compiles, and what the protocols\n"
      "`clear` and `porthos` reveal agrees within 2^-8 of the largest output (or of 1). The columns give how many of "
      "the\n"
      "tests pass and their operator sets, which are those in which the operation last changed (at least 7); an\n"
      "operation with two operands is tested with either of them secret, and with both. What does not reach a level "
      "is\n"
      "refused with a message, or computes with public values only (shapes, constants). [graph.md](graph.md) says "
      "what\n"
      "the operations mean.\n\n"
      "| operation | operator sets, float | float | operator sets, secure | secure |\n|---|---|---|---|---|\n",
      kUpdate);
  for (const auto& [op, row] : all.rows) {
    if (row.floats == 0) continue;
    text += fmt::format("| {} | {} | {} of {} | {} | {} |\n", op, fmt::join(row.float_opsets, ", "), row.floats,
                        row.variants, row.secures > 0 ? fmt::format("{}", fmt::join(row.secure_opsets, ", ")) : "-",
                        row.secures > 0 ? fmt::format("{} of {}", row.secures, row.variants) : "-");
  }
  return text;
}

class OnnxNodes : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kNodeTests)) GTEST_SKIP() << "libonnx-testdata is not installed: " << kNodeTests;
  }
  const fs::path golden_ = fs::path(TREVILLE_SOURCE_DIR) / "test" / "golden" / "onnx_nodes.txt";
  const fs::path page_ = fs::path(TREVILLE_SOURCE_DIR) / "docs" / "operations.md";
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

TEST_F(OnnxNodes, AreWhatTheOperationsPageShows) {
  const std::string page = operations_page(survey());
  if (updates_golden()) std::ofstream(page_, std::ios::binary) << page;
  EXPECT_EQ(read_file(page_), page) << "docs/operations.md differs from what passes. Write it anew: " << kUpdate;
}

}  // namespace
}  // namespace treville::testing
