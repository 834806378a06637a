#include "base/text.h"

#include <gtest/gtest.h>

namespace treville {
namespace {

using Parts = std::vector<std::string>;

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(split("", ','), (Parts{""}));
  EXPECT_EQ(split("a", ','), (Parts{"a"}));
  EXPECT_EQ(split("a,bc,", ','), (Parts{"a", "bc", ""}));
  EXPECT_EQ(split(",", ','), (Parts{"", ""}));
}

}  // namespace
}  // namespace treville
