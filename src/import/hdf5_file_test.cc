// HDF5 as h5py writes it (the files of test/keras are made by tools/make_keras_fixtures.py), and damaged.
#include "import/hdf5_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

#include "import/test_support.h"
#include "base/zip_archive.h"

namespace treville::import {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string read_fixture(const std::string& name) {
  const auto path = std::filesystem::path(TREVILLE_SOURCE_DIR) / "test" / "keras" / name;
  std::ifstream stream(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(stream), {});
  CHECK(!bytes.empty(), "{} is missing", path.string());
  return bytes;
}

std::vector<float> counting(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}

class Hdf5 : public ::testing::TestWithParam<const char*> {
 protected:
  const Hdf5File file_{read_fixture(GetParam()), GetParam()};
};

TEST_P(Hdf5, TensorsOfEveryType) {
  for (const char* name : {"plain", "double", "half"}) {
    const auto tensor = std::get<FloatTensor>(file_.tensor(std::string("group/") + name));
    EXPECT_EQ(tensor.shape, (Shape{5, 4, 3})) << name;
    EXPECT_EQ(tensor.values, counting(60)) << name;
  }
  const auto whole = std::get<IntTensor>(file_.tensor("group/whole"));
  EXPECT_EQ(whole.values[59], 59);
  const auto scalar = std::get<FloatTensor>(file_.tensor("/group/scalar"));
  EXPECT_EQ(scalar.shape, Shape{});
  EXPECT_THAT(scalar.values, ElementsAre(7));
}

TEST_P(Hdf5, AttributesWithText) {
  EXPECT_EQ(file_.string_attribute("group", "text"), "variable");
  EXPECT_EQ(file_.string_attribute("group", "fixed"), "fixed");
  EXPECT_THAT(*file_.strings_attribute("group", "names"), ElementsAre("one", "two", "three"));
  EXPECT_TRUE(file_.strings_attribute("group", "none")->empty());
  EXPECT_FALSE(file_.string_attribute("group", "absent").has_value());
  EXPECT_FALSE(file_.string_attribute("absent", "text").has_value());
  EXPECT_THAT(user_error([&] { file_.string_attribute("group", "number"); }), HasSubstr("holds no strings"));
}

TEST_P(Hdf5, WhatIsNotATensorIsRefused) {
  EXPECT_THAT(user_error([&] { file_.tensor("group/absent"); }), HasSubstr("is missing"));
  EXPECT_THAT(user_error([&] { file_.tensor("group"); }), HasSubstr("it is a group, not a tensor"));
  EXPECT_THAT(user_error([&] { file_.tensor("group/text"); }), HasSubstr("its element type is not supported"));
  EXPECT_TRUE(file_.exists("group/plain"));
  EXPECT_FALSE(file_.exists("group/plain/more"));
}

INSTANTIATE_TEST_SUITE_P(Formats, Hdf5, ::testing::Values("containers.h5", "containers_new.h5"),
                         [](const auto& test) { return std::string(test.index == 0 ? "Earliest" : "Latest"); });

TEST(Hdf5Chunks, CompressedShuffledAndCheckedTensorsUnpack) {
  const Hdf5File file(read_fixture("containers.h5"), "containers.h5");
  for (const char* name : {"group/packed", "group/checked"}) {
    EXPECT_EQ(std::get<FloatTensor>(file.tensor(name)).values, counting(60)) << name;
  }
  EXPECT_THAT(user_error([&] { file.tensor("group/other"); }), HasSubstr("filter 32000, which is not supported"));
}

TEST(Hdf5Groups, ListTheirMembersAndFollowNoLinkElsewhere) {
  const Hdf5File file(read_fixture("containers.h5"), "containers.h5");
  EXPECT_EQ(file.children("many").size(), 40u);
  EXPECT_EQ(std::get<FloatTensor>(file.tensor("many/n39")).values[0], 39);
  EXPECT_FALSE(file.exists("elsewhere"));
  EXPECT_FALSE(file.exists("alias"));
}

// Whatever happens to the bytes, every reader gives a value or a UserError.
TEST(Hdf5Damage, GivesAValueOrAUserError) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  for (const char* name : {"containers.h5", "containers_new.h5"}) {
    const std::string bytes = read_fixture(name);
    const std::vector<std::string> paths = {"group/plain", "group/packed", "group/checked", "group/whole", "many/n7"};
    int errors = 0;
    for (int i = 0; i < 3000; ++i) {
      std::string damaged = bytes;
      if (i % 10 == 0) damaged.resize(random() % damaged.size());
      for (int flips = 1 + i % 5; flips > 0 && !damaged.empty(); --flips) {
        damaged[random() % damaged.size()] = static_cast<char>(random() % 3 == 0 ? 255 : random());
      }
      errors += user_error([&] {
                  const Hdf5File file(damaged, name);
                  for (const std::string& path : paths) {
                    if (file.exists(path)) file.tensor(path);
                  }
                  file.strings_attribute("group", "names");
                  file.string_attribute("group", "text");
                }) != "no error";
    }
    EXPECT_GT(errors, 100) << name;
  }
}

TEST(Zip, EntriesUnpackWithinTheirBounds) {
  const ZipArchive archive(read_fixture("functional.keras"), "functional.keras");
  EXPECT_THAT(*archive.entry("config.json", 1 << 20), HasSubstr("\"Functional\""));
  EXPECT_FALSE(archive.entry("absent.json", 1 << 20).has_value());
  EXPECT_THAT(user_error([&] { archive.entry("config.json", 100); }), HasSubstr("more than is read (100)"));
}

// The directory of an archive says what an entry unpacks to; the bytes behind it need not agree.
TEST(Zip, AnEntryThatClaimsMoreThanDeflateCanHoldIsRefused) {
  std::string bytes = read_fixture("functional.keras");
  const size_t directory = bytes.find("PK\x01\x02");
  ASSERT_NE(directory, std::string::npos);
  for (size_t at = directory; at != std::string::npos; at = bytes.find("PK\x01\x02", at + 1)) {
    bytes.replace(at + 24, 4, "\xff\xff\xff\x3f");
  }
  const ZipArchive archive(bytes, "bomb.keras");
  EXPECT_THAT(user_error([&] { archive.entry("config.json", uint64_t{1} << 40); }), HasSubstr("unpacks to 1073741823"));
}

TEST(Zip, DamagedArchivesAreNamed) {
  const std::string bytes = read_fixture("functional.keras");
  EXPECT_THAT(user_error([&] { ZipArchive(bytes.substr(0, bytes.size() / 2), "cut.keras"); }),
              HasSubstr("cut.keras: the archive is damaged"));
  std::string flipped = bytes;
  flipped[200] = static_cast<char>(~flipped[200]);
  EXPECT_THAT(user_error([&] {
                const ZipArchive archive(flipped, "m.keras");
                for (const char* name : {"metadata.json", "config.json", "model.weights.h5"})
                  archive.entry(name, 1 << 20);
              }),
              HasSubstr("in the archive is damaged"));
}

}  // namespace
}  // namespace treville::import
