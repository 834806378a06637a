#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "base/error.h"
#include "base/zip_archive.h"
#include "data/image.h"
#include "data/npy.h"

namespace treville {
namespace {

namespace fs = std::filesystem;

fs::path temporary(const std::string& name) {
  return fs::path(testing::TempDir()) / fmt::format("{}_{}", getpid(), name);
}

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string npy(const std::string& dictionary, const std::string& data) {
  std::string header = dictionary + "\n";
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

fs::path digits() { return fs::path(TREVILLE_SOURCE_DIR) / "examples/digits"; }

TEST(Npy, RoundTripsEveryShape) {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 0}, Shape{1, 2, 3, 4}}) {
    FloatTensor tensor(shape);
    for (size_t i = 0; i < tensor.values.size(); ++i) tensor.values[i] = static_cast<float>(i) - 1.5f;
    const fs::path path = temporary("round.npy");
    write_npy(path, tensor);
    const FloatTensor back = read_npy(path);
    EXPECT_EQ(back.shape, shape);
    EXPECT_EQ(back.values, tensor.values);
  }
}

TEST(Npy, ReadsFortranOrderAndIntegers) {
  const fs::path path = temporary("fortran.npy");
  write(path, npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", std::string("\1\2\3\4\5\6", 6)));
  EXPECT_EQ(read_npy(path).values, (std::vector<float>{1, 3, 5, 2, 4, 6}));
}

TEST(Npy, RefusesEveryTruncationAndSurplus) {
  const std::string whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", std::string(8, '\0'));
  const fs::path path = temporary("cut.npy");
  for (size_t length = 0; length < whole.size(); ++length) {
    write(path, whole.substr(0, length));
    EXPECT_THROW(read_npy(path), UserError) << length;
  }
  write(path, whole + "x");
  EXPECT_THROW(read_npy(path), UserError);
}

TEST(Npy, RefusesAShapeThatIsTooLarge) {
  const fs::path path = temporary("large.npy");
  write(path, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }", ""));
  EXPECT_THROW(read_npy(path), UserError);
}

TEST(Npy, RefusesALongHeader) {
  const fs::path path = temporary("long.npy");
  write(path, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::string(60000, ' ') + "), }", "1234"));
  EXPECT_THROW(read_npy(path), UserError);
}

std::string error_of_npz(const fs::path& path) {
  try {
    read_npz(path);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Npz, RoundTripsNamesAndShapes) {
  const fs::path path = temporary("round.npz");
  const NamedTensors arrays = {{"a/b:0", FloatTensor(Shape{2, 2}, {1, 2, 3, 4})},
                               {"none", FloatTensor(Shape{0, 3})},
                               {"one", FloatTensor(Shape{}, {7})}};
  write_npz(path, arrays);
  const std::string first = read(path);
  const NamedTensors back = read_npz(path);
  ASSERT_EQ(back.size(), 3u);
  for (const auto& [name, tensor] : arrays) {
    EXPECT_EQ(back.at(name).shape, tensor.shape) << name;
    EXPECT_EQ(back.at(name).values, tensor.values) << name;
  }
  write_npz(path, arrays);
  EXPECT_EQ(read(path), first) << "the same arrays are the same bytes";
}

// numpy.npz is what numpy.savez_compressed(file, x=numpy.arange(3, dtype="<f4"), y=numpy.ones((1, 2), "<i8")) of NumPy
// 1.26 writes.
TEST(Npz, ReadsWhatNumpyCompressed) {
  const NamedTensors arrays = read_npz(fs::path(TREVILLE_SOURCE_DIR) / "test/data/numpy.npz");
  ASSERT_EQ(arrays.size(), 2u);
  EXPECT_EQ(arrays.at("x").values, (std::vector<float>{0, 1, 2}));
  EXPECT_EQ(arrays.at("y").shape, (Shape{1, 2}));
  EXPECT_EQ(arrays.at("y").values, (std::vector<float>{1, 1}));
}

TEST(Npz, RefusesEveryTruncation) {
  const fs::path path = temporary("cut.npz");
  write_npz(path, {{"x", FloatTensor(Shape{2}, {1, 2})}});
  const std::string whole = read(path);
  for (size_t length = 0; length < whole.size(); ++length) {
    write(path, whole.substr(0, length));
    EXPECT_THROW(read_npz(path), UserError) << length;
  }
}

TEST(Npz, NamesWhatIsNoArray) {
  const fs::path path = temporary("odd.npz");
  write(path, zip_of({{"x.txt", "1 2 3"}}));
  EXPECT_NE(error_of_npz(path).find("holds \"x.txt\", which is no array"), std::string::npos) << error_of_npz(path);
  write(path, zip_of({{"x.npy", "1 2 3"}}));
  EXPECT_NE(error_of_npz(path).find("odd.npz: x: not a .npy file"), std::string::npos) << error_of_npz(path);
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 1025; ++i) many.emplace_back(std::to_string(i) + ".npy", "");
  write(path, zip_of(many));
  EXPECT_NE(error_of_npz(path).find("1025 entries, more than are read (1024)"), std::string::npos);
}

TEST(Preprocess, ReadsEveryKeyAndSuggestsForUnknownOnes) {
  const Preprocess p = parse_preprocess("resize=227,crop=center,order=bgr,mean=104:117:123,scale=1/255,std=2,invert=1");
  EXPECT_EQ(p.resize_width, 227);
  EXPECT_EQ(p.resize_height, 0);
  EXPECT_TRUE(p.crop_center && p.bgr && p.invert);
  EXPECT_EQ(p.mean, (std::vector<double>{104, 117, 123}));
  EXPECT_DOUBLE_EQ(p.scale, 1.0 / 255);
  try {
    parse_preprocess("resise=3");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'resize'"), std::string::npos) << error.what();
  }
  for (const char* bad : {"resize", "resize=0", "mean=1:2", "scale=x", "std=0", "crop=left", "scale=1/0", "mean=nan"}) {
    EXPECT_THROW(parse_preprocess(bad), UserError) << bad;
  }
}

TEST(Image, MatchesTheGoldenTensorOfTheSamples) {
  const FloatTensor golden = read_npy(digits() / "samples.npy");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(digits() / "samples")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  ASSERT_EQ(files.size(), 20u);
  for (size_t i = 0; i < files.size(); ++i) {
    const FloatTensor image = read_image(files[i], {28, 28, 1, false}, parse_preprocess("scale=1/255"));
    EXPECT_EQ(image.shape, (Shape{1, 28, 28, 1}));
    for (size_t j = 0; j < image.values.size(); ++j) {
      ASSERT_NEAR(image.values[j], golden.values[i * 784 + j], 1e-6) << files[i] << " " << j;
    }
  }
}

TEST(Image, RefusesEmptyMissingAndDamagedFiles) {
  const fs::path empty = temporary("empty.png"), cut = temporary("cut.png");
  write(empty, "");
  const fs::path sample = digits() / "samples/3_0.png";
  const std::string whole = read(sample);
  ASSERT_GT(whole.size(), 100u);
  write(cut, whole.substr(0, whole.size() / 2));
  for (const fs::path& path : {empty, cut, fs::path("no_such.png")}) {
    EXPECT_THROW(read_image(path, {28, 28, 1, false}, {}), UserError) << path;
  }
}

TEST(Image, RefusesWhatWouldBecomeHuge) {
  // A bitmap of 16000 x 1 pixels: its shorter side times 8000 is a picture of a million millions.
  const auto number = [](uint32_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
  };
  const fs::path path = temporary("wide.bmp");
  write(path, "BM" + number(48054, 4) + number(0, 4) + number(54, 4) + number(40, 4) + number(16000, 4) + number(1, 4) +
                  number(1, 2) + number(24, 2) + std::string(24, '\0') + std::string(48000, 'x'));
  EXPECT_NO_THROW(read_image(path, {1, 1, 3}, parse_preprocess("")));
  EXPECT_THROW(read_image(path, {224, 224, 3}, parse_preprocess("resize=8000,crop=center")), UserError);
}

TEST(Image, ResizesToEveryExtent) {
  const fs::path sample = digits() / "samples/3_0.png";
  for (int64_t side = 1; side <= 400; ++side) {
    const FloatTensor image = read_image(sample, {side, side + 1, 1, false}, {});
    ASSERT_EQ(image.shape, (Shape{1, side, side + 1, 1}));
    const auto [low, high] = std::minmax_element(image.values.begin(), image.values.end());
    ASSERT_TRUE(*low >= 0 && *high <= 255) << side;
  }
}

TEST(Image, ShrinksFromEveryExtent) {
  for (int side = 29; side < 1100; side += 3) {
    const fs::path path = temporary("large.bmp");
    // A plain 24-bit bitmap of side x 2 pixels.
    const int row = (side * 3 + 3) / 4 * 4;
    std::string bmp(54 + static_cast<size_t>(row) * 2, '\x80');
    const auto put = [&](size_t at, int value, int bytes) {
      for (int i = 0; i < bytes; ++i) bmp[at + static_cast<size_t>(i)] = static_cast<char>(value >> (8 * i));
    };
    bmp.replace(0, 54, std::string(54, '\0'));
    bmp.replace(0, 2, "BM");
    put(2, static_cast<int>(bmp.size()), 4);
    put(10, 54, 4);
    put(14, 40, 4);
    put(18, side, 4);
    put(22, 2, 4);
    put(26, 1, 2);
    put(28, 24, 2);
    write(path, bmp);
    const FloatTensor image = read_image(path, {2, 28, 3, false}, {});
    for (float value : image.values) ASSERT_NEAR(value, 128, 2) << side;
  }
}

TEST(Image, ExtentIsFoundInBothLayouts) {
  EXPECT_TRUE(image_extent({1, 3, 227, 227})->channels_first);
  EXPECT_FALSE(image_extent({1, 28, 28, 1})->channels_first);
  EXPECT_FALSE(image_extent({1, 784}).has_value());
}

TEST(Preprocess, GivesTheIntervalOfItsValues) {
  const auto [low, high] = value_interval(parse_preprocess("mean=104:117:123"));
  EXPECT_EQ(low, -123);
  EXPECT_EQ(high, 151);
}

}  // namespace
}  // namespace treville
