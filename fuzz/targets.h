// The fuzz targets: every parser of bytes that someone else may have written. A target feeds bytes to one parser. The
// contract of all parsers is the same: whatever the bytes, the answer is a result or one UserError (or PeerError).
// Anything else, a CHECK that fails, another exception, a report of a sanitizer, is a finding.
//
// The same targets run under libFuzzer (fuzz_main.cc, tools/fuzz.py) and in the tests (fuzz_corpus_test.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace treville::fuzz {

struct FuzzTarget {
  std::string_view name;  // also of its folder in fuzz/corpus
  // accepts says whether the parser took the bytes; false: it threw such an error.
  bool (*accepts)(std::span<const uint8_t> bytes);
};

std::span<const FuzzTarget> fuzz_targets();
// find_fuzz_target is null for an unknown name.
const FuzzTarget* find_fuzz_target(std::string_view name);

}  // namespace treville::fuzz
