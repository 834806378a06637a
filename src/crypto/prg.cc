// The stream is AES-128-CTR of zeros. The first counter block is inference (4 bytes) | step (4) | purpose (2) |
// block (2) | 0 (4), big-endian; the last four bytes count AES blocks, so streams of different positions never meet.
#include "crypto/prg.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "crypto/hash.h"

namespace treville {
namespace {

// kZeros is what gets encrypted: small enough to stay in the first cache, large enough to hide the cost of a call.
constexpr size_t kPiece = 16384;
alignas(64) constexpr unsigned char kZeros[kPiece] = {};
constexpr size_t kMaxStreamBytes = size_t{1} << 36;  // 2^32 AES blocks

using CounterBlock = std::array<unsigned char, 16>;

CounterBlock first_block(const PrgPosition& position) {
  CounterBlock iv{};
  auto put = [&iv](size_t at, uint32_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) iv[at + i] = static_cast<unsigned char>(value >> (8 * (bytes - 1 - i)));
  };
  put(0, position.inference, 4);
  put(4, position.step, 4);
  put(8, position.purpose, 2);
  put(10, position.block, 2);
  return iv;
}

}  // namespace

Key::Key(std::span<const std::byte, kBytes> bytes) { std::ranges::copy(bytes, bytes_.begin()); }

Key Key::random() {
  Key key;
  random_bytes(key.bytes_);
  return key;
}

Key::~Key() { wipe(bytes_); }

struct Prg::Impl {
  explicit Impl(Audit seen) : context(EVP_CIPHER_CTX_new()), audit(std::move(seen)) {
    CHECK(context != nullptr, "out of memory");
  }
  ~Impl() { EVP_CIPHER_CTX_free(context); }  // wipes the key schedule
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  EVP_CIPHER_CTX* context;
  Audit audit;
};

Prg::Prg(const Key& key, Audit audit) : impl_(std::make_unique<Impl>(std::move(audit))) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(key.bytes().data());
  CHECK(EVP_EncryptInit_ex(impl_->context, EVP_aes_128_ctr(), nullptr, bytes, nullptr) == 1, "AES is not available");
}
Prg::~Prg() = default;
Prg::Prg(Prg&&) noexcept = default;
Prg& Prg::operator=(Prg&&) noexcept = default;

void Prg::fill(const PrgPosition& position, std::span<std::byte> out) {
  if (out.empty()) return;
  CHECK(out.size() <= kMaxStreamBytes, "a draw of {} bytes passes the end of its stream", out.size());
  if (impl_->audit) impl_->audit(position, out.size());
  const CounterBlock iv = first_block(position);
  CHECK(EVP_EncryptInit_ex(impl_->context, nullptr, nullptr, nullptr, iv.data()) == 1, "AES failed");
  for (size_t at = 0; at < out.size(); at += kPiece) {
    const int bytes = static_cast<int>(std::min(kPiece, out.size() - at));
    int written = 0;
    CHECK(EVP_EncryptUpdate(impl_->context, reinterpret_cast<unsigned char*>(out.data() + at), &written, kZeros,
                            bytes) == 1 &&
              written == bytes,
          "AES failed");
  }
}

RingTensor Prg::tensor(const PrgPosition& position, Ring ring, Shape shape, bool is_dry) {
  RingTensor result = RingTensor::make(ring, std::move(shape), is_dry);
  if (!is_dry) fill(position, {result.storage().data(), result.bytes()});
  return result;
}

Prg Prg::clone() const {
  Prg copy{Key{}, impl_->audit};
  CHECK(EVP_CIPHER_CTX_copy(copy.impl_->context, impl_->context) == 1, "AES failed");
  return copy;
}

}  // namespace treville
