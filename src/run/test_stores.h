// Three parties as threads, each with a store of its own on disk, session after session: for tests of what is kept.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "party/local_parties.h"
#include "program/digest.h"
#include "run/local_run.h"
#include "run/preprocess.h"
#include "run/testing.h"
#include "store/store.h"

namespace treville::testing {

// Crash is what a hook throws: the party stops at once.
struct Crash : std::runtime_error {
  Crash() : std::runtime_error("crash") {}
};

// CrashPoint stops a party at the n-th point where a crash can be told apart on disk; 0 never.
class CrashPoint {
 public:
  CrashPoint(PartyId party, int point) : party_(party), point_(point) {}
  FileHook hook(PartyId party) {
    if (party != party_ || point_ == 0) return {};
    return [this](const char*, const std::string&) {
      if (++seen_ == point_) throw Crash();
    };
  }
  bool happened() const { return point_ != 0 && seen_ >= point_; }

 private:
  const PartyId party_;
  const int point_;
  int seen_ = 0;
};

class ThreeStores {
 public:
  explicit ThreeStores(const SmallModel& model) : model_(model) {
    std::string pattern = ::testing::TempDir() + "/treville-three-XXXXXX";
    path_ = mkdtemp(pattern.data());
    file_id_[0] = std::byte{1};
  }
  ~ThreeStores() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ThreeStores(const ThreeStores&) = delete;
  ThreeStores& operator=(const ThreeStores&) = delete;

  struct Side {
    Session& session;
    ProtocolPasses& passes;
    const Program& program;
    RunInputs inputs;
  };
  struct Ended {
    std::array<std::string, 3> errors;
    std::array<bool, 3> is_user_error{};
    std::array<std::vector<RevealedOutput>, 3> outputs;
    std::array<bool, 3> weights_kept{};
    std::array<std::vector<std::string>, 3> notes;
    std::array<std::vector<TrafficRow>, 3> traffic;
    std::array<std::set<uint32_t>, 3> drawn;  // inferences of which a party drew a mask after the set-up
    bool ok() const { return errors == std::array<std::string, 3>{}; }
    int64_t sent(Phase phase) const {
      int64_t bytes = 0;
      for (const auto& rows : traffic)
        for (const TrafficRow& row : rows) bytes += row.phase == phase ? row.traffic.bytes : 0;
      return bytes;
    }
  };
  using Work = std::function<std::vector<RevealedOutput>(Side&)>;

  std::filesystem::path folder(PartyId party) const { return path_ / std::to_string(index_of(party)); }
  std::filesystem::path path() const { return path_; }

  // session runs one session of the three: set-up, then `work` at each.
  Ended session(bool online_only, const Work& work, CrashPoint* crash = nullptr) {
    Ended ended;
    std::array<Session, 3> sessions = make_local_sessions({{}, digest(model_.b.program), {}});
    {
      std::vector<std::jthread> threads;
      for (Session& one : sessions) {
        threads.emplace_back([&] { party(one, online_only, work, crash, ended); });
      }
    }
    return ended;
  }

  // interleaved runs one inference the usual way.
  Ended interleaved(CrashPoint* crash = nullptr) {
    return session(
        false, [](Side& side) { return run_passes(side.session, side.passes, side.program, side.inputs).outputs; },
        crash);
  }
  Ended preprocess(int64_t count, CrashPoint* crash = nullptr) {
    return session(
        false,
        [count](Side& side) -> std::vector<RevealedOutput> {
          const auto records = side.session.store->records(side.session.program, side.session.model);
          PreprocessOptions options;
          options.first = agree_first(side.session, *records);
          options.count = count;
          treville::preprocess("porthos", side.session, side.passes, side.program, *records, options);
          return {};
        },
        crash);
  }
  // online runs one inference from records.
  Ended online(CrashPoint* crash = nullptr) {
    return session(
        true,
        [](Side& side) {
          const auto records = side.session.store->records(side.session.program, side.session.model);
          PreprocessedRuns runs(side.session, side.passes, side.program, *records);
          return std::move(runs.run(side.inputs).outputs.outputs);
        },
        crash);
  }

  // left lists the numbers of the records that a party could still use.
  std::set<uint32_t> left(PartyId party) const {
    std::set<uint32_t> numbers;
    Store store(folder(party).string(), (folder(party) / "key").string(), party);
    for (const Store::RecordFolder& row : store.list()) {
      const auto records = store.records(row.program, row.model);
      for (auto next = records->next_unused(); next; next = records->next_unused(next->number + 1))
        numbers.insert(next->number);
    }
    return numbers;
  }

  // weights replaces the owner's weights; the file keeps its id.
  std::vector<RingTensor>* weights = nullptr;

 private:
  void party(Session& session, bool online_only, const Work& work, CrashPoint* crash, Ended& ended) {
    const auto at = static_cast<size_t>(index_of(session.self));
    try {
      const std::string own = folder(session.self).string();
      std::filesystem::create_directory(own);
      session.store =
          std::make_shared<Store>(own, own + "/key", session.self, crash ? crash->hook(session.self) : FileHook{});
      session.online_only = online_only;
      const std::vector<RingTensor>& constants = weights ? *weights : model_.constants;
      std::vector<const RingTensor*> pointers;
      if (session.self == PartyId::kEvaluator) {
        session.model = file_id_;
        pointers = weight_pointers(model_.b.program, constants);
      }
      ProtocolPasses passes = set_up_protocol("porthos", session, weight_specs(model_.b.program),
                                              session.self == PartyId::kEvaluator ? &pointers : nullptr);
      std::mutex mutex;
      session.audit = [&](const PrgPosition& position, size_t) {
        const std::lock_guard lock(mutex);
        ended.drawn[at].insert(position.inference);
      };
      Side side{session, passes, model_.b.program,
                run_inputs(model_.b.program, session.self, false, constants, model_.inputs)};
      ended.outputs[at] = work(side);
      ended.traffic[at] = session.network->sent_traffic();
    } catch (const std::exception& error) {
      ended.errors[at] = error.what();
      ended.is_user_error[at] = dynamic_cast<const UserError*>(&error) != nullptr;
      session.network->abort(error.what());
    }
    ended.weights_kept[at] = session.weights_kept;
    if (session.store) ended.notes[at] = session.store->weights().notes();
    session.store.reset();
  }

  const SmallModel& model_;
  std::filesystem::path path_;
  std::array<std::byte, 16> file_id_{};
};

// reals decodes the dealer's only output.
inline std::vector<float> reals(const std::vector<RevealedOutput>& outputs) {
  EXPECT_EQ(outputs.size(), 1u);
  return outputs.empty() ? std::vector<float>() : decode(outputs[0].value, outputs[0].type).values;
}

// expect_right compares an output with the clear protocol's: truncation may differ by a unit each time.
inline void expect_right(const ThreeStores::Ended& ended, const SmallModel& model,
                         const std::vector<RingTensor>* constants = nullptr) {
  ASSERT_TRUE(ended.ok()) << ended.errors[0] << " | " << ended.errors[1] << " | " << ended.errors[2];
  const LocalRunResult clear =
      run_local("clear", model.b.program, constants ? *constants : model.constants, model.inputs);
  const RevealedOutput& expected = clear.output(PartyId::kEvaluator, "y");
  const std::vector<float> y = reals(ended.outputs[0]), exact = decode(expected.value, expected.type).values;
  ASSERT_EQ(y.size(), exact.size());
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], exact[i], 64 * 2 * 60.0 / 256 / 256);
}

}  // namespace treville::testing
