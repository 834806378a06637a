#include "kernels/table_planes.h"

#include "kernels/bit_planes.h"
#include "kernels/kernels_test_util.h"

namespace treville {
namespace {

LookUpTable random_table(int n, int bits, bool is_signed, std::mt19937_64& random) {
  LookUpTable table{Bits(bits), is_signed, {}};
  for (int64_t i = 0; i < int64_t{1} << n; ++i) {
    const int64_t entry = static_cast<int64_t>(random() & ((uint64_t{1} << bits) - 1));
    table.entries.push_back(is_signed ? entry - (int64_t{1} << (bits - 1)) : entry);
  }
  return table;
}

TEST(TablePlanes, GiveSharesOfTheEntryAtEveryIndexOnEveryTarget) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for_each_target([&] {
    for (const int n : {1, 2, 5, 8, 11}) {
      for (const int64_t elements : {1, 64, 777}) {
        const LookUpTable wide = random_table(n, 13, true, random), narrow = random_table(n, 1, false, random);
        const std::array<const LookUpTable*, 2> tables = {&wide, &narrow};
        const TableBits bits(n, tables);
        ASSERT_EQ(bits.planes(), 14);
        std::vector<uint64_t> x, r;
        for (int64_t i = 0; i < elements; ++i) {
          x.push_back(random() % (uint64_t{1} << n));
          r.push_back(random() % (uint64_t{1} << n));
        }
        BitPlanes x_planes(elements, n, false), r_planes(elements, n, false);
        to_planes<uint64_t>(x, 0, n, x_planes);
        to_planes<uint64_t>(r, 0, n, r_planes);
        BitPlanes first(elements, indicator_planes(n), false);
        for (uint64_t& word : first.storage().as<uint64_t>()) word = random();
        BitPlanes second = BitPlanes::adopt(elements, first.planes(), first.storage().clone());
        flip_indicators(n, r_planes, second);
        BitPlanes own(elements, 14, false), other(elements, 14, false);
        look_up_planes(bits, x_planes, first, true, own);
        look_up_planes(bits, x_planes, second, false, other);
        xor_words(own.storage().as<uint64_t>(), other.storage().as<uint64_t>());
        std::vector<uint64_t> found(static_cast<size_t>(elements));
        from_planes<uint64_t>(own, 0, 14, found);
        for (size_t i = 0; i < found.size(); ++i) {
          const size_t index = (x[i] - r[i]) & ((uint64_t{1} << n) - 1);
          const uint64_t expected = (static_cast<uint64_t>(wide.entries[index]) & 0x1fff) |
                                    static_cast<uint64_t>(narrow.entries[index]) << 13;
          ASSERT_EQ(found[i], expected) << "n=" << n << " x=" << x[i] << " r=" << r[i];
        }
      }
    }
  });
}

TEST(TableBits, ListsAtMostHalfOfTheIndices) {
  const LookUpTable ones{Bits(2), false, {3, 3, 3, 1}};
  const std::array<const LookUpTable*, 1> tables = {&ones};
  const TableBits bits(2, tables);
  ASSERT_EQ(bits.planes(), 2);
  EXPECT_TRUE(bits.functions()[0].lists_zeros);
  EXPECT_TRUE(bits.functions()[0].indices.empty());
  EXPECT_EQ(bits.functions()[1].indices, std::vector<uint16_t>{3});
}

}  // namespace
}  // namespace treville
