#include "program/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace treville {
namespace {

template <class... Args>
void require(bool holds, fmt::format_string<Args...> format, Args&&... args) {
  if (!holds) throw RuleViolation{fmt::format(format, std::forward<Args>(args)...)};
}

void check_extent(int64_t value, int64_t low, int64_t high, const char* what) {
  require(value >= low && value <= high, "{} is {}, expected {} to {}", what, value, low, high);
}

void check_bits(Bits value, int low, Bits high, const char* what) {
  check_extent(value.value(), low, high.value(), what);
}

void check_scale(Bits scale) { check_extent(scale.value(), -kMaxScale, kMaxScale, "the scale"); }

// check_windows: along one axis, every output lies on at least one element that is not padding.
void check_windows(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  for (int64_t o = 0; o < out; ++o) {
    const int64_t start = o * stride - pad;
    const int64_t skipped = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    require(skipped < kernel && start + skipped * dilation < in, "window {} of {} holds nothing but padding", o, out);
  }
}

template <class Geometry>
void check_window_numbers(const Geometry& g) {
  for (int64_t value : {g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w})
    check_extent(value, 1, kMaxWindow, "a kernel, stride or dilation");
  for (int64_t value : {g.pad_top, g.pad_left}) check_extent(value, 0, kMaxWindow, "a pad");
}

void check_pool(const PoolGeometry& g) {
  check_window_numbers(g);
  check_shape(input_shape(g));
  check_shape(output_shape(g));
  check_windows(g.in_h, g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top);
  check_windows(g.in_w, g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left);
}

void check_map(const LinearMap& map) {
  if (const auto* conv = std::get_if<ConvGeometry>(&map)) {
    check_window_numbers(*conv);
    check_extent(conv->groups, 1, kMaxElements, "groups");
    require(conv->in_c % conv->groups == 0 && conv->out_c % conv->groups == 0,
            "{} groups do not divide {} input and {} output channels", conv->groups, conv->in_c, conv->out_c);
  }
  check_shape(input_shape(map));
  check_shape(weight_shape(map));
  check_shape(output_shape(map));
}

// Rules has one function a step. x is an operand's type, constant an owned constant's declaration.
struct Rules {
  const std::vector<SlotType>& types;
  const std::vector<ConstantDecl>& constants;
  const std::vector<TableDecl>& tables;

  const SlotType& at(SlotId slot) const {
    require(index_of(slot) < types.size(), "it reads %{}, which does not exist", index_of(slot));
    return types[index_of(slot)];
  }
  // number is an operand that may be computed with: an index may only be moved and revealed.
  const SlotType& number(SlotId slot) const {
    require(!at(slot).is_index, "%{} is an index, which can only be moved or revealed", index_of(slot));
    return at(slot);
  }
  const ConstantDecl& constant(ConstantId id) const {
    require(index_of(id) < constants.size(), "it reads constant {} of {}", index_of(id), constants.size());
    return constants[index_of(id)];
  }

  // truncated is the type after a truncation that leaves `need` bits: masked over the full ring.
  SlotType truncated(SlotId slot, Bits truncate, Bits k, int fewest_k, int need) const {
    const SlotType& x = number(slot);
    check_bits(k, fewest_k, bits_of(x.ring), "k");
    check_bits(truncate, 0, bits_of(x.ring) - Bits(1), "truncate");
    require(truncate.value() + need <= x.modulus.value(),
            "truncate={} and {} bits do not fit the {} bits that %{} is known modulo", truncate, need, x.modulus,
            index_of(slot));
    SlotType type = moved(slot, x.shape);
    type.scale = x.scale - truncate;
    type.form = Form::kMasked;
    type.modulus = bits_of(x.ring);
    return type;
  }
  // moved is x's type with another shape.
  SlotType moved(SlotId slot, Shape shape) const {
    SlotType type = at(slot);
    type.shape = std::move(shape);
    type.bound = 0;
    return type;
  }
  void check_over(SlotId slot, const Shape& expected, const char* what) const {
    check_shape(expected);
    require(at(slot).shape.elements() == expected.elements(), "{} {} is applied to %{} of shape {}", what,
            to_string(expected), index_of(slot), to_string(at(slot).shape));
  }
  // check_added: a constant that is added to a value of this type.
  void check_added(ConstantId id, const SlotType& type) const {
    const ConstantDecl& c = constant(id);
    const bool per_channel = type.shape.rank() > 0 && c.shape == Shape{type.shape[type.shape.rank() - 1]};
    require(per_channel || c.shape == type.shape, "constant {} of shape {} does not fit {}", c.name, to_string(c.shape),
            to_string(type.shape));
    require(c.ring == type.ring, "constant {} lies in another ring", c.name);
    require(c.scale == type.scale, "constant {} has scale {}, expected {}", c.name, c.scale, type.scale);
  }

  SlotType operator()(const InputStep& s) const {
    check_shape(s.shape);
    check_scale(s.scale);
    require(!s.name.empty(), "an input needs a name");
    return {s.shape, s.ring, Form::kMasked, s.scale, bits_of(s.ring)};
  }
  SlotType operator()(const LinearStep& s) const {
    require(!s.terms.empty(), "it has no terms");
    SlotType type;
    for (const LinearTerm& term : s.terms) {
      const SlotType& x = number(term.x);
      const ConstantDecl& w = constant(term.weight);
      check_map(term.map);
      check_over(term.x, input_shape(term.map), "a linear map over");
      require(x.form == Form::kMasked, "%{} is additive; a linear map reads masked values (rescale it first)",
              index_of(term.x));
      require(x.modulus == bits_of(x.ring), "%{} is known modulo {} bits, expected the full {}", index_of(term.x),
              x.modulus, bits_of(x.ring));
      require(w.ring == x.ring, "weight {} lies in another ring than %{}", w.name, index_of(term.x));
      require(w.shape == weight_shape(term.map), "weight {} has shape {}, expected {}", w.name, to_string(w.shape),
              to_string(weight_shape(term.map)));
      // A divisor of the operand is folded into its weights.
      const SlotType result{output_shape(term.map), x.ring, Form::kAdditive, x.scale + w.scale, s.modulus};
      require(&term == &s.terms[0] || result == type, "its terms differ in ring, shape or scale");
      type = result;
    }
    check_bits(s.modulus, 1, bits_of(type.ring), "modulus");
    if (s.bias) check_added(*s.bias, type);
    return type;
  }
  SlotType operator()(const ReluStep& s) const { return truncated(s.x, s.truncate, s.k, 2, s.k.value()); }
  SlotType operator()(const ClipStep& s) const {
    SlotType type = truncated(s.x, s.truncate, s.k, 2, s.k.value());
    check_extent(s.upper, 1, (int64_t{1} << (s.k.value() - 1)) - 1, "the upper bound");
    return type;
  }
  SlotType operator()(const LeakyReluStep& s) const {
    SlotType type = truncated(s.x, s.truncate, s.k, 2, s.k.value());
    const int room = bits_of(type.ring).value() - s.k.value();
    check_extent(s.slope_bits.value(), 0, room, "slope_bits");
    // |slope| 2^(k-1) <= 2^(l-1)
    const int64_t steepest = int64_t{1} << std::min(room, 62);
    check_extent(s.slope, -steepest, steepest, "the slope");
    type.scale = type.scale + s.slope_bits;
    return type;
  }
  SlotType operator()(const MaxPoolStep& s) const {
    SlotType type = truncated(s.x, s.truncate, s.k, 2, s.k.value() + 1);
    check_pool(s.pool);
    check_over(s.x, input_shape(s.pool), "a window over");
    type.shape = output_shape(s.pool);
    type.form = Form::kAdditive;
    type.modulus = s.k + Bits(1);
    return type;
  }
  SlotType operator()(const RescaleStep& s) const { return truncated(s.x, s.truncate, s.k, 3, s.k.value()); }
  SlotType operator()(const ArgMaxStep& s) const {
    SlotType type = truncated(s.x, s.truncate, s.k, 2, s.k.value() + 1);
    require(type.shape.rank() == 2, "its operand has shape {}, expected [rows,columns]", to_string(type.shape));
    const auto last = static_cast<uint64_t>(type.shape[1] - 1);
    type.shape = Shape{type.shape[0]};
    type.form = Form::kAdditive;
    type.scale = Bits(0);
    type.divisor = 1;
    type.modulus = Bits(std::max(1, static_cast<int>(std::bit_width(last))));
    type.is_index = true;
    return type;
  }
  // factor is an operand of a product.
  const SlotType& factor(SlotId slot) const {
    const SlotType& x = number(slot);
    require(x.form == Form::kMasked, "%{} is additive; a product takes masked values (rescale it first)",
            index_of(slot));
    require(x.modulus == bits_of(x.ring), "%{} is known modulo {} bits, expected the full {}", index_of(slot),
            x.modulus, bits_of(x.ring));
    return x;
  }
  SlotType operator()(const ProductStep& s) const {
    const SlotType &a = factor(s.a), &b = factor(s.b);
    require(a.ring == b.ring, "its operands lie in different rings");
    check_over(s.a, left_shape(s.geometry), "a product over");
    check_over(s.b, right_shape(s.geometry), "a product over");
    check_shape(output_shape(s.geometry));
    SlotType type = divided(s.a, output_shape(s.geometry), b.divisor);  // masked, over the full ring
    type.scale = a.scale + b.scale;
    return type;
  }
  SlotType operator()(const LookUpStep& s) const {
    check_bits(s.n, 2, Bits(kMaxIndexBits), "n");
    SlotType type = truncated(s.x, s.truncate, s.n, 2, s.n.value());
    require(!s.tables.empty(), "it has no tables");
    int bits = 0;
    for (const TableId id : s.tables) {
      require(index_of(id) < tables.size(), "it reads table {} of {}", index_of(id), tables.size());
      const TableDecl& declared = tables[index_of(id)];
      const LookUpTable& table = declared.table;
      require(table.entries.size() == size_t{1} << s.n.value(), "table {} has {} entries, expected 2^{}", declared.name,
              table.entries.size(), s.n);
      require(table.bits <= bits_of(type.ring), "table {} has entries of {} bits, more than the ring", declared.name,
              table.bits);
      require(declared.scale == tables[index_of(s.tables[0])].scale, "its tables have different scales");
      bits += table.bits.value();
    }
    check_extent(bits, 1, kMaxLookUpBits, "the width of all its tables");
    type.shape = look_up_shape(s.tables.size(), type.shape);
    check_shape(type.shape);
    type.scale = tables[index_of(s.tables[0])].scale;
    type.divisor = 1;
    return type;
  }
  SlotType operator()(const NonNegativeStep& s) const {
    SlotType type = truncated(s.x, s.truncate, s.k, 2, s.k.value());
    type.scale = Bits(0);
    type.divisor = 1;
    return type;
  }
  SlotType operator()(const AddStep& s) const {
    const SlotType &a = number(s.a), &b = number(s.b);
    require(a.ring == b.ring, "its operands lie in different rings");
    require(a.shape == b.shape, "its operands have shapes {} and {}", to_string(a.shape), to_string(b.shape));
    require(a.divisor == b.divisor, "its operands have divisors {} and {}", a.divisor, b.divisor);
    check_bits(s.shift_a, 0, bits_of(a.ring) - Bits(1), "a shift");
    check_bits(s.shift_b, 0, bits_of(a.ring) - Bits(1), "a shift");
    require(a.scale + s.shift_a == b.scale + s.shift_b, "its operands have scales {} and {} after their shifts",
            a.scale + s.shift_a, b.scale + s.shift_b);
    SlotType type = moved(s.a, a.shape);
    type.scale = a.scale + s.shift_a;
    type.modulus = std::min({bits_of(a.ring), a.modulus + s.shift_a, b.modulus + s.shift_b});
    if (b.form == Form::kAdditive) type.form = Form::kAdditive;
    return type;
  }
  SlotType operator()(const AddConstantStep& s) const {
    check_added(s.constant, number(s.x));
    return moved(s.x, at(s.x).shape);
  }
  SlotType operator()(const ScaleStep& s) const {
    SlotType type = moved(s.x, number(s.x).shape);
    const int64_t largest = int64_t{1} << (bits_of(type.ring).value() - 2);
    check_extent(s.factor, -largest, largest, "the factor");
    check_bits(s.bits, 0, Bits(kMaxScale), "bits");
    type.scale = type.scale + s.bits;
    return type;
  }
  // divided is a sum that stands for an average.
  SlotType divided(SlotId slot, Shape shape, int64_t divisor) const {
    SlotType type = moved(slot, std::move(shape));
    check_extent(divisor, 1, kMaxElements, "the divisor");
    require(type.divisor <= kMaxElements / divisor, "the divisors {} and {} are too large together", type.divisor,
            divisor);
    type.divisor *= divisor;
    return type;
  }
  SlotType operator()(const SumPoolStep& s) const {
    number(s.x);
    check_pool(s.pool);
    check_over(s.x, input_shape(s.pool), "a window over");
    check_bits(s.divide_bits, 0, bits_of(at(s.x).ring) - Bits(2), "divide_bits");
    require(s.divide_bits == Bits(0) || s.divisor == 1, "divide_bits and a divisor exclude each other");
    SlotType type = divided(s.x, output_shape(s.pool), s.divisor);
    type.scale = type.scale + s.divide_bits;
    return type;
  }
  SlotType operator()(const SumAxesStep& s) const {
    Shape shape = number(s.x).shape;
    for (size_t i = 0; i < s.axes.size(); ++i) {
      check_extent(s.axes[i], i == 0 ? 0 : s.axes[i - 1] + 1, shape.rank() - 1, "an axis");
      shape[static_cast<int>(s.axes[i])] = 1;
    }
    return divided(s.x, std::move(shape), s.divisor);
  }
  SlotType operator()(const ReshapeStep& s) const {
    check_over(s.x, s.shape, "a reshape to");
    return moved(s.x, s.shape);
  }
  SlotType operator()(const TransposeStep& s) const {
    const Shape& from = at(s.x).shape;
    require(s.permutation.size() == from.dims().size(), "{} axes permute {}", s.permutation.size(), to_string(from));
    std::vector<int64_t> dims(s.permutation.size());
    std::vector<bool> seen(s.permutation.size());
    for (size_t i = 0; i < dims.size(); ++i) {
      check_extent(s.permutation[i], 0, from.rank() - 1, "an axis");
      const auto axis = static_cast<size_t>(s.permutation[i]);
      require(!seen[axis], "axis {} comes twice", axis);
      seen[axis] = true;
      dims[i] = from.dims()[axis];
    }
    return moved(s.x, Shape(dims));
  }
  SlotType operator()(const PadStep& s) const {
    Shape shape = number(s.x).shape;
    const size_t rank = shape.dims().size();
    require(s.before.size() == rank && s.after.size() == rank, "{} and {} pads for {}", s.before.size(), s.after.size(),
            to_string(shape));
    for (size_t i = 0; i < rank; ++i) {
      check_extent(s.before[i], 0, kMaxElements, "a pad");
      check_extent(s.after[i], 0, kMaxElements, "a pad");
      shape[static_cast<int>(i)] += s.before[i] + s.after[i];
    }
    check_shape(shape);
    return moved(s.x, std::move(shape));
  }
  SlotType operator()(const SliceStep& s) const {
    const Shape& from = at(s.x).shape;
    const size_t rank = from.dims().size();
    check_shape(s.shape);
    require(s.starts.size() == rank && s.steps.size() == rank && s.shape.dims().size() == rank,
            "{} starts, {} steps and the shape {} slice {}", s.starts.size(), s.steps.size(), to_string(s.shape),
            to_string(from));
    for (size_t i = 0; i < rank; ++i) {
      const int64_t extent = from.dims()[i];
      check_extent(s.starts[i], 0, extent - 1, "a start");
      check_extent(s.steps[i], -kMaxElements, kMaxElements, "a step");
      require(s.steps[i] != 0, "a step is 0");
      check_extent(s.starts[i] + (s.shape.dims()[i] - 1) * s.steps[i], 0, extent - 1, "the last element of a slice");
    }
    return moved(s.x, s.shape);
  }
  SlotType operator()(const GatherStep& s) const {
    Shape shape = at(s.x).shape;
    check_extent(s.axis, 0, shape.rank() - 1, "the axis");
    const int axis = static_cast<int>(s.axis);
    check_extent(static_cast<int64_t>(s.indices.size()), 1, kMaxIndices, "the number of indices");
    for (int64_t index : s.indices) check_extent(index, 0, shape[axis] - 1, "an index");
    shape[axis] = static_cast<int64_t>(s.indices.size());
    check_shape(shape);
    return moved(s.x, std::move(shape));
  }
  SlotType operator()(const ConcatStep& s) const {
    require(!s.parts.empty() && s.parts.size() == s.shifts.size(), "{} parts and {} shifts", s.parts.size(),
            s.shifts.size());
    SlotType type = moved(s.parts[0], at(s.parts[0]).shape);
    check_extent(s.axis, 0, type.shape.rank() - 1, "the axis");
    const int axis = static_cast<int>(s.axis);
    type.shape[axis] = 0;
    type.scale = type.scale + Bits(static_cast<int>(std::clamp<int64_t>(s.shifts[0], 0, 63)));
    type.modulus = bits_of(type.ring);
    for (size_t i = 0; i < s.parts.size(); ++i) join(type, at(s.parts[i]), s.shifts[i], axis);
    return type;
  }
  static void join(SlotType& type, const SlotType& part, int64_t shift, int axis) {
    require(part.ring == type.ring && part.is_index == type.is_index, "its parts lie in different rings");
    require(part.divisor == type.divisor, "its parts have divisors {} and {}", type.divisor, part.divisor);
    check_extent(shift, 0, bits_of(type.ring).value() - 1, "a shift");
    const Bits by(static_cast<int>(shift));
    require(part.scale + by == type.scale, "its parts have scales {} and {} after their shifts", type.scale,
            part.scale + by);
    require(part.shape.rank() == type.shape.rank(), "its parts have different ranks");
    const int64_t extent = part.shape[axis];
    Shape expected = part.shape;
    expected[axis] = type.shape[axis];
    require(expected == type.shape, "a part of shape {} does not fit the others over axis {}", to_string(part.shape),
            axis);
    type.shape[axis] += extent;
    check_shape(type.shape);
    type.modulus = std::min(type.modulus, part.modulus + by);
    if (part.form == Form::kAdditive) type.form = Form::kAdditive;
  }
  SlotType operator()(const OutputStep& s) const {
    require(!s.name.empty(), "an output needs a name");
    const Shape& shape = at(s.x).shape;
    const bool counts_back = s.post == PostProcess::kIndexFromLast;
    require(!keeps_some(s.post) || shape.rank() > 0, "the largest values of a single number");
    check_extent(s.axis, -1, std::max(shape.rank() - 1, 0), "axis");
    require(!counts_back || at(s.x).is_index, "an index counted from the last, of what is no index");
    const int64_t extent = !keeps_some(s.post) ? 0 : shape[s.axis < 0 ? shape.rank() - 1 : static_cast<int>(s.axis)];
    check_extent(s.top, keeps_some(s.post) || counts_back ? 1 : 0, counts_back ? kMaxElements : extent, "top");
    return at(s.x);
  }
};

}  // namespace

void check_shape(const Shape& shape) {
  require(shape.rank() <= kMaxRank, "a shape of {} dimensions, at most {} are supported", shape.rank(), kMaxRank);
  int64_t elements = 1;
  for (int64_t dim : shape.dims()) {
    require(dim >= 1, "the shape {} has a dimension below 1", to_string(shape));
    require(dim <= kMaxElements / elements, "the shape {} has more than {} elements", to_string(shape), kMaxElements);
    elements *= dim;
  }
}

void check_constant(const ConstantDecl& constant) {
  check_shape(constant.shape);
  check_scale(constant.scale);
}

void check_table(const TableDecl& table) {
  check_scale(table.scale);
  check_bits(table.table.bits, 1, Bits(kMaxTableBits), "the width of its entries");
  const size_t count = table.table.entries.size();
  require(std::has_single_bit(count) && count >= 4 && count <= size_t{1} << kMaxIndexBits,
          "{} entries, expected a power of two up to 2^{}", count, kMaxIndexBits);
  const int64_t size = int64_t{1} << table.table.bits.value();
  const int64_t low = table.table.is_signed ? -size / 2 : 0;
  for (const int64_t entry : table.table.entries) check_extent(entry, low, low + size - 1, "an entry");
}

SlotType type_by_rules(const StepBody& body, const std::vector<SlotType>& types, const Program& program) {
  SlotType type = std::visit(Rules{types, program.constants, program.tables}, body);
  check_scale(type.scale);
  return type;
}

}  // namespace treville
