// What tests of programs share: a builder that infers types, and random programs of all steps.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "program/program.h"

namespace treville::testing {

// Builder appends steps, each to a new slot, with the type that infer_type gives.
class Builder {
 public:
  explicit Builder(Ring ring = Ring::k32) {
    program.model = "test";
    program.scheme = "by hand";
    program.ring = ring;
  }
  ConstantId constant(std::string name, Shape shape, Bits scale) {
    program.constants.push_back({std::move(name), std::move(shape), program.ring, scale});
    return static_cast<ConstantId>(program.constants.size() - 1);
  }
  // table declares random entries of `bits` for an index of n bits.
  TableId table(std::string name, int n, int bits, bool is_signed, Bits scale = Bits(0), uint32_t seed = 1) {
    std::mt19937_64 random(seed);
    LookUpTable table{Bits(bits), is_signed, {}};
    const int64_t size = int64_t{1} << bits;
    for (int64_t i = 0; i < int64_t{1} << n; ++i) {
      table.entries.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(size)) -
                              (is_signed ? size / 2 : 0));
    }
    program.tables.push_back({std::move(name), std::move(table), scale});
    return static_cast<TableId>(program.tables.size() - 1);
  }
  SlotId add(StepBody body, double bound = 1e6, std::string layer = "") {
    Step step;
    step.type = infer_type(body, types, program);
    step.layer = layer.empty() ? "layer" + std::to_string(program.steps.size()) : std::move(layer);
    if (const auto* output = std::get_if<OutputStep>(&body)) {
      step.result = output->x;
    } else {
      step.type.bound = bound;
      step.result = static_cast<SlotId>(program.slots++);
      types.push_back(step.type);
    }
    step.body = std::move(body);
    program.steps.push_back(std::move(step));
    return program.steps.back().result;
  }
  SlotId input(Shape shape, Bits scale = Bits(12), PartyId owner = PartyId::kDealer, std::string name = "x") {
    return add(InputStep{owner, std::move(name), std::move(shape), program.ring, scale});
  }
  void output(SlotId x, PartyId recipient = PartyId::kDealer, std::string name = "y",
              OutputPolicy policy = OutputPolicy::kReveal) {
    add(OutputStep{x, recipient, std::move(name), policy, PostProcess::kNone});
  }
  const SlotType& type(SlotId slot) const { return types[index_of(slot)]; }

  Program program;
  std::vector<SlotType> types;
};

inline PoolGeometry pool_of(const Shape& x, int64_t kernel, int64_t stride, int64_t pad) {
  PoolGeometry pool;
  pool.batch = x[0];
  pool.in_h = x[1];
  pool.in_w = x[2];
  pool.channels = x[3];
  pool.kernel_h = pool.kernel_w = kernel;
  pool.stride_h = pool.stride_w = stride;
  pool.pad_top = pool.pad_left = pad;
  pool.out_h = (x[1] + 2 * pad - kernel) / stride + 1;
  pool.out_w = (x[2] + 2 * pad - kernel) / stride + 1;
  return pool;
}

inline ConvGeometry conv_of(const Shape& x, int64_t out_c, int64_t kernel, int64_t pad, int64_t groups = 1) {
  ConvGeometry conv;
  conv.batch = x[0];
  conv.in_h = conv.out_h = x[1];
  conv.in_w = conv.out_w = x[2];
  conv.in_c = x[3];
  conv.out_c = out_c;
  conv.kernel_h = conv.kernel_w = kernel;
  conv.pad_top = conv.pad_left = pad;
  conv.groups = groups;
  return conv;
}

// random_program has every kind of step, with random shapes, numbers and strange names; it verifies, but its values
// need not fit their ranges.
inline Program random_program(uint32_t seed) {
  std::mt19937 random(seed);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  const auto name = [&] {
    std::string text = "n" + std::to_string(random());
    for (int64_t i = pick(0, 6); i > 0; --i) text += static_cast<char>(pick(1, 255));
    return text;
  };
  const auto bound = [&] { return std::ldexp(static_cast<double>(random()) + 0.1, static_cast<int>(pick(-60, 20))); };
  Builder b(pick(0, 1) == 0 ? Ring::k32 : Ring::k64);
  b.program.model = name();
  b.program.scheme = name();
  b.program.preprocess = name();
  b.program.parameters = pick(0, 1'000'000'000'000);
  const Bits f(static_cast<int>(pick(1, 8))), k(static_cast<int>(pick(3, 18)));
  const auto owner = [&] { return static_cast<PartyId>(pick(0, 2)); };
  const auto dim = [&] { return pick(1, 5); };
  const int64_t c = pick(1, 3) * 2;
  SlotId x = b.add(InputStep{owner(), name(), {pick(1, 3), pick(3, 9), pick(3, 9), c}, b.program.ring, Bits(12)},
                   bound(), name());
  for (int64_t i = pick(1, 3); i > 0; --i) {
    const Shape shape = b.type(x).shape;
    const ConvGeometry g = conv_of(shape, 2 * dim(), 3, pick(0, 2), pick(1, 2));
    const std::string n = std::to_string(b.program.constants.size());
    LinearStep linear;
    linear.terms.push_back({x, g, b.constant("w" + n, weight_shape(LinearMap(g)), Bits(7))});
    linear.terms.push_back({x, g, b.constant("conv.v/" + n, weight_shape(LinearMap(g)), Bits(7))});
    if (pick(0, 1) == 0) linear.bias = b.constant("b" + n, {g.out_c}, Bits(7) + b.type(x).scale);
    linear.modulus = Bits(static_cast<int>(pick(27, 32)));
    x = b.add(linear, bound(), name());
    x = b.add(AddConstantStep{x, b.constant("a" + n, {g.out_c}, b.type(x).scale)}, bound(), name());
    const SlotId pooled = b.add(MaxPoolStep{x, pool_of(b.type(x).shape, 2, 1, 1), f, k}, bound(), name());
    if (b.type(pooled).modulus >= k) b.add(RescaleStep{pooled, Bits(0), k}, bound(), name());
    const SlotId r = b.add(ReluStep{x, f, k}, bound(), name());
    const SlotId clip = b.add(ClipStep{x, f, k, pick(1, (1 << (k.value() - 1)) - 1)}, bound(), name());
    const SlotId leaky = b.add(LeakyReluStep{x, f, k, -pick(0, 30), Bits(5)}, bound(), name());
    const SlotId sum = b.add(AddStep{r, leaky, Bits(5), Bits(0), pick(0, 1) == 0}, bound(), name());
    x = b.add(ConcatStep{{r, clip, sum}, {5, 5, 0}, 3}, bound(), name());
  }
  const Shape shape = b.type(x).shape;
  b.add(SumPoolStep{x, pool_of(shape, 3, 2, 1), Bits(9), 1}, bound(), name());
  const SlotId s = b.add(SumPoolStep{x, pool_of(shape, 2, 2, 0), Bits(0), 4}, bound(), name());
  b.add(SumAxesStep{s, {1, 2}, pick(1, 99)}, bound(), name());
  b.add(SumAxesStep{s, {}, 3}, bound(), name());
  b.add(ScaleStep{s, -pick(1, 1000), Bits(2)}, bound(), name());
  const SlotId p = b.add(PadStep{s, {0, 1, 2, 0}, {0, 0, 1, dim()}}, bound(), name());
  b.add(SliceStep{p, {0, b.type(p).shape[1] - 1, 0, 0}, {1, -1, 2, 1}, {1, b.type(p).shape[1], 1, 1}}, bound(), name());
  b.add(GatherStep{p, 1, {pick(0, b.type(p).shape[1] - 1), 0, pick(0, b.type(p).shape[1] - 1)}}, bound(), name());
  const SlotId t = b.add(TransposeStep{s, {3, 0, 2, 1}}, bound(), name());
  const SlotId rows = b.add(ReshapeStep{t, {shape[3], b.type(t).shape.elements() / shape[3]}}, bound(), name());
  const MatmulGeometry m{b.type(rows).shape[0], b.type(rows).shape[1], dim()};
  const SlotId masked = b.add(RescaleStep{rows, f, k}, bound(), name());
  LinearStep last;
  last.terms.push_back({masked, m, b.constant("m", {m.inner, m.cols}, Bits(3))});
  last.terms.push_back({masked, m, static_cast<ConstantId>(b.program.constants.size() - 1)});
  last.modulus = bits_of(b.program.ring);
  const SlotId logits = b.add(last, bound(), name());
  const ChannelGeometry g{m.rows, m.inner};
  LinearStep channel;
  channel.terms.push_back({masked, g, b.constant("g", {m.inner}, Bits(3))});
  channel.modulus = Bits(20);
  b.add(channel, bound(), name());
  const SlotId label = b.add(ArgMaxStep{logits, f, k}, bound(), name());
  const int n = static_cast<int>(pick(2, 6));
  const Bits table_scale(static_cast<int>(pick(0, 9)));
  std::vector<TableId> tables;
  for (int64_t i = pick(1, 3); i > 0; --i) {
    tables.push_back(b.table("t" + std::to_string(i), n, static_cast<int>(pick(1, 30)), pick(0, 1) == 0, table_scale,
                             static_cast<uint32_t>(random())));
  }
  const SlotId entries = b.add(LookUpStep{logits, f, Bits(n), tables}, bound(), name());
  b.add(ProductStep{entries, entries, Elementwise{b.type(entries).shape}}, bound(), name());
  const SlotId sign = b.add(NonNegativeStep{rows, f, k}, bound(), name());
  const SlotId flipped = b.add(TransposeStep{masked, {1, 0}}, bound(), name());
  b.add(ProductStep{flipped, sign, BatchMatmul{1, m.inner, m.rows, m.inner}}, bound(), name());
  b.add(OutputStep{label, owner(), name(), OutputPolicy::kShares, PostProcess::kNone}, 0, name());
  b.add(OutputStep{logits, owner(), name(), OutputPolicy::kReveal, PostProcess::kSoftmax}, 0, name());
  b.add(OutputStep{logits, owner(), name(), OutputPolicy::kReveal, PostProcess::kTopIndices, 1}, 0, name());
  return std::move(b.program);
}

}  // namespace treville::testing
