// docs/operations.md is one page for all formats, composed from what the tests of each format found
// (golden/operations_*.txt, see operations_survey.h). To write it anew, after the suites of the formats:
// TREVILLE_UPDATE_GOLDEN=1 build/release/operations_page_test
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "test/operations_survey.h"

namespace treville::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = fs::path(TREVILLE_SOURCE_DIR);
constexpr const char* kUpdate = "TREVILLE_UPDATE_GOLDEN=1 build/release/operations_page_test";

// Format is a column of the overview and a section: a format that no suite has surveyed yet is left out.
struct Format {
  const char* title;
  std::vector<const char*> files;  // of test/golden
  const char* about;
};

const std::vector<Format> kFormats = {
    {"ONNX",
     {"operations_onnx.txt"},
     "ONNX's own node tests of one operation, of the operator sets in which the operation last changed (at least 7);\n"
     "an operation with two operands is tested with either of them secret, and with both."},
    {"TensorFlow",
     {"operations_tensorflow.txt"},
     "Frozen graphs, SavedModels and TensorFlow.js graph models share one table; what TensorFlow answered is the\n"
     "reference."},
    {"TensorFlow Lite",
     {"operations_tflite.txt"},
     "Small models that the converter made of each family of operators, against the interpreter; float and quantised."},
    {"Keras",
     {"operations_keras_layers.txt", "operations_keras_fixtures.txt"},
     "HDF5 files, `.keras` archives and TensorFlow.js layers models share one table; layers and small models, against\n"
     "recorded results of Keras."},
};

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Surveyed is a format and what its suites found.
struct Surveyed {
  const Format* format;
  OperationsSurvey survey;
};

std::vector<Surveyed> surveys() {
  std::vector<Surveyed> all;
  for (const Format& format : kFormats) {
    Surveyed surveyed{&format, {}};
    for (const char* file : format.files)
      surveyed.survey.merge(OperationsSurvey::from_text(read_file(kSource / "test" / "golden" / file)));
    if (!surveyed.survey.of_graph().empty()) all.push_back(std::move(surveyed));
  }
  return all;
}

// cell says how far an operation gets in a format, with the versions where there are some.
std::string cell(const std::map<std::string, SurveyRow>& rows, const std::string& name) {
  const auto found = rows.find(name);
  if (found == rows.end() || found->second.floats == 0) return "-";
  const SurveyRow& row = found->second;
  const auto level = [](const char* word, const std::set<int64_t>& versions) {
    return versions.empty() ? std::string(word) : fmt::format("{} ({})", word, fmt::join(versions, ", "));
  };
  if (row.secures == 0) return level("float", row.float_versions);
  std::set<int64_t> rest;
  for (int64_t version : row.float_versions)
    if (!row.secure_versions.contains(version)) rest.insert(version);
  const std::string secure = level("secure", row.secure_versions);
  return rest.empty() ? secure : secure + ", " + level("float", rest);
}

std::string overview(const std::vector<Surveyed>& all) {
  std::set<std::string> operations;
  std::string header = "| operation |", rule = "|---|";
  for (const Surveyed& one : all) {
    header += fmt::format(" {} |", one.format->title);
    rule += "---|";
    for (const auto& [name, row] : one.survey.of_graph())
      if (row.floats > 0) operations.insert(name);
  }
  std::string text = header + "\n" + rule + "\n";
  for (const std::string& operation : operations) {
    text += fmt::format("| {} |", operation);
    for (const Surveyed& one : all) text += fmt::format(" {} |", cell(one.survey.of_graph(), operation));
    text += "\n";
  }
  return text;
}

std::string section(const Surveyed& one) {
  const auto& rows = one.survey.of_format();
  int floats = 0, secures = 0;
  bool has_versions = false;
  std::string lines;
  for (const auto& [name, row] : rows) has_versions = has_versions || !row.float_versions.empty();
  const auto versions = [](const std::set<int64_t>& list) {
    return list.empty() ? std::string("-") : fmt::format("{}", fmt::join(list, ", "));
  };
  for (const auto& [name, row] : rows) {
    if (row.floats == 0) continue;
    ++floats;
    if (row.secures > 0) ++secures;
    const std::string secure = row.secures > 0 ? fmt::format("{} of {}", row.secures, row.tests) : "-";
    lines += has_versions ? fmt::format("| {} | {} | {} of {} | {} | {} |\n", name, versions(row.float_versions),
                                        row.floats, row.tests, versions(row.secure_versions), secure)
                          : fmt::format("| {} | {} of {} | {} |\n", name, row.floats, row.tests, secure);
  }
  return fmt::format(
      "\n## {}\n\n{}\n{} operations pass in float, {} of them securely.\n\n{}{}", one.format->title, one.format->about,
      floats, secures,
      has_versions
          ? "| operation | operator sets, float | float | operator sets, secure | secure |\n|---|---|---|---|---|\n"
          : "| operation | float | secure |\n|---|---|---|\n",
      lines);
}

std::string page() {
  const std::vector<Surveyed> all = surveys();
  std::string text = fmt::format(
      "# Operations\n\n<!-- Written by test/operations_page_test.cc from the tests that pass; do not edit. To write it "
      "anew, after the\nsuites of the formats with the same variable: {} -->\n\n"
      "What the tests say about each operation in each model format. *Float*: a model with it imports, and its "
      "meaning\n"
      "agrees with the format's reference within 1e-4. *Secure*: it also compiles, and what the protocols reveal "
      "agrees\n"
      "within 2^-8 of the largest output (or of 1). What does not reach a level is refused with a message, or "
      "computes\n"
      "with public values only (shapes, constants).\n\n"
      "The rows are the operations of the graph that all formats become; [graph.md](graph.md) says what they mean. "
      "The\n"
      "numbers are operator sets of ONNX. Below, each format has a table in its own words.\n\n{}",
      kUpdate, overview(all));
  for (const Surveyed& one : all) text += section(one);
  return text;
}

TEST(OperationsPage, ShowsWhatTheTestsOfAllFormatsFound) {
  const fs::path path = kSource / "docs" / "operations.md";
  const std::string text = page();
  if (std::getenv("TREVILLE_UPDATE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(read_file(path), text) << "docs/operations.md differs from what passes. Write it anew: " << kUpdate;
}

TEST(OperationsPage, HasEveryFormatThatWasSurveyed) {
  std::set<std::string> known;
  for (const Format& format : kFormats) known.insert(format.files.begin(), format.files.end());
  for (const auto& file : fs::directory_iterator(kSource / "test" / "golden")) {
    const std::string name = file.path().filename().string();
    EXPECT_TRUE(!name.starts_with("operations_") || known.contains(name)) << name << " is in no column of the page";
  }
}

TEST(OperationsSurvey, IsReadAsItWasWritten) {
  OperationsSurvey survey;
  survey.add({{"Conv2D", "Relu"}, {"Conv", "Relu"}}, "float secure", 13);
  survey.add({{"Relu"}, {"Relu"}}, "float", 14);
  survey.add({{"Relu6"}, {"Clip"}}, "refused");
  EXPECT_EQ(survey.to_text(),
            "format Conv2D 1 1 1 13 13\nformat Relu 2 2 1 13,14 13\nformat Relu6 1 0 0 - -\n"
            "graph Clip 1 0 0 - -\ngraph Conv 1 1 1 13 13\ngraph Relu 2 2 1 13,14 13\n");
  OperationsSurvey read = OperationsSurvey::from_text("# a comment\n" + survey.to_text());
  EXPECT_EQ(read.to_text(), survey.to_text());
  read.merge(survey);
  EXPECT_EQ(read.of_format().at("Relu").tests, 4);
  EXPECT_EQ(cell(survey.of_graph(), "Relu"), "secure (13), float (14)");
  EXPECT_EQ(cell(survey.of_graph(), "Clip"), "-");
}

}  // namespace
}  // namespace treville::testing
