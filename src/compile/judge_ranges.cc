#include "compile/judge_ranges.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"

namespace treville {
namespace {

// A double holds whole numbers up to 2^53; beyond, sums are widened by more than their rounding.
constexpr double kRounding = 0x1p-40;
// A margin below this is none: an input slightly larger than the typical ones would not fit.
constexpr double kLeastMargin = 1;

IntegerRange operator+(const IntegerRange& a, const IntegerRange& b) { return {a.low + b.low, a.high + b.high}; }
IntegerRange operator*(double factor, const IntegerRange& x) {
  return {std::min(factor * x.low, factor * x.high), std::max(factor * x.low, factor * x.high)};
}
IntegerRange join(const IntegerRange& a, const IntegerRange& b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high)};
}
IntegerRange with_zero(const IntegerRange& x) { return join(x, {0, 0}); }
IntegerRange clamped(const IntegerRange& x, double low, double high) {
  return {std::clamp(x.low, low, high), std::clamp(x.high, low, high)};
}
IntegerRange product_of(const IntegerRange& a, const IntegerRange& b) { return join(a.low * b, a.high * b); }
IntegerRange widened(const IntegerRange& x) {
  constexpr double kExact = 0x1p53;
  if (x.magnitude() < kExact) return x;
  return {x.low - std::abs(x.low) * kRounding, x.high + std::abs(x.high) * kRounding};
}

// truncated: rounded down or up, as the shares have it.
IntegerRange truncated(const IntegerRange& x, Bits f) {
  return {std::floor(std::ldexp(x.low, -f.value())), std::ceil(std::ldexp(x.high, -f.value()))};
}

double element(const RingTensor& tensor, size_t i) {
  if (tensor.ring() == Ring::k32) return static_cast<int32_t>(tensor.as<uint32_t>()[i]);
  return static_cast<double>(static_cast<int64_t>(tensor.as<uint64_t>()[i]));
}

IntegerRange range_of(const RingTensor& tensor) {
  const auto count = static_cast<size_t>(tensor.elements());
  if (count == 0) return {};
  IntegerRange range{element(tensor, 0), element(tensor, 0)};
  for (size_t i = 1; i < count; ++i) range = join(range, {element(tensor, i), element(tensor, i)});
  return range;
}

// columns is the number of results that different weights make: the last dimension of a weight.
size_t columns(const LinearMap& map) {
  const Shape shape = weight_shape(map);
  return static_cast<size_t>(shape[shape.rank() - 1]);
}

bool pads(const LinearMap& map) {
  const auto* conv = std::get_if<ConvGeometry>(&map);
  if (conv == nullptr) return false;
  const auto inside = [](int64_t out, int64_t stride, int64_t kernel, int64_t dilation, int64_t pad, int64_t in) {
    return pad == 0 && (out - 1) * stride + (kernel - 1) * dilation < in;
  };
  return !inside(conv->out_h, conv->stride_h, conv->kernel_h, conv->dilation_h, conv->pad_top, conv->in_h) ||
         !inside(conv->out_w, conv->stride_w, conv->kernel_w, conv->dilation_w, conv->pad_left, conv->in_w);
}

// Prover walks the steps with the range of every slot's integers.
class Prover {
 public:
  Prover(const Program& program, const std::vector<RingTensor>& constants)
      : program_(program), constants_(constants), types_(program.slots), ranges_(program.slots) {}

  std::vector<IntegerRange> run() {
    std::vector<IntegerRange> results;
    for (const Step& step : program_.steps) {
      step_ = &step;
      const IntegerRange range = std::visit(*this, step.body);
      CHECK(range.low <= range.high, "an empty range of {}", name_of(step.body));
      types_[index_of(step.result)] = step.type;
      results.push_back(ranges_[index_of(step.result)] = widened(range));
    }
    return results;
  }

  IntegerRange operator()(const InputStep& s) const {
    const double largest = std::ceil(std::ldexp(step_->type.bound, s.scale.value()));
    return {-largest, largest};
  }
  IntegerRange operator()(const LinearStep& s) const {
    const size_t channels = columns(s.terms[0].map);
    std::vector<IntegerRange> sums(channels);
    for (const LinearTerm& term : s.terms) add_term(term, sums);
    const bool by_channel = s.bias && constants_[index_of(*s.bias)].elements() == static_cast<int64_t>(channels);
    IntegerRange all = sums[0];
    for (size_t c = 0; c < channels; ++c) {
      if (by_channel) {
        const double bias = element(constants_[index_of(*s.bias)], c);
        sums[c] = sums[c] + IntegerRange{bias, bias};
      }
      all = c == 0 ? sums[c] : join(all, sums[c]);
    }
    return s.bias && !by_channel ? all + range_of(constants_[index_of(*s.bias)]) : all;
  }
  IntegerRange operator()(const ReluStep& s) const { return clamped(opened(s), 0, HUGE_VAL); }
  IntegerRange operator()(const ClipStep& s) const { return clamped(opened(s), 0, static_cast<double>(s.upper)); }
  IntegerRange operator()(const LeakyReluStep& s) const {
    const IntegerRange x = opened(s);
    const IntegerRange positive = std::ldexp(1.0, s.slope_bits.value()) * clamped(x, 0, HUGE_VAL);
    const IntegerRange negative = static_cast<double>(s.slope) * clamped(x, -HUGE_VAL, 0);
    return x.low >= 0 ? positive : x.high <= 0 ? negative : join(positive, negative);
  }
  IntegerRange operator()(const MaxPoolStep& s) const { return opened(s); }
  IntegerRange operator()(const RescaleStep& s) const { return opened(s); }
  IntegerRange operator()(const ArgMaxStep& s) const {
    const Shape& x = types_[index_of(s.x)].shape;
    return {0, static_cast<double>(x[x.rank() - 1] - 1)};
  }
  IntegerRange operator()(const ProductStep& s) const {
    const IntegerRange& a = range(s.a);
    const IntegerRange& b = range(s.b);
    if (s.a == s.b && std::holds_alternative<Elementwise>(s.geometry)) {
      const IntegerRange square = product_of(a, a);
      const bool crosses_zero = a.low < 0 && a.high > 0;
      return {crosses_zero ? 0 : std::min(a.low * a.low, a.high * a.high), square.high};
    }
    const auto* matmul = std::get_if<BatchMatmul>(&s.geometry);
    return (matmul != nullptr ? static_cast<double>(matmul->inner) : 1.0) * product_of(a, b);
  }
  IntegerRange operator()(const LookUpStep& s) const {
    IntegerRange all;
    for (const TableId id : s.tables) {
      const auto& entries = program_.tables[index_of(id)].table.entries;
      const auto [low, high] = std::minmax_element(entries.begin(), entries.end());
      const IntegerRange one{static_cast<double>(*low), static_cast<double>(*high)};
      all = id == s.tables[0] ? one : join(all, one);
    }
    return all;
  }
  IntegerRange operator()(const NonNegativeStep&) const { return {0, 1}; }
  IntegerRange operator()(const AddStep& s) const {
    const IntegerRange a = std::ldexp(1.0, s.shift_a.value()) * range(s.a);
    const IntegerRange b = std::ldexp(1.0, s.shift_b.value()) * range(s.b);
    return a + (s.subtract ? -1.0 * b : b);
  }
  IntegerRange operator()(const AddConstantStep& s) const {
    return range(s.x) + range_of(constants_[index_of(s.constant)]);
  }
  IntegerRange operator()(const ScaleStep& s) const { return static_cast<double>(s.factor) * range(s.x); }
  IntegerRange operator()(const SumPoolStep& s) const {
    const double count = static_cast<double>(s.pool.kernel_h * s.pool.kernel_w);
    // With divide_bits a window of n elements is multiplied by round(2^bits / n): n of them are 2^bits and some.
    const double factor = s.divide_bits > Bits(0) ? std::ldexp(1.0, s.divide_bits.value()) + count : count;
    return factor * with_zero(range(s.x));
  }
  IntegerRange operator()(const SumAxesStep& s) const {
    double count = 1;
    for (const int64_t axis : s.axes) count *= static_cast<double>(types_[index_of(s.x)].shape[static_cast<int>(axis)]);
    return count * range(s.x);
  }
  IntegerRange operator()(const PadStep& s) const { return with_zero(range(s.x)); }
  IntegerRange operator()(const ConcatStep& s) const {
    IntegerRange all;
    for (size_t i = 0; i < s.parts.size(); ++i) {
      const IntegerRange part = std::ldexp(1.0, static_cast<int>(s.shifts[i])) * range(s.parts[i]);
      all = i == 0 ? part : join(all, part);
    }
    return all;
  }
  // What only moves elements, and outputs.
  template <class Move>
  IntegerRange operator()(const Move& s) const {
    return range(s.x);
  }

 private:
  const IntegerRange& range(SlotId slot) const { return ranges_[index_of(slot)]; }

  // opened is the truncated value, which fits: where it does not, the verdict of this step is what failed.
  template <class S>
  IntegerRange opened(const S& s) const {
    const double most = opening(s, types_)->largest();
    return truncated(clamped(range(s.x), -most, most), s.truncate);
  }

  // add_term adds what a map makes of any x within its range, by the weight's last dimension.
  void add_term(const LinearTerm& term, std::vector<IntegerRange>& sums) const {
    const RingTensor& weight = constants_[index_of(term.weight)];
    const IntegerRange x = pads(term.map) ? with_zero(range(term.x)) : range(term.x);
    const auto count = static_cast<size_t>(weight.elements());
    for (size_t i = 0; i < count; ++i) {
      IntegerRange& sum = sums[i % sums.size()];
      sum = sum + element(weight, i) * x;
    }
  }

  const Program& program_;
  const std::vector<RingTensor>& constants_;
  std::vector<SlotType> types_;
  std::vector<IntegerRange> ranges_;
  const Step* step_ = nullptr;
};

// for_each_opening calls f(step index, step, opening, type of the opened slot).
template <class F>
void for_each_opening(const Program& program, const F& f) {
  std::vector<SlotType> types(program.slots);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    if (const auto opens = opening(step.body, types)) f(i, *opens, types[index_of(opens->x)]);
    types[index_of(step.result)] = step.type;
  }
}

StepVerdict verdict_of(const Opening& opens, const Evidence& evidence, size_t step) {
  const double largest = step < evidence.largest.size() ? evidence.largest[step] : -1;
  if (evidence.kind == Evidence::Kind::kProof && largest >= 0 && largest <= static_cast<double>(opens.allowed))
    return {RangeVerdict::kProved, 0};
  if (evidence.kind == Evidence::Kind::kProof) return {RangeVerdict::kUnsafe, 0};
  if (largest <= 0) return {RangeVerdict::kUnsafe, 0};  // nothing seen, or nothing but zeros
  const double margin = std::log2(static_cast<double>(opens.allowed) / largest);
  if (margin < kLeastMargin) return {RangeVerdict::kUnsafe, 0};
  return {RangeVerdict::kCalibrated, std::min(kMostMargin, std::floor(margin * 10) / 10)};
}

}  // namespace

double IntegerRange::magnitude() const { return std::max(std::abs(low), std::abs(high)); }

std::vector<IntegerRange> prove_steps(const Program& program, const std::vector<RingTensor>& constants) {
  return Prover(program, constants).run();
}

Evidence evidence_of_bounds(const Program& program, Evidence::Kind kind, int margin_bits) {
  Evidence evidence{kind, std::vector<double>(program.steps.size(), -1)};
  for_each_opening(program, [&](size_t step, const Opening& opens, const SlotType& type) {
    const double integer = std::ldexp(type.bound * static_cast<double>(type.divisor), type.scale.value());
    evidence.largest[step] = std::ldexp(integer, -opens.truncate.value() - margin_bits);
  });
  return evidence;
}

void judge_ranges(Program& program, const std::vector<RingTensor>& constants, const Evidence& evidence) {
  const std::vector<IntegerRange> proved = prove_steps(program, constants);
  std::vector<IntegerRange> held(program.slots);
  std::vector<SlotType> types(program.slots);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    Step& step = program.steps[i];
    const auto opens = opening(step.body, types);
    if (opens && step.verdict.kind != RangeVerdict::kProved) {
      const bool is_proved = held[index_of(opens->x)].magnitude() <= opens->largest();
      step.verdict = is_proved ? StepVerdict{RangeVerdict::kProved, 0} : verdict_of(*opens, evidence, i);
    }
    types[index_of(step.result)] = step.type;
    held[index_of(step.result)] = proved[i];
  }
}

VerdictCount count_verdicts(const Program& program) {
  VerdictCount count;
  std::set<std::string> named;
  for (const Step& step : program.steps) {
    if (step.verdict.kind == RangeVerdict::kProved) ++count.proved;
    if (step.verdict.kind == RangeVerdict::kCalibrated) {
      ++count.calibrated;
      count.least_margin = std::min(count.least_margin, step.verdict.margin);
    }
    if (step.verdict.kind != RangeVerdict::kUnsafe) continue;
    ++count.unsafe;
    if (named.insert(step.layer).second) count.unsafe_layers.push_back(step.layer);
  }
  return count;
}

}  // namespace treville
