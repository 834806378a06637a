// A line chart as a picture, SVG or PNG: what `tune` and the benchmarks show where people would rather look than read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace treville {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // by x
};

struct Chart {
  std::string title, x_label, y_label;
  std::vector<Series> series;                          // at most 8, one colour and one mark each
  std::optional<std::pair<std::string, double>> line;  // a level to compare with, drawn across
  std::optional<std::pair<double, double>> marked;     // a point with a ring around it
};

// write_chart writes the file its extension names, .svg or .png, atomically. Throws UserError for another extension,
// for nothing to draw, or when the file cannot be written.
void write_chart(const std::filesystem::path& path, const Chart& chart);

// ticks gives round numbers (1, 2 or 5 times a power of ten apart) that cover [low, high], about `count` of them.
std::vector<double> ticks(double low, double high, int count);

}  // namespace treville
