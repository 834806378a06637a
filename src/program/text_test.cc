#include "program/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/error.h"
#include "base/files.h"
#include "program/digest.h"
#include "program/testing.h"
#include "program/weights.h"

namespace treville {
namespace {

using testing::Builder;
using ::testing::HasSubstr;
using testing::random_program;
using ::testing::StartsWith;

std::string error_of(std::string_view text) {
  try {
    parse_program(text, "p.treville");
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

const char kSmall[] =
    "treville program 1\n"
    "model \"squeeze \\\"net\\\"\"\n"
    "scheme \"by hand\"\n"
    "ring 32\n"
    "slots 3\n"
    "preprocess \"\"\n"
    "parameters 54\n"
    "const w0 [3,3,2,3] ring=32 scale=11\n"
    "const b0 [3] ring=32 scale=23\n"
    "%0 = input owner=dealer name=\"image\" shape=[1,4,4,2] ring=32 scale=12 -> [1,4,4,2] scale=12 ring=32 masked "
    "mod=32 bound=1 layer=\"image\"\n"
    "%1 = linear conv %0 w0 batch=1 in=[4,4,2] out=[4,4,3] kernel=[3,3] stride=[1,1] dilation=[1,1] pad=[1,1] "
    "groups=1 bias=b0 modulus=32 -> [1,4,4,3] scale=23 ring=32 additive mod=32 bound=0.1 layer=\"conv1\"\n"
    "%2 = relu %1 truncate=11 k=20 -> [1,4,4,3] scale=12 ring=32 masked mod=32 bound=31.5 layer=\"conv1/relu\"\n"
    "%2 = output %2 recipient=dealer name=\"y\" policy=reveal post=softmax -> [1,4,4,3] scale=12 ring=32 masked "
    "mod=32 bound=31.5 layer=\"y\"\n";

TEST(ProgramText, ReadsAndPrintsItsDocumentedForm) {
  const Program program = parse_program(kSmall, "p");
  EXPECT_EQ(program.model, "squeeze \"net\"");
  EXPECT_EQ(program.steps.size(), 4u);
  EXPECT_EQ(program.steps[2].type.bound, 31.5);
  EXPECT_EQ(to_text(program), kSmall);
  EXPECT_EQ(hex(digest(program)), hex(sha256(std::string_view(kSmall))));
}

const char kTables[] =
    "treville program 1\n"
    "model \"m\"\n"
    "scheme \"by hand\"\n"
    "ring 32\n"
    "slots 3\n"
    "preprocess \"\"\n"
    "parameters 0\n"
    "table slope scale=4 bits=6 signed entries=3f00201f\n"
    "table one scale=4 bits=1 unsigned entries=0011\n"
    "%0 = input owner=dealer name=\"x\" shape=[2,3] ring=32 scale=12 -> [2,3] scale=12 ring=32 masked mod=32 bound=1 "
    "layer=\"x\"\n"
    "%1 = look_up %0 truncate=11 n=2 slope one -> [2,2,3] scale=4 ring=32 masked mod=32 bound=9 layer=\"f\"\n"
    "%2 = product %1 %1 elementwise shape=[12] -> [12] scale=8 ring=32 masked mod=32 bound=81 layer=\"f\"\n"
    "%2 = product %1 %0 matmul batch=1 rows=4 inner=3 cols=2 -> [1,4,2] scale=16 ring=32 masked mod=32 bound=9 "
    "layer=\"f\"\n"
    "%1 = non_negative %2 truncate=9 k=20 -> [1,4,2] scale=0 ring=32 masked mod=32 bound=1 layer=\"f\"\n"
    "%1 = output %1 recipient=dealer name=\"y\" policy=reveal post=none -> [1,4,2] scale=0 ring=32 masked mod=32 "
    "bound=1 layer=\"y\"\n";

TEST(ProgramText, WritesTablesAsHexadecimalDigits) {
  const Program program = parse_program(kTables, "p");
  EXPECT_EQ(program.tables[0].table, (LookUpTable{Bits(6), true, {-1, 0, -32, 31}}));
  EXPECT_EQ(program.tables[1].table, (LookUpTable{Bits(1), false, {0, 0, 1, 1}}));
  EXPECT_EQ(to_text(program), kTables);
  EXPECT_NE(digest(program), digest(parse_program(replaced(kTables, "=0011", "=0001"), "p")));
  EXPECT_THAT(error_of(replaced(kTables, "3f00201f", "3f00201")), HasSubstr(":8: 7 digits are not entries of 2"));
  EXPECT_THAT(error_of(replaced(kTables, "3f00201f", "3f0020xf")),
              HasSubstr("expected hexadecimal digits, found \"xf\""));
  EXPECT_THAT(error_of(replaced(kTables, "3f00201f", "7f00201f")), HasSubstr(":8: not the canonical"));
  EXPECT_THAT(error_of(replaced(kTables, "3f00201f", "3F00201f")), HasSubstr(":8: not the canonical"));
  EXPECT_THAT(error_of(replaced(kTables, "=0011", "=0021")), HasSubstr("an entry is 2"));
  EXPECT_THAT(error_of(replaced(kTables, "bits=6", "bits=99")), HasSubstr("entries of 99 bits, expected 1 to 48"));
  EXPECT_THAT(error_of(replaced(kTables, "bits=6", "bits=0")), HasSubstr("entries of 0 bits"));
  EXPECT_THAT(error_of(replaced(kTables, "signed", "sign")), HasSubstr("expected \" unsigned\""));
  EXPECT_THAT(error_of(replaced(kTables, "table one", "table slope")), HasSubstr("declared twice"));
  EXPECT_THAT(error_of(replaced(kTables, "slope one ->", "slope two ->")), HasSubstr("table \"two\" is not declared"));
  EXPECT_THAT(error_of(replaced(kTables, "elementwise", "elementary")), HasSubstr("unknown product"));
  EXPECT_THAT(error_of(replaced(kTables, "batch=1 rows=4", "batch=2 rows=4")), HasSubstr("a product over [2,4,3]"));
}

TEST(ProgramText, RandomProgramsRoundTrip) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const Program program = random_program(seed);
    const std::string text = to_text(program);
    ASSERT_EQ(parse_program(text, "p"), program) << "seed " << seed << "\n" << text;
  }
}

TEST(ProgramText, ErrorsNameTheLineAndWhatWasExpected) {
  EXPECT_THAT(error_of(""), StartsWith("p.treville:0: "));
  EXPECT_THAT(error_of("treville program 2\n"), StartsWith("p.treville:1: expected \"treville program 1\""));
  EXPECT_THAT(error_of(replaced(kSmall, " k=20", " j=20")), HasSubstr(":12: expected \" k=\", found \" j=20"));
  EXPECT_THAT(error_of(replaced(kSmall, " k=20", " k=20 extra=1")), HasSubstr(":12: expected \" ->\""));
  EXPECT_THAT(error_of(replaced(kSmall, "\"conv1\"\n", "\"conv1\" more=1\n")), HasSubstr(":11: unexpected"));
  EXPECT_THAT(error_of(replaced(kSmall, "= relu", "= relux")), HasSubstr(":12: unknown step \"relux\""));
  EXPECT_THAT(error_of(replaced(kSmall, "linear conv", "linear convo")), HasSubstr("unknown linear map"));
  EXPECT_THAT(error_of(replaced(kSmall, "bias=b0", "bias=b1")), HasSubstr("constant \"b1\" is not declared"));
  EXPECT_THAT(error_of(replaced(kSmall, "owner=dealer", "owner=client")), HasSubstr("dealer, evaluator, helper"));
  EXPECT_THAT(error_of(replaced(kSmall, "ring 32", "ring 33")), HasSubstr("32 or 64"));
  EXPECT_THAT(error_of(replaced(kSmall, "const b0", "const w0")), HasSubstr("declared twice"));
  EXPECT_THAT(error_of(replaced(kSmall, "in=[4,4,2]", "in=[4,4]")), HasSubstr("in has 2 numbers, expected 3"));
  EXPECT_THAT(error_of(replaced(kSmall, "k=20", "k=99999999999999999999")), HasSubstr("a number of bits"));
  EXPECT_THAT(error_of(std::string(kSmall).substr(0, sizeof(kSmall) - 2)), HasSubstr("the last line has no end"));
  EXPECT_THAT(error_of(std::string("treville program 1\nmodel \"") + std::string(100'000, 'x') + "\"\n"),
              HasSubstr("too long"));
}

TEST(ProgramText, AcceptsOnlyTheCanonicalSpelling) {
  EXPECT_THAT(error_of(replaced(kSmall, "bound=0.1 ", "bound=0.10 ")), HasSubstr(":11: not the canonical"));
  EXPECT_THAT(error_of(replaced(kSmall, "bound=1 ", "bound=1e0 ")), HasSubstr(":10: not the canonical"));
  EXPECT_THAT(error_of(replaced(kSmall, "k=20", "k=020")), HasSubstr(":12: not the canonical"));
  EXPECT_THAT(error_of(replaced(kSmall, "mod=32 bound=31.5", "mod=32 div=1 bound=31.5")), HasSubstr("canonical"));
}

TEST(ProgramText, ReadingVerifies) {
  EXPECT_THAT(error_of(replaced(kSmall, "k=20", "k=30")), HasSubstr("do not fit the 32 bits"));
  EXPECT_THAT(error_of(replaced(kSmall, "bound=31.5", "bound=inf")), HasSubstr("bound"));
  EXPECT_THAT(error_of(replaced(kSmall, "const b0 [3]", "const b0 [3000000000]")), HasSubstr("more than"));
}

TEST(ProgramText, MutationsAreErrorsOrPrograms) {
  std::mt19937 random(20);
  const std::string alphabet = "%=[],\" \n\\x0123456789-.abcdefklmnopqrstuw";
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string text = i % 2 == 0 ? std::string(kSmall) : to_text(random_program(static_cast<uint32_t>(i % 10)));
    for (uint32_t n = random() % 3 + 1; n > 0; --n) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          text.erase(at, random() % 8 + 1);
          break;
        case 2:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
      }
      if (text.empty()) break;
    }
    try {
      EXPECT_EQ(to_text(parse_program(text, "p")), text) << "mutation " << i;
      ++accepted;
    } catch (const UserError&) {
      continue;
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 2000);
}

TEST(Digest, ChangesWithEveryField) {
  const Program program = random_program(3);
  Program other = program;
  other.steps[1].layer += "x";
  EXPECT_NE(digest(program), digest(other));
  other = program;
  other.steps[2].type.bound = std::nextafter(other.steps[2].type.bound, 0.0);
  EXPECT_NE(digest(program), digest(other));
}

class Files : public ::testing::Test {
 protected:
  Files() : folder_(std::filesystem::temp_directory_path() / ("treville_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Files() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ / name; }
  size_t files() const { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {})); }

 private:
  const std::filesystem::path folder_;
};

class WeightsFile : public Files {
 protected:
  WeightsFile() : program_(parse_program(kSmall, "p")) {
    weights_.id = random_model_id();
    for (const ConstantDecl& declared : program_.constants) {
      RingTensor& tensor = weights_.constants.emplace_back(RingTensor::stored(declared.ring, declared.shape));
      uint32_t next = 0x80000000u;
      for (uint32_t& value : tensor.as<uint32_t>()) value = next++;
    }
    write_weights(path("w"), program_, weights_);
  }
  std::string error_with(const Program& program) const {
    try {
      read_weights(path("w"), program);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  }
  std::string bytes() const { return read_file(path("w"), 1 << 20); }
  void replace(const std::string& bytes) const { std::ofstream(path("w"), std::ios::binary) << bytes; }

  Program program_;
  Weights weights_;
};

TEST_F(WeightsFile, RoundTripsAndIsPrivate) {
  const Weights read = read_weights(path("w"), program_);
  EXPECT_EQ(read.id, weights_.id);
  ASSERT_EQ(read.constants.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.constants[i].shape(), weights_.constants[i].shape());
    EXPECT_TRUE(std::ranges::equal(read.constants[i].as<uint32_t>(), weights_.constants[i].as<uint32_t>()));
  }
  struct stat status {};
  ASSERT_EQ(stat(path("w").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(files(), 1u);  // nothing temporary is left
}

TEST_F(WeightsFile, IsRejectedWithAnotherProgram) {
  Program other = program_;
  other.steps[2].layer = "other";
  EXPECT_THAT(error_with(other), HasSubstr("another program"));
}

TEST_F(WeightsFile, EveryDamageIsAUserError) {
  const std::string good = bytes();
  for (size_t size = 0; size < good.size(); size += 7) {
    replace(good.substr(0, size));
    EXPECT_NE(error_with(program_), "") << "cut to " << size;
  }
  replace(good + "x");
  EXPECT_THAT(error_with(program_), HasSubstr("bytes, expected"));
  const size_t id_at = 8 + 4 + 32, count_at = id_at + 16, shape_at = count_at + 4 + 2 + 2 + 1 + 1;
  for (size_t at : {size_t{0}, size_t{8}, size_t{12}, count_at, shape_at}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    replace(bad);
    EXPECT_NE(error_with(program_), "") << "byte " << at;
  }
  std::filesystem::remove(path("w"));
  EXPECT_THAT(error_with(program_), HasSubstr("cannot open"));
}

TEST_F(Files, ProgramsAreWrittenAtomicallyAndReadBack) {
  const Program program = random_program(5);
  write_program(path("p"), program);
  EXPECT_EQ(read_program(path("p")), program);
  {
    AtomicFile abandoned(path("p"), 0644);
    abandoned.write(std::as_bytes(std::span("garbage")));
  }
  EXPECT_EQ(read_program(path("p")), program);
  EXPECT_EQ(files(), 1u);
  EXPECT_THROW(write_program(path("no/such/folder"), program), UserError);
  EXPECT_THROW(read_program(path("none")), UserError);
}

TEST(ModelIds, AreRandom) { EXPECT_NE(random_model_id(), random_model_id()); }

}  // namespace
}  // namespace treville
