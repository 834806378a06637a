#include "mpc/porthos/pass.h"
#include "mpc/porthos/porthos_test_util.h"

namespace treville::porthos {
namespace {

// factors are edge values and random words of the whole ring.
std::vector<int64_t> factors(size_t count, std::mt19937_64& random) {
  std::vector<int64_t> values = {0, 1, -1, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX, 2, -2};
  while (values.size() < count) values.push_back(static_cast<int64_t>(random()));
  values.resize(count);
  return values;
}

uint64_t product_of(int64_t a, int64_t b) { return static_cast<uint64_t>(a) * static_cast<uint64_t>(b); }

// expect_values compares what D and E hold together with the exact integers modulo 2^l, and H's mask with D's.
void expect_values(const Held& held, const std::string& name, const std::vector<uint64_t>& expected) {
  held.expect_masked(name);
  const int bits = bits_of(held.at(name).ring).value();
  EXPECT_EQ(held.at(name).modulus, bits);
  const std::vector<uint64_t> values = held.value(name);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(values[i], Held::reduced(expected[i], bits)) << name << " element " << i;
}

TEST(PorthosProduct, OfElementsIsExactModuloTheRingAtEveryTailOfABlock) {
  for (const Ring ring : {Ring::k32, Ring::k64}) {
    for (const size_t count : {1, 63, 65, 1000, 65536, 65536 + 65, 2 * 65536 + 7}) {
      const uint64_t seed = std::random_device{}();
      SCOPED_TRACE(fmt::format("ring {}, {} elements, seed {}", bits_of(ring), count, seed));
      std::mt19937_64 random(seed);
      const std::vector<int64_t> x = factors(count, random), y = factors(count, random);
      const Shape shape{static_cast<int64_t>(count)};
      const RingTensor a = tensor_of(ring, shape, x), b = tensor_of(ring, shape, y);
      Held held;
      run_passes(
          [&](const Cell& cell) {
            Protocol& p = cell.protocol;
            uint32_t step = 0;
            const auto next = [&] { p.begin_step(StepId{step++}, "test"); };
            p.begin_inference(0);
            next();
            const Shared left = p.input(kD, &a, ring, shape);
            next();
            const Shared right = p.input(kE, &b, ring, shape);  // its lambda is 0
            next();
            const Shared product = p.product(left, right, Elementwise{shape});
            held.keep(cell, "product", product);
            next();
            held.keep(cell, "square", p.product(left, left, Elementwise{shape}));
            next();
            held.keep(cell, "owner's square", p.product(right, right, Elementwise{shape}));
            next();
            held.keep(cell, "cube", p.product(product, left, Elementwise{shape}));
          },
          seed);
      ASSERT_FALSE(HasFatalFailure());
      std::vector<uint64_t> products, squares, others, cubes;
      for (size_t i = 0; i < count; ++i) {
        products.push_back(product_of(x[i], y[i]));
        squares.push_back(product_of(x[i], x[i]));
        others.push_back(product_of(y[i], y[i]));
        cubes.push_back(products.back() * static_cast<uint64_t>(x[i]));
      }
      expect_values(held, "product", products);
      expect_values(held, "square", squares);
      expect_values(held, "owner's square", others);
      expect_values(held, "cube", cubes);
    }
  }
}

TEST(PorthosProduct, OfMatricesIsExactModuloTheRing) {
  // One element, a batch of odd sizes, and operands and a result of several blocks.
  for (const BatchMatmul& g : {BatchMatmul{1, 1, 1, 1}, BatchMatmul{3, 5, 7, 2}, BatchMatmul{2, 300, 130, 270}}) {
    for (const Ring ring : {Ring::k32, Ring::k64}) {
      const uint64_t seed = std::random_device{}();
      SCOPED_TRACE(fmt::format("ring {}, {} x {} x {}, seed {}", bits_of(ring), g.rows, g.inner, g.cols, seed));
      std::mt19937_64 random(seed);
      const Shape left{left_shape(g).elements()}, right = right_shape(g);
      const std::vector<int64_t> x = factors(static_cast<size_t>(left.elements()), random);
      const std::vector<int64_t> y = factors(static_cast<size_t>(right.elements()), random);
      const RingTensor a = tensor_of(ring, left, x), b = tensor_of(ring, right, y);
      Held held;
      run_passes(
          [&](const Cell& cell) {
            Protocol& p = cell.protocol;
            p.begin_inference(0);
            p.begin_step(StepId{0}, "left");
            const Shared first = p.input(kE, &a, ring, left);
            p.begin_step(StepId{1}, "right");
            const Shared second = p.input(kD, &b, ring, right);
            p.begin_step(StepId{2}, "product");
            const Shared product = p.product(first, second, g);
            EXPECT_EQ(product.shape(), output_shape(g));
            held.keep(cell, "product", product);
          },
          seed);
      ASSERT_FALSE(HasFatalFailure());
      std::vector<uint64_t> expected;
      for (int64_t row = 0; row < g.batch * g.rows; ++row) {
        for (int64_t col = 0; col < g.cols; ++col) {
          uint64_t sum = 0;
          for (int64_t k = 0; k < g.inner; ++k) {
            const int64_t at = (row / g.rows * g.inner + k) * g.cols + col;
            sum += product_of(x[static_cast<size_t>(row * g.inner + k)], y[static_cast<size_t>(at)]);
          }
          expected.push_back(sum);
        }
      }
      expect_values(held, "product", expected);
    }
  }
}

TEST(PorthosProduct, RefusesWhatIsNotMasked) {
  Session session = make_dry_session(kD);
  const ProtocolPasses passes = set_up_porthos(session, {}, nullptr);
  Protocol& p = *passes.passes[0];
  const Shared additive(SharedForm::kAdditive, Ring::k32, Bits(32), {4}, RingTensor::dry(Ring::k32, {4}));
  const Shared narrow(SharedForm::kMasked, Ring::k32, Bits(31), {4}, RingTensor::dry(Ring::k32, {4}));
  EXPECT_THROW(p.product(additive, additive, Elementwise{{4}}), BugError);
  EXPECT_THROW(p.product(narrow, narrow, Elementwise{{4}}), BugError);
}

}  // namespace
}  // namespace treville::porthos
