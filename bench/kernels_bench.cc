// kernels_bench measures the kernels of one party on one thread against what the machine can do: each row gives the
// rate of a kernel and, measured in turns with it, the rate of a loop that only multiplies, or only moves as many
// bytes.
//
//   kernels_bench [--json] [FILTER]     rows whose name contains FILTER; a quiet machine gives the better figures
//
// A rate is the best of several trials: what else runs can only make a trial slower.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "crypto/aes_ctr.h"
#include "kernels/bit_planes.h"
#include "kernels/borrow_planes.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/select_loops.h"
#include "peaks.h"

namespace treville {
namespace {

constexpr int kTrials = 9;
constexpr double kTrialSeconds = 0.01;
constexpr int64_t kElements = int64_t{1} << 16;  // a block of the protocol

// Timed is something to run and how much work a call does: multiply-accumulates or bytes.
struct Timed {
  double work;
  std::function<void()> run;
};

struct Row {
  std::string kernel;
  std::string unit;
  double rate;
  std::string peak_name;
  double peak;
};

double seconds_of(const Timed& timed, int64_t calls) {
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < calls; ++i) timed.run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int64_t calls_of(const Timed& timed) {
  int64_t calls = 1;
  while (seconds_of(timed, calls) < kTrialSeconds) calls *= 2;
  return calls;
}

class Table {
 public:
  explicit Table(std::string filter) : filter_(std::move(filter)) {}

  // measure times kernel and peak in turns; rates are 10^9 a second.
  void measure(const std::string& name, const std::string& unit, const Timed& kernel, const std::string& peak_name,
               const Timed& peak) {
    if (name.find(filter_) == std::string::npos) return;
    const int64_t kernel_calls = calls_of(kernel), peak_calls = calls_of(peak);
    Row row{.kernel = name, .unit = unit, .rate = 0, .peak_name = peak_name, .peak = 0};
    for (int trial = 0; trial < kTrials; ++trial) {
      const double kernel_work = kernel.work * static_cast<double>(kernel_calls);
      row.rate = std::max(row.rate, 1e-9 * kernel_work / seconds_of(kernel, kernel_calls));
      const double peak_work = peak.work * static_cast<double>(peak_calls);
      row.peak = std::max(row.peak, 1e-9 * peak_work / seconds_of(peak, peak_calls));
    }
    rows_.push_back(std::move(row));
  }
  const std::vector<Row>& rows() const { return rows_; }

 private:
  std::string filter_;
  std::vector<Row> rows_;
};

template <class Word>
constexpr Ring kRing = sizeof(Word) == 4 ? Ring::k32 : Ring::k64;
template <class Word>
const std::string kBits = std::to_string(sizeof(Word) * 8);

template <class Word>
RingTensor random_tensor(Shape shape) {
  std::mt19937_64 random(1);
  RingTensor tensor = RingTensor::stored(kRing<Word>, std::move(shape));
  for (Word& value : tensor.as<Word>()) value = static_cast<Word>(random());
  return tensor;
}

// keep makes the compiler believe that memory behind the pointer was read.
void keep(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

// copying moves `bytes` of memory, half of them read and half written; reading reads them.
Timed copying(double bytes) {
  const auto half = static_cast<size_t>(bytes / 2);
  auto both = std::make_shared<std::pair<Buffer, Buffer>>(Buffer::stored(half), Buffer::stored(half + 2048));
  std::memset(both->first.data(), 1, half);
  // Off the source by half a page, so that loads do not look like the stores before them.
  std::memset(both->second.data(), 2, half + 2048);
  return {bytes, [both, half] {
            copy_all(std::as_const(both->first).as<uint64_t>(), both->second.as<uint64_t>().subspan(256, half / 8));
          }};
}

Timed reading(double bytes) {
  auto words = std::make_shared<Buffer>(Buffer::stored(static_cast<size_t>(bytes)));
  std::memset(words->data(), 1, words->bytes());
  return {bytes, [words] {
            const uint64_t all = read_all(std::as_const(*words).as<uint64_t>());
            keep(&all);
          }};
}

template <class Word>
Timed multiplying() {
  constexpr int64_t kMacs = 1 << 16;
  return {static_cast<double>(kMacs),
          [] { (sizeof(Word) == 4 ? multiply_registers_32 : multiply_registers_64)(kMacs); }};
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
void measure_map(Table& table, const std::string& name, const LinearMap& map) {
  const LinearKernel kernel(map, random_tensor<Word>(weight_shape(map)));
  const RingTensor x = random_tensor<Word>(input_shape(map));
  RingTensor y = RingTensor::zeros(kRing<Word>, output_shape(map));
  table.measure(name + "/" + kBits<Word>, "GMAC/s", {static_cast<double>(macs(map)), [&] { kernel.accumulate(x, y); }},
                "registers", multiplying<Word>());
}

void measure_maps(Table& table) {
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
      {"mobilenet_depthwise_112_32", same_conv(112, 32, 32, 3, 1, 32)},
      {"mobilenet_depthwise_14_512", same_conv(14, 512, 512, 3, 1, 512)},
      {"resnext_3x3_32x4", same_conv(56, 128, 128, 3, 1, 32)},
  };
  for (const auto& [name, map] : maps) {
    measure_map<uint32_t>(table, name, map);
    measure_map<uint64_t>(table, name, map);
  }
}

// measure_bytes compares a kernel that reads and writes `touched` bytes with a copy between as much memory as it uses.
void measure_bytes(Table& table, const std::string& name, double touched, double memory,
                   const std::function<void()>& run) {
  table.measure(name, "GB/s", {touched, run}, "copy", copying(memory));
}

template <class Word>
void measure_transposes(Table& table, int planes) {
  const RingTensor x = random_tensor<Word>({kElements});
  RingTensor y = RingTensor::zeros(kRing<Word>, {kElements});
  BitPlanes bits(kElements, planes, false);
  const double bytes = static_cast<double>(x.bytes() + bits.storage().bytes());
  const std::string suffix = "_" + std::to_string(planes) + "/" + kBits<Word>;
  measure_bytes(table, "to_planes" + suffix, bytes, bytes, [&] {
    to_planes<Word>(x.as<Word>(), 0, planes, bits);
    keep(bits.storage().data());
  });
  measure_bytes(table, "from_planes" + suffix, bytes, bytes, [&] {
    from_planes<Word>(bits, 0, planes, y.as<Word>());
    keep(y.storage().data());
  });
}

// measure_comparison: the borrow of 19 bits, as a 20-bit ReLU has it, for one block of elements.
void measure_comparison(Table& table) {
  const std::vector<int> chunks = {4, 4, 4, 4, 3};
  const std::vector<NodeGroup> groups = {{0, 5, 5, 0}};
  const int bits = std::accumulate(chunks.begin(), chunks.end(), 0), nodes = static_cast<int>(chunks.size());
  int monomials = 0;
  for (const int chunk : chunks) monomials += (1 << chunk) - 1;
  const int stage = 2 * nodes - 1, products = groups[0].products();
  constexpr int64_t kWords = kElements / 64;
  const auto planes = [&](int count) {
    std::vector<uint64_t> data(static_cast<size_t>(count * kWords));
    std::mt19937_64 random(2);
    for (uint64_t& word : data) word = random();
    return data;
  };
  const auto rows = [&](const std::vector<uint64_t>& data) { return ConstPlaneRows{data.data(), kWords}; };
  const std::vector<uint64_t> x = planes(bits), masks = planes(stage), opened = planes(stage), last_mask = planes(1);
  std::vector<uint64_t> dealt = planes(monomials + products), out = planes(stage), last = planes(1);
  const PlaneRows monomial_rows{dealt.data(), kWords}, product_rows{dealt.data() + monomials * kWords, kWords};
  const auto bytes = [&](int touched) { return static_cast<double>(touched * kWords * 8); };
  measure_bytes(table, "deal_borrow_19", bytes(bits + stage + 2 * (monomials + products)),
                bytes(bits + stage + monomials + products), [&] {
                  flip_monomials(chunks, rows(x), monomial_rows, kWords);
                  flip_products(groups, rows(masks), product_rows, kWords);
                });
  const int chunk_planes = bits + monomials + 2 * stage;
  table.measure(
      "evaluate_chunks_19", "GB/s",
      {bytes(chunk_planes),
       [&] {
         evaluate_monomials(chunks, rows(x), rows(dealt), ~uint64_t{0}, rows(masks), {out.data(), kWords}, kWords);
       }},
      "read", reading(bytes(chunk_planes)));
  const int level_planes = 2 * stage + products + 2;
  table.measure("evaluate_level_19", "GB/s",
                {bytes(level_planes),
                 [&] {
                   evaluate_products(groups, rows(opened), rows(masks), {product_rows.data, kWords}, ~uint64_t{0},
                                     rows(last_mask), {last.data(), kWords}, kWords);
                 }},
                "read", reading(bytes(level_planes)));
}

template <class Word>
void measure_words(Table& table) {
  constexpr int kRows = 8;
  std::vector<RingTensor> rows;
  for (int i = 0; i < kRows; ++i) rows.push_back(random_tensor<Word>({kElements}));
  const auto row = [&](size_t i) { return rows[i].as<Word>().data(); };
  const double bytes = static_cast<double>(rows[0].bytes());
  const std::vector<uint64_t> plane(kElements / 64, 0x123456789abcdef);
  const std::string bits = "/" + kBits<Word>;
  measure_bytes(table, "expand_mask" + bits, bytes + kElements / 8, bytes + kElements / 8, [&] {
    expand_mask<Word>(plane, rows[0].as<Word>());
    keep(row(0));
  });
  measure_bytes(table, "add" + bits, 3 * bytes, 2 * bytes, [&] { add_in_place(rows[0], rows[1]); });
  measure_bytes(table, "truncate" + bits, 2 * bytes, bytes,
                [&] { truncate_share(rows[0], 12345, Bits(12), bits_of(kRing<Word>)); });
  const ReluShares<Word> shares{true, 20, row(1), {row(2), row(3), row(4), row(5), row(6)}};
  measure_bytes(table, "close_relu" + bits, 8 * bytes, 8 * bytes,
                [&] { select_loops<Word>().close_relu(shares, row(7), row(0), kElements); });
  const ReluRows<Word> dealt{row(2), row(3), row(4), row(5), row(6)};
  measure_bytes(table, "deal_relu" + bits, 12 * bytes, 7 * bytes,
                [&] { select_loops<Word>().deal_relu(row(0), row(1), 20, dealt, kElements); });
}

// measure_draws: the engine in use against OpenSSL's.
void measure_draws(Table& table) {
  const std::array<std::byte, 16> key{};
  AesCtr used(key), openssl(key, AesCtr::Engine::kOpenSsl);
  for (const size_t bytes : {size_t{512}, size_t{16384}, size_t{1} << 20}) {
    std::vector<std::byte> out(bytes);
    const auto drawing = [&](AesCtr& aes) { return Timed{static_cast<double>(bytes), [&] { aes.stream({}, out); }}; };
    table.measure("aes_ctr_" + std::to_string(bytes), "GB/s", drawing(used), "OpenSSL", drawing(openssl));
  }
}

void print(const std::vector<Row>& rows) {
  std::printf("SIMD target %s, one thread; 10^9 multiply-accumulates or bytes (read and written) a second\n\n",
              target_name().c_str());
  std::printf("| kernel | rate | unit | of | peak | share |\n|---|---|---|---|---|---|\n");
  for (const Row& row : rows) {
    std::printf("| %s | %.1f | %s | %s | %.1f | %.0f %% |\n", row.kernel.c_str(), row.rate, row.unit.c_str(),
                row.peak_name.c_str(), row.peak, 100 * row.rate / row.peak);
  }
}

void print_json(const std::vector<Row>& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) {
    all.push_back({{"kernel", row.kernel},
                   {"unit", row.unit},
                   {"rate", row.rate},
                   {"peak_name", row.peak_name},
                   {"peak", row.peak}});
  }
  std::printf("%s\n", nlohmann::json{{"target", target_name()}, {"kernels", std::move(all)}}.dump(2).c_str());
}

int run(int argc, char** argv) {
  bool as_json = false;
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--json") {
      as_json = true;
    } else if (filter.empty() && !argument.empty() && argument[0] != '-') {
      filter = argument;
    } else {
      std::fprintf(stderr, "usage: kernels_bench [--json] [FILTER]\n");
      return 2;
    }
  }
  Table table(filter);
  measure_maps(table);
  measure_transposes<uint32_t>(table, 20);
  measure_transposes<uint32_t>(table, 32);
  measure_transposes<uint64_t>(table, 40);
  measure_transposes<uint64_t>(table, 64);
  measure_comparison(table);
  measure_words<uint32_t>(table);
  measure_words<uint64_t>(table);
  measure_draws(table);
  if (table.rows().empty()) {
    std::fprintf(stderr, "kernels_bench: no kernel's name contains \"%s\"\n", filter.c_str());
    return 2;
  }
  as_json ? print_json(table.rows()) : print(table.rows());
  return 0;
}

}  // namespace
}  // namespace treville

int main(int argc, char** argv) { return treville::run(argc, argv); }
