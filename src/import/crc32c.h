// crc32c is the checksum (Castagnoli's polynomial, RFC 3720 appendix B.4) that checkpoints carry for every tensor.
#pragma once

#include <cstdint>
#include <string_view>

namespace treville::import {

// extend_crc32c gives the checksum of what `crc` is the checksum of, followed by `bytes`; begin with 0.
uint32_t extend_crc32c(uint32_t crc, std::string_view bytes);

// masked_crc32c is how a checksum is stored beside the data it covers.
inline uint32_t masked_crc32c(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; }

}  // namespace treville::import
