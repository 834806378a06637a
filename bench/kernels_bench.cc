// kernels_bench measures the plain kernels of one party on one thread: multiply-accumulates per second of linear maps
// and bytes of ring elements per second of transposes and word operations.
#include <benchmark/benchmark.h>

#include <array>
#include <random>

#include "kernels/bit_planes.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/product.h"
#include "kernels/table_planes.h"

namespace treville {
namespace {

template <class Word>
constexpr Ring kRing = sizeof(Word) == 4 ? Ring::k32 : Ring::k64;

template <class Word>
RingTensor random_tensor(Shape shape) {
  std::mt19937_64 random(1);
  RingTensor tensor = RingTensor::stored(kRing<Word>, std::move(shape));
  for (Word& value : tensor.as<Word>()) value = static_cast<Word>(random());
  return tensor;
}

template <class Word>
void measure_map(benchmark::State& state, const LinearMap& map) {
  const LinearKernel kernel(map, random_tensor<Word>(weight_shape(map)));
  const RingTensor x = random_tensor<Word>(input_shape(map));
  RingTensor y = RingTensor::zeros(kRing<Word>, output_shape(map));
  for (auto _ : state) {
    kernel.accumulate(x, y);
    benchmark::ClobberMemory();
  }
  state.counters["GMAC/s"] =
      benchmark::Counter(1e-9 * static_cast<double>(macs(map) * state.iterations()), benchmark::Counter::kIsRate);
}

// same_conv is a convolution with "same" padding over a square image.
ConvGeometry same_conv(int64_t size, int64_t in_c, int64_t out_c, int64_t kernel, int64_t stride, int64_t groups = 1) {
  const int64_t out = (size + stride - 1) / stride;
  return {.in_h = size,
          .in_w = size,
          .in_c = in_c,
          .out_h = out,
          .out_w = out,
          .out_c = out_c,
          .kernel_h = kernel,
          .kernel_w = kernel,
          .stride_h = stride,
          .stride_w = stride,
          .pad_top = kernel / 2,
          .pad_left = kernel / 2,
          .groups = groups};
}

template <class Word>
void register_map(const std::string& name, const LinearMap& map) {
  benchmark::RegisterBenchmark((name + "/" + std::to_string(sizeof(Word) * 8)).c_str(), measure_map<Word>, map)
      ->Unit(benchmark::kMicrosecond);
}

void register_maps() {
  const std::pair<const char*, LinearMap> maps[] = {
      {"matmul_512x512x512", MatmulGeometry{512, 512, 512}},
      {"matmul_1x2048x1000", MatmulGeometry{1, 2048, 1000}},
      {"resnet_conv1_7x7_s2_3_64", same_conv(224, 3, 64, 7, 2)},
      {"resnet_2a_1x1_64_64", same_conv(56, 64, 64, 1, 1)},
      {"resnet_2b_3x3_64_64", same_conv(56, 64, 64, 3, 1)},
      {"resnet_2c_1x1_64_256", same_conv(56, 64, 256, 1, 1)},
      {"resnet_4b_3x3_256_256", same_conv(14, 256, 256, 3, 1)},
      {"resnet_5b_3x3_512_512", same_conv(7, 512, 512, 3, 1)},
      {"resnet_5c_1x1_512_2048", same_conv(7, 512, 2048, 1, 1)},
      {"resnet_5_1x1_s2_1024_2048", same_conv(14, 1024, 2048, 1, 2)},
      {"mobilenet_depthwise_112_32", same_conv(112, 32, 32, 3, 1, 32)},
      {"mobilenet_depthwise_14_512", same_conv(14, 512, 512, 3, 1, 512)},
      {"resnext_3x3_32x4", same_conv(56, 128, 128, 3, 1, 32)},
      {"channel_3136x64", ChannelGeometry{3136, 64}},
  };
  for (const auto& [name, map] : maps) {
    register_map<uint32_t>(name, map);
    register_map<uint64_t>(name, map);
  }
}

constexpr int64_t kElements = 1 << 16;

template <class Word>
void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * kElements * static_cast<int64_t>(sizeof(Word)));
}

template <class Word>
void to_planes_bench(benchmark::State& state) {
  const auto planes = static_cast<int>(state.range(0));
  const RingTensor x = random_tensor<Word>({kElements});
  BitPlanes out(kElements, planes, false);
  for (auto _ : state) {
    to_planes<Word>(x.as<Word>(), static_cast<int>(sizeof(Word) * 8) - planes, planes, out);
    benchmark::ClobberMemory();
  }
  count_bytes<Word>(state);
}

template <class Word>
void from_planes_bench(benchmark::State& state) {
  const auto planes = static_cast<int>(state.range(0));
  BitPlanes in(kElements, planes, false);
  for (uint64_t& word : in.storage().as<uint64_t>()) word = 0x123456789abcdef;
  RingTensor y = RingTensor::zeros(kRing<Word>, {kElements});
  for (auto _ : state) {
    from_planes<Word>(in, 0, planes, y.as<Word>());
    benchmark::ClobberMemory();
  }
  count_bytes<Word>(state);
}

template <class Word>
void expand_mask_bench(benchmark::State& state) {
  const std::vector<uint64_t> plane(kElements / 64, 0x123456789abcdef);
  RingTensor y = RingTensor::zeros(kRing<Word>, {kElements});
  for (auto _ : state) {
    expand_mask<Word>(plane, y.as<Word>());
    benchmark::ClobberMemory();
  }
  count_bytes<Word>(state);
}

template <class Word>
void add_bench(benchmark::State& state) {
  const RingTensor x = random_tensor<Word>({kElements});
  RingTensor y = RingTensor::zeros(kRing<Word>, {kElements});
  for (auto _ : state) {
    add_in_place(y, x);
    benchmark::ClobberMemory();
  }
  count_bytes<Word>(state);
}

template <class Word>
void truncate_share_bench(benchmark::State& state) {
  RingTensor y = random_tensor<Word>({kElements});
  for (auto _ : state) {
    truncate_share(y, 12345, Bits(12), bits_of(kRing<Word>));
    benchmark::ClobberMemory();
  }
  count_bytes<Word>(state);
}

void and_xor_bench(benchmark::State& state) {
  std::vector<uint64_t> y(kElements, 1), a(kElements, 2), b(kElements, 3);
  for (auto _ : state) {
    and_xor_words(y, a, b);
    benchmark::ClobberMemory();
  }
  count_bytes<uint64_t>(state);
}

// Products of two secret tensors: right operands are packed each time.
template <class Word>
void measure_product(benchmark::State& state, const ProductGeometry& geometry) {
  const RingTensor a = random_tensor<Word>(left_shape(geometry)), b = random_tensor<Word>(right_shape(geometry));
  RingTensor y = RingTensor::zeros(kRing<Word>, output_shape(geometry));
  for (auto _ : state) {
    accumulate_product(geometry, a, b, y);
    benchmark::ClobberMemory();
  }
  state.counters["GMAC/s"] =
      benchmark::Counter(1e-9 * static_cast<double>(macs(geometry) * state.iterations()), benchmark::Counter::kIsRate);
}

void register_products() {
  const std::pair<const char*, ProductGeometry> products[] = {
      {"product_scores_12x197x64x197", BatchMatmul{12, 197, 64, 197}},
      {"product_heads_12x197x197x64", BatchMatmul{12, 197, 197, 64}},
      {"product_elementwise", Elementwise{{kElements}}},
  };
  for (const auto& [name, product] : products) {
    benchmark::RegisterBenchmark((std::string(name) + "/32").c_str(), measure_product<uint32_t>, product);
    benchmark::RegisterBenchmark((std::string(name) + "/64").c_str(), measure_product<uint64_t>, product);
  }
}

BitPlanes random_planes(int planes) {
  std::mt19937_64 random(2);
  BitPlanes result(kElements, planes, false);
  for (uint64_t& word : result.storage().as<uint64_t>()) word = random();
  return result;
}

// The dealer's and the others' part of a look-up: n index bits, three tables of 16 bits.
void flip_indicators_bench(benchmark::State& state) {
  const int n = static_cast<int>(state.range(0));
  const BitPlanes r = random_planes(n);
  BitPlanes out = random_planes(indicator_planes(n));
  for (auto _ : state) flip_indicators(n, r, out);
  state.SetItemsProcessed(state.iterations() * kElements);
}

void look_up_planes_bench(benchmark::State& state) {
  const int n = static_cast<int>(state.range(0));
  std::mt19937_64 random(3);
  LookUpTable table{Bits(16), false, {}};
  for (int64_t i = 0; i < int64_t{1} << n; ++i) table.entries.push_back(static_cast<int64_t>(random() & 0xffff));
  const std::array<const LookUpTable*, 3> tables = {&table, &table, &table};
  const TableBits bits(n, tables);
  const BitPlanes x = random_planes(n), shares = random_planes(indicator_planes(n));
  BitPlanes out = random_planes(bits.planes());
  for (auto _ : state) look_up_planes(bits, x, shares, true, out);
  state.SetItemsProcessed(state.iterations() * kElements);
}

BENCHMARK(flip_indicators_bench)->Arg(5)->Arg(8)->Arg(12);
BENCHMARK(look_up_planes_bench)->Arg(5)->Arg(8)->Arg(12);
BENCHMARK_TEMPLATE(to_planes_bench, uint32_t)->Arg(20)->Arg(32);
BENCHMARK_TEMPLATE(to_planes_bench, uint64_t)->Arg(32)->Arg(64);
BENCHMARK_TEMPLATE(from_planes_bench, uint32_t)->Arg(20)->Arg(32);
BENCHMARK_TEMPLATE(from_planes_bench, uint64_t)->Arg(32)->Arg(64);
BENCHMARK_TEMPLATE(expand_mask_bench, uint32_t);
BENCHMARK_TEMPLATE(expand_mask_bench, uint64_t);
BENCHMARK_TEMPLATE(add_bench, uint32_t);
BENCHMARK_TEMPLATE(add_bench, uint64_t);
BENCHMARK_TEMPLATE(truncate_share_bench, uint32_t);
BENCHMARK_TEMPLATE(truncate_share_bench, uint64_t);
BENCHMARK(and_xor_bench);

}  // namespace
}  // namespace treville

int main(int argc, char** argv) {
  treville::register_maps();
  treville::register_products();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
