// The word loops of the non-linear sub-protocols: what is dealt for a product with a secret bit, and a party's share of
// the product from it. Compiled once per SIMD target and chosen at run time, like elementwise_loops.h. The formulas are
// those of docs/protocols/porthos.md, sections 7 and 8; arithmetic is modulo 2^32 or 2^64, by the word. A bit given as
// a mask is all ones or zero. Runs do not overlap unless they are the same argument.
#pragma once

#include <cstdint>

namespace treville {

// ReluRows are the rows dealt for a ReLU, of the types that deal (Word) or close (const Word).
template <class Word>
struct ReluRows {
  Word *delta, *b0, *delta_b0, *top, *delta_top;
};

// ReluShares is what a party closes a ReLU with: the opened x of k bits and its shares of the rows, of which top and
// delta_top are meaningful modulo 2^(l-k). The evaluator adds what is public.
template <class Word>
struct ReluShares {
  bool evaluator;
  int k;
  const Word* x;
  ReluRows<const Word> rows;
};

template <class Word>
struct SelectLoops {
  // Dealing: each output holds one party's half and becomes the other's, value - half.
  //   deal_bit     delta
  //   deal_relu    with v = r mod 2^k, t = its bit k - 1 and b0 = 2^k - v: delta, b0, delta b0, t, delta t
  //   deal_choice  -r, -delta r
  //   deal_carry   s * (bit `top` of mask)
  void (*deal_bit)(const Word* delta, Word* half, int64_t n);
  void (*deal_relu)(const Word* r, const Word* delta, int k, const ReluRows<Word>& rows, int64_t n);
  void (*deal_choice)(const Word* r, const Word* delta, Word* b, Word* delta_b, int64_t n);
  void (*deal_carry)(const Word* s, const Word* mask, int top, Word* half, int64_t n);
  // Closing, with the opened bit e = d xor delta as a mask:
  //   close_relu      y = share of d y'
  //   close_negative  y = share of (1 - d) y'
  //   close_bit       y += factor * (share of d)
  //   choose          x = share of d (x - offset + b), x opened
  void (*close_relu)(const ReluShares<Word>& shares, const Word* e, Word* y, int64_t n);
  void (*close_negative)(const ReluShares<Word>& shares, const Word* e, Word* y, int64_t n);
  void (*close_bit)(bool evaluator, const Word* e, const Word* delta, Word factor, Word* y, int64_t n);
  void (*choose)(bool evaluator, const Word* e, const Word* delta, const Word* b, const Word* delta_b, Word offset,
                 Word* x, int64_t n);
  // Rescaling:
  //   mask_sum      y = (a + offset + b) mod 2^k
  //   answer_carry  y += s ? product : bit k - 1 of mask - product
  //   add_carry     y += 2^k (peer + (s ? product : -product)) - offset
  //   join_masks    y = low mod 2^k + 2^k high
  void (*mask_sum)(const Word* a, const Word* b, Word offset, int k, Word* y, int64_t n);
  void (*answer_carry)(const Word* s, const Word* mask, const Word* product, int k, Word* y, int64_t n);
  void (*add_carry)(const Word* s, const Word* peer, const Word* product, Word offset, int k, Word* y, int64_t n);
  void (*join_masks)(const Word* low, const Word* high, int k, Word* y, int64_t n);
};

// select_loops gives the table of the best target this machine has.
template <class Word>
const SelectLoops<Word>& select_loops();

}  // namespace treville
