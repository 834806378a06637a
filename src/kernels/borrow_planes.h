// The bit-sliced loops of a comparison: products of secret bits, and polynomials whose coefficients are shares of such
// products, evaluated at public bits. All on planes, XOR is the sum. What they are for is in mpc/porthos/borrow.h and
// docs/protocols/porthos.md, section 7; bits past the last element are whatever the operations make of them.
#pragma once

#include <cstdint>
#include <span>

namespace treville {

// PlaneRows are planes `stride` words apart: plane j begins at data + j * stride.
struct ConstPlaneRows {
  const uint64_t* data;
  int64_t stride;
};
struct PlaneRows {
  uint64_t* data;
  int64_t stride;
};

inline constexpr int kMaxChunkBits = 5;
inline constexpr int kMaxGroupNodes = 6;

// NodeGroup is neighbouring nodes of one stage that become one node of the next. In the planes of a stage, lt of node n
// lies at plane n and eq of node n at nodes + n - 1; the lowest node of a stage has no eq.
struct NodeGroup {
  int first;    // its lowest node
  int size;     // 1 to kMaxGroupNodes
  int nodes;    // of the stage
  int product;  // the plane of its first product among those of the level

  bool has_eq() const { return first > 0; }
  int lt(int node) const { return first + node; }
  int eq(int node) const { return nodes + first + node - 1; }
  // Products: those of two or more eq, the coefficients of lt that are not a single mask, and for the group's own eq
  // the products with the lowest node's eq.
  int products() const { return (1 << size) - size - 1 + (has_eq() ? (1 << (size - 1)) - 1 : 0); }
};

// flip_monomials: for each chunk of `sizes` bits of r, plane s - 1 of the chunk's dealt planes ^= the product of the
// bits in the set s, for all sets but the empty one.
void flip_monomials(std::span<const int> sizes, ConstPlaneRows r, PlaneRows dealt, int64_t words);

// evaluate_monomials computes from shares of monomials of r the shares of lt = [x < r] and eq = [x == r] of each chunk,
//   lt = sum over bits j of (not x_j) sum over sets T above j of m[T + j] prod over i above j, not in T, of (not x_i)
//   eq = sum over sets T of m[T] prod over i not in T of (not x_i)
// where m[{}] is the constant `one` (all ones or zero), and writes them XORed with `masks` to `out`: lt of all chunks,
// then eq of all but the lowest.
void evaluate_monomials(std::span<const int> sizes, ConstPlaneRows x, ConstPlaneRows dealt, uint64_t one,
                        ConstPlaneRows masks, PlaneRows out, int64_t words);

// flip_products: dealt ^= the products of each group from the masks of its nodes. With node j >= 1 of the group as
// variable j - 1 of the sets S and R:
//   p[S] = prod over j in S of eq_j                            sets of two or more
//   c[R] = sum over j below all of R of lt_j prod over i above j, not in R, of eq_i     all but the full set
//   q[S] = eq_0 p[S]                                           where the group has an eq; all but the empty set
void flip_products(std::span<const NodeGroup> groups, ConstPlaneRows masks, PlaneRows dealt, int64_t words);

// evaluate_products computes shares of lt and eq of each group from the opened bits of its nodes: with L_j and E_j the
// opened lt and eq, p[{}] = one, p[{j}], q[{}] and c[full set] this party's node masks,
//   P_j = sum over sets T above j of p[T] prod over i above j, not in T, of E_i
//   lt  = sum over j of L_j P_j + sum over sets R of c[R] prod over i in R of E_i
//   eq  = E_0 P_0 + sum over sets S of q[S] prod over i not in S of E_i
// and writes them XORed with `masks` to `out`: lt of all groups, then eq of all but the lowest.
void evaluate_products(std::span<const NodeGroup> groups, ConstPlaneRows opened, ConstPlaneRows node_masks,
                       ConstPlaneRows dealt, uint64_t one, ConstPlaneRows masks, PlaneRows out, int64_t words);

}  // namespace treville
