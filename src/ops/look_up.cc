// With cuts b_1 < ... < b_m, part i sees x_i = min(max(x, b_i), b_(i+1)), and
//     f(x) = f_0(x_0) + ... + f_m(x_m) - f(b_1) - ... - f(b_m):
// of all parts but the one x lies in, each is at an end of its interval. A relu for each cut gives the x_i. The
// constants are taken off where they cost nothing, from the functions in the tables.
#include "ops/look_up.h"

#include <algorithm>
#include <cmath>

#include "ops/lowering.h"

namespace treville::ops {
namespace {

constexpr double kReluBits = 10, kClipBits = 14;  // traffic of an activation, in words of the ring
// What a straight end may differ from the function, in units of the last place, beside the tables' error.
constexpr double kStraight = 0.15;
constexpr int kMostSlopeBits = 12;
constexpr int kMostTables = 4;

// Cut points are multiples of the argument's unit that a single precision constant holds exactly.
double on_grid(double x, int scale) {
  const int exponent = std::max(-scale, std::ilogb(std::max(std::abs(x), 1e-30)) - 20);
  return std::ldexp(std::nearbyint(std::ldexp(x, -exponent)), exponent);
}

// line_between is the part's straight line, with the fewest bits of slope, when the function keeps within `tolerance`
// of one. `fixed` is the end that the line goes through.
std::optional<Part> line_between(const RealFunction& f, double low, double high, double fixed, double tolerance) {
  constexpr int kPoints = 48;
  if (high <= low) return {};
  const double chord = (f(high) - f(low)) / (high - low);
  for (int bits = 0; bits <= kMostSlopeBits; ++bits) {
    const Part part{low, high, {}, std::llround(std::ldexp(chord, bits)), bits};
    const double slope = std::ldexp(static_cast<double>(part.slope), -bits);
    const auto is_near = [&](int i) {
      const double x = low + (high - low) * i / kPoints;
      return std::abs(f(x) - f(fixed) - slope * (x - fixed)) <= tolerance;
    };
    int i = 0;
    while (i <= kPoints && is_near(i)) ++i;
    if (i > kPoints) return part;
  }
  return {};
}

// straight_end finds the longest straight part at one end of the interval.
std::optional<Part> straight_end(const PiecewiseProblem& problem, bool at_low) {
  const double tolerance = std::ldexp(kStraight, -problem.y_scale), width = problem.high - problem.low;
  double shortest = 0, longest = 1;  // shares of the interval
  std::optional<Part> best;
  for (int i = 0; i < 24; ++i) {
    const double share = i == 0 ? 1 : (shortest + longest) / 2;
    double cut = at_low ? problem.low + share * width : problem.high - share * width;
    if (i > 0) cut = on_grid(cut, problem.x_scale);
    const auto part = at_low ? line_between(problem.function, problem.low, cut, cut, tolerance)
                             : line_between(problem.function, cut, problem.high, cut, tolerance);
    (part ? shortest : longest) = share;
    if (part) best = part;
    if (part && i == 0) break;
  }
  return best;
}

// cut_evenly gives the inner ends of `count` parts: in equal ratios where the interval keeps away from 0, else with one
// at 0, where many functions have a kink.
std::vector<double> cut_evenly(const PiecewiseProblem& problem, double low, double high, int count) {
  const bool in_ratios = low > 0 || high < 0;
  std::vector<double> cuts;
  for (int i = 1; i < count; ++i) {
    const double share = static_cast<double>(i) / count;
    const double from_zero = 2 * share - 1;  // of the larger end on its side
    const double cut = in_ratios ? low * std::pow(high / low, share) : from_zero * (from_zero < 0 ? -low : high);
    cuts.push_back(on_grid(cut, problem.x_scale));
  }
  return cuts;
}

// fit_tables covers [low, high] with `count` tables. Together they may err as one: each is fitted more finely.
std::optional<FunctionPlan> fit_tables(const PiecewiseProblem& problem, double low, double high, int count) {
  std::vector<double> ends = cut_evenly(problem, low, high, count);
  ends.insert(ends.begin(), low);
  ends.push_back(high);
  FunctionPlan plan;
  for (int i = 0; i < count; ++i) {
    PiecewiseProblem part = problem;
    const auto at = static_cast<size_t>(i);
    part.low = ends[at];
    part.high = ends[at + 1];
    if (part.low >= part.high) return {};
    part.y_scale += static_cast<int>(std::ceil(std::log2(static_cast<double>(count))));
    const double known = i == 0 ? 0 : problem.function(part.low);
    part.function = [f = problem.function, known](double x) { return f(x) - known; };
    auto fit = fit_piecewise(part);
    if (!fit) return {};
    plan.cost += fit->cost;
    plan.parts.push_back({part.low, part.high, std::move(fit), 0, 0});
  }
  return plan;
}

double activation_cost(const PiecewiseProblem& problem, double words) {
  return words * problem.ring_bits * static_cast<double>(problem.elements) + 2 * kRoundTripBits;
}

// is_clip: only flat parts beside one table, on both sides: one step cuts both.
bool is_clip(const FunctionPlan& plan) {
  return plan.parts.size() == 3 && plan.parts[1].table && plan.parts[0].slope == 0 && plan.parts[2].slope == 0 &&
         !plan.parts[0].table && !plan.parts[2].table;
}

double cutting_cost(const PiecewiseProblem& problem, const FunctionPlan& plan) {
  if (is_clip(plan)) return activation_cost(problem, kClipBits);
  return static_cast<double>(plan.parts.size() - 1) * activation_cost(problem, kReluBits);
}

// The values of an argument with a divisor or beyond what single precision resolves never come here: masked_at saw to
// it.
class FunctionSteps {
 public:
  FunctionSteps(LowerContext& context, SlotId x) : context_(context), x_(x), shape_(context.type(x).shape) {}

  SlotId run(const FunctionPlan& plan) {
    const std::vector<SlotId> parts = is_clip(plan) ? clipped(plan) : cut(plan);
    std::optional<SlotId> sum;
    for (size_t i = 0; i < plan.parts.size(); ++i) {
      const Part& part = plan.parts[i];
      if (!part.table && part.slope == 0) continue;
      const SlotId term = part.table ? looked_up(parts[i], *part.table) : line(parts[i], part);
      sum = sum ? add(*sum, term) : term;
    }
    CHECK(sum.has_value(), "a function without parts");
    return *sum;
  }

 private:
  double bound(SlotId x) const { return context_.type(x).bound; }
  int scale(SlotId x) const { return context_.type(x).scale.value(); }

  SlotId plus_number(SlotId x, double value, double new_bound) {
    if (value == 0) return x;
    FloatTensor constant(shape_.rank() == 0 ? Shape{} : Shape{shape_[shape_.rank() - 1]});
    std::fill(constant.values.begin(), constant.values.end(), static_cast<float>(value));
    return context_.add_constant(x, constant, new_bound);
  }

  int width(double magnitude, SlotId x) const {
    return static_cast<int>(std::ceil(std::log2(std::ceil(std::ldexp(magnitude, scale(x))) + 2))) + 1;
  }

  // clipped: min(max(x, a), b) by one clip, for the table in the middle.
  std::vector<SlotId> clipped(const FunctionPlan& plan) {
    const double a = plan.parts[1].low, b = plan.parts[1].high, reach = bound(x_) + std::abs(a);
    const SlotId moved = plus_number(x_, -a, reach);
    const auto upper = std::llround(std::ldexp(b - a, scale(x_)));
    const Bits k(width(reach + (b - a), x_));
    const SlotId inner = context_.emit(ClipStep{moved, Bits(0), k, upper}, b - a);
    return {x_, plus_number(inner, a, std::max(std::abs(a), std::abs(b))), x_};
  }

  // cut gives every part's argument: tables see x_i, lines how far x_i is from the end that they share.
  std::vector<SlotId> cut(const FunctionPlan& plan) {
    std::vector<SlotId> parts(plan.parts.size());
    SlotId rest = x_;
    for (size_t i = plan.parts.size(); i-- > 1;) {
      const Part& part = plan.parts[i];
      const double reach = bound(rest) + std::abs(part.low);
      const SlotId above = context_.emit(
          ReluStep{plus_number(rest, -part.low, reach), Bits(0), Bits(width(reach, rest))}, reach);  // x_i - low
      parts[i] = part.table ? plus_number(above, part.low, std::max(bound(rest), std::abs(part.low))) : above;
      rest = context_.emit(AddStep{rest, above, Bits(0), Bits(0), true}, std::max(bound(rest), std::abs(part.low)));
    }
    const Part& first = plan.parts[0];
    parts[0] =
        first.table || first.slope == 0 ? rest : plus_number(rest, -first.high, bound(rest) + std::abs(first.high));
    return parts;
  }

  SlotId line(SlotId x, const Part& part) {
    if (part.slope == 1 && part.slope_bits == 0) return x;
    const double steep = std::abs(std::ldexp(static_cast<double>(part.slope), -part.slope_bits));
    const double most = bits_of(context_.type(x).ring).value() - 3 - std::log2(bound(x) * std::max(steep, 1.0));
    x = context_.masked_at(x, static_cast<int>(most) - part.slope_bits);
    return context_.emit(ScaleStep{x, part.slope, Bits(part.slope_bits)}, bound(x) * std::max(steep, 1.0));
  }

  // add brings terms to a scale at which their sum fits the ring.
  SlotId add(SlotId a, SlotId b) {
    const double sum = bound(a) + bound(b);
    const int most = bits_of(context_.type(a).ring).value() - 3 - static_cast<int>(std::ceil(std::log2(sum)));
    for (SlotId* term : {&a, &b})
      if (scale(*term) > most) *term = context_.masked_at(*term, most);
    const int top = std::max(scale(a), scale(b));
    return context_.emit(AddStep{a, b, Bits(top - scale(a)), Bits(top - scale(b)), false}, sum);
  }

  // entry_of takes one table's entries out of a look-up and says at which scale they are.
  SlotId entry_of(SlotId looked_up, size_t table, const Coefficient& c) {
    const Shape all = context_.type(looked_up).shape;
    SliceStep slice{looked_up, Ints(all.dims().size(), 0), Ints(all.dims().size(), 1), all};
    slice.starts[0] = static_cast<int64_t>(table);
    slice.shape[0] = 1;
    const double integers = std::ldexp(c.bound, c.scale);
    SlotId entry = all[0] == 1 ? looked_up : context_.emit(std::move(slice), integers);
    entry = context_.emit(ReshapeStep{entry, shape_}, integers);
    return context_.emit(ScaleStep{entry, 1, Bits(c.scale)}, c.bound);
  }

  // looked_up follows evaluate in piecewise.cc.
  SlotId looked_up(SlotId x, const Piecewise& p) {
    const double center = std::ldexp(static_cast<double>(p.center), -p.x_scale);
    // What the interval holds is what the table covers, on both sides of the center.
    const double covered = std::ldexp(std::ldexp(1.0, p.n - 1) - 1, p.truncate - p.x_scale);
    x = plus_number(x, -center, std::min(bound(x) + std::abs(center), covered));
    LookUpStep step{x, Bits(p.truncate), Bits(p.n), {}};
    double largest = 0;
    for (const Coefficient& c : p.coefficients) {
      step.tables.push_back(context_.add_table(c.table));
      largest = std::max(largest, std::ldexp(c.bound, c.scale));
    }
    const double last_index = std::ldexp(1.0, p.n - 1);
    if (p.has_offset) step.tables.push_back(context_.add_table(p.index));
    const SlotId all = context_.emit(std::move(step), std::max(largest, p.has_offset ? last_index : 0));
    SlotId factor = x;
    if (p.has_offset) {
      const SlotId index = entry_of(all, p.coefficients.size(), Coefficient{{}, 0, last_index});
      const double leading = std::ldexp(last_index, p.truncate - p.x_scale);
      const SlotId shifted =
          context_.emit(ScaleStep{index, int64_t{1} << p.truncate, Bits(p.x_scale)}, std::max(leading, 1.0));
      factor = context_.emit(AddStep{x, shifted, Bits(0), Bits(0), true}, std::ldexp(1.0, p.truncate - p.x_scale));
    }
    SlotId sum = entry_of(all, p.coefficients.size() - 1, p.coefficients.back());
    for (size_t j = p.levels.size(); j-- > 0;) {
      const Level& level = p.levels[j];
      sum = context_.emit(ProductStep{sum, factor, Elementwise{shape_}}, level.product_bound);
      if (level.truncate > 0)
        sum = context_.emit(RescaleStep{sum, Bits(level.truncate), Bits(level.k)}, level.product_bound);
      const SlotId entry = entry_of(all, j, p.coefficients[j]);
      sum = context_.emit(AddStep{sum, entry, Bits(0), Bits(scale(sum) - scale(entry)), false}, level.sum_bound);
    }
    return sum;
  }

  LowerContext& context_;
  SlotId x_;
  Shape shape_;
};

// Bits that a typical result must keep below its size, at least; the plan may ask for more.
constexpr int kFewestTypicalBits = 4;
// A result that is too fine for what reads it keeps so many bits below its last place.
constexpr int kGuard = 2;
// An argument is tried with as many fraction bits fewer than its steepest place asks for.
constexpr int kCoarserArguments = 4;

int ceil_log2(double x) { return static_cast<int>(std::ceil(std::log2(std::max(x, 1e-9)))); }

// steepness is the largest slope over the interval.
double steepness(const RealFunction& f, const Interval& x) {
  constexpr int kPoints = 256;
  double slope = 0;
  for (int i = 0; i < kPoints; ++i) {
    const double width = (x.high - x.low) / kPoints, left = x.low + i * width;
    const double rise = std::abs(f(left + width) - f(left)) / width;
    if (std::isfinite(rise)) slope = std::max(slope, rise);
  }
  return slope;
}

// rounded_out widens an interval to a coarse grid, so that alike layers share their tables; never across 0.
Interval rounded_out(const Interval& x) {
  const int exponent = std::ilogb(std::max(x.high - x.low, 1e-30)) - 4;
  const double low = std::ldexp(std::floor(std::ldexp(x.low, -exponent)), exponent);
  const double high = std::ldexp(std::ceil(std::ldexp(x.high, -exponent)), exponent);
  return {x.low > 0 && low <= 0 ? x.low : (x.low >= 0 ? std::max(low, 0.0) : low),
          x.high < 0 && high >= 0 ? x.high : (x.high <= 0 ? std::min(high, 0.0) : high)};
}

// within_result leaves out the ends of an interval where the function exceeds what its result may be: there it is
// constant, as outside.
Interval within_result(const RealFunction& f, Interval x, double bound) {
  constexpr int kPoints = 1024;
  const double step = (x.high - x.low) / kPoints;
  const auto exceeds = [&](double at) { return !(std::abs(f(at)) <= bound); };
  for (int i = 0; i < kPoints / 2 && exceeds(x.high); ++i) x.high -= step;
  for (int i = 0; i < kPoints / 2 && exceeds(x.low); ++i) x.low += step;
  return x;
}

}  // namespace

std::optional<FunctionPlan> plan_function(const PiecewiseProblem& problem) {
  const std::optional<Part> left = straight_end(problem, true), right = straight_end(problem, false);
  std::optional<FunctionPlan> best;
  for (const bool cut_left : {false, true}) {
    for (const bool cut_right : {false, true}) {
      if ((cut_left && !left) || (cut_right && !right)) continue;
      const double low = cut_left ? left->high : problem.low, high = cut_right ? right->low : problem.high;
      if (low >= high) continue;
      for (int count = 1; count <= kMostTables; count *= 2) {
        auto plan = fit_tables(problem, low, high, count);
        if (!plan) continue;
        if (cut_left) plan->parts.insert(plan->parts.begin(), *left);
        if (cut_right) plan->parts.push_back(*right);
        plan->cost += cutting_cost(problem, *plan);
        if (!best || plan->cost < best->cost) best = std::move(plan);
        break;  // more tables than needed cost more
      }
    }
  }
  return best;
}

void lower_function(LowerContext& context) {
  const SlotId x = require_secret(context, 0);
  const RealFunction f = real_function(context.node());
  const Interval planned = context.argument_range(0, has_pole(context.node()));
  const Interval range = rounded_out(within_result(f, planned, context.result_bound()));
  const int ring_bits = bits_of(context.type(x).ring).value();
  const double size = context.typical() > 0 ? context.typical() : 1;
  const int fewest = std::min(context.wanted_scale(), kFewestTypicalBits - ceil_log2(size));
  const int finer = std::max(0, ceil_log2(steepness(f, range))) + 1;
  for (int y_scale = std::max(context.wanted_scale(), 1); y_scale >= std::max(fewest, 1); --y_scale) {
    for (int coarser = 0; coarser <= kCoarserArguments; ++coarser) {
      const int x_scale = y_scale + finer - coarser;
      const int magnitude = ceil_log2(context.type(x).bound);
      if (x_scale < 1 || x_scale + magnitude + 2 > ring_bits) continue;
      PiecewiseProblem problem{
          f, range.low, range.high, x_scale, y_scale, ring_bits, context.output_shape().elements()};
      if (!plan_function(problem)) continue;
      const SlotId argument = context.masked_at(x, x_scale);
      problem.x_scale = context.type(argument).scale.value();
      const auto plan = plan_function(problem);
      if (!plan) continue;
      SlotId result = FunctionSteps(context, argument).run(*plan);
      if (context.type(result).scale.value() > context.scale_limit())
        result = context.masked_at(result, std::min(y_scale + kGuard, context.scale_limit()));
      return context.set_result(result);
    }
  }
  context.fail(fmt::format(
      "over arguments from {:.4g} to {:.4g} it cannot be looked up to {} fraction bits in the {}-bit "
      "ring. {}Calibrate with representative samples, so that the interval is no wider than it is.",
      range.low, range.high, std::max(fewest, 1), ring_bits, ring_bits == 32 ? "Use the 64-bit ring. " : ""));
}

}  // namespace treville::ops
