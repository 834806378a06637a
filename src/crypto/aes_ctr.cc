#include "crypto/aes_ctr.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/error.h"
#include "crypto/aes_vaes.h"

namespace treville {
namespace {

// kZeros is what OpenSSL encrypts: small enough to stay in the first cache, large enough to hide the cost of a call.
constexpr size_t kPiece = 16384;
alignas(64) constexpr unsigned char kZeros[kPiece] = {};

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }  // wipes the key schedule
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

Context make_context() {
  Context context(EVP_CIPHER_CTX_new());
  CHECK(context != nullptr, "out of memory");
  return context;
}

void openssl_stream(EVP_CIPHER_CTX* context, const AesCtr::Block& first, std::span<std::byte> out) {
  CHECK(EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, first.data()) == 1, "AES failed");
  for (size_t at = 0; at < out.size(); at += kPiece) {
    const int bytes = static_cast<int>(std::min(kPiece, out.size() - at));
    int written = 0;
    CHECK(EVP_EncryptUpdate(context, reinterpret_cast<unsigned char*>(out.data() + at), &written, kZeros, bytes) == 1 &&
              written == bytes,
          "AES failed");
  }
}

// counter_of is what counts in a block.
uint64_t counter_of(const AesCtr::Block& block) {
  uint64_t counter = 0;
  for (size_t i = 12; i < 16; ++i) counter = counter << 8 | block[i];
  return counter;
}

}  // namespace

// One of the two is in use.
struct AesCtr::Impl {
  Context context;
  AesSchedule schedule;
};

bool AesCtr::has_vaes() { return vaes_is_supported(); }

AesCtr::AesCtr(std::span<const std::byte, 16> key, Engine engine) : impl_(std::make_unique<Impl>()) {
  if (engine == Engine::kVaes) {
    CHECK(has_vaes(), "this machine has no VAES");
    impl_->schedule = vaes_expand(key);
    return;
  }
  impl_->context = make_context();
  const auto* bytes = reinterpret_cast<const unsigned char*>(key.data());
  CHECK(EVP_EncryptInit_ex(impl_->context.get(), EVP_aes_128_ctr(), nullptr, bytes, nullptr) == 1,
        "AES is not available");
}
AesCtr::AesCtr(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AesCtr::~AesCtr() = default;
AesCtr::AesCtr(AesCtr&&) noexcept = default;
AesCtr& AesCtr::operator=(AesCtr&&) noexcept = default;

void AesCtr::stream(const Block& first, std::span<std::byte> out) {
  const uint64_t blocks = (out.size() + 15) / 16;
  CHECK(counter_of(first) + blocks <= uint64_t{1} << 32, "{} blocks pass the end of a counter", blocks);
  if (impl_->context) {
    openssl_stream(impl_->context.get(), first, out);
  } else {
    vaes_stream(impl_->schedule, first, out);
  }
}

AesCtr AesCtr::clone() const {
  auto copy = std::make_unique<Impl>();
  copy->schedule = impl_->schedule;
  if (impl_->context) {
    copy->context = make_context();
    CHECK(EVP_CIPHER_CTX_copy(copy->context.get(), impl_->context.get()) == 1, "AES failed");
  }
  return AesCtr(std::move(copy));
}

}  // namespace treville
