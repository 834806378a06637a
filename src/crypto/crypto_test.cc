// Vectors of NIST (AESAVS, FIPS 180) and RFC 3686, and the properties of the stream that the protocols rest on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>

#include "crypto/aes_ctr.h"
#include "crypto/hash.h"
#include "crypto/prg.h"

namespace treville {
namespace {

std::vector<std::byte> bytes_of_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

Key key_of_hex(std::string_view text) {
  const std::vector<std::byte> bytes = bytes_of_hex(text);
  return Key(std::span<const std::byte, 16>(bytes.data(), 16));
}

std::vector<std::byte> draw(Prg& prg, const PrgPosition& position, size_t bytes) {
  std::vector<std::byte> out(bytes);
  prg.fill(position, out);
  return out;
}

TEST(Hash, MatchesTheVectorsOfFips180) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, GoesOnAfterADigest) {
  Hash hash;
  hash.update("a");
  EXPECT_EQ(hash.digest(), sha256("a"));
  hash.update("bc");
  EXPECT_EQ(hash.digest(), sha256("abc"));
}

TEST(Hash, WipeClearsAndRandomFills) {
  std::array<std::byte, 64> first{}, second{};
  random_bytes(first);
  random_bytes(second);
  EXPECT_NE(first, second);
  wipe(first);
  EXPECT_THAT(first, testing::Each(std::byte{0}));
}

// engines lists what this machine runs.
std::vector<AesCtr::Engine> engines() {
  std::vector<AesCtr::Engine> all{AesCtr::Engine::kOpenSsl};
  if (AesCtr::has_vaes()) all.push_back(AesCtr::Engine::kVaes);
  return all;
}

TEST(AesCtr, MatchesTheVectorOfSp80038a) {
  // SP 800-38A, F.5.1: what is XORed to the plaintext; its counter carries into the third byte from the end.
  const Key key = key_of_hex("2b7e151628aed2a6abf7158809cf4f3c");
  AesCtr::Block first;
  for (size_t i = 0; i < 16; ++i) first[i] = static_cast<unsigned char>(0xf0 + i);
  for (const AesCtr::Engine engine : engines()) {
    AesCtr aes(key.bytes(), engine);
    std::array<std::byte, 64> out;
    aes.stream(first, out);
    EXPECT_EQ(hex(out),
              "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae"
              "6a2cc3787889374fbeb4c81b17ba6c44e89c399ff0f198c6d40a31db156cabfe");
  }
}

TEST(AesCtr, EveryEngineWritesTheStreamOfOpenSslAndNothingPastIt) {
  constexpr uint64_t kSeed = 5113;
  std::mt19937_64 random(kSeed);
  for (const AesCtr::Engine engine : engines()) {
    for (const size_t bytes : {0, 1, 15, 16, 17, 31, 32, 255, 256, 257, 511, 512, 4097, 16384, 16385, 70000}) {
      std::array<std::byte, 16> key;
      AesCtr::Block first;
      for (std::byte& b : key) b = static_cast<std::byte>(random());
      for (unsigned char& b : first) b = static_cast<unsigned char>(random());
      if (bytes % 2 == 0) first[12] = 0, first[13] = first[14] = first[15] = 0xff;  // carries
      AesCtr definition(key, AesCtr::Engine::kOpenSsl), aes(key, engine);
      std::vector<std::byte> expected(bytes + 40, std::byte{7}), out = expected;
      definition.stream(first, std::span(expected).subspan(1, bytes));
      aes.stream(first, std::span(out).subspan(1, bytes));
      EXPECT_EQ(out, expected) << bytes << " bytes, seed " << kSeed;
      std::fill(out.begin() + 1, out.end() - 39, std::byte{7});
      aes.clone().stream(first, std::span(out).subspan(1, bytes));
      EXPECT_EQ(out, expected) << bytes << " bytes of a clone, seed " << kSeed;
    }
  }
}

TEST(AesCtr, ReachesTheEndOfItsCounterAndNotFurther) {
  for (const AesCtr::Engine engine : engines()) {
    AesCtr aes(Key{}.bytes(), engine), definition(Key{}.bytes(), AesCtr::Engine::kOpenSsl);
    AesCtr::Block first{};
    first[12] = first[13] = first[14] = first[15] = 0xff;
    std::array<std::byte, 16> out, expected;
    aes.stream(first, out);
    definition.stream(first, expected);
    EXPECT_EQ(out, expected);
    std::array<std::byte, 17> longer;
    EXPECT_THROW(aes.stream(first, longer), BugError);
  }
}

TEST(Prg, MatchesTheNistVectorsOfAes) {
  Prg key_vector(key_of_hex("10a58869d74be5a374cf867cfb473859"));  // AESAVS KeySbox: encryption of zero
  EXPECT_EQ(hex(draw(key_vector, {}, 16)), "6d251e6944b051e04eaa6fb4dbf78465");
  Prg text_vector(Key{});  // AESAVS VarTxt: key zero, first bit set
  EXPECT_EQ(hex(draw(text_vector, {.inference = 0x80000000}, 16)), "3ad78e726c1ec02b7ebfe92b23d9ec34");
}

TEST(Prg, CountsLikeTheCtrVectorsOfRfc3686) {
  // These vectors begin with counter 1: the second AES block of a stream.
  Prg first(key_of_hex("ae6852f8121067cc4bf7a5765577f39e"));
  EXPECT_EQ(hex(draw(first, {.inference = 0x30}, 32)).substr(32), "b7603328dbc2931b410e16c8067e62df");
  Prg second(key_of_hex("7e24067817fae0d743d6ce1f32539163"));
  const PrgPosition position{.inference = 0x006cb6db, .step = 0xc0543b59, .purpose = 0xda48, .block = 0xd90b};
  EXPECT_EQ(hex(draw(second, position, 48)).substr(32),
            "5105a305128f74de71044be582d7dd87fb3f0cef52cf41dfe4ff2ac48d5ca037");
}

TEST(Prg, IsSeekableInAnyOrderAndLength) {
  const Key key = Key::random();
  Prg forward(key), backward(key);
  std::vector<PrgPosition> positions;
  for (uint16_t i = 0; i < 20; ++i) positions.push_back({i % 3u, i / 3u, static_cast<uint16_t>(i % 2), i});
  std::vector<std::vector<std::byte>> seen;
  for (const PrgPosition& position : positions) seen.push_back(draw(forward, position, 100));
  for (size_t i = positions.size(); i-- > 0;) {
    const std::vector<std::byte> longer = draw(backward, positions[i], 70001);  // several pieces and an odd end
    EXPECT_TRUE(std::equal(seen[i].begin(), seen[i].end(), longer.begin()));
  }
}

TEST(Prg, EveryFieldOfThePositionChangesTheStream) {
  Prg prg(Key::random());
  std::set<std::string> streams;
  for (const PrgPosition& position :
       {PrgPosition{}, PrgPosition{.inference = 1}, PrgPosition{.step = 1}, PrgPosition{.purpose = 1},
        PrgPosition{.block = 1}, PrgPosition{.purpose = 256}, PrgPosition{.block = 256}}) {
    streams.insert(hex(draw(prg, position, 16)));
  }
  EXPECT_EQ(streams.size(), 7u);
}

TEST(Prg, ClonesDrawTheSameBytesInAnotherThread) {
  Prg prg(Key::random());
  const PrgPosition position{.inference = 3, .step = 4};
  Prg copy = prg.clone();
  std::vector<std::byte> theirs;
  std::thread other([&] { theirs = draw(copy, position, 5000); });
  const std::vector<std::byte> ours = draw(prg, position, 5000);
  other.join();
  EXPECT_EQ(ours, theirs);
}

TEST(Prg, AuditSeesEveryDrawAlsoOfClonesAndNoDryOne) {
  std::vector<std::pair<PrgPosition, size_t>> draws;
  Prg prg(Key::random(), [&](const PrgPosition& position, size_t bytes) { draws.emplace_back(position, bytes); });
  const RingTensor tensor = prg.tensor({.step = 1}, Ring::k64, Shape{3, 5}, false);
  EXPECT_EQ(tensor.bytes(), 120u);
  const RingTensor dry = prg.clone().tensor({.step = 2}, Ring::k32, Shape{7}, true);
  EXPECT_TRUE(dry.is_dry());
  draw(prg, {.step = 3}, 0);
  const RingTensor cloned = prg.clone().tensor({.step = 4}, Ring::k32, Shape{7}, false);
  ASSERT_EQ(draws.size(), 2u);
  EXPECT_EQ(draws[0], std::make_pair(PrgPosition{.step = 1}, size_t{120}));
  EXPECT_EQ(draws[1], std::make_pair(PrgPosition{.step = 4}, size_t{28}));
}

TEST(Prg, KeysFromTheSystemDiffer) {
  const Key first = Key::random(), second = Key::random();
  EXPECT_FALSE(std::ranges::equal(first.bytes(), second.bytes()));
}

}  // namespace
}  // namespace treville
