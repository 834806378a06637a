// LocalNetwork connects three parties that run as threads of one process, through queues in memory. It keeps the
// contract of Network to the letter (bounds, deadlines, aborts, counters), so a program that runs here runs on sockets.
#pragma once

#include <array>
#include <chrono>
#include <memory>

#include "net/network.h"

namespace treville {

struct LocalNetworkOptions {
  // offline_queue_bytes bounds each direction of each pair offline; at least one message always fits.
  int64_t offline_queue_bytes = int64_t{8} << 20;
  // deadline ends a blocked call after this time without a message moving anywhere between the three parties.
  std::chrono::milliseconds deadline = std::chrono::seconds(120);
  bool keep_transcript = false;
};

// make_local_networks returns the three ends, by party. Each may go to its own thread. A party whose end is destroyed
// has left: what it sent is still received, waiting for more is a PeerError.
std::array<std::unique_ptr<Network>, 3> make_local_networks(const LocalNetworkOptions& options = {});

}  // namespace treville
