#include "crypto/seal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"

namespace treville {
namespace {

const unsigned char* in(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* out(std::span<std::byte> bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

int length(size_t bytes) {
  CHECK(bytes <= static_cast<size_t>(std::numeric_limits<int>::max()), "{} bytes sealed at once", bytes);
  return static_cast<int>(bytes);
}

}  // namespace

SealKey::SealKey(std::span<const std::byte, kBytes> bytes) { std::ranges::copy(bytes, bytes_.begin()); }

SealKey SealKey::random() {
  SealKey key;
  random_bytes(key.bytes_);
  return key;
}

SealKey::~SealKey() { wipe(bytes_); }

struct Sealer::Impl {
  Impl() : context(EVP_CIPHER_CTX_new()) { CHECK(context != nullptr, "out of memory"); }
  ~Impl() { EVP_CIPHER_CTX_free(context); }  // wipes the key schedule
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // begin sets direction and nonce and takes the associated data.
  void begin(const unsigned char* key, bool encrypts, const SealNonce& nonce, std::span<const std::byte> associated) {
    int written = 0;
    CHECK(EVP_CipherInit_ex(context, nullptr, nullptr, key, in(nonce), encrypts ? 1 : 0) == 1 &&
              EVP_CipherUpdate(context, nullptr, &written, in(associated), length(associated.size())) == 1,
          "AES-GCM failed");
  }
  void crypt(std::span<std::byte> text) {
    int written = 0;
    if (text.empty()) return;
    CHECK(EVP_CipherUpdate(context, out(text), &written, in(text), length(text.size())) == 1 &&
              written == static_cast<int>(text.size()),
          "AES-GCM failed");
  }

  EVP_CIPHER_CTX* context;
};

Sealer::Sealer(const SealKey& key) : impl_(std::make_unique<Impl>()) {
  CHECK(EVP_CipherInit_ex(impl_->context, EVP_aes_256_gcm(), nullptr, in(key.bytes()), nullptr, 1) == 1,
        "AES-256-GCM is not available");
}
Sealer::~Sealer() = default;
Sealer::Sealer(Sealer&&) noexcept = default;
Sealer& Sealer::operator=(Sealer&&) noexcept = default;

SealTag Sealer::seal(const SealNonce& nonce, std::span<const std::byte> associated, std::span<std::byte> text) {
  impl_->begin(nullptr, true, nonce, associated);
  impl_->crypt(text);
  SealTag tag;
  int written = 0;
  CHECK(EVP_CipherFinal_ex(impl_->context, out(tag), &written) == 1 && written == 0 &&
            EVP_CIPHER_CTX_ctrl(impl_->context, EVP_CTRL_GCM_GET_TAG, static_cast<int>(tag.size()), tag.data()) == 1,
        "AES-GCM failed");
  return tag;
}

bool Sealer::unseal(const SealNonce& nonce, std::span<const std::byte> associated, std::span<std::byte> text,
                    const SealTag& tag) {
  impl_->begin(nullptr, false, nonce, associated);
  impl_->crypt(text);
  SealTag expected = tag;
  CHECK(EVP_CIPHER_CTX_ctrl(impl_->context, EVP_CTRL_GCM_SET_TAG, static_cast<int>(expected.size()), expected.data()) ==
            1,
        "AES-GCM failed");
  int written = 0;
  unsigned char rest[kSealTagBytes];
  const bool authentic = EVP_CipherFinal_ex(impl_->context, rest, &written) == 1;
  if (!authentic) wipe(text);
  return authentic;
}

Digest hmac(std::span<const std::byte> key, std::string_view label, std::span<const std::byte> context) {
  std::vector<std::byte> message(label.size() + 1 + context.size());
  std::ranges::copy(std::as_bytes(std::span(label)), message.begin());
  std::ranges::copy(context, message.begin() + static_cast<std::ptrdiff_t>(label.size()) + 1);
  Digest digest;
  unsigned bytes = 0;
  CHECK(
      HMAC(EVP_sha256(), key.data(), length(key.size()), in(message), message.size(), out(digest), &bytes) != nullptr &&
          bytes == digest.size(),
      "HMAC-SHA256 failed");
  return digest;
}

SealKey derive(const SealKey& parent, std::string_view label, std::span<const std::byte> context) {
  Digest digest = hmac(parent.bytes(), label, context);
  const SealKey key{std::span<const std::byte, SealKey::kBytes>(digest)};
  wipe(digest);
  return key;
}

Key derive(const Key& parent, std::string_view label, std::span<const std::byte> context) {
  Digest digest = hmac(parent.bytes(), label, context);
  const Key key{std::span<const std::byte>(digest).first<Key::kBytes>()};
  wipe(digest);
  return key;
}

}  // namespace treville
