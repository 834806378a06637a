#include "cli/screen.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace treville::cli {
namespace {

// width counts the characters of UTF-8 text: every byte that does not continue one.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string human_bytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 4) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string human_count(int64_t count) {
  std::string digits = std::to_string(count < 0 ? -count : count);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return (count < 0 ? "-" : "") + digits;
}

std::string human_seconds(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.0f} us", seconds * 1e6);
  if (seconds < 0.995) return fmt::format("{:.{}f} ms", seconds * 1e3, seconds < 9.95e-3 ? 1 : 0);
  if (seconds < 120) return fmt::format("{:.{}f} s", seconds, seconds < 9.995 ? 2 : 1);
  return fmt::format("{:.0f} min {:02.0f} s", std::floor(seconds / 60), std::fmod(seconds, 60.0));
}

std::string Table::text(int indent) const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string result;
  for (const auto& row : rows_) {
    std::string line(static_cast<size_t>(indent), ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width(row[i]), ' ');
      const bool to_left = i == 0 || std::find(left_.begin(), left_.end(), i) != left_.end();
      line += to_left ? row[i] + space : space + row[i];
      if (i + 1 < row.size()) line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + "\n";
  }
  return result;
}

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { finish(); }

void Progress::show(int64_t done, int64_t total, const std::string& what) {
  if (quiet_ || total <= 0) return;
  const auto now = std::chrono::steady_clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(50) : std::chrono::milliseconds(3000);
  if (now - last_ < pause && done < total) return;
  if (!terminal_ && last_ == std::chrono::steady_clock::time_point{}) {
    last_ = now;  // a log hears of work that takes long, not of every run
    return;
  }
  last_ = now;
  if (!terminal_) {
    if (done < total) fmt::print(stderr, "  {}/{} {}\n", done, total, what);
    return;
  }
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(kWidth * std::min(done, total) / total);
  const std::string text = what.size() > 36 ? what.substr(0, 35) + "…" : what;
  fmt::print(stderr, "\r\033[K  [{}{}] {}/{}  {}", std::string(static_cast<size_t>(filled), '#'),
             std::string(static_cast<size_t>(kWidth - filled), '.'), done, total, text);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::note(const std::string& line) {
  if (quiet_) return;
  finish();
  fmt::print(stderr, "  {}\n", line);
}

void Progress::finish() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

}  // namespace treville::cli
