// Vectors of NIST (GCM, test cases 13, 14 and 16 of the specification), one of the openssl command, and what a changed
// bit does.
#include "crypto/seal.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace treville {
namespace {

std::vector<std::byte> bytes_of_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

template <size_t N>
std::array<std::byte, N> array_of_hex(std::string_view text) {
  const std::vector<std::byte> bytes = bytes_of_hex(text);
  std::array<std::byte, N> result;
  std::copy_n(bytes.begin(), N, result.begin());
  return result;
}

struct Vector {
  const char *key, *nonce, *associated, *text, *cipher, *tag;
};
constexpr const char* kZeroKey = "0000000000000000000000000000000000000000000000000000000000000000";
const Vector kVectors[] = {
    {kZeroKey, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {kZeroKey, "000000000000000000000000", "", "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
     "ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0a"
     "bcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

TEST(Seal, GivesTheVectorsOfGcm) {
  for (const Vector& v : kVectors) {
    Sealer sealer{SealKey(array_of_hex<32>(v.key))};
    const auto nonce = array_of_hex<12>(v.nonce);
    const auto associated = bytes_of_hex(v.associated), plain = bytes_of_hex(v.text);
    std::vector<std::byte> text = plain;
    const SealTag tag = sealer.seal(nonce, associated, text);
    EXPECT_EQ(hex(text), v.cipher);
    EXPECT_EQ(hex(tag), v.tag);
    EXPECT_TRUE(sealer.unseal(nonce, associated, text, tag));
    EXPECT_EQ(text, plain);
  }
}

TEST(Seal, RefusesEveryChangedBit) {
  Sealer sealer{SealKey::random()};
  SealNonce nonce{};
  std::vector<std::byte> associated(5, std::byte{7}), text(9, std::byte{3});
  const SealTag tag = sealer.seal(nonce, associated, text);
  const std::vector<std::byte> cipher = text;
  const auto refused = [&](std::span<std::byte> changed, SealTag& with) {
    for (size_t bit = 0; bit < 8 * changed.size(); ++bit) {
      changed[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      std::vector<std::byte> copy = text;
      EXPECT_FALSE(sealer.unseal(nonce, associated, copy, with)) << "bit " << bit;
      EXPECT_EQ(copy, std::vector<std::byte>(copy.size())) << "text of a forgery was left";
      changed[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    }
  };
  SealTag mutable_tag = tag;
  refused(text, mutable_tag);
  refused(associated, mutable_tag);
  refused(nonce, mutable_tag);
  refused(mutable_tag, mutable_tag);
  EXPECT_TRUE(sealer.unseal(nonce, associated, text, tag));
  text = cipher;
  EXPECT_FALSE(Sealer{SealKey::random()}.unseal(nonce, associated, text, tag)) << "another key";
}

TEST(Hmac, GivesTheVectorOfOpenSsl) {
  // printf '\0what do ya want for nothing?' | openssl dgst -sha256 -mac HMAC -macopt key:Jefe
  const std::string key = "Jefe", text = "what do ya want for nothing?";
  EXPECT_EQ(hex(hmac(std::as_bytes(std::span(key)), "", std::as_bytes(std::span(text)))),
            "6882ec3e66248227aedbf4c2f567b563b5668a12dc6c5560333e28bfa72d3672");
}

TEST(Derive, SeparatesLabelsContextsAndParents) {
  const SealKey parent = SealKey::random(), other = SealKey::random();
  const std::array<std::byte, 1> context = {std::byte{1}};
  const auto text = [](const SealKey& key) { return hex(key.bytes()); };
  const std::string derived = text(derive(parent, "a", context));
  EXPECT_EQ(derived, text(derive(parent, "a", context)));
  EXPECT_NE(derived, text(derive(parent, "b", context)));
  EXPECT_NE(derived, text(derive(parent, "a", {})));
  EXPECT_NE(derived, text(derive(other, "a", context)));
  const Key pair = Key::random();
  EXPECT_NE(hex(derive(pair, "a", context).bytes()), hex(pair.bytes()));
  EXPECT_NE(hex(derive(pair, "a", context).bytes()), hex(derive(pair, "a", {}).bytes()));
}

}  // namespace
}  // namespace treville
