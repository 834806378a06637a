// The table of record keys: a key that was erased is nowhere on disk, and a crash at any point loses records at most.
#include "store/key_table.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <tuple>

#include "base/error.h"
#include "store/test_support.h"

namespace treville {
namespace {

using store_test::Folder;
using store_test::id_of;

constexpr int64_t kBytes = 1234;

class Tables : public testing::Test {
 protected:
  KeyTable open(FileHook hook = {}) const { return KeyTable(path(), storage_, subject_, std::move(hook)); }
  std::string path() const { return (folder_.path() / "keys.table").string(); }
  std::string on_disk() const { return read_file(path(), 1 << 20); }

  Folder folder_;
  const SealKey storage_ = SealKey::random();
  const RecordSubject subject_{PartyId::kEvaluator, sha256("program"), id_of(7)};
};

std::string text_of(const SealKey& key) { return {reinterpret_cast<const char*>(key.bytes().data()), SealKey::kBytes}; }

TEST_F(Tables, KeepKeysUntilTheyAreTaken) {
  const SealKey a = SealKey::random(), b = SealKey::random(), c = SealKey::random();
  {
    KeyTable table = open();
    EXPECT_EQ(table.next(), 0u);
    table.add({0, id_of(1)}, kBytes, a);
    table.add({1, id_of(1)}, kBytes, b);
    table.start_at(5);
    table.add({5, id_of(2)}, kBytes + 1, c);
  }
  KeyTable table = open();
  ASSERT_EQ(table.live().size(), 3u);
  EXPECT_EQ(table.live().at(5).batch, id_of(2));
  EXPECT_EQ(table.live().at(5).bytes, kBytes + 1);
  EXPECT_EQ(table.next(), 6u);
  for (const SealKey& key : {a, b, c}) EXPECT_EQ(on_disk().find(text_of(key)), std::string::npos) << "in the clear";
  EXPECT_EQ(text_of(table.take(1)), text_of(b));
  EXPECT_EQ(table.live().count(0), 0u) << "what is skipped burns";
  KeyTable again = open();
  EXPECT_EQ(again.live().size(), 1u);
  EXPECT_EQ(again.next(), 6u);
  EXPECT_EQ(again.damaged(), 0);
  EXPECT_EQ(text_of(again.take(5)), text_of(c));
}

TEST_F(Tables, EraseSealedKeysFromTheFile) {
  KeyTable table = open();
  for (uint32_t i = 0; i < 4; ++i) table.add({i, id_of(1)}, kBytes, SealKey::random());
  const std::string before = on_disk();
  std::ignore = table.take(2);
  const std::string after = on_disk();
  ASSERT_EQ(before.size(), after.size());
  for (size_t slot = 0; slot < 4; ++slot) {
    // Nonce, sealed key and tag: 60 bytes from byte 32 of the slot.
    const size_t at = 128 + slot * 128 + 32;
    EXPECT_EQ(after.substr(at, 60) == std::string(60, '\0'), slot < 3) << slot;
    EXPECT_EQ(after.substr(at, 60) == before.substr(at, 60), slot == 3) << slot;
  }
}

TEST_F(Tables, StartAgainWhenAllIsUsedAndNeverCountBack) {
  KeyTable table = open();
  for (uint32_t i = 0; i < 10; ++i) table.add({i, id_of(1)}, kBytes, SealKey::random());
  const size_t full = on_disk().size();
  table.erase_below(10);
  table.start_at(3);
  EXPECT_EQ(table.next(), 10u);
  EXPECT_LT(on_disk().size(), full);
  EXPECT_EQ(open().next(), 10u);
  table.add({10, id_of(2)}, kBytes, SealKey::random());
  EXPECT_EQ(open().live().begin()->first, 10u);
  EXPECT_THROW(table.start_at(KeyTable::kMaxSlots + 10), PeerError) << "records would be out of reach";
}

TEST_F(Tables, BurnASlotThatDoesNotAuthenticate) {
  {
    KeyTable table = open();
    for (uint32_t i = 0; i < 3; ++i) table.add({i, id_of(1)}, kBytes, SealKey::random());
  }
  const std::string intact = on_disk();
  // State, number, size, batch, nonce, key, tag of slot 1.
  for (const size_t at : {0, 4, 8, 16, 32, 44, 76}) {
    std::string changed = intact;
    changed[128 + 128 + at] = static_cast<char>(changed[128 + 128 + at] ^ 4);
    store_test::write_file(path(), changed);
    KeyTable table = open();
    EXPECT_EQ(table.live().size(), 2u) << "byte " << at;
    EXPECT_EQ(table.damaged(), 1) << "byte " << at;
    EXPECT_EQ(open().damaged(), 0) << "it is erased at once";
  }
  std::string swapped = intact;
  std::swap_ranges(swapped.begin() + 128, swapped.begin() + 256, swapped.begin() + 256);
  store_test::write_file(path(), swapped);
  EXPECT_EQ(open().live().size(), 1u) << "a slot belongs to its place";
  for (size_t cut = 1; cut < 128; cut += 40) {
    store_test::write_file(path(), intact.substr(0, intact.size() - cut));
    EXPECT_EQ(open().live().size(), 2u);
  }
}

TEST_F(Tables, AreNotChangedByALook) {
  {
    KeyTable table = open();
    for (uint32_t i = 0; i < 2; ++i) table.add({i, id_of(1)}, kBytes, SealKey::random());
  }
  std::string half_written = on_disk();
  half_written[128 + 50] = static_cast<char>(half_written[128 + 50] ^ 1);
  store_test::write_file(path(), half_written);
  KeyTable look(path(), storage_, subject_, {}, KeyTable::Use::kLook);
  EXPECT_EQ(look.live().size(), 1u);
  EXPECT_EQ(on_disk(), half_written);
  EXPECT_THROW(std::ignore = look.take(1), BugError);
  EXPECT_EQ(on_disk(), half_written);
  EXPECT_THROW(KeyTable(folder_.file("none"), storage_, subject_, {}, KeyTable::Use::kLook), UserError);
}

TEST_F(Tables, BelongToTheirPartyProgramModelAndStorageKey) {
  open().add({0, id_of(1)}, kBytes, SealKey::random());
  EXPECT_THROW(KeyTable(path(), SealKey::random(), subject_, {}), UserError);
  RecordSubject other = subject_;
  other.party = PartyId::kHelper;
  EXPECT_THROW(KeyTable(path(), storage_, other, {}), UserError);
  other = subject_;
  other.program = sha256("another");
  EXPECT_THROW(KeyTable(path(), storage_, other, {}), UserError);
  other = subject_;
  other.model = id_of(8);
  EXPECT_THROW(KeyTable(path(), storage_, other, {}), UserError);
  std::string text = on_disk();
  text[97] = static_cast<char>(text[97] ^ 1);  // the first number
  store_test::write_file(path(), text);
  EXPECT_THROW(open(), UserError);
  store_test::write_file(path(), "TREV");
  EXPECT_THROW(open(), UserError);
}

// The child stops at the n-th point of `work`, as if the machine had; true when there was such a point.
bool crash_at(int n, const std::function<void(FileHook)>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int seen = 0;
    work([&](const char*, const std::string&) {
      if (++seen == n) ::_exit(42);
    });
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status) == 42;
}

TEST_F(Tables, GiveAKeyOnlyAfterItIsErasedOnDisk) {
  for (int n = 1;; ++n) {
    std::filesystem::remove(path());
    {
      KeyTable table = open();
      for (uint32_t i = 0; i < 3; ++i) table.add({i, id_of(1)}, kBytes, SealKey::random());
    }
    const std::string given = (folder_.path() / "given").string();
    std::filesystem::remove(given);
    const bool crashed = crash_at(n, [&](FileHook hook) {
      KeyTable table = open(hook);
      std::ignore = table.take(1);
      store_test::write_file(given, "");  // what a first message would be
    });
    KeyTable after = open();
    EXPECT_EQ(after.live().count(2), 1u) << n;
    if (!crashed) {
      EXPECT_EQ(after.live().size(), 1u) << "a used key came back";
      EXPECT_TRUE(std::filesystem::exists(given));
      EXPECT_GE(n, 4) << "two slots, the file and the folder";
      break;
    }
    EXPECT_FALSE(std::filesystem::exists(given)) << "used before the last point, " << n;
  }
}

TEST_F(Tables, SurviveACrashAtEveryPointOfAdding) {
  for (int n = 1;; ++n) {
    std::filesystem::remove(path());
    open().add({0, id_of(1)}, kBytes, SealKey::random());
    const bool crashed = crash_at(n, [&](FileHook hook) { open(hook).add({1, id_of(1)}, kBytes, SealKey::random()); });
    KeyTable after = open();
    EXPECT_EQ(after.live().count(0), 1u) << n;
    EXPECT_EQ(after.damaged(), 0) << n;
    if (!crashed) {
      EXPECT_EQ(after.live().size(), 2u);
      break;
    }
  }
}

}  // namespace
}  // namespace treville
