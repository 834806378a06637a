#include "run/post_process.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace treville {
namespace {

TEST(PostProcess, SoftmaxIsPerRow) {
  const FloatTensor y = post_process(FloatTensor(Shape{2, 2}, {0, 0, 1000, 0}), PostProcess::kSoftmax, 0);
  EXPECT_EQ(y.values, (std::vector<float>{0.5F, 0.5F, 1, 0}));
}

TEST(PostProcess, TopKeepsTheLargestAndTheLowerIndexOnTies) {
  const FloatTensor x(Shape{2, 4}, {1, 3, 3, 2, -1, -4, -1, -1});
  const FloatTensor values = post_process(x, PostProcess::kTopValues, 3);
  EXPECT_EQ(values.shape, (Shape{2, 3}));
  EXPECT_EQ(values.values, (std::vector<float>{3, 3, 2, -1, -1, -1}));
  EXPECT_EQ(post_process(x, PostProcess::kTopIndices, 3).values, (std::vector<float>{1, 2, 3, 0, 2, 3}));
  EXPECT_THROW(post_process(x, PostProcess::kTopValues, 5), BugError);
}

TEST(PostProcess, LeastAreChosenAlongAnyAxis) {
  const FloatTensor x(Shape{3, 2}, {5, 1, -2, 1, 4, 0});
  const FloatTensor values = post_process(x, PostProcess::kLeastValues, 2, 0);
  EXPECT_EQ(values.shape, (Shape{2, 2}));
  EXPECT_EQ(values.values, (std::vector<float>{-2, 0, 4, 1}));
  EXPECT_EQ(post_process(x, PostProcess::kLeastIndices, 2, 0).values, (std::vector<float>{1, 2, 2, 0}));
  EXPECT_EQ(post_process(x, PostProcess::kTopIndices, 1, 1).values, (std::vector<float>{0, 1, 0}));
}

TEST(PostProcess, SoftmaxAndItsLogarithmGoAlongAnAxis) {
  const FloatTensor x(Shape{2, 2}, {0, 1000, 0, 0});
  EXPECT_EQ(post_process(x, PostProcess::kSoftmax, 0, 0).values, (std::vector<float>{0.5F, 1, 0.5F, 0}));
  const FloatTensor y = post_process(x, PostProcess::kLogSoftmax, 0, 0);
  EXPECT_FLOAT_EQ(y.values[0], std::log(0.5F));
  EXPECT_EQ(y.values[3], -1000);
}

TEST(PostProcess, IndicesAreCountedFromTheLast) {
  const FloatTensor x(Shape{3}, {0, 2, 4});
  EXPECT_EQ(post_process(x, PostProcess::kIndexFromLast, 5).values, (std::vector<float>{4, 2, 0}));
}

TEST(PostProcess, NoneChangesNothing) {
  const FloatTensor x(Shape{}, {7});
  EXPECT_EQ(post_process(x, PostProcess::kNone, 0).values, x.values);
}

}  // namespace
}  // namespace treville
