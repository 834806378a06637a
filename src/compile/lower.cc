#include "compile/lower.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/error.h"
#include "compile/plan_fixed_point.h"
#include "compile/uses.h"

namespace treville {
namespace {

// Weights need no more bits than a float has; with fewer than kFewestWeightBits for the largest there is no weight any
// more, and below kStarvingWeightBits an operand gives up fraction bits for them when it has more than planned.
constexpr int kMostWeightBits = 25;
constexpr int kFewestWeightBits = 2;
constexpr int kStarvingWeightBits = 10;
// An operand with so many fraction bits more than planned is truncated before a linear layer.
constexpr int kExcessBits = 3;

// Emitter appends steps to a program and registers constants; it knows types, not operations.
class Emitter {
 public:
  explicit Emitter(Ring ring) { program.ring = ring; }

  SlotId append(StepBody body, const std::string& layer, double bound) {
    Step step;
    step.type = infer_type(body, types, program);
    step.type.bound = bound;
    step.layer = layer;
    step.result = SlotId(static_cast<uint32_t>(types.size()));
    step.body = std::move(body);
    types.push_back(step.type);
    program.steps.push_back(std::move(step));
    return program.steps.back().result;
  }

  void append_output(OutputStep output, const std::string& layer) {
    const SlotType type = types[index_of(output.x)];
    program.steps.push_back({output.x, std::move(output), type, layer});
  }

  ConstantId add_constant(const std::string& name, const FloatTensor& values, double factor, int scale) {
    RingTensor quantised = quantise_tensor(values, program.ring, factor, scale);
    program.constants.push_back({unique_name(name), values.shape, program.ring, Bits(scale)});
    constants.push_back(std::move(quantised));
    return ConstantId(static_cast<uint32_t>(constants.size() - 1));
  }

  // producer is the step that makes a slot: in single-assignment form outputs alone make none, so it is looked up.
  Step& producer(SlotId slot) {
    for (size_t i = program.steps.size(); i-- > 0;)
      if (program.steps[i].result == slot && !std::holds_alternative<OutputStep>(program.steps[i].body))
        return program.steps[i];
    throw BugError(fmt::format("slot {} has no producer", index_of(slot)));
  }

  Program program;
  std::vector<RingTensor> constants;
  std::vector<SlotType> types;

 private:
  std::string unique_name(const std::string& wanted) {
    std::string word;
    for (char c : wanted) word += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    std::string name = word;
    for (int i = 2; !names_.insert(name).second; ++i) name = fmt::format("{}_{}", word, i);
    return name;
  }
  std::set<std::string> names_;
};

int log2_of(int64_t divisor) { return static_cast<int>(std::floor(std::log2(static_cast<double>(divisor)))); }
// effective: fraction bits of the real value, when a divisor stands behind the integer.
int effective(const SlotType& type) { return type.scale.value() + log2_of(type.divisor); }

class Lowering final : public LowerContext {
 public:
  Lowering(const Graph& graph, const FixedPointPlan& plan, const CompileOptions& options)
      : graph_(graph),
        plan_(plan),
        options_(options),
        emitter_(plan.ring),
        uses_(graph),
        width_(bits_of(plan.ring).value()) {}

  Lowered run(const std::vector<std::string>& output_names) {
    check_supported();
    for (ValueId input : graph_.inputs) lower_input(input);
    for (const Node& node : graph_.nodes) {
      node_ = &node;
      if (node.op == "Softmax") {
        lower_softmax();
      } else {
        find_op(node.op)->lower(*this);
      }
      CHECK(slots_.count(node.outputs[0]) > 0, "lowering of {} gave no result", node.op);
    }
    for (size_t i = 0; i < graph_.outputs.size(); ++i) lower_output(graph_.outputs[i], output_names[i]);
    emitter_.program.slots = static_cast<uint32_t>(emitter_.types.size());
    return {std::move(emitter_.program), std::move(emitter_.constants)};
  }

  const Graph& graph() const override { return graph_; }
  const Node& node() const override { return *node_; }
  const Shape& input_shape(int input) const override { return *graph_.value(input_value(input)).shape; }
  const Shape& output_shape(int output) const override {
    return *graph_.value(node_->outputs[static_cast<size_t>(output)]).shape;
  }
  const Constant* constant(int input) const override {
    return static_cast<size_t>(input) < node_->inputs.size() ? graph_.constant(input_value(input)) : nullptr;
  }
  SlotId operand(int input) override {
    const auto found = slots_.find(input_value(input));
    if (found == slots_.end()) fail(fmt::format("operand {} is a constant, which has no secure form here", input));
    return found->second;
  }
  const SlotType& type(SlotId slot) const override { return emitter_.types[index_of(slot)]; }

  SlotId emit(StepBody body) override { return emit(std::move(body), result_plan().range.bound); }
  SlotId emit(StepBody body, double bound) override {
    const std::vector<SlotId> read = operands(body);
    const SlotId result = emitter_.append(std::move(body), node_->name, bound);
    // Inner steps of an operation that move or sum a value keep its wanted scale, until set_result knows better.
    if (read.size() == 1) wanted_scale_[result] = wanted_scale(read[0]);
    return result;
  }
  SlotId linear(SlotId x, const LinearMap& map, const FloatTensor& weight, const FloatTensor* bias) override;
  Truncation truncation(SlotId x, Use use) override { return truncation(x, use, type(x).bound); }
  Truncation truncation(SlotId x, Use use, double bound) override {
    const bool is_index = !is_float(graph_, node_->outputs[0]);
    return truncation_to(x, use, bound, is_index ? width_ : result_plan().scale);
  }
  Alignment align(std::vector<SlotId> slots) override;
  SlotId add_constant(SlotId x, const FloatTensor& c) override;
  int64_t quantise(double value, SlotId like) const override {
    return std::llround(std::ldexp(value * static_cast<double>(type(like).divisor), type(like).scale.value()));
  }
  void set_result(SlotId slot, int output) override {
    const ValueId value = node_->outputs[static_cast<size_t>(output)];
    slots_[value] = slot;
    wanted_scale_[slot] = plan_.of(value).scale;
  }
  [[noreturn]] void fail(const std::string& message) const override {
    throw UserError("{}: node \"{}\" ({}): {}", graph_.name, node_->name,
                    node_->origin.empty() ? node_->op : node_->origin, message);
  }

 private:
  ValueId input_value(int input) const { return node_->inputs[static_cast<size_t>(input)]; }
  const ValuePlan& result_plan() const { return plan_.of(node_->outputs[0]); }

  void check_supported() const;
  void lower_input(ValueId input);
  void lower_softmax();
  void lower_output(ValueId output, const std::string& name);
  Truncation truncation_to(SlotId x, Use use, double bound, int target) const;
  SlotId rescaled(SlotId x, int target);
  SlotId masked_operand(SlotId x, double largest_weight);
  SlotId with_divisor(SlotId x, int64_t divisor);
  int wanted_scale(SlotId x) const {
    const auto found = wanted_scale_.find(x);
    return found == wanted_scale_.end() ? result_plan().scale : found->second;
  }
  bool is_full_mask(SlotId x) const { return type(x).form == Form::kMasked && type(x).modulus == bits_of(plan_.ring); }

  const Graph& graph_;
  const FixedPointPlan& plan_;
  const CompileOptions& options_;
  Emitter emitter_;
  const Uses uses_;
  const int width_;
  const Node* node_ = nullptr;
  std::map<ValueId, SlotId> slots_;
  std::map<SlotId, int> wanted_scale_;                 // the plan's scale of the value a slot holds
  std::map<std::pair<SlotId, int>, SlotId> rescaled_;  // by slot and target scale
  std::set<ValueId> softmaxed_;                        // outputs on which the recipient computes a softmax
};

void Lowering::check_supported() const {
  std::string missing;
  for (const Node& node : graph_.nodes) {
    const OpDef* op = find_op(node.op);
    if (node.op != "Softmax" && (op == nullptr || op->lower == nullptr))
      missing += fmt::format("\n  node \"{}\": {}", node.name, node.origin.empty() ? node.op : node.origin);
  }
  if (!missing.empty()) throw UserError("{}: these operations have no secure form:{}", graph_.name, missing);
}

void Lowering::lower_input(ValueId input) {
  const Value& value = graph_.value(input);
  const ValuePlan& plan = plan_.of(input);
  InputStep step{options_.client, value.name, *value.shape, plan_.ring, Bits(std::max(plan.scale, 0))};
  const SlotId slot = emitter_.append(std::move(step), value.name, plan.range.bound);
  slots_[input] = slot;
  wanted_scale_[slot] = plan.scale;
}

void Lowering::lower_softmax() {
  const ValueId result = node_->outputs[0];
  const bool is_output = std::find(graph_.outputs.begin(), graph_.outputs.end(), result) != graph_.outputs.end();
  const auto axis = node_->get_int("axis", -1);
  const int rank = input_shape(0).rank();
  if (!is_output || uses_.count(result) != 1) fail("a softmax inside the model has no secure form; only at its end");
  if (axis != -1 && axis != rank - 1) fail("a softmax over another axis than the last is not supported");
  set_result(operand(0), 0);
  softmaxed_.insert(result);
}

void Lowering::lower_output(ValueId output, const std::string& name) {
  const auto found = slots_.find(output);
  if (found == slots_.end())
    throw UserError("{}: output \"{}\" is a constant; there is nothing to compute", graph_.name, name);
  const PostProcess post = softmaxed_.count(output) ? PostProcess::kSoftmax : PostProcess::kNone;
  emitter_.append_output({found->second, options_.recipient, name, options_.policy, post}, name);
}

// truncation_to brings x to the target scale, or to the nearest one that k and the modulus allow: below it, else above.
LowerContext::Truncation Lowering::truncation_to(SlotId x, Use use, double bound, int target) const {
  const SlotType& held = type(x);
  const double largest = bound * static_cast<double>(held.divisor);
  const int modulus = held.modulus.value();
  const auto try_with = [&](int f) -> std::optional<Truncation> {
    const int scale = held.scale.value() - f;
    if (scale < 0) return {};
    const int k = std::max(3, width_bits(largest, scale) + (use == Use::kRescale ? 1 : 0));
    const bool opens_wide = use != Use::kRescale && k > plan_.k_max.value();
    if (opens_wide || k + f + (use == Use::kMaximum ? 1 : 0) > modulus) return {};
    return Truncation{Bits(f), Bits(k), Bits(scale)};
  };
  const int wanted = std::clamp(effective(held) - target, 0, modulus - 1);
  for (int f = wanted; f < modulus; ++f)
    if (const auto found = try_with(f)) return *found;
  for (int f = wanted - 1; f >= 0; --f)
    if (const auto found = try_with(f)) return *found;
  fail(fmt::format("a range of {} integer bits does not fit what is known of the value: {} bits at scale {}",
                   magnitude_bits(bound), modulus, held.scale.value()));
}

// rescaled masks x over the full ring, at the target scale or below; once for all readers, whatever shape they read it
// in: what was only reshaped is masked before.
SlotId Lowering::rescaled(SlotId x, int target) {
  if (const auto found = rescaled_.find({x, target}); found != rescaled_.end()) return found->second;
  const double bound = type(x).bound;
  SlotId result{};
  if (const auto* reshape = std::get_if<ReshapeStep>(&emitter_.producer(x).body)) {
    const ReshapeStep step = *reshape;
    result = emit(ReshapeStep{rescaled(step.x, target), step.shape}, bound);
  } else {
    const Truncation t = truncation_to(x, Use::kRescale, bound, target);
    result = emit(RescaleStep{x, t.truncate, t.k}, bound);
  }
  return rescaled_[{x, target}] = result;
}

// masked_operand gives x in the form a linear layer reads, with few enough fraction bits to leave some to the weights.
SlotId Lowering::masked_operand(SlotId x, double largest_weight) {
  const int wanted = wanted_scale(x);
  if (!is_full_mask(x)) return rescaled(x, wanted);
  const double weight = largest_weight / static_cast<double>(type(x).divisor);
  const int left = result_plan().limit - type(x).scale.value() + magnitude_bits(weight);
  const bool starves_weights = left < kStarvingWeightBits && effective(type(x)) > wanted;
  return effective(type(x)) > wanted + kExcessBits || starves_weights ? rescaled(x, wanted) : x;
}

SlotId Lowering::linear(SlotId x, const LinearMap& map, const FloatTensor& weight, const FloatTensor* bias) {
  double largest = 0;
  for (float value : weight.values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  x = masked_operand(x, largest);
  const auto divisor = static_cast<double>(type(x).divisor);
  const int weight_bits = largest > 0 ? magnitude_bits(largest / divisor) : 0;
  const int x_scale = type(x).scale.value();
  const int scale = std::min(result_plan().limit, x_scale + kMostWeightBits - weight_bits);
  const int weight_scale = scale - x_scale;
  if (weight_scale < 0 || weight_scale + weight_bits < kFewestWeightBits)
    fail(fmt::format("the range of its result needs {} integer bits; {} bits are missing for the weights",
                     magnitude_bits(result_plan().range.bound), kFewestWeightBits - weight_scale - weight_bits));
  LinearStep step;
  step.terms.push_back({x, map, emitter_.add_constant(node_->name + "_w", weight, 1 / divisor, weight_scale)});
  if (bias != nullptr) step.bias = emitter_.add_constant(node_->name + "_b", *bias, 1, scale);
  step.modulus = bits_of(plan_.ring);
  return emit(std::move(step));
}

// with_divisor multiplies the integers of x so that `divisor` (a multiple of its own) stands behind them.
SlotId Lowering::with_divisor(SlotId x, int64_t divisor) {
  const int64_t factor = divisor / type(x).divisor;
  if (factor == 1) return x;
  const double bound = type(x).bound;
  const SlotId larger = emit(ScaleStep{x, factor, Bits(0)}, bound * static_cast<double>(factor));
  return emit(SumAxesStep{larger, {}, factor}, bound);
}

LowerContext::Alignment Lowering::align(std::vector<SlotId> slots) {
  int64_t divisor = 1;
  for (SlotId slot : slots) divisor = std::lcm(divisor, type(slot).divisor);
  const bool is_concat = node_->op == "Concat";
  int top = 0;
  for (SlotId& slot : slots) {
    // What a linear layer reads must be masked: parts of a concatenation each once, here.
    const bool masks = is_concat && result_plan().wants_mask && !is_full_mask(slot);
    const int room = result_plan().limit - log2_of(divisor);
    if (masks || type(slot).scale.value() > room) slot = rescaled(slot, std::min(wanted_scale(slot), room));
    slot = with_divisor(slot, divisor);
    top = std::max(top, type(slot).scale.value());
  }
  Alignment result;
  for (SlotId slot : slots) {
    const int shift = top - type(slot).scale.value();
    // A value known modulo few bits would make the result so; masking it extends it to the full ring.
    if (type(slot).modulus.value() + shift < width_) slot = rescaled(slot, effective(type(slot)));
    result.shifts.push_back(Bits(top - type(slot).scale.value()));
    result.slots.push_back(slot);
  }
  return result;
}

// add_constant becomes the bias of a linear step when this node alone reads it.
SlotId Lowering::add_constant(SlotId x, const FloatTensor& c) {
  const SlotType& held = type(x);
  const ConstantId id =
      emitter_.add_constant(node_->name + "_b", c, static_cast<double>(held.divisor), held.scale.value());
  Step& step = emitter_.producer(x);
  LinearStep* linear = std::get_if<LinearStep>(&step.body);
  const bool is_alone = std::all_of(node_->inputs.begin(), node_->inputs.end(),
                                    [&](ValueId input) { return graph_.constant(input) || uses_.count(input) == 1; });
  if (linear == nullptr || linear->bias || !is_alone || &step != &emitter_.program.steps.back())
    return emit(AddConstantStep{x, id});
  linear->bias = id;
  step.type.bound = emitter_.types[index_of(x)].bound = result_plan().range.bound;
  return x;
}

}  // namespace

RingTensor quantise_tensor(const FloatTensor& x, Ring ring, double factor, int scale) {
  RingTensor result = RingTensor::stored(ring, x.shape);
  dispatch(ring, [&](auto word) {
    using Word = decltype(word);
    const auto out = result.as<Word>();
    for (size_t i = 0; i < x.values.size(); ++i) {
      // The remainder modulo 2^64 lies in [-2^63, 2^63].
      const double value = std::remainder(std::nearbyint(std::ldexp(x.values[i] * factor, scale)), 0x1p64);
      out[i] = value == 0x1p63 ? static_cast<Word>(uint64_t{1} << 63) : static_cast<Word>(static_cast<int64_t>(value));
    }
  });
  return result;
}

Lowered lower(const Graph& graph, const FixedPointPlan& plan, const CompileOptions& options,
              const std::vector<std::string>& output_names) {
  return Lowering(graph, plan, options).run(output_names);
}

}  // namespace treville
