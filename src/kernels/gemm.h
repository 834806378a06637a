// The inner product of all dense linear maps: C (+)= A * B modulo 2^32 or 2^64, with B packed once into panels of
// columns and the rows of A given by pointers, so that a convolution reads its input where it lies.
#pragma once

#include <cstdint>

namespace treville {

// kPanelColumns is the width of a panel. It is the same for every target, so that packed weights are too.
template <class Word>
inline constexpr int64_t kPanelColumns = sizeof(Word) == 4 ? 16 : 4;

// Panels is the shape of a packed matrix [depth, columns]: panel p holds columns [p * width, (p + 1) * width) as
// depth rows of width words, with zeros past the last column.
template <class Word>
struct Panels {
  int64_t depth = 0, columns = 0;

  int64_t count() const { return (columns + kPanelColumns<Word> - 1) / kPanelColumns<Word>; }
  int64_t panel_words() const { return depth * kPanelColumns<Word>; }
  int64_t words() const { return count() * panel_words(); }
  // pack fills words() words from a row-major matrix with `stride` words between rows.
  void pack(const Word* matrix, int64_t stride, Word* packed) const;
};

// GemmBlock is one call: count rows of `depth` words against all panels of a matrix, from row `first_depth` of B on.
// c has count rows of panels.columns words, c_stride words apart; it is added to if `add`, else overwritten.
template <class Word>
struct GemmBlock {
  const Word* const* rows;
  int64_t count, first_depth, depth;
  Panels<Word> panels;
  const Word* packed;
  Word* c;
  int64_t c_stride;
  bool add;
};

void multiply_block(const GemmBlock<uint32_t>& block);
void multiply_block(const GemmBlock<uint64_t>& block);

}  // namespace treville
