// The stream is AES-128-CTR of zeros. The first counter block is inference (4 bytes) | step (4) | purpose (2) |
// block (2) | 0 (4), big-endian; the last four bytes count AES blocks, so streams of different positions never meet.
#include "crypto/prg.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "crypto/aes_ctr.h"
#include "crypto/hash.h"

namespace treville {
namespace {

constexpr size_t kMaxStreamBytes = size_t{1} << 36;  // 2^32 AES blocks

AesCtr::Block first_block(const PrgPosition& position) {
  AesCtr::Block iv{};
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
  AesCtr aes;
  Audit audit;
};

Prg::Prg(const Key& key, Audit audit) : impl_(std::make_unique<Impl>(Impl{AesCtr(key.bytes()), std::move(audit)})) {}
Prg::Prg(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Prg::~Prg() = default;
Prg::Prg(Prg&&) noexcept = default;
Prg& Prg::operator=(Prg&&) noexcept = default;

void Prg::fill(const PrgPosition& position, std::span<std::byte> out) {
  if (out.empty()) return;
  CHECK(out.size() <= kMaxStreamBytes, "a draw of {} bytes passes the end of its stream", out.size());
  if (impl_->audit) impl_->audit(position, out.size());
  impl_->aes.stream(first_block(position), out);
}

RingTensor Prg::tensor(const PrgPosition& position, Ring ring, Shape shape, bool is_dry) {
  RingTensor result = RingTensor::make(ring, std::move(shape), is_dry);
  if (!is_dry) fill(position, {result.storage().data(), result.bytes()});
  return result;
}

Prg Prg::clone() const { return Prg(std::make_unique<Impl>(Impl{impl_->aes.clone(), impl_->audit})); }

}  // namespace treville
