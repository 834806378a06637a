// The fuzz targets without a fuzzer: every target takes its corpus and a bounded number of random changes to it. What
// tools/fuzz.py once found stays in the corpus and is run here.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "fuzz/targets.h"

namespace treville::fuzz {

// GoogleTest prints a target by its name.
static void PrintTo(const FuzzTarget& target, std::ostream* stream) { *stream << target.name; }

namespace {

using Input = std::vector<uint8_t>;

constexpr int kMutations = 2000;
constexpr std::chrono::seconds kAtMost{5};  // a target; slow ones make fewer mutations
constexpr size_t kLargestInput = 1 << 16;

std::vector<Input> read_corpus(std::string_view name) {
  std::vector<std::filesystem::path> paths;
  const auto folder = std::filesystem::path(TREVILLE_SOURCE_DIR) / "fuzz" / "corpus" / name;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Input> corpus;
  for (const auto& path : paths) {
    std::ifstream stream(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return corpus;
}

template <class Bytes>
auto begin_of(Bytes& bytes, size_t at) {
  return bytes.begin() + static_cast<std::ptrdiff_t>(at);
}

// Mutator changes inputs as fuzzers do: bits, bytes, words at their limits, pieces moved, doubled or cut out.
class Mutator {
 public:
  Mutator(const std::vector<Input>& corpus, uint32_t seed) : corpus_(corpus), random_(seed) {}

  Input next() {
    Input input = corpus_[below(corpus_.size())];
    for (size_t changes = 1 + below(4); changes > 0; --changes) change(input);
    if (input.size() > kLargestInput) input.resize(kLargestInput);
    return input;
  }

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void change(Input& input) {
    if (input.empty()) input.push_back(static_cast<uint8_t>(random_()));
    const size_t at = below(input.size());
    switch (below(7)) {
      case 0:
        input[at] ^= static_cast<uint8_t>(1U << below(8));
        break;
      case 1:
        input[at] = static_cast<uint8_t>(random_());
        break;
      case 2:
        put_word(input, at);
        break;
      case 3:
        input.resize(at);
        break;
      case 4:
        input.erase(begin_of(input, at), begin_of(input, at + below(std::min<size_t>(input.size() - at, 32))));
        break;
      case 5:
        insert(input, at, input);
        break;
      default:
        insert(input, at, corpus_[below(corpus_.size())]);
    }
  }

  void put_word(Input& input, size_t at) {
    constexpr int64_t kWords[] = {0,     1,     -1,        127,       128,       255,      256,
                                  32767, 65535, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    const int64_t word = kWords[below(std::size(kWords))];
    std::memcpy(&input[at], &word, std::min(size_t{1} << below(4), input.size() - at));
  }

  // insert puts a piece of `from` at a place.
  void insert(Input& input, size_t at, const Input& from) {
    const size_t first = below(from.size());
    const Input piece(begin_of(from, first), begin_of(from, first + below(std::min<size_t>(from.size() - first, 64))));
    input.insert(begin_of(input, at), piece.begin(), piece.end());
  }

  const std::vector<Input>& corpus_;
  std::mt19937 random_;
};

// hex shows the beginning of an input, so that a failure can be repeated.
std::string hex(const Input& input) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(input.size(), 512); ++i) text += fmt::format("{:02x}", input[i]);
  return text;
}

class FuzzCorpus : public ::testing::TestWithParam<FuzzTarget> {
 protected:
  // accepts fails the test for anything but a result and a UserError.
  static bool accepts(const Input& input, const std::string& what) {
    try {
      return GetParam().accepts(input);
    } catch (const std::exception& error) {
      ADD_FAILURE() << what << ", " << input.size() << " bytes " << hex(input) << ": " << error.what();
      return false;
    }
  }
};

TEST_P(FuzzCorpus, HoldsInputsThatAreAcceptedAndNoneThatBreaks) {
  const std::vector<Input> corpus = read_corpus(GetParam().name);
  int accepted = 0;
  for (size_t i = 0; i < corpus.size(); ++i) accepted += accepts(corpus[i], fmt::format("corpus file {}", i));
  std::cout << accepted << " of " << corpus.size() << " are accepted\n";
  EXPECT_GT(accepted, 0) << "the corpus no longer has a valid input";
}

TEST_P(FuzzCorpus, SurvivesRandomChanges) {
  const std::vector<Input> corpus = read_corpus(GetParam().name);
  ASSERT_FALSE(corpus.empty());
  constexpr uint32_t kSeed = 20240611;  // the same inputs in every run
  Mutator mutator(corpus, kSeed);
  const auto start = std::chrono::steady_clock::now();
  int done = 0;
  for (; done < kMutations && std::chrono::steady_clock::now() - start < kAtMost && !HasFailure(); ++done)
    accepts(mutator.next(), fmt::format("mutation {} of seed {}", done, kSeed));
  EXPECT_GT(done, 20);
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpus, ::testing::ValuesIn(fuzz_targets().begin(), fuzz_targets().end()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace treville::fuzz
