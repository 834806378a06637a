// run_passes is one party's engine: every pass of a protocol walks the program on its own thread. It serves a party
// behind sockets and the parties of local_run alike.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "mpc/protocol.h"
#include "run/execute.h"
#include "tensor/memory_meter.h"

namespace treville {

// PassPeak is the most bytes of tensors one walk held at once.
struct PassPeak {
  PartyId party;
  Phase phase;
  int64_t bytes = 0;
};

struct PartyOutputs {
  std::vector<RevealedOutput> outputs;
  std::vector<PassPeak> peaks;
};

struct PassOptions {
  // observe gives each walk its observer.
  std::function<StepObserver(Phase)> observe;
  // on_error hears of every failed walk at once, before the session is aborted and the other walks fail of it.
  std::function<void(std::exception_ptr)> on_error;
  // only: the passes of this phase alone, where the other's run in another session.
  std::optional<Phase> only;
};

// run_passes returns what was revealed to this party. When a walk throws, the network is aborted so that the others
// end; the first error is thrown again. Session::network may be null (a protocol of one party).
PartyOutputs run_passes(Session& session, ProtocolPasses& passes, const Program& program, const RunInputs& inputs,
                        const PassOptions& options = {});

// run_walks runs each in a thread of its own. When one throws, the network is aborted so that the others end; the first
// error is thrown again.
using Walk = std::function<void()>;
void run_walks(Session& session, const std::vector<Walk>& walks,
               const std::function<void(std::exception_ptr)>& on_error = {});

// what gives the message of an exception.
std::string message_of(const std::exception_ptr& error);

}  // namespace treville
