#include "accuracy/plot.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"

namespace treville {
namespace {

namespace fs = std::filesystem;

constexpr double kWidth = 800, kHeight = 480;
constexpr double kLeft = 76, kRight = 184, kTop = 48, kBottom = 62;

struct Colour {
  double red, green, blue;
};
// The palette of Okabe and Ito, which people with colour blindness tell apart.
constexpr Colour kPalette[] = {{0, 0.45, 0.70},    {0.84, 0.37, 0}, {0, 0.62, 0.45},    {0.80, 0.47, 0.65},
                               {0.34, 0.71, 0.91}, {0.90, 0.62, 0}, {0.45, 0.45, 0.45}, {0.94, 0.89, 0.26}};
constexpr Colour kInk = {0.13, 0.13, 0.13}, kGrid = {0.88, 0.88, 0.88};

struct Axis {
  double low = 0, high = 1;
  std::vector<double> marks;
};

Axis axis_of(double low, double high, int count) {
  if (low == high) {
    low -= 0.5;
    high += 0.5;
  }
  Axis axis;
  axis.marks = ticks(low, high, count);
  axis.low = std::min(low, axis.marks.front());
  axis.high = std::max(high, axis.marks.back());
  return axis;
}

class Canvas {
 public:
  Canvas(cairo_surface_t* surface, const Chart& chart) : cairo_(cairo_create(surface), cairo_destroy), chart_(chart) {
    double low_x = 0, high_x = 0, low_y = 0, high_y = 0;
    bool first = true;
    const auto include = [&](double x, double y) {
      low_x = first ? x : std::min(low_x, x);
      high_x = first ? x : std::max(high_x, x);
      low_y = first ? y : std::min(low_y, y);
      high_y = first ? y : std::max(high_y, y);
      first = false;
    };
    for (const Series& series : chart.series)
      for (const auto& [x, y] : series.points) include(x, y);
    if (chart.line) {
      low_y = std::min(low_y, chart.line->second);
      high_y = std::max(high_y, chart.line->second);
    }
    x_ = axis_of(low_x, high_x, 8);
    y_ = axis_of(low_y, high_y, 6);
  }

  void draw() {
    colour({1, 1, 1});
    cairo_paint(cairo());
    cairo_select_font_face(cairo(), "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    draw_axes();
    if (chart_.line) draw_line();
    for (size_t i = 0; i < chart_.series.size(); ++i) draw_series(i);
    if (chart_.marked) draw_mark();
  }

 private:
  cairo_t* cairo() { return cairo_.get(); }
  void colour(Colour c) { cairo_set_source_rgb(cairo(), c.red, c.green, c.blue); }
  double at_x(double x) const { return kLeft + (x - x_.low) / (x_.high - x_.low) * (kWidth - kLeft - kRight); }
  double at_y(double y) const {
    return kHeight - kBottom - (y - y_.low) / (y_.high - y_.low) * (kHeight - kTop - kBottom);
  }

  // text places its anchor: 0 left, 0.5 middle, 1 right of the text.
  void text(const std::string& words, double x, double y, double anchor, double size) {
    cairo_set_font_size(cairo(), size);
    cairo_text_extents_t extents;
    cairo_text_extents(cairo(), words.c_str(), &extents);
    cairo_move_to(cairo(), x - anchor * extents.x_advance, y);
    cairo_show_text(cairo(), words.c_str());
    cairo_new_path(cairo());  // the next line must not begin where the text ended
  }
  void segment(double x1, double y1, double x2, double y2) {
    cairo_move_to(cairo(), x1, y1);
    cairo_line_to(cairo(), x2, y2);
    cairo_stroke(cairo());
  }

  void draw_axes() {
    cairo_set_line_width(cairo(), 1);
    for (const double y : y_.marks) {
      colour(kGrid);
      segment(kLeft, at_y(y), kWidth - kRight, at_y(y));
      colour(kInk);
      text(fmt::format("{:g}", y), kLeft - 8, at_y(y) + 4, 1, 12);
    }
    colour(kInk);
    for (const double x : x_.marks) {
      segment(at_x(x), kHeight - kBottom, at_x(x), kHeight - kBottom + 5);
      text(fmt::format("{:g}", x), at_x(x), kHeight - kBottom + 20, 0.5, 12);
    }
    segment(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom);
    text(chart_.title, kLeft, 26, 0, 15);
    text(chart_.x_label, (kLeft + kWidth - kRight) / 2, kHeight - 16, 0.5, 13);
    cairo_save(cairo());
    cairo_translate(cairo(), 20, (kTop + kHeight - kBottom) / 2);
    cairo_rotate(cairo(), -M_PI / 2);
    text(chart_.y_label, 0, 0, 0.5, 13);
    cairo_restore(cairo());
  }

  void draw_line() {
    constexpr double kDashes[] = {6, 4};
    cairo_set_dash(cairo(), kDashes, 2, 0);
    colour(kInk);
    segment(kLeft, at_y(chart_.line->second), kWidth - kRight, at_y(chart_.line->second));
    cairo_set_dash(cairo(), nullptr, 0, 0);
    text(chart_.line->first, kWidth - kRight + 8, at_y(chart_.line->second) + 4, 0, 12);
  }

  void dot(double x, double y, double radius) {
    cairo_new_sub_path(cairo());
    cairo_arc(cairo(), x, y, radius, 0, 2 * M_PI);
  }

  void draw_series(size_t index) {
    const Series& series = chart_.series[index];
    colour(kPalette[index]);
    cairo_set_line_width(cairo(), 2);
    for (const auto& [x, y] : series.points) cairo_line_to(cairo(), at_x(x), at_y(y));
    cairo_stroke(cairo());
    for (const auto& [x, y] : series.points) {
      dot(at_x(x), at_y(y), 3.5);
      cairo_fill(cairo());
    }
    const double legend = kTop + 18 * static_cast<double>(index);
    segment(kWidth - kRight + 28, legend, kWidth - kRight + 48, legend);
    text(series.name, kWidth - kRight + 54, legend + 4, 0, 12);
  }

  void draw_mark() {
    colour(kInk);
    cairo_set_line_width(cairo(), 1.5);
    dot(at_x(chart_.marked->first), at_y(chart_.marked->second), 8);
    cairo_stroke(cairo());
  }

  std::unique_ptr<cairo_t, void (*)(cairo_t*)> cairo_;
  const Chart& chart_;
  Axis x_, y_;
};

using Surface = std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)>;

void check_drawable(const Chart& chart) {
  size_t points = 0;
  for (const Series& series : chart.series)
    for (const auto& [x, y] : series.points) {
      CHECK(std::isfinite(x) && std::isfinite(y), "a point of the chart is not finite");
      ++points;
    }
  if (points == 0) throw UserError("there is nothing to draw");
  CHECK(chart.series.size() <= std::size(kPalette), "{} series, at most {}", chart.series.size(), std::size(kPalette));
}

}  // namespace

std::vector<double> ticks(double low, double high, int count) {
  CHECK(low < high && count > 0, "no axis");
  const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * power >= rough * 0.999) step = factor * power;
  std::vector<double> marks;
  const auto first = static_cast<int64_t>(std::floor(low / step + 1e-9));
  const auto last = static_cast<int64_t>(std::ceil(high / step - 1e-9));
  for (int64_t i = first; i <= last; ++i) marks.push_back(static_cast<double>(i) * step);
  return marks;
}

void write_chart(const fs::path& path, const Chart& chart) {
  const bool is_svg = path.extension() == ".svg";
  if (!is_svg && path.extension() != ".png") throw UserError("{}: a picture is written as .svg or .png", path.string());
  check_drawable(chart);
  fs::path temporary = path;
  temporary += ".part";
  constexpr int kPixels = 2;  // for each unit, in a PNG
  const Surface surface(is_svg ? cairo_svg_surface_create(temporary.c_str(), kWidth, kHeight)
                               : cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(kWidth) * kPixels,
                                                            static_cast<int>(kHeight) * kPixels),
                        cairo_surface_destroy);
  if (!is_svg) cairo_surface_set_device_scale(surface.get(), kPixels, kPixels);
  Canvas(surface.get(), chart).draw();
  cairo_status_t status = CAIRO_STATUS_SUCCESS;
  if (!is_svg) status = cairo_surface_write_to_png(surface.get(), temporary.c_str());
  cairo_surface_finish(surface.get());
  if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_status(surface.get());
  std::error_code error;
  if (status == CAIRO_STATUS_SUCCESS) fs::rename(temporary, path, error);
  if (status != CAIRO_STATUS_SUCCESS || error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw UserError("{}: cannot write the picture ({})", path.string(),
                    error ? error.message() : cairo_status_to_string(status));
  }
}

}  // namespace treville
