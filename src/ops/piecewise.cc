#include "ops/piecewise.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace treville::ops {
namespace {

// Errors are measured at this many points of a segment; the rest of the allowed error is for what lies between them.
constexpr int kSamples = 12;
constexpr double kSlack = 0.1;
// Coefficients have so many bits below the last place of the result.
constexpr int kGuardBits = 2;
constexpr int kMostTableBits = 48, kMostLookUpBits = 255;  // what a step may have
constexpr int kLargestDegree = 3;
constexpr double kUnitsBeyond = 8;

double power_of_two(int exponent) { return std::ldexp(1.0, exponent); }

// Segment is the part of the interval that one index serves, as reals relative to the index: x = start + u.
struct Segment {
  double start = 0, low = 0, high = 0;
  bool is_constant = false;  // outside of the interval, or a single point
};

// interpolate gives the polynomial of degree d through g at Chebyshev's nodes of [low, high], by powers of u.
std::vector<double> interpolate(const std::function<double(double)>& g, double low, double high, int degree) {
  const double middle = (low + high) / 2, radius = (high - low) / 2;
  const auto count = static_cast<size_t>(degree) + 1;
  std::vector<double> nodes(count), differences(count);
  for (size_t i = 0; i < count; ++i) {
    const double angle = std::numbers::pi * (2 * static_cast<double>(i) + 1) / (2 * static_cast<double>(count));
    nodes[i] = middle + radius * std::cos(angle);
    differences[i] = g(nodes[i]);
  }
  for (size_t level = 1; level < count; ++level)
    for (size_t i = count; i-- > level;)
      differences[i] = (differences[i] - differences[i - 1]) / (nodes[i] - nodes[i - level]);
  std::vector<double> powers(count, 0);
  for (size_t i = count; i-- > 0;) {  // Newton's form to powers, by Horner's rule
    for (size_t j = count; j-- > 1;) powers[j] = powers[j - 1] - nodes[i] * powers[j];
    powers[0] = differences[i] - nodes[i] * powers[0];
  }
  return powers;
}

// Fitter fits one choice of degree, index bits and form.
class Fitter {
 public:
  Fitter(const PiecewiseProblem& problem, int degree, int n, bool has_offset) : problem_(problem) {
    fit_.degree = degree;
    fit_.n = n;
    fit_.has_offset = has_offset;
    fit_.x_scale = problem.x_scale;
    choose_truncation();
  }

  std::optional<Piecewise> run() {
    choose_scales();
    for (int64_t index = -half(); index < half(); ++index)
      if (!fit_segment(index)) return {};
    if (!finish_tables() || !plan_levels()) return {};
    fit_.error = error_ * power_of_two(problem_.y_scale);
    if (fit_.error > kLargestError - kSlack) return {};
    fit_.cost = cost();
    return std::move(fit_);
  }

 private:
  int64_t half() const { return int64_t{1} << (fit_.n - 1); }
  double step() const { return power_of_two(fit_.truncate - problem_.x_scale); }  // width of a segment's half

  // truncation_for is the least t at which integers up to `largest` have indices below 2^(n-1), rounded either way.
  int truncation_for(double largest) const {
    int t = 0;
    while (std::ceil(std::ldexp(largest, -t)) > static_cast<double>(half() - 1)) ++t;
    return t;
  }

  // Arguments were computed with roundings and may lie a few units beyond both ends; they must not wrap to the other.
  void choose_truncation() {
    const double low = std::floor(std::ldexp(problem_.low, problem_.x_scale)) - kUnitsBeyond;
    const double high = std::ceil(std::ldexp(problem_.high, problem_.x_scale)) + kUnitsBeyond;
    const double middle = static_cast<float>(std::nearbyint((low + high) / 2));  // as a constant of a program holds it
    const int plain = truncation_for(std::max(std::abs(low), std::abs(high)));
    const int centered = truncation_for(std::max(high - middle, middle - low));
    fit_.truncate = std::min(plain, centered);
    fit_.center = centered < plain ? static_cast<int64_t>(middle) : 0;
  }

  void choose_scales() {
    const int finest = problem_.y_scale + kGuardBits;
    for (int j = 0; j <= fit_.degree; ++j) {
      Coefficient c;
      c.scale = std::max(0, finest + j * (fit_.truncate - problem_.x_scale));
      fit_.coefficients.push_back(std::move(c));
    }
    reach_.resize(fit_.coefficients.size(), 0);
  }

  Segment segment_of(int64_t index) const {
    const double center = std::ldexp(static_cast<double>(fit_.center), -problem_.x_scale);
    Segment s;
    s.start = center + static_cast<double>(index) * step();
    const double reach = fit_.truncate == 0 ? 0 : step();  // nothing is truncated: the index is the argument
    s.low = std::max(-reach, problem_.low - s.start);
    s.high = std::min(reach, problem_.high - s.start);
    s.is_constant = s.high - s.low <= power_of_two(-problem_.x_scale - 1);
    return s;
  }

  static double value_of(const std::vector<double>& powers, double u) {
    double sum = 0;
    for (size_t j = powers.size(); j-- > 0;) sum = sum * u + powers[j];
    return sum;
  }

  double quantised(double value, int scale) const {
    return std::ldexp(std::nearbyint(std::ldexp(value, scale)), -scale);
  }

  // fit_segment: coefficients are quantised from the top; what a rounding changes, the ones below make good.
  bool fit_segment(int64_t index) {
    const Segment s = segment_of(index);
    const auto f = [&](double u) { return problem_.function(std::clamp(s.start + u, problem_.low, problem_.high)); };
    std::vector<double> powers(fit_.coefficients.size(), 0);
    for (size_t j = s.is_constant ? 0 : powers.size() - 1; j > 0; --j) {
      const auto rest = [&](double u) { return f(u) - value_of(powers, u); };
      powers[j] = quantised(interpolate(rest, s.low, s.high, static_cast<int>(j))[j], fit_.coefficients[j].scale);
    }
    const double middle = std::clamp(0.0, std::min(s.low, s.high), std::max(s.low, s.high));
    double least = f(middle) - value_of(powers, middle), most = least;
    for (int i = 0; i <= kSamples && !s.is_constant; ++i) {
      const double u = s.low + (s.high - s.low) * i / kSamples, rest = f(u) - value_of(powers, u);
      least = std::min(least, rest);
      most = std::max(most, rest);
    }
    if (!std::isfinite(least) || !std::isfinite(most)) return false;
    const double constant = place_constant(index, powers, (least + most) / 2);
    if (s.high >= s.low) error_ = std::max({error_, most - constant, constant - least});
    if (error_ * power_of_two(problem_.y_scale) > kLargestError - kSlack) return false;
    note_reach(index, powers, constant);
    return true;
  }

  // place_constant appends the entries and gives the constant term as it is after rounding.
  double place_constant(int64_t index, const std::vector<double>& powers, double constant) {
    for (size_t j = 1; j < powers.size(); ++j) push(j, powers[j]);
    if (fit_.has_offset || fit_.degree == 0) return push(0, constant);
    const double shift = powers[1] * static_cast<double>(index) * step();
    return push(0, constant - shift) + shift;
  }

  double push(size_t j, double value) {
    Coefficient& c = fit_.coefficients[j];
    const double integer = std::nearbyint(std::ldexp(value, c.scale));
    c.bound = std::max(c.bound, std::abs(std::ldexp(integer, -c.scale)));
    c.table.entries.push_back(static_cast<int64_t>(std::clamp(integer, -0x1p62, 0x1p62)));
    return std::ldexp(integer, -c.scale);
  }

  // note_reach keeps the largest magnitude of each level's sum over all arguments that reach an index.
  void note_reach(int64_t index, const std::vector<double>& powers, double constant) {
    if (!fit_.has_offset && fit_.degree == 1) {
      const double farthest = (std::abs(static_cast<double>(index)) + 1) * step();
      product_ = std::max(product_, std::abs(powers[1]) * farthest);
      reach_[0] = std::max(reach_[0], std::abs(constant) + std::abs(powers[1]) * step());
      reach_[1] = std::max(reach_[1], std::abs(powers[1]));
      return;
    }
    double sum = 0;
    for (size_t j = powers.size(); j-- > 0;) {
      sum = sum * step() + std::abs(j == 0 ? constant : powers[j]);
      reach_[j] = std::max(reach_[j], sum);
    }
  }

  static bool set_width(LookUpTable& table) {
    const auto ends = std::minmax_element(table.entries.begin(), table.entries.end());
    const int64_t least = *ends.first, most = *ends.second;
    table.is_signed = least < 0;
    int bits = 1;
    const auto fits = [&](int width) {
      const double size = std::ldexp(1.0, width);
      const double low = table.is_signed ? -size / 2 : 0;
      return static_cast<double>(least) >= low && static_cast<double>(most) <= low + size - 1;
    };
    while (bits < 63 && !fits(bits)) ++bits;
    table.bits = Bits(bits);
    return bits <= kMostTableBits;
  }

  bool finish_tables() {
    int bits = 0;
    for (Coefficient& c : fit_.coefficients) {
      if (!set_width(c.table) || c.table.bits.value() > problem_.ring_bits) return false;
      bits += c.table.bits.value();
    }
    if (fit_.has_offset) {
      for (int64_t index = -half(); index < half(); ++index) fit_.index.entries.push_back(index);
      set_width(fit_.index);
      bits += fit_.index.bits.value();
    }
    return bits <= kMostLookUpBits;
  }

  // fits: magnitudes below 2^(l-2) at this scale.
  bool fits(double bound, int scale) const {
    return std::log2(std::max(bound, 1e-30)) + scale < problem_.ring_bits - 2;
  }

  // plan_levels decides where a product must be truncated before it enters the next.
  bool plan_levels() {
    fit_.levels.resize(static_cast<size_t>(fit_.degree));
    int scale = fit_.coefficients.back().scale;
    for (size_t j = fit_.levels.size(); j-- > 0;) {
      Level& level = fit_.levels[j];
      level.product_bound = fit_.has_offset ? reach_[j + 1] * step() : product_;
      level.sum_bound = reach_[j];
      level.product_scale = scale + problem_.x_scale;
      scale = level.product_scale;
      if (!fits(level.product_bound, scale)) return false;
      const bool next_fits = j == 0 || fits(reach_[j] * step(), scale + problem_.x_scale);
      if (!next_fits && !truncate_level(level, fit_.coefficients[j].scale + 1, j)) return false;
      scale -= level.truncate;
      if (!fits(level.sum_bound, scale) || scale < fit_.coefficients[j].scale) return false;
      // Coefficients and the products of x itself meet at this scale too.
      if (!fits(fit_.coefficients[j].bound, scale)) return false;
    }
    fit_.scale = scale;
    fit_.bound = reach_[0];
    return true;
  }

  // truncate_level: the rounding is at most one unit, in either direction, times the offset to the power of the level.
  bool truncate_level(Level& level, int target, size_t power) {
    level.truncate = level.product_scale - target;
    if (level.truncate <= 0) return false;
    level.k = std::max(3, static_cast<int>(std::ceil(std::log2(std::ldexp(level.product_bound, target) + 3))) + 2);
    if (level.k + level.truncate > problem_.ring_bits) return false;
    error_ += power_of_two(-target) * std::pow(step(), static_cast<double>(power));
    return true;
  }

  // cost follows the formulas of mpc/porthos: indicators, a number for each bit of a table, openings; products;
  // rescales.
  double cost() const {
    const double l = problem_.ring_bits;
    double bits = std::ldexp(1.0, fit_.n) - 1 + fit_.n, round_trips = 1;
    const auto count_table = [&](const LookUpTable& table) {
      const int width = table.bits.value();
      for (int j = 0; j < width; ++j) bits += l - j;
      bits += 2 * width + l;
    };
    for (const Coefficient& c : fit_.coefficients) count_table(c.table);
    if (fit_.has_offset) count_table(fit_.index);
    for (const Level& level : fit_.levels) {
      bits += 4 * l;
      round_trips += 1;
      if (level.truncate == 0) continue;
      bits += 1.5 * l;
      round_trips += 1;
    }
    return bits * static_cast<double>(problem_.elements) + round_trips * kRoundTripBits;
  }

  const PiecewiseProblem& problem_;
  Piecewise fit_;
  std::vector<double> reach_;  // by level, largest magnitude of its sum
  double product_ = 0;         // largest magnitude of slope * x
  double error_ = 0;
};

int64_t shifted(int64_t value, int bits, bool up) {
  return bits == 0 ? value : (value + (up ? (int64_t{1} << bits) - 1 : 0)) >> bits;
}

}  // namespace

std::optional<Piecewise> fit_piecewise(const PiecewiseProblem& problem) {
  CHECK(problem.low <= problem.high, "an empty interval");
  std::optional<Piecewise> best;
  for (int degree = 0; degree <= kLargestDegree; ++degree) {
    for (int n = kFewestIndexBits; n <= kMostIndexBits; ++n) {
      auto fit = Fitter(problem, degree, n, degree > 1).run();
      if (!fit) continue;
      if (!best || fit->cost < best->cost) best = std::move(fit);
      break;  // more bits only cost more
    }
  }
  return best;
}

int64_t evaluate(const Piecewise& p, int64_t x, bool up) {
  x -= p.center;
  const int64_t index = shifted(x, p.truncate, up);
  const auto at = static_cast<size_t>(index + (int64_t{1} << (p.n - 1)));
  const int64_t factor = p.has_offset ? x - (index << p.truncate) : x;
  int64_t sum = p.coefficients.back().table.entries.at(at);
  int scale = p.coefficients.back().scale;
  for (size_t j = p.levels.size(); j-- > 0;) {
    sum = shifted(sum * factor, p.levels[j].truncate, up);
    scale = p.levels[j].product_scale - p.levels[j].truncate;
    sum += p.coefficients[j].table.entries.at(at) << (scale - p.coefficients[j].scale);
  }
  return sum;
}

}  // namespace treville::ops
