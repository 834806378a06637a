// Sixteen blocks are in flight: an AES instruction takes four cycles and two of them begin in each, with two blocks in
// a register. Counters are kept as little-endian lanes and reversed to the order of the wire just before they are used.
#include "crypto/aes_vaes.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "crypto/hash.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace treville {

AesSchedule::~AesSchedule() { wipe(rounds); }

#if defined(__x86_64__)

#define TREVILLE_VAES __attribute__((target("aes,avx2,vaes")))

namespace {

constexpr int kRounds = 10;
constexpr size_t kBlock = 16, kPairs = 8, kBatch = 2 * kPairs * kBlock;

// Batch is sixteen blocks, two to a register.
struct Batch {
  __m256i pair[kPairs];
};

TREVILLE_VAES inline __m256i round_key(const AesSchedule& key, int round) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(key.rounds.data()) + round));
}

// next_schedule is one step of the key schedule; `assisted` is aeskeygenassist of the key before.
TREVILLE_VAES inline __m128i next_schedule(__m128i key, __m128i assisted) {
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, _mm_shuffle_epi32(assisted, 0xff));
}

// encrypt_batch writes the encryptions of the sixteen blocks whose reversed bytes are counter, counter + 1, ...
TREVILLE_VAES inline void encrypt_batch(const AesSchedule& key, __m256i counter, std::byte* out) {
  const __m256i reversed = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f));
  Batch batch;
  const __m256i first_key = round_key(key, 0), two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
  for (size_t i = 0; i < kPairs; ++i) {
    batch.pair[i] = _mm256_xor_si256(_mm256_shuffle_epi8(counter, reversed), first_key);
    counter = _mm256_add_epi32(counter, two);
  }
  for (int round = 1; round < kRounds; ++round) {
    const __m256i middle = round_key(key, round);
    for (size_t i = 0; i < kPairs; ++i) batch.pair[i] = _mm256_aesenc_epi128(batch.pair[i], middle);
  }
  const __m256i last = round_key(key, kRounds);
  for (size_t i = 0; i < kPairs; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 2 * i * kBlock),
                        _mm256_aesenclast_epi128(batch.pair[i], last));
  }
}

TREVILLE_VAES void stream(const AesSchedule& key, const unsigned char* first, std::byte* out, size_t bytes) {
  const __m128i reversed = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
  const __m128i start = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(first)), reversed);
  __m256i counter = _mm256_add_epi32(_mm256_broadcastsi128_si256(start), _mm256_set_epi32(0, 0, 0, 1, 0, 0, 0, 0));
  const __m256i batch = _mm256_set_epi32(0, 0, 0, 2 * kPairs, 0, 0, 0, 2 * kPairs);
  for (; bytes >= kBatch; bytes -= kBatch, out += kBatch) {
    encrypt_batch(key, counter, out);
    counter = _mm256_add_epi32(counter, batch);
  }
  if (bytes == 0) return;
  std::byte rest[kBatch];
  encrypt_batch(key, counter, rest);
  std::memcpy(out, rest, bytes);
}

TREVILLE_VAES void expand(const std::byte* key, __m128i* to) {
  __m128i round = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  _mm_store_si128(to++, round);
  const auto step = [&](__m128i assisted) TREVILLE_VAES {
    round = next_schedule(round, assisted);
    _mm_store_si128(to++, round);
  };
  step(_mm_aeskeygenassist_si128(round, 0x01));
  step(_mm_aeskeygenassist_si128(round, 0x02));
  step(_mm_aeskeygenassist_si128(round, 0x04));
  step(_mm_aeskeygenassist_si128(round, 0x08));
  step(_mm_aeskeygenassist_si128(round, 0x10));
  step(_mm_aeskeygenassist_si128(round, 0x20));
  step(_mm_aeskeygenassist_si128(round, 0x40));
  step(_mm_aeskeygenassist_si128(round, 0x80));
  step(_mm_aeskeygenassist_si128(round, 0x1b));
  step(_mm_aeskeygenassist_si128(round, 0x36));
}

}  // namespace

bool vaes_is_supported() {
  static const bool is_supported = [] {
    constexpr unsigned kVaes = 1u << 9;  // leaf 7, ecx; compilers know its name only since recently
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("avx2") &&
           __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 1 && (ecx & kVaes) != 0;
  }();
  return is_supported;
}

AesSchedule vaes_expand(std::span<const std::byte, 16> key) {
  AesSchedule schedule;
  expand(key.data(), reinterpret_cast<__m128i*>(schedule.rounds.data()));
  return schedule;
}

void vaes_stream(const AesSchedule& key, const std::array<unsigned char, 16>& first, std::span<std::byte> out) {
  stream(key, first.data(), out.data(), out.size());
}

#else

bool vaes_is_supported() { return false; }

AesSchedule vaes_expand(std::span<const std::byte, 16>) {
  CHECK(vaes_is_supported(), "VAES is of x86");
  return {};
}

void vaes_stream(const AesSchedule&, const std::array<unsigned char, 16>&, std::span<std::byte>) {
  CHECK(vaes_is_supported(), "VAES is of x86");
}

#endif

}  // namespace treville
