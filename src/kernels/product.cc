#include "kernels/product.h"

#include <algorithm>

#include "kernels/elementwise_loops.h"
#include "kernels/gemm.h"

namespace treville {
namespace {

// A block of the left factor, for the caches: as in linear.cc.
constexpr int64_t kRowsAtOnce = 96, kDepthAtOnce = 256;

template <class Word>
void run(const Elementwise& g, const Word* a, const Word* b, Word* y, bool add) {
  const auto& table = loops<Word>();
  (add ? table.multiply_add : table.product)(y, a, b, g.shape.elements());
}

// multiply_matrix computes y (+)= a * packed for one matrix of the batch.
template <class Word>
void multiply_matrix(const BatchMatmul& g, const Word* a, const Panels<Word>& panels, const Word* packed, Word* y,
                     bool add) {
  const Word* rows[kRowsAtOnce];
  for (int64_t first = 0; first < g.rows; first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, g.rows - first);
    for (int64_t k = 0; k < g.inner; k += kDepthAtOnce) {
      for (int64_t r = 0; r < count; ++r) rows[r] = a + (first + r) * g.inner + k;
      multiply_block(GemmBlock<Word>{.rows = rows,
                                     .count = count,
                                     .first_depth = k,
                                     .depth = std::min(kDepthAtOnce, g.inner - k),
                                     .panels = panels,
                                     .packed = packed,
                                     .c = y + first * g.cols,
                                     .c_stride = g.cols,
                                     .add = add || k > 0});
    }
  }
}

template <class Word>
void run(const BatchMatmul& g, const Word* a, const Word* b, Word* y, bool add) {
  const Panels<Word> panels{g.inner, g.cols};
  const MeterScope uncounted(nullptr);  // scratch of this call, as in the other linear kernels
  Buffer packed = Buffer::stored(static_cast<size_t>(panels.words()) * sizeof(Word));
  Word* scratch = packed.as<Word>().data();
  for (int64_t i = 0; i < g.batch; ++i, a += g.rows * g.inner, b += g.inner * g.cols, y += g.rows * g.cols) {
    panels.pack(b, g.cols, scratch);
    multiply_matrix(g, a, panels, scratch, y, add);
  }
}

void check(const ProductGeometry& geometry, const RingTensor& left, const RingTensor& right, const RingTensor& y) {
  CHECK(left.ring() == right.ring() && left.ring() == y.ring(), "a product of values in different rings");
  CHECK(left.elements() == left_shape(geometry).elements() && right.elements() == right_shape(geometry).elements() &&
            y.elements() == output_shape(geometry).elements(),
        "{} times {} does not give {} by this geometry", to_string(left.shape()), to_string(right.shape()),
        to_string(y.shape()));
}

void multiply(const ProductGeometry& geometry, const RingTensor& left, const RingTensor& right, RingTensor& y,
              bool add) {
  check(geometry, left, right, y);
  if (y.is_dry() || y.elements() == 0) return;
  dispatch(y.ring(), [&](auto zero) {
    using Word = decltype(zero);
    std::visit(
        [&](const auto& g) { run<Word>(g, left.as<Word>().data(), right.as<Word>().data(), y.as<Word>().data(), add); },
        geometry);
  });
}

}  // namespace

RingTensor product(const ProductGeometry& geometry, const RingTensor& left, const RingTensor& right) {
  RingTensor y = RingTensor::make(left.ring(), output_shape(geometry), left.is_dry() || right.is_dry());
  multiply(geometry, left, right, y, false);
  return y;
}

void accumulate_product(const ProductGeometry& geometry, const RingTensor& left, const RingTensor& right,
                        RingTensor& y) {
  multiply(geometry, left, right, y, true);
}

}  // namespace treville
