#include "test/operations_survey.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "base/error.h"

namespace treville::testing {
namespace {

constexpr const char* kNone = "-";

std::string versions_text(const std::set<int64_t>& versions) {
  return versions.empty() ? kNone : fmt::format("{}", fmt::join(versions, ","));
}

std::set<int64_t> read_versions(const std::string& text) {
  std::set<int64_t> versions;
  if (text == kNone) return versions;
  std::istringstream stream(text);
  for (std::string one; std::getline(stream, one, ',');) versions.insert(std::stoll(one));
  return versions;
}

void add_to(SurveyRow& row, bool is_float, bool is_secure, int64_t version) {
  ++row.tests;
  if (is_float) ++row.floats;
  if (is_secure) ++row.secures;
  if (is_float && version > 0) row.float_versions.insert(version);
  if (is_secure && version > 0) row.secure_versions.insert(version);
}

void merge_rows(std::map<std::string, SurveyRow>& rows, const std::map<std::string, SurveyRow>& others) {
  for (const auto& [name, other] : others) {
    SurveyRow& row = rows[name];
    row.tests += other.tests;
    row.floats += other.floats;
    row.secures += other.secures;
    row.float_versions.insert(other.float_versions.begin(), other.float_versions.end());
    row.secure_versions.insert(other.secure_versions.begin(), other.secure_versions.end());
  }
}

}  // namespace

Operations operations_of(const Graph& graph) {
  Operations operations;
  for (const Node& node : graph.nodes) {
    if (node.op.starts_with("Unsupported:")) continue;
    operations.of_graph.insert(node.op);
    if (!node.origin.empty()) operations.of_format.insert(node.origin);
  }
  return operations;
}

void OperationsSurvey::add(const Operations& operations, const std::string& level, int64_t version) {
  const bool is_secure = level == "float secure", is_float = is_secure || level == "float";
  CHECK(is_float || level == "refused", "\"{}\" is not how far a test gets", level);
  for (const std::string& name : operations.of_format) add_to(of_format_[name], is_float, is_secure, version);
  for (const std::string& name : operations.of_graph) add_to(of_graph_[name], is_float, is_secure, version);
}

void OperationsSurvey::merge(const OperationsSurvey& other) {
  merge_rows(of_format_, other.of_format_);
  merge_rows(of_graph_, other.of_graph_);
}

std::string OperationsSurvey::to_text() const {
  std::string text;
  const auto lines = [&](const char* kind, const std::map<std::string, SurveyRow>& rows) {
    for (const auto& [name, row] : rows) {
      text += fmt::format("{} {} {} {} {} {} {}\n", kind, name, row.tests, row.floats, row.secures,
                          versions_text(row.float_versions), versions_text(row.secure_versions));
    }
  };
  lines("format", of_format_);
  lines("graph", of_graph_);
  return text;
}

OperationsSurvey OperationsSurvey::from_text(const std::string& text) {
  OperationsSurvey survey;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    std::string kind, name, floats, secures;
    SurveyRow row;
    fields >> kind >> name >> row.tests >> row.floats >> row.secures >> floats >> secures;
    CHECK(fields && (kind == "format" || kind == "graph"), "not a line of a survey: {}", line);
    row.float_versions = read_versions(floats);
    row.secure_versions = read_versions(secures);
    (kind == "format" ? survey.of_format_ : survey.of_graph_)[name] = row;
  }
  return survey;
}

void expect_survey(const std::string& file, const OperationsSurvey& survey) {
  const auto path = std::filesystem::path(TREVILLE_SOURCE_DIR) / "test" / "golden" / file;
  const std::string text =
      "# How far tests get that contain an operation: how many there are, pass in float and securely, and the "
      "versions\n"
      "# of the format. Written by the format's tests with TREVILLE_UPDATE_GOLDEN=1; see test/operations_survey.h.\n" +
      survey.to_text();
  if (std::getenv("TREVILLE_UPDATE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << text;
  std::ifstream stream(path, std::ios::binary);
  const std::string golden{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_EQ(golden, text) << file << " differs from what passes. Run this test with TREVILLE_UPDATE_GOLDEN=1, and "
                          << "then operations_page_test.";
}

}  // namespace treville::testing
