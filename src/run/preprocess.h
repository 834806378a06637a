// Preprocessing: the offline passes of many inferences run in one session and leave a record of each at every party;
// the online passes run from the records in later sessions. docs/protocols/porthos.md, "Phases, and what is kept".
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mpc/protocol.h"
#include "net/dry_network.h"
#include "run/run_passes.h"
#include "store/records.h"
#include "store/replay_network.h"

namespace treville {

// offline_reads lists what a party's online walk receives offline, in the order in which it asks for it: what a record
// holds. Found by a dry walk, so it is right for every protocol and every step.
std::vector<DryEvent> offline_reads(std::string_view protocol, const Program& program, PartyId party);

// agree_first is the number of the next record that all parties make: above all that any of them ever had.
uint32_t agree_first(Session& session, Records& records);

struct PreprocessOptions {
  uint32_t first = 0;  // from agree_first
  int64_t count = 1;
  // observe gives the offline walk of one record its observer; done is told of each record on disk.
  std::function<StepObserver(int64_t record, Phase)> observe;
  std::function<void(int64_t done)> done;
};

// preprocess makes `count` records, and returns when all three parties have them. Memory stays that of one inference's
// walk; records go to disk as they are made.
// An error ends it at all parties; the records finished before stay.
void preprocess(std::string_view protocol, Session& session, ProtocolPasses& passes, const Program& program,
                Records& records, const PreprocessOptions& options);

// check_left throws UserError at all parties when one of them has less than `count` records. `others` is how many this
// party has of other programs and models, for the message.
void check_left(Session& session, const Records& records, int64_t count, int64_t others = 0);

// PreprocessedRuns runs online passes from records. It wraps the session's network while it lives.
class PreprocessedRuns {
 public:
  PreprocessedRuns(Session& session, ProtocolPasses& passes, const Program& program, Records& records);
  ~PreprocessedRuns();
  PreprocessedRuns(const PreprocessedRuns&) = delete;
  PreprocessedRuns& operator=(const PreprocessedRuns&) = delete;

  struct Result {
    RecordId record;
    PartyOutputs outputs;
    double seconds = 0;  // from when all parties hold the record to the end of this party's online walk
  };
  // run takes the next record that all parties hold: they agree on it, each erases its key, and when all have, the
  // online passes run. Throws UserError at all parties when one of them has none left.
  //   cost  2 messages from each party to each other one for an agreement (20 bytes; more where parties lost records),
  //         and 1 without content when the key is erased, apart from the inference's own
  Result run(const RunInputs& inputs, const PassOptions& options = {});

 private:
  RecordId agree();

  Session& session_;
  ProtocolPasses& passes_;
  const Program& program_;
  Records& records_;
  ReplayNetwork* network_ = nullptr;  // the session's
};

}  // namespace treville
