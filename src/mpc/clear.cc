#include "mpc/clear.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "kernels/product.h"

namespace treville {
namespace {

// sign_extend reads the low bits of a word as a signed number.
int64_t sign_extend(uint64_t word, Bits bits) {
  const int unused = 64 - bits.value();
  return static_cast<int64_t>(word << unused) >> unused;
}

uint64_t magnitude(int64_t value) {
  return value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
}

// round_shift is y / 2^f rounded to the nearest, halves up.
int64_t round_shift(int64_t y, Bits f) {
  if (f == Bits(0)) return y;
  return (y >> f.value()) + ((y >> (f.value() - 1)) & 1);
}

// dry_weight stands for a weight that a real run is given, and so does not count in this party's memory.
RingTensor dry_weight(const WeightSpec& spec) {
  const MeterScope uncounted(nullptr);
  return RingTensor::dry(spec.ring, weight_shape(spec.map));
}

class Clear final : public ClearProtocol {
 public:
  Clear(std::span<const WeightSpec> specs, const std::vector<const RingTensor*>* weights) {
    CHECK(weights == nullptr || weights->size() == specs.size(), "weights for {} specs", specs.size());
    for (size_t i = 0; i < specs.size(); ++i) {
      const WeightSpec& spec = specs[i];
      auto kernel = weights != nullptr ? std::make_shared<LinearKernel>(spec.map, *(*weights)[i])
                                       : std::make_shared<LinearKernel>(spec.map, dry_weight(spec));
      weights_.push_back({spec.map, spec.ring, std::move(kernel)});
    }
  }

  Phase phase() const override { return Phase::kOnline; }
  void begin_inference(uint32_t) override { ranges_.steps.clear(); }
  void begin_step(StepId step, std::string_view name) override {
    step_ = step;
    name_ = name;
  }
  const Owned& weight(size_t i) const override { return weights_.at(i); }
  const RangeReport& ranges() const override { return ranges_; }

  Shared input(PartyId, const RingTensor* value, Ring ring, Shape shape) override {
    CHECK(value != nullptr, "the clear protocol needs every input");
    CHECK(value->ring() == ring && value->shape() == shape, "an input of shape {}, expected {}",
          to_string(value->shape()), to_string(shape));
    return masked(value->clone());
  }

  Shared linear(std::span<const SharedTerm> terms, const RingTensor* bias, Shape result, Bits modulus) override {
    CHECK(!terms.empty(), "no terms");
    RingTensor y = terms[0].weight->kernel->apply(terms[0].x->plane());
    for (const SharedTerm& term : terms.subspan(1)) term.weight->kernel->accumulate(term.x->plane(), y);
    CHECK(y.shape() == result, "a linear result of shape {}, expected {}", to_string(y.shape()), to_string(result));
    const Ring ring = y.ring();
    Shared shared(SharedForm::kAdditive, ring, modulus, std::move(result), std::move(y));
    return bias != nullptr ? add_constant(std::move(shared), bias) : std::move(shared);
  }

  Shared add_constant(Shared x, const RingTensor* constant) override {
    CHECK(constant != nullptr, "the clear protocol needs every constant");
    if (constant->shape() == x.shape()) {
      add_in_place(x.plane(), *constant);
    } else {
      add_channel(x.plane(), *constant);
    }
    return x;
  }

  Shared relu(Shared x, Bits truncate, Bits k) override {
    return activate(std::move(x), truncate, k, k - Bits(1), [](int64_t y) { return std::max<int64_t>(y, 0); });
  }
  Shared clip(Shared x, Bits truncate, Bits k, uint64_t upper) override {
    const auto top = static_cast<int64_t>(upper);
    check_clip(x, truncate, k, top);
    return activate(std::move(x), truncate, k, k - Bits(1), [=](int64_t y) { return std::clamp<int64_t>(y, 0, top); });
  }
  Shared leaky_relu(Shared x, Bits truncate, Bits k, int64_t slope, Bits slope_bits) override {
    return activate(std::move(x), truncate, k, k - Bits(1), [=](int64_t y) {
      return y >= 0 ? y << slope_bits.value()
                    : static_cast<int64_t>(static_cast<uint64_t>(slope) * static_cast<uint64_t>(y));
    });
  }
  Shared rescale(Shared x, Bits truncate, Bits k) override {
    // Opened as y + 2^(k-2) modulo 2^k.
    const uint64_t offset = uint64_t{1} << (k.value() - 2);
    const uint64_t mask = k == Bits(64) ? ~uint64_t{0} : (uint64_t{1} << k.value()) - 1;
    return activate(std::move(x), truncate, k, k - Bits(2), [=](int64_t y) {
      return static_cast<int64_t>(((static_cast<uint64_t>(y) + offset) & mask) - offset);
    });
  }

  Shared non_negative(Shared x, Bits truncate, Bits k) override {
    return activate(std::move(x), truncate, k, k - Bits(1), [](int64_t y) { return static_cast<int64_t>(y >= 0); });
  }

  Shared look_up(Shared x, Bits truncate, Bits n, std::span<const LookUpTable* const> tables) override {
    truncate_plane(x, truncate, n, n - Bits(1));
    RingTensor y = RingTensor::make(x.ring(), look_up_shape(tables.size(), x.shape()), x.plane().is_dry());
    if (y.is_dry()) return masked(std::move(y));
    dispatch(x.ring(), [&](auto word) {
      using Word = decltype(word);
      const std::span<const Word> index = x.plane().template as<Word>();
      const Word middle = Word{1} << (n.value() - 1);
      Word* out = y.template as<Word>().data();
      for (const LookUpTable* table : tables) {
        for (const Word i : index) *out++ = static_cast<Word>(table->entries.at(static_cast<size_t>(Word(i + middle))));
      }
    });
    return masked(std::move(y));
  }

  Shared product(const Shared& a, const Shared& b, const ProductGeometry& geometry) override {
    return masked(treville::product(geometry, a.plane(), b.plane()));
  }

  Shared max_pool(Shared x, const PoolGeometry& pool, Bits truncate, Bits k) override {
    truncate_plane(x, truncate, k + Bits(1), k - Bits(1));
    RingTensor y = RingTensor::make(x.ring(), output_shape(pool), x.plane().is_dry());
    if (!y.is_dry()) {
      dispatch(x.ring(), [&](auto word) {
        pool_words<decltype(word)>(pool, x.plane().as<decltype(word)>(), y.as<decltype(word)>());
      });
    }
    reduce(y, k + Bits(1));
    return Shared(SharedForm::kAdditive, x.ring(), k + Bits(1), output_shape(pool), std::move(y));
  }

  Shared arg_max(Shared x, Bits truncate, Bits k) override {
    CHECK(x.shape().rank() == 2, "arg_max over {}", to_string(x.shape()));
    truncate_plane(x, truncate, k + Bits(1), k - Bits(1));
    const int64_t rows = x.shape()[0], columns = x.shape()[1];
    RingTensor y = RingTensor::make(x.ring(), Shape{rows}, x.plane().is_dry());
    if (!y.is_dry()) {
      dispatch(x.ring(), [&](auto word) {
        using Word = decltype(word);
        using Signed = std::make_signed_t<Word>;
        const auto* row = reinterpret_cast<const Signed*>(x.plane().template as<Word>().data());
        for (Word& index : y.as<Word>()) {
          index = static_cast<Word>(std::max_element(row, row + columns) - row);  // the first of equals
          row += columns;
        }
      });
    }
    const Bits modulus(std::max(1, static_cast<int>(std::bit_width(static_cast<uint64_t>(columns - 1)))));
    return Shared(SharedForm::kAdditive, x.ring(), modulus, Shape{rows}, std::move(y));
  }

  std::optional<Public> reveal(const Shared& x, PartyId) override {
    RingTensor value = x.plane().clone();
    reduce(value, x.modulus());
    return Public{std::move(value), x.modulus()};
  }
  std::optional<Public> shares(const Shared& x) override { return reveal(x, PartyId::kEvaluator); }

 private:
  static Shared masked(RingTensor value) {
    const Ring ring = value.ring();
    Shape shape = value.shape();
    return Shared(SharedForm::kMasked, ring, bits_of(ring), std::move(shape), std::move(value));
  }

  // truncate_plane replaces every element by its truncated value, known modulo 2^width and sign-extended from there,
  // and counts those that need more than `allowed` bits of magnitude.
  void truncate_plane(Shared& x, Bits truncate, Bits width, Bits allowed) {
    CHECK(truncate + width <= x.modulus(), "truncate {} and {} bits of {}", truncate, width, x.modulus());
    if (x.plane().is_dry()) return;
    uint64_t largest = 0;
    int64_t violations = 0;
    const Bits modulus = x.modulus();
    dispatch(x.ring(), [&](auto word) {
      using Word = decltype(word);
      for (Word& element : x.plane().template as<Word>()) {
        const int64_t y = round_shift(sign_extend(element, modulus), truncate);
        largest = std::max(largest, magnitude(y));
        violations += static_cast<int>(std::bit_width(magnitude(y))) > allowed.value();
        element = static_cast<Word>(sign_extend(static_cast<uint64_t>(y), width));
      }
    });
    record(x.plane().elements(), largest, allowed, violations);
  }

  void record(int64_t values, uint64_t largest, Bits allowed, int64_t violations) {
    const Bits used(static_cast<int>(std::bit_width(largest)));
    ranges_.steps.push_back({step_, name_, values, largest, used, allowed, violations});
  }

  // check_clip counts the values whose distance to the upper bound does not fit k bits.
  void check_clip(const Shared& x, Bits truncate, Bits k, int64_t upper) {
    if (x.plane().is_dry()) return;
    int64_t violations = 0;
    uint64_t largest = 0;
    dispatch(x.ring(), [&](auto word) {
      for (const auto element : x.plane().template as<decltype(word)>()) {
        const uint64_t distance = magnitude(round_shift(sign_extend(element, x.modulus()), truncate) - upper);
        largest = std::max(largest, distance);
        violations += static_cast<int>(std::bit_width(distance)) > k.value() - 1;
      }
    });
    if (violations > 0) record(x.plane().elements(), largest, k - Bits(1), violations);
  }

  // activate truncates and applies f to every element.
  template <class F>
  Shared activate(Shared x, Bits truncate, Bits k, Bits allowed, const F& f) {
    truncate_plane(x, truncate, k, allowed);
    std::optional<RingTensor> plane = std::move(x).take_plane();
    if (!plane->is_dry()) {
      dispatch(plane->ring(), [&](auto word) {
        using Word = decltype(word);
        using Signed = std::make_signed_t<Word>;
        for (Word& element : plane->as<Word>()) element = static_cast<Word>(f(static_cast<Signed>(element)));
      });
    }
    return masked(std::move(*plane));
  }

  template <class Word>
  static void pool_words(const PoolGeometry& p, std::span<const Word> from, std::span<Word> to) {
    const Word* image = from.data();
    Word* out = to.data();
    for (int64_t b = 0; b < p.batch; ++b, image += p.in_h * p.in_w * p.channels) {
      for (int64_t y = 0; y < p.out_h; ++y) {
        for (int64_t x = 0; x < p.out_w; ++x, out += p.channels) pool_window(p, image, y, x, out);
      }
    }
  }

  // pool_window takes the maximum over one window; padding takes no part.
  template <class Word>
  static void pool_window(const PoolGeometry& p, const Word* image, int64_t out_y, int64_t out_x, Word* out) {
    using Signed = std::make_signed_t<Word>;
    bool first = true;
    for (int64_t ky = 0; ky < p.kernel_h; ++ky) {
      const int64_t y = out_y * p.stride_h - p.pad_top + ky * p.dilation_h;
      if (y < 0 || y >= p.in_h) continue;
      for (int64_t kx = 0; kx < p.kernel_w; ++kx) {
        const int64_t x = out_x * p.stride_w - p.pad_left + kx * p.dilation_w;
        if (x < 0 || x >= p.in_w) continue;
        const Word* pixel = image + (y * p.in_w + x) * p.channels;
        for (int64_t c = 0; c < p.channels; ++c)
          if (first || static_cast<Signed>(pixel[c]) > static_cast<Signed>(out[c])) out[c] = pixel[c];
        first = false;
      }
    }
    CHECK(!first, "a window holds nothing but padding");
  }

  std::vector<Owned> weights_;
  StepId step_{};
  std::string name_;
  RangeReport ranges_;
};

}  // namespace

bool RangeReport::ok() const {
  return std::all_of(steps.begin(), steps.end(), [](const StepRange& step) { return step.violations == 0; });
}

std::string RangeReport::message() const {
  std::string text;
  for (const StepRange& step : steps) {
    if (step.violations == 0) continue;
    text += fmt::format("\n  step {} {}: {} of {} values need up to {} bits, {} are allowed", index_of(step.step),
                        step.name, step.violations, step.values, step.used, step.allowed);
  }
  if (text.empty()) return text;
  return "values outside the ranges the model was compiled for:" + text +
         "\nCompile it again with samples that cover this input, or with a wider margin.";
}

std::unique_ptr<ClearProtocol> make_clear(std::span<const WeightSpec> specs,
                                          const std::vector<const RingTensor*>* weights) {
  return std::make_unique<Clear>(specs, weights);
}

}  // namespace treville
