#include "net/network.h"

namespace treville {

std::vector<TrafficRow> Network::sent_traffic() {
  std::vector<TrafficRow> rows;
  for (PartyId peer : kAllParties) {
    if (peer == self()) continue;
    for (Phase phase : {Phase::kSetup, Phase::kOffline, Phase::kOnline}) {
      rows.push_back({self(), peer, phase, channel(peer, phase).sent()});
    }
  }
  return rows;
}

}  // namespace treville
