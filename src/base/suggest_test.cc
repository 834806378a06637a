#include "base/suggest.h"

#include <gtest/gtest.h>

namespace treville {
namespace {

TEST(Suggest, NamesTheNearestAndListsAllWhenNoneIsNear) {
  const std::vector<std::string_view> known = {"resize", "crop", "mean"};
  EXPECT_EQ(closest("crpo", known), "crop");
  EXPECT_EQ(closest("zzzzzz", known), "");
  EXPECT_EQ(did_you_mean("resise", known), "; did you mean 'resize'?");
  EXPECT_EQ(did_you_mean("zzzzzz", known), " (known: resize, crop, mean)");
}

}  // namespace
}  // namespace treville
