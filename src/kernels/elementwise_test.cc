#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/elementwise_loops.h"
#include "kernels/kernels_test_util.h"

namespace treville {
namespace {

constexpr uint64_t kSeed = 20240611;

template <class Word>
class Elementwise : public ::testing::Test {
 protected:
  static constexpr int kBits = sizeof(Word) * 8;
  std::mt19937_64 random_{kSeed};

  // expect_map checks that an operation on y is f(y, x) at every element, for lengths around the vector sizes.
  template <class Operation, class F>
  void expect_map(const Operation& operation, const F& f) {
    for_each_target([&] {
      for (int64_t n : {0, 1, 3, 7, 8, 31, 64, 257}) {
        RingTensor y = random_tensor<Word>({n}, random_);
        const RingTensor x = random_tensor<Word>({n}, random_);
        const std::vector<Word> before = values_of<Word>(y), other = values_of<Word>(x);
        operation(y, x);
        for (size_t i = 0; i < before.size(); ++i) {
          ASSERT_EQ(y.as<Word>()[i], f(before[i], other[i])) << "seed " << kSeed << " element " << i << " of " << n;
        }
      }
    });
  }
};

using Words = ::testing::Types<uint32_t, uint64_t>;
TYPED_TEST_SUITE(Elementwise, Words);

TYPED_TEST(Elementwise, ArithmeticIsModuloTheRing) {
  using Word = TypeParam;
  this->expect_map([](RingTensor& y, const RingTensor& x) { add_in_place(y, x); },
                   [](Word y, Word x) { return static_cast<Word>(y + x); });
  this->expect_map([](RingTensor& y, const RingTensor& x) { subtract_in_place(y, x); },
                   [](Word y, Word x) { return static_cast<Word>(y - x); });
  this->expect_map([](RingTensor& y, const RingTensor&) { negate_in_place(y); },
                   [](Word y, Word) { return static_cast<Word>(~y + 1); });
  this->expect_map([](RingTensor& y, const RingTensor& x) { multiply_elementwise(y, x); },
                   [](Word y, Word x) { return static_cast<Word>(y * x); });
  this->expect_map([](RingTensor& y, const RingTensor&) { multiply_scalar(y, 0xfedcba9876543211); },
                   [](Word y, Word) { return static_cast<Word>(y * 0xfedcba9876543211); });
}

TYPED_TEST(Elementwise, AddsConstantsAlongWithValues) {
  using Word = TypeParam;
  const auto c = static_cast<Word>(0xfedcba9876543211);
  this->expect_map(
      [&](RingTensor& y, const RingTensor&) { loops<Word>().add_constant(y.as<Word>().data(), c, y.elements()); },
      [&](Word y, Word) { return static_cast<Word>(y + c); });
  this->expect_map(
      [&](RingTensor& y, const RingTensor& x) {
        const RingTensor before = y.clone();
        loops<Word>().sum_of(y.as<Word>().data(), before.as<Word>().data(), x.as<Word>().data(), y.elements());
        loops<Word>().add_constant(y.as<Word>().data(), c, y.elements());
        const std::vector<Word> sum = values_of<Word>(y);
        y = before.clone();
        loops<Word>().add_with(y.as<Word>().data(), x.as<Word>().data(), c, y.elements());
        EXPECT_EQ(values_of<Word>(y), sum);
      },
      [&](Word y, Word x) { return static_cast<Word>(y + x + c); });
}

TYPED_TEST(Elementwise, ShiftsByEveryAmount) {
  using Word = TypeParam;
  for (int shift : {0, 1, 13, TestFixture::kBits - 1}) {
    this->expect_map([&](RingTensor& y, const RingTensor& x) { add_shifted(y, x, Bits(shift)); },
                     [&](Word y, Word x) { return static_cast<Word>(y + (x << shift)); });
    this->expect_map([&](RingTensor& y, const RingTensor&) { shift_left_in_place(y, Bits(shift)); },
                     [&](Word y, Word) { return static_cast<Word>(y << shift); });
  }
  RingTensor y = RingTensor::zeros(sizeof(Word) == 4 ? Ring::k32 : Ring::k64, {2});
  EXPECT_THROW(shift_left_in_place(y, Bits(TestFixture::kBits)), BugError);
}

TYPED_TEST(Elementwise, TruncatesAShareModuloTheSmallerRing) {
  using Word = TypeParam;
  for (int modulus : {1, 20, TestFixture::kBits - 1, TestFixture::kBits}) {
    const Word mask = modulus == TestFixture::kBits ? ~Word{0} : static_cast<Word>((Word{1} << modulus) - 1);
    for (int shift : {0, 1, 12}) {
      const auto offset = static_cast<Word>(0x123456789abcdef1);
      this->expect_map([&](RingTensor& y, const RingTensor&) { truncate_share(y, offset, Bits(shift), Bits(modulus)); },
                       [&](Word y, Word) { return static_cast<Word>(static_cast<Word>(y + offset) & mask) >> shift; });
    }
    this->expect_map([&](RingTensor& y, const RingTensor&) { reduce(y, Bits(modulus)); },
                     [&](Word y, Word) { return static_cast<Word>(y & mask); });
  }
}

TYPED_TEST(Elementwise, AddsAVectorToEveryRowOfChannels) {
  using Word = TypeParam;
  for (int64_t channels : {1, 3, 17, 512, 700}) {
    RingTensor y = random_tensor<Word>({2, 5, channels}, this->random_);
    const RingTensor v = random_tensor<Word>({channels}, this->random_);
    const std::vector<Word> before = values_of<Word>(y);
    add_channel(y, v);
    for (size_t i = 0; i < before.size(); ++i) {
      ASSERT_EQ(y.as<Word>()[i], static_cast<Word>(before[i] + v.as<Word>()[i % static_cast<size_t>(channels)]));
    }
  }
}

TYPED_TEST(Elementwise, SumPoolAddsWindowsAndPaddingAddsZero) {
  using Word = TypeParam;
  const PoolGeometry pool{.batch = 2,
                          .in_h = 5,
                          .in_w = 6,
                          .channels = 3,
                          .out_h = 3,
                          .out_w = 4,
                          .kernel_h = 3,
                          .kernel_w = 2,
                          .stride_h = 2,
                          .stride_w = 2,
                          .dilation_h = 1,
                          .dilation_w = 2,
                          .pad_top = 1,
                          .pad_left = 2};
  const RingTensor x = random_tensor<Word>(input_shape(pool), this->random_);
  const RingTensor y = sum_pool(pool, x);
  ASSERT_EQ(y.shape(), output_shape(pool));
  size_t at = 0;
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t out_y = 0; out_y < 3; ++out_y) {
      for (int64_t out_x = 0; out_x < 4; ++out_x) {
        for (int64_t c = 0; c < 3; ++c, ++at) {
          Word expected = 0;
          for (int64_t r = out_y * 2 - 1; r < out_y * 2 + 2; ++r) {
            for (int64_t s = out_x * 2 - 2; s <= out_x * 2; s += 2) {
              if (r < 0 || r >= 5 || s < 0 || s >= 6) continue;
              expected += x.as<Word>()[static_cast<size_t>(((b * 5 + r) * 6 + s) * 3 + c)];
            }
          }
          ASSERT_EQ(y.as<Word>()[at], expected);
        }
      }
    }
  }
}

TYPED_TEST(Elementwise, SumAxesKeepsSummedDimensionsAsOne) {
  using Word = TypeParam;
  const RingTensor x = random_tensor<Word>({2, 3, 4, 5}, this->random_);
  for (const std::vector<int>& axes : std::vector<std::vector<int>>{{}, {3}, {0}, {1, 2}, {0, 3}, {0, 1, 2, 3}}) {
    const RingTensor y = sum_axes(x, axes);
    std::vector<Word> expected(static_cast<size_t>(y.elements()), 0);
    Shape shape = x.shape();
    for (int axis : axes) shape[axis] = 1;
    ASSERT_EQ(y.shape(), shape);
    for (int64_t e = 0; e < x.elements(); ++e) {
      const int64_t index[] = {e / 60, e / 20 % 3, e / 5 % 4, e % 5};
      int64_t at = 0;
      for (int i = 0; i < 4; ++i) at = at * shape[i] + (shape[i] == 1 ? 0 : index[i]);
      expected[static_cast<size_t>(at)] += x.as<Word>()[static_cast<size_t>(e)];
    }
    EXPECT_EQ(values_of<Word>(y), expected);
  }
}

TYPED_TEST(Elementwise, TransposeMovesEveryElement) {
  using Word = TypeParam;
  const RingTensor x = random_tensor<Word>({2, 3, 4, 5}, this->random_);
  std::vector<int> permutation = {0, 1, 2, 3};
  do {
    const RingTensor y = transpose(x, permutation);
    for (int64_t e = 0; e < x.elements(); ++e) {
      const int64_t index[] = {e / 60, e / 20 % 3, e / 5 % 4, e % 5};
      int64_t at = 0;
      for (int i = 0; i < 4; ++i) at = at * y.shape()[i] + index[permutation[static_cast<size_t>(i)]];
      ASSERT_EQ(y.as<Word>()[static_cast<size_t>(at)], x.as<Word>()[static_cast<size_t>(e)]);
    }
  } while (std::next_permutation(permutation.begin(), permutation.end()));
  EXPECT_THROW(transpose(x, {0, 0, 1, 2}), BugError);
}

TYPED_TEST(Elementwise, ConcatJoinsAlongAnAxis) {
  RingTensor a = RingTensor::stored(Ring::k32, {2, 1, 2}), b = RingTensor::stored(Ring::k32, {2, 2, 2});
  for (uint32_t i = 0; i < 4; ++i) a.as<uint32_t>()[i] = i;
  for (uint32_t i = 0; i < 8; ++i) b.as<uint32_t>()[i] = 10 + i;
  const RingTensor y = concat({&a, &b, &a}, 1);
  EXPECT_EQ(y.shape(), (Shape{2, 4, 2}));
  EXPECT_EQ(values_of<uint32_t>(y), (std::vector<uint32_t>{0, 1, 10, 11, 12, 13, 0, 1, 2, 3, 14, 15, 16, 17, 2, 3}));
  EXPECT_THROW(concat({&a, &b}, 0), BugError);
}

TYPED_TEST(Elementwise, SliceUndoesPad) {
  using Word = TypeParam;
  const RingTensor x = random_tensor<Word>({2, 3, 4}, this->random_);
  const RingTensor padded = pad(x, {1, 0, 2}, {0, 3, 1});
  EXPECT_EQ(padded.shape(), (Shape{3, 6, 7}));
  EXPECT_EQ(values_of<Word>(slice(padded, {1, 0, 2}, {1, 1, 1}, x.shape())), values_of<Word>(x));
  Word sum = 0, expected = 0;
  for (Word value : padded.template as<Word>()) sum += value;
  for (Word value : x.as<Word>()) expected += value;
  EXPECT_EQ(sum, expected);
}

TYPED_TEST(Elementwise, SliceStepsForwardsAndBackwards) {
  RingTensor x = RingTensor::stored(Ring::k64, {3, 5});
  for (uint64_t i = 0; i < 15; ++i) x.as<uint64_t>()[i] = i;
  const RingTensor y = slice(x, {2, 4}, {-2, -2}, {2, 3});
  EXPECT_EQ(values_of<uint64_t>(y), (std::vector<uint64_t>{14, 12, 10, 4, 2, 0}));
  EXPECT_THROW(slice(x, {2, 4}, {-2, -2}, {2, 4}), BugError);
  EXPECT_EQ(slice(x, {3, 0}, {1, 1}, {0, 5}).elements(), 0);
}

TYPED_TEST(Elementwise, GatherTakesElementsAlongAnyAxis) {
  RingTensor x = RingTensor::stored(Ring::k64, {2, 3, 2});
  for (uint64_t i = 0; i < 12; ++i) x.as<uint64_t>()[i] = i;
  EXPECT_EQ(values_of<uint64_t>(gather(x, 1, {2, 0, 0, 1})),
            (std::vector<uint64_t>{4, 5, 0, 1, 0, 1, 2, 3, 10, 11, 6, 7, 6, 7, 8, 9}));
  EXPECT_EQ(values_of<uint64_t>(gather(x, 0, {1})), (std::vector<uint64_t>{6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(values_of<uint64_t>(gather(x, 2, {1})), (std::vector<uint64_t>{1, 3, 5, 7, 9, 11}));
  EXPECT_THROW(gather(x, 1, {3}), BugError);
  EXPECT_TRUE(gather(RingTensor::dry(Ring::k32, {2, 3}), 1, {0, 0}).is_dry());
}

TYPED_TEST(Elementwise, GatherTakesRowsAndZerosForMinusOne) {
  RingTensor x = RingTensor::stored(Ring::k32, {3, 2});
  for (uint32_t i = 0; i < 6; ++i) x.as<uint32_t>()[i] = i + 1;
  EXPECT_EQ(values_of<uint32_t>(gather_rows(x, 2, {2, -1, 0, 2})), (std::vector<uint32_t>{5, 6, 0, 0, 1, 2, 5, 6}));
  EXPECT_THROW(gather_rows(x, 2, {3}), BugError);
}

TYPED_TEST(Elementwise, DryTensorsGiveDryResultsOfTheSameShapeAndBytes) {
  const Ring ring = sizeof(TypeParam) == 4 ? Ring::k32 : Ring::k64;
  RingTensor y = RingTensor::dry(ring, {1, 4, 4, 3});
  const RingTensor x = RingTensor::dry(ring, {1, 4, 4, 3}), v = RingTensor::dry(ring, {3});
  add_in_place(y, x);
  subtract_in_place(y, x);
  negate_in_place(y);
  add_shifted(y, x, Bits(3));
  shift_left_in_place(y, Bits(1));
  truncate_share(y, 1, Bits(2), Bits(20));
  multiply_scalar(y, 3);
  multiply_elementwise(y, x);
  add_channel(y, v);
  EXPECT_TRUE(y.is_dry());
  const PoolGeometry pool{.in_h = 4,
                          .in_w = 4,
                          .channels = 3,
                          .out_h = 2,
                          .out_w = 2,
                          .kernel_h = 2,
                          .kernel_w = 2,
                          .stride_h = 2,
                          .stride_w = 2};
  const auto expect_dry = [&](const RingTensor& result, const Shape& shape) {
    EXPECT_TRUE(result.is_dry());
    EXPECT_EQ(result.shape(), shape);
    EXPECT_EQ(result.bytes(), static_cast<size_t>(shape.elements()) * sizeof(TypeParam));
  };
  expect_dry(sum_pool(pool, y), {1, 2, 2, 3});
  expect_dry(sum_axes(y, {1, 2}), {1, 1, 1, 3});
  expect_dry(transpose(y, {0, 3, 1, 2}), {1, 3, 4, 4});
  expect_dry(concat({&x, &y}, 3), {1, 4, 4, 6});
  expect_dry(pad(y, {0, 1, 1, 0}, {0, 1, 1, 0}), {1, 6, 6, 3});
  expect_dry(slice(y, {0, 3, 0, 0}, {1, -1, 1, 1}, {1, 4, 2, 3}), {1, 4, 2, 3});
  expect_dry(gather_rows(y, 3, {0, -1}), {2, 3});
}

TEST(Targets, TheLoopOverTargetsReallySwitches) {
  std::set<const Loops<uint32_t>*> tables;
  for_each_target([&] { tables.insert(&loops<uint32_t>()); });
#if defined(__x86_64__)
  EXPECT_GE(tables.size(), 2u) << "only one of several targets was tested";
#else
  EXPECT_GE(tables.size(), 1u);
#endif
}

}  // namespace
}  // namespace treville
