// Graphs of one node, and a LowerContext that computes in real numbers what the emitted steps mean.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/float_linear.h"
#include "ops/common.h"
#include "ops/op.h"

namespace treville::ops {

using Attributes = std::map<std::string, Attribute>;

inline FloatTensor tensor(Shape shape, std::vector<float> values) {
  return FloatTensor(std::move(shape), std::move(values));
}
inline IntTensor list(std::vector<int64_t> values) {
  const auto count = static_cast<int64_t>(values.size());
  return IntTensor(Shape{count}, std::move(values));
}
inline IntTensor number(int64_t value) { return IntTensor(Shape{}, {value}); }

inline FloatTensor random_tensor(const Shape& shape, std::mt19937& generator, float low = -1, float high = 1) {
  std::uniform_real_distribution<float> uniform(low, high);
  FloatTensor x(shape);
  for (float& value : x.values) value = uniform(generator);
  return x;
}
// counting_tensor holds 0, 1, 2, ...
inline FloatTensor counting_tensor(const Shape& shape) {
  FloatTensor x(shape);
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] = static_cast<float>(i);
  return x;
}

// OneNode: a graph of one operation. All operands are constants unless `secrets` names them.
class OneNode {
 public:
  OneNode(const std::string& op, std::vector<Constant> operands, Attributes attributes = {},
          std::vector<size_t> secrets = {})
      : operands_(std::move(operands)) {
    graph.name = "test";
    std::vector<ValueId> inputs;
    for (size_t i = 0; i < operands_.size(); ++i)
      inputs.push_back(graph.add_constant("in" + std::to_string(i), operands_[i]));
    for (size_t i : secrets) graph.value(inputs[i]).constant.reset();
    graph.outputs = {graph.add_node(op, "node", inputs, std::move(attributes))};
  }

  Node& node() { return graph.nodes[0]; }
  // def is the operation, which the shape rule may have turned into another.
  const OpDef& def() const { return *find_op(graph.nodes[0].op); }

  Shape infer() {
    InferContext context(graph, node());
    def().infer(context);
    Value& result = graph.value(node().outputs[0]);
    result.shape = context.results.at(0);
    result.dtype = context.dtypes.empty() ? context.dtype(0) : context.dtypes[0];
    return *result.shape;
  }

  Constant evaluate() {
    infer();
    std::vector<const Constant*> inputs;
    for (const Constant& operand : operands_) inputs.push_back(&operand);
    std::vector<Constant> results = def().evaluate(graph, node(), inputs);
    EXPECT_EQ(shape_of(results.at(0)), *graph.value(node().outputs[0]).shape) << def().name;
    return results[0];
  }
  FloatTensor floats() { return std::get<FloatTensor>(evaluate()); }
  IntTensor integers() { return std::get<IntTensor>(evaluate()); }

  // message is what infer fails with.
  std::string message() {
    try {
      infer();
    } catch (const UserError& error) {
      return error.what();
    }
    return "no error";
  }

  const Constant& operand(size_t i) const { return operands_[i]; }

  Graph graph;

 private:
  std::vector<Constant> operands_;
};

inline void expect_near(const FloatTensor& actual, const FloatTensor& expected, double tolerance) {
  ASSERT_EQ(actual.shape, expected.shape);
  for (size_t i = 0; i < actual.values.size(); ++i)
    ASSERT_NEAR(actual.values[i], expected.values[i], tolerance) << "element " << i;
}

// RealContext runs each step on real numbers as program.h defines it: slots hold integer * 2^-scale, divisors aside.
class RealContext : public LowerContext {
 public:
  using LowerContext::linear;
  explicit RealContext(OneNode& one_node) : one_(one_node) {
    one_.infer();
    for (size_t i = 0; i < one_.node().inputs.size(); ++i) {
      if (one_.graph.constant(one_.node().inputs[i])) continue;
      const FloatTensor& x = std::get<FloatTensor>(one_.operand(i));
      operands_[static_cast<int>(i)] = add(x, {x.shape, Ring::k32, Form::kMasked, Bits(12), Bits(32), 1, largest(x)});
    }
  }

  FloatTensor run() {
    one_.def().lower(*this);
    FloatTensor y = held_[index_of(result)];
    for (float& value : y.values) value /= static_cast<float>(type(result).divisor);
    return y;
  }

  const Graph& graph() const override { return one_.graph; }
  const Node& node() const override { return one_.node(); }
  const Shape& input_shape(int input) const override {
    return ops::input_shape(one_.graph, node(), static_cast<size_t>(input));
  }
  const Shape& output_shape(int) const override { return ops::output_shape(one_.graph, node()); }
  const Constant* constant(int input) const override {
    return one_.graph.constant(node().inputs.at(static_cast<size_t>(input)));
  }
  SlotId operand(int input) override { return operands_.at(input); }
  const SlotType& type(SlotId slot) const override { return types_.at(index_of(slot)); }
  SlotId emit(StepBody body) override { return emit(std::move(body), 0); }
  SlotId emit(StepBody body, double bound) override {
    const SlotId slot = std::visit([&](const auto& step) { return compute(step); }, body);
    types_[index_of(slot)].bound = bound > 0 ? bound : largest(held_[index_of(slot)]);
    if (bound > 0) {
      const double rounding = std::ldexp(1.0, -type(slot).scale.value());
      EXPECT_GE(bound * 1.0001 * static_cast<double>(type(slot).divisor) + rounding, largest(held_[index_of(slot)]));
    }
    steps.push_back(std::move(body));
    return slot;
  }
  SlotId linear(std::vector<Term> terms, const FloatTensor* bias) override {
    FloatTensor y(treville::output_shape(terms.at(0).map));
    for (const Term& term : terms) {
      EXPECT_EQ(type(term.x).shape, treville::input_shape(term.map));
      EXPECT_EQ(term.weight.shape, treville::weight_shape(term.map));
      EXPECT_EQ(treville::output_shape(term.map), y.shape);
      EXPECT_TRUE(terms.size() == 1 || type(term.x).form == Form::kMasked) << "parts are not masked one by one";
      const FloatTensor part = apply_float(term.map, term.weight, held_[index_of(term.x)]);
      for (size_t i = 0; i < y.values.size(); ++i)
        y.values[i] += part.values[i] / static_cast<float>(type(term.x).divisor);
      maps.push_back(term.map);
    }
    ++linears;
    for (size_t i = 0; bias && i < y.values.size(); ++i) y.values[i] += bias->values[i % bias->values.size()];
    return add(y, {y.shape, Ring::k32, Form::kAdditive, Bits(24), Bits(32), 1, largest(y)});
  }
  SlotId masked(SlotId x, const FloatTensor&) override {
    if (type(x).form == Form::kMasked) return x;
    SlotType masked_type = type(x);
    masked_type.form = Form::kMasked;
    return add(real(x), masked_type);
  }
  SlotId product(SlotId a, SlotId b, const ProductGeometry& geometry) override {
    return emit(ProductStep{a, b, geometry}, 0);
  }
  SlotId masked_at(SlotId x, int scale) override {
    const int f = std::max(0, type(x).scale.value() - scale);
    return emit(RescaleStep{x, Bits(f), Bits(20)}, type(x).bound);
  }
  double result_bound() const override { return 1e6; }
  int scale_limit() const override { return 31; }
  Interval argument_range(int input, bool) const override {
    const FloatTensor& x = std::get<FloatTensor>(one_.operand(static_cast<size_t>(input)));
    const auto [low, high] = std::minmax_element(x.values.begin(), x.values.end());
    return {*low, *high};
  }
  int wanted_scale() const override { return 10; }
  double typical() const override { return 1; }
  TableId add_table(const LookUpTable& table) override {
    tables.push_back(table);
    return TableId(static_cast<uint32_t>(tables.size() - 1));
  }
  Truncation truncation(SlotId x, Use use) override { return truncation(x, use, type(x).bound); }
  Truncation truncation(SlotId x, Use, double bound) override {
    EXPECT_GE(bound, type(x).bound);
    opened_bounds.push_back(bound);
    const int f = std::max(0, type(x).scale.value() - 10);
    return {Bits(f), Bits(20), type(x).scale - Bits(f)};
  }
  Alignment align(std::vector<SlotId> slots) override { return {slots, std::vector<Bits>(slots.size(), Bits(0))}; }
  SlotId add_constant(SlotId x, const FloatTensor& c) override { return add_constant(x, c, 0); }
  SlotId add_constant(SlotId x, const FloatTensor& c, double bound) override {
    const bool per_channel = type(x).shape.rank() > 0 && c.shape == Shape{type(x).shape[type(x).shape.rank() - 1]};
    EXPECT_TRUE(per_channel || c.shape == type(x).shape);
    FloatTensor y = held_[index_of(x)];
    for (size_t i = 0; i < y.values.size(); ++i)
      y.values[i] += c.values[i % c.values.size()] * static_cast<float>(type(x).divisor);
    SlotType sum = type(x);
    sum.bound = bound > 0 ? bound : largest(y);
    EXPECT_GE(sum.bound * 1.0001, largest(y) / static_cast<double>(sum.divisor));
    return add(y, sum);
  }
  int64_t quantise(double value, SlotId like) const override {
    return std::llround(std::ldexp(value, type(like).scale.value()) * static_cast<double>(type(like).divisor));
  }
  void set_result(SlotId slot, int) override { result = slot; }
  [[noreturn]] void fail(const std::string& message) const override { fail_node(one_.graph, node(), message); }

  void set_operand_type(int input, int scale, int modulus) {
    types_[index_of(operands_[input])].scale = Bits(scale);
    types_[index_of(operands_[input])].modulus = Bits(modulus);
  }
  template <class StepType>
  int count() const {
    int found = 0;
    for (const StepBody& step : steps) found += std::holds_alternative<StepType>(step) ? 1 : 0;
    return found;
  }

  std::vector<StepBody> steps;
  int linears = 0;  // linear steps, and the maps of all their terms
  std::vector<LinearMap> maps;
  std::vector<double> opened_bounds;
  std::vector<LookUpTable> tables;
  SlotId result{};

 private:
  static double largest(const FloatTensor& x) {
    double bound = 0;
    for (float value : x.values) bound = std::max(bound, std::abs(static_cast<double>(value)));
    return bound;
  }
  SlotId add(FloatTensor x, SlotType slot_type) {
    slot_type.shape = x.shape;
    held_.push_back(std::move(x));
    types_.push_back(std::move(slot_type));
    return SlotId(static_cast<uint32_t>(types_.size() - 1));
  }
  const FloatTensor& real(SlotId x) const { return held_[index_of(x)]; }
  template <class F>
  SlotId mapped(SlotId x, Bits truncate, int more_bits, F f) {
    FloatTensor y = real(x);
    for (float& value : y.values) value = f(value);
    SlotType slot_type = type(x);
    slot_type.scale = slot_type.scale - truncate + Bits(more_bits);
    slot_type.modulus = Bits(32);
    return add(std::move(y), slot_type);
  }
  // windowed folds every window, skipping padding; taps counts its elements.
  template <class F>
  FloatTensor windowed(SlotId x, const PoolGeometry& g, float start, F f, std::vector<int>* taps = nullptr) {
    EXPECT_EQ(type(x).shape, treville::input_shape(g));
    FloatTensor y(treville::output_shape(g));
    size_t i = 0;
    for (int64_t n = 0; n < g.batch; ++n)
      for (int64_t oy = 0; oy < g.out_h; ++oy)
        for (int64_t ox = 0; ox < g.out_w; ++ox)
          for (int64_t c = 0; c < g.channels; ++c, ++i) {
            float value = start;
            int count = 0;
            for (int64_t k = 0; k < g.kernel_h * g.kernel_w; ++k) {
              const int64_t row = oy * g.stride_h - g.pad_top + k / g.kernel_w * g.dilation_h;
              const int64_t column = ox * g.stride_w - g.pad_left + k % g.kernel_w * g.dilation_w;
              if (row < 0 || row >= g.in_h || column < 0 || column >= g.in_w) continue;
              const auto at = static_cast<size_t>(((n * g.in_h + row) * g.in_w + column) * g.channels + c);
              value = f(value, real(x).values[at]);
              ++count;
            }
            y.values[i] = value;
            if (taps) taps->push_back(count);
          }
    return y;
  }

  SlotId compute(const ReluStep& s) {
    return mapped(s.x, s.truncate, 0, [](float x) { return std::max(x, 0.0F); });
  }
  SlotId compute(const RescaleStep& s) {
    const int scale = (type(s.x).scale - s.truncate).value();
    return mapped(s.x, s.truncate, 0, [=](float x) {
      return s.truncate == Bits(0) ? x : std::ldexp(std::floor(std::ldexp(x, scale)), -scale);
    });
  }
  SlotId compute(const ClipStep& s) {
    const auto upper =
        static_cast<float>(std::ldexp(static_cast<double>(s.upper), -(type(s.x).scale - s.truncate).value()));
    return mapped(s.x, s.truncate, 0, [=](float x) { return std::min(std::max(x, 0.0F), upper); });
  }
  SlotId compute(const LeakyReluStep& s) {
    const auto slope = static_cast<float>(std::ldexp(static_cast<double>(s.slope), -s.slope_bits.value()));
    return mapped(s.x, s.truncate, s.slope_bits.value(), [=](float x) { return x >= 0 ? x : slope * x; });
  }
  SlotId compute(const ScaleStep& s) {
    const auto factor = static_cast<float>(std::ldexp(static_cast<double>(s.factor), -s.bits.value()));
    return mapped(s.x, Bits(0), s.bits.value(), [=](float x) { return x * factor; });
  }
  SlotId compute(const MaxPoolStep& s) {
    return add(windowed(s.x, s.pool, -HUGE_VALF, [](float a, float b) { return std::max(a, b); }), type(s.x));
  }
  SlotId compute(const SumPoolStep& s) {
    std::vector<int> taps;
    FloatTensor y = windowed(
        s.x, s.pool, 0, [](float a, float b) { return a + b; }, &taps);
    SlotType slot_type = type(s.x);
    const int bits = s.divide_bits.value();
    for (size_t i = 0; bits > 0 && i < taps.size(); ++i)
      y.values[i] *= static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(1.0 / taps[i], bits)), -bits));
    slot_type.scale = slot_type.scale + s.divide_bits;
    slot_type.divisor *= bits > 0 ? 1 : s.divisor;
    return add(std::move(y), slot_type);
  }
  SlotId compute(const SumAxesStep& s) {
    Shape kept = type(s.x).shape;
    for (int64_t axis : s.axes) kept[static_cast<int>(axis)] = 1;
    FloatTensor y(kept);
    walk(type(s.x).shape, 0, broadcast_strides(kept, type(s.x).shape),
         [&](size_t from, size_t to) { y.values[to] += real(s.x).values[from]; });
    SlotType slot_type = type(s.x);
    slot_type.divisor *= s.divisor;
    return add(std::move(y), slot_type);
  }
  SlotId compute(const ArgMaxStep& s) {
    const Shape& shape = type(s.x).shape;
    EXPECT_EQ(shape.rank(), 2);
    FloatTensor y(Shape{shape[0]});
    for (int64_t row = 0; row < shape[0]; ++row) {
      const auto first = real(s.x).values.begin() + row * shape[1];
      y.values[static_cast<size_t>(row)] = static_cast<float>(std::max_element(first, first + shape[1]) - first);
    }
    return add(std::move(y), {shape, Ring::k32, Form::kAdditive, Bits(0), Bits(32), 1, 0});
  }
  SlotId compute(const AddStep& s) {
    EXPECT_EQ(type(s.a).shape, type(s.b).shape);
    FloatTensor y = real(s.a);
    for (size_t i = 0; i < y.values.size(); ++i) y.values[i] += (s.subtract ? -1 : 1) * real(s.b).values[i];
    return add(std::move(y), type(s.a));
  }
  SlotId compute(const ReshapeStep& s) {
    EXPECT_EQ(s.shape.elements(), type(s.x).shape.elements());
    FloatTensor y = real(s.x);
    y.shape = s.shape;
    return add(std::move(y), type(s.x));
  }
  SlotId compute(const TransposeStep& s) { return add(transpose(real(s.x), s.permutation), type(s.x)); }
  SlotId compute(const PadStep& s) {
    Shape shape = type(s.x).shape;
    Ints strides;
    int64_t offset = 0;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const auto i = static_cast<size_t>(axis);
      EXPECT_GE(std::min(s.before[i], s.after[i]), 0);
      shape[axis] += s.before[i] + s.after[i];
    }
    FloatTensor y(shape);
    strides = strides_of(shape);
    for (size_t i = 0; i < strides.size(); ++i) offset += strides[i] * s.before[i];
    walk(type(s.x).shape, offset, strides, [&](size_t from, size_t to) { y.values[to] = real(s.x).values[from]; });
    return add(std::move(y), type(s.x));
  }
  SlotId compute(const SliceStep& s) {
    Ints strides = strides_of(type(s.x).shape);
    int64_t offset = 0;
    for (size_t i = 0; i < strides.size(); ++i) {
      const int axis = static_cast<int>(i);
      const int64_t end = s.starts[i] + (s.shape[axis] - 1) * s.steps[i];
      EXPECT_NE(s.steps[i], 0);
      EXPECT_GE(std::min(s.starts[i], end), 0);
      EXPECT_LT(std::max(s.starts[i], end), type(s.x).shape[axis]);
      offset += strides[i] * s.starts[i];
      strides[i] *= s.steps[i];
    }
    return add(view(real(s.x), s.shape, offset, strides), type(s.x));
  }
  SlotId compute(const GatherStep& s) {
    const Shape& shape = type(s.x).shape;
    EXPECT_LE(s.indices.size(), size_t{4096});
    OneNode gathered("Gather", {real(s.x), list(s.indices)}, {{"axis", s.axis}});
    EXPECT_GE(*std::min_element(s.indices.begin(), s.indices.end()), 0);
    EXPECT_LT(*std::max_element(s.indices.begin(), s.indices.end()), shape[static_cast<int>(s.axis)]);
    return add(gathered.floats(), type(s.x));
  }
  SlotId compute(const ProductStep& s) {
    SlotType slot_type = type(s.a);
    slot_type.scale = type(s.a).scale + type(s.b).scale;
    FloatTensor a = real(s.a), b = real(s.b);
    a.shape = left_shape(s.geometry), b.shape = right_shape(s.geometry);
    const char* op = std::holds_alternative<Elementwise>(s.geometry) ? "Mul" : "MatMul";
    return add(OneNode(op, {a, b}).floats(), slot_type);
  }
  SlotId compute(const LookUpStep& s) {
    const FloatTensor& x = real(s.x);
    FloatTensor y(look_up_shape(s.tables.size(), x.shape));
    size_t to = 0;
    for (TableId table : s.tables)
      for (float value : x.values) {
        const auto integer = std::nearbyint(std::ldexp(static_cast<double>(value), type(s.x).scale.value()));
        const auto index = static_cast<int64_t>(std::floor(std::ldexp(integer, -s.truncate.value())));
        const auto& entries = tables[index_of(table)].entries;
        y.values[to++] = static_cast<float>(entries.at(static_cast<size_t>(index) + entries.size() / 2));
      }
    SlotType slot_type = type(s.x);
    slot_type.scale = Bits(0);
    return add(std::move(y), slot_type);
  }
  SlotId compute(const NonNegativeStep& s) {
    FloatTensor y = real(s.x);
    for (float& value : y.values) value = value >= 0 ? 1.0F : 0.0F;
    SlotType slot_type = type(s.x);
    slot_type.scale = Bits(0);
    return add(std::move(y), slot_type);
  }
  SlotId compute(const ConcatStep& s) {
    std::vector<Constant> parts;
    for (SlotId part : s.parts) parts.push_back(real(part));
    OneNode joined("Concat", parts, {{"axis", s.axis}});
    EXPECT_EQ(s.parts.size(), s.shifts.size());
    return add(joined.floats(), type(s.parts[0]));
  }
  template <class Other>
  SlotId compute(const Other&) {
    ADD_FAILURE() << "an operation does not emit this step";
    return {};
  }

  OneNode& one_;
  std::map<int, SlotId> operands_;
  std::vector<FloatTensor> held_;
  std::vector<SlotType> types_;
};

}  // namespace treville::ops
