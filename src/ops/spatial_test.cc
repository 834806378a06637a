// Convolutions, transposed convolutions and pools over one to three spatial dimensions, against their definitions, in
// float and as steps.
#include "ops/ops_test_util.h"
#include "ops/windows.h"

namespace treville::ops {
namespace {

// Case is a window over an image [batch, spatial..., channels]; pads are all befores, then all afters.
struct Case {
  Ints image, kernel, strides, dilations, pads;
  int64_t out_channels = 1, groups = 1;
  Ints more = {};  // output_padding
};

// lifted puts ones (or zeros) in front, so that every list has three numbers.
Ints lifted(const Ints& list, int64_t filler = 1) {
  Ints result(3 - list.size(), filler);
  result.insert(result.end(), list.begin(), list.end());
  return result;
}

Ints spatial_of(const Ints& image) { return Ints(image.begin() + 1, image.end() - 1); }

// Box iterates over three numbers.
template <class F>
void for_box(const Ints& extents, F f) {
  for (int64_t a = 0; a < extents[0]; ++a)
    for (int64_t b = 0; b < extents[1]; ++b)
      for (int64_t c = 0; c < extents[2]; ++c) f(Ints{a, b, c});
}

// at is the position in [batch, three extents, channels].
size_t at(const Ints& extents, int64_t channels, int64_t n, const Ints& i, int64_t c) {
  return static_cast<size_t>((((n * extents[0] + i[0]) * extents[1] + i[1]) * extents[2] + i[2]) * channels + c);
}

bool inside(const Ints& i, const Ints& extents) {
  for (size_t d = 0; d < 3; ++d)
    if (i[d] < 0 || i[d] >= extents[d]) return false;
  return true;
}

Shape image_like(const Ints& image, const Ints& lifted_out, int64_t channels) {
  Ints dims = {image[0]};
  dims.insert(dims.end(), lifted_out.end() - static_cast<std::ptrdiff_t>(image.size() - 2), lifted_out.end());
  dims.push_back(channels);
  return Shape(dims);
}

// Lifted is a case in three dimensions.
struct Lifted {
  Ints in, kernel, strides, dilations, before, after, more;
  explicit Lifted(const Case& c)
      : in(lifted(spatial_of(c.image))),
        kernel(lifted(c.kernel)),
        strides(lifted(c.strides)),
        dilations(lifted(c.dilations)),
        before(lifted(Ints(c.pads.begin(), c.pads.begin() + static_cast<std::ptrdiff_t>(c.kernel.size())), 0)),
        after(lifted(Ints(c.pads.begin() + static_cast<std::ptrdiff_t>(c.kernel.size()), c.pads.end()), 0)),
        more(lifted(c.more.empty() ? Ints(c.kernel.size(), 0) : c.more, 0)) {}
  int64_t span(size_t d) const { return (kernel[d] - 1) * dilations[d] + 1; }
  Ints forward() const {
    Ints out(3);
    for (size_t d = 0; d < 3; ++d) out[d] = (in[d] + before[d] + after[d] - span(d)) / strides[d] + 1;
    return out;
  }
  Ints transposed() const {
    Ints out(3);
    for (size_t d = 0; d < 3; ++d) out[d] = (in[d] - 1) * strides[d] + span(d) + more[d] - before[d] - after[d];
    return out;
  }
  // read is the element that tap k of window o meets.
  Ints read(const Ints& o, const Ints& k) const {
    Ints i(3);
    for (size_t d = 0; d < 3; ++d) i[d] = o[d] * strides[d] - before[d] + k[d] * dilations[d];
    return i;
  }
};

FloatTensor conv_by_definition(const Case& c, const FloatTensor& x, const FloatTensor& w) {
  const Lifted l(c);
  const int64_t channels = c.image.back(), inner = channels / c.groups, outer = c.out_channels / c.groups;
  const Ints out = l.forward();
  FloatTensor y(image_like(c.image, out, c.out_channels));
  for (int64_t n = 0; n < c.image[0]; ++n)
    for_box(out, [&](const Ints& o) {
      for_box(l.kernel, [&](const Ints& k) {
        const Ints i = l.read(o, k);
        if (!inside(i, l.in)) return;
        for (int64_t to = 0; to < c.out_channels; ++to)
          for (int64_t from = 0; from < inner; ++from)
            y.values[at(out, c.out_channels, n, o, to)] +=
                x.values[at(l.in, channels, n, i, to / outer * inner + from)] *
                w.values[at(l.kernel, inner * c.out_channels, 0, k, from * c.out_channels + to)];
      });
    });
  return y;
}

// Every element of x adds its multiple of the kernel where it lands.
FloatTensor scatter_by_definition(const Case& c, const FloatTensor& x, const FloatTensor& w) {
  const Lifted l(c);
  const int64_t channels = c.image.back(), inner = channels / c.groups, outer = c.out_channels / c.groups;
  const Ints out = l.transposed();
  FloatTensor y(image_like(c.image, out, c.out_channels));
  for (int64_t n = 0; n < c.image[0]; ++n)
    for_box(l.in, [&](const Ints& i) {
      for_box(l.kernel, [&](const Ints& k) {
        const Ints o = l.read(i, k);
        if (!inside(o, out)) return;
        for (int64_t from = 0; from < channels; ++from)
          for (int64_t to = 0; to < outer; ++to)
            y.values[at(out, c.out_channels, n, o, from / inner * outer + to)] +=
                x.values[at(l.in, channels, n, i, from)] *
                w.values[at(l.kernel, outer * channels, 0, k, to * channels + from)];
      });
    });
  return y;
}

void add_bias(FloatTensor& y, const FloatTensor& bias) {
  for (size_t i = 0; i < y.values.size(); ++i) y.values[i] += bias.values[i % bias.values.size()];
}

Shape with_tail(Ints dims, int64_t a, int64_t b) {
  dims.insert(dims.end(), {a, b});
  return Shape(dims);
}

Attributes window(const Case& c) {
  return {{"strides", c.strides}, {"dilations", c.dilations}, {"pads", c.pads}, {"groups", c.groups}};
}

FloatTensor channels_second(const FloatTensor& x) {
  Ints permutation = {0, x.shape.rank() - 1};
  for (int64_t axis = 1; axis + 1 < x.shape.rank(); ++axis) permutation.push_back(axis);
  return transpose(x, permutation);
}

FloatTensor lowered(OneNode node) {
  RealContext context(node);
  return context.run();
}

// check compares the float meaning in both layouts, and the steps, with what is expected.
void check(const std::string& op, std::vector<Constant> operands, Attributes attributes, const FloatTensor& expected) {
  expect_near(OneNode(op, operands, attributes).floats(), expected, 1e-4);
  expect_near(lowered(OneNode(op, operands, attributes, {0})), expected, 1e-4);
  attributes["layout"] = std::string("NCHW");
  operands[0] = channels_second(std::get<FloatTensor>(operands[0]));
  expect_near(OneNode(op, operands, attributes).floats(), channels_second(expected), 1e-4);
}

const Case kConvs[] = {
    {{2, 9, 3}, {3}, {1}, {1}, {1, 1}, 4},
    {{1, 10, 4}, {3}, {2}, {2}, {0, 3}, 6, 2},
    {{1, 5, 6, 2}, {2, 3}, {2, 1}, {1, 2}, {1, 0, 0, 2}, 3},
    {{1, 4, 5, 5, 2}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}, 3},
    {{2, 5, 4, 4, 2}, {2, 2, 1}, {2, 1, 2}, {1, 2, 1}, {0, 1, 0, 1, 0, 0}, 4, 2},
    {{1, 7, 3, 3, 1}, {3, 1, 1}, {2, 1, 1}, {2, 1, 1}, {3, 0, 0, 0, 0, 0}, 2},
    {{1, 2, 3, 3, 1}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}, 2},
};

TEST(Conv, EqualsItsDefinitionInOneToThreeDimensions) {
  std::mt19937 generator(3);
  for (const Case& c : kConvs) {
    SCOPED_TRACE(to_string(Shape(c.image)));
    const FloatTensor x = random_tensor(Shape(c.image), generator);
    const FloatTensor w = random_tensor(with_tail(c.kernel, c.image.back() / c.groups, c.out_channels), generator);
    const FloatTensor bias = random_tensor(Shape{c.out_channels}, generator);
    FloatTensor expected = conv_by_definition(c, x, w);
    add_bias(expected, bias);
    check("Conv", {x, w, bias}, window(c), expected);
  }
}

TEST(Conv, OverADepthIsOneLinearStepOfAsManyTerms) {
  std::mt19937 generator(1);
  OneNode node("Conv", {random_tensor({1, 4, 5, 5, 2}, generator), random_tensor({3, 3, 3, 2, 4}, generator)},
               {{"pads", Ints{1, 1, 1, 1, 1, 1}}}, {0});
  RealContext context(node);
  context.run();
  EXPECT_EQ(context.linears, 1);
  EXPECT_EQ(context.maps.size(), 3u);
  EXPECT_EQ(std::get<ConvGeometry>(context.maps[0]).batch, 4);
}

const Case kTransposed[] = {
    {{1, 3, 2}, {3}, {1}, {1}, {0, 0}, 2},
    {{2, 5, 3}, {4}, {2}, {1}, {1, 1}, 2},
    {{1, 3, 3, 1}, {3, 3}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 2},
    {{1, 3, 3, 1}, {3, 3}, {3, 2}, {1, 1}, {0, 0, 0, 0}, 2, 1, {1, 1}},
    {{1, 3, 3, 1}, {3, 3}, {3, 2}, {1, 1}, {1, 2, 1, 2}, 2},
    {{1, 3, 3, 2}, {2, 2}, {1, 1}, {2, 2}, {0, 0, 0, 0}, 1},
    {{1, 4, 3, 4}, {3, 2}, {2, 3}, {1, 1}, {0, 1, 1, 0}, 6, 2},
    {{2, 4, 3, 2}, {2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 3},
    {{1, 3, 4, 2}, {3, 3}, {2, 3}, {3, 2}, {2, 1, 1, 3}, 2, 1, {1, 0}},
    {{1, 3, 3, 1}, {1, 1}, {3, 3}, {1, 1}, {0, 0, 0, 0}, 1, 1, {2, 2}},
    {{1, 6, 3, 1}, {2, 3}, {1, 1}, {1, 1}, {4, 1, 0, 1}, 2},
    {{1, 3, 4, 5, 2}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}, 2},
    {{1, 3, 4, 5, 2}, {2, 3, 2}, {2, 1, 2}, {1, 1, 1}, {1, 0, 0, 0, 2, 0}, 4, 2, {1, 0, 1}},
};

TEST(ConvTranspose, EqualsTheScatterOfItsDefinition) {
  std::mt19937 generator(5);
  for (const Case& c : kTransposed) {
    SCOPED_TRACE(fmt::format("{} strides {}", to_string(Shape(c.image)), to_string(Shape(c.strides))));
    const FloatTensor x = random_tensor(Shape(c.image), generator);
    const FloatTensor w = random_tensor(with_tail(c.kernel, c.out_channels / c.groups, c.image.back()), generator);
    const FloatTensor bias = random_tensor(Shape{c.out_channels}, generator);
    FloatTensor expected = scatter_by_definition(c, x, w);
    Attributes attributes = window(c);
    if (!c.more.empty()) attributes["output_padding"] = c.more;
    check("ConvTranspose", {x, w}, attributes, expected);
    add_bias(expected, bias);
    check("ConvTranspose", {x, w, bias}, attributes, expected);
  }
}

TEST(ConvTranspose, MultipliesNoZeros) {
  std::mt19937 generator(1);
  OneNode node("ConvTranspose", {random_tensor({1, 8, 8, 3}, generator), random_tensor({4, 4, 5, 3}, generator)},
               {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}, {0});
  RealContext context(node);
  EXPECT_EQ(node.infer(), (Shape{1, 16, 16, 5}));
  context.run();
  // Four phases of 2 x 2 taps over 9 x 9 blocks, against 16 x 16 x 4 x 4 with zeros between the elements.
  EXPECT_EQ(macs(context.maps.at(0)), 9 * 9 * 4 * (2 * 2) * 5 * 3);
}

std::pair<Ints, Shape> resolved(Attributes attributes, std::vector<Constant> more = {}) {
  std::vector<Constant> operands = {FloatTensor(Shape{1, 3, 3, 1}), FloatTensor(Shape{3, 3, 2, 1})};
  for (Constant& operand : more) operands.push_back(std::move(operand));
  OneNode node("ConvTranspose", std::move(operands), std::move(attributes));
  const Shape shape = node.infer();
  EXPECT_EQ(node.infer(), shape) << "inferring again changes nothing";
  return {node.node().get_ints("pads"), shape};
}

TEST(ConvTranspose, ResolvesTheSizeThatTheModelAsksFor) {
  const Ints strides = {3, 2};
  EXPECT_EQ(resolved({{"strides", strides}, {"output_shape", Ints{10, 8}}}),
            (std::pair(Ints{0, 0, 0, 0}, Shape{1, 10, 8, 2})));
  EXPECT_EQ(resolved({{"strides", strides}, {"output_shape", Ints{6, 6}}}),
            (std::pair(Ints{2, 1, 1, 0}, Shape{1, 6, 6, 2})));
  EXPECT_EQ(resolved({{"strides", Ints{2, 2}}, {"auto_pad", std::string("same_upper")}}),
            (std::pair(Ints{0, 0, 1, 1}, Shape{1, 6, 6, 2})));
  EXPECT_EQ(resolved({{"strides", Ints{2, 2}}, {"auto_pad", std::string("same_lower")}}),
            (std::pair(Ints{1, 1, 0, 0}, Shape{1, 6, 6, 2})));
  // TensorFlow gives the whole shape, as an operand.
  EXPECT_EQ(resolved({{"strides", Ints{2, 2}}, {"auto_pad", std::string("valid")}}, {list({1, 8, 7, 2})}),
            (std::pair(Ints{0, 0, 0, 0}, Shape{1, 8, 7, 2})));
  EXPECT_EQ(resolved({{"strides", Ints{2, 2}}, {"auto_pad", std::string("same_upper")}}, {list({1, 5, 6, 2})}),
            (std::pair(Ints{1, 0, 1, 1}, Shape{1, 5, 6, 2})));
}

TEST(ConvTranspose, NamesTheShapesThatDoNotFit) {
  const auto message = [](Shape x, Shape w, Attributes attributes) {
    return OneNode("ConvTranspose", {FloatTensor(std::move(x)), FloatTensor(std::move(w))}, std::move(attributes))
        .message();
  };
  EXPECT_THAT(message({1, 4, 4, 3}, {3, 3, 8, 4}, {}), testing::HasSubstr("has 3 channels"));
  EXPECT_THAT(message({1, 4, 4, 3}, {3, 3, 1, 3}, {{"groups", int64_t{2}}}), testing::HasSubstr("2 groups do not"));
  EXPECT_THAT(message({1, 4, 4, 3}, {3, 8, 3}, {}), testing::HasSubstr("of rank 4, found [3,8,3]"));
  EXPECT_THAT(message({1, 1, 1, 1}, {2, 2, 1, 1}, {{"pads", Ints{1, 0, 1, 0}}}), testing::HasSubstr("leave nothing"));
}

FloatTensor pool_by_definition(const Case& c, const FloatTensor& x, bool is_max, bool counts_pads) {
  const Lifted l(c);
  const int64_t channels = c.image.back();
  const Ints out = l.forward();
  FloatTensor y(image_like(c.image, out, channels));
  for (int64_t n = 0; n < c.image[0]; ++n)
    for_box(out, [&](const Ints& o) {
      for (int64_t channel = 0; channel < channels; ++channel) {
        float largest = -HUGE_VALF, sum = 0;
        int count = 0;
        for_box(l.kernel, [&](const Ints& k) {
          const Ints i = l.read(o, k);
          if (counts_pads) ++count;
          if (!inside(i, l.in)) return;
          const float value = x.values[at(l.in, channels, n, i, channel)];
          largest = std::max(largest, value);
          sum += value;
          if (!counts_pads) ++count;
        });
        y.values[at(out, channels, n, o, channel)] = is_max ? largest : sum / static_cast<float>(count);
      }
    });
  return y;
}

const Case kPools[] = {
    {{2, 9, 3}, {3}, {2}, {1}, {1, 1}},
    {{1, 10, 2}, {2}, {1}, {3}, {0, 0}},
    {{1, 5, 6, 2}, {2, 3}, {2, 1}, {1, 2}, {1, 0, 0, 2}},
    {{1, 4, 4, 4, 2}, {2, 2, 2}, {2, 2, 2}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}},
    {{2, 5, 4, 6, 2}, {3, 2, 3}, {2, 1, 2}, {1, 2, 1}, {1, 0, 1, 1, 1, 1}},
    {{1, 3, 4, 4, 1}, {1, 2, 2}, {1, 2, 2}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}},
    {{1, 4, 3, 3, 1}, {1, 3, 3}, {2, 1, 1}, {1, 1, 1}, {0, 1, 1, 0, 1, 1}},
};

TEST(Pools, EqualTheirDefinitionsInOneToThreeDimensions) {
  std::mt19937 generator(9);
  for (const Case& c : kPools) {
    SCOPED_TRACE(to_string(Shape(c.image)));
    const FloatTensor x = random_tensor(Shape(c.image), generator);
    Attributes attributes = window(c);
    attributes.erase("groups");
    attributes["kernel"] = c.kernel;
    check("MaxPool", {x}, attributes, pool_by_definition(c, x, true, false));
    for (int64_t counts : {0, 1}) {
      attributes["count_include_pad"] = counts;
      const FloatTensor expected = pool_by_definition(c, x, false, counts != 0);
      expect_near(OneNode("AveragePool", {x}, attributes).floats(), expected, 1e-5);
      expect_near(lowered(OneNode("AveragePool", {x}, attributes, {0})), expected, 3e-3);
    }
  }
}

TEST(Pools, OfAWholeVolumeAreGlobal) {
  std::mt19937 generator(2);
  const FloatTensor x = random_tensor({1, 3, 4, 5, 2}, generator);
  const Case whole{{1, 3, 4, 5, 2}, {3, 4, 5}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}};
  check("MaxPool", {x}, {{"global", int64_t{1}}}, pool_by_definition(whole, x, true, false));
}

TEST(Pools, DivideByAPowerOfTwoThroughTheScale) {
  for (const auto& [kernel, steps, divisor] :
       {std::tuple(int64_t{2}, 2u, int64_t{1}), std::tuple(int64_t{3}, 1u, int64_t{9})}) {
    OneNode node("AveragePool", {counting_tensor({1, 6, 6, 1})},
                 {{"kernel", Ints{kernel, kernel}}, {"strides", Ints{kernel, kernel}}}, {0});
    RealContext context(node);
    context.run();
    EXPECT_EQ(context.steps.size(), steps);
    EXPECT_EQ(context.type(context.result).divisor, divisor);
    EXPECT_EQ(context.type(context.result).scale, Bits(divisor == 1 ? 14 : 12));
  }
  OneNode mean("ReduceMean", {counting_tensor({1, 4, 4, 2})}, {{"axes", Ints{1, 2}}}, {0});
  RealContext context(mean);
  context.run();
  EXPECT_EQ(context.type(context.result).divisor, 1);
  EXPECT_EQ(context.type(context.result).scale, Bits(16));
}

}  // namespace
}  // namespace treville::ops
