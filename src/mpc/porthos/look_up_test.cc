#include "mpc/porthos/pass.h"
#include "mpc/porthos/porthos_test_util.h"

namespace treville::porthos {
namespace {

struct Case {
  Ring ring;
  int truncate;
  int n;
};

LookUpTable random_table(int n, int bits, bool is_signed, std::mt19937_64& random) {
  LookUpTable table{Bits(bits), is_signed, {}};
  const int64_t size = int64_t{1} << bits, low = is_signed ? -size / 2 : 0;
  for (int64_t i = 0; i < int64_t{1} << n; ++i)
    table.entries.push_back(low + static_cast<int64_t>(random() % static_cast<uint64_t>(size)));
  table.entries.front() = low;
  table.entries.back() = low + size - 1;
  return table;
}

// indices are values whose truncation meets every entry: all of them if there are enough, both ends, then random ones.
std::vector<int64_t> indices(const Case& c, size_t count, std::mt19937_64& random) {
  const int64_t half = int64_t{1} << (c.n - 1), unit = int64_t{1} << c.truncate;
  std::vector<int64_t> values = {0, -1, 1, (half - 1) * unit, -half * unit, -half * unit + 1, unit - 1, -unit + 1};
  for (int64_t i = -half; i < half; ++i) values.push_back(i * unit);
  while (values.size() < count) {
    values.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(2 * half * unit - unit)) - half * unit);
  }
  values.resize(count);
  return values;
}

// expect_entries runs one look-up, on a value that is masked, and compares with the tables at the truncated value that
// the shares themselves give.
void expect_entries(const Case& c, size_t count, const std::vector<LookUpTable>& tables, std::mt19937_64& random) {
  const uint64_t seed = random();
  SCOPED_TRACE(
      fmt::format("ring {}, truncate {}, n {}, {} elements, seed {}", bits_of(c.ring), c.truncate, c.n, count, seed));
  const std::vector<int64_t> values = indices(c, count, random);
  const Shape shape{static_cast<int64_t>(count)};
  const RingTensor x = tensor_of(c.ring, shape, values);
  std::vector<const LookUpTable*> pointers;
  for (const LookUpTable& table : tables) pointers.push_back(&table);
  Held held;
  run_passes(
      [&](const Cell& cell) {
        cell.protocol.begin_inference(0);
        cell.protocol.begin_step(StepId{0}, "input");
        Shared shared = cell.protocol.input(kD, &x, c.ring, shape);
        held.keep(cell, "x", shared);
        cell.protocol.begin_step(StepId{1}, "look_up");
        held.keep(cell, "y", cell.protocol.look_up(std::move(shared), Bits(c.truncate), Bits(c.n), pointers));
      },
      seed);
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  held.expect_masked("y");
  EXPECT_EQ(held.at("y").modulus, bits_of(c.ring).value());
  EXPECT_EQ(held.at("y").shape, (Shape{static_cast<int64_t>(tables.size()), static_cast<int64_t>(count)}));
  const std::vector<int64_t> truncated = held.truncated("x", c.truncate), result = held.signed_value("y");
  for (size_t table = 0; table < tables.size(); ++table) {
    for (size_t i = 0; i < count; ++i) {
      const int64_t floor = values[i] >> c.truncate;
      const bool exact = values[i] == floor * (int64_t{1} << c.truncate);
      ASSERT_TRUE(truncated[i] == floor || (!exact && truncated[i] == floor + 1)) << values[i];
      const uint64_t at = Held::reduced(static_cast<uint64_t>(truncated[i] + (int64_t{1} << (c.n - 1))), c.n);
      const int64_t entry = tables[table].entries[at];
      const int bits = bits_of(c.ring).value();
      ASSERT_EQ(result[table * count + i], Held::extended(Held::reduced(static_cast<uint64_t>(entry), bits), bits))
          << "table " << table << " element " << i << ", truncated value " << truncated[i];
    }
  }
}

const std::vector<Case> kCases = {{Ring::k32, 12, 8}, {Ring::k32, 0, 8},   {Ring::k32, 24, 8},
                                  {Ring::k32, 5, 2},  {Ring::k32, 3, 12},  {Ring::k64, 20, 10},
                                  {Ring::k64, 0, 12}, {Ring::k64, 52, 12}, {Ring::k64, 30, 3}};

TEST(PorthosLookUp, GivesEveryEntryOfEveryKindOfTable) {
  std::mt19937_64 random(std::random_device{}());
  for (const Case& c : kCases) {
    const int widest = std::min(48, bits_of(c.ring).value());
    expect_entries(
        c, 5000,
        {random_table(c.n, 12, true, random), random_table(c.n, 1, false, random), random_table(c.n, 1, true, random),
         random_table(c.n, widest, true, random), random_table(c.n, widest - 1, false, random)},
        random);
  }
}

TEST(PorthosLookUp, IsExactAtEveryTailOfABlock) {
  std::mt19937_64 random(std::random_device{}());
  for (const size_t count : {1, 63, 64, 65, 511, 513, 65536, 65536 + 65, 2 * 65536 + 7})
    expect_entries({Ring::k32, 6, 5}, count, {random_table(5, 9, true, random), random_table(5, 4, false, random)},
                   random);
}

TEST(PorthosLookUp, TakesConstantTablesAndAsManyBitsAsThereAreRounds) {
  std::mt19937_64 random(std::random_device{}());
  std::vector<LookUpTable> tables = {{Bits(7), false, {127, 127, 127, 127}}, {Bits(8), true, {-128, -128, -128, -128}}};
  for (int i = 0; i < 8; ++i) tables.push_back(random_table(2, 30, true, random));
  expect_entries({Ring::k32, 4, 2}, 300, tables, random);  // 255 bits
}

}  // namespace
}  // namespace treville::porthos
