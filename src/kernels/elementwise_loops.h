// Elementwise loops over runs of words, compiled once per SIMD target and chosen at run time. They know nothing of
// shapes; elementwise.cc does. All arithmetic is modulo 2^32 or 2^64, by the word; runs do not overlap.
#pragma once

#include <cstdint>

namespace treville {

// Loops is the table of one target. Word is uint32_t or uint64_t.
template <class Word>
struct Loops {
  void (*add)(Word* y, const Word* x, int64_t n);                             // y += x
  void (*sum_of)(Word* y, const Word* a, const Word* b, int64_t n);           // y = a + b
  void (*subtract)(Word* y, const Word* x, int64_t n);                        // y -= x
  void (*add_constant)(Word* y, Word c, int64_t n);                           // y += c
  void (*add_with)(Word* y, const Word* x, Word c, int64_t n);                // y += x + c
  void (*negate)(Word* y, int64_t n);                                         // y = -y
  void (*add_shifted)(Word* y, const Word* x, int shift, int64_t n);          // y += x << shift, shift < bits of Word
  void (*shift_left)(Word* y, int shift, int64_t n);                          // y <<= shift, shift < bits of Word
  void (*truncate)(Word* y, Word offset, Word mask, int shift, int64_t n);    // y = ((y + offset) & mask) >> shift
  void (*scale)(Word* y, Word c, int64_t n);                                  // y *= c
  void (*multiply)(Word* y, const Word* x, int64_t n);                        // y *= x
  void (*multiply_add)(Word* y, const Word* a, const Word* b, int64_t n);     // y += a * b
  void (*product)(Word* y, const Word* a, const Word* b, int64_t n);          // y = a * b
  Word (*sum)(const Word* x, int64_t n);                                      // the sum of x
  void (*exclusive_or)(Word* y, const Word* x, int64_t n);                    // y ^= x
  void (*exclusive_or_of)(Word* y, const Word* a, const Word* b, int64_t n);  // y = a ^ b
  void (*and_xor)(Word* y, const Word* a, const Word* b, int64_t n);          // y ^= a & b
};

// loops gives the table of the best target this machine has.
template <class Word>
const Loops<Word>& loops();

}  // namespace treville
