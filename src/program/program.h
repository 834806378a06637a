// Program is what the compiler hands to every party: a straight-line list of secure steps over numbered slots, with
// scales, moduli, owners and recipients. It is plain data: printed, parsed, hashed, costed and executed. It holds no
// weights: those are owned constants in a file of their own (weights.h), known here by name and shape only.
// Scales live here alone; a Protocol gets shifts, k and moduli as arguments.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "tensor/linear_map.h"
#include "tensor/look_up_table.h"
#include "tensor/product_geometry.h"
#include "tensor/shape.h"

namespace treville {

// Form of a shared value (docs/protocols/porthos.md, section 2). kMasked can enter a linear step, kAdditive cannot.
enum class Form : uint8_t { kMasked, kAdditive };

// ConstantId numbers the owned constants of a program (weights, biases) in the order of Program::constants.
enum class ConstantId : uint32_t {};
inline constexpr uint32_t index_of(ConstantId id) { return static_cast<uint32_t>(id); }

// ConstantDecl: a tensor of integers at `scale`, known to the model owner alone.
struct ConstantDecl {
  std::string name;  // one word, from the layer: "conv1_w"
  Shape shape;
  Ring ring = Ring::k32;
  Bits scale{};
  bool operator==(const ConstantDecl&) const = default;
};

// TableId numbers the public tables of a program in the order of Program::tables.
enum class TableId : uint32_t {};
inline constexpr uint32_t index_of(TableId id) { return static_cast<uint32_t>(id); }

// TableDecl: a public function of a few bits, known to all parties. An entry e stands for the number e * 2^-scale.
struct TableDecl {
  std::string name;  // one word
  LookUpTable table;
  Bits scale{};
  bool operator==(const TableDecl&) const = default;
};

// SlotType: the type of the value a step produces. real value = integer * 2^-scale / divisor. The integer is known
// modulo 2^modulus. bound is the largest magnitude of the real value the compiler allowed for (margin included);
// a cleartext run checks it. divisor is 1 except behind sums that stand for averages. is_index marks what arg_max
// gives: never negative, so never sign-extended, and nothing is computed with it.
struct SlotType {
  Shape shape;
  Ring ring = Ring::k32;
  Form form = Form::kAdditive;
  Bits scale{};
  Bits modulus{32};
  int64_t divisor = 1;
  double bound = 0;
  bool is_index = false;
  bool operator==(const SlotType&) const = default;
};

struct InputStep {
  PartyId owner = PartyId::kDealer;
  std::string name;
  Shape shape;
  Ring ring = Ring::k32;
  Bits scale{};
  bool operator==(const InputStep&) const = default;
};
// LinearStep: y = sum over terms of W_i * x_i, + bias over the last dimension; x_i masked with full modulus. All
// terms have one result scale. The result is additive modulo 2^modulus.
struct LinearTerm {
  SlotId x{};
  LinearMap map;
  ConstantId weight{};
  bool operator==(const LinearTerm&) const = default;
};
struct LinearStep {
  std::vector<LinearTerm> terms;
  std::optional<ConstantId> bias;  // shape [channels] or the result's shape, at the result's scale
  Bits modulus{32};
  bool operator==(const LinearStep&) const = default;
};
// The steps with interaction truncate by `truncate` bits first; |truncated value| < 2^(k-1) (rescale: 2^(k-2)).
struct ReluStep {
  SlotId x{};
  Bits truncate{}, k{};
  bool operator==(const ReluStep&) const = default;
};
// ClipStep: min(max(x, 0), upper), upper an integer at the truncated scale, 0 < upper < 2^(k-1).
struct ClipStep {
  SlotId x{};
  Bits truncate{}, k{};
  int64_t upper = 0;
  bool operator==(const ClipStep&) const = default;
};
// LeakyReluStep: x >= 0 ? x : slope * 2^-slope_bits * x, at scale + slope_bits.
struct LeakyReluStep {
  SlotId x{};
  Bits truncate{}, k{};
  int64_t slope = 0;
  Bits slope_bits{};
  bool operator==(const LeakyReluStep&) const = default;
};
// MaxPoolStep: result additive modulo 2^(k+1); needs k + 1 <= modulus - truncate.
struct MaxPoolStep {
  SlotId x{};
  PoolGeometry pool;
  Bits truncate{}, k{};
  bool operator==(const MaxPoolStep&) const = default;
};
// RescaleStep: the truncated value, masked over the full ring.
struct RescaleStep {
  SlotId x{};
  Bits truncate{}, k{};
  bool operator==(const RescaleStep&) const = default;
};
// ArgMaxStep over the last axis of [rows, columns]: the index, [rows], additive, scale 0. Ties: the lower index.
struct ArgMaxStep {
  SlotId x{};
  Bits truncate{}, k{};
  bool operator==(const ArgMaxStep&) const = default;
};
// ProductStep: the product of two masked values with full modulus, neither of which is a weight. The result is masked
// over the full ring; its scale is the sum of the operands' and its divisor the product of theirs. An elementwise
// product of a value with itself (a == b) is a square, which costs less.
struct ProductStep {
  SlotId a{}, b{};
  ProductGeometry geometry;
  bool operator==(const ProductStep&) const = default;
};
// LookUpStep: every table's entry at the truncated value, whose magnitude is below 2^(n-1): [tables, shape of x...],
// masked over the full ring, with divisor 1. All tables of a step share what it costs to find the entry. They have one
// scale, which is the result's; tables of different scales declare scale 0, and a ScaleStep of factor 1 behind the
// slice of each says what its numbers stand for. A truncation gives the integer below or above (as everywhere), so a
// table has to be good for both.
struct LookUpStep {
  SlotId x{};
  Bits truncate{}, n{};
  std::vector<TableId> tables;
  bool operator==(const LookUpStep&) const = default;
};
// NonNegativeStep: 1 where the truncated value is >= 0, else 0; scale 0, divisor 1, masked over the full ring.
struct NonNegativeStep {
  SlotId x{};
  Bits truncate{}, k{};
  bool operator==(const NonNegativeStep&) const = default;
};
// Local steps, without interaction; they keep the form unless one operand is additive.
// AddStep: a << shift_a + b << shift_b (or minus); equal shapes, equal divisors, equal scales after the shifts.
struct AddStep {
  SlotId a{}, b{};
  Bits shift_a{}, shift_b{};
  bool subtract = false;
  bool operator==(const AddStep&) const = default;
};
// AddConstantStep: + an owned constant of x's scale, of shape [channels] (last dimension) or x's shape.
struct AddConstantStep {
  SlotId x{};
  ConstantId constant{};
  bool operator==(const AddConstantStep&) const = default;
};
// ScaleStep: * a public integer, which raises the scale by `bits` and multiplies the divisor by nothing.
struct ScaleStep {
  SlotId x{};
  int64_t factor = 1;
  Bits bits{};
  bool operator==(const ScaleStep&) const = default;
};
// SumPoolStep: the sum over every window. With divide_bits > 0, each window's sum is then multiplied by
// round(2^divide_bits / number of its elements that are not padding), at scale + divide_bits; otherwise the divisor
// becomes divisor * `divisor`.
struct SumPoolStep {
  SlotId x{};
  PoolGeometry pool;
  Bits divide_bits{};
  int64_t divisor = 1;
  bool operator==(const SumPoolStep&) const = default;
};
// SumAxesStep: the sum over axes, kept as extent 1; the divisor becomes divisor * `divisor` (1 for a sum).
struct SumAxesStep {
  SlotId x{};
  std::vector<int64_t> axes;
  int64_t divisor = 1;
  bool operator==(const SumAxesStep&) const = default;
};
struct ReshapeStep {
  SlotId x{};
  Shape shape;
  bool operator==(const ReshapeStep&) const = default;
};
struct TransposeStep {
  SlotId x{};
  std::vector<int64_t> permutation;
  bool operator==(const TransposeStep&) const = default;
};
struct PadStep {
  SlotId x{};
  std::vector<int64_t> before, after;
  bool operator==(const PadStep&) const = default;
};
struct SliceStep {
  SlotId x{};
  std::vector<int64_t> starts, steps;
  Shape shape;  // of the result
  bool operator==(const SliceStep&) const = default;
};
// GatherStep: the elements at `indices` along an axis, in that order; an index may come more than once.
struct GatherStep {
  SlotId x{};
  int64_t axis = 0;
  std::vector<int64_t> indices;
  bool operator==(const GatherStep&) const = default;
};
// ConcatStep: operands of equal divisor; operand i is shifted left by shifts[i] to the result's scale.
struct ConcatStep {
  std::vector<SlotId> parts;
  std::vector<int64_t> shifts;
  int64_t axis = 0;
  bool operator==(const ConcatStep&) const = default;
};
// What the recipient does with what is revealed, in the clear and on its own: nothing, or along one axis a softmax or
// its logarithm, or the `top` largest (least) values or their indices (ties: the lower index first), or it counts an
// index from the last of `top` elements. The recipient thus sees all values.
enum class PostProcess : uint8_t {
  kNone,
  kSoftmax,
  kTopValues,
  kTopIndices,
  kLogSoftmax,
  kLeastValues,
  kLeastIndices,
  kIndexFromLast
};
// keeps_some: of the elements along the axis, `top` are kept.
constexpr bool keeps_some(PostProcess post) {
  return post == PostProcess::kTopValues || post == PostProcess::kTopIndices || post == PostProcess::kLeastValues ||
         post == PostProcess::kLeastIndices;
}
// OutputPolicy: values to the recipient, or both halves to files of their owners.
enum class OutputPolicy : uint8_t { kReveal, kShares };
struct OutputStep {
  SlotId x{};
  PartyId recipient = PartyId::kDealer;
  std::string name;
  OutputPolicy policy = OutputPolicy::kReveal;
  PostProcess post = PostProcess::kNone;
  int64_t top = 0;    // how many where some are kept, or of how many the index is one; otherwise 0
  int64_t axis = -1;  // of x, along which post works; -1: the last
  bool operator==(const OutputStep&) const = default;
};

using StepBody =
    std::variant<InputStep, LinearStep, ReluStep, ClipStep, LeakyReluStep, MaxPoolStep, RescaleStep, ArgMaxStep,
                 ProductStep, LookUpStep, NonNegativeStep, AddStep, AddConstantStep, ScaleStep, SumPoolStep,
                 SumAxesStep, ReshapeStep, TransposeStep, PadStep, SliceStep, GatherStep, ConcatStep, OutputStep>;

// How it is known that what a step opens, or an output reveals, fits its bits (docs/fixed-point.md, verdicts).
// kNone: the step opens nothing. kProved: no input within its range can exceed them, unless an earlier step failed. kCalibrated: typical inputs leave
// `margin` bits. kUnsafe: typical inputs leave less than a bit, or none has shown the range.
enum class RangeVerdict : uint8_t { kNone, kProved, kCalibrated, kUnsafe };
inline constexpr double kMostMargin = 64;
struct StepVerdict {
  RangeVerdict kind = RangeVerdict::kNone;
  double margin = 0;  // log2 of what the step allows over the largest seen, in tenths of a bit; 0 unless kCalibrated
  bool operator==(const StepVerdict&) const = default;
};

struct Step {
  SlotId result{};  // for OutputStep: equal to x
  StepBody body;
  SlotType type;      // of the result
  std::string layer;  // the model's node, for messages and per-layer tables
  StepVerdict verdict{};
  bool operator==(const Step&) const = default;
};

struct Program {
  std::string model;   // name, public
  std::string scheme;  // "calibrated on 2 samples, margin 2 bits" | "uncalibrated" | "guaranteed"
  Ring ring = Ring::k32;
  uint32_t slots = 0;      // slot numbers are below this
  std::string preprocess;  // of image inputs, empty when none; the text of --preprocess
  int64_t parameters = 0;  // of the model, public
  std::vector<ConstantDecl> constants;
  std::vector<TableDecl> tables;
  std::vector<Step> steps;
  bool operator==(const Program&) const = default;
};

// infer_type returns the type of a step's result from its operands' types (types[slot]) and from what `program`
// declares; bound is left to the caller. Throws BugError where operands do not fit (forms, moduli, shapes, scales,
// divisors): the rules of verify.
SlotType infer_type(const StepBody& body, const std::vector<SlotType>& types, const Program& program);
// verify checks all rules of a program that may come from a file: every slot is defined before it is read (a slot may
// be defined again later), types are what infer_type gives, sizes are bounded, names are unique. Throws UserError
// that names the step.
void verify(const Program& program);
// operands lists the slots a step reads.
std::vector<SlotId> operands(const StepBody& body);
// name_of gives the step's word in the text form: "relu".
const char* name_of(const StepBody& body);

// Opening is what a step needs of the value it opens or reveals: |integer of x| <= largest, before the truncation.
struct Opening {
  SlotId x{};
  Bits truncate{};
  uint64_t allowed = 0;  // magnitude of the truncated integer
  // largest is the same before the truncation, in the units of x: allowed * 2^truncate.
  double largest() const;
};
// opening tells what a step opens; nothing for the steps without interaction. types are those of the slots it reads.
std::optional<Opening> opening(const StepBody& body, const std::vector<SlotType>& types);

}  // namespace treville
