#include "test/networks.h"

#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"

namespace treville::test {

// A step of SplitMix64 (Steele, Lea, Flood 2014): fast, and the same everywhere.
std::vector<float> EvenNumbers::operator()(int64_t count, float bound) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    value = (static_cast<float>(z >> 40) / (1 << 23) - 1) * bound;
  }
  return values;
}

namespace {

using Ints = std::vector<int64_t>;
using Attributes = std::map<std::string, Attribute>;

// Layers adds layers to one graph, whose tensors are NHWC; every function returns the new value.
class Layers {
 public:
  explicit Layers(std::string name) : numbers_(17) { graph_.name = std::move(name); }

  ValueId input(Shape shape) {
    const ValueId x = graph_.add_value({"x", DType::kFloat, std::move(shape), {}});
    graph_.inputs.push_back(x);
    return x;
  }
  // conv has He's uniform weights; pad goes to all four sides.
  ValueId conv(ValueId x, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
               bool with_bias = false) {
    return convolve(x, in, out, kernel, {"explicit", {pad, pad, pad, pad}, stride}, with_bias);
  }
  ValueId conv_same(ValueId x, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    return convolve(x, in, out, kernel, {"same_upper", {0, 0, 0, 0}, stride}, true);
  }
  // batch_norm multiplies by about `scale`; the moments are those of a normalised input.
  ValueId batch_norm(ValueId x, int64_t channels, float scale = 1) {
    std::vector<float> scales = numbers_(channels, 0.3F * scale);
    for (float& value : scales) value += scale;
    return add("BatchNorm",
               {x, constant({channels}, std::move(scales)), constant({channels}, numbers_(channels, 0.2F)),
                constant({channels}, numbers_(channels, 0.1F)), filled(channels, 1)},
               {{"epsilon", 1e-5}, {"layout", std::string("NHWC")}});
  }
  ValueId relu(ValueId x) { return add("Relu", {x}, {}); }
  ValueId plus(ValueId a, ValueId b) { return add("Add", {a, b}, {}); }
  ValueId concat(std::vector<ValueId> parts) { return add("Concat", std::move(parts), {{"axis", int64_t{3}}}); }
  ValueId max_pool(ValueId x, int64_t kernel, int64_t stride, int64_t pad = 0, bool ceil = false) {
    return add("MaxPool", {x}, pool(kernel, stride, pad, ceil));
  }
  ValueId average_pool(ValueId x, int64_t kernel, int64_t stride) {
    return add("AveragePool", {x}, pool(kernel, stride, 0, false));
  }
  ValueId spatial_mean(ValueId x) { return add("ReduceMean", {x}, {{"axes", Ints{1, 2}}, {"keepdims", int64_t{0}}}); }
  ValueId flatten(ValueId x, int64_t columns) { return add("Reshape", {x}, {{"shape", Ints{1, columns}}}); }
  ValueId dense(ValueId x, int64_t in, int64_t out) {
    const ValueId product = add("MatMul", {x, constant({in, out}, weights(in * out, in))}, {});
    return add("Add", {product, constant({out}, numbers_(out, 0.1F))}, {});
  }
  Graph done(ValueId output) {
    graph_.outputs = {output};
    return std::move(graph_);
  }

 private:
  struct Window {
    std::string auto_pad;
    Ints pads;
    int64_t stride;
  };
  ValueId convolve(ValueId x, int64_t in, int64_t out, int64_t kernel, const Window& window, bool with_bias) {
    const Shape shape({kernel, kernel, in, out});
    std::vector<ValueId> inputs = {x, constant(shape, weights(shape.elements(), kernel * kernel * in))};
    if (with_bias) inputs.push_back(constant({out}, numbers_(out, 0.1F)));
    return add("Conv", std::move(inputs),
               {{"strides", Ints{window.stride, window.stride}},
                {"dilations", Ints{1, 1}},
                {"pads", window.pads},
                {"auto_pad", window.auto_pad},
                {"groups", int64_t{1}},
                {"layout", std::string("NHWC")}});
  }
  Attributes pool(int64_t kernel, int64_t stride, int64_t pad, bool ceil) const {
    return {
        {"kernel", Ints{kernel, kernel}},   {"strides", Ints{stride, stride}},     {"dilations", Ints{1, 1}},
        {"pads", Ints{pad, pad, pad, pad}}, {"auto_pad", std::string("explicit")}, {"ceil_mode", int64_t{ceil ? 1 : 0}},
        {"layout", std::string("NHWC")}};
  }
  std::vector<float> weights(int64_t count, int64_t fan_in) {
    return numbers_(count, std::sqrt(6.0F / static_cast<float>(fan_in)));
  }
  ValueId filled(int64_t count, float value) {
    return constant({count}, std::vector<float>(static_cast<size_t>(count), value));
  }
  ValueId constant(Shape shape, std::vector<float> values) {
    return graph_.add_constant("c" + std::to_string(graph_.value_count()),
                               FloatTensor(std::move(shape), std::move(values)));
  }
  ValueId add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes) {
    return graph_.add_node(op, op + std::to_string(graph_.nodes.size()), std::move(inputs), std::move(attributes));
  }

  EvenNumbers numbers_;
  Graph graph_;
};

// B and C: MiniONN's network and LeNet.
Graph two_convolutions(const char* name, int64_t first, int64_t second, int64_t hidden) {
  Layers net(name);
  ValueId x = net.input({1, 28, 28, 1});
  x = net.max_pool(net.relu(net.conv(x, 1, first, 5, 1, 0, true)), 2, 2);
  x = net.max_pool(net.relu(net.conv(x, first, second, 5, 1, 0, true)), 2, 2);
  x = net.relu(net.dense(net.flatten(x, 16 * second), 16 * second, hidden));
  return net.done(net.dense(x, hidden, 10));
}

// block adds one residual block; the last batch norm is small, as training makes it, so that sums do not grow.
ValueId block(Layers& net, ValueId x, int64_t in, int64_t width, int64_t out, int64_t stride) {
  const auto conv = [&](ValueId v, int64_t from, int64_t to, int64_t kernel, int64_t step, float scale) {
    return net.batch_norm(net.conv(v, from, to, kernel, step, kernel / 2), to, scale);
  };
  ValueId y{};
  if (out != width) {
    y = net.relu(conv(x, in, width, 1, 1, 1));
    y = net.relu(conv(y, width, width, 3, stride, 1));
    y = conv(y, width, out, 1, 1, 0.3F);
  } else {
    y = net.relu(conv(x, in, width, 3, stride, 1));
    y = conv(y, width, width, 3, 1, 0.3F);
  }
  const ValueId kept = stride != 1 || in != out ? conv(x, in, out, 1, stride, 1) : x;
  return net.relu(net.plus(y, kept));
}

}  // namespace

Graph securenn_a() {
  Layers net("securenn-a");
  ValueId x = net.input({1, 784});
  x = net.relu(net.dense(x, 784, 128));
  x = net.relu(net.dense(x, 128, 128));
  return net.done(net.dense(x, 128, 10));
}
Graph securenn_b() { return two_convolutions("securenn-b", 16, 16, 100); }
Graph securenn_c() { return two_convolutions("securenn-c", 20, 50, 500); }
Graph securenn_d() {
  Layers net("securenn-d");
  ValueId x = net.input({1, 28, 28, 1});
  x = net.relu(net.conv_same(x, 1, 5, 5, 2));
  x = net.relu(net.dense(net.flatten(x, 980), 980, 100));
  return net.done(net.dense(x, 100, 10));
}

Graph resnet(int layers) {
  static const std::map<int, std::vector<int>> kBlocks = {
      {18, {2, 2, 2, 2}}, {34, {3, 4, 6, 3}}, {50, {3, 4, 6, 3}}, {101, {3, 4, 23, 3}}, {152, {3, 8, 36, 3}}};
  CHECK(kBlocks.count(layers) == 1, "ResNet-{} is not defined", layers);
  Layers net("resnet" + std::to_string(layers));
  ValueId x = net.input({1, 224, 224, 3});
  x = net.max_pool(net.relu(net.batch_norm(net.conv(x, 3, 64, 7, 2, 3), 64)), 3, 2, 1);
  int64_t channels = 64;
  for (size_t stage = 0; stage < 4; ++stage) {
    const int64_t width = int64_t{64} << stage, out = layers >= 50 ? 4 * width : width;
    for (int i = 0; i < kBlocks.at(layers)[stage]; ++i) {
      x = block(net, x, channels, width, out, stage > 0 && i == 0 ? 2 : 1);
      channels = out;
    }
  }
  return net.done(net.dense(net.spatial_mean(x), channels, 1000));
}

Graph densenet121() {
  Layers net("densenet121");
  ValueId x = net.input({1, 224, 224, 3});
  x = net.max_pool(net.relu(net.batch_norm(net.conv(x, 3, 64, 7, 2, 3), 64)), 3, 2, 1);
  int64_t channels = 64;
  const std::vector<int> blocks = {6, 12, 24, 16};
  for (size_t stage = 0; stage < blocks.size(); ++stage) {
    for (int i = 0; i < blocks[stage]; ++i) {
      ValueId y = net.conv(net.relu(net.batch_norm(x, channels)), channels, 128, 1, 1, 0);
      y = net.conv(net.relu(net.batch_norm(y, 128)), 128, 32, 3, 1, 1);
      x = net.concat({x, y});
      channels += 32;
    }
    if (stage + 1 == blocks.size()) break;
    x = net.conv(net.relu(net.batch_norm(x, channels)), channels, channels / 2, 1, 1, 0);
    x = net.average_pool(x, 2, 2);
    channels /= 2;
  }
  x = net.relu(net.batch_norm(x, channels));
  return net.done(net.dense(net.spatial_mean(x), channels, 1000));
}

Graph squeezenet11() {
  Layers net("squeezenet1.1");
  ValueId x = net.input({1, 227, 227, 3});
  x = net.max_pool(net.relu(net.conv(x, 3, 64, 3, 2, 0, true)), 3, 2, 0, true);
  int64_t channels = 64;
  const int64_t squeezes[] = {16, 16, 32, 32, 48, 48, 64, 64};
  for (size_t i = 0; i < std::size(squeezes); ++i) {
    const int64_t squeeze = squeezes[i], expand = 4 * squeeze;
    x = net.relu(net.conv(x, channels, squeeze, 1, 1, 0, true));
    x = net.concat(
        {net.relu(net.conv(x, squeeze, expand, 1, 1, 0, true)), net.relu(net.conv(x, squeeze, expand, 3, 1, 1, true))});
    channels = 2 * expand;
    if (i == 1 || i == 3) x = net.max_pool(x, 3, 2, 0, true);
  }
  return net.done(net.spatial_mean(net.relu(net.conv(x, channels, 1000, 1, 1, 0, true))));
}

}  // namespace treville::test
