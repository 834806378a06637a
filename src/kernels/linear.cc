// A dense map is a matrix product whose rows are the patches of a convolution. Where the taps of a kernel row are one
// run of the input, patches are copied, a block of rows by a block of depth at a time, so that the block stays in the
// second-level cache and memory stays bounded for any shape. Otherwise (matrix products, 1x1 kernels, groups, dilation)
// every tap is a product of its own, which reads the input where it lies.
#include "kernels/linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/depthwise.h"
#include "kernels/elementwise_loops.h"
#include "kernels/gemm.h"

namespace treville {
namespace {

// A block of A is kBlockRows rows of kBlockDepth words, or fewer rows of more words; kBlockRows is a multiple of the
// rows of every register tile, and kBlockDepth rows of a panel fit in the first-level cache.
constexpr int64_t kBlockRows = 96, kBlockDepth = 256;
constexpr int64_t kBlockWords = kBlockRows * kBlockDepth;
// A channel map repeats its weight until vector loops are long.
constexpr int64_t kChannelRow = 512;

// as_convolution sees a matrix product as a 1x1 convolution over one row of pixels.
ConvGeometry as_convolution(const MatmulGeometry& g) {
  return {.in_w = g.rows, .in_c = g.inner, .out_w = g.rows, .out_c = g.cols};
}

bool is_depthwise(const ConvGeometry& g) { return g.groups > 1 && g.groups == g.in_c; }

int64_t taps_of(const ConvGeometry& g) { return g.kernel_h * g.kernel_w; }
int64_t pixels_of(const ConvGeometry& g) { return g.batch * g.out_h * g.out_w; }

// merge_groups joins neighbouring groups that fill a panel only together; their weights become a block diagonal.
template <class Word>
ConvGeometry merge_groups(ConvGeometry g) {
  int64_t merged = std::max<int64_t>(1, kPanelColumns<Word> * g.groups / std::max<int64_t>(1, g.out_c));
  while (g.groups % merged != 0) --merged;
  g.groups /= merged;
  return g;
}

template <class Word>
Panels<Word> panels_of(const ConvGeometry& g) {
  return {taps_of(g) * (g.in_c / g.groups), g.out_c / g.groups};
}

// Window is the input below one output pixel: the image and the position of the first kernel tap, maybe in the padding.
struct Window {
  int64_t batch, top, left;
};

Window window_of(const ConvGeometry& g, int64_t pixel) {
  const int64_t row = pixel / g.out_w;
  return {row / g.out_h, row % g.out_h * g.stride_h - g.pad_top, pixel % g.out_w * g.stride_w - g.pad_left};
}

// has_joined_taps: the taps of a kernel row lie in the input with nothing between them.
bool has_joined_taps(const ConvGeometry& g) { return taps_of(g) > 1 && g.dilation_w == 1 && g.groups == 1; }

// copy_run copies n words. Many runs are shorter than a call of memcpy is worth.
template <class Word>
void copy_run(const Word* __restrict__ from, int64_t n, Word* __restrict__ to) {
  constexpr int64_t kShort = 128 / sizeof(Word);
  if (n > kShort) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(Word));
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

// copy_patch writes the words [first, last) of the patch below a window with joined taps, zeros in the padding.
template <class Word>
void copy_patch(const ConvGeometry& g, const Word* x, const Window& window, int64_t first, int64_t last, Word* to) {
  const int64_t run_words = g.kernel_w * g.in_c, row_words = g.in_w * g.in_c;
  int64_t ky = first / run_words, skipped = first % run_words;
  while (first < last) {
    const int64_t in_y = window.top + ky * g.dilation_h;
    const int64_t start = window.left * g.in_c + skipped, count = std::min(run_words - skipped, last - first);
    const bool is_inside = in_y >= 0 && in_y < g.in_h;
    const int64_t begin = is_inside ? std::clamp<int64_t>(-start, 0, count) : count;
    const int64_t end = std::clamp(row_words - start, begin, count);
    std::fill(to, to + begin, Word{0});
    if (begin < end) {
      copy_run(x + (window.batch * g.in_h + in_y) * row_words + start + begin, end - begin, to + begin);
    }
    std::fill(to + end, to + count, Word{0});
    to += count;
    first += count;
    skipped = 0;
    ++ky;
  }
}

// Block is some output pixels of one group, and where their sums go.
template <class Word>
struct Block {
  const ConvGeometry& g;
  const Word* packed;
  const Word* x;
  int64_t group, count;
  Window windows[kBlockRows];
  Word* y;
};

template <class Word>
void multiply_rows(const Block<Word>& block, const Word* const* rows, int64_t first_depth, int64_t depth, bool add) {
  const Panels<Word> panels = panels_of<Word>(block.g);
  multiply_block({.rows = rows,
                  .count = block.count,
                  .first_depth = first_depth,
                  .depth = depth,
                  .panels = panels,
                  .packed = block.packed + block.group * panels.words(),
                  .c = block.y + block.group * panels.columns,
                  .c_stride = block.g.out_c,
                  .add = add});
}

// block_depth is how deep a block of `count` rows may be.
int64_t block_depth(int64_t count) { return std::max(kBlockDepth, kBlockWords / count); }

// convolve_copies multiplies copies of the patches; `copies` holds a block of them.
template <class Word>
void convolve_copies(const Block<Word>& block, bool add, Word* copies) {
  const int64_t all = panels_of<Word>(block.g).depth;
  const Word* rows[kBlockRows];
  for (int64_t k = 0, depth; k < all; k += depth) {
    depth = std::min(block_depth(block.count), all - k);
    for (int64_t r = 0; r < block.count; ++r) {
      copy_patch(block.g, block.x, block.windows[r], k, k + depth, copies + r * depth);
      rows[r] = copies + r * depth;
    }
    multiply_rows(block, rows, k, depth, add || k > 0);
  }
}

// convolve_taps multiplies what lies below each tap; pixels in the padding read from `zeros`, as long as any depth.
template <class Word>
void convolve_taps(const Block<Word>& block, bool add, const Word* zeros) {
  const ConvGeometry& g = block.g;
  const int64_t in_group = g.in_c / g.groups;
  const Word* rows[kBlockRows];
  for (int64_t tap = 0; tap < taps_of(g); ++tap) {
    const int64_t down = tap / g.kernel_w * g.dilation_h, right = tap % g.kernel_w * g.dilation_w;
    for (int64_t k = 0, depth; k < in_group; k += depth) {
      depth = std::min(block_depth(block.count), in_group - k);
      for (int64_t r = 0; r < block.count; ++r) {
        const Window& window = block.windows[r];
        const int64_t in_y = window.top + down, in_x = window.left + right;
        const bool is_inside = in_y >= 0 && in_y < g.in_h && in_x >= 0 && in_x < g.in_w;
        const int64_t pixel = (window.batch * g.in_h + in_y) * g.in_w + in_x;
        rows[r] = is_inside ? block.x + pixel * g.in_c + block.group * in_group + k : zeros;
      }
      multiply_rows(block, rows, tap * in_group + k, depth, add || tap > 0 || k > 0);
    }
  }
}

// may_read_padding: some tap of some window lies outside the image.
bool may_read_padding(const ConvGeometry& g) {
  return g.pad_top > 0 || g.pad_left > 0 || (g.out_h - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h >= g.in_h ||
         (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w >= g.in_w;
}

template <class Word>
void convolve(const ConvGeometry& g, const Word* packed, const Word* x, Word* y, bool add) {
  const int64_t pixels = pixels_of(g), depth = panels_of<Word>(g).depth;
  if (depth == 0 && !add) std::fill_n(y, pixels * g.out_c, Word{0});
  std::unique_ptr<Word[]> copies;
  std::vector<Word> zeros;
  if (has_joined_taps(g)) {
    const int64_t words = std::min(kBlockWords, std::min(kBlockRows, pixels) * depth);
    copies = std::make_unique_for_overwrite<Word[]>(static_cast<size_t>(words));
  } else if (may_read_padding(g)) {
    zeros.resize(static_cast<size_t>(std::min(kBlockWords, g.in_c / g.groups)));
  }
  Block<Word> block{.g = g, .packed = packed, .x = x, .group = 0, .count = 0, .windows = {}, .y = y};
  for (int64_t first = 0; first < pixels; first += block.count, block.y += block.count * g.out_c) {
    block.count = std::min(kBlockRows, pixels - first);
    for (int64_t r = 0; r < block.count; ++r) block.windows[r] = window_of(g, first + r);
    for (block.group = 0; block.group < g.groups; ++block.group) {
      copies ? convolve_copies(block, add, copies.get()) : convolve_taps<Word>(block, add, zeros.data());
    }
  }
}

// pack_depthwise orders the weight [tap][channel][multiple] as [multiple][tap][channel].
template <class Word>
void pack_depthwise(const ConvGeometry& g, const Word* weight, Word* packed) {
  const int64_t multiples = g.out_c / g.in_c;
  for (int64_t m = 0; m < multiples; ++m) {
    for (int64_t i = 0; i < taps_of(g) * g.in_c; ++i) *packed++ = weight[i * multiples + m];
  }
}

// pack_groups packs the panels of every group of `merged`, which joins groups of g.
template <class Word>
void pack_groups(const ConvGeometry& g, const ConvGeometry& merged, const Word* weight, Word* packed) {
  const Panels<Word> panels = panels_of<Word>(merged);
  const int64_t joined = g.groups / merged.groups, in_group = g.in_c / g.groups, out_group = g.out_c / g.groups;
  if (joined == 1) {
    for (int64_t group = 0; group < g.groups; ++group) {
      panels.pack(weight + group * out_group, g.out_c, packed + group * panels.words());
    }
    return;
  }
  std::vector<Word> diagonal(static_cast<size_t>(panels.depth * panels.columns));
  for (int64_t group = 0; group < merged.groups; ++group) {
    for (int64_t row = 0; row < panels.depth; ++row) {
      const int64_t c = row % in_group, j = row / in_group % joined, tap = row / in_group / joined;
      std::copy_n(weight + (tap * in_group + c) * g.out_c + (group * joined + j) * out_group, out_group,
                  diagonal.begin() + row * panels.columns + j * out_group);
    }
    panels.pack(diagonal.data(), panels.columns, packed + group * panels.words());
  }
}

// collect_taps lists the taps of a window that lie in the image; input positions count from word `origin` of the input.
void collect_taps(const ConvGeometry& g, const Window& window, int64_t origin, std::vector<DepthwiseTap>& taps) {
  taps.clear();
  for (int64_t ky = 0; ky < g.kernel_h; ++ky) {
    const int64_t in_y = window.top + ky * g.dilation_h;
    if (in_y < 0 || in_y >= g.in_h) continue;
    for (int64_t kx = 0; kx < g.kernel_w; ++kx) {
      const int64_t in_x = window.left + kx * g.dilation_w;
      if (in_x < 0 || in_x >= g.in_w) continue;
      const int64_t position = ((window.batch * g.in_h + in_y) * g.in_w + in_x) * g.in_c;
      taps.push_back({position - origin, (ky * g.kernel_w + kx) * g.in_c});
    }
  }
}

template <class Word>
void convolve_depthwise(const ConvGeometry& g, const Word* packed, const Word* x, Word* y, bool add) {
  const int64_t multiples = g.out_c / g.in_c;
  const int64_t span_h = (g.kernel_h - 1) * g.dilation_h, span_w = (g.kernel_w - 1) * g.dilation_w;
  std::vector<DepthwiseTap> taps;
  std::vector<Word> sums(multiples > 1 ? static_cast<size_t>(g.in_c) : 0);
  bool has_all_taps = false;
  for (int64_t pixel = 0; pixel < pixels_of(g); ++pixel, y += g.out_c) {
    const Window w = window_of(g, pixel);
    const bool is_inside = w.top >= 0 && w.left >= 0 && w.top + span_h < g.in_h && w.left + span_w < g.in_w;
    // Windows inside the image share one list, which counts from their corner.
    const int64_t origin = is_inside ? ((w.batch * g.in_h + w.top) * g.in_w + w.left) * g.in_c : 0;
    if (!is_inside || !has_all_taps) collect_taps(g, w, origin, taps);
    has_all_taps = is_inside;
    if (multiples == 1) {
      depthwise_pixel(taps, x + origin, packed, g.in_c, y, add);
      continue;
    }
    for (int64_t m = 0; m < multiples; ++m) {
      depthwise_pixel(taps, x + origin, packed + m * taps_of(g) * g.in_c, g.in_c, sums.data(), false);
      for (int64_t c = 0; c < g.in_c; ++c) {
        Word& to = y[c * multiples + m];
        to = sums[static_cast<size_t>(c)] + (add ? to : 0);
      }
    }
  }
}

int64_t repeats_of(const ChannelGeometry& g) {
  return g.channels == 0 ? 1 : std::max<int64_t>(1, kChannelRow / g.channels);
}

template <class Word>
void scale_channels(const ChannelGeometry& g, const Word* packed, const Word* x, Word* y, bool add) {
  const int64_t elements = g.outer * g.channels, row = g.channels * repeats_of(g);
  const auto run = add ? loops<Word>().multiply_add : loops<Word>().product;
  for (int64_t at = 0; at < elements; at += row) run(y + at, x + at, packed, std::min(row, elements - at));
}

// packed_words, pack_weight and run are the three things a kernel does, for each geometry.
template <class Word>
int64_t packed_words(const ConvGeometry& g) {
  if (is_depthwise(g)) return taps_of(g) * g.out_c;
  const ConvGeometry merged = merge_groups<Word>(g);
  return merged.groups * panels_of<Word>(merged).words();
}
template <class Word>
int64_t packed_words(const MatmulGeometry& g) {
  return packed_words<Word>(as_convolution(g));
}
template <class Word>
int64_t packed_words(const ChannelGeometry& g) {
  return g.channels * repeats_of(g);
}

template <class Word>
void pack_weight(const ConvGeometry& g, const Word* weight, Word* packed) {
  if (is_depthwise(g)) return pack_depthwise(g, weight, packed);
  pack_groups(g, merge_groups<Word>(g), weight, packed);
}
template <class Word>
void pack_weight(const MatmulGeometry& g, const Word* weight, Word* packed) {
  pack_weight(as_convolution(g), weight, packed);
}
template <class Word>
void pack_weight(const ChannelGeometry& g, const Word* weight, Word* packed) {
  for (int64_t i = 0; i < repeats_of(g); ++i) packed = std::copy_n(weight, g.channels, packed);
}

template <class Word>
void run(const ConvGeometry& g, const Word* packed, const Word* x, Word* y, bool add) {
  is_depthwise(g) ? convolve_depthwise(g, packed, x, y, add) : convolve(merge_groups<Word>(g), packed, x, y, add);
}
template <class Word>
void run(const MatmulGeometry& g, const Word* packed, const Word* x, Word* y, bool add) {
  convolve(as_convolution(g), packed, x, y, add);
}
template <class Word>
void run(const ChannelGeometry& g, const Word* packed, const Word* x, Word* y, bool add) {
  scale_channels(g, packed, x, y, add);
}

}  // namespace

struct LinearKernel::Impl {
  LinearMap map;
  Ring ring;
  Buffer packed;

  // run_on computes y (+)= W * x for checked, stored tensors.
  void run_on(const RingTensor& x, RingTensor& y, bool add) const {
    if (y.elements() == 0) return;
    CHECK(!packed.is_dry(), "a kernel over a dry weight got stored data");
    dispatch(ring, [&](auto word) {
      using Word = decltype(word);
      const Word* weight = packed.as<Word>().data();
      std::visit([&](const auto& g) { run(g, weight, x.as<Word>().data(), y.as<Word>().data(), add); }, map);
    });
  }

  void check_input(const RingTensor& x) const {
    CHECK(x.ring() == ring, "input in a ring of {} bits for a map over {}", bits_of(x.ring()), bits_of(ring));
    CHECK(x.elements() == input_shape(map).elements(), "input {} does not fit the map, which takes {}",
          to_string(x.shape()), to_string(input_shape(map)));
  }
};

LinearKernel::LinearKernel(const LinearMap& map, const RingTensor& weight)
    : impl_(std::make_unique<Impl>(Impl{map, weight.ring(), {}})) {
  CHECK(weight.elements() == weight_shape(map).elements(), "weight {} does not fit the map, which takes {}",
        to_string(weight.shape()), to_string(weight_shape(map)));
  dispatch(weight.ring(), [&](auto word) {
    using Word = decltype(word);
    std::visit(
        [&](const auto& g) {
          impl_->packed = Buffer::make(static_cast<size_t>(packed_words<Word>(g)) * sizeof(Word), weight.is_dry());
          if (!weight.is_dry()) pack_weight(g, weight.as<Word>().data(), impl_->packed.as<Word>().data());
        },
        map);
  });
}
LinearKernel::~LinearKernel() = default;
LinearKernel::LinearKernel(LinearKernel&&) noexcept = default;
LinearKernel& LinearKernel::operator=(LinearKernel&&) noexcept = default;

const LinearMap& LinearKernel::map() const { return impl_->map; }
Ring LinearKernel::ring() const { return impl_->ring; }

RingTensor LinearKernel::apply(const RingTensor& x) const {
  impl_->check_input(x);
  RingTensor y = RingTensor::make(impl_->ring, output_shape(impl_->map), x.is_dry());
  if (!y.is_dry()) impl_->run_on(x, y, false);
  return y;
}

void LinearKernel::accumulate(const RingTensor& x, RingTensor& y) const {
  impl_->check_input(x);
  CHECK(y.ring() == impl_->ring && y.elements() == output_shape(impl_->map).elements(),
        "output {} does not fit the map, which gives {}", to_string(y.shape()), to_string(output_shape(impl_->map)));
  if (!x.is_dry() && !y.is_dry()) impl_->run_on(x, y, true);
}

}  // namespace treville
