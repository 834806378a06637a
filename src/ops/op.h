// OpDef is one operation of the graph: its shape rule, its float meaning, its range rule and its lowering to steps.
// One file per operation (or family) in this folder; ops.cc is the table. Adding one touches its file, a line of the
// table, importer rows and a test.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "program/program.h"

namespace treville {

// InferContext: what a shape rule sees. Shapes of inputs are known and >= 0. A rule may read constant inputs.
class InferContext {
 public:
  InferContext(const Graph& graph, Node& node) : graph_(graph), node_(node) {}
  Node& node() { return node_; }  // a rule may resolve attributes (auto_pad -> pads)
  int input_count() const { return static_cast<int>(node_.inputs.size()); }
  const Shape& shape(int input) const;
  DType dtype(int input) const { return graph_.value(node_.inputs[static_cast<size_t>(input)]).dtype; }
  // constant is null when the input is not known at compile time.
  const Constant* constant(int input) const;
  // ints reads a constant integer input; throws UserError naming the node when it is not constant.
  std::vector<int64_t> ints(int input) const;
  // fail throws UserError: model file, node, what is wrong, what to do.
  [[noreturn]] void fail(const std::string& message) const;

  std::vector<Shape> results;  // one per output
  std::vector<DType> dtypes;   // one per output; empty means like the first input

 private:
  const Graph& graph_;
  Node& node_;
};

// Interval bounds every element of a tensor.
struct Interval {
  double low = 0, high = 0;
  double magnitude() const { return std::max(std::abs(low), std::abs(high)); }
};

struct RangeContext {
  const Graph& graph;
  const Node& node;
  std::vector<Interval> inputs;  // constants have their exact range
  const Constant* constant(int input) const { return graph.constant(node.inputs[static_cast<size_t>(input)]); }
};

// LowerContext is how an operation becomes steps; compile/lower.cc implements it. Operands are slots already lowered.
class LowerContext {
 public:
  virtual ~LowerContext() = default;
  virtual const Graph& graph() const = 0;
  virtual const Node& node() const = 0;
  virtual const Shape& input_shape(int input) const = 0;
  virtual const Shape& output_shape(int output = 0) const = 0;
  virtual const Constant* constant(int input) const = 0;
  // operand is the slot of a secret input; type is what it holds.
  virtual SlotId operand(int input) = 0;
  virtual const SlotType& type(SlotId slot) const = 0;

  // emit appends a step of this node and returns its slot; the type is inferred. `bound` of the result: when not given,
  // the planned bound of the node's output.
  virtual SlotId emit(StepBody body) = 0;
  virtual SlotId emit(StepBody body, double bound) = 0;
  // Term is W * x, part of a linear step.
  struct Term {
    SlotId x;
    LinearMap map;
    FloatTensor weight;
  };
  // linear emits W * x (+ bias) with float weights: x is made masked when it is not (a rescale), scales are chosen from
  // the plan, an operand's divisor is folded into the weights, constants are quantised and registered as owned.
  // weight has weight_shape(map); bias has the last dimension of the result or its shape, or is null. The result has
  // output_shape(map).
  SlotId linear(SlotId x, const LinearMap& map, const FloatTensor& weight, const FloatTensor* bias) {
    std::vector<Term> terms;
    terms.push_back({x, map, weight});
    return linear(std::move(terms), bias);
  }
  // The same with the sum of several terms, whose operands have one scale and divisor: parts of one value that `masked`
  // gave. One step, which costs as much as that of a single term.
  virtual SlotId linear(std::vector<Term> terms, const FloatTensor* bias) = 0;
  // masked gives x as a linear step with weights of this size reads it, so that moving parts of it stays local.
  virtual SlotId masked(SlotId x, const FloatTensor& weight) = 0;
  // product emits a * b, both secret: they are made masked, with scales whose sum leaves room for this node's result.
  // One and the same slot gives a square.
  virtual SlotId product(SlotId a, SlotId b, const ProductGeometry& geometry) = 0;
  // masked_at gives x masked over the full ring, with divisor 1 and, as near as its width allows, at most `scale`
  // fraction bits.
  virtual SlotId masked_at(SlotId x, int scale) = 0;
  // argument_range is the planned interval of an operand, one that does not cross 0 where its values never did if it
  // keeps_sign; result_bound the planned bound of the node's result and scale_limit the largest scale at which it and
  // the sums it enters fit the ring, wanted_scale the fraction bits that the plan would like the node's result to have,
  // typical the usual size of its elements (0: not known).
  virtual Interval argument_range(int input, bool keeps_sign) const = 0;
  virtual double result_bound() const = 0;
  virtual int scale_limit() const = 0;
  virtual int wanted_scale() const = 0;
  virtual double typical() const = 0;
  // add_table registers a public table of integers (at scale 0); equal tables are one.
  virtual TableId add_table(const LookUpTable& table) = 0;
  // truncation chooses f and k for a step on x whose result is this node's output, or for an inner value with `bound`.
  struct Truncation {
    Bits truncate, k, scale;  // scale of the truncated value
  };
  enum class Use : uint8_t { kActivation, kMaximum, kRescale };
  virtual Truncation truncation(SlotId x, Use use) = 0;
  virtual Truncation truncation(SlotId x, Use use, double bound) = 0;
  // align brings slots to one divisor and gives the left shifts to one scale, for add and concat; it may emit steps.
  struct Alignment {
    std::vector<SlotId> slots;
    std::vector<Bits> shifts;
  };
  virtual Alignment align(std::vector<SlotId> slots) = 0;
  // add_constant emits x + c at x's scale; c has x's shape or its last dimension.
  virtual SlotId add_constant(SlotId x, const FloatTensor& c) = 0;
  // With `bound`, of an inner value of the node: the sum's.
  virtual SlotId add_constant(SlotId x, const FloatTensor& c, double bound) = 0;
  // quantise gives round(value * 2^scale * divisor) for a slot's type.
  virtual int64_t quantise(double value, SlotId like) const = 0;
  virtual void set_result(SlotId slot, int output = 0) = 0;
  // fail throws UserError naming the node.
  [[noreturn]] virtual void fail(const std::string& message) const = 0;
};

// OpDef: null members mean "not available": an operation without lower runs only in the clear (folded at compile time).
struct OpDef {
  std::string_view name;
  void (*infer)(InferContext& context) = nullptr;
  // evaluate computes the outputs from plain inputs: the float meaning, also used to fold constants. An absent
  // optional input is null. Shapes of the outputs are known and stand in the graph.
  std::vector<Constant> (*evaluate)(const Graph& graph, const Node& node,
                                    std::span<const Constant* const> inputs) = nullptr;
  // range bounds the first output from bounds of the inputs.
  Interval (*range)(const RangeContext& context) = nullptr;
  void (*lower)(LowerContext& context) = nullptr;
};

// find_op returns the operation or null.
const OpDef* find_op(std::string_view name);
std::vector<std::string_view> op_names();

}  // namespace treville
