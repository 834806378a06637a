#include "party/local_parties.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace treville {
namespace {

bool equal(const std::optional<Key>& a, const std::optional<Key>& b) {
  return a && b && std::ranges::equal(a->bytes(), b->bytes());
}

TEST(LocalParties, EachPartyHoldsTheKeysOfItsPairsOnly) {
  const std::array<Session, 3> sessions = make_local_sessions();
  const SessionKeys &d = sessions[0].keys, &e = sessions[1].keys, &h = sessions[2].keys;
  EXPECT_TRUE(equal(d.dealer_evaluator, e.dealer_evaluator));
  EXPECT_TRUE(equal(d.dealer_helper, h.dealer_helper));
  EXPECT_TRUE(equal(d.weights, e.weights));
  EXPECT_FALSE(e.dealer_helper.has_value());
  EXPECT_FALSE(h.dealer_evaluator.has_value());
  EXPECT_FALSE(h.weights.has_value());
  EXPECT_FALSE(equal(d.dealer_evaluator, d.dealer_helper));
  EXPECT_FALSE(equal(d.dealer_evaluator, d.weights));
}

TEST(LocalParties, KeysAreFreshWithoutASeedAndRepeatWithOne) {
  EXPECT_FALSE(equal(make_local_sessions()[0].keys.weights, make_local_sessions()[0].keys.weights));
  const std::array<Session, 3> first = make_local_sessions({.seed = 7}), second = make_local_sessions({.seed = 7});
  EXPECT_TRUE(equal(first[0].keys.weights, second[0].keys.weights));
  EXPECT_EQ(first[0].id, second[1].id);
  EXPECT_FALSE(equal(first[0].keys.weights, make_local_sessions({.seed = 8})[0].keys.weights));
}

TEST(LocalParties, SessionsAreConnectedAndKnowTheirPeers) {
  std::array<Session, 3> sessions = make_local_sessions();
  EXPECT_FALSE(sessions[0].is_dry());
  EXPECT_EQ(sessions[1].peers.size(), 2u);
  sessions[0].network->channel(PartyId::kHelper, Phase::kOffline).send({}, Buffer::stored(3));
  EXPECT_EQ(sessions[2].network->channel(PartyId::kDealer, Phase::kOffline).receive({}, 3).bytes(), 3u);
}

TEST(LocalParties, DrySessionHasTheKeysOfItsRole) {
  const Session session = make_dry_session(PartyId::kHelper);
  EXPECT_TRUE(session.is_dry());
  EXPECT_TRUE(session.keys.dealer_helper.has_value());
  EXPECT_FALSE(session.keys.dealer_evaluator.has_value());
}

}  // namespace
}  // namespace treville
