// Well-known networks as graphs, built here with made-up weights: what tests of costs and of counts need of them is
// their shapes. The topologies are those of the papers and of torchvision; weights keep the size of values from layer
// to layer.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace treville::test {

// even gives numbers in [-bound, bound), the same on every machine.
class EvenNumbers {
 public:
  explicit EvenNumbers(uint64_t seed) : state_(seed) {}
  std::vector<float> operator()(int64_t count, float bound);

 private:
  uint64_t state_;
};

// The networks A to D of SecureNN (Wagh, Gupta, Chandran, PETS 2019, section 6), on 28x28 pixels.
Graph securenn_a();
Graph securenn_b();
Graph securenn_c();
Graph securenn_d();

// ResNet (He et al. 2016), version 1.5: the stride of a block is in its 3x3 convolution. layers: 18, 34, 50, 101, 152.
Graph resnet(int layers);
// DenseNet-121 (Huang et al. 2017), 224x224.
Graph densenet121();
// SqueezeNet 1.1 (Iandola et al. 2016), 227x227.
Graph squeezenet11();

}  // namespace treville::test
