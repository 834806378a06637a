// The weight set-up kept between sessions: W1 is sent once, and sent again where anything is not what it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "run/test_stores.h"

namespace treville {
namespace {

namespace fs = std::filesystem;
using testing::CrashPoint;
using ::testing::Each;
using testing::expect_right;
using ::testing::IsEmpty;
using testing::small_model;
using testing::SmallModel;
using testing::ThreeStores;

// Two messages from each party to each other one: E's of 32 bytes, the others' of 16; and three times "ready".
constexpr int64_t kAgreementBytes = 2 * 32 + 4 * 16 + 6 * kFrameHeaderBytes, kReadyBytes = 6 * kFrameHeaderBytes;

class KeptWeights : public ::testing::TestWithParam<Ring> {
 protected:
  const SmallModel model_ = small_model(GetParam(), 1);
  ThreeStores three_{model_};
};

TEST_P(KeptWeights, AreSentOnce) {
  const auto first = three_.interleaved();
  expect_right(first, model_);
  EXPECT_THAT(first.weights_kept, Each(false));
  EXPECT_GT(first.sent(Phase::kSetup), kAgreementBytes + kReadyBytes + 128 * bytes_of(GetParam()));
  for (int i = 0; i < 2; ++i) {
    const auto next = three_.interleaved();
    expect_right(next, model_);
    EXPECT_THAT(next.weights_kept, Each(true));
    EXPECT_EQ(next.sent(Phase::kSetup), kAgreementBytes + kReadyBytes);
    EXPECT_EQ(next.sent(Phase::kOffline), first.sent(Phase::kOffline));
    EXPECT_EQ(next.sent(Phase::kOnline), first.sent(Phase::kOnline));
    EXPECT_THAT(next.notes, Each(IsEmpty()));
  }
}

TEST_P(KeptWeights, AreSharedAnewWhenOnePartyLostOrDamagedItsPart) {
  expect_right(three_.interleaved(), model_);
  for (const PartyId party : kAllParties) {
    for (const char* how : {"gone", "cut", "changed", "of another storage key"}) {
      SCOPED_TRACE(fmt::format("party {}, {}", party, how));
      for (const auto& entry : fs::directory_iterator(three_.folder(party) / "weights")) {
        if (entry.path().extension() != ".share") continue;
        if (how == std::string("gone")) {
          fs::remove(entry.path());
        } else if (how == std::string("cut")) {
          fs::resize_file(entry.path(), fs::file_size(entry.path()) - 1);
        } else if (how == std::string("changed")) {
          std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
          file.seekg(90);
          const int byte = file.get();
          file.seekp(90);
          file.put(static_cast<char>(byte ^ 1));
        } else {
          fs::remove(three_.folder(party) / "key");
        }
      }
      const auto again = three_.interleaved();
      expect_right(again, model_);
      EXPECT_THAT(again.weights_kept, Each(false));
      // The owner's file is named under the storage key: with another one it is not found.
      const bool not_found =
          how == std::string("gone") || (party == PartyId::kEvaluator && how == std::string("of another storage key"));
      EXPECT_EQ(again.notes[static_cast<size_t>(index_of(party))].empty(), not_found);
      const auto kept = three_.interleaved();
      expect_right(kept, model_);
      EXPECT_THAT(kept.weights_kept, Each(true));
    }
  }
}

TEST_P(KeptWeights, PartsOfTwoSetUpsNeverGoTogether) {
  expect_right(three_.interleaved(), model_);
  for (const PartyId party : kAllParties) {
    const fs::path old = three_.path() / "old";
    fs::copy(three_.folder(party) / "weights", old, fs::copy_options::recursive);
    fs::remove_all(three_.folder(party == PartyId::kHelper ? PartyId::kDealer : PartyId::kHelper) / "weights");
    expect_right(three_.interleaved(), model_);
    fs::remove_all(three_.folder(party) / "weights");
    fs::rename(old, three_.folder(party) / "weights");
    const auto mixed = three_.interleaved();
    expect_right(mixed, model_);
    EXPECT_THAT(mixed.weights_kept, Each(false)) << fmt::format("party {} came back with an older part", party);
  }
}

TEST_P(KeptWeights, OtherWeightsGetAKeyOfTheirOwn) {
  const auto first = three_.interleaved();
  std::vector<RingTensor> changed;
  for (const RingTensor& constant : model_.constants) changed.push_back(constant.clone());
  changed[0].storage().data()[0] ^= std::byte{1};
  three_.weights = &changed;  // in a file with the same id
  const auto other = three_.interleaved();
  expect_right(other, model_, &changed);
  EXPECT_THAT(other.weights_kept, Each(false));
  EXPECT_EQ(other.sent(Phase::kSetup), first.sent(Phase::kSetup));
  EXPECT_THAT(three_.interleaved().weights_kept, Each(true));
  three_.weights = nullptr;
  const auto back = three_.interleaved();
  expect_right(back, model_);
  EXPECT_THAT(back.weights_kept, Each(true)) << "the first weights still have theirs";
}

TEST_P(KeptWeights, ACrashAtEveryPointOfKeepingLeavesRightResults) {
  for (const PartyId party : kAllParties) {
    int point = 1;
    for (bool crashed = true; crashed; ++point) {
      SCOPED_TRACE(fmt::format("party {}, point {}", party, point));
      ThreeStores three(model_);
      CrashPoint crash(party, point);
      const auto first = three.interleaved(&crash);
      crashed = crash.happened();
      EXPECT_EQ(first.ok(), !crashed);
      expect_right(three.interleaved(), model_);
      const auto kept = three.interleaved();
      expect_right(kept, model_);
      EXPECT_THAT(kept.weights_kept, Each(true));
    }
    EXPECT_GT(point, 4);
  }
}

INSTANTIATE_TEST_SUITE_P(Rings, KeptWeights, ::testing::Values(Ring::k32, Ring::k64),
                         [](const auto& tested) { return tested.param == Ring::k32 ? "Z32" : "Z64"; });

}  // namespace
}  // namespace treville
