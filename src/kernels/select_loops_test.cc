// Two kinds of tests on every target: shares of dealt and closed values add up to what they stand for, with the values
// computed in wide integers; and what rescaling does is its formula at every element.
#include "kernels/select_loops.h"

#include <gtest/gtest.h>

#include "kernels/kernels_test_util.h"

namespace treville {
namespace {

constexpr uint64_t kSeed = 5501;

template <class Word>
class SelectKernels : public ::testing::Test {
 protected:
  static constexpr int kBits = sizeof(Word) * 8;
  using Run = std::vector<Word>;
  std::mt19937_64 random_{kSeed};

  Run run(size_t n) { return values_of<Word>(random_tensor<Word>({static_cast<int64_t>(n)}, random_)); }
  Run masks(size_t n) {
    Run out(n);
    for (Word& m : out) m = random_() & 1 ? static_cast<Word>(~Word{0}) : Word{0};
    return out;
  }
  // each calls body(n, k) for lengths around the vector sizes and widths up to the ring's.
  template <class Body>
  void each(const Body& body) {
    for_each_target([&] {
      for (const size_t n : {0, 1, 3, 7, 8, 31, 64, 257}) {
        for (const int k : {2, 3, 20, kBits - 1, kBits}) body(n, k);
      }
    });
  }
  static Word low(int k) { return k == kBits ? static_cast<Word>(~Word{0}) : static_cast<Word>((Word{1} << k) - 1); }
  static Word two_to(int k) { return k == kBits ? Word{0} : static_cast<Word>(Word{1} << k); }
};

using Words = ::testing::Types<uint32_t, uint64_t>;
TYPED_TEST_SUITE(SelectKernels, Words);

TYPED_TEST(SelectKernels, DealtReluClosesToTheValueAndItsNegativePart) {
  using Word = TypeParam;
  using Values = std::vector<Word>;
  this->each([&](size_t n, int k) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + " n " + std::to_string(n) + " k " + std::to_string(k));
    const auto size = static_cast<int64_t>(n);
    const Values r = this->run(n), delta = this->masks(n);
    Values half[5], other[5];
    for (int row = 0; row < 5; ++row) other[row] = half[row] = this->run(n);
    const auto& loops = select_loops<Word>();
    loops.deal_relu(r.data(), delta.data(), k,
                    {other[0].data(), other[1].data(), other[2].data(), other[3].data(), other[4].data()}, size);
    Values x(n), e(n), value(n);
    const Word offset = static_cast<Word>(Word{1} << (k - 1));
    for (size_t i = 0; i < n; ++i) {
      // |y'| < 2^(k-2); x = y' + 2^(k-1) + r mod 2^k; d = [y' >= 0], e = d xor delta.
      const Word shifted = static_cast<Word>((static_cast<Word>(this->random_()) & this->low(k - 1)) + offset / 2);
      value[i] = shifted - offset;
      x[i] = (shifted + r[i]) & this->low(k);
      e[i] = (shifted >= offset ? static_cast<Word>(~Word{0}) : Word{0}) ^ delta[i];
      const Word v = r[i] & this->low(k);
      const Word rows[5] = {static_cast<Word>(delta[i] & 1), static_cast<Word>(this->two_to(k) - v),
                            static_cast<Word>(delta[i] & (this->two_to(k) - v)), static_cast<Word>(v >> (k - 1)),
                            static_cast<Word>(delta[i] & (v >> (k - 1)))};
      for (int row = 0; row < 5; ++row) {
        ASSERT_EQ(static_cast<Word>(half[row][i] + other[row][i]), rows[row]) << "row " << row << " element " << i;
      }
    }
    const auto shares = [&](bool evaluator, Values(&rows)[5]) {
      return ReluShares<Word>{
          evaluator, k, x.data(), {rows[0].data(), rows[1].data(), rows[2].data(), rows[3].data(), rows[4].data()}};
    };
    Values own(n), peer(n);
    loops.close_relu(shares(true, half), e.data(), own.data(), size);
    loops.close_relu(shares(false, other), e.data(), peer.data(), size);
    Values own_negative(n), peer_negative(n);
    loops.close_negative(shares(true, half), e.data(), own_negative.data(), size);
    loops.close_negative(shares(false, other), e.data(), peer_negative.data(), size);
    for (size_t i = 0; i < n; ++i) {
      const bool positive = (e[i] ^ delta[i]) != 0;
      ASSERT_EQ(static_cast<Word>(own[i] + peer[i]), positive ? value[i] : Word{0}) << "element " << i;
      ASSERT_EQ(static_cast<Word>(own_negative[i] + peer_negative[i]), positive ? Word{0} : value[i])
          << "element " << i;
    }
  });
}

TYPED_TEST(SelectKernels, DealtChoiceClosesToTheChosenValueAndItsBit) {
  using Word = TypeParam;
  using Values = std::vector<Word>;
  this->each([&](size_t n, int k) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + " n " + std::to_string(n) + " k " + std::to_string(k));
    const auto size = static_cast<int64_t>(n);
    const Values r = this->run(n), delta = this->masks(n), d = this->masks(n), value = this->run(n);
    Values half_delta = this->run(n), half_b = this->run(n), half_delta_b = this->run(n);
    Values bit = half_delta, b = half_b, delta_b = half_delta_b;
    const auto& loops = select_loops<Word>();
    loops.deal_bit(delta.data(), bit.data(), size);
    loops.deal_choice(r.data(), delta.data(), b.data(), delta_b.data(), size);
    const Word offset = static_cast<Word>(Word{1} << (k - 1)), factor = static_cast<Word>(this->random_());
    Values own(n), e(n);
    for (size_t i = 0; i < n; ++i) {
      own[i] = value[i] + r[i] + offset;
      e[i] = d[i] ^ delta[i];
    }
    Values peer = own;
    loops.choose(true, e.data(), half_delta.data(), half_b.data(), half_delta_b.data(), offset, own.data(), size);
    loops.choose(false, e.data(), bit.data(), b.data(), delta_b.data(), offset, peer.data(), size);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(static_cast<Word>(own[i] + peer[i]), d[i] & value[i]) << "element " << i;
    loops.close_bit(true, e.data(), half_delta.data(), factor, own.data(), size);
    loops.close_bit(false, e.data(), bit.data(), factor, peer.data(), size);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(static_cast<Word>(own[i] + peer[i]), d[i] & static_cast<Word>(value[i] + factor)) << "element " << i;
    }
  });
}

TYPED_TEST(SelectKernels, RescalingIsItsFormulas) {
  using Word = TypeParam;
  using Values = std::vector<Word>;
  this->each([&](size_t n, int k) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + " n " + std::to_string(n) + " k " + std::to_string(k));
    const auto size = static_cast<int64_t>(n);
    const Values s = this->masks(n), a = this->run(n), b = this->run(n), before = this->run(n);
    const auto offset = static_cast<Word>(this->random_());
    const auto& loops = select_loops<Word>();
    Values dealt = before, sum(n), answer = before, carried = before, joined(n);
    loops.deal_carry(s.data(), a.data(), k - 1, dealt.data(), size);
    loops.mask_sum(a.data(), b.data(), offset, k, sum.data(), size);
    loops.answer_carry(s.data(), a.data(), b.data(), k, answer.data(), size);
    loops.add_carry(s.data(), a.data(), b.data(), offset, k, carried.data(), size);
    loops.join_masks(a.data(), b.data(), k, joined.data(), size);
    for (size_t i = 0; i < n; ++i) {
      const Word bit = (a[i] >> (k - 1)) & 1;
      ASSERT_EQ(dealt[i], static_cast<Word>((s[i] != 0 ? bit : 0) - before[i]));
      ASSERT_EQ(sum[i], static_cast<Word>(static_cast<Word>(a[i] + b[i] + offset) & this->low(k)));
      ASSERT_EQ(answer[i], static_cast<Word>(before[i] + (s[i] != 0 ? b[i] : bit - b[i])));
      const Word carry = s[i] != 0 ? a[i] + b[i] : a[i] - b[i];
      ASSERT_EQ(carried[i], static_cast<Word>(before[i] + this->two_to(k) * carry - offset));
      ASSERT_EQ(joined[i], static_cast<Word>((a[i] & this->low(k)) + this->two_to(k) * b[i]));
    }
  });
}

}  // namespace
}  // namespace treville
