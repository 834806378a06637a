// What passes over a Program in single-assignment form have in common: renaming operands and inferring types anew.
#pragma once

#include <type_traits>
#include <variant>

#include "program/program.h"

namespace treville {

// rename_operands replaces every slot a step reads by rename(slot).
template <class Rename>
void rename_operands(StepBody& body, Rename&& rename) {
  std::visit(
      [&](auto& step) {
        using Body = std::decay_t<decltype(step)>;
        if constexpr (std::is_same_v<Body, LinearStep>) {
          for (LinearTerm& term : step.terms) term.x = rename(term.x);
        } else if constexpr (std::is_same_v<Body, AddStep> || std::is_same_v<Body, ProductStep>) {
          step.a = rename(step.a);
          step.b = rename(step.b);
        } else if constexpr (std::is_same_v<Body, ConcatStep>) {
          for (SlotId& part : step.parts) part = rename(part);
        } else if constexpr (!std::is_same_v<Body, InputStep>) {
          step.x = rename(step.x);
        }
      },
      body);
}

inline bool is_output(const Step& step) { return std::holds_alternative<OutputStep>(step.body); }

// infer_types infers the type of every step again, keeping bounds; slots must be single-assignment.
void infer_types(Program& program);

// remove_dead_steps drops steps whose result nobody reads (inputs stay: they belong to the interface).
void remove_dead_steps(Program& program);

}  // namespace treville
