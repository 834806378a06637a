// NetModel describes a network between the parties for an estimate: every pair has the same latency and bandwidth.
#pragma once

#include <string>
#include <string_view>

namespace treville {

struct NetModel {
  std::string name;
  double rtt_seconds = 0;
  double bits_per_second = 0;  // in each direction of each pair
};

// lan: machines of one region, 1 ms round trip and 3 Gbit/s. wan: 40 ms and 350 Mbit/s.
NetModel lan();
NetModel wan();
// parse_net_model reads "lan", "wan" or "rtt=40ms,bw=350Mbit" (us, ms, s; kbit, Mbit, Gbit); throws UserError.
NetModel parse_net_model(std::string_view text);

}  // namespace treville
