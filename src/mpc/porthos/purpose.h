// What is drawn and what is sent inside a step. A purpose belongs to one key, so (inference, step, purpose, round,
// block) names a draw of a session; a message and a round name one of a step's messages in a channel.
// docs/protocols/porthos.md lists both.
#pragma once

#include <cstdint>

#include "crypto/prg.h"
#include "net/network.h"

namespace treville::porthos {

enum class Purpose : uint8_t {
  // k_DE, of dealer and evaluator
  kOpening,         // rho: what an opened value is masked with
  kPayloadOpening,  // rho of an opened payload
  kDealtBits,       // E's half of the bits dealt for a borrow
  kNodeMaskE,       // E's half of the masks a, b of compared chunks and groups
  kBorrowMaskE,     // E's half of gamma, the mask of the borrow
  kConstants,       // E's half of the arithmetic constants of a closing
  kRescaleSign,     // sg
  kRescaleProduct,  // E's half of p
  kProductLeft,     // rho of a product's left operand
  kProductRight,    // rho of its right operand
  kProductShare,    // E's half of what is dealt for a product
  kLookUpOpening,   // rho of an index
  kIndicators,      // E's half of the indicators of r
  kLookUpMaskE,     // E's half of a, the masks of a table's bits
  kLookUpNumbers,   // E's half of a as numbers; rounds are bits
  kOutput,          // s: re-randomises what is revealed
  // k_DH, of dealer and helper
  kInputMask,     // lambda of an input
  kLinearMask,    // t: masks u
  kNodeMaskH,     // H's half of a, b
  kBorrowMaskH,   // H's half of gamma
  kCloseMask,     // lambda of a result
  kPayloadMask,   // lambda of a selected payload
  kRescaleMask,   // lambda_k
  kRescaleCarry,  // mu
  kProductMask,   // lambda of a product
  kLookUpMaskH,   // H's half of a
  kLookUpMask,    // lambda of a table's entries
  // k_W, of dealer and evaluator
  kWeight,  // W0
};
inline constexpr int kPurposes = static_cast<int>(Purpose::kWeight) + 1;

enum class KeyName : uint8_t { kDealerEvaluator, kDealerHelper, kWeights };
inline constexpr KeyName key_of(Purpose purpose) {
  if (purpose == Purpose::kWeight) return KeyName::kWeights;
  return purpose < Purpose::kInputMask ? KeyName::kDealerEvaluator : KeyName::kDealerHelper;
}

enum class Message : uint8_t {
  kInput,       // D -> E: m
  kLinear,      // H -> E offline: u
  kDealtBits,   // D -> H offline: bits of the borrow, then constants of few bits
  kDealtWords,  // D -> H offline: constants of full width
  kShares,      // E <-> H: x^ and shares of stages; + the number of the message in its direction
  kSharesLast = kShares + 7,
  kClose,            // H -> E: its share and lambda
  kPayloadClose,     // H -> E: the same for a payload
  kRescaleValue,     // D -> E offline: g
  kRescaleProduct,   // D -> H offline: p
  kRescaleSign,      // E -> H: sigma
  kRescaleCarry,     // H -> E: w + mu
  kProductShare,     // D -> H offline: its half of what is dealt for a product
  kProductLeft,      // E -> H: x^ of the left operand
  kProductRight,     // E -> H: the same of the right one
  kProductClose,     // H -> E: its share and lambda
  kLookUpDealt,      // D -> H offline: indicators, then numbers
  kLookUpOpened,     // E -> H: x^ and E's masked bits
  kLookUpShares,     // H -> E: H's masked bits
  kLookUpClose,      // H -> E: its share of every table and lambda
  kOutputDealer,     // D -> receiver: yD + s
  kOutputEvaluator,  // E -> receiver: yE - s
  kWeight,           // E -> H: W1
  kReady,            // everybody -> everybody: nothing, when the set-up is done
  kModel,            // E -> D, H: which model, and from which set-up it has shares
  kHolds,            // D, H -> everybody: the same, where they have it too
};

// A step that repeats a sub-protocol (the levels of a maximum) numbers the repetitions as rounds, and a look-up the
// bits of its tables.
inline constexpr int kMaxRounds = 256;
inline constexpr uint16_t with_round(uint8_t what, int round) { return static_cast<uint16_t>(what | (round << 8)); }
inline Purpose purpose_of(const PrgPosition& position) { return static_cast<Purpose>(position.purpose & 0xff); }
inline Message message_of(const MessageTag& tag) { return static_cast<Message>(tag.part & 0xff); }

}  // namespace treville::porthos
