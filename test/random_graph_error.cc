#include "test/random_graph_error.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "compile/plan_fixed_point.h"
#include "ops/op.h"

namespace treville::testing {
namespace {

constexpr int kTrials = 8;
// A threshold is safe at this many times the estimated error.
constexpr double kSafety = 4;
// What a float operation itself is wrong by: a sum of a few hundred products.
constexpr double kFloatError = 0x1p-21;

// Units of one layer: the errors of its operands and of its result, and those of its weights, as shares of the largest
// element that they multiply.
struct Units {
  double operand = 0, result = 0, share = 0;
  std::optional<double> slope{};  // of a leaky relu, as it was rounded
};
using LayerUnits = std::map<std::string, Units>;

double unit_of(const SlotType& type) {
  return std::ldexp(1.0, -type.scale.value()) / static_cast<double>(type.divisor);
}

// share_of a linear step: half a unit for each weight, of random signs.
double share_of(const LinearStep& step, const Program& program, const std::vector<SlotType>& held) {
  double share = 0;
  for (const LinearTerm& term : step.terms) {
    const double reads = static_cast<double>(macs(term.map)) / static_cast<double>(output_shape(term.map).elements());
    const int scale = program.constants[index_of(term.weight)].scale.value();
    const auto divisor = static_cast<double>(held[index_of(term.x)].divisor);
    share += std::ldexp(divisor, -scale - 1) * std::sqrt(std::max(1.0, reads));
  }
  return share;
}

LayerUnits units_of(const Program& program) {
  LayerUnits units;
  std::vector<SlotType> held(program.slots);
  std::vector<std::string> maker(program.slots);
  for (const Step& step : program.steps) {
    Units& layer = units[step.layer];
    const double unit = unit_of(step.type);
    if (const auto* rescale = std::get_if<RescaleStep>(&step.body)) {
      layer.operand = std::max(layer.operand, unit);
      if (maker[index_of(rescale->x)] == step.layer) layer.result = std::max(layer.result, unit);
    } else if (const auto* linear = std::get_if<LinearStep>(&step.body)) {
      layer.share += share_of(*linear, program, held);
      layer.result = std::max(layer.result, unit);
    } else if (const auto* pool = std::get_if<SumPoolStep>(&step.body)) {
      if (pool->divide_bits.value() > 0)
        layer.share +=
            std::ldexp(static_cast<double>(pool->pool.kernel_h * pool->pool.kernel_w), -pool->divide_bits.value());
    } else if (const auto* leaky = std::get_if<LeakyReluStep>(&step.body)) {
      layer.slope = std::ldexp(static_cast<double>(leaky->slope), -leaky->slope_bits.value());
      layer.result = std::max(layer.result, std::ldexp(unit, leaky->slope_bits.value()));
    } else if (const auto* output = std::get_if<OutputStep>(&step.body); output == nullptr) {
      const bool is_product = std::holds_alternative<ProductStep>(step.body);
      const bool is_sign = std::holds_alternative<NonNegativeStep>(step.body) || step.type.is_index;
      if (!is_product && !is_sign) layer.result = std::max(layer.result, unit);
    }
    held[index_of(step.result)] = step.type;
    maker[index_of(step.result)] = step.layer;
  }
  return units;
}

// Look-ups are good to two units in the last place that the plan gives the result, of at most 20 significant bits
// (docs/fixed-point.md); what they look up is not finer than their steps say.
Units function_units(Units units, const ValuePlan& plan) {
  units.result = 2 * std::max(std::ldexp(1.0, -plan.scale), std::ldexp(plan.range.bound, -20));
  return units;
}

double largest_of(const FloatTensor& x) {
  double largest = 0;
  for (float value : x.values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

class Estimator {
 public:
  explicit Estimator(const Compiled& compiled)
      : graph_(compiled.graph), plan_(compiled.plan), units_(units_of(compiled.program)), random_(1) {}

  std::vector<ErrorEstimate> run(const std::vector<FloatTensor>& inputs) {
    const std::vector<Constant> exact = walk(inputs, false);
    std::vector<ErrorEstimate> estimates(graph_.value_count());
    for (int trial = 0; trial < kTrials; ++trial) {
      const std::vector<Constant> moved = walk(inputs, true);
      for (size_t i = 0; i < moved.size(); ++i) widen(estimates[i], exact[i], moved[i]);
    }
    for (const Node& node : graph_.nodes) decide(node, exact, estimates);
    return estimates;
  }

 private:
  Units units_for(const Node& node) const {
    const auto found = units_.find(node.name);
    Units units = found == units_.end() ? Units() : found->second;
    if (units.slope && node.has("alpha")) units.share += std::abs(*units.slope - node.get_float("alpha", 0));
    return role_of(graph_, node) == Role::kFunction ? function_units(units, plan_.of(node.outputs[0])) : units;
  }

  // walk gives all values; with errors where it is to move them.
  std::vector<Constant> walk(const std::vector<FloatTensor>& inputs, bool moves) {
    std::vector<Constant> values(graph_.value_count());
    for (uint32_t i = 0; i < graph_.value_count(); ++i)
      if (const Constant* constant = graph_.constant(ValueId(i))) values[i] = *constant;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const ValueId id = graph_.inputs[i];
      values[index_of(id)] = inputs[i];
      const auto found = units_.find(graph_.value(id).name);
      if (moves && found != units_.end()) move(values[index_of(id)], found->second.result);
    }
    for (const Node& node : graph_.nodes) evaluate(node, moves, values);
    return values;
  }

  void evaluate(const Node& node, bool moves, std::vector<Constant>& values) {
    const Units units = moves ? units_for(node) : Units();
    std::vector<Constant> operands;
    double largest = 0;
    for (ValueId input : node.inputs) {
      operands.push_back(values[index_of(input)]);
      if (graph_.constant(input)) continue;
      if (const auto* floats = std::get_if<FloatTensor>(&operands.back()))
        largest = std::max(largest, largest_of(*floats));
      move(operands.back(), units.operand);
    }
    std::vector<const Constant*> pointers;
    for (const Constant& operand : operands) pointers.push_back(&operand);
    std::vector<Constant> results = find_op(node.op)->evaluate(graph_, node, pointers);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const auto* floats = std::get_if<FloatTensor>(&results[i]);
      if (moves && floats != nullptr)
        move(results[i], units.result + units.share * largest + kFloatError * largest_of(*floats));
      values[index_of(node.outputs[i])] = std::move(results[i]);
    }
  }

  // move adds errors of up to one unit, half of it the same for all elements.
  void move(Constant& value, double unit) {
    auto* floats = std::get_if<FloatTensor>(&value);
    if (floats == nullptr || unit == 0) return;
    std::uniform_real_distribution<double> uniform(-0.5, 0.5);
    const double common = random_() % 2 == 0 ? 0.5 : -0.5;
    for (float& x : floats->values) x += static_cast<float>(unit * (common + uniform(random_)));
  }

  static void widen(ErrorEstimate& estimate, const Constant& exact, const Constant& moved) {
    const auto* a = std::get_if<FloatTensor>(&exact);
    const auto* b = std::get_if<FloatTensor>(&moved);
    if (a == nullptr || b == nullptr) return;
    for (size_t i = 0; i < a->values.size(); ++i) {
      const double difference = std::abs(static_cast<double>(a->values[i]) - b->values[i]);
      if (!std::isfinite(difference)) estimate.is_decided = false;
      estimate.error = std::max(estimate.error, difference);
    }
  }

  void decide(const Node& node, const std::vector<Constant>& exact, std::vector<ErrorEstimate>& estimates) const {
    bool is_decided = true;
    for (ValueId input : node.inputs) is_decided = is_decided && estimates[index_of(input)].is_decided;
    if (node.op == "GreaterEqual" || node.op == "Floor") {
      const size_t x = index_of(node.inputs[0]);
      const double near = kSafety * (estimates[x].error + units_for(node).operand + units_for(node).result);
      for (float value : std::get<FloatTensor>(exact[x]).values) {
        const double threshold = node.op == "Floor" ? std::nearbyint(value) : 0;
        is_decided = is_decided && std::abs(value - threshold) > near;
      }
    }
    for (ValueId output : node.outputs) estimates[index_of(output)].is_decided &= is_decided;
  }

  const Graph& graph_;
  const FixedPointPlan& plan_;
  const LayerUnits units_;
  std::mt19937 random_;
};

}  // namespace

std::vector<ErrorEstimate> estimate_errors(const Compiled& compiled, const std::vector<FloatTensor>& inputs) {
  return Estimator(compiled).run(inputs);
}

}  // namespace treville::testing
