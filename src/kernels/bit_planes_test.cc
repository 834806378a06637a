#include "kernels/bit_planes.h"

#include <gtest/gtest.h>

#include "kernels/kernels_test_util.h"

namespace treville {
namespace {

constexpr uint64_t kSeed = 7011;

template <class Word>
class BitPlaneKernels : public ::testing::Test {
 protected:
  static constexpr int kBits = sizeof(Word) * 8;
  std::mt19937_64 random_{kSeed};

  std::vector<Word> random_values(int64_t n) { return values_of<Word>(random_tensor<Word>({n}, random_)); }
};

using Words = ::testing::Types<uint32_t, uint64_t>;
TYPED_TEST_SUITE(BitPlaneKernels, Words);

TYPED_TEST(BitPlaneKernels, PlaneJHoldsBitJOfEveryElement) {
  for_each_target([&] {
    for (int64_t n : {0, 1, 7, 63, 64, 65, 127, 128, 200, 513, 1024, 2048, 2600}) {
      const auto values = this->random_values(n);
      for (auto [first, planes] : {std::pair{0, this->kBits}, {0, 1}, {3, 20}, {this->kBits - 1, 1}, {5, 8}, {1, 0}}) {
        BitPlanes out(n, planes + 2, false);
        for (uint64_t& word : out.storage().template as<uint64_t>()) word = 0x5555;
        to_planes<TypeParam>(values, first, planes, out, 1);
        for (size_t e = 0; e < values.size(); ++e) {
          for (int j = 0; j < planes; ++j) {
            ASSERT_EQ((out.plane(1 + j)[e / 64] >> (e % 64)) & 1, (values[e] >> (first + j)) & 1)
                << "seed " << kSeed << " n " << n << " element " << e << " plane " << j << " first " << first;
          }
        }
        for (int untouched : {0, planes + 1}) {
          for (uint64_t word : out.plane(untouched)) ASSERT_EQ(word, 0x5555u) << "plane " << untouched;
        }
      }
    }
  });
}

TYPED_TEST(BitPlaneKernels, FromPlanesIsTheInverseAndClearsHigherBits) {
  using Word = TypeParam;
  for_each_target([&] {
    for (int64_t n : {0, 1, 7, 63, 64, 65, 127, 128, 200, 513, 1024, 2048, 2600}) {
      const auto values = this->random_values(n);
      for (auto [first, planes] : {std::pair{0, this->kBits}, {0, 1}, {3, 20}, {this->kBits - 1, 1}, {5, 8}, {1, 0}}) {
        BitPlanes out(n, planes + 1, false);
        for (uint64_t& word : out.storage().template as<uint64_t>()) word = ~uint64_t{0};
        to_planes<Word>(values, first, planes, out, 1);
        std::vector<Word> back(values.size() + 1, 42);
        from_planes<Word>(out, 1, planes, std::span(back).first(values.size()));
        for (size_t e = 0; e < values.size(); ++e) {
          const Word mask = planes == this->kBits ? ~Word{0} : static_cast<Word>((Word{1} << planes) - 1);
          const Word expected = planes == 0 ? 0 : static_cast<Word>((values[e] >> first) & mask);
          ASSERT_EQ(back[e], expected) << "seed " << kSeed << " n " << n << " element " << e << " first " << first;
        }
        ASSERT_EQ(back.back(), 42u) << "wrote past the end of " << n;
      }
    }
  });
}

TYPED_TEST(BitPlaneKernels, RunsFillAndReadTheirPartOfThePlanes) {
  using Word = TypeParam;
  for_each_target([&] {
    for (int64_t n : {64, 2048, 2049, 4096 + 700}) {
      const auto values = this->random_values(n);
      BitPlanes whole(n, 21, false), parts(n, 21, false);
      to_planes<Word>(values, 2, 21, whole);
      std::vector<Word> expected(values.size()), out(values.size());
      from_planes<Word>(whole, 0, 21, std::span(expected));
      for (int64_t from = 0; from < n; from += 1088) {
        const auto first = static_cast<size_t>(from), count = static_cast<size_t>(std::min<int64_t>(1088, n - from));
        to_planes<Word>(std::span(values).subspan(first, count), 2, 21, parts, 0, from);
        from_planes<Word>(whole, 0, 21, std::span(out).subspan(first, count), from);
      }
      EXPECT_EQ(out, expected) << n << " elements, seed " << kSeed;
      from_planes<Word>(parts, 0, 21, std::span(out));
      EXPECT_EQ(out, expected) << n << " elements, seed " << kSeed;
    }
  });
  BitPlanes planes(100, 3, false);
  std::vector<Word> values(64);
  EXPECT_THROW(to_planes<Word>(values, 0, 3, planes, 0, 32), BugError);
  EXPECT_THROW(to_planes<Word>(values, 0, 3, planes, 0, 64), BugError);
  EXPECT_THROW(from_planes<Word>(planes, 0, 3, std::span(values).first(63)), BugError);
}

TYPED_TEST(BitPlaneKernels, MaskExpandsToAllOnes) {
  using Word = TypeParam;
  for_each_target([&] {
    for (size_t n : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{300}}) {
      std::vector<uint64_t> plane((n + 63) / 64);
      for (uint64_t& word : plane) word = this->random_();
      std::vector<Word> out(n + 1, 42);
      expand_mask<Word>(plane, std::span(out).first(n));
      for (size_t e = 0; e < n; ++e) {
        ASSERT_EQ(out[e], (plane[e / 64] >> (e % 64)) & 1 ? ~Word{0} : Word{0}) << "seed " << kSeed;
      }
      ASSERT_EQ(out[n], 42u);
    }
  });
}

TEST(WordOperations, XorAndAndXorActOnEveryWord) {
  std::mt19937_64 random(kSeed);
  for_each_target([&] {
    for (int64_t n : {0, 1, 5, 8, 100}) {
      std::vector<uint64_t> y = values_of<uint64_t>(random_tensor<uint64_t>({n}, random));
      const std::vector<uint64_t> a = values_of<uint64_t>(random_tensor<uint64_t>({n}, random));
      const std::vector<uint64_t> b = values_of<uint64_t>(random_tensor<uint64_t>({n}, random));
      std::vector<uint64_t> expected = y;
      for (size_t i = 0; i < y.size(); ++i) expected[i] ^= a[i];
      xor_words(y, a);
      EXPECT_EQ(y, expected);
      std::vector<uint64_t> both(y.size());
      xor_words_of(both, a, b);
      for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(both[i], a[i] ^ b[i]);
      for (size_t i = 0; i < y.size(); ++i) expected[i] ^= a[i] & b[i];
      and_xor_words(y, a, b);
      EXPECT_EQ(y, expected);
    }
  });
  std::vector<uint64_t> y(2), x(3);
  EXPECT_THROW(xor_words(y, x), BugError);
}

TEST(BitPlaneKernels, RefuseWrongSizes) {
  BitPlanes planes(10, 4, false);
  std::vector<uint32_t> values(10), short_values(9);
  EXPECT_THROW(to_planes<uint32_t>(short_values, 0, 4, planes), BugError);
  EXPECT_THROW(to_planes<uint32_t>(values, 0, 4, planes, 1), BugError);
  EXPECT_THROW(to_planes<uint32_t>(values, 30, 4, planes), BugError);
  EXPECT_THROW(from_planes<uint32_t>(planes, 2, 3, values), BugError);
}

}  // namespace
}  // namespace treville
