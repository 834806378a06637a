// Table look-ups on bit planes, for an index that is shared as its position in a row of bits: the dealer's side, which
// makes that row, and the others', which turn their shares of it into shares of a table's entries by word operations
// alone. Compiled once per SIMD target. docs/protocols/porthos.md, section 11.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/bit_planes.h"
#include "tensor/look_up_table.h"

namespace treville {

// indicator_planes is how many planes tell an index of n bits: [r = j] for all j but the last, which follows.
inline constexpr int indicator_planes(int n) { return (1 << n) - 1; }

// flip_indicators: plane j of `out` ^= [r = j], for j < indicator_planes(n); r holds planes [0, n).
void flip_indicators(int n, const BitPlanes& r, BitPlanes& out);

// TableBits lists the bits of the entries of several tables, table by table, lowest bit first: each is a function of
// an index below 2^n that counts from the table's first entry.
class TableBits {
 public:
  TableBits(int n, std::span<const LookUpTable* const> tables);
  int n() const { return n_; }
  int planes() const { return static_cast<int>(functions_.size()); }

  // Function lists the indices where a bit is one, or where it is zero if those are fewer.
  struct Function {
    bool lists_zeros = false;
    std::vector<uint16_t> indices;
  };
  const std::vector<Function>& functions() const { return functions_; }

 private:
  int n_;
  std::vector<Function> functions_;
};

// look_up_planes writes one party's XOR shares of all bits at the index x - r mod 2^n, from shares of the indicators
// of r: 3 n 2^n word operations for the index, and at most 2^(n-1) for each bit of the result.
//   x        planes [0, n), public
//   shares   indicator_planes(n) planes, this party's half
//   is_first whether this is the party that adds public ones
//   out      bits.planes() planes
void look_up_planes(const TableBits& bits, const BitPlanes& x, const BitPlanes& shares, bool is_first, BitPlanes& out);

}  // namespace treville
