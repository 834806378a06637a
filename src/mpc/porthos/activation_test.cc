#include "mpc/porthos/porthos_test_util.h"

namespace treville::porthos {
namespace {

struct Case {
  Ring ring;
  int truncate;
  int k;
};

// edges lists truncated values around 0, the range's ends and the borders of chunks, then random ones.
std::vector<int64_t> edges(int k, size_t count, std::mt19937_64& random) {
  const int64_t top = (int64_t{1} << (k - 1)) - 1;
  std::vector<int64_t> values = {0, -1, 1, top, -top, top - 1, -top + 1};
  for (int border = 1; border < k - 1; ++border) {
    for (const int64_t near : {-1, 0, 1}) {
      for (const int64_t sign : {-1, 1}) values.push_back(sign * ((int64_t{1} << border) + near));
    }
  }
  for (int64_t& value : values) value = std::clamp(value, -top, top);
  while (values.size() < count) {
    values.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(2 * top + 1)) - top);
  }
  values.resize(count);
  return values;
}

// inputs are what truncates to such values: low bits are random unless that leaves the range of section 12.
std::vector<int64_t> inputs(const Case& c, size_t count, std::mt19937_64& random) {
  std::vector<int64_t> values = edges(c.k, count, random);
  const int64_t top = ((int64_t{1} << (c.k - 1)) - 1) << c.truncate;
  for (int64_t& value : values) {
    const auto low = static_cast<int64_t>(random() & ((uint64_t{1} << c.truncate) - 1));
    value = std::clamp(value * (int64_t{1} << c.truncate) + low * static_cast<int64_t>(random() & 1), -top, top);
  }
  return values;
}

using Operation = std::function<Shared(Protocol&, Shared)>;

// run shares `values` from D, applies the operation and keeps both as "x" and "y".
void run(Held& held, const Case& c, const std::vector<int64_t>& values, const Operation& operation, uint64_t seed) {
  const Shape shape{static_cast<int64_t>(values.size())};
  const RingTensor x = tensor_of(c.ring, shape, values);
  run_passes(
      [&](const Cell& cell) {
        cell.protocol.begin_inference(0);
        cell.protocol.begin_step(StepId{0}, "input");
        Shared shared = cell.protocol.input(PartyId::kDealer, &x, c.ring, shape);
        held.keep(cell, "x", shared);
        cell.protocol.begin_step(StepId{1}, "activation");
        held.keep(cell, "y", operation(cell.protocol, std::move(shared)));
      },
      seed);
}

void expect(const Case& c, size_t count, const Operation& operation, const std::function<int64_t(int64_t)>& meaning) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(
      fmt::format("ring {}, truncate {}, k {}, {} elements, seed {}", bits_of(c.ring), c.truncate, c.k, count, seed));
  std::mt19937_64 random(seed);
  const std::vector<int64_t> values = inputs(c, count, random);
  Held held;
  run(held, c, values, operation, seed);
  if (testing::Test::HasFatalFailure()) return;
  held.expect_masked("y");
  EXPECT_EQ(held.at("y").modulus, bits_of(c.ring).value());
  const std::vector<int64_t> truncated = held.truncated("x", c.truncate), result = held.signed_value("y");
  ASSERT_EQ(result.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t floor = values[i] >> c.truncate;
    const bool exact = values[i] == floor * (int64_t{1} << c.truncate);
    ASSERT_TRUE(truncated[i] == floor || (!exact && truncated[i] == floor + 1)) << values[i];
    const int64_t wanted = Held::extended(
        Held::reduced(static_cast<uint64_t>(meaning(truncated[i])), bits_of(c.ring).value()), bits_of(c.ring).value());
    ASSERT_EQ(result[i], wanted) << "element " << i << ", truncated value " << truncated[i];
  }
}

const std::vector<Case> kCases = {{Ring::k32, 12, 20}, {Ring::k32, 0, 20},  {Ring::k32, 8, 24},  {Ring::k32, 0, 32},
                                  {Ring::k32, 30, 2},  {Ring::k32, 3, 5},   {Ring::k64, 20, 40}, {Ring::k64, 2, 62},
                                  {Ring::k64, 12, 21}, {Ring::k64, 12, 22}, {Ring::k64, 0, 3}};

TEST(PorthosRelu, IsExactOnEveryEdgeOfEveryRing) {
  for (const Case& c : kCases) {
    expect(
        c, 1000, [&](Protocol& p, Shared x) { return p.relu(std::move(x), Bits(c.truncate), Bits(c.k)); },
        [](int64_t y) { return std::max<int64_t>(y, 0); });
  }
}

TEST(PorthosRelu, IsExactAtEveryTailOfABlock) {
  const Case c{Ring::k32, 12, 20};
  for (const size_t count : {1, 63, 64, 65, 511, 513, 65536 + 65}) {
    expect(
        c, count, [&](Protocol& p, Shared x) { return p.relu(std::move(x), Bits(c.truncate), Bits(c.k)); },
        [](int64_t y) { return std::max<int64_t>(y, 0); });
  }
}

TEST(PorthosRelu, IsExactOverSeveralBlocksForEveryNumberOfStages) {
  // From 22 bits on a borrow takes two levels: the parties' last messages then come in another order.
  for (const Case& c : {Case{Ring::k32, 12, 3}, Case{Ring::k32, 10, 22}, Case{Ring::k64, 20, 40}}) {
    expect(
        c, 2 * 65536 + 7, [&](Protocol& p, Shared x) { return p.relu(std::move(x), Bits(c.truncate), Bits(c.k)); },
        [](int64_t y) { return std::max<int64_t>(y, 0); });
    expect(
        c, 65536 + 7, [&](Protocol& p, Shared x) { return p.clip(std::move(x), Bits(c.truncate), Bits(c.k), 1); },
        [](int64_t y) { return std::clamp<int64_t>(y, 0, 1); });
  }
}

TEST(PorthosClip, IsExactOnEveryEdgeOfEveryRing) {
  for (const Case& c : kCases) {
    if (c.k < 4) continue;
    // The difference to the bound must fit as well, so values use one bit less.
    const Case narrow{c.ring, c.truncate, c.k - 1};
    const int64_t upper = (int64_t{1} << (c.k - 3)) + 1;
    expect(
        narrow, 1000,
        [&](Protocol& p, Shared x) {
          return p.clip(std::move(x), Bits(c.truncate), Bits(c.k), static_cast<uint64_t>(upper));
        },
        [&](int64_t y) { return std::clamp<int64_t>(y, 0, upper); });
  }
}

TEST(PorthosLeakyRelu, IsExactOnEveryEdgeOfEveryRing) {
  for (const Case& c : kCases) {
    for (const int64_t slope : {0, 3, -5}) {
      expect(
          c, 700,
          [&](Protocol& p, Shared x) {
            return p.leaky_relu(std::move(x), Bits(c.truncate), Bits(c.k), slope, Bits(4));
          },
          [&](int64_t y) { return y >= 0 ? static_cast<int64_t>(static_cast<uint64_t>(y) << 4) : slope * y; });
    }
  }
}

TEST(PorthosNonNegative, IsExactOnEveryEdgeOfEveryRing) {
  for (const Case& c : kCases) {
    for (const size_t count : {1, 65, 1000, 65536 + 7}) {
      expect(
          c, count, [&](Protocol& p, Shared x) { return p.non_negative(std::move(x), Bits(c.truncate), Bits(c.k)); },
          [](int64_t y) { return static_cast<int64_t>(y >= 0); });
    }
  }
}

TEST(PorthosRescale, IsExactOnEveryEdgeOfEveryRing) {
  for (const Case& c : kCases) {
    if (c.k < 3) continue;
    const Case narrow{c.ring, c.truncate, c.k - 1};
    for (const size_t count : {1, 65, 1000, 65536 + 1}) {
      expect(
          narrow, count, [&](Protocol& p, Shared x) { return p.rescale(std::move(x), Bits(c.truncate), Bits(c.k)); },
          [](int64_t y) { return y; });
    }
  }
}

}  // namespace
}  // namespace treville::porthos
