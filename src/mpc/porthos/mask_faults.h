// MaskFaults breaks masks on purpose. Only porthos_mask_test is compiled with TREVILLE_MASK_FAULTS, which makes Pass
// look here; the library has no trace of it.
#pragma once

#include <algorithm>
#include <set>
#include <span>

#include "mpc/porthos/purpose.h"

namespace treville::porthos {

struct MaskFaults {
  inline static std::set<Purpose> zeroed;    // these draws give zeros
  inline static std::set<Purpose> repeated;  // these draws give the same in every inference, step, round and block

  static void move(PrgPosition& position) {
    const Purpose purpose = purpose_of(position);
    if (repeated.contains(purpose)) position = {.purpose = static_cast<uint16_t>(purpose)};
  }
  static void spoil(Purpose purpose, std::span<std::byte> out) {
    if (zeroed.contains(purpose)) std::ranges::fill(out, std::byte{0});
  }
};

}  // namespace treville::porthos
