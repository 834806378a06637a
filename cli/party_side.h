// What every command of one real party does: read its files, open its store, meet the other two, report. Shared by
// `party` and `preprocess`.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "cli/command.h"
#include "cli/screen.h"
#include "mpc/protocol.h"
#include "party/federation.h"
#include "party/session.h"
#include "program/weights.h"
#include "run/execute.h"
#include "store/store.h"

namespace treville::cli {

// PartyOptions are the options of these commands.
struct PartyOptions {
  std::string id;
  std::string federation;
  std::string program;
  std::string weights;
  bool no_store = false;
  bool json = false;
  bool progress_json = false;

  void add_to(CLI::App& app);
};

struct PartySide {
  Federation federation;
  PartyId self = PartyId::kDealer;
  Program program;
  Weights weights;               // at party 1
  std::shared_ptr<Store> store;  // null with --no-store
};

// load_party reads and checks this party's own files. Throws UserError.
PartySide load_party(const PartyOptions& options);
// member_store opens the store that the federation file gives a party, or the one beside its key.
std::shared_ptr<Store> member_store(const Member& member);

// meet opens the session; `mode` is what else must agree. count is in it: what people get wrong, so it has a message of
// its own.
Session meet(const PartySide& side, const PartyOptions& options, const std::string& mode, int64_t count);

// set_up shares the weights, or keeps them, and says so in the session.
ProtocolPasses set_up(const PartySide& side, Session& session);

// Reporter turns the steps of a walk into progress: of the online walk, or of the offline one where there is no other.
class Reporter {
 public:
  Reporter(const PartyOptions& options, const Program& program, int64_t count);
  // observer reports nothing for a walk that `shows` is false for.
  StepObserver observer(bool shows, int64_t inference);
  void show(int64_t done, const std::string& what);
  void finish() { progress_.finish(); }
  int64_t steps() const { return steps_; }

 private:
  Progress progress_;
  bool as_json_;
  int64_t steps_, total_;
  std::chrono::steady_clock::time_point last_;
  std::mutex mutex_;
};

double seconds_since(std::chrono::steady_clock::time_point start);
double cpu_seconds();
// largest_resident_bytes is the most memory this process has had so far, program and libraries included.
int64_t largest_resident_bytes();

// session_json is what both commands report of a session; weights_text says the same of the weights for people.
Json session_json(const PartySide& side, const Session& session);
std::string weights_text(const PartySide& side, const Session& session);
// add_tls adds the connection's own counters, where there is one.
void add_tls(Json& result, Session& session);

}  // namespace treville::cli
