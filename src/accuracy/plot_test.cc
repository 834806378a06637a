#include "accuracy/plot.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/error.h"

namespace treville {
namespace {

namespace fs = std::filesystem;

class Plot : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "treville-plot-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string read(const std::string& name) {
    std::ifstream file(folder_ / name, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  fs::path folder_;
};

Chart chart() {
  Chart chart{"Accuracy", "bits", "top-1", {{"32-bit ring", {{14, 0.2}, {16, 0.8}, {18, 0.9}}}}, {}, {}};
  chart.line = {"float", 0.91};
  return chart;
}

TEST(Ticks, AreRoundAndCoverTheRange) {
  EXPECT_EQ(ticks(0, 1, 5), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  EXPECT_EQ(ticks(14, 22, 8), (std::vector<double>{14, 15, 16, 17, 18, 19, 20, 21, 22}));
  EXPECT_EQ(ticks(-3, 47, 5), (std::vector<double>{-10, 0, 10, 20, 30, 40, 50}));
}

TEST_F(Plot, WritesAPngOfTheWholeChart) {
  write_chart(folder_ / "a.png", chart());
  const std::string png = read("a.png");
  ASSERT_GT(png.size(), 5000u);
  EXPECT_EQ(png.substr(1, 3), "PNG");
  EXPECT_EQ(png.substr(16, 8), std::string("\0\0\x06\x40\0\0\x03\xc0", 8)) << "1600 by 960 pixels";
}

TEST_F(Plot, WritesAnSvgWithAllSeries) {
  write_chart(folder_ / "one.svg", chart());
  Chart more = chart();
  more.series.push_back({"64-bit ring", {{14, 0.5}, {18, 0.91}}});
  write_chart(folder_ / "two.svg", more);
  EXPECT_NE(read("one.svg").find("<svg"), std::string::npos);
  EXPECT_GT(read("two.svg").size(), read("one.svg").size());
}

TEST_F(Plot, BeginsALineAtItsFirstPoint) {
  write_chart(folder_ / "a.svg", {"t", "x", "y", {{"s", {{0, 0}, {1, 1}, {2, 0}}}}, {}, {}});
  const std::string svg = read("a.svg");
  const size_t path = svg.find("stroke-width:2;");
  ASSERT_NE(path, std::string::npos);
  const std::string line = svg.substr(path, svg.find("/>", path) - path);
  EXPECT_EQ(std::count(line.begin(), line.end(), 'L'), 2) << "three points: " << line;
}

TEST_F(Plot, DrawsASinglePoint) {
  write_chart(folder_ / "a.svg", {"t", "x", "y", {{"s", {{1, 1}}}}, {}, {}});
  EXPECT_TRUE(fs::exists(folder_ / "a.svg"));
}

TEST_F(Plot, RefusesOtherFilesNothingToDrawAndMissingFolders) {
  EXPECT_THROW(write_chart(folder_ / "a.jpg", chart()), UserError);
  EXPECT_THROW(write_chart(folder_ / "a.svg", {"t", "x", "y", {}, {}, {}}), UserError);
  EXPECT_THROW(write_chart(folder_ / "none" / "a.svg", chart()), UserError);
  EXPECT_THROW(write_chart(folder_ / "none" / "a.png", chart()), UserError);
  EXPECT_TRUE(fs::is_empty(folder_)) << "no half-written file stays";
}

}  // namespace
}  // namespace treville
