// Helpers of the kernel tests: random tensors and a loop over the SIMD targets of this machine.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <random>

#include "tensor/ring_tensor.h"

namespace treville {

// random_tensor has full-range words; one in eight is near the modulus, where carries hide.
template <class Word>
RingTensor random_tensor(Shape shape, std::mt19937_64& random) {
  RingTensor tensor = RingTensor::stored(sizeof(Word) == 4 ? Ring::k32 : Ring::k64, std::move(shape));
  for (Word& value : tensor.as<Word>()) {
    value = static_cast<Word>(random());
    if (random() % 8 == 0) value = Word{0} - static_cast<Word>(random() % 3);
  }
  return tensor;
}

template <class Word>
std::vector<Word> values_of(const RingTensor& tensor) {
  const auto values = tensor.as<Word>();
  return {values.begin(), values.end()};
}

// for_each_target runs the body once per SIMD target this machine has, with Highway's choice pinned to it.
template <class Body>
void for_each_target(const Body& body) {
  const int64_t all = hwy::SupportedTargets();
  for (int64_t rest = all; rest != 0; rest &= rest - 1) {
    const int64_t target = rest & -rest;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace treville
