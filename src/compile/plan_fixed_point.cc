#include "compile/plan_fixed_point.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "compile/uses.h"
#include "ops/smooth.h"
#include "ops/softmax.h"

namespace treville {
namespace {

// A value must be resolved to a quarter of its typical size (sums over many such values still are accurate), or
// 2^-kFewestBits of its bound when that is all that is known.
constexpr int kTypicalBits = 2;
constexpr int kFewestBits = 12;
constexpr int kUnlimited = 1000;
// The result of a looked-up function has no more significant bits than this: its table grows with them.
constexpr int kMostFunctionBits = 20;

double rms_of(const FloatTensor& tensor) {
  double squares = 0;
  for (float value : tensor.values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / static_cast<double>(std::max<size_t>(tensor.values.size(), 1)));
}

// weight_rms is the typical size of the constants a linear node multiplies with.
double weight_rms(const Graph& graph, const Node& node) {
  if (node.op == "BatchNorm") {
    const FloatTensor* factor = float_constant(graph, node.inputs[1]);
    const FloatTensor* variance = float_constant(graph, node.inputs[4]);
    if (!factor || !variance) return 1;
    FloatTensor scaled = *factor;
    const double epsilon = node.get_float("epsilon", 1e-5);
    for (size_t c = 0; c < scaled.values.size(); ++c)
      scaled.values[c] = static_cast<float>(scaled.values[c] / std::sqrt(variance->values[c] + epsilon));
    return rms_of(scaled);
  }
  if (node.op == "Resize") return 0.5;
  const bool has_weight_first = node.op != "Conv" && node.op != "ConvTranspose";
  const size_t side = has_weight_first && graph.constant(node.inputs[0]) ? 0 : 1;
  const FloatTensor* weight = float_constant(graph, node.inputs[side]);
  if (!weight) return 1;
  const double rms = rms_of(*weight);
  return node.op == "Div" && rms > 0 ? 1 / rms : rms;
}

// Planner fills the plan from the outputs backwards, when all readers of a value are known.
class Planner {
 public:
  Planner(const Graph& graph, const std::vector<ValueRange>& ranges, Ring ring, Bits k_max)
      : graph_(graph), width_(bits_of(ring).value()), uses_(graph), wants_(graph.value_count()) {
    plan_.ring = ring;
    plan_.k_max = k_max;
    plan_.values.resize(graph.value_count());
    for (size_t i = 0; i < ranges.size(); ++i) {
      plan_.values[i].range = ranges[i];
      plan_.values[i].limit = kUnlimited;
    }
  }

  FixedPointPlan run() {
    note_divisors();
    for (ValueId input : graph_.inputs) limit(input, room(input, 0));  // also where nothing reads it
    for (ValueId output : graph_.outputs) limit(output, room(output, 0));
    for (size_t i = graph_.nodes.size(); i-- > 0;) limit_inputs(graph_.nodes[i]);
    for (ValueId output : graph_.outputs) wants_[index_of(output)].push_back(of(output).limit);
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      decide(node.outputs[0], &node);
      ask_inputs(node);
    }
    for (ValueId input : graph_.inputs) {
      limit(input, room(input, 0));  // it may be read by nothing
      decide(input, nullptr);
    }
    check_resolution();
    return std::move(plan_);
  }

 private:
  ValuePlan& of(ValueId id) { return plan_.values[index_of(id)]; }
  bool is_secret(ValueId id) const { return is_float(graph_, id) && !graph_.constant(id); }

  // room is the largest scale at which a value fits the ring with `extra` bits to spare.
  int room(ValueId id, int extra) { return width_ - 1 - extra - magnitude_bits(of(id).range.bound); }
  void limit(ValueId id, int scale) { of(id).limit = std::min(of(id).limit, scale); }

  void limit_inputs(const Node& node) {
    const ValueId result = node.outputs[0];
    limit_stages(node);
    for (ValueId input : node.inputs) {
      if (!is_secret(input)) continue;
      if (ops::is_for_recipient(node.op)) {  // computed by the recipient of its input
        limit(input, room(input, 0));
        continue;
      }
      switch (role_of(graph_, node)) {
        case Role::kActivation:
          limit(input, width_ - 1 - opened_bits(node));
          break;
        case Role::kMaximum:
          limit(input, width_ - 2 - opened_bits(node));
          break;
        case Role::kSign:
          limit(input, width_ - 1 - opened_bits(node));
          break;
        case Role::kLinear:
        case Role::kProduct:
        case Role::kFunction:
        case Role::kWhole:
          limit(input, room(input, 1));  // what is not masked is rescaled first
          of(input).wants_mask = true;
          break;
        case Role::kLocal:
          limit_local(input, node);
          of(input).wants_mask = of(input).wants_mask || of(result).wants_mask;
          if (of(result).wants_mask) limit(input, room(input, 1));  // it may be masked itself, though it is larger
          // Operands of different divisors are rescaled to one, for which a bit more than the value's own is needed.
          if (node.inputs.size() > 1 && joins_divisors(node)) limit(input, room(input, 1));
          break;
      }
    }
  }

  // limit_stages: what is resized along one axis, or averaged over rows and columns, is masked for the next stage; a
  // cubic may have grown it to less than four times as much.
  void limit_stages(const Node& node) {
    const bool is_resize = node.op == "Resize" && role_of(graph_, node) == Role::kLinear;
    if (!is_resize && node.op != "AveragePool") return;
    if (!is_resize && node.get_ints("kernel").size() < 3) return;
    const ValueId result = node.outputs[0];
    limit(result, room(node.inputs[0], node.get_string("mode", "nearest") == "cubic" ? 3 : 1));
    // The depth of an average is summed last, on what the rows and columns gave.
    if (!is_resize)
      limit(result, of(result).limit - std::bit_width(static_cast<uint64_t>(node.get_ints("kernel")[0] - 1)));
  }

  // note_divisors finds the values behind which a divisor may stand: averages over counts that are no power of two, and
  // what is computed from them before the next linear layer.
  void note_divisors() {
    is_divided_.assign(graph_.value_count(), false);
    for (const Node& node : graph_.nodes) {
      const bool is_average = node.op == "AveragePool" || node.op == "ReduceMean";
      bool divided = is_average && !std::has_single_bit(static_cast<uint64_t>(summed(graph_, node)));
      const Role role = role_of(graph_, node);
      if (role == Role::kLocal || role == Role::kActivation || role == Role::kMaximum)
        divided = divided || joins_divisors(node);
      for (ValueId output : node.outputs) is_divided_[index_of(output)] = divided;
    }
  }
  bool joins_divisors(const Node& node) const {
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId x) { return is_divided_[index_of(x)]; });
  }

  // limit_local: what is not truncated passes its reader's limit on; a sum needs room for all its elements.
  void limit_local(ValueId input, const Node& node) {
    const int64_t count = summed(graph_, node);
    const int growth = static_cast<int>(std::ceil(std::log2(static_cast<double>(count))));
    const bool is_average = node.op != "ReduceSum";
    limit(input, of(node.outputs[0]).limit - (is_average ? growth : 0));
    // Parts of a value are steps on all of it.
    if (count > 1 || node.op == "Resize" || node.op == "Slice" || node.op == "Gather")
      limit(input, room(input, 0) - growth);
  }

  // decide settles the scale of a value from what its readers asked for.
  void decide(ValueId id, const Node* producer) {
    const std::vector<double>& wants = wants_[index_of(id)];
    ValuePlan& value = of(id);
    if (!is_secret(id)) return;
    double scale = wants.empty() ? value.limit
                                 : std::accumulate(wants.begin(), wants.end(), 0.0) / static_cast<double>(wants.size());
    scale = std::min<double>(scale, value.limit);
    if (producer != nullptr) scale = std::min<double>(scale, plan_.k_max.value() - 1 - opened_bits(*producer));
    // What a sign is taken of is resolved as finely as can be; the sign itself is an integer.
    if (producer != nullptr && role_of(graph_, *producer) == Role::kSign)
      scale = plan_.k_max.value() - 1 - opened_bits(*producer);
    if (producer != nullptr && role_of(graph_, *producer) == Role::kFunction)
      scale = std::min<double>(scale, kMostFunctionBits - magnitude_bits(value.range.bound));
    value.scale = static_cast<int>(std::floor(scale + 0.5));
  }

  // opened_by_clip is what a clip adds to its operand: it is moved by one of its bounds, and cut at their distance.
  static double opened_by_clip(const Node& node) {
    const double low = node.get_float("min", 0), high = node.get_float("max", 0);
    if (!node.has("max")) return std::abs(low);
    return node.has("min") ? std::abs(low) + std::max(high - low, 0.0) : std::abs(high);
  }

  // opened_bits: the integer bits of the value that a node opens, or of its result when it opens nothing.
  int opened_bits(const Node& node) {
    const Role role = role_of(graph_, node);
    const bool opens = role == Role::kActivation || role == Role::kMaximum || role == Role::kSign;
    int bits = magnitude_bits(of(opens ? node.inputs[0] : node.outputs[0]).range.bound);
    if (node.op == "Clip") bits = magnitude_bits(of(node.inputs[0]).range.bound + opened_by_clip(node));
    return bits;
  }

  // ask_inputs passes on what a node would like its operands to have.
  void ask_inputs(const Node& node) {
    const ValueId result = node.outputs[0];
    for (ValueId input : node.inputs) {
      if (!is_secret(input)) continue;
      double want = is_secret(result) ? of(result).scale : kUnlimited;
      const Role role = role_of(graph_, node);
      if (role == Role::kLinear) {
        want = balanced(input, result, weight_rms(graph_, node));
      } else if (role == Role::kProduct) {
        want = is_whole(other_factor(node, input)) ? want : balanced(input, result, typical(other_factor(node, input)));
      } else if (role == Role::kFunction) {
        want += 1 + std::max(0.0, std::log2(steepest(node, of(input).range.arguments(ops::has_pole(node)))));
      } else if (role == Role::kWhole) {
        want = kUnlimited;
      } else {
        // The errors of averaged elements partly cancel, while their sum takes bits from the weights that follow.
        if (node.op != "ReduceSum") want -= 0.75 * std::log2(static_cast<double>(summed(graph_, node)));
      }
      wants_[index_of(input)].push_back(want);
    }
  }

  ValueId other_factor(const Node& node, ValueId input) const {
    return node.inputs[node.inputs.size() > 1 && node.inputs[0] == input ? 1 : 0];
  }
  // is_whole: the value is a sign or a rounded number, which has no fraction bits.
  bool is_whole(ValueId id) const {
    const int producer = uses_.producer(id);
    if (producer < 0) return false;
    const Role role = role_of(graph_, graph_.nodes[static_cast<size_t>(producer)]);
    return role == Role::kSign || role == Role::kWhole;
  }
  double typical(ValueId id) { return of(id).range.rms > 0 ? of(id).range.rms : of(id).range.bound / 8; }

  // steepest is the largest slope of a function over an interval: how much it magnifies the rounding of its argument.
  static double steepest(const Node& node, const Interval& x) {
    constexpr int kPoints = 256;
    const ops::RealFunction f = ops::real_function(node);
    double slope = 0;
    for (int i = 0; i < kPoints && x.high > x.low; ++i) {
      const double width = (x.high - x.low) / kPoints, left = x.low + i * width;
      const double rise = std::abs(f(left + width) - f(left)) / width;
      if (std::isfinite(rise)) slope = std::max(slope, rise);
    }
    return slope;
  }

  // balanced is the scale s of x at which the rounding of x (2^-s, times the weights) and of the weights (2^-(T-s),
  // times x) contribute alike to a result of scale T.
  double balanced(ValueId x, ValueId y, double weight) {
    if (typical(x) <= 0 || weight <= 0) return of(y).limit / 2.0;
    return (of(y).limit + std::log2(weight / typical(x)) + 0.5) / 2;
  }

  // resolution is the number of fraction bits that values of this size need at least.
  int resolution(ValueId id) {
    const ValueRange& range = of(id).range;
    if (range.bound <= 0) return 0;
    if (range.rms <= 0) return std::max(0, kFewestBits - magnitude_bits(range.bound));
    return std::max(0, static_cast<int>(std::ceil(kTypicalBits - std::log2(range.rms))));
  }

  void check_resolution() {
    for (ValueId input : graph_.inputs)
      check_room(input, "input " + graph_.value(input).name, resolution(input), of(input).limit);
    for (const Node& node : graph_.nodes)
      if (is_secret(node.outputs[0]) && !ops::is_for_recipient(node.op)) check_node(node);
  }

  // check_node: a truncated value must be resolved within k, a product must leave bits to both of its factors.
  void check_node(const Node& node) {
    const ValueId result = node.outputs[0];
    const std::string where = fmt::format("node \"{}\" ({})", node.name, node.op);
    const Role role = role_of(graph_, node);
    int available = of(result).limit, needed = resolution(result);
    if (role == Role::kActivation || role == Role::kMaximum || role == Role::kSign)
      available = std::min(available, plan_.k_max.value() - 1 - opened_bits(node));
    if (role == Role::kLinear) {
      const double weight = weight_rms(graph_, node);
      const int weight_bits = weight > 0 ? static_cast<int>(std::ceil(kTypicalBits - std::log2(weight))) : 0;
      for (ValueId input : node.inputs)
        if (is_secret(input)) needed = std::max(needed, resolution(input) + weight_bits);
    }
    if (role == Role::kProduct) needed = std::max(needed, resolution(node.inputs[0]) + resolution(node.inputs.back()));
    if (role == Role::kSign || role == Role::kWhole) needed = 0;
    check_room(result, where, needed, available);
  }

  void check_room(ValueId id, const std::string& where, int needed, int available) {
    if (of(id).range.bound <= 0 || available >= needed) return;
    throw UserError(
        "{}: {}: its range needs {} integer bits and {} fraction bits, but only {} fraction bits are left in the "
        "{}-bit "
        "ring with k = {}: {} bits are missing. {}",
        graph_.name, where, magnitude_bits(of(id).range.bound), needed, available, width_, plan_.k_max.value(),
        needed - available,
        width_ == 32 ? "Use the 64-bit ring, or calibrate with representative samples."
                     : "Calibrate with representative samples instead of bounding every value.");
  }

  const Graph& graph_;
  const int width_;
  const Uses uses_;
  FixedPointPlan plan_;
  std::vector<std::vector<double>> wants_;
  std::vector<bool> is_divided_;
};

}  // namespace

int magnitude_bits(double bound) {
  if (bound <= 0) return -kUnlimited / 20;
  return static_cast<int>(std::ceil(std::log2(bound * (1 + 1.0 / 64))));
}

int width_bits(double bound, int scale) {
  const double largest = std::ceil(std::ldexp(bound, scale)) + 2;
  return static_cast<int>(std::ceil(std::log2(largest))) + 1;
}

FixedPointPlan plan_fixed_point(const Graph& graph, const std::vector<ValueRange>& ranges, Ring ring, Bits k_max) {
  return Planner(graph, ranges, ring, k_max).run();
}

Role role_of(const Graph& graph, const Node& node) {
  if (node.op == "Conv" || node.op == "ConvTranspose" || node.op == "BatchNorm") return Role::kLinear;
  if (node.op == "Resize" && node.get_string("mode", "nearest") != "nearest") return Role::kLinear;
  if (node.op == "Mul" || node.op == "Div" || node.op == "MatMul") {
    const bool has_constant = graph.constant(node.inputs[0]) || graph.constant(node.inputs[1]);
    return has_constant ? Role::kLinear : Role::kProduct;
  }
  if (node.op == "Square") return Role::kProduct;
  if (node.op == "GreaterEqual") return Role::kSign;
  if (node.op == "Floor") return Role::kWhole;
  if (node.op == "Relu" || node.op == "Clip" || node.op == "LeakyRelu") return Role::kActivation;
  if (node.op == "MaxPool" || node.op == "ReduceMax" || node.op == "ArgMax" || node.op == "ArgMin")
    return Role::kMaximum;
  return ops::real_function(node) && node.op != "Identity" ? Role::kFunction : Role::kLocal;
}

int64_t summed(const Graph& graph, const Node& node) {
  if (node.op == "AveragePool") {
    const std::vector<int64_t> kernel = node.get_ints("kernel");
    return std::accumulate(kernel.begin(), kernel.end(), int64_t{1}, std::multiplies<>());
  }
  if (node.op != "ReduceMean" && node.op != "ReduceSum") return 1;
  const int64_t before = graph.value(node.inputs[0]).shape->elements();
  return std::max<int64_t>(before / std::max<int64_t>(graph.value(node.outputs[0]).shape->elements(), 1), 1);
}

}  // namespace treville
