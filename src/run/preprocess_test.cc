// Inferences from records: the same outputs with the online bytes alone, and no record ever used twice.
#include "run/preprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "run/test_stores.h"

namespace treville {
namespace {

namespace fs = std::filesystem;
using testing::Builder;
using testing::CrashPoint;
using ::testing::Each;
using testing::expect_right;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::small_model;
using testing::SmallModel;
using testing::ThreeStores;
using Numbers = std::set<uint32_t>;

constexpr PartyId kD = PartyId::kDealer, kE = PartyId::kEvaluator, kH = PartyId::kHelper;

TEST(OfflineReads, AreWhatTheOnlineWalkReceivesOffline) {
  const SmallModel m = small_model(Ring::k32, 1);
  EXPECT_THAT(offline_reads("porthos", m.b.program, kD), IsEmpty());
  for (const PartyId party : {kE, kH}) {
    const std::vector<DryEvent> reads = offline_reads("porthos", m.b.program, party);
    EXPECT_FALSE(reads.empty());
    for (const DryEvent& read : reads) {
      EXPECT_EQ(read.phase, Phase::kOffline);
      EXPECT_EQ(read.kind, DryEvent::Kind::kReceive);
      EXPECT_NE(read.peer, party);
    }
  }
}

TEST(Preprocessed, GivesTheOutputWithTheOnlineBytesAlone) {
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    const SmallModel m = small_model(ring, 3);
    ThreeStores three(m);
    const auto interleaved = three.interleaved();
    expect_right(interleaved, m);
    const auto made = three.preprocess(3);
    ASSERT_TRUE(made.ok()) << made.errors[1];
    EXPECT_EQ(made.sent(Phase::kOnline), 0);
    EXPECT_EQ(made.sent(Phase::kOffline), 3 * interleaved.sent(Phase::kOffline));
    for (int i = 0; i < 3; ++i) {
      const auto online = three.online();
      expect_right(online, m);
      EXPECT_EQ(online.sent(Phase::kOffline), 0);
      EXPECT_EQ(online.sent(Phase::kOnline), interleaved.sent(Phase::kOnline));
      for (const PartyId party : kAllParties) {
        EXPECT_EQ(online.drawn[static_cast<size_t>(index_of(party))], Numbers{static_cast<uint32_t>(i)});
        EXPECT_EQ(three.left(party).size(), static_cast<size_t>(2 - i));
      }
    }
  }
}

TEST(Preprocessed, HoldsOutputsForEveryReceiverAndShares) {
  SmallModel m{Builder(Ring::k32), {}, {}};
  Builder& b = m.b;
  const SlotId x = b.input({6}, Bits(4));
  const SlotId y = b.add(ReluStep{x, Bits(0), Bits(20)});
  b.output(y, kD, "d");
  b.output(y, kE, "e");
  b.output(y, kH, "h");
  b.output(y, kD, "both", OutputPolicy::kShares);
  // A product has H hand masks from its offline walk to its online walk, beside what it receives.
  b.output(b.add(ProductStep{x, y, Elementwise{{6}}}), kD, "product");
  b.output(b.add(RescaleStep{y, Bits(0), Bits(20)}), kE, "last");
  RingTensor input = RingTensor::stored(Ring::k32, {6});
  for (uint32_t i = 0; i < 6; ++i) input.as<uint32_t>()[i] = i * 100 - 250;
  m.inputs.emplace("x", std::move(input));
  ThreeStores three(m);
  ASSERT_TRUE(three.preprocess(1).ok());
  const auto online = three.online();
  ASSERT_TRUE(online.ok()) << online.errors[0] << online.errors[1] << online.errors[2];
  const auto words = [&](PartyId party, const std::string& name) {
    for (const RevealedOutput& output : online.outputs[static_cast<size_t>(index_of(party))]) {
      if (output.name != name) continue;
      const auto found = output.value.value.as<uint32_t>();
      return std::vector<uint32_t>(found.begin(), found.end());
    }
    return std::vector<uint32_t>();
  };
  const std::vector<uint32_t> expected = {0, 0, 0, 50, 150, 250};
  EXPECT_EQ(words(kD, "d"), expected);
  EXPECT_EQ(words(kD, "product"), (std::vector<uint32_t>{0, 0, 0, 50 * 50, 150 * 150, 250 * 250}));
  EXPECT_EQ(words(kE, "last"), expected);
  EXPECT_EQ(words(kE, "e"), expected);
  EXPECT_EQ(words(kH, "h"), expected);
  std::vector<uint32_t> sum = words(kD, "both");
  const std::vector<uint32_t> other = words(kE, "both");
  ASSERT_EQ(sum.size(), 6u);
  ASSERT_EQ(other.size(), 6u);
  EXPECT_NE(sum, expected);
  for (size_t i = 0; i < 6; ++i) sum[i] += other[i];
  EXPECT_EQ(sum, expected);
}

TEST(Preprocessed, WithoutARecordIsAUserErrorAtAllParties) {
  const SmallModel m = small_model(Ring::k32, 1);
  ThreeStores three(m);
  ASSERT_TRUE(three.preprocess(1).ok());
  const auto too_many = three.session(true, [](ThreeStores::Side& side) -> std::vector<RevealedOutput> {
    const auto records = side.session.store->records(side.session.program, side.session.model);
    check_left(side.session, *records, 1);
    check_left(side.session, *records, 2);
    return {};
  });
  EXPECT_THAT(too_many.is_user_error, Each(true));
  EXPECT_THAT(too_many.errors, Each(HasSubstr("takes 2 preprocessed inferences of this program and model; left "
                                              "are 1 at party 0, 1 at party 1 and 1 at party 2")));
  expect_right(three.online(), m);
  const auto none = three.online();
  EXPECT_THAT(none.is_user_error, Each(true));
  EXPECT_THAT(none.errors, Each(HasSubstr("treville preprocess")));
}

TEST(Preprocessed, PartiesThatLostRecordsMeetAtTheNextCommonOne) {
  const SmallModel m = small_model(Ring::k32, 1);
  ThreeStores three(m);
  ASSERT_TRUE(three.preprocess(4).ok());
  // D lost 0, E lost 1 and 2: what all have is 3.
  const auto lose = [&](PartyId party, const std::string& file) {
    for (const auto& entry : fs::recursive_directory_iterator(three.folder(party))) {
      if (entry.path().filename() == file) {
        fs::remove(entry.path());
        return;
      }
    }
    ADD_FAILURE() << "no " << file;
  };
  lose(kD, "0000000000.record");
  lose(kE, "0000000001.record");
  lose(kE, "0000000002.record");
  const auto online = three.online();
  expect_right(online, m);
  EXPECT_THAT(online.drawn, Each(Numbers{3}));
  for (const PartyId party : kAllParties) EXPECT_THAT(three.left(party), IsEmpty()) << "skipped records burn";
}

TEST(Preprocessed, AStoreThatWasPutBackNeverRepeatsARecord) {
  const SmallModel m = small_model(Ring::k32, 1);
  for (const PartyId party : kAllParties) {
    ThreeStores three(m);
    ASSERT_TRUE(three.preprocess(3).ok());
    const fs::path backup = three.path() / "backup";
    fs::copy(three.folder(party), backup, fs::copy_options::recursive);
    expect_right(three.online(), m);
    fs::remove_all(three.folder(party));
    fs::rename(backup, three.folder(party));
    EXPECT_EQ(three.left(party).size(), 3u);
    const auto online = three.online();
    expect_right(online, m);
    EXPECT_THAT(online.drawn, Each(Numbers{1})) << "record 0 is burnt where it came back";
    EXPECT_EQ(three.left(party), Numbers{2});
  }
}

TEST(Preprocessed, RecordsOfTwoBatchesUnderOneNumberBurn) {
  const SmallModel m = small_model(Ring::k32, 1);
  ThreeStores three(m);
  ASSERT_TRUE(three.preprocess(1).ok());
  const fs::path first = three.path() / "first";
  fs::rename(three.folder(kH), first);
  for (const PartyId party : {kD, kE}) fs::remove_all(three.folder(party) / "records");
  ASSERT_TRUE(three.preprocess(2).ok());  // of numbers 0 and 1 again: nobody knows of the first batch
  fs::remove_all(three.folder(kH));
  fs::rename(first, three.folder(kH));
  const auto online = three.online();
  EXPECT_THAT(online.is_user_error, Each(true));
  EXPECT_THAT(online.errors, Each(HasSubstr("party 2 has no preprocessed inference left")));
  EXPECT_EQ(three.left(kD), Numbers{1});
  EXPECT_THAT(three.left(kH), IsEmpty());
}

TEST(Preprocessed, OtherWeightsHaveNoRecords) {
  const SmallModel m = small_model(Ring::k32, 1), other = small_model(Ring::k32, 2);
  ThreeStores three(m);
  ASSERT_TRUE(three.preprocess(1).ok());
  std::vector<RingTensor> constants;
  for (const RingTensor& constant : other.constants) constants.push_back(constant.clone());
  three.weights = &constants;  // in a file of the same id
  const auto online = three.online();
  EXPECT_THAT(online.is_user_error, Each(true));
  ASSERT_TRUE(three.preprocess(1).ok());
  expect_right(three.online(), m, &constants);
}

TEST(Preprocessed, ADamagedRecordNeverGivesAResult) {
  const SmallModel m = small_model(Ring::k32, 1);
  for (const PartyId party : kAllParties) {
    ThreeStores three(m);
    ASSERT_TRUE(three.preprocess(2).ok());
    for (const auto& entry : fs::recursive_directory_iterator(three.folder(party))) {
      if (entry.path().filename() != "0000000000.record") continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(100);
      file.put('x');
      file.put('y');
    }
    const auto damaged = three.online();
    EXPECT_FALSE(damaged.ok());
    EXPECT_THAT(damaged.errors[static_cast<size_t>(index_of(party))], HasSubstr("damaged"));
    EXPECT_THAT(damaged.outputs, Each(IsEmpty()));
    const auto next = three.online();
    expect_right(next, m);
    EXPECT_THAT(next.drawn, Each(Numbers{1}));
  }
}

// A party stops at one point of using a record; the three start again. Whatever the point, no party ever draws a mask
// of a record in two sessions, and they find a record they all have.
TEST(Crashes, AtEveryPointOfUsingARecordNeverRepeatOne) {
  const SmallModel m = small_model(Ring::k32, 1);
  for (const PartyId party : kAllParties) {
    int point = 1;
    for (bool crashed = true; crashed; ++point) {
      SCOPED_TRACE(fmt::format("party {}, point {}", party, point));
      ThreeStores three(m);
      ASSERT_TRUE(three.preprocess(3).ok());
      CrashPoint crash(party, point);
      const auto first = three.online(&crash);
      crashed = crash.happened();
      EXPECT_EQ(first.ok(), !crashed);
      for (const PartyId other : kAllParties) {
        const Numbers& drawn = first.drawn[static_cast<size_t>(index_of(other))];
        const Numbers left = three.left(other);
        for (const uint32_t number : drawn) EXPECT_EQ(left.count(number), 0u) << "a used record can be used again";
      }
      const auto second = three.online();
      expect_right(second, m);
      for (size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(second.drawn[i], second.drawn[0]) << "one record for all";
        for (const uint32_t number : second.drawn[i]) EXPECT_EQ(first.drawn[i].count(number), 0u);
      }
    }
    EXPECT_GT(point, 5) << "the points of erasing a key";
  }
}

TEST(Crashes, AtEveryPointOfPreprocessingLeaveWholeRecordsOnly) {
  const SmallModel m = small_model(Ring::k32, 1);
  for (const PartyId party : kAllParties) {
    ThreeStores warm(m);
    ASSERT_TRUE(warm.interleaved().ok());
    int point = 1;
    for (bool crashed = true; crashed; ++point) {
      SCOPED_TRACE(fmt::format("party {}, point {}", party, point));
      ThreeStores three(m);
      for (const PartyId p : kAllParties) fs::copy(warm.folder(p), three.folder(p), fs::copy_options::recursive);
      CrashPoint crash(party, point);
      const auto first = three.preprocess(2, &crash);
      crashed = crash.happened();
      EXPECT_EQ(first.ok(), !crashed);
      const auto more = three.preprocess(1);
      ASSERT_TRUE(more.ok()) << more.errors[0] << more.errors[1] << more.errors[2];
      const auto online = three.online();
      expect_right(online, m);
    }
    EXPECT_GT(point, 8) << "the points of writing records and keys";
  }
}

}  // namespace
}  // namespace treville
