// The private weights of a program, in a file of their own: the integers of every owned constant. It stays with the
// model owner (permissions 0600). The file:
//
//   "TREVILLE" version:u32 digest of the program:32 bytes model id:16 bytes constants:u32
//   then for each constant, in the program's order:
//   name bytes:u16 name ring:u8 rank:u8 dims:i64 each, then its elements, row-major; all little-endian
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "program/program.h"
#include "tensor/ring_tensor.h"

namespace treville {

// ModelId names one set of weights. It is random: a digest of weights would let anyone confirm a guess.
using ModelId = std::array<std::byte, 16>;
ModelId random_model_id();

struct Weights {
  ModelId id{};
  std::vector<RingTensor> constants;  // by ConstantId
};

// write_weights replaces the file at once. read_weights checks all of it against the program's declarations.
// Both throw UserError.
void write_weights(const std::string& path, const Program& program, const Weights& weights);
Weights read_weights(const std::string& path, const Program& program);

}  // namespace treville
