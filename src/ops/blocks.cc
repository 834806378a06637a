// Moves between space and channels (SpaceToDepth, DepthToSpace) and between space and batch (SpaceToBatch,
// BatchToSpace): all are a reshape, a transpose and a reshape.
#include <numeric>

#include "ops/lowering.h"
#include "ops/ops.h"
#include "ops/windows.h"

namespace treville::ops {
namespace {

// Shuffle: x read as `apart`, its axes permuted, and read as `result`.
struct Shuffle {
  Shape apart;
  Ints permutation;
  Shape result;
};

template <class Tensor>
Tensor shuffled(Tensor x, const Shuffle& shuffle) {
  x.shape = shuffle.apart;
  x = transpose(x, shuffle.permutation);
  x.shape = shuffle.result;
  return x;
}

SlotId shuffled(LowerContext& context, SlotId x, const Shuffle& shuffle) {
  const double bound = context.type(x).bound;
  x = context.emit(TransposeStep{reshape(context, x, shuffle.apart), shuffle.permutation}, bound);
  return reshape(context, x, shuffle.result);
}

// --- Space and channels ----------------------------------------------------------------------------------------------

int64_t block_of(InferContext& context) {
  const int64_t block = context.node().get_int("block", 0);
  if (block < 1) context.fail(fmt::format("its block is {}", block));
  const std::string mode = context.node().get_string("mode", "DCR");
  if (mode != "DCR" && mode != "CRD")
    context.fail(fmt::format("mode \"{}\" is not supported (supported: DCR, CRD)", mode));
  return block;
}

ImageShape read_plane(InferContext& context) {
  check_inputs(context, 1, 1);
  if (context.shape(0).rank() != 4)
    context.fail(fmt::format("expected an image of rank 4, found {}", to_string(context.shape(0))));
  return read_image(context);
}

void infer_space_to_depth(InferContext& context) {
  const ImageShape image = read_plane(context);
  const int64_t block = block_of(context);
  if (image.spatial[0] % block != 0 || image.spatial[1] % block != 0)
    context.fail(fmt::format("blocks of {} do not divide {}", block, to_string(context.shape(0))));
  context.results = {
      image_shape(context.node(),
                  {image.batch, {image.spatial[0] / block, image.spatial[1] / block}, image.channels * block * block})};
}

void infer_depth_to_space(InferContext& context) {
  const ImageShape image = read_plane(context);
  const int64_t block = block_of(context);
  if (image.channels % (block * block) != 0)
    context.fail(fmt::format("blocks of {} x {} do not divide {} channels", block, block, image.channels));
  context.results = {image_shape(
      context.node(),
      {image.batch, {image.spatial[0] * block, image.spatial[1] * block}, image.channels / (block * block)})};
}

// channel_shuffle is for tensors with channels last.
template <bool kToDepth>
Shuffle channel_shuffle(const Node& node, const ImageShape& image) {
  const int64_t b = node.get_int("block", 1), rows = image.spatial[0], columns = image.spatial[1];
  const bool blocks_first = node.get_string("mode", "DCR") == "DCR";
  if constexpr (kToDepth) {
    return {Shape{image.batch, rows / b, b, columns / b, b, image.channels},
            blocks_first ? Ints{0, 1, 3, 2, 4, 5} : Ints{0, 1, 3, 5, 2, 4},
            Shape{image.batch, rows / b, columns / b, b * b * image.channels}};
  } else {
    const int64_t channels = image.channels / (b * b);
    return {blocks_first ? Shape{image.batch, rows, columns, b, b, channels}
                         : Shape{image.batch, rows, columns, channels, b, b},
            blocks_first ? Ints{0, 1, 3, 2, 4, 5} : Ints{0, 1, 4, 2, 5, 3},
            Shape{image.batch, rows * b, columns * b, channels}};
  }
}

template <bool kToDepth>
std::vector<Constant> evaluate_channels(const Graph&, const Node& node, Inputs inputs) {
  const FloatTensor& x = floats(inputs[0]);
  const Shuffle shuffle = channel_shuffle<kToDepth>(node, image_of(node, x.shape));
  return one(from_nhwc(node, shuffled(to_nhwc(node, x), shuffle)));
}

template <bool kToDepth>
void lower_channels(LowerContext& context) {
  CHECK(!is_nchw(context.node()), "{} is still NCHW", context.node().op);
  const ImageShape image = image_of(context.node(), context.input_shape(0));
  const Shuffle shuffle = channel_shuffle<kToDepth>(context.node(), image);
  context.set_result(shuffled(context, require_secret(context, 0), shuffle));
}

// --- Space and batch -------------------------------------------------------------------------------------------------

// Blocks: TensorFlow's SpaceToBatchND and BatchToSpaceND over the axes after the first; `pads` are added before, or cut
// behind, all befores and then all afters.
struct Blocks {
  Ints block, pads;
  int64_t count() const { return std::accumulate(block.begin(), block.end(), int64_t{1}, std::multiplies<>()); }
};

Blocks blocks_of(const Node& node) { return {node.get_ints("block"), node.get_ints("pads")}; }

// read_blocks resolves the operands into attributes; TensorFlow gives the pads as [dims, 2].
Blocks read_blocks(InferContext& context) {
  Node& node = context.node();
  check_inputs(context, 1, 3);
  if (context.input_count() == 3) {
    const Ints pairs = context.ints(2);
    Ints pads;
    for (size_t side : {size_t{0}, size_t{1}})
      for (size_t i = side; i < pairs.size(); i += 2) pads.push_back(pairs[i]);
    node.attributes["block"] = context.ints(1);
    node.attributes["pads"] = pads;
    node.inputs.resize(1);
  }
  const Blocks blocks = blocks_of(node);
  const size_t dims = blocks.block.size();
  bool fits = dims >= 1 && blocks.pads.size() == 2 * dims && context.shape(0).rank() > static_cast<int>(dims);
  for (int64_t extent : blocks.block) fits = fits && extent >= 1;
  for (int64_t pad : blocks.pads) fits = fits && pad >= 0;
  if (!fits) {
    context.fail(fmt::format("blocks {} and pads {} do not fit {}", to_string(Shape(blocks.block)),
                             to_string(Shape(blocks.pads)), to_string(context.shape(0))));
  }
  return blocks;
}

void infer_space_to_batch(InferContext& context) {
  const Blocks blocks = read_blocks(context);
  const size_t dims = blocks.block.size();
  Shape shape = context.shape(0);
  for (size_t i = 0; i < dims; ++i) {
    int64_t& extent = shape[static_cast<int>(i) + 1];
    extent += blocks.pads[i] + blocks.pads[i + dims];
    if (extent % blocks.block[i] != 0)
      context.fail(fmt::format("a block of {} does not divide an extent of {}", blocks.block[i], extent));
    extent /= blocks.block[i];
  }
  shape[0] *= blocks.count();
  context.results = {shape};
}

void infer_batch_to_space(InferContext& context) {
  const Blocks blocks = read_blocks(context);
  const size_t dims = blocks.block.size();
  Shape shape = context.shape(0);
  if (shape[0] % blocks.count() != 0)
    context.fail(fmt::format("blocks {} do not divide a batch of {}", to_string(Shape(blocks.block)), shape[0]));
  shape[0] /= blocks.count();
  for (size_t i = 0; i < dims; ++i) {
    int64_t& extent = shape[static_cast<int>(i) + 1];
    extent = extent * blocks.block[i] - blocks.pads[i] - blocks.pads[i + dims];
    if (extent < 0) context.fail(fmt::format("crops {} leave nothing", to_string(Shape(blocks.pads))));
  }
  context.results = {shape};
}

// to_batch splits each blocked extent of a padded x into blocks, whose positions go in front of the batch.
Shuffle to_batch(const Blocks& blocks, const Shape& padded) {
  const auto dims = static_cast<int>(blocks.block.size());
  Ints apart = {padded[0]}, positions, kept = {0}, result = {padded[0] * blocks.count()};
  for (int i = 0; i < dims; ++i) {
    const int64_t block = blocks.block[static_cast<size_t>(i)];
    kept.push_back(static_cast<int64_t>(apart.size()));
    positions.push_back(static_cast<int64_t>(apart.size()) + 1);
    apart.insert(apart.end(), {padded[i + 1] / block, block});
    result.push_back(padded[i + 1] / block);
  }
  for (int axis = dims + 1; axis < padded.rank(); ++axis) {
    kept.push_back(static_cast<int64_t>(apart.size()));
    apart.push_back(padded[axis]);
    result.push_back(padded[axis]);
  }
  positions.insert(positions.end(), kept.begin(), kept.end());
  return {Shape(apart), positions, Shape(result)};
}

// to_space is the inverse, before the crops.
Shuffle to_space(const Blocks& blocks, const Shape& x) {
  const auto dims = static_cast<int64_t>(blocks.block.size());
  const int64_t batch = x[0] / blocks.count();
  Ints apart = blocks.block, permutation = {dims}, result = {batch};
  apart.push_back(batch);
  apart.insert(apart.end(), x.dims().begin() + 1, x.dims().end());
  for (int64_t i = 0; i < dims; ++i) {
    permutation.insert(permutation.end(), {dims + 1 + i, i});
    result.push_back(x[static_cast<int>(i) + 1] * blocks.block[static_cast<size_t>(i)]);
  }
  for (int64_t axis = dims + 1; axis < x.rank(); ++axis) {
    permutation.push_back(dims + axis);
    result.push_back(x[static_cast<int>(axis)]);
  }
  return {Shape(apart), permutation, Shape(result)};
}

// Pads in front and behind for every axis of a tensor.
struct AllPads {
  Ints before, after;
};

AllPads all_pads(const Blocks& blocks, int rank) {
  AllPads pads{Ints(static_cast<size_t>(rank), 0), Ints(static_cast<size_t>(rank), 0)};
  const size_t dims = blocks.block.size();
  for (size_t i = 0; i < dims; ++i) {
    pads.before[i + 1] = blocks.pads[i];
    pads.after[i + 1] = blocks.pads[i + dims];
  }
  return pads;
}

std::vector<Constant> evaluate_space_to_batch(const Graph&, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    const Blocks blocks = blocks_of(node);
    const AllPads pads = all_pads(blocks, x.shape.rank());
    Shape shape = x.shape;
    for (int axis = 0; axis < shape.rank(); ++axis)
      shape[axis] += pads.before[static_cast<size_t>(axis)] + pads.after[static_cast<size_t>(axis)];
    std::decay_t<decltype(x)> padded(shape);
    const Ints strides = strides_of(shape);
    int64_t offset = 0;
    for (size_t axis = 0; axis < strides.size(); ++axis) offset += strides[axis] * pads.before[axis];
    walk(x.shape, offset, strides, [&](size_t from, size_t to) { padded.values[to] = x.values[from]; });
    return shuffled(std::move(padded), to_batch(blocks, shape));
  });
}

std::vector<Constant> evaluate_batch_to_space(const Graph& graph, const Node& node, Inputs inputs) {
  return of_either(inputs[0], [&](const auto& x) {
    const Blocks blocks = blocks_of(node);
    const auto whole = shuffled(x, to_space(blocks, x.shape));
    const AllPads crops = all_pads(blocks, x.shape.rank());
    const Ints strides = strides_of(whole.shape);
    int64_t offset = 0;
    for (size_t axis = 0; axis < strides.size(); ++axis) offset += strides[axis] * crops.before[axis];
    return view(whole, output_shape(graph, node), offset, strides);
  });
}

Interval range_space_to_batch(const RangeContext& context) { return hull(context.inputs[0], {0, 0}); }

void lower_space_to_batch(LowerContext& context) {
  SlotId x = require_secret(context, 0);
  const Blocks blocks = blocks_of(context.node());
  const AllPads pads = all_pads(blocks, context.type(x).shape.rank());
  const double bound = context.type(x).bound;
  if (std::any_of(blocks.pads.begin(), blocks.pads.end(), [](int64_t pad) { return pad > 0; }))
    x = context.emit(PadStep{x, pads.before, pads.after}, bound);
  context.set_result(shuffled(context, x, to_batch(blocks, context.type(x).shape)));
}

void lower_batch_to_space(LowerContext& context) {
  const Blocks blocks = blocks_of(context.node());
  SlotId x = require_secret(context, 0);
  if (context.output_shape().elements() == 0) context.fail("it keeps no elements");
  x = shuffled(context, x, to_space(blocks, context.type(x).shape));
  const AllPads crops = all_pads(blocks, context.type(x).shape.rank());
  const double bound = context.type(x).bound;
  if (context.type(x).shape != context.output_shape()) {
    const Ints steps(crops.before.size(), 1);
    x = context.emit(SliceStep{x, crops.before, steps, context.output_shape()}, bound);
  }
  context.set_result(x);
}

}  // namespace

constinit const OpDef kSpaceToDepth{"SpaceToDepth", infer_space_to_depth, evaluate_channels<true>, same_range,
                                    lower_channels<true>};
constinit const OpDef kDepthToSpace{"DepthToSpace", infer_depth_to_space, evaluate_channels<false>, same_range,
                                    lower_channels<false>};
constinit const OpDef kSpaceToBatch{"SpaceToBatch", infer_space_to_batch, evaluate_space_to_batch, range_space_to_batch,
                                    lower_space_to_batch};
constinit const OpDef kBatchToSpace{"BatchToSpace", infer_batch_to_space, evaluate_batch_to_space, same_range,
                                    lower_batch_to_space};

}  // namespace treville::ops
