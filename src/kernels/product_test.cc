#include "kernels/product.h"

#include "kernels/kernels_test_util.h"

namespace treville {
namespace {

template <class Word>
class Product : public ::testing::Test {};
using Words = ::testing::Types<uint32_t, uint64_t>;
TYPED_TEST_SUITE(Product, Words);

// expected is the definition: plain loops.
template <class Word>
std::vector<Word> expected(const BatchMatmul& g, const RingTensor& a, const RingTensor& b) {
  std::vector<Word> y;
  for (int64_t i = 0; i < g.batch * g.rows; ++i) {
    for (int64_t c = 0; c < g.cols; ++c) {
      Word sum = 0;
      for (int64_t k = 0; k < g.inner; ++k) {
        const int64_t at = (i / g.rows * g.inner + k) * g.cols + c;
        sum += a.as<Word>()[static_cast<size_t>(i * g.inner + k)] * b.as<Word>()[static_cast<size_t>(at)];
      }
      y.push_back(sum);
    }
  }
  return y;
}

TYPED_TEST(Product, OfMatricesIsTheDefinitionForEveryShape) {
  using Word = TypeParam;
  std::mt19937_64 random(3);
  for_each_target([&] {
    for (const BatchMatmul& g : {BatchMatmul{1, 1, 1, 1}, BatchMatmul{3, 2, 5, 7}, BatchMatmul{2, 100, 300, 17},
                                 BatchMatmul{1, 97, 64, 64}, BatchMatmul{5, 1, 257, 1}}) {
      const RingTensor a = random_tensor<Word>(left_shape(g), random), b = random_tensor<Word>(right_shape(g), random);
      const std::vector<Word> wanted = expected<Word>(g, a, b);
      RingTensor y = product(g, a, b);
      EXPECT_EQ(y.shape(), output_shape(g));
      ASSERT_EQ(values_of<Word>(y), wanted) << g.rows << " x " << g.inner << " x " << g.cols;
      accumulate_product(g, a, b, y);
      for (size_t i = 0; i < wanted.size(); ++i) ASSERT_EQ(y.as<Word>()[i], static_cast<Word>(2 * wanted[i]));
    }
  });
}

TYPED_TEST(Product, OfElementsTakesAnyShapeOfAsManyElements) {
  using Word = TypeParam;
  std::mt19937_64 random(4);
  const RingTensor a = random_tensor<Word>({3, 37}, random), b = random_tensor<Word>({111}, random);
  RingTensor y = product(Elementwise{{1, 111}}, a, b);
  EXPECT_EQ(y.shape(), (Shape{1, 111}));
  accumulate_product(Elementwise{{111}}, a, b, y);
  for (size_t i = 0; i < 111; ++i) ASSERT_EQ(y.as<Word>()[i], static_cast<Word>(2 * a.as<Word>()[i] * b.as<Word>()[i]));
}

TEST(ProductGeometry, CountsTheMultiplications) {
  EXPECT_EQ(macs(BatchMatmul{2, 3, 5, 7}), 210);
  EXPECT_EQ(macs(Elementwise{{2, 3}}), 6);
}

TEST(ProductOfDryTensors, IsDry) {
  const RingTensor a = RingTensor::dry(Ring::k32, {2, 3}), b = RingTensor::dry(Ring::k32, {3, 4});
  const RingTensor y = product(BatchMatmul{1, 2, 3, 4}, a, b);
  EXPECT_TRUE(y.is_dry());
  EXPECT_EQ(y.shape(), (Shape{1, 2, 4}));
}

TEST(ProductOfWrongShapes, IsRefused) {
  const RingTensor a = RingTensor::zeros(Ring::k32, {2, 3}), wide = RingTensor::zeros(Ring::k64, {2, 3});
  EXPECT_THROW(product(BatchMatmul{1, 2, 4, 3}, a, a), BugError);
  EXPECT_THROW(product(Elementwise{{6}}, a, wide), BugError);
}

}  // namespace
}  // namespace treville
