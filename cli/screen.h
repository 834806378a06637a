// What people read: units, tables and the progress bar. Results go to stdout, progress to stderr; with --json stdout
// carries one object and nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace treville::cli {

std::string human_bytes(int64_t bytes);     // "12.3 MB" (decimal units, as networks count)
std::string human_count(int64_t count);     // "1,204,224"
std::string human_seconds(double seconds);  // "4.2 ms", "1.35 s"

// Table prints rows in aligned columns; numbers (columns after the first) to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // left aligns a column to the left (the first one always is).
  void left(size_t column) { left_.push_back(column); }
  std::string text(int indent = 2) const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> left_;
};

// Progress draws one line on stderr while something runs: a bar with the current step on a terminal, a line every few
// seconds elsewhere, nothing when quiet. finish clears or ends the line; the destructor does too.
class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress();
  void show(int64_t done, int64_t total, const std::string& what);
  void note(const std::string& line);  // a line that stays
  void finish();

 private:
  bool quiet_, terminal_, drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace treville::cli
