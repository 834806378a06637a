// Maxima: max-pooling by rows and then by columns, and arg-max. Values are compared and selected as residues modulo 2^K
// with K = k + 1, level by level of a tree. From docs/protocols/porthos.md, section 8.
#pragma once

#include <optional>

#include "mpc/porthos/pass.h"
#include "tensor/linear_map.h"

namespace treville::porthos {

// index_bits is the modulus of an arg-max over `columns`: enough for columns - 1, at least 1.
Bits index_bits(int64_t columns);

// max_pool: this pass's additive plane of the maxima modulo 2^residue, where it holds one.
//   share  the truncated plane where this pass holds one, of input_shape(pool), modulo at least 2^residue
//   cost   a comparison at residue bits and a selection for each node of the trees, 2 ceil(log2(size)) levels of two
//          round trips
std::optional<RingTensor> max_pool(Pass& pass, const PoolGeometry& pool, Bits residue, Ring ring,
                                   const RingTensor* share);

// arg_max: the same for the index of the first largest element of each row, modulo 2^index_bits(columns).
std::optional<RingTensor> arg_max(Pass& pass, int64_t rows, int64_t columns, Bits residue, Ring ring,
                                  const RingTensor* share);

}  // namespace treville::porthos
