// What this machine can do at most, for kernels_bench to compare with: loops that do nothing but the one thing.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace treville {

// multiply_registers does at least `macs` multiply-accumulates of one word size on registers alone, the way products
// are summed in kernels/product_sum-inl.h, and returns how many it did.
int64_t multiply_registers_32(int64_t macs);
int64_t multiply_registers_64(int64_t macs);

// copy_all copies as many words as both have, with vector loads and stores.
void copy_all(std::span<const uint64_t> from, std::span<uint64_t> to);
// read_all reads every word once and returns their XOR.
uint64_t read_all(std::span<const uint64_t> words);

// target_name is the SIMD target that dispatch chooses here.
std::string target_name();

}  // namespace treville
