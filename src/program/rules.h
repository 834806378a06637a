// The rules of a step: what its operands must be, and the type of its result that follows. infer_type turns a broken
// rule into a bug of the compiler, verify into an error of the file it came from.
#pragma once

#include <string>
#include <vector>

#include "program/program.h"

namespace treville {

// RuleViolation says which rule a step breaks, without saying where.
struct RuleViolation {
  std::string message;
};

// Limits of what a program may declare: they keep every product of extents far from overflow, and the blocks of a
// tensor countable in a message tag.
inline constexpr int kMaxRank = 16;
inline constexpr int64_t kMaxElements = int64_t{1} << 31;
inline constexpr int64_t kMaxWindow = int64_t{1} << 20;  // extents of kernels, strides, dilations, pads
inline constexpr int64_t kMaxIndices = 4096;             // of a gather
inline constexpr int kMaxScale = 160;                    // magnitude of a scale
// Tables: the bits that index one, the width of its entries, and the width of all tables of a step together.
inline constexpr int kMaxIndexBits = 12;
inline constexpr int kMaxTableBits = 48;
inline constexpr int kMaxLookUpBits = 255;

// type_by_rules returns the type of the result (bound 0, but for an output: its operand's); throws RuleViolation.
// Operands must be below types.size().
SlotType type_by_rules(const StepBody& body, const std::vector<SlotType>& types, const Program& program);
void check_shape(const Shape& shape);
void check_constant(const ConstantDecl& constant);
void check_table(const TableDecl& table);

}  // namespace treville
