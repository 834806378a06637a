// OperationsSurvey collects, for one model format, how far the tests that contain an operation get. A suite adds each
// of its tests and writes the survey to test/golden/operations_<format>.txt in the same run that writes its golden
// list; operations_page_test.cc composes docs/operations.md from those files. A suite needs three lines:
//
//     OperationsSurvey survey;
//     survey.add(operations_of(graph), level);  // for each test; level: "refused", "float" or "float secure"
//     expect_survey("operations_tensorflow.txt", survey);
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "graph/graph.h"

namespace treville::testing {

// Operations of one test: as its format calls them, and those of the graph that they became.
struct Operations {
  std::set<std::string> of_format, of_graph;
};

// operations_of names what an imported graph holds, before any pass. What the importer left out is not there.
Operations operations_of(const Graph& graph);

// SurveyRow counts the tests that contain one operation, and those of them that pass in float and securely; versions
// are the operator sets of the format, where it has such, in which some test passes.
struct SurveyRow {
  int tests = 0, floats = 0, secures = 0;
  std::set<int64_t> float_versions, secure_versions;
};

class OperationsSurvey {
 public:
  // add counts one test of the operations; version 0: the format has none.
  void add(const Operations& operations, const std::string& level, int64_t version = 0);
  // merge adds the rows of another survey.
  void merge(const OperationsSurvey& other);

  // Rows by operation, as the format calls it and as the graph does.
  const std::map<std::string, SurveyRow>& of_format() const { return of_format_; }
  const std::map<std::string, SurveyRow>& of_graph() const { return of_graph_; }

  // to_text gives one line a row: "format Conv2D 4 4 3 - -", which is the kind of row, the operation, how many tests
  // contain it, pass in float and pass securely, and the versions of both ("-": none). from_text reads it.
  std::string to_text() const;
  static OperationsSurvey from_text(const std::string& text);

 private:
  std::map<std::string, SurveyRow> of_format_, of_graph_;
};

// expect_survey fails the test unless the file of test/golden holds this survey. With TREVILLE_UPDATE_GOLDEN=1 it
// writes the file first.
void expect_survey(const std::string& file, const OperationsSurvey& survey);

}  // namespace treville::testing
