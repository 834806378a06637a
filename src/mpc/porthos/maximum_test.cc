#include "mpc/porthos/maximum.h"

#include "mpc/porthos/porthos_test_util.h"
#include "mpc/porthos/reduction.h"

namespace treville::porthos {
namespace {

struct Widths {
  Ring ring;
  int truncate;
  int k;
};
const std::vector<Widths> kWidths = {{Ring::k32, 11, 20}, {Ring::k32, 0, 3}, {Ring::k64, 12, 21}, {Ring::k64, 0, 61}};

// few_values draws from a small set, so that ties and extremes are frequent.
std::vector<int64_t> few_values(int64_t count, const Widths& w, std::mt19937_64& random) {
  const int64_t top = (int64_t{1} << (w.k - 1)) - 1;
  const std::vector<int64_t> set = {0, -1, 1, top, -top, top - 1, 1 - top};
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count; ++i) {
    int64_t value = set[random() % set.size()];
    if (random() % 2 == 0) value = static_cast<int64_t>(random() % static_cast<uint64_t>(2 * top + 1)) - top;
    values.push_back(value * (int64_t{1} << w.truncate));
  }
  return values;
}

void expect_pool(const PoolGeometry& pool, const Widths& w) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(
      fmt::format("kernel {}x{}, k {}, ring {}, seed {}", pool.kernel_h, pool.kernel_w, w.k, bits_of(w.ring), seed));
  std::mt19937_64 random(seed);
  const Shape shape = input_shape(pool);
  const std::vector<int64_t> values = few_values(shape.elements(), w, random);
  const RingTensor x = tensor_of(w.ring, shape, values);
  Held held;
  run_passes(
      [&](const Cell& cell) {
        Shared shared = cell.protocol.input(PartyId::kDealer, &x, w.ring, shape);
        cell.protocol.begin_step(StepId{1}, "max_pool");
        held.keep(cell, "y", cell.protocol.max_pool(std::move(shared), pool, Bits(w.truncate), Bits(w.k)));
      },
      seed);
  if (testing::Test::HasFatalFailure()) return;
  EXPECT_EQ(held.at("y").form, SharedForm::kAdditive);
  EXPECT_EQ(held.at("y").modulus, w.k + 1);
  EXPECT_EQ(held.at("y").shape, output_shape(pool));
  const std::vector<int64_t> result = held.signed_value("y");
  size_t at = 0;
  for (int64_t b = 0; b < pool.batch; ++b) {
    for (int64_t oh = 0; oh < pool.out_h; ++oh) {
      for (int64_t ow = 0; ow < pool.out_w; ++ow) {
        for (int64_t c = 0; c < pool.channels; ++c, ++at) {
          int64_t best = INT64_MIN;
          for (int64_t i = 0; i < pool.kernel_h; ++i) {
            for (int64_t j = 0; j < pool.kernel_w; ++j) {
              const int64_t h = oh * pool.stride_h - pool.pad_top + i * pool.dilation_h;
              const int64_t v = ow * pool.stride_w - pool.pad_left + j * pool.dilation_w;
              if (h < 0 || v < 0 || h >= pool.in_h || v >= pool.in_w) continue;
              const int64_t index = ((b * pool.in_h + h) * pool.in_w + v) * pool.channels + c;
              best = std::max(best, values[static_cast<size_t>(index)] >> w.truncate);
            }
          }
          ASSERT_EQ(result[at], best) << "output " << at;
        }
      }
    }
  }
}

const PoolGeometry kOverlapping{.batch = 2,
                                .in_h = 9,
                                .in_w = 9,
                                .channels = 3,
                                .out_h = 4,
                                .out_w = 4,
                                .kernel_h = 3,
                                .kernel_w = 3,
                                .stride_h = 2,
                                .stride_w = 2};

TEST(PorthosMaxPool, IsExactForEveryKindOfWindow) {
  const std::vector<PoolGeometry> pools = {
      kOverlapping,
      {.batch = 1,
       .in_h = 8,
       .in_w = 8,
       .channels = 2,
       .out_h = 4,
       .out_w = 4,
       .kernel_h = 2,
       .kernel_w = 2,
       .stride_h = 2,
       .stride_w = 2},
      // padded on all sides, stride one
      {.batch = 1,
       .in_h = 5,
       .in_w = 6,
       .channels = 2,
       .out_h = 5,
       .out_w = 6,
       .kernel_h = 3,
       .kernel_w = 3,
       .pad_top = 1,
       .pad_left = 1},
      // not square, windows beyond the end
      {.batch = 2,
       .in_h = 7,
       .in_w = 5,
       .channels = 1,
       .out_h = 3,
       .out_w = 3,
       .kernel_h = 5,
       .kernel_w = 2,
       .stride_h = 2,
       .stride_w = 2,
       .pad_top = 1,
       .pad_left = 0},
      // dilated
      {.batch = 1,
       .in_h = 9,
       .in_w = 9,
       .channels = 2,
       .out_h = 5,
       .out_w = 5,
       .kernel_h = 3,
       .kernel_w = 3,
       .dilation_h = 2,
       .dilation_w = 2},
      // global
      {.batch = 1, .in_h = 7, .in_w = 7, .channels = 5, .kernel_h = 7, .kernel_w = 7},
      // rows and columns that no window reads
      {.batch = 1,
       .in_h = 9,
       .in_w = 9,
       .channels = 2,
       .out_h = 3,
       .out_w = 3,
       .kernel_h = 1,
       .kernel_w = 2,
       .stride_h = 4,
       .stride_w = 3},
      // the identity
      {.batch = 1, .in_h = 3, .in_w = 3, .channels = 2, .out_h = 3, .out_w = 3}};
  for (const PoolGeometry& pool : pools) expect_pool(pool, kWidths[0]);
}

TEST(PorthosMaxPool, IsExactInEveryRing) {
  for (const Widths& widths : kWidths) expect_pool(kOverlapping, widths);
}

TEST(PorthosMaxPool, IsExactOverSeveralBlocks) {
  expect_pool({.batch = 1,
               .in_h = 60,
               .in_w = 60,
               .channels = 80,
               .out_h = 30,
               .out_w = 30,
               .kernel_h = 2,
               .kernel_w = 2,
               .stride_h = 2,
               .stride_w = 2},
              kWidths[0]);
}

TEST(PorthosReduction, SharesComparisonsBetweenOverlappingWindows) {
  std::vector<std::vector<int64_t>> stride2, stride1;
  for (int64_t o = 0; o < 100; ++o) {
    stride2.push_back({2 * o, 2 * o + 1, 2 * o + 2});
    stride1.push_back({o, o + 1, o + 2, o + 3});
  }
  const Reduction two = plan_reduction(stride2);
  EXPECT_EQ(two.pairs(), 200);
  EXPECT_EQ(two.levels.size(), 2u);
  const Reduction one = plan_reduction(stride1);
  EXPECT_EQ(one.pairs(), 102 + 100);
  EXPECT_EQ(one.levels.size(), 2u);
  EXPECT_THROW(plan_reduction({{}}), BugError);
}

TEST(PorthosReduction, ComparesSixTimesForEachThreeByThreeWindowOfStrideTwo) {
  constexpr int64_t kIn = 65, kOut = 32;
  std::vector<std::vector<int64_t>> windows;
  for (int64_t o = 0; o < kOut; ++o) windows.push_back({2 * o, 2 * o + 1, 2 * o + 2});
  // By rows for every row of the input, then by columns for every column that is left.
  const int64_t pairs = plan_reduction(windows).pairs() * (kIn + kOut);
  EXPECT_NEAR(static_cast<double>(pairs) / (kOut * kOut), 6, 0.1);
}

void expect_arg_max(int64_t rows, int64_t columns, const Widths& w, bool constant_rows = false) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("[{},{}], k {}, ring {}, seed {}", rows, columns, w.k, bits_of(w.ring), seed));
  std::mt19937_64 random(seed);
  std::vector<int64_t> values = few_values(rows * columns, w, random);
  if (constant_rows) std::fill(values.begin(), values.end(), values[0]);
  const RingTensor x = tensor_of(w.ring, {rows, columns}, values);
  Held held;
  run_passes(
      [&](const Cell& cell) {
        Shared shared = cell.protocol.input(PartyId::kDealer, &x, w.ring, {rows, columns});
        cell.protocol.begin_step(StepId{1}, "arg_max");
        held.keep(cell, "y", cell.protocol.arg_max(std::move(shared), Bits(w.truncate), Bits(w.k)));
      },
      seed);
  if (testing::Test::HasFatalFailure()) return;
  EXPECT_EQ(held.at("y").shape, (Shape{rows}));
  const std::vector<uint64_t> result = held.value("y");
  for (int64_t row = 0; row < rows; ++row) {
    const auto begin = values.begin() + row * columns;
    ASSERT_EQ(result[static_cast<size_t>(row)], static_cast<uint64_t>(std::max_element(begin, begin + columns) - begin))
        << "row " << row;
  }
}

TEST(PorthosArgMax, GivesTheFirstLargestIndex) {
  for (const Widths& widths : kWidths) {
    for (const int64_t columns : {1, 2, 3, 10, 64, 1000}) expect_arg_max(7, columns, widths);
    expect_arg_max(3, 37, widths, /*constant_rows=*/true);
  }
}

TEST(PorthosArgMax, HasEnoughBitsForItsIndices) {
  EXPECT_EQ(index_bits(1), Bits(1));
  EXPECT_EQ(index_bits(2), Bits(1));
  EXPECT_EQ(index_bits(3), Bits(2));
  EXPECT_EQ(index_bits(1000), Bits(10));
  EXPECT_EQ(index_bits(1024), Bits(10));
  EXPECT_EQ(index_bits(1025), Bits(11));
}

}  // namespace
}  // namespace treville::porthos
