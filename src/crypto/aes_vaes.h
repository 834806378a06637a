// AES-128 in counter mode with the vector AES instructions of x86: the fast engine of aes_ctr.h, which is tested
// against the other. On other processors there is nothing behind it.
#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace treville {

// AesSchedule is an expanded key: a secret, wiped when it goes.
struct AesSchedule {
  AesSchedule() = default;
  AesSchedule(const AesSchedule&) = default;
  AesSchedule& operator=(const AesSchedule&) = default;
  ~AesSchedule();
  alignas(64) std::array<std::byte, 11 * 16> rounds{};
};

// vaes_is_supported: the processor has AES, AVX2 and VAES, and the operating system keeps their registers. The other
// two may be called only then.
bool vaes_is_supported();
// vaes_expand is the key schedule of FIPS 197, section 5.2.
AesSchedule vaes_expand(std::span<const std::byte, 16> key);
// vaes_stream is AesCtr::stream.
void vaes_stream(const AesSchedule& key, const std::array<unsigned char, 16>& first, std::span<std::byte> out);

}  // namespace treville
