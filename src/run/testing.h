// A small network with its weights and an input, for tests of runs and costs.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "program/testing.h"
#include "tensor/ring_tensor.h"

namespace treville::testing {

struct SmallModel {
  Builder b;
  std::vector<RingTensor> constants;
  std::map<std::string, RingTensor> inputs;
};

// small_model: convolution, relu, pool, average and a matrix product over random small numbers.
inline SmallModel small_model(Ring ring, uint32_t seed) {
  std::mt19937 random(seed);
  SmallModel m{Builder(ring), {}, {}};
  Builder& b = m.b;
  const auto fill = [&](RingTensor& tensor, int64_t magnitude) {
    dispatch(ring, [&](auto word) {
      for (auto& value : tensor.as<decltype(word)>())
        value = static_cast<decltype(word)>(static_cast<int64_t>(random() % static_cast<uint64_t>(2 * magnitude + 1)) -
                                            magnitude);
    });
  };
  const SlotId x = b.input({1, 8, 8, 3}, Bits(8));
  LinearStep conv;
  conv.terms.push_back({x, conv_of({1, 8, 8, 3}, 4, 3, 1), b.constant("w", {3, 3, 3, 4}, Bits(6))});
  conv.bias = b.constant("bias", {4}, Bits(14));
  conv.modulus = Bits(28);
  const SlotId pooled = b.add(MaxPoolStep{b.add(conv), pool_of({1, 8, 8, 4}, 3, 2, 1), Bits(6), Bits(18)});
  const SlotId active = b.add(ReluStep{pooled, Bits(0), Bits(19)});
  const SlotId average = b.add(SumPoolStep{active, pool_of(b.type(active).shape, 3, 1, 1), Bits(6), 1});
  const SlotId again = b.add(RescaleStep{average, Bits(6), Bits(20)});
  const SlotId mean = b.add(SumAxesStep{again, {1, 2}, 16});
  const SlotId rows = b.add(ReshapeStep{mean, {1, 4}});
  LinearStep last;
  last.terms.push_back({rows, MatmulGeometry{1, 4, 5}, b.constant("fc", {4, 5}, Bits(8))});
  last.modulus = bits_of(ring);
  b.output(b.add(last));
  for (const ConstantDecl& declared : b.program.constants)
    fill(m.constants.emplace_back(RingTensor::stored(ring, declared.shape)), declared.name == "bias" ? 1 << 13 : 60);
  RingTensor input = RingTensor::stored(ring, {1, 8, 8, 3});
  fill(input, 256);
  m.inputs.emplace("x", std::move(input));
  return m;
}

}  // namespace treville::testing
