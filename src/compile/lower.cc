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
#include "ops/common.h"
#include "ops/softmax.h"

namespace treville {
namespace {

// Weights need no more bits than a float has; with fewer than kFewestWeightBits for the largest there is no weight any
// more, and below kStarvingWeightBits an operand gives up fraction bits for them when it has more than planned.
constexpr int kMostWeightBits = 25;
constexpr int kFewestWeightBits = 2;
constexpr int kStarvingWeightBits = 10;
constexpr int kInverseBits = 14;
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

  // add_table: equal tables are one, whatever layer asks for them first.
  TableId add_table(const std::string& name, const LookUpTable& table) {
    for (size_t i = 0; i < program.tables.size(); ++i)
      if (program.tables[i].table == table) return TableId(static_cast<uint32_t>(i));
    program.tables.push_back({unique_name(name), table, Bits(0)});
    return TableId(static_cast<uint32_t>(program.tables.size() - 1));
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

double largest_of(const FloatTensor& weight) {
  double largest = 0;
  for (float value : weight.values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

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
    for (size_t i = 0; i < graph_.outputs.size(); ++i)
      if (graph_.constant(graph_.outputs[i])) refuse_constant(output_names[i]);
    for (ValueId input : graph_.inputs) lower_input(input);
    for (const Node& node : graph_.nodes) {
      node_ = &node;
      if (ops::is_for_recipient(node.op)) {
        lower_post_processed();
      } else {
        find_op(node.op)->lower(*this);
        count_from_last();
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

  SlotId emit(StepBody body) override {
    const double bound = bound_of(body);
    return emit(std::move(body), bound);
  }
  SlotId emit(StepBody body, double bound) override {
    const std::vector<SlotId> read = operands(body);
    const SlotId result = emitter_.append(std::move(body), node_->name, bound);
    // Inner steps of an operation that move or sum a value keep its wanted scale, until set_result knows better.
    if (read.size() == 1) wanted_scale_[result] = wanted_scale(read[0]);
    keep_proof(emitter_.program.steps.back(), read);
    return result;
  }
  SlotId linear(std::vector<Term> terms, const FloatTensor* bias) override;
  SlotId masked(SlotId x, const FloatTensor& weight) override { return masked_operand(x, largest_of(weight)); }
  SlotId product(SlotId a, SlotId b, const ProductGeometry& geometry) override;
  SlotId masked_at(SlotId x, int scale) override;
  Interval argument_range(int input, bool keeps_sign) const override {
    return plan_.of(input_value(input)).range.arguments(keeps_sign);
  }
  double result_bound() const override { return result_plan().range.bound; }
  int scale_limit() const override { return result_plan().limit; }
  int wanted_scale() const override { return result_plan().scale; }
  double typical() const override { return result_plan().range.rms; }
  TableId add_table(const LookUpTable& table) override { return emitter_.add_table(node_->name + "_t", table); }
  Truncation truncation(SlotId x, Use use) override { return truncation(x, use, type(x).bound); }
  Truncation truncation(SlotId x, Use use, double bound) override {
    const bool is_index = !is_float(graph_, node_->outputs[0]);
    return truncation_to(x, use, bound, is_index ? width_ : result_plan().scale);
  }
  Alignment align(std::vector<SlotId> slots) override;
  SlotId add_constant(SlotId x, const FloatTensor& c) override { return add_constant(x, c, result_plan().range.bound); }
  SlotId add_constant(SlotId x, const FloatTensor& c, double bound) override;
  int64_t quantise(double value, SlotId like) const override {
    return std::llround(std::ldexp(value * static_cast<double>(type(like).divisor), type(like).scale.value()));
  }
  // What a node gives is within the node's own range, also where a last step only takes a part of its operand.
  void set_result(SlotId slot, int output) override {
    const ValueId value = node_->outputs[static_cast<size_t>(output)];
    const double bound = plan_.of(value).range.bound;
    if (bound > 0 && is_float(graph_, value) && bound < type(slot).bound)
      emitter_.producer(slot).type.bound = emitter_.types[index_of(slot)].bound = bound;
    slots_[value] = slot;
    wanted_scale_[slot] = plan_.of(value).scale;
    if (plan_.of(value).range.is_proved && type(slot).bound <= plan_.of(value).range.bound) proved_.insert(slot);
  }
  [[noreturn]] void fail(const std::string& message) const override {
    throw UserError("{}: node \"{}\" ({}): {}", graph_.name, node_->name,
                    node_->origin.empty() ? node_->op : node_->origin, message);
  }

 private:
  ValueId input_value(int input) const { return node_->inputs[static_cast<size_t>(input)]; }
  const ValuePlan& result_plan() const { return plan_.of(node_->outputs[0]); }

  // keep_proof: what is proved of a value holds for what only moves or rescales it; and where a step opens it, that
  // step's verdict is known here alone.
  void keep_proof(Step& step, const std::vector<SlotId>& read) {
    if (read.size() != 1 || !proved_.contains(read[0])) return;
    const SlotType& operand = type(read[0]);
    if (const auto opens = opening(step.body, emitter_.types)) {
      const double integer = std::ldexp(operand.bound * static_cast<double>(operand.divisor), operand.scale.value());
      if (integer <= opens->largest()) step.verdict.kind = RangeVerdict::kProved;
    }
    if (step.type.bound == operand.bound && (is_move(step.body) || std::holds_alternative<RescaleStep>(step.body)))
      proved_.insert(step.result);
  }
  static bool is_move(const StepBody& body) {
    return std::holds_alternative<SliceStep>(body) || std::holds_alternative<GatherStep>(body) ||
           std::holds_alternative<ReshapeStep>(body) || std::holds_alternative<TransposeStep>(body);
  }
  // bound_of: what is only moved is no larger than before, whatever margin its own range got.
  double bound_of(const StepBody& body) const {
    const double planned = result_plan().range.bound;
    return is_move(body) ? std::min(planned, type(operands(body)[0]).bound) : planned;
  }
  void check_supported() const;
  void lower_input(ValueId input);
  void lower_post_processed();
  void count_from_last();
  void lower_output(ValueId output, const std::string& name);
  [[noreturn]] void refuse_constant(const std::string& output) const;
  Truncation truncation_to(SlotId x, Use use, double bound, int target) const;
  SlotId rescaled(SlotId x, int target);
  SlotId masked_operand(SlotId x, double largest_weight);
  SlotId undivided(SlotId x);
  SlotId factor(SlotId x);
  SlotId extended(SlotId x, double bound);
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
  std::map<SlotId, SlotId> undivided_;
  std::set<SlotId> proved_;  // slots whose bound holds whatever the inputs are
  struct Post {
    PostProcess kind = PostProcess::kNone;
    int64_t top = 0, axis = -1;
  };
  std::map<ValueId, Post> post_processed_;  // what the recipient computes from an output
};

void Lowering::check_supported() const {
  std::string missing;
  for (const Node& node : graph_.nodes) {
    const OpDef* op = find_op(node.op);
    if (op == nullptr || op->lower == nullptr)
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

// lower_post_processed: a softmax or a choice of the largest, which the recipient computes on the revealed operand.
void Lowering::lower_post_processed() {
  const bool is_choice = node_->op == "TopK";
  const int rank = input_shape(0).rank();
  const int64_t given = *ops::normal_axis(node_->get_int("axis", -1), rank), axis = given == rank - 1 ? -1 : given;
  if (!is_choice && node_->get_int("joint", 0) != 0) fail("a softmax over several axes together is not supported");
  for (size_t i = 0; i < node_->outputs.size(); ++i) {
    const ValueId result = node_->outputs[i];
    const auto reveals = std::count(graph_.outputs.begin(), graph_.outputs.end(), result);
    if (reveals != uses_.count(result) || (reveals == 0 && node_->outputs.size() == 1))
      fail(fmt::format("{} inside the model has no secure form; only at its end",
                       is_choice ? "a choice of the largest values" : "a softmax"));
    slots_[result] = operand(0);
    const bool largest = node_->get_int("largest", 1) != 0;
    const PostProcess choices[] = {largest ? PostProcess::kTopValues : PostProcess::kLeastValues,
                                   largest ? PostProcess::kTopIndices : PostProcess::kLeastIndices};
    const PostProcess kind = is_choice                   ? choices[i]
                             : node_->op == "LogSoftmax" ? PostProcess::kLogSoftmax
                                                         : PostProcess::kSoftmax;
    post_processed_[result] = {kind, is_choice ? node_->get_int("k", 1) : 0, axis};
  }
}

// count_from_last: of equal extrema the last one is the first one of the reversed elements; the recipient counts back.
void Lowering::count_from_last() {
  if (node_->get_int("last", 0) == 0) return;
  const auto axis = static_cast<int>(*ops::normal_axis(node_->get_int("axis", 0), input_shape(0).rank()));
  post_processed_[node_->outputs[0]] = {PostProcess::kIndexFromLast, input_shape(0)[axis], -1};
}

void Lowering::refuse_constant(const std::string& output) const {
  throw UserError("{}: output \"{}\" is a constant; there is nothing to compute", graph_.name, output);
}

void Lowering::lower_output(ValueId output, const std::string& name) {
  const auto found = slots_.find(output);
  if (found == slots_.end()) refuse_constant(name);
  const auto known = post_processed_.find(output);
  const Post post = known == post_processed_.end() ? Post{} : known->second;
  emitter_.append_output({found->second, options_.recipient, name, options_.policy, post.kind, post.top, post.axis},
                         name);
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

SlotId Lowering::linear(std::vector<Term> terms, const FloatTensor* bias) {
  double largest = 0;
  for (const Term& term : terms) largest = std::max(largest, largest_of(term.weight));
  for (Term& term : terms) term.x = masked_operand(term.x, largest);
  const SlotType x = type(terms[0].x);
  const auto divisor = static_cast<double>(x.divisor);
  const int weight_bits = largest > 0 ? magnitude_bits(largest / divisor) : 0;
  const int scale = std::min(result_plan().limit, x.scale.value() + kMostWeightBits - weight_bits);
  const int weight_scale = scale - x.scale.value();
  if (weight_scale < 0 || weight_scale + weight_bits < kFewestWeightBits)
    fail(fmt::format("the range of its result needs {} integer bits; {} bits are missing for the weights",
                     magnitude_bits(result_plan().range.bound), kFewestWeightBits - weight_scale - weight_bits));
  LinearStep step;
  for (const Term& term : terms) {
    const SlotType& operand = type(term.x);
    CHECK(operand.scale == x.scale && operand.divisor == x.divisor, "the terms of {} have different scales", node_->op);
    const ConstantId weight = emitter_.add_constant(node_->name + "_w", term.weight, 1 / divisor, weight_scale);
    step.terms.push_back({term.x, term.map, weight});
  }
  if (bias != nullptr) step.bias = emitter_.add_constant(node_->name + "_b", *bias, 1, scale);
  step.modulus = bits_of(plan_.ring);
  return emit(std::move(step));
}

// undivided multiplies by the inverse of the divisor, which then no longer stands behind the integers. The inverse has
// kInverseBits significant bits; x gives up fraction bits for them.
SlotId Lowering::undivided(SlotId x) {
  if (type(x).divisor == 1) return x;
  if (const auto found = undivided_.find(x); found != undivided_.end()) return found->second;
  const double bound = type(x).bound;
  const int weight_scale = log2_of(type(x).divisor) + kInverseBits;
  const int room = width_ - 2 - magnitude_bits(bound) - weight_scale;
  const bool fits = is_full_mask(x) && type(x).scale.value() <= room;
  const SlotId masked = fits ? x : rescaled(x, std::min(wanted_scale(x), room + log2_of(type(x).divisor)));
  const SlotType held = type(masked);
  const auto divisor = static_cast<double>(held.divisor);
  if (held.scale.value() > room)
    fail(fmt::format("a sum that stands for an average of {} leaves no room in the {}-bit ring", held.divisor, width_));
  const ChannelGeometry map{held.shape.elements(), 1};
  const FloatTensor one(Shape{1}, {1.0F});
  LinearStep step;
  const SlotId flat = emit(ReshapeStep{masked, treville::input_shape(map)}, bound);
  step.terms.push_back({flat, map, emitter_.add_constant(node_->name + "_d", one, 1 / divisor, weight_scale)});
  step.modulus = bits_of(plan_.ring);
  const SlotId result = emit(ReshapeStep{emit(std::move(step), bound), held.shape}, bound);
  wanted_scale_[result] = wanted_scale(x);
  return undivided_[x] = result;
}

SlotId Lowering::masked_at(SlotId x, int scale) {
  x = undivided(x);
  return is_full_mask(x) && type(x).scale.value() <= scale ? x : rescaled(x, scale);
}

// factor gives x as a product reads it: masked, and not much finer than planned.
SlotId Lowering::factor(SlotId x) {
  const int wanted = std::max(0, wanted_scale(x));
  x = undivided(x);
  const bool is_fine = type(x).scale.value() > wanted + kExcessBits;
  return is_full_mask(x) && !is_fine ? x : rescaled(x, wanted);
}

SlotId Lowering::product(SlotId a, SlotId b, const ProductGeometry& geometry) {
  const int limit = result_plan().limit;
  const bool is_square = a == b;
  const int wanted_a = wanted_scale(a), wanted_b = wanted_scale(b);
  a = factor(a);
  b = is_square ? a : factor(b);
  const auto excess = [&] { return type(a).scale.value() + type(b).scale.value() - limit; };
  const auto narrow = [&](SlotId x, int by) { return by <= 0 ? x : rescaled(x, type(x).scale.value() - by); };
  if (is_square) {
    a = b = narrow(a, (excess() + 1) / 2);
  } else {
    a = narrow(a, std::min(excess(), type(a).scale.value() - wanted_a));
    b = narrow(b, std::min(excess(), type(b).scale.value() - wanted_b));
    const bool a_is_whole = type(a).scale.value() <= excess() / 2, b_is_whole = type(b).scale.value() <= excess() / 2;
    if (!a_is_whole) a = narrow(a, b_is_whole ? excess() : (excess() + 1) / 2);
    if (!b_is_whole) b = narrow(b, excess());
  }
  if (excess() > 0) {
    fail(fmt::format("the product of its operands does not fit the {}-bit ring: {} bits are missing. {}", width_,
                     excess(), width_ == 32 ? "Use the 64-bit ring." : "Calibrate with representative samples."));
  }
  return emit(ProductStep{a, b, geometry});
}

// extended gives x over the full ring when what becomes of it, up to `bound`, does not fit what is known of x: a
// maximum is known modulo few bits. What is masked later needs one bit more.
SlotId Lowering::extended(SlotId x, double bound) {
  const SlotType& held = type(x);
  const int needed = width_bits(bound * static_cast<double>(held.divisor), held.scale.value()) + 1;
  return held.modulus.value() < width_ && needed > held.modulus.value() ? rescaled(x, effective(held)) : x;
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
    const int room = result_plan().limit - static_cast<int>(std::ceil(std::log2(static_cast<double>(divisor))));
    if (masks || type(slot).scale.value() > room) slot = rescaled(slot, std::min(wanted_scale(slot), room));
    if (const int64_t factor = divisor / type(slot).divisor; factor > 1)
      slot = extended(slot, type(slot).bound * static_cast<double>(factor));
    slot = with_divisor(slot, divisor);
    top = std::max(top, type(slot).scale.value());
  }
  // Beside a coarse value of a wide range a tiny one needs no more bits than the ring can shift the coarse one by.
  int coarsest = top;
  for (SlotId slot : slots) coarsest = std::min(coarsest, type(slot).scale.value());
  const int finest = coarsest + width_ - 1;
  for (SlotId& slot : slots)
    if (type(slot).scale.value() > finest) slot = rescaled(slot, finest - log2_of(divisor));
  top = std::min(top, finest);
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
SlotId Lowering::add_constant(SlotId x, const FloatTensor& c, double bound) {
  x = extended(x, bound);
  const SlotType held = type(x);
  const ConstantId id =
      emitter_.add_constant(node_->name + "_b", c, static_cast<double>(held.divisor), held.scale.value());
  Step& step = emitter_.producer(x);
  LinearStep* linear = std::get_if<LinearStep>(&step.body);
  const bool is_alone = std::all_of(node_->inputs.begin(), node_->inputs.end(),
                                    [&](ValueId input) { return graph_.constant(input) || uses_.count(input) == 1; });
  if (linear == nullptr || linear->bias || !is_alone || &step != &emitter_.program.steps.back())
    return emit(AddConstantStep{x, id}, bound);
  linear->bias = id;
  step.type.bound = emitter_.types[index_of(x)].bound = bound;
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
