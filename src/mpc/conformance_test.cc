// Every protocol of the table against the definition of every operation: both rings, edge values, all owners and
// recipients. What is expected is computed here in exact integers, not by "clear", which is a row like any other.
// A truncated value may be the integer below or above y / 2^f, so results are compared as |out 2^f - f(y)| < 2^f.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "kernels/elementwise.h"
#include "mpc/protocol.h"
#include "program/testing.h"
#include "run/local_run.h"

namespace treville {
namespace {

using testing::Builder;
using testing::conv_of;
using testing::pool_of;
__extension__ using Wide = __int128;

struct Case {
  std::string protocol;
  Ring ring;
};

// Width is one choice of truncation and k.
struct Width {
  int truncate, k;
};

RingTensor tensor_of(Ring ring, const Shape& shape, const std::vector<int64_t>& values) {
  RingTensor tensor = RingTensor::stored(ring, shape);
  CHECK(static_cast<int64_t>(values.size()) == shape.elements(), "{} values", values.size());
  dispatch(ring, [&](auto word) {
    for (size_t i = 0; i < values.size(); ++i) tensor.as<decltype(word)>()[i] = static_cast<decltype(word)>(values[i]);
  });
  return tensor;
}

std::vector<int64_t> signed_values(const RevealedOutput& output) {
  std::vector<int64_t> values;
  const int unused = 64 - output.value.modulus.value();
  dispatch(output.value.value.ring(), [&](auto word) {
    for (uint64_t element : output.value.value.as<decltype(word)>()) {
      EXPECT_TRUE(unused == 0 || element >> (64 - unused) == 0) << "bits beyond the modulus are revealed";
      const uint64_t top = element << unused;
      values.push_back(output.type.is_index ? static_cast<int64_t>(top >> unused)
                                            : static_cast<int64_t>(top) >> unused);
    }
  });
  return values;
}

class Conformance : public ::testing::TestWithParam<Case> {
 protected:
  Ring ring() const { return GetParam().ring; }
  int bits() const { return bits_of(ring()).value(); }
  bool alone() const { return GetParam().protocol == "clear"; }
  PartyId receiver(PartyId recipient) const { return alone() ? PartyId::kEvaluator : recipient; }

  // widths with `spare` bits left of the ring.
  std::vector<Width> widths(int spare) const {
    if (ring() == Ring::k32) return {{12 - spare, 20}, {0, 32 - spare}, {5, 9}, {3, 3}};
    return {{24 - spare, 40}, {20, 25}, {0, 33}, {7, 3}};
  }

  // values within |y| <= (2^(magnitude_bits) - 1) 2^f: edges first, then random ones.
  std::vector<int64_t> values(int magnitude_bits, int f, size_t count) {
    const int64_t top = ((int64_t{1} << magnitude_bits) - 1) << f, unit = int64_t{1} << f;
    std::vector<int64_t> all = {0,        1,          -1,         unit,      -unit,   unit - 1, 1 - unit,
                                unit + 1, -1 - unit,  unit / 2,   -unit / 2, top,     -top,     top - 1,
                                1 - top,  top - unit, unit - top, top / 2,   -top / 2};
    for (int64_t& value : all) value = std::clamp(value, -top, top);
    while (all.size() < count) {
      // Magnitudes of all sizes.
      const int64_t value = static_cast<int64_t>(random_() >> 1) >> (random_() % 62);
      all.push_back((value % (top + 1)) * (random_() % 2 == 0 ? 1 : -1));
    }
    all.resize(count);
    return all;
  }

  LocalRunResult run(const Program& program, const std::vector<int64_t>& x, const std::vector<RingTensor>& constants) {
    verify(program);
    std::map<std::string, RingTensor> inputs;
    inputs.emplace("x", tensor_of(ring(), program.steps[0].type.shape, x));
    LocalRunOptions options;
    options.seed = seed_++;
    return run_local(GetParam().protocol, program, constants, inputs, options);
  }

  // run_step runs one step on x in both forms: masked as it comes in, and additive modulo exactly `modulus` bits.
  void run_step(const Shape& shape, const std::vector<int64_t>& x, int modulus,
                const std::function<SlotId(Builder&, SlotId)>& step,
                const std::function<void(const std::vector<int64_t>&)>& check) {
    for (bool additive : {false, true}) {
      SCOPED_TRACE(additive ? "additive" : "masked");
      Builder b(ring());
      std::vector<RingTensor> constants;
      SlotId slot = b.input(shape);
      if (additive) {
        const ChannelGeometry g{shape.elements(), 1};
        LinearStep one;
        one.terms.push_back({slot, g, b.constant("one", {1}, Bits(0))});
        one.modulus = Bits(modulus);
        slot = b.add(ReshapeStep{b.add(one), shape});
        constants.push_back(tensor_of(ring(), {1}, {1}));
      }
      b.output(step(b, slot), PartyId::kDealer);
      const LocalRunResult result = run(b.program, x, constants);
      check(signed_values(result.output(receiver(PartyId::kDealer), "y")));
    }
  }

  // check_elementwise: |out * 2^f - expected(y)| < slack.
  void check_elementwise(int f, int k, int margin, const std::function<SlotId(Builder&, SlotId)>& step,
                         const std::function<Wide(Wide)>& expected, Wide slack) {
    const std::vector<int64_t> x = values(k - 1 - margin, f, 777);
    run_step({777}, x, f + k, step, [&](const std::vector<int64_t>& out) {
      for (size_t i = 0; i < x.size(); ++i) {
        const Wide difference = (static_cast<Wide>(out[i]) << f) - expected(x[i]);
        ASSERT_TRUE(difference < slack && -difference < slack)
            << "f=" << f << " k=" << k << " x=" << x[i] << " gave " << out[i];
      }
    });
  }

  std::mt19937_64 random_{11};
  uint64_t seed_ = 100;
};

TEST_P(Conformance, Relu) {
  for (const auto [f, k] : widths(0)) {
    check_elementwise(
        f, k, 0,
        [&, f = f, k = k](Builder& b, SlotId x) {
          return b.add(ReluStep{x, Bits(f), Bits(k)});
        },
        [](Wide y) { return y > 0 ? y : 0; }, Wide{1} << f);
  }
}

TEST_P(Conformance, Clip) {
  for (const auto [f, k] : widths(0)) {
    for (int64_t upper : {int64_t{1}, (int64_t{1} << (k - 2)) - 1}) {
      if (upper < 1) continue;
      // One bit of margin: the distance to the bound must fit too.
      check_elementwise(
          f, k, 1,
          [&, f = f, k = k](Builder& b, SlotId x) {
            return b.add(ClipStep{x, Bits(f), Bits(k), upper});
          },
          [&, f = f](Wide y) { return std::clamp<Wide>(y, 0, static_cast<Wide>(upper) << f); }, Wide{1} << f);
    }
  }
}

TEST_P(Conformance, LeakyRelu) {
  for (const auto [f, k] : widths(0)) {
    const int g = std::min(5, bits() - k);
    for (int64_t slope : {int64_t{0}, int64_t{3}, -(int64_t{1} << g), int64_t{1} << g}) {
      if (slope == 3 && g < 2) continue;
      check_elementwise(
          f, k, 0,
          [&, f = f, k = k](Builder& b, SlotId x) {
            return b.add(LeakyReluStep{x, Bits(f), Bits(k), slope, Bits(g)});
          },
          [&](Wide y) { return y >= 0 ? y << g : y * slope; }, Wide{1} << (f + g));
    }
  }
}

TEST_P(Conformance, Rescale) {
  for (const auto [f, k] : widths(0)) {
    check_elementwise(
        f, k, 1,
        [&, f = f, k = k](Builder& b, SlotId x) {
          return b.add(RescaleStep{x, Bits(f), Bits(k)});
        },
        [](Wide y) { return y; }, Wide{1} << f);
  }
}

TEST_P(Conformance, NonNegative) {
  for (const auto [f, k] : widths(0)) {
    const std::vector<int64_t> x = values(k - 1, f, 777);
    run_step(
        {777}, x, f + k,
        [&, f = f, k = k](Builder& b, SlotId slot) {
          return b.add(NonNegativeStep{slot, Bits(f), Bits(k)});
        },
        [&, f = f](const std::vector<int64_t>& out) {
          for (size_t i = 0; i < x.size(); ++i) {
            // Above -1 the truncated value may be 0 or -1.
            const bool is_open = x[i] < 0 && x[i] > -(int64_t{1} << f);
            ASSERT_TRUE(out[i] == (x[i] >= 0 ? 1 : 0) || (is_open && out[i] == 1)) << x[i] << " gave " << out[i];
          }
        });
  }
}

// random_table has entries of the given width, with both extremes.
TableDecl random_table(const std::string& name, int n, int bits, bool is_signed, std::mt19937_64& random) {
  TableDecl declared{name, {Bits(bits), is_signed, {}}, Bits(0)};
  const int64_t size = int64_t{1} << bits, low = is_signed ? -size / 2 : 0;
  for (int64_t i = 0; i < int64_t{1} << n; ++i)
    declared.table.entries.push_back(low + static_cast<int64_t>(random() % static_cast<uint64_t>(size)));
  declared.table.entries.front() = low;
  declared.table.entries.back() = low + size - 1;
  return declared;
}

TEST_P(Conformance, LookUp) {
  for (const auto [f, n] : {Width{12, 8}, Width{0, 2}, Width{20, 11}, Width{3, 5}}) {
    const std::vector<int64_t> x = values(n - 1, f, 333);
    const int widest = std::min(bits(), 48);
    const std::vector<TableDecl> tables = {random_table("narrow", n, 1, false, random_),
                                           random_table("middle", n, 12, true, random_),
                                           random_table("widest", n, widest, true, random_)};
    run_step(
        {9, 37}, x, f + n,
        [&, f = f, n = n](Builder& b, SlotId slot) {
          b.program.tables = tables;
          const SlotId y = b.add(LookUpStep{slot, Bits(f), Bits(n), {TableId{1}, TableId{0}, TableId{2}, TableId{1}}});
          EXPECT_EQ(b.type(y).shape, (Shape{4, 9, 37}));
          return y;
        },
        [&, f = f, n = n](const std::vector<int64_t>& out) {
          size_t at = 0;
          for (const size_t table : {1, 0, 2, 1}) {
            for (const int64_t value : x) {
              const auto entry = [&](int64_t i) {
                return tables[table].table.entries.at(static_cast<size_t>(i + (int64_t{1} << (n - 1))));
              };
              const int64_t floor = value >> f, ceiling = floor + (value % (int64_t{1} << f) != 0 ? 1 : 0);
              ASSERT_TRUE(out[at] == entry(floor) || out[at] == entry(ceiling))
                  << "f=" << f << " n=" << n << " table " << table << " at " << value << " gave " << out[at];
              ++at;
            }
          }
        });
  }
}

TEST_P(Conformance, Products) {
  // Both halves of x are factors, of full range; so are activations, which have masks of another kind.
  const BatchMatmul matmul{3, 4, 5, 7};
  const int64_t left = left_shape(matmul).elements(), right = right_shape(matmul).elements();
  const Shape shape{left + right};
  std::vector<int64_t> x = {0, 1, -1, INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX};
  while (x.size() < static_cast<size_t>(shape.elements())) x.push_back(static_cast<int64_t>(random_()));
  const auto wrapped = [&](uint64_t y) {
    return ring() == Ring::k32 ? static_cast<int64_t>(static_cast<int32_t>(y)) : static_cast<int64_t>(y);
  };
  for (PartyId owner : {PartyId::kDealer, PartyId::kEvaluator}) {
    SCOPED_TRACE(index_of(owner));
    Builder b(ring());
    const SlotId in = b.input(shape, Bits(3), owner);
    const SlotId a = b.add(SliceStep{in, {0}, {1}, {left}}), c = b.add(SliceStep{in, {left}, {1}, {right}});
    const SlotId product = b.add(ProductStep{a, c, matmul});
    EXPECT_EQ(b.type(product).scale, Bits(6));
    const SlotId part = b.add(SliceStep{c, {0}, {1}, {left}});
    const SlotId sign = b.add(NonNegativeStep{a, Bits(0), Bits(32)});
    b.output(product, PartyId::kDealer, "matmul");
    b.output(b.add(ProductStep{a, part, Elementwise{{4, left / 4}}}), PartyId::kHelper, "elementwise");
    b.output(b.add(ProductStep{a, a, Elementwise{{left}}}), PartyId::kEvaluator, "square");
    b.output(b.add(ProductStep{sign, a, Elementwise{{left}}}), PartyId::kDealer, "signed");
    const LocalRunResult result = run(b.program, x, {});
    const auto out = [&](PartyId party, const char* name) {
      return signed_values(result.output(receiver(party), name));
    };
    const std::vector<int64_t> matrices = out(PartyId::kDealer, "matmul");
    for (int64_t i = 0; i < output_shape(matmul).elements(); ++i) {
      const int64_t row = i / matmul.cols, col = i % matmul.cols, batch = row / matmul.rows;
      uint64_t sum = 0;
      for (int64_t k = 0; k < matmul.inner; ++k) {
        sum += static_cast<uint64_t>(x[static_cast<size_t>(row * matmul.inner + k)]) *
               static_cast<uint64_t>(x[static_cast<size_t>(left + (batch * matmul.inner + k) * matmul.cols + col)]);
      }
      ASSERT_EQ(matrices[static_cast<size_t>(i)], wrapped(sum)) << i;
    }
    const std::vector<int64_t> products = out(PartyId::kHelper, "elementwise"),
                               squares = out(PartyId::kEvaluator, "square"), kept = out(PartyId::kDealer, "signed");
    for (size_t i = 0; i < static_cast<size_t>(left); ++i) {
      const auto value = static_cast<uint64_t>(x[i]);
      ASSERT_EQ(products[i], wrapped(value * static_cast<uint64_t>(x[i + static_cast<size_t>(left)]))) << i;
      ASSERT_EQ(squares[i], wrapped(value * value)) << i;
      const bool is_negative = static_cast<int32_t>(value) < 0;  // the sign of the low 32 bits
      ASSERT_EQ(kept[i], is_negative ? 0 : wrapped(value)) << i;
    }
  }
}

TEST_P(Conformance, MultiplesOfTheUnitAreTruncatedExactly) {
  const int f = 6, k = 12;
  std::vector<int64_t> x;
  for (int64_t i = -1000; i <= 1000; ++i) x.push_back(i << f);
  run_step(
      {2001}, x, f + k,
      [&](Builder& b, SlotId s) {
        return b.add(ReluStep{s, Bits(f), Bits(k)});
      },
      [&](const std::vector<int64_t>& out) {
        for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(out[i], std::max<int64_t>(x[i] >> f, 0));
      });
}

// max_of gives the maximum of every window.
std::vector<int64_t> max_of(const PoolGeometry& p, const std::vector<int64_t>& x) {
  std::vector<int64_t> result;
  for (int64_t oy = 0; oy < p.out_h; ++oy) {
    for (int64_t ox = 0; ox < p.out_w; ++ox) {
      for (int64_t c = 0; c < p.channels; ++c) {
        int64_t best = INT64_MIN;
        for (int64_t i = 0; i < p.kernel_h * p.kernel_w; ++i) {
          const int64_t y = oy * p.stride_h - p.pad_top + i / p.kernel_w;
          const int64_t column = ox * p.stride_w - p.pad_left + i % p.kernel_w;
          if (y >= 0 && y < p.in_h && column >= 0 && column < p.in_w)
            best = std::max(best, x[static_cast<size_t>((y * p.in_w + column) * p.channels + c)]);
        }
        result.push_back(best);
      }
    }
  }
  return result;
}

TEST_P(Conformance, MaxPool) {
  const Shape shape{1, 9, 7, 5};
  for (const auto [f, k] : widths(1)) {
    for (const PoolGeometry& pool : {pool_of(shape, 3, 2, 1), pool_of(shape, 2, 2, 0), pool_of(shape, 3, 1, 0)}) {
      const int bits_allowed = std::min(k, bits() - f - 1) - 1;
      const Bits used(bits_allowed + 1);
      const std::vector<int64_t> x = values(bits_allowed, f, static_cast<size_t>(shape.elements()));
      const std::vector<int64_t> expected = max_of(pool, x);
      run_step(
          shape, x, f + used.value() + 1,
          [&, f = f](Builder& b, SlotId s) {
            const SlotId y = b.add(MaxPoolStep{s, pool, Bits(f), used});
            return y;
          },
          [&, f = f](const std::vector<int64_t>& out) {
            for (size_t i = 0; i < expected.size(); ++i) {
              const Wide difference = (static_cast<Wide>(out[i]) << f) - expected[i];
              ASSERT_TRUE(difference < Wide{1} << f && -difference < Wide{1} << f)
                  << "f=" << f << " k=" << used.value() << " output " << i;
            }
          });
    }
  }
}

TEST_P(Conformance, ReluOfAMaximumExtendsItToTheRing) {
  const Shape shape{1, 6, 6, 3};
  const std::vector<int64_t> x = values(17, 6, static_cast<size_t>(shape.elements()));
  const PoolGeometry pool = pool_of(shape, 3, 2, 0);
  const std::vector<int64_t> expected = max_of(pool, x);
  run_step(
      shape, x, 26,
      [&](Builder& b, SlotId s) {
        const SlotId y = b.add(MaxPoolStep{s, pool, Bits(6), Bits(18)});
        return b.add(ReluStep{y, Bits(0), Bits(19)});
      },
      [&](const std::vector<int64_t>& out) {
        for (size_t i = 0; i < expected.size(); ++i)
          ASSERT_LT(std::abs((out[i] << 6) - std::max<int64_t>(expected[i], 0)), 64) << i;
      });
}

TEST_P(Conformance, ArgMaxIsExactOnWholeUnitsAndTakesTheFirst) {
  for (int64_t columns : {1, 2, 3, 5, 8, 13}) {
    const int64_t rows = 40;
    const int f = 4, k = 14;
    std::vector<int64_t> x;
    for (int64_t i = 0; i < rows * columns; ++i) x.push_back((static_cast<int64_t>(random_() % 7) - 3) << f);
    x[0] = -(((int64_t{1} << (k - 1)) - 1) << f);
    x[static_cast<size_t>(columns - 1)] = ((int64_t{1} << (k - 1)) - 1) << f;
    run_step(
        {rows, columns}, x, f + k + 1,
        [&](Builder& b, SlotId s) {
          return b.add(ArgMaxStep{s, Bits(f), Bits(k)});
        },
        [&](const std::vector<int64_t>& out) {
          ASSERT_EQ(out.size(), static_cast<size_t>(rows));
          for (int64_t r = 0; r < rows; ++r) {
            const auto row = x.begin() + r * columns;
            ASSERT_EQ(out[static_cast<size_t>(r)], std::max_element(row, row + columns) - row)
                << "row " << r << " of " << columns << " columns";
          }
        });
  }
}

TEST_P(Conformance, LinearMapsAreExact) {
  const Shape shape{2, 5, 6, 4};
  for (int modulus : {bits(), 27, 9, 1}) {
    Builder b(ring());
    std::vector<RingTensor> constants;
    const auto random_constant = [&](Shape s) {
      RingTensor& tensor = constants.emplace_back(RingTensor::stored(ring(), std::move(s)));
      dispatch(ring(), [&](auto word) {
        for (auto& value : tensor.as<decltype(word)>()) value = static_cast<decltype(word)>(random_());
      });
    };
    const SlotId x = b.input(shape);
    const ConvGeometry one = conv_of(shape, 6, 3, 1, 2), two = conv_of(shape, 6, 1, 0);
    LinearStep step;
    step.terms.push_back({x, one, b.constant("w1", weight_shape(LinearMap(one)), Bits(3))});
    step.terms.push_back({x, two, b.constant("w2", weight_shape(LinearMap(two)), Bits(3))});
    step.bias = b.constant("bias", {6}, Bits(15));
    step.modulus = Bits(modulus);
    const SlotId sum = b.add(step);
    b.output(b.add(AddConstantStep{sum, b.constant("more", b.type(sum).shape, Bits(15))}));
    for (const ConstantDecl& declared : b.program.constants) random_constant(declared.shape);
    std::vector<int64_t> values;
    for (int64_t i = 0; i < shape.elements(); ++i) values.push_back(static_cast<int64_t>(random_()));
    const RingTensor input = tensor_of(ring(), shape, values);
    RingTensor expected = apply_reference(one, constants[0], input);
    add_in_place(expected, apply_reference(two, constants[1], input));
    add_channel(expected, constants[2]);
    add_in_place(expected, constants[3]);
    reduce(expected, Bits(modulus));
    const LocalRunResult result = run(b.program, values, constants);
    const RevealedOutput& output = result.output(receiver(PartyId::kDealer), "y");
    EXPECT_EQ(output.value.modulus, Bits(modulus));
    dispatch(ring(), [&](auto word) {
      EXPECT_TRUE(std::ranges::equal(output.value.value.as<decltype(word)>(), expected.as<decltype(word)>()))
          << "modulo 2^" << modulus;
    });
  }
}

TEST_P(Conformance, EveryOwnerAndRecipient) {
  const std::vector<int64_t> x = values(20, 0, 50);
  for (PartyId owner : {PartyId::kDealer, PartyId::kEvaluator}) {
    for (PartyId recipient : kAllParties) {
      Builder b(ring());
      const SlotId in = b.input({50}, Bits(12), owner);
      const SlotId y = b.add(ReluStep{in, Bits(0), Bits(22)});
      b.output(y, recipient, "y");
      b.output(in, recipient, "again");
      const LocalRunResult result = run(b.program, x, {});
      const std::vector<int64_t> out = signed_values(result.output(receiver(recipient), "y"));
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(out[i], std::max<int64_t>(x[i], 0)) << "owner " << index_of(owner);
      EXPECT_EQ(signed_values(result.output(receiver(recipient), "again")), x);
      size_t received = 0;
      for (const auto& outputs : result.outputs) received += outputs.size();
      EXPECT_EQ(received, 2u) << "somebody else than the recipient received an output";
    }
  }
}

TEST_P(Conformance, SharesAddUpToTheValue) {
  const std::vector<int64_t> x = values(20, 0, 64);
  Builder b(ring());
  const SlotId in = b.input({64});
  LinearStep twice;
  twice.terms.push_back({b.add(ReshapeStep{in, {1, 64}}), ChannelGeometry{1, 64}, b.constant("w", {64}, Bits(0))});
  twice.modulus = Bits(25);
  b.output(b.add(twice), PartyId::kDealer, "y", OutputPolicy::kShares);
  std::vector<RingTensor> constants;
  constants.push_back(tensor_of(ring(), {64}, std::vector<int64_t>(64, 2)));
  const LocalRunResult result = run(b.program, x, constants);
  RingTensor sum = RingTensor::zeros(ring(), {1, 64});
  int halves = 0;
  for (const auto& outputs : result.outputs) {
    for (const RevealedOutput& output : outputs) {
      add_in_place(sum, output.value.value);
      EXPECT_EQ(output.policy, OutputPolicy::kShares);
      ++halves;
    }
  }
  EXPECT_EQ(halves, alone() ? 1 : 2);
  reduce(sum, Bits(25));
  RevealedOutput whole{"y", b.program.steps.back().type, {std::move(sum), Bits(25)}};
  std::vector<int64_t> expected;
  for (int64_t value : x) expected.push_back(2 * value);
  EXPECT_EQ(signed_values(whole), expected);
}

TEST_P(Conformance, LocalStepsAndReusedSlots) {
  // y = relu(pad(transpose(2x + x))[reverse]) with every result in a slot that was freed before.
  Builder b(ring());
  const Shape shape{3, 4, 5};
  const SlotId x = b.input(shape);
  const SlotId y = b.add(AddStep{x, b.add(ScaleStep{x, -2, Bits(0)}), Bits(0), Bits(0), true});
  const SlotId t = b.add(TransposeStep{y, {1, 0, 2}});
  const SlotId p = b.add(PadStep{t, {0, 0, 1}, {0, 0, 0}});
  const SlotId s = b.add(SliceStep{p, {3, 0, 0}, {-1, 1, 1}, {4, 3, 6}});
  const SlotId again = b.add(GatherStep{s, 2, {0, 1, 2, 3, 4, 5}});
  const SlotId twice = b.add(GatherStep{again, 1, {2, 0, 1}});
  const SlotId back = b.add(GatherStep{twice, 1, {1, 2, 0}});
  const SlotId joined = b.add(ConcatStep{{back, back}, {0, 0}, 2});
  b.output(b.add(ReluStep{joined, Bits(0), Bits(24)}));
  // Odd and even slots in turn: from the third step on nothing older is read.
  for (size_t i = 3; i < b.program.steps.size(); ++i) {
    const auto rename = [](SlotId slot) { return SlotId{index_of(slot) % 2}; };
    Step& step = b.program.steps[i];
    std::visit(
        [&](auto& body) {
          using Body = std::decay_t<decltype(body)>;
          if constexpr (std::is_same_v<Body, ConcatStep>) {
            for (SlotId& part : body.parts) part = rename(part);
          } else if constexpr (requires { body.x; }) {
            body.x = i == 3 ? body.x : rename(body.x);
          }
        },
        step.body);
    step.result = i + 1 == b.program.steps.size() ? std::get<OutputStep>(step.body).x : rename(step.result);
  }
  std::vector<int64_t> values(60);
  for (size_t i = 0; i < 60; ++i) values[i] = static_cast<int64_t>(i) * 1000 - 20000;
  const LocalRunResult result = run(b.program, values, {});
  const std::vector<int64_t> out = signed_values(result.output(receiver(PartyId::kDealer), "y"));
  size_t at = 0;
  for (int64_t i = 3; i >= 0; --i) {
    for (int64_t j = 0; j < 3; ++j) {
      for (int64_t c = 0; c < 12; ++c, ++at) {
        const int64_t column = c % 6 - 1;
        const int64_t expected = column < 0 ? 0 : 3 * values[static_cast<size_t>((j * 4 + i) * 5 + column)];
        ASSERT_EQ(out[at], std::max<int64_t>(expected, 0)) << i << " " << j << " " << c;
      }
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (std::string_view name : protocol_names())
    for (Ring ring : {Ring::k32, Ring::k64}) all.push_back({std::string(name), ring});
  return all;
}
INSTANTIATE_TEST_SUITE_P(Protocols, Conformance, ::testing::ValuesIn(cases()), [](const auto& test) {
  return fmt::format("{}{}", test.param.protocol, bits_of(test.param.ring));
});

}  // namespace
}  // namespace treville
