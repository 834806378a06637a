// What the compiler's tests share: a small model builder with random weights, and the comparison of two graphs by
// their float meaning.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "graph/graph.h"

namespace treville::testing {

using Ints = std::vector<int64_t>;

// Model builds a graph front to back; values are random but the same for the same seed.
class Model {
 public:
  explicit Model(uint32_t seed = 7) : generator_(seed) { graph.name = "test"; }

  ValueId input(Shape shape, const std::string& name = "x") {
    const ValueId id = graph.add_value({name, DType::kFloat, shape, {}});
    graph.inputs.push_back(id);
    return id;
  }
  ValueId constant(FloatTensor tensor) { return graph.add_constant("c", std::move(tensor)); }
  ValueId random(Shape shape, float low = -1, float high = 1) { return constant(tensor(std::move(shape), low, high)); }
  FloatTensor tensor(Shape shape, float low = -1, float high = 1) {
    FloatTensor result(std::move(shape));
    std::uniform_real_distribution<float> uniform(low, high);
    for (float& value : result.values) value = uniform(generator_);
    return result;
  }
  ValueId op(const std::string& name, std::vector<ValueId> inputs, std::map<std::string, Attribute> attributes = {}) {
    return graph.add_node(name, name + std::to_string(graph.nodes.size()), std::move(inputs), std::move(attributes));
  }
  // conv: weight HWIO [k,k,in,out], with the given padding on all sides.
  ValueId conv(ValueId x, int64_t in, int64_t out, int64_t k, int64_t pad, const std::string& layout = "NHWC",
               bool bias = false) {
    const float scale = 1 / std::sqrt(static_cast<float>(in * k * k));
    std::vector<ValueId> inputs = {x, random({k, k, in, out}, -scale, scale)};
    if (bias) inputs.push_back(random({out}));
    return op("Conv", inputs,
              {{"strides", Ints{1, 1}},
               {"dilations", Ints{1, 1}},
               {"pads", Ints{pad, pad, pad, pad}},
               {"auto_pad", std::string("explicit")},
               {"groups", int64_t{1}},
               {"layout", layout}});
  }
  ValueId max_pool(ValueId x, int64_t k, int64_t stride, const std::string& layout = "NHWC") {
    return op("MaxPool", {x},
              {{"kernel", Ints{k, k}},
               {"strides", Ints{stride, stride}},
               {"pads", Ints{0, 0, 0, 0}},
               {"auto_pad", std::string("explicit")},
               {"layout", layout}});
  }
  ValueId batch_norm(ValueId x, int64_t c, const std::string& layout = "NHWC") {
    return op("BatchNorm", {x, random({c}, 0.5, 2), random({c}), random({c}), random({c}, 0.25, 2)},
              {{"epsilon", 1e-3}, {"layout", layout}});
  }
  // done ends the model and infers its shapes.
  Graph done(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    infer_shapes(graph);
    verify(graph, "test");
    return graph;
  }

  Graph graph;

 private:
  std::mt19937 generator_;
};

inline int count(const Graph& graph, const std::string& op) {
  int result = 0;
  for (const Node& node : graph.nodes) result += node.op == op;
  return result;
}

inline std::vector<FloatTensor> random_inputs(const Graph& graph, uint32_t seed, float low = -1, float high = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<FloatTensor> inputs;
  for (ValueId id : graph.inputs) {
    inputs.emplace_back(*graph.value(id).shape);
    for (float& value : inputs.back().values) value = uniform(generator);
  }
  return inputs;
}

// expect_same_meaning: both graphs give the same floats, up to 1e-5 of the largest.
inline void expect_same_meaning(const Graph& before, const Graph& after, uint32_t seed = 3) {
  verify(after, "test");
  const std::vector<FloatTensor> inputs = random_inputs(before, seed);
  const std::vector<Constant> a = float_run(before, inputs), b = float_run(after, inputs);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    const auto& expected = std::get<FloatTensor>(a[i]);
    const auto& found = std::get<FloatTensor>(b[i]);
    ASSERT_EQ(expected.values.size(), found.values.size());
    float largest = 1e-6F, error = 0;
    for (size_t j = 0; j < expected.values.size(); ++j) {
      largest = std::max(largest, std::abs(expected.values[j]));
      error = std::max(error, std::abs(expected.values[j] - found.values[j]));
    }
    EXPECT_LE(error, 1e-5F * largest) << "seed " << seed;
  }
}

}  // namespace treville::testing
