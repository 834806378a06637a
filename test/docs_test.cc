// The commands that documents and help texts show exist: each line of README.md and docs/ that runs `treville` names a
// command and options that the program has.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "test/process.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;

const std::set<std::string> kCommands = {"demo",      "run",  "inspect", "compile", "plan",  "compare",
                                         "calibrate", "eval", "tune",    "keys",    "party", "preprocess"};

struct Line {
  std::string where;  // file and number
  std::string text;
};

std::string trim(const std::string& text) {
  const size_t from = text.find_first_not_of(" \t"), to = text.find_last_not_of(" \t\r");
  return from == std::string::npos ? "" : text.substr(from, to - from + 1);
}

// is_code tells whether a line is in a code block: indented by four, or between fences.
bool is_code(const std::string& line, bool fenced) { return fenced || line.rfind("    ", 0) == 0; }

// commands_of gives the command lines of a document: code lines that start with treville, with their continuations, and
// `treville ...` between backticks that starts a table's cell.
std::vector<Line> commands_of(const fs::path& path) {
  std::vector<Line> found;
  std::istringstream lines(read_text(path));
  bool fenced = false;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::string where = path.filename().string() + ":" + std::to_string(number);
    if (trim(line).rfind("```", 0) == 0) fenced = !fenced;
    std::string text = trim(line);
    const bool code = is_code(line, fenced);
    if (text.rfind("| `treville ", 0) == 0) {
      found.push_back({where, text.substr(3, text.find('`', 3) - 3)});
      continue;
    }
    if (text.rfind("$ ", 0) == 0) text = text.substr(2);
    if (text.rfind("build/release/", 0) == 0) text = text.substr(14);
    if (!code || text.rfind("treville ", 0) != 0) continue;
    while (!text.empty() && text.back() == '\\' && std::getline(lines, line)) {
      ++number;
      text = text.substr(0, text.size() - 1) + trim(line);
    }
    found.push_back({where, text});
  }
  return found;
}

// examples_of gives the command lines of a help text.
std::vector<Line> examples_of(const std::string& command, const std::string& help) {
  std::vector<Line> found;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    std::string text = trim(line);
    if (line.rfind("  treville ", 0) != 0) continue;
    while (!text.empty() && text.back() == '\\' && std::getline(lines, line)) {
      text = text.substr(0, text.size() - 1) + trim(line);
    }
    found.push_back({"treville " + command + " --help", text});
  }
  return found;
}

const std::string& help_of(const std::string& command) {
  static std::map<std::string, std::string> helps;
  if (helps.count(command) == 0) {
    const Finished finished = treville({command, "--help"});
    EXPECT_EQ(finished.exit_code, 0) << command << ": " << finished.err;
    helps[command] = finished.out;
  }
  return helps[command];
}

// options_of reads the option names off a help text: words that start with a dash in its option lines.
std::set<std::string> options_of(const std::string& command) {
  std::set<std::string> options;
  std::istringstream lines(help_of(command));
  for (std::string line; std::getline(lines, line);) {
    if (trim(line).rfind("-", 0) != 0) continue;
    const std::string names = trim(line).substr(0, trim(line).find(' '));
    std::istringstream split(names);
    for (std::string name; std::getline(split, name, ',');) options.insert(name.substr(0, name.find(':')));
  }
  return options;
}

void expect_runs(const Line& line) {
  std::istringstream words(line.text);
  std::string word, command;
  words >> word >> command;
  if (command.rfind("-", 0) == 0) {
    EXPECT_TRUE(command == "--help" || command == "--version") << line.where << ": " << line.text;
    return;
  }
  ASSERT_EQ(kCommands.count(command), 1u) << line.where << ": there is no command " << command;
  const std::set<std::string> options = options_of(command);
  while (words >> word) {
    if (word == "#" || word == "|" || word == "&" || word == "&&" || word == ">" || word == ";") break;
    if (word.rfind("-", 0) != 0) continue;
    EXPECT_EQ(options.count(word.substr(0, word.find('='))), 1u)
        << line.where << ": treville " << command << " has no " << word;
  }
}

std::vector<fs::path> documents() {
  const fs::path root = TREVILLE_SOURCE_DIR;
  std::vector<fs::path> found = {root / "README.md", root / "SECURITY.md", root / "CONTRIBUTING.md",
                                 root / "examples/digits/README.md"};
  for (const auto& entry : fs::recursive_directory_iterator(root / "docs")) {
    if (entry.path().extension() == ".md") found.push_back(entry.path());
  }
  return found;
}

TEST(Documents, ShowCommandsThatExist) {
  std::set<std::string> readme;
  for (const fs::path& path : documents()) {
    ASSERT_TRUE(fs::exists(path)) << path;
    for (const Line& line : commands_of(path)) {
      expect_runs(line);
      std::istringstream words(line.text);
      std::string word;
      words >> word >> word;
      if (path.filename() == "README.md") readme.insert(word);
    }
  }
  for (const char* command : {"run", "inspect", "compile", "plan", "keys", "party", "compare"}) {
    EXPECT_EQ(readme.count(command), 1u) << "README.md does not show treville " << command;
  }
}

TEST(Documents, HelpStartsWithExamplesThatExist) {
  for (const std::string& command : kCommands) {
    const std::string& help = help_of(command);
    EXPECT_EQ(help.rfind("Examples:\n", 0), 0u) << command;
    const std::vector<Line> examples = examples_of(command, help);
    EXPECT_FALSE(examples.empty()) << command;
    for (const Line& line : examples) expect_runs(line);
    EXPECT_EQ(options_of(command).count("--json"), 1u) << command;
  }
}

}  // namespace
}  // namespace treville::test
