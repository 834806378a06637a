#include "program/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "program/rules.h"

namespace treville {
namespace {

constexpr size_t kMaxNameBytes = 1024;
constexpr uint32_t kMaxSlots = 1u << 20;

// Operands lists what each step reads.
struct Operands {
  std::vector<SlotId> operator()(const InputStep&) const { return {}; }
  std::vector<SlotId> operator()(const LinearStep& s) const {
    std::vector<SlotId> slots;
    for (const LinearTerm& term : s.terms) slots.push_back(term.x);
    return slots;
  }
  std::vector<SlotId> operator()(const ProductStep& s) const { return {s.a, s.b}; }
  std::vector<SlotId> operator()(const AddStep& s) const { return {s.a, s.b}; }
  std::vector<SlotId> operator()(const ConcatStep& s) const { return s.parts; }
  template <class Unary>
  std::vector<SlotId> operator()(const Unary& s) const {
    return {s.x};
  }
};

struct Names {
  const char* operator()(const InputStep&) const { return "input"; }
  const char* operator()(const LinearStep&) const { return "linear"; }
  const char* operator()(const ReluStep&) const { return "relu"; }
  const char* operator()(const ClipStep&) const { return "clip"; }
  const char* operator()(const LeakyReluStep&) const { return "leaky_relu"; }
  const char* operator()(const MaxPoolStep&) const { return "max_pool"; }
  const char* operator()(const RescaleStep&) const { return "rescale"; }
  const char* operator()(const ArgMaxStep&) const { return "arg_max"; }
  const char* operator()(const ProductStep&) const { return "product"; }
  const char* operator()(const LookUpStep&) const { return "look_up"; }
  const char* operator()(const NonNegativeStep&) const { return "non_negative"; }
  const char* operator()(const AddStep& s) const { return s.subtract ? "subtract" : "add"; }
  const char* operator()(const AddConstantStep&) const { return "add_constant"; }
  const char* operator()(const ScaleStep&) const { return "scale"; }
  const char* operator()(const SumPoolStep&) const { return "sum_pool"; }
  const char* operator()(const SumAxesStep&) const { return "sum_axes"; }
  const char* operator()(const ReshapeStep&) const { return "reshape"; }
  const char* operator()(const TransposeStep&) const { return "transpose"; }
  const char* operator()(const PadStep&) const { return "pad"; }
  const char* operator()(const SliceStep&) const { return "slice"; }
  const char* operator()(const GatherStep&) const { return "gather"; }
  const char* operator()(const ConcatStep&) const { return "concat"; }
  const char* operator()(const OutputStep&) const { return "output"; }
};

// magnitude_of is the largest number of a signed integer of so many bits whose negative fits too.
uint64_t magnitude_of(Bits bits) { return (uint64_t{1} << (bits.value() - 1)) - 1; }

struct Openings {
  const std::vector<SlotType>& types;
  using Result = std::optional<Opening>;

  Result operator()(const ReluStep& s) const { return Opening{s.x, s.truncate, magnitude_of(s.k)}; }
  Result operator()(const LeakyReluStep& s) const { return Opening{s.x, s.truncate, magnitude_of(s.k)}; }
  Result operator()(const NonNegativeStep& s) const { return Opening{s.x, s.truncate, magnitude_of(s.k)}; }
  Result operator()(const MaxPoolStep& s) const { return Opening{s.x, s.truncate, magnitude_of(s.k)}; }
  Result operator()(const ArgMaxStep& s) const { return Opening{s.x, s.truncate, magnitude_of(s.k)}; }
  Result operator()(const RescaleStep& s) const { return Opening{s.x, s.truncate, magnitude_of(s.k - Bits(1))}; }
  Result operator()(const LookUpStep& s) const { return Opening{s.x, s.truncate, magnitude_of(s.n)}; }
  // The distance to the upper bound is opened too.
  Result operator()(const ClipStep& s) const {
    return Opening{s.x, s.truncate, magnitude_of(s.k) - static_cast<uint64_t>(s.upper)};
  }
  Result operator()(const OutputStep& s) const {
    const SlotType& type = types[index_of(s.x)];
    if (type.is_index) return {};
    return Opening{s.x, Bits(0), magnitude_of(type.modulus)};
  }
  template <class Local>
  Result operator()(const Local&) const {
    return {};
  }
};

template <class... Args>
void require(bool holds, fmt::format_string<Args...> format, Args&&... args) {
  if (!holds) throw RuleViolation{fmt::format(format, std::forward<Args>(args)...)};
}

void check_name(const std::string& name, const char* what) {
  require(name.size() <= kMaxNameBytes, "{} has {} bytes, at most {} are supported", what, name.size(), kMaxNameBytes);
}

bool is_word(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '/' || c == '-' || c == ':';
  });
}

void check_header(const Program& program) {
  check_name(program.model, "the model's name");
  check_name(program.scheme, "the scheme");
  check_name(program.preprocess, "the preprocessing");
  require(program.parameters >= 0, "the number of parameters is negative");
  require(program.slots <= kMaxSlots, "{} slots, at most {} are supported", program.slots, kMaxSlots);
}

// check_declarations checks constants or tables: names are unique words, and each obeys its rules.
template <class Declaration, class Rule>
void check_declarations(const std::vector<Declaration>& all, const char* what, const Rule& rule) {
  std::set<std::string> names;
  for (const Declaration& one : all) {
    check_name(one.name, fmt::format("a {}'s name", what).c_str());
    require(is_word(one.name), "a {}'s name must be one word of letters, digits and _ . / - :", what);
    require(names.insert(one.name).second, "{} {} is declared twice", what, one.name);
    try {
      rule(one);
    } catch (const RuleViolation& broken) {
      throw RuleViolation{fmt::format("{} {}: {}", what, one.name, broken.message)};
    }
  }
}

std::string describe(const SlotType& type) {
  return fmt::format("{} scale={} ring={} {} mod={} div={}{}", to_string(type.shape), type.scale, bits_of(type.ring),
                     type.form == Form::kMasked ? "masked" : "additive", type.modulus, type.divisor,
                     type.is_index ? " index" : "");
}

// StepChecker walks the steps with what every slot holds.
class StepChecker {
 public:
  explicit StepChecker(const Program& program)
      : program_(program), types_(program.slots), defined_(program.slots, false) {}

  void check(const Step& step) {
    check_name(step.layer, "the layer's name");
    require(index_of(step.result) < program_.slots, "its result %{} is not below the {} slots", index_of(step.result),
            program_.slots);
    for (SlotId slot : operands(step.body)) {
      require(index_of(slot) < program_.slots, "it reads %{}, not below the {} slots", index_of(slot), program_.slots);
      require(defined_[index_of(slot)], "it reads %{}, which no earlier step defines", index_of(slot));
    }
    SlotType type = type_by_rules(step.body, types_, program_);
    require(std::isfinite(step.type.bound) && step.type.bound >= 0, "its bound is not a finite number >= 0");
    if (const auto* output = std::get_if<OutputStep>(&step.body)) {
      check_output(step, *output);
    } else {
      type.bound = step.type.bound;
    }
    if (const auto* input = std::get_if<InputStep>(&step.body)) {
      check_name(input->name, "the input's name");
      require(inputs_.insert(input->name).second, "input \"{}\" comes twice", input->name);
    }
    check_verdict(step);
    require(type == step.type, "its type is {}, expected {}", describe(step.type), describe(type));
    types_[index_of(step.result)] = std::move(type);
    defined_[index_of(step.result)] = true;
  }

  void finish() const { require(!outputs_.empty(), "the program has no output"); }

 private:
  void check_verdict(const Step& step) const {
    const auto [kind, margin] = step.verdict;
    require(kind == RangeVerdict::kNone || opening(step.body, types_), "it opens nothing that a verdict could be of");
    if (kind == RangeVerdict::kCalibrated) {
      require(margin >= 1 && margin <= kMostMargin, "a margin of {} bits, expected 1 to {}", margin, kMostMargin);
    } else {
      require(margin == 0, "only a calibrated range has a margin");
    }
  }

  void check_output(const Step& step, const OutputStep& output) {
    require(step.result == output.x, "the result of an output is what it reads");
    check_name(output.name, "the output's name");
    require(outputs_.insert(output.name).second, "output \"{}\" comes twice", output.name);
  }

  const Program& program_;
  std::vector<SlotType> types_;
  std::vector<bool> defined_;
  std::set<std::string> inputs_, outputs_;
};

}  // namespace

SlotType infer_type(const StepBody& body, const std::vector<SlotType>& types, const Program& program) {
  try {
    return type_by_rules(body, types, program);
  } catch (const RuleViolation& broken) {
    CHECK(false, "{}: {}", name_of(body), broken.message);
    throw;
  }
}

double Opening::largest() const { return std::ldexp(static_cast<double>(allowed), truncate.value()); }

std::optional<Opening> opening(const StepBody& body, const std::vector<SlotType>& types) {
  return std::visit(Openings{types}, body);
}

std::vector<SlotId> operands(const StepBody& body) { return std::visit(Operands{}, body); }

const char* name_of(const StepBody& body) { return std::visit(Names{}, body); }

void verify(const Program& program) {
  std::string where = "program";
  try {
    check_header(program);
    check_declarations(program.constants, "constant", check_constant);
    check_declarations(program.tables, "table", check_table);
    StepChecker checker(program);
    for (size_t i = 0; i < program.steps.size(); ++i) {
      const Step& step = program.steps[i];
      where = fmt::format("program, step {} (%{} = {}, layer \"{}\")", i, index_of(step.result), name_of(step.body),
                          step.layer);
      checker.check(step);
    }
    where = "program";
    checker.finish();
  } catch (const RuleViolation& broken) {
    throw UserError("{}: {}. Compile the model again.", where, broken.message);
  }
}

}  // namespace treville
