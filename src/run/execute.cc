#include "run/execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "mpc/linear.h"

namespace treville {
namespace {

// last_reads gives for every step the slots whose value no later step reads: those it reads last, and its own result
// when nobody does. A slot that is defined again starts a new value.
std::vector<std::vector<SlotId>> last_reads(const Program& program) {
  std::vector<std::vector<SlotId>> dying(program.steps.size());
  std::vector<bool> live(program.slots, false);
  for (size_t i = program.steps.size(); i-- > 0;) {
    const Step& step = program.steps[i];
    if (!std::holds_alternative<OutputStep>(step.body)) {
      if (!live[index_of(step.result)]) dying[i].push_back(step.result);
      live[index_of(step.result)] = false;
    }
    for (SlotId slot : operands(step.body)) {
      if (!live[index_of(slot)] && slot != step.result) dying[i].push_back(slot);
      live[index_of(slot)] = true;
    }
  }
  return dying;
}

std::vector<int> to_ints(const std::vector<int64_t>& values) { return {values.begin(), values.end()}; }

SharedForm to_shared(Form form) { return form == Form::kMasked ? SharedForm::kMasked : SharedForm::kAdditive; }

// Walk holds the slots of one pass.
class Walk {
 public:
  Walk(const Program& program, Protocol& pass, const RunInputs& inputs)
      : program_(program), pass_(pass), inputs_(inputs), dying_(last_reads(program)), slots_(program.slots) {}

  std::vector<RevealedOutput> run(const StepObserver& observer) {
    pass_.begin_inference(inputs_.inference);
    for (step_ = 0; step_ < program_.steps.size(); ++step_) {
      const Step& step = program_.steps[step_];
      const auto id = static_cast<StepId>(step_);
      if (observer.before) observer.before(id, step);
      pass_.begin_step(id, fmt::format("{} {}", name_of(step.body), step.layer));
      std::optional<Shared> result = std::visit(*this, step.body);
      if (result) check_type(*result, step);
      if (observer.after) observer.after(id, step, result ? &*result : nullptr);
      for (SlotId slot : dying_[step_]) slots_[index_of(slot)].reset();
      if (result && !dies(step.result)) slots_[index_of(step.result)] = std::move(result);
    }
    return std::move(revealed_);
  }

  std::optional<Shared> operator()(const InputStep& s) {
    const auto found = inputs_.inputs.find(s.name);
    return pass_.input(s.owner, found == inputs_.inputs.end() ? nullptr : found->second, s.ring, s.shape);
  }
  std::optional<Shared> operator()(const LinearStep& s) {
    std::vector<SharedTerm> terms;
    for (const LinearTerm& term : s.terms) terms.push_back({&read(term.x), &pass_.weight(weight_++)});
    const RingTensor* bias = s.bias ? constant(*s.bias) : nullptr;
    return pass_.linear(terms, bias, output_shape(s.terms[0].map), s.modulus);
  }
  std::optional<Shared> operator()(const ReluStep& s) { return pass_.relu(take(s.x), s.truncate, s.k); }
  std::optional<Shared> operator()(const ClipStep& s) {
    return pass_.clip(take(s.x), s.truncate, s.k, static_cast<uint64_t>(s.upper));
  }
  std::optional<Shared> operator()(const LeakyReluStep& s) {
    return pass_.leaky_relu(take(s.x), s.truncate, s.k, s.slope, s.slope_bits);
  }
  std::optional<Shared> operator()(const MaxPoolStep& s) { return pass_.max_pool(take(s.x), s.pool, s.truncate, s.k); }
  std::optional<Shared> operator()(const RescaleStep& s) { return pass_.rescale(take(s.x), s.truncate, s.k); }
  std::optional<Shared> operator()(const ArgMaxStep& s) { return pass_.arg_max(take(s.x), s.truncate, s.k); }
  std::optional<Shared> operator()(const ProductStep& s) { return pass_.product(read(s.a), read(s.b), s.geometry); }
  std::optional<Shared> operator()(const LookUpStep& s) {
    std::vector<const LookUpTable*> tables;
    for (const TableId id : s.tables) tables.push_back(&program_.tables[index_of(id)].table);
    return pass_.look_up(take(s.x), s.truncate, s.n, tables);
  }
  std::optional<Shared> operator()(const NonNegativeStep& s) { return pass_.non_negative(take(s.x), s.truncate, s.k); }
  std::optional<Shared> operator()(const AddStep& s) {
    Shared a = s.a == s.b ? read(s.a).clone() : take(s.a);
    return add(std::move(a), read(s.b), s.shift_a, s.shift_b, s.subtract);
  }
  std::optional<Shared> operator()(const AddConstantStep& s) {
    return pass_.add_constant(take(s.x), constant(s.constant));
  }
  std::optional<Shared> operator()(const ScaleStep& s) { return scale(take(s.x), s.factor); }
  std::optional<Shared> operator()(const SumPoolStep& s) {
    Shared sum = sum_pool(read(s.x), s.pool);
    return s.divide_bits > Bits(0) ? average_counts(std::move(sum), s.pool, s.divide_bits) : std::move(sum);
  }
  std::optional<Shared> operator()(const SumAxesStep& s) { return sum_axes(read(s.x), to_ints(s.axes)); }
  std::optional<Shared> operator()(const ReshapeStep& s) { return reshape(take(s.x), s.shape); }
  std::optional<Shared> operator()(const TransposeStep& s) { return transpose(read(s.x), to_ints(s.permutation)); }
  std::optional<Shared> operator()(const PadStep& s) { return pad(read(s.x), s.before, s.after); }
  std::optional<Shared> operator()(const SliceStep& s) { return slice(read(s.x), s.starts, s.steps, s.shape); }
  std::optional<Shared> operator()(const GatherStep& s) {
    return gather(read(s.x), static_cast<int>(s.axis), s.indices);
  }
  std::optional<Shared> operator()(const ConcatStep& s) {
    std::vector<const Shared*> parts;
    std::vector<Bits> shifts;
    for (SlotId slot : s.parts) parts.push_back(&read(slot));
    for (int64_t shift : s.shifts) shifts.push_back(Bits(static_cast<int>(shift)));
    return concat(parts, shifts, static_cast<int>(s.axis));
  }
  std::optional<Shared> operator()(const OutputStep& s) {
    const Shared& x = read(s.x);
    std::optional<Public> value = s.policy == OutputPolicy::kReveal ? pass_.reveal(x, s.recipient) : pass_.shares(x);
    if (value)
      revealed_.push_back({s.name, program_.steps[step_].type, std::move(*value), s.post, s.policy, s.top, s.axis});
    return std::nullopt;
  }

 private:
  bool dies(SlotId slot) const {
    const std::vector<SlotId>& dying = dying_[step_];
    return std::find(dying.begin(), dying.end(), slot) != dying.end();
  }
  const Shared& read(SlotId slot) const {
    const std::optional<Shared>& value = slots_[index_of(slot)];
    CHECK(value.has_value(), "%{} holds nothing at step {}", index_of(slot), step_);
    return *value;
  }
  // take moves a value out when this step is its last reader, else it copies.
  Shared take(SlotId slot) {
    const Shared& value = read(slot);
    return dies(slot) || slot == program_.steps[step_].result ? std::move(*slots_[index_of(slot)]) : value.clone();
  }
  const RingTensor* constant(ConstantId id) const {
    return index_of(id) < inputs_.constants.size() ? inputs_.constants[index_of(id)] : nullptr;
  }
  static void check_type(const Shared& result, const Step& step) {
    const SlotType& type = step.type;
    CHECK(result.shape() == type.shape && result.ring() == type.ring && result.modulus() == type.modulus &&
              result.form() == to_shared(type.form),
          "{} of layer \"{}\" gave {} modulo {} bits, the program says {} modulo {}", name_of(step.body), step.layer,
          to_string(result.shape()), result.modulus(), to_string(type.shape), type.modulus);
  }

  const Program& program_;
  Protocol& pass_;
  const RunInputs& inputs_;
  const std::vector<std::vector<SlotId>> dying_;
  std::vector<std::optional<Shared>> slots_;
  std::vector<RevealedOutput> revealed_;
  size_t step_ = 0;
  size_t weight_ = 0;
};

template <class F>
void for_each_weight(const Program& program, const F& f) {
  for (const Step& step : program.steps) {
    if (const auto* linear = std::get_if<LinearStep>(&step.body)) {
      for (const LinearTerm& term : linear->terms) f(term);
    }
  }
}

// to_integer reads the low bits of a word as a signed number, or as they are for an index.
int64_t to_integer(uint64_t word, Bits modulus, bool is_index) {
  const int unused = 64 - modulus.value();
  const uint64_t top = word << unused;
  return is_index ? static_cast<int64_t>(top >> unused) : static_cast<int64_t>(top) >> unused;
}

}  // namespace

std::vector<RevealedOutput> execute(const Program& program, Protocol& pass, const RunInputs& inputs,
                                    const StepObserver& observer) {
  return Walk(program, pass, inputs).run(observer);
}

std::vector<WeightSpec> weight_specs(const Program& program) {
  std::vector<WeightSpec> specs;
  for_each_weight(program, [&](const LinearTerm& term) {
    specs.push_back({term.map, program.constants[index_of(term.weight)].ring});
  });
  return specs;
}

std::vector<ConstantId> weight_constants(const Program& program) {
  std::vector<ConstantId> ids;
  for_each_weight(program, [&](const LinearTerm& term) { ids.push_back(term.weight); });
  return ids;
}

FloatTensor decode(const Public& value, const SlotType& type) {
  FloatTensor result(value.value.shape());
  dispatch(value.value.ring(), [&](auto word) {
    const auto words = value.value.as<decltype(word)>();
    for (size_t i = 0; i < words.size(); ++i) {
      const auto integer = static_cast<double>(to_integer(words[i], value.modulus, type.is_index));
      result.values[i] =
          static_cast<float>(std::ldexp(integer, -type.scale.value()) / static_cast<double>(type.divisor));
    }
  });
  return result;
}

RingTensor encode(const FloatTensor& value, Ring ring, Bits scale, double bound, const std::string& name) {
  RingTensor result = RingTensor::stored(ring, value.shape);
  const double limit = std::ldexp(1.0, bits_of(ring).value() - 1);
  dispatch(ring, [&](auto word) {
    using Word = decltype(word);
    const auto words = result.as<Word>();
    for (size_t i = 0; i < words.size(); ++i) {
      const double real = value.values[i];
      if (!std::isfinite(real)) throw UserError("input \"{}\": element {} is not a finite number", name, i);
      const double scaled = std::nearbyint(std::ldexp(real, scale.value()));
      if (std::abs(real) > bound || std::abs(scaled) >= limit) {
        throw UserError(
            "input \"{}\": element {} is outside the range of magnitude {} that the model was compiled for. Check the "
            "preprocessing, or compile with samples that cover it.",
            name, i, bound);
      }
      words[i] = static_cast<Word>(static_cast<int64_t>(scaled));
    }
  });
  return result;
}

}  // namespace treville
