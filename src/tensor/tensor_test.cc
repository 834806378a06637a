#include <gtest/gtest.h>

#include "tensor/bit_planes.h"
#include "tensor/linear_map.h"
#include "tensor/ring_tensor.h"

namespace treville {
namespace {

TEST(RingTensor, DryTensorsHaveShapeAndBytesAndRefuseData) {
  const RingTensor tensor = RingTensor::dry(Ring::k64, {2, 3});
  EXPECT_TRUE(tensor.is_dry());
  EXPECT_EQ(tensor.bytes(), 48u);
  EXPECT_THROW(tensor.as<uint64_t>(), BugError);
}

TEST(RingTensor, RefusesTheWrongWord) {
  RingTensor tensor = RingTensor::zeros(Ring::k32, {4});
  EXPECT_EQ(tensor.as<uint32_t>().size(), 4u);
  EXPECT_THROW(tensor.as<uint64_t>(), BugError);
}

TEST(RingTensor, ReshapeKeepsElementsAndRefusesOtherCounts) {
  RingTensor tensor = RingTensor::zeros(Ring::k32, {2, 6});
  tensor.as<uint32_t>()[7] = 9;
  tensor = std::move(tensor).reshaped({3, 4});
  EXPECT_EQ(tensor.as<uint32_t>()[7], 9u);
  EXPECT_THROW(std::move(tensor).reshaped({5}), BugError);
}

TEST(MemoryMeter, DryAndStoredBuffersCountAlikeAndAreGivenBack) {
  auto meter = std::make_shared<MemoryMeter>();
  {
    MeterScope scope(meter);
    Buffer stored = Buffer::stored(100);
    Buffer dry = Buffer::dry(50);
    EXPECT_EQ(meter->live(), 150);
    stored = std::move(dry);
    EXPECT_EQ(meter->live(), 50);
  }
  EXPECT_EQ(meter->live(), 0);
  EXPECT_EQ(meter->peak(), 150);
}

TEST(BitPlanes, PlanesAreWholeWords) {
  EXPECT_EQ(BitPlanes::bytes_for(65, 3), 48u);
  EXPECT_THROW(BitPlanes::adopt(65, 3, Buffer::dry(47)), BugError);
}

TEST(LinearMap, CountsMultiplyAccumulates) {
  ConvGeometry conv{.batch = 1,
                    .in_h = 8,
                    .in_w = 8,
                    .in_c = 4,
                    .out_h = 4,
                    .out_w = 4,
                    .out_c = 6,
                    .kernel_h = 3,
                    .kernel_w = 3,
                    .stride_h = 2,
                    .stride_w = 2,
                    .pad_top = 1,
                    .pad_left = 1,
                    .groups = 2};
  EXPECT_EQ(macs(conv), 4 * 4 * 6 * 9 * 2);
  EXPECT_EQ(weight_shape(conv), (Shape{3, 3, 2, 6}));
}

}  // namespace
}  // namespace treville
