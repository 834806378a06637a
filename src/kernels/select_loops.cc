// Plain loops that the compiler vectorises for each target, like elementwise_loops.cc.
#include "kernels/select_loops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/select_loops.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace treville::HWY_NAMESPACE {

// times_2k: value * 2^k, where k may be all bits of the word.
template <class Word>
HWY_INLINE Word times_2k(Word value, int k) {
  return static_cast<Word>((value << (k - 1)) << 1);
}

template <class Word>
HWY_INLINE Word negated(Word value) {
  return static_cast<Word>(Word{0} - value);
}

template <class Word>
void deal_bit(const Word* HWY_RESTRICT delta, Word* HWY_RESTRICT half, int64_t n) {
  for (int64_t i = 0; i < n; ++i) half[i] = (delta[i] & 1) - half[i];
}

template <class Word>
void deal_relu(const Word* HWY_RESTRICT r, const Word* HWY_RESTRICT delta, int k, const ReluRows<Word>& rows,
               int64_t n) {
  Word* HWY_RESTRICT b0 = rows.b0;
  Word* HWY_RESTRICT delta_b0 = rows.delta_b0;
  Word* HWY_RESTRICT top = rows.top;
  Word* HWY_RESTRICT delta_top = rows.delta_top;
  const Word two_k = times_2k<Word>(1, k), low = static_cast<Word>(two_k - 1);
  deal_bit(delta, rows.delta, n);
  for (int64_t i = 0; i < n; ++i) {
    const Word value = r[i] & low, t = value >> (k - 1), b = two_k - value;
    b0[i] = b - b0[i];
    delta_b0[i] = (delta[i] & b) - delta_b0[i];
    top[i] = t - top[i];
    delta_top[i] = (delta[i] & t) - delta_top[i];
  }
}

template <class Word>
void deal_choice(const Word* HWY_RESTRICT r, const Word* HWY_RESTRICT delta, Word* HWY_RESTRICT b,
                 Word* HWY_RESTRICT delta_b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const Word value = negated(r[i]);
    b[i] = value - b[i];
    delta_b[i] = (delta[i] & value) - delta_b[i];
  }
}

template <class Word>
void deal_carry(const Word* HWY_RESTRICT s, const Word* HWY_RESTRICT mask, int top, Word* HWY_RESTRICT half,
                int64_t n) {
  for (int64_t i = 0; i < n; ++i) half[i] = (s[i] & (mask[i] >> top) & 1) - half[i];
}

template <class Word>
void close_relu(const ReluShares<Word>& shares, const Word* HWY_RESTRICT e, Word* HWY_RESTRICT y, int64_t n) {
  const int k = shares.k;
  const Word* HWY_RESTRICT x = shares.x;
  const auto [delta, b0, delta_b0, narrow, delta_narrow] = shares.rows;
  const Word offset = Word{1} << (k - 1), two_k = shares.evaluator ? times_2k<Word>(1, k) : Word{0};
  const Word all = shares.evaluator ? static_cast<Word>(~Word{0}) : Word{0};
  for (int64_t i = 0; i < n; ++i) {
    const Word top = negated<Word>(x[i] >> (k - 1)), shifted = x[i] - offset;
    const Word b = b0[i] + (top & (times_2k(narrow[i], k) - two_k));
    const Word delta_b = delta_b0[i] + (top & times_2k<Word>(delta_narrow[i] - delta[i], k));
    const Word product = delta[i] * shifted + delta_b;
    y[i] = product + (e[i] & ((all & shifted) + b - 2 * product));
  }
}

template <class Word>
void close_negative(const ReluShares<Word>& shares, const Word* HWY_RESTRICT e, Word* HWY_RESTRICT y, int64_t n) {
  const int k = shares.k;
  const Word* HWY_RESTRICT x = shares.x;
  const auto [delta, b0, delta_b0, narrow, delta_narrow] = shares.rows;
  const Word offset = Word{1} << (k - 1), two_k = shares.evaluator ? times_2k<Word>(1, k) : Word{0};
  const Word all = shares.evaluator ? static_cast<Word>(~Word{0}) : Word{0};
  for (int64_t i = 0; i < n; ++i) {
    const Word below = (x[i] >> (k - 1)) - 1, shifted = x[i] - offset;  // below: all ones where the top bit is 0
    const Word b = b0[i] - two_k + (below & times_2k(narrow[i], k));
    const Word delta_b = delta_b0[i] - times_2k(delta[i], k) + (below & times_2k(delta_narrow[i], k));
    const Word product = delta[i] * shifted + delta_b;
    y[i] = (e[i] & product) + (~e[i] & ((all & shifted) + b - product));
  }
}

template <class Word>
void close_bit(bool evaluator, const Word* HWY_RESTRICT e, const Word* HWY_RESTRICT delta, Word factor,
               Word* HWY_RESTRICT y, int64_t n) {
  const Word one = evaluator ? 1 : 0;
  for (int64_t i = 0; i < n; ++i) y[i] += factor * (delta[i] + (e[i] & (one - 2 * delta[i])));
}

template <class Word>
void choose(bool evaluator, const Word* HWY_RESTRICT e, const Word* HWY_RESTRICT delta, const Word* HWY_RESTRICT b,
            const Word* HWY_RESTRICT delta_b, Word offset, Word* HWY_RESTRICT x, int64_t n) {
  const Word all = evaluator ? static_cast<Word>(~Word{0}) : Word{0};
  for (int64_t i = 0; i < n; ++i) {
    const Word opened = x[i] - offset;
    const Word product = delta[i] * opened + delta_b[i];
    x[i] = product + (e[i] & ((all & opened) + b[i] - 2 * product));
  }
}

template <class Word>
void mask_sum(const Word* HWY_RESTRICT a, const Word* HWY_RESTRICT b, Word offset, int k, Word* HWY_RESTRICT y,
              int64_t n) {
  const Word low = static_cast<Word>(times_2k<Word>(1, k) - 1);
  for (int64_t i = 0; i < n; ++i) y[i] = (a[i] + offset + b[i]) & low;
}

template <class Word>
void answer_carry(const Word* HWY_RESTRICT s, const Word* HWY_RESTRICT mask, const Word* HWY_RESTRICT product, int k,
                  Word* HWY_RESTRICT y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const Word bit = (mask[i] >> (k - 1)) & 1;
    y[i] += (s[i] & product[i]) + (~s[i] & (bit - product[i]));
  }
}

template <class Word>
void add_carry(const Word* HWY_RESTRICT s, const Word* HWY_RESTRICT peer, const Word* HWY_RESTRICT product, Word offset,
               int k, Word* HWY_RESTRICT y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const Word carry = peer[i] + (s[i] & product[i]) - (~s[i] & product[i]);
    y[i] += times_2k(carry, k) - offset;
  }
}

template <class Word>
void join_masks(const Word* HWY_RESTRICT low, const Word* HWY_RESTRICT high, int k, Word* HWY_RESTRICT y, int64_t n) {
  const Word mask = static_cast<Word>(times_2k<Word>(1, k) - 1);
  for (int64_t i = 0; i < n; ++i) y[i] = (low[i] & mask) + times_2k(high[i], k);
}

template <class Word>
const SelectLoops<Word>& select_table() {
  static constexpr SelectLoops<Word> kTable = {
      .deal_bit = deal_bit<Word>,
      .deal_relu = deal_relu<Word>,
      .deal_choice = deal_choice<Word>,
      .deal_carry = deal_carry<Word>,
      .close_relu = close_relu<Word>,
      .close_negative = close_negative<Word>,
      .close_bit = close_bit<Word>,
      .choose = choose<Word>,
      .mask_sum = mask_sum<Word>,
      .answer_carry = answer_carry<Word>,
      .add_carry = add_carry<Word>,
      .join_masks = join_masks<Word>,
  };
  return kTable;
}

const SelectLoops<uint32_t>& select_table_32() { return select_table<uint32_t>(); }
const SelectLoops<uint64_t>& select_table_64() { return select_table<uint64_t>(); }

}  // namespace treville::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace treville {

HWY_EXPORT(select_table_32);
HWY_EXPORT(select_table_64);

template <>
const SelectLoops<uint32_t>& select_loops<uint32_t>() {
  return HWY_DYNAMIC_DISPATCH(select_table_32)();
}

template <>
const SelectLoops<uint64_t>& select_loops<uint64_t>() {
  return HWY_DYNAMIC_DISPATCH(select_table_64)();
}

}  // namespace treville
#endif  // HWY_ONCE
