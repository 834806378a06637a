#include "crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <limits>

#include "base/error.h"

namespace treville {

struct Hash::Impl {
  Impl() : context(EVP_MD_CTX_new()) { CHECK(context != nullptr, "out of memory"); }
  ~Impl() { EVP_MD_CTX_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  EVP_MD_CTX* context;
};

Hash::Hash() : impl_(std::make_unique<Impl>()) {
  CHECK(EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) == 1, "SHA-256 is not available");
}
Hash::~Hash() = default;
Hash::Hash(Hash&&) noexcept = default;
Hash& Hash::operator=(Hash&&) noexcept = default;

void Hash::update(std::span<const std::byte> bytes) {
  CHECK(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1, "SHA-256 failed");
}

void Hash::update(std::string_view text) { update(std::as_bytes(std::span(text))); }

Digest Hash::digest() const {
  Impl copy;
  Digest result;
  CHECK(EVP_MD_CTX_copy_ex(copy.context, impl_->context) == 1 &&
            EVP_DigestFinal_ex(copy.context, reinterpret_cast<unsigned char*>(result.data()), nullptr) == 1,
        "SHA-256 failed");
  return result;
}

Digest sha256(std::span<const std::byte> bytes) {
  Hash hash;
  hash.update(bytes);
  return hash.digest();
}

Digest sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

std::string hex(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

void random_bytes(std::span<std::byte> out) {
  CHECK(out.size() <= static_cast<size_t>(std::numeric_limits<int>::max()), "{} random bytes at once", out.size());
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) != 1) {
    throw Error("the operating system gave no random bytes");
  }
}

void wipe(std::span<std::byte> bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

}  // namespace treville
