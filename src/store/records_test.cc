// Records on disk: what is written is read once, in order, by its party alone.
#include "store/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "base/error.h"
#include "store/replay_network.h"
#include "store/store.h"
#include "store/test_support.h"

namespace treville {
namespace {

namespace fs = std::filesystem;
using store_test::Folder;
using store_test::id_of;

Buffer buffer_of(size_t bytes, int value) {
  Buffer buffer = Buffer::stored(bytes);
  std::fill_n(buffer.data(), bytes, static_cast<std::byte>(value));
  return buffer;
}

RingTensor tensor_of(uint32_t value) {
  RingTensor tensor = RingTensor::stored(Ring::k32, {3});
  for (uint32_t& word : tensor.as<uint32_t>()) word = value;
  return tensor;
}

constexpr MessageTag kFirst{3, 1, 2, 0}, kSecond{3, 2, 5, 1};
constexpr size_t kLarge = (size_t{2} << 20) + 5;

class RecordFiles : public testing::Test {
 protected:
  Records open() const { return Records(folder_.file("records"), storage_, subject_); }
  void make(Records& records, uint32_t number) const {
    const auto record = records.make({number, id_of(1)});
    record->keys({key_, std::nullopt});
    record->message(PartyId::kDealer, kFirst, buffer_of(40, 1));
    record->message(PartyId::kHelper, kSecond, buffer_of(kLarge, 2));
    record->message(PartyId::kHelper, kSecond, Buffer());
    record->handover(tensor_of(9));
    records.commit(*record);
  }
  std::string file(const std::string& name) const { return folder_.file("records/" + name); }

  Folder folder_;
  const SealKey storage_ = SealKey::random();
  const Key key_ = Key::random();
  const RecordSubject subject_{PartyId::kEvaluator, sha256("program"), id_of(7)};
};

TEST_F(RecordFiles, GiveBackWhatWasWrittenOnce) {
  {
    Records records = open();
    make(records, 0);
    make(records, 1);
    EXPECT_EQ(records.left(), 2);
    EXPECT_GT(records.bytes(), static_cast<int64_t>(2 * kLarge));
  }
  {
    Records records = open();
    ASSERT_EQ(records.next_unused(), (RecordId{0, id_of(1)}));
    const auto record = records.take({0, id_of(1)});
    EXPECT_FALSE(fs::exists(file("0000000000.record")));
    EXPECT_EQ(records.left(), 1);
    const RecordKeys keys = record->keys();
    EXPECT_TRUE(std::ranges::equal(keys.dealer_evaluator->bytes(), key_.bytes()));
    EXPECT_FALSE(keys.dealer_helper.has_value());
    EXPECT_EQ(record->message(PartyId::kDealer, kFirst, 40).data()[39], std::byte{1});
    EXPECT_EQ(record->message(PartyId::kHelper, kSecond, kLarge).data()[kLarge - 1], std::byte{2});
    EXPECT_EQ(record->message(PartyId::kHelper, kSecond, 0).bytes(), 0u);
    EXPECT_THROW(record->finish(), UserError);
    const std::vector<RingTensor> tensors = record->handover();
    ASSERT_EQ(tensors.size(), 1u);
    EXPECT_EQ(tensors[0].as<uint32_t>()[2], 9u);
    record->finish();
  }
  Records records = open();
  EXPECT_EQ(records.next_unused()->number, 1u);
  EXPECT_EQ(records.next_number(), 2u);
}

TEST_F(RecordFiles, AreRefusedWhereTheWalkAsksForSomethingElse) {
  Records records = open();
  make(records, 0);
  const auto record = records.take({0, id_of(1)});
  record->keys();
  EXPECT_THROW(record->message(PartyId::kHelper, kFirst, 40), BugError);
}

TEST_F(RecordFiles, ThatWereNotCompletedLeaveNothing) {
  Records records = open();
  {
    const auto record = records.make({0, id_of(1)});
    record->keys({key_, std::nullopt});
    EXPECT_TRUE(fs::exists(file("0000000000.record")));
  }
  EXPECT_FALSE(fs::exists(file("0000000000.record")));
  EXPECT_EQ(records.left(), 0);
}

TEST_F(RecordFiles, AreLostWhenTheirFileIsGoneOrShort) {
  {
    Records records = open();
    for (uint32_t i = 0; i < 3; ++i) make(records, i);
  }
  fs::remove(file("0000000000.record"));
  fs::resize_file(file("0000000001.record"), 500);
  store_test::write_file(file("0000000009.record"), "left by a crash");
  Records records = open();
  EXPECT_EQ(records.lost(), 2);
  EXPECT_EQ(records.next_unused()->number, 2u);
  EXPECT_FALSE(fs::exists(file("0000000001.record")));
  EXPECT_FALSE(fs::exists(file("0000000009.record")));
}

TEST_F(RecordFiles, DamagedOrSwappedNeverGiveAValue) {
  for (const size_t at : {size_t{20}, size_t{120}, size_t{1} << 20, kLarge}) {
    fs::remove_all(folder_.file("records"));
    {
      Records records = open();
      make(records, 0);
    }
    std::string text = read_file(file("0000000000.record"), 1 << 23);
    text[at] = static_cast<char>(text[at] ^ 1);
    store_test::write_file(file("0000000000.record"), text);
    Records records = open();
    EXPECT_THROW(
        {
          const auto record = records.take({0, id_of(1)});
          record->keys();
          record->message(PartyId::kDealer, kFirst, 40);
          record->message(PartyId::kHelper, kSecond, kLarge);
        },
        UserError)
        << "byte " << at;
    EXPECT_EQ(records.left(), 0) << "a damaged record is used up";
  }
  fs::remove_all(folder_.file("records"));
  Records records = open();
  make(records, 0);
  make(records, 1);
  fs::rename(file("0000000001.record"), file("0000000000.record"));
  EXPECT_THROW(records.take({0, id_of(1)}), UserError);
}

TEST_F(RecordFiles, BelongToOneProcessAtATime) {
  const Records records = open();
  EXPECT_THROW(open(), UserError);
}

TEST_F(RecordFiles, BurnWithoutUse) {
  Records records = open();
  for (uint32_t i = 0; i < 4; ++i) make(records, i);
  records.burn_below(2);
  records.burn(3);
  EXPECT_EQ(records.left(), 1);
  EXPECT_EQ(records.next_unused()->number, 2u);
  EXPECT_FALSE(records.next_unused(3).has_value());
  EXPECT_FALSE(fs::exists(file("0000000003.record")));
}

TEST_F(RecordFiles, AreDroppedWhenTheDiskIsFull) {
  Records records = open();
  make(records, 0);
  // A limit on the size of files stands for a full disk: write fails half-way.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1 << 20, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(make(records, 1), UserError);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_FALSE(fs::exists(file("0000000001.record")));
  EXPECT_EQ(records.left(), 1);
  make(records, 1);
  EXPECT_EQ(records.left(), 2);
}

TEST(Stores, ArePrivateAndListTheirRecords) {
  const Folder folder;
  const std::string path = folder.file("deep/store"), key = folder.file("a.storage");
  Store store(path, key, PartyId::kHelper);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat(key.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_TRUE(store.list().empty());
  {
    const auto records = store.records(sha256("p"), id_of(3));
    const auto record = records->make({0, id_of(1)});
    record->keys({});
    records->commit(*record);
  }
  const auto list = Store(path, key, PartyId::kHelper).list();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].program, sha256("p"));
  EXPECT_EQ(list[0].model, id_of(3));
  EXPECT_EQ(list[0].left, 1);
  EXPECT_GT(list[0].bytes, 0);
  EXPECT_THROW(Store(path, folder.file("b.storage"), PartyId::kHelper).list(), UserError) << "another storage key";
}

TEST(Stores, RefuseAStorageKeyThatOthersReadOrThatIsNone) {
  const Folder folder;
  const std::string key = folder.file("key");
  make_storage_key(key);
  EXPECT_THROW(make_storage_key(key), UserError) << "never overwritten";
  EXPECT_EQ(hex(storage_key(key).bytes()), read_file(key, 100).substr(0, 64));
  ::chmod(key.c_str(), 0644);
  EXPECT_THROW(storage_key(key), UserError);
  ::chmod(key.c_str(), 0600);
  for (const char* text : {"", "00", "zz"}) {
    store_test::write_file(key, text);
    EXPECT_THROW(storage_key(key), UserError);
  }
}

TEST(Stores, ThatKeepNothingHaveNoRecords) {
  Store store(PartyId::kDealer);
  EXPECT_FALSE(store.keeps());
  EXPECT_TRUE(store.list().empty());
  EXPECT_THROW(store.records({}, {}), UserError);
}

}  // namespace
}  // namespace treville
