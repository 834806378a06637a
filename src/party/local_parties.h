// Sessions without sockets: three parties as threads of one process, or one party alone in a dry run.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "net/local_network.h"
#include "party/session.h"

namespace treville {

struct LocalOptions {
  // seed fixes all keys and the session's id. Tests only: without it they come from the operating system.
  std::optional<uint64_t> seed{};
  Digest program{};
  LocalNetworkOptions network{};
};

// make_local_sessions returns the sessions of dealer, evaluator and helper, connected in memory.
std::array<Session, 3> make_local_sessions(const LocalOptions& options = {});

// make_dry_session returns a session whose network is a DryNetwork; its keys are never drawn from.
Session make_dry_session(PartyId self);

}  // namespace treville
