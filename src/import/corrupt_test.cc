// Damaged files: whatever happens to the bytes of a valid model, the answer is a graph or a UserError.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

#include "import/import.h"
#include "import/test_support.h"

namespace treville {
namespace {

class Corrupt : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto path = std::filesystem::path(TREVILLE_SOURCE_DIR) / GetParam();
    std::ifstream stream(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(stream), {});
    ASSERT_GT(bytes_.size(), 3000u) << path;
  }

  // imports is true for a graph, false for a UserError; anything else fails the test.
  static bool imports(const std::string& bytes) {
    const import::TempFile file(std::filesystem::path(GetParam()).extension().string(), bytes);
    try {
      import_model(file.path());
      return true;
    } catch (const UserError& error) {
      EXPECT_FALSE(std::string(error.what()).empty());
      return false;
    }
  }

  std::string bytes_;
};

TEST_P(Corrupt, TruncatedFilesGiveAUserErrorOrAGraph) {
  int errors = 0;
  const int tries = 200;
  for (int i = 0; i < tries; ++i) errors += !imports(bytes_.substr(0, bytes_.size() * static_cast<size_t>(i) / tries));
  EXPECT_GT(errors, tries * 9 / 10);
  EXPECT_TRUE(imports(bytes_));
}

TEST_P(Corrupt, FlippedBytesGiveAUserErrorOrAGraph) {
  const uint32_t seed = std::random_device{}();
  RecordProperty("seed", static_cast<int>(seed));
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  int errors = 0;
  for (int i = 0; i < 600; ++i) {
    std::string damaged = bytes_;
    // Most bytes are weights; half of the flips aim at the ends of the file, where the structure is.
    const size_t reach = i % 2 == 0 ? damaged.size() : 2000;
    for (int flips = 1 + i % 4; flips > 0; --flips) {
      const size_t at = random() % reach;
      damaged[i % 4 == 1 ? damaged.size() - 1 - at : at] ^= static_cast<char>(1U << random() % 8);
    }
    errors += !imports(damaged);
  }
  EXPECT_GT(errors, 0);
}

TEST_P(Corrupt, RandomBytesGiveAUserError) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 200; ++i) {
    std::string noise(1 + random() % 300, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    noise[0] = i % 2 == 0 ? '\x0a' : '\x08';
    EXPECT_FALSE(imports(noise));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Corrupt,
                         ::testing::Values("examples/digits/digits.onnx", "examples/digits/digits.pb",
                                           "test/tflite/network_int8/model.tflite"),
                         [](const auto& test) {
                           const std::string file = test.param;
                           return std::string(file.ends_with("onnx") ? "Onnx"
                                              : file.ends_with("pb") ? "GraphDef"
                                                                     : "Lite");
                         });

}  // namespace
}  // namespace treville
