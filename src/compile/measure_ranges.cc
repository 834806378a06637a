#include "compile/measure_ranges.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>

#include "base/error.h"
#include "compile/plan_fixed_point.h"
#include "compile/reference.h"
#include "compile/uses.h"

namespace treville {
namespace {

constexpr int kSyntheticRuns = 4;
// What is proved of real numbers is allowed so much more, for the rounding of fixed-point numbers.
constexpr double kSpareForRounding = 1.0 / 64;

// SampleRows are an input's samples, one behind the other; a row is what one step along the leading dimension takes.
struct SampleRows {
  std::vector<float> values;
  size_t row = 0;     // elements
  int64_t count = 0;  // of rows
  int64_t batch = 1;  // rows of one run
};

SampleRows rows_of(const Value& input, const std::vector<FloatTensor>& samples) {
  const Shape& shape = *input.shape;
  SampleRows rows;
  rows.batch = shape.rank() > 0 ? shape[0] : 1;
  rows.row = static_cast<size_t>(shape.elements() / std::max<int64_t>(rows.batch, 1));
  const std::vector<int64_t> row_dims(shape.dims().begin() + (shape.rank() > 0), shape.dims().end());
  for (const FloatTensor& sample : samples) {
    std::vector<int64_t> dims = sample.shape.dims();
    if (dims.size() == row_dims.size() + 1) dims.erase(dims.begin());
    if (dims != row_dims)
      throw UserError("calibration sample for input {}: expected shape {} with any leading dimension, found {}",
                      input.name, to_string(shape), to_string(sample.shape));
    rows.values.insert(rows.values.end(), sample.values.begin(), sample.values.end());
  }
  rows.count = static_cast<int64_t>(rows.values.size() / std::max<size_t>(rows.row, 1));
  if (rows.count == 0) throw UserError("there is no calibration sample for input {}", input.name);
  return rows;
}

// batch_of takes the rows of one run; the last run is filled up from the front.
FloatTensor batch_of(const SampleRows& rows, const Shape& shape, int64_t run) {
  FloatTensor batch(shape);
  for (int64_t i = 0; i < rows.batch; ++i) {
    const auto from = static_cast<size_t>((run * rows.batch + i) % rows.count) * rows.row;
    std::copy_n(rows.values.begin() + static_cast<std::ptrdiff_t>(from), rows.row,
                batch.values.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(i) * rows.row));
  }
  return batch;
}

std::string input_names(const Graph& graph) {
  std::string names;
  for (ValueId input : graph.inputs) names += (names.empty() ? "" : ", ") + graph.value(input).name;
  return names;
}

// batches regroups samples to the shapes of the model's inputs: for each run one tensor for each input.
std::vector<std::vector<FloatTensor>> batches(const Graph& graph, const InputSamples& samples) {
  if (samples.size() != graph.inputs.size())
    throw UserError("{}: calibration needs samples of each of the {} inputs ({}), found samples of {}", graph.name,
                    graph.inputs.size(), input_names(graph), samples.size());
  std::vector<SampleRows> inputs;
  for (size_t i = 0; i < samples.size(); ++i) {
    inputs.push_back(rows_of(graph.value(graph.inputs[i]), samples[i]));
    const SampleRows &first = inputs.front(), &last = inputs.back();
    if (last.count * first.batch != first.count * last.batch)
      throw UserError("calibration: input {} has {} samples and input {} has {}; each needs as many as the others",
                      graph.value(graph.inputs[0]).name, first.count, graph.value(graph.inputs[i]).name, last.count);
  }
  std::vector<std::vector<FloatTensor>> runs;
  for (int64_t run = 0; run * inputs.front().batch < inputs.front().count; ++run) {
    std::vector<FloatTensor>& batch = runs.emplace_back();
    for (size_t i = 0; i < inputs.size(); ++i)
      batch.push_back(batch_of(inputs[i], *graph.value(graph.inputs[i]).shape, run));
  }
  return runs;
}

// Statistics of all runs, by value.
struct Statistics {
  std::vector<double> largest, squares, count;
  std::vector<Interval> seen;
  explicit Statistics(size_t values) : largest(values), squares(values), count(values), seen(values) {}
};

void measure_run(const Graph& graph, const std::vector<FloatTensor>& inputs, Statistics& statistics) {
  float_run(graph, inputs, [&](ValueId id, const Constant& constant) {
    const FloatTensor* tensor = std::get_if<FloatTensor>(&constant);
    if (tensor == nullptr) return;
    double largest = 0, squares = 0;
    const size_t i = index_of(id);
    if (statistics.count[i] == 0 && !tensor->values.empty())
      statistics.seen[i] = {tensor->values[0], tensor->values[0]};
    for (float value : tensor->values) {
      if (!std::isfinite(value))
        throw UserError("{}: value {} of a calibration run is not finite. Check the sample's preprocessing.",
                        graph.name, graph.value(id).name);
      largest = std::max(largest, std::abs(static_cast<double>(value)));
      squares += static_cast<double>(value) * value;
      statistics.seen[i].low = std::min<double>(statistics.seen[i].low, value);
      statistics.seen[i].high = std::max<double>(statistics.seen[i].high, value);
    }
    statistics.largest[i] = std::max(statistics.largest[i], largest);
    statistics.squares[i] += squares;
    statistics.count[i] += static_cast<double>(tensor->values.size());
  });
}

Statistics measure_samples(const Graph& graph, const InputSamples& samples) {
  Statistics statistics(graph.value_count());
  for (const std::vector<FloatTensor>& batch : batches(graph, samples)) measure_run(graph, batch, statistics);
  return statistics;
}

Statistics measure_synthetic(const Graph& graph, Interval interval) {
  Statistics statistics(graph.value_count());
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> uniform(static_cast<float>(interval.low), static_cast<float>(interval.high));
  for (int run = 0; run < kSyntheticRuns; ++run) {
    std::vector<FloatTensor> inputs;
    for (ValueId input : graph.inputs) {
      inputs.emplace_back(*graph.value(input).shape);
      for (float& value : inputs.back().values) value = uniform(generator);
    }
    measure_run(graph, inputs, statistics);
  }
  return statistics;
}

Interval interval_of(const FloatTensor& constant) {
  if (constant.values.empty()) return {};
  const auto [low, high] = std::minmax_element(constant.values.begin(), constant.values.end());
  return {*low, *high};
}

Interval join(const Interval& a, const Interval& b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }
Interval meet(const Interval& a, const Interval& b) { return {std::max(a.low, b.low), std::min(a.high, b.high)}; }

// within_attributes narrows an interval to what the pass that made the node knows of its result.
Interval within_attributes(const Node& node, Interval interval) {
  return meet(interval, {node.get_float("at_least", -HUGE_VAL), node.get_float("at_most", HUGE_VAL)});
}

// A float is finite, so no interval needs to be wider than this.
constexpr Interval kAnything{-1e38, 1e38};

// range_or_anything is the operation's rule, and everything where the function is not defined everywhere: nothing is
// known then. It returns from within: GCC 12 loses what an aggregate held before an assignment that throws.
Interval range_or_anything(const OpDef& op, const RangeContext& context) {
  try {
    const Interval interval = op.range(context);
    return interval.low <= interval.high ? meet(interval, kAnything) : kAnything;
  } catch (const UserError&) {
    return kAnything;
  }
}

// prove_anywhere bounds every value whatever the inputs are: a sum of squares is not negative, a sigmoid lies between 0
// and 1. A float is finite, so no interval needs to be wider than this.
std::vector<Interval> prove_anywhere(const Graph& graph) {
  std::vector<Interval> known(graph.value_count(), kAnything);
  for (size_t i = 0; i < known.size(); ++i)
    if (const FloatTensor* constant = float_constant(graph, ValueId(i))) known[i] = interval_of(*constant);
  for (const Node& node : graph.nodes) {
    const OpDef* op = find_op(node.op);
    if (op == nullptr || op->range == nullptr || !is_float(graph, node.outputs[0])) continue;
    RangeContext context{graph, node, {}};
    for (ValueId input : node.inputs) context.inputs.push_back(known[index_of(input)]);
    known[index_of(node.outputs[0])] = within_attributes(node, range_or_anything(*op, context));
  }
  return known;
}

// stretched moves both ends of an interval away from each other by the margin, but not across zero.
Interval stretched(const Interval& seen, double margin) {
  return {seen.low > 0 ? seen.low / margin : seen.low * margin,
          seen.high > 0 ? seen.high * margin : seen.high / margin};
}

Interval widened(const Interval& seen, double margin) {
  const double width = seen.high - seen.low;
  const Interval ratio = stretched(seen, margin);
  return {std::min(ratio.low, seen.low - width), std::max(ratio.high, seen.high + width)};
}

std::vector<Interval> intervals_of_constants(const Graph& graph) {
  std::vector<Interval> known(graph.value_count());
  for (size_t i = 0; i < known.size(); ++i)
    if (const FloatTensor* constant = float_constant(graph, ValueId(i))) known[i] = interval_of(*constant);
  return known;
}

// range_of_node bounds a node's first output by interval arithmetic.
Interval range_of_node(const Graph& graph, const Node& node, const std::vector<Interval>& known) {
  const OpDef* op = find_op(node.op);
  if (op == nullptr || op->range == nullptr)
    throw UserError("{}: node \"{}\" ({}) has no interval rule, so ranges cannot be guaranteed. Calibrate instead.",
                    graph.name, node.name, node.op);
  RangeContext context{graph, node, {}};
  for (ValueId input : node.inputs) context.inputs.push_back(known[index_of(input)]);
  return within_attributes(node, op->range(context));
}

// prove_bounds walks the graph with interval arithmetic.
std::vector<Interval> prove_bounds(const Graph& graph, Interval input_range) {
  std::vector<Interval> known = intervals_of_constants(graph);
  for (ValueId input : graph.inputs) known[index_of(input)] = input_range;
  for (const Node& node : graph.nodes)
    if (is_float(graph, node.outputs[0])) known[index_of(node.outputs[0])] = range_of_node(graph, node, known);
  return known;
}

// tighten_proved: what functions and products of bounded values give needs no margin beyond what is proved (a sigmoid
// stays below 1), but a little for the error of their tables.
void tighten_proved(const Graph& graph, const std::vector<Interval>& proved, std::vector<ValueRange>& ranges) {
  constexpr double kRounding = 1.0 / 256;
  for (const Node& node : graph.nodes) {
    const Role role = role_of(graph, node);
    if (role != Role::kProduct && role != Role::kFunction && role != Role::kSign) continue;
    const size_t i = index_of(node.outputs[0]);
    const double bound = proved[i].magnitude() * (1 + kRounding);
    ranges[i].is_proved = bound <= ranges[i].bound;
    if (ranges[i].is_proved) ranges[i].bound = bound;
  }
}

// moves tells whether a node only moves elements of what it reads, in the units of plain copies.
bool moves(const Node& node) {
  static const std::set<std::string> kMoves = {"Slice",   "Split",     "Gather",       "Reshape",     "Transpose",
                                               "Squeeze", "Unsqueeze", "Flatten",      "Concat",      "Expand",
                                               "Tile",    "Identity",  "DepthToSpace", "SpaceToDepth"};
  return kMoves.contains(node.op);
}

// keep_input_bounds: a part of an input may be as large as its owner may make the input, whatever the samples held at
// that place; so may what it is joined with.
void keep_input_bounds(const Graph& graph, std::vector<ValueRange>& ranges) {
  std::vector<const ValueRange*> input_of(ranges.size());
  for (ValueId input : graph.inputs) input_of[index_of(input)] = &ranges[index_of(input)];
  for (const Node& node : graph.nodes) {
    if (!moves(node)) continue;
    const ValueRange* widest = nullptr;
    for (ValueId operand : node.inputs) {
      const ValueRange* input = input_of[index_of(operand)];
      if (input != nullptr && (widest == nullptr || input->bound > widest->bound)) widest = input;
    }
    if (widest == nullptr) continue;
    for (ValueId output : node.outputs) {
      ValueRange& range = ranges[index_of(output)];
      range.bound = std::max(range.bound, widest->bound);
      range.ratio = join(range.ratio, widest->ratio);
      range.wide = join(range.wide, widest->wide);
      input_of[index_of(output)] = widest;
    }
  }
}

// unite_twins gives twins (one value at several time steps) one range.
void unite_twins(const Graph& graph, std::vector<ValueRange>& ranges) {
  std::map<std::string, std::vector<size_t>> groups;
  for (const Node& node : graph.nodes)
    if (node.has("twin")) groups[node.get_string("twin", "")].push_back(index_of(node.outputs[0]));
  for (const auto& [part, twins] : groups) {
    ValueRange all = ranges[twins[0]];
    double squares = 0;
    for (size_t twin : twins) {
      const ValueRange& one = ranges[twin];
      all.bound = std::max(all.bound, one.bound);
      all.is_proved = all.is_proved && one.is_proved;
      all.ratio = {std::min(all.ratio.low, one.ratio.low), std::max(all.ratio.high, one.ratio.high)};
      all.wide = {std::min(all.wide.low, one.wide.low), std::max(all.wide.high, one.wide.high)};
      squares += one.rms * one.rms;
    }
    all.rms = std::sqrt(squares / static_cast<double>(twins.size()));
    for (size_t twin : twins) ranges[twin] = all;
  }
}

// --- Ranges that the model declares ----------------------------------------------------------------------------------

// What is typical of a value, as shares of the largest it may be: activations are mostly small, and the bound of a sum
// that interval arithmetic gives is far above what sums become.
constexpr double kTypicalDeclared = 1.0 / 8, kTypicalSum = 1.0 / 32;

// meet_or is what both intervals hold, and the second one where that is nothing.
Interval meet_or(const Interval& a, const Interval& b) {
  const Interval both = meet(a, b);
  return both.low <= both.high ? both : b;
}

// is_weighted_sum: interval arithmetic over many products of a constant weight leaves room enough of its own.
bool is_weighted_sum(const Graph& graph, const Node& node) {
  const bool is_linear = node.op == "Conv" || node.op == "ConvTranspose" || node.op == "MatMul";
  return is_linear && (graph.constant(node.inputs[0]) != nullptr || graph.constant(node.inputs[1]) != nullptr);
}

// Declared carries two intervals of each value: `held`, within which a quantised model keeps it, and `allowed`, with
// the margin. What a model computes between two quantised tensors is bounded by interval arithmetic.
struct Declared {
  const Graph& graph;
  double margin;
  std::vector<Interval> held = intervals_of_constants(graph);
  std::vector<Interval> allowed = held;
  std::vector<ValueRange> ranges = std::vector<ValueRange>(graph.value_count());

  void set(ValueId id, double typical) {
    const Interval& interval = allowed[index_of(id)];
    const double bound = interval.magnitude();
    const Interval ratio = meet_or(stretched(held[index_of(id)], margin), interval);
    ranges[index_of(id)] = {bound, std::min(typical, bound), ratio, interval};
  }

  // An input is stretched by one step of 8 bits alone: it cannot be larger than its type.
  void set_input(ValueId input) {
    const Interval declared = *graph.value(input).declared_range;
    const double step = (declared.high - declared.low) / 255;
    held[index_of(input)] = declared;
    allowed[index_of(input)] = {declared.low - step, declared.high + step};
    set(input, declared.magnitude() / 2);
  }

  void set_output(const Node& node) {
    const ValueId output = node.outputs[0];
    const bool is_sum = is_weighted_sum(graph, node);
    Interval& here = held[index_of(output)];
    here = range_of_node(graph, node, held);
    Interval with_margin = is_sum ? here : range_of_node(graph, node, allowed);
    const auto& declared = graph.value(output).declared_range;
    if (declared) {
      here = meet_or(here, *declared);
      with_margin = meet_or(with_margin, {declared->low * margin, declared->high * margin});
    }
    allowed[index_of(output)] = with_margin;
    double typical = 0;
    for (ValueId input : node.inputs) typical = std::max(typical, ranges[index_of(input)].rms);
    if (is_sum) typical = with_margin.magnitude() * kTypicalSum;
    if (declared) typical = here.magnitude() * kTypicalDeclared;
    set(output, typical);
  }
};

std::vector<ValueRange> read_declared(const Graph& graph, double margin) {
  Declared declared{graph, margin};
  for (ValueId input : graph.inputs) declared.set_input(input);
  for (const Node& node : graph.nodes)
    if (is_float(graph, node.outputs[0])) declared.set_output(node);
  unite_twins(graph, declared.ranges);
  return std::move(declared.ranges);
}

}  // namespace

RangeSource range_source(const Graph& graph, const CompileOptions& options) {
  if (options.ranges == Ranges::kGuaranteed) return RangeSource::kGuaranteed;
  if (options.ranges == Ranges::kSynthetic) return RangeSource::kSynthetic;
  if (!options.calibration.empty()) return RangeSource::kSamples;
  const bool is_declared = !graph.inputs.empty() &&
                           std::all_of(graph.inputs.begin(), graph.inputs.end(),
                                       [&](ValueId input) { return graph.value(input).declared_range.has_value(); });
  return is_declared ? RangeSource::kModel : RangeSource::kSynthetic;
}

std::vector<ValueRange> measure_ranges(const Graph& graph, const CompileOptions& options) {
  const RangeSource source = range_source(graph, options);
  if (source == RangeSource::kModel) return read_declared(graph, std::exp2(options.margin_bits));
  const bool has_samples = !options.calibration.empty() && options.ranges != Ranges::kSynthetic;
  const Statistics statistics =
      has_samples ? measure_samples(graph, options.calibration) : measure_synthetic(graph, options.input_range);
  const bool is_proved = options.ranges == Ranges::kGuaranteed;
  const std::vector<Interval> proved = is_proved ? prove_bounds(graph, options.input_range) : prove_anywhere(graph);
  const double margin = std::exp2(is_calibrated(source) ? options.margin_bits : options.synthetic_margin_bits);
  std::vector<ValueRange> ranges(graph.value_count());
  for (size_t i = 0; i < ranges.size(); ++i) {
    // An input interval that the user declared is not stretched: larger inputs are refused.
    ranges[i].bound = is_proved ? proved[i].magnitude() * (1 + kSpareForRounding) : statistics.largest[i] * margin;
    ranges[i].ratio = is_proved ? proved[i] : meet(proved[i], stretched(statistics.seen[i], margin));
    ranges[i].wide = is_proved ? proved[i] : meet(proved[i], widened(statistics.seen[i], margin));
    ranges[i].rms = statistics.count[i] > 0 ? std::sqrt(statistics.squares[i] / statistics.count[i]) : 0;
  }
  if (!has_samples)
    for (ValueId input : graph.inputs)
      ranges[index_of(input)] = {options.input_range.magnitude(), ranges[index_of(input)].rms, options.input_range,
                                 options.input_range};
  if (!is_proved) tighten_proved(graph, proved, ranges);
  if (!is_proved) keep_input_bounds(graph, ranges);
  unite_twins(graph, ranges);
  return ranges;
}

}  // namespace treville
