#include "mpc/clear.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "base/error.h"

namespace treville {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Shared value(const std::vector<int64_t>& integers, Shape shape, Bits modulus = Bits(32)) {
  RingTensor tensor = RingTensor::stored(Ring::k32, shape);
  for (size_t i = 0; i < integers.size(); ++i) tensor.as<uint32_t>()[i] = static_cast<uint32_t>(integers[i]);
  return Shared(SharedForm::kAdditive, Ring::k32, modulus, std::move(shape), std::move(tensor));
}
Shared value(const std::vector<int64_t>& integers, Bits modulus = Bits(32)) {
  return value(integers, {static_cast<int64_t>(integers.size())}, modulus);
}

std::vector<int32_t> signed_words(const Shared& x) {
  const auto words = x.plane().as<uint32_t>();
  return {words.begin(), words.end()};
}

std::unique_ptr<ClearProtocol> clear() {
  auto protocol = make_clear({}, nullptr);
  protocol->begin_step(StepId{3}, "relu conv1");
  return protocol;
}

TEST(Clear, TruncationRoundsToNearest) {
  EXPECT_THAT(signed_words(clear()->rescale(value({0, 7, 8, 9, 23, 24, -7, -8, -9, -24, -25}), Bits(4), Bits(10))),
              ElementsAre(0, 0, 1, 1, 1, 2, 0, 0, -1, -1, -2));
  EXPECT_THAT(signed_words(clear()->relu(value({-9, -8, 7, 8, 100}), Bits(4), Bits(10))), ElementsAre(0, 0, 0, 1, 6));
}

TEST(Clear, ReadsItsOperandModuloItsModulus) {
  // High bits beyond the modulus are noise; 2^20 - 1 modulo 2^20 is -1.
  EXPECT_THAT(signed_words(clear()->rescale(value({(5 << 20) + 3, (1 << 20) - 1}, Bits(20)), Bits(0), Bits(20))),
              ElementsAre(3, -1));
}

TEST(Clear, MaximumIsKnownModuloItsOwnBits) {
  const PoolGeometry pool{1, 1, 4, 1, 1, 2, 1, 2, 1, 2, 1, 1, 0, 0};
  const Shared y = clear()->max_pool(value({-5, -3, 4, -9}, {1, 1, 4, 1}), pool, Bits(0), Bits(6));
  EXPECT_EQ(y.modulus(), Bits(7));
  EXPECT_THAT(signed_words(y), ElementsAre(128 - 3, 4));
}

TEST(Clear, PaddingTakesNoPartInAMaximum) {
  const PoolGeometry pool{1, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1};
  EXPECT_THAT(signed_words(clear()->max_pool(value({-1, -2, -3, -4}, {1, 2, 2, 1}), pool, Bits(0), Bits(6))),
              ElementsAre(128 - 1, 128 - 2, 128 - 3, 128 - 4));
}

TEST(Clear, ArgMaxGivesTheFirstOfEquals) {
  const Shared y = clear()->arg_max(value({1, 7, 7, -1, -1, -1, 0, 0, 5}, {3, 3}), Bits(0), Bits(6));
  EXPECT_EQ(y.modulus(), Bits(2));
  EXPECT_THAT(signed_words(y), ElementsAre(1, 0, 2));
}

TEST(Clear, LookUpCountsFromTheLowestIndexAndWraps) {
  const LookUpTable table{Bits(5), true, {-16, 1, 2, 3, 4, 5, 6, 15}};
  const std::array<const LookUpTable*, 1> tables = {&table};
  auto protocol = clear();
  const Shared y = protocol->look_up(value({-3, -1, 0, 3}), Bits(0), Bits(3), tables);
  EXPECT_EQ(y.shape(), (Shape{1, 4}));
  EXPECT_EQ(y.form(), SharedForm::kMasked);
  EXPECT_THAT(signed_words(y), ElementsAre(1, 3, 4, 15));
  EXPECT_TRUE(protocol->ranges().ok());
  EXPECT_THAT(signed_words(protocol->look_up(value({4, -4, 5}), Bits(0), Bits(3), tables)), ElementsAre(-16, -16, 1));
  EXPECT_FALSE(protocol->ranges().ok());
}

TEST(Clear, NonNegativeRoundsFirst) {
  EXPECT_THAT(signed_words(clear()->non_negative(value({0, -8, -9, 500}), Bits(4), Bits(10))), ElementsAre(1, 1, 0, 1));
}

TEST(Clear, RangesCountWhatDoesNotFitAndNameTheLayer) {
  auto protocol = clear();
  protocol->relu(value({511 << 4, -(511 << 4), 0}), Bits(4), Bits(10));
  EXPECT_TRUE(protocol->ranges().ok());
  EXPECT_EQ(protocol->ranges().message(), "");
  protocol->begin_step(StepId{4}, "relu conv2");
  protocol->relu(value({512 << 4, -(512 << 4), 0, 600 << 4}), Bits(4), Bits(10));
  EXPECT_FALSE(protocol->ranges().ok());
  ASSERT_EQ(protocol->ranges().steps.size(), 2u);
  const StepRange& range = protocol->ranges().steps[1];
  EXPECT_EQ(range.step, StepId{4});
  EXPECT_EQ(range.values, 4);
  EXPECT_EQ(range.violations, 3);
  EXPECT_EQ(range.used, Bits(10));
  EXPECT_EQ(range.allowed, Bits(9));
  EXPECT_THAT(protocol->ranges().message(), HasSubstr("step 4 relu conv2: 3 of 4 values need up to 10 bits, 9"));
}

TEST(Clear, RescaleAllowsOneBitLess) {
  auto protocol = clear();
  protocol->rescale(value({255, -255}), Bits(0), Bits(10));
  EXPECT_TRUE(protocol->ranges().ok());
  protocol->rescale(value({256}), Bits(0), Bits(10));
  EXPECT_FALSE(protocol->ranges().ok());
}

TEST(Clear, ClipChecksTheDistanceToItsUpperBoundToo) {
  auto protocol = clear();
  protocol->clip(value({-11}), Bits(0), Bits(10), 500);
  EXPECT_TRUE(protocol->ranges().ok());
  protocol->clip(value({-12}), Bits(0), Bits(10), 500);
  EXPECT_FALSE(protocol->ranges().ok());
}

TEST(Clear, ValuesOutOfRangeWrapAsTheProtocolsReduceThem) {
  EXPECT_THAT(signed_words(clear()->relu(value({512, -513, 1024 + 3}), Bits(0), Bits(10))), ElementsAre(0, 511, 3));
}

TEST(Clear, NeedsItsInputsAndConstants) {
  EXPECT_THROW(clear()->input(PartyId::kDealer, nullptr, Ring::k32, {1}), BugError);
  EXPECT_THROW(clear()->add_constant(value({1}), nullptr), BugError);
}

TEST(Protocols, UnknownNamesGetASuggestion) {
  Session session;
  try {
    set_up_protocol("cleer", session, {}, nullptr);
    FAIL() << "accepted";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'clear'"));
  }
}

}  // namespace
}  // namespace treville
