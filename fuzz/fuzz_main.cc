// fuzz_main is libFuzzer's way into one target, which the build names: fuzz_npy is this file with "npy".
#include "base/error.h"
#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const treville::fuzz::FuzzTarget* target = treville::fuzz::find_fuzz_target(TREVILLE_FUZZ_TARGET);
  CHECK(target != nullptr, "there is no fuzz target {}", TREVILLE_FUZZ_TARGET);
  target->accepts({data, size});
  return 0;
}
