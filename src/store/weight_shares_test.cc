// Kept parts of the weight set-up: found again by their party, for the same model, shapes and set-up; nothing
// otherwise.
#include "store/weight_shares.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "store/test_support.h"

namespace treville {
namespace {

namespace fs = std::filesystem;
using store_test::Folder;
using store_test::id_of;

RingTensor weight_of(uint32_t first) {
  RingTensor tensor = RingTensor::stored(Ring::k32, {4, 5});
  for (uint32_t& word : tensor.as<uint32_t>()) word = first++;
  return tensor;
}

class Shares : public testing::Test {
 protected:
  WeightShares open(PartyId self) const { return WeightShares(folder_.file("weights"), storage_, self, {}); }
  std::string only_file() const {
    std::string found;
    for (const auto& entry : fs::directory_iterator(folder_.file("weights")))
      if (entry.path().extension() == ".share") found = entry.path().string();
    return found;
  }

  Folder folder_;
  const SealKey storage_ = SealKey::random();
  const std::vector<WeightShape> shapes_ = {{Ring::k32, {4, 5}}, {Ring::k64, {3}}};
};

TEST_F(Shares, KeepTheDealersKey) {
  const Key key = Key::random();
  open(PartyId::kDealer).keep_dealer_key(id_of(1), shapes_, id_of(2), key);
  WeightShares shares = open(PartyId::kDealer);
  const auto found = shares.dealer_key(id_of(1), shapes_, id_of(2));
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(std::ranges::equal(found->bytes(), key.bytes()));
  EXPECT_FALSE(shares.dealer_key(id_of(1), shapes_, id_of(3))) << "another set-up";
  EXPECT_FALSE(shares.dealer_key(id_of(4), shapes_, id_of(2))) << "another model";
  EXPECT_TRUE(shares.notes().empty());
  EXPECT_FALSE(shares.dealer_key(id_of(1), {}, id_of(2))) << "other shapes";
  EXPECT_EQ(shares.notes().size(), 1u);
  const std::string text = read_file(only_file(), 1000);
  EXPECT_EQ(text.find(std::string(reinterpret_cast<const char*>(key.bytes().data()), 16)), std::string::npos);
}

TEST_F(Shares, KeepTheHelpersShare) {
  const RingTensor first = weight_of(100);
  RingTensor second = RingTensor::zeros(Ring::k64, {3});
  second.as<uint64_t>()[2] = 77;
  {
    WeightShares shares = open(PartyId::kHelper);
    const auto file = shares.keep_helper_share(id_of(1), shapes_, id_of(2));
    file->add(first);
    file->add(second);
    EXPECT_FALSE(shares.helper_share(id_of(1), shapes_, id_of(2))) << "before it is complete";
    file->commit();
  }
  WeightShares shares = open(PartyId::kHelper);
  const auto found = shares.helper_share(id_of(1), shapes_, id_of(2));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ((*found)[0].as<uint32_t>()[19], 119u);
  EXPECT_EQ((*found)[1].as<uint64_t>()[2], 77u);
  EXPECT_FALSE(shares.helper_share(id_of(1), shapes_, id_of(3)));
  EXPECT_FALSE(open(PartyId::kDealer).dealer_key(id_of(1), shapes_, id_of(2))) << "another party's file";
}

TEST_F(Shares, DamagedCutOrOfAnotherStorageKeyAreNone) {
  open(PartyId::kDealer).keep_dealer_key(id_of(1), shapes_, id_of(2), Key::random());
  const std::string path = only_file(), intact = read_file(path, 1000);
  for (size_t at = 0; at < intact.size(); at += 5) {
    std::string changed = intact;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    store_test::write_file(path, changed);
    WeightShares shares = open(PartyId::kDealer);
    EXPECT_FALSE(shares.dealer_key(id_of(1), shapes_, id_of(2))) << "byte " << at;
    EXPECT_EQ(shares.notes().size(), 1u) << "byte " << at;
    store_test::write_file(path, intact.substr(0, at));
    EXPECT_FALSE(shares.dealer_key(id_of(1), shapes_, id_of(2))) << at << " bytes";
  }
  store_test::write_file(path, intact);
  WeightShares other(folder_.file("weights"), SealKey::random(), PartyId::kDealer, {});
  EXPECT_FALSE(other.dealer_key(id_of(1), shapes_, id_of(2)));
  EXPECT_TRUE(open(PartyId::kDealer).dealer_key(id_of(1), shapes_, id_of(2)));
}

TEST_F(Shares, OneModelIdNeverStandsForTwoSetsOfWeights) {
  const RingTensor a = weight_of(1), b = weight_of(2);
  const std::vector<const RingTensor*> first = {&a}, second = {&b};
  {
    WeightShares shares = open(PartyId::kEvaluator);
    WeightShares::Model model = shares.identify(first, id_of(1));
    EXPECT_EQ(model.id, id_of(1));
    EXPECT_FALSE(model.set_up.has_value());
    model.set_up = id_of(9);
    shares.keep_model(model);
  }
  WeightShares shares = open(PartyId::kEvaluator);
  EXPECT_EQ(shares.identify(first, id_of(1)).set_up, id_of(9));
  EXPECT_EQ(shares.identify(first, id_of(5)).id, id_of(1)) << "the same weights in another file";
  const WeightShares::Model changed = shares.identify(second, id_of(1));
  EXPECT_NE(changed.id, id_of(1));
  EXPECT_FALSE(changed.set_up.has_value());
  EXPECT_EQ(shares.identify(second, id_of(1)).id, changed.id);
  EXPECT_TRUE(shares.notes().empty());
}

TEST_F(Shares, NameWeightsByADigestThatIsKeyed) {
  const RingTensor a = weight_of(1);
  const std::vector<const RingTensor*> weights = {&a};
  const Digest mine = open(PartyId::kEvaluator).identify(weights, id_of(1)).weights;
  WeightShares other(folder_.file("other"), SealKey::random(), PartyId::kEvaluator, {});
  EXPECT_NE(other.identify(weights, id_of(1)).weights, mine);
}

TEST(SharesThatKeepNothing, HaveNothing) {
  WeightShares shares({}, {}, PartyId::kEvaluator, {});
  const RingTensor a = weight_of(1);
  const std::vector<const RingTensor*> weights = {&a};
  EXPECT_FALSE(shares.keeps());
  EXPECT_EQ(shares.identify(weights, id_of(1)).id, id_of(1));
  EXPECT_FALSE(shares.dealer_key(id_of(1), {}, id_of(2)));
  EXPECT_FALSE(shares.helper_share(id_of(1), {}, id_of(2)));
}

}  // namespace
}  // namespace treville
