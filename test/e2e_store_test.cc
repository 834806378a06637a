// What parties keep between sessions: the weights are shared once, and preprocessed inferences run online alone.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <set>

#include "data/npy.h"
#include "test/federation.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;
using Three = std::array<Arguments, 3>;

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::array<Finished, 3> run_three(const TestFederation& federation, const Three& arguments) {
  std::array<std::unique_ptr<Process>, 3> parties;
  for (size_t id = 0; id < 3; ++id) parties[id] = federation.start(arguments[id]);
  std::array<Finished, 3> results;
  for (size_t id = 0; id < 3; ++id) results[id] = parties[id]->wait(60);
  return results;
}

std::array<Json, 3> expect_success(const std::array<Finished, 3>& results) {
  std::array<Json, 3> json;
  for (size_t id = 0; id < 3; ++id) {
    EXPECT_EQ(results[id].exit_code, 0) << "party " << id << ": " << results[id].err;
    json[id] = results[id].json();
    EXPECT_TRUE(json[id].is_object()) << results[id].out;
  }
  return json;
}

// party_run starts `treville party` at all three on one input.
Three party_run(const TestFederation& federation, const Arguments& more = {}) {
  const Arguments all = Arguments{"--json"} + more;
  return {federation.client(1, all + Arguments{"--output", "out.npy"}), federation.arguments(1, all),
          federation.arguments(2, all)};
}

Three preprocess(const TestFederation& federation, int count) {
  Three arguments;
  for (int id = 0; id < 3; ++id) {
    Arguments& one = arguments[static_cast<size_t>(id)];
    one = federation.arguments(id, {"--json", "--count", std::to_string(count)});
    one[0] = "preprocess";
  }
  return arguments;
}

int64_t sent(const Json& party, const std::string& phase) {
  int64_t bytes = 0;
  for (const Json& row : party.at("traffic"))
    if (row.at("phase") == phase) bytes += row.at("bytes").get<int64_t>();
  return bytes;
}

void expect_golden(const TestFederation& federation) {
  const FloatTensor golden = read_npy(digits() / "golden.npy"), written = read_npy(federation.file("out.npy"));
  ASSERT_EQ(written.values.size(), 10u);
  for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(written.values[i], golden.values[i], 0.005);
  fs::remove(federation.file("out.npy"));
}

int left(const TestFederation& federation, int id) {
  const Finished listed = treville({"preprocess", "--list", "--json", "--id", std::to_string(id), "--federation",
                                    federation.file("keys/federation.yaml").string()});
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  const Json rows = listed.json().at("records");
  EXPECT_EQ(rows.size(), 1u);
  return rows.at(0).at("left").get<int>();
}

TEST(EndToEndStore, TheWeightsAreSharedOnce) {
  const TestFederation federation;
  const auto first = expect_success(run_three(federation, party_run(federation)));
  expect_golden(federation);
  const auto second = expect_success(run_three(federation, party_run(federation)));
  expect_golden(federation);
  for (size_t id = 0; id < 3; ++id) {
    EXPECT_FALSE(first[id].at("weights").at("kept").get<bool>());
    EXPECT_TRUE(second[id].at("weights").at("kept").get<bool>());
    EXPECT_EQ(second[id].at("weights").at("bytes"), 0);
    EXPECT_LT(sent(second[id], "setup"), 200);
    EXPECT_EQ(second[id].at("notes"), Json::array());
    EXPECT_EQ(first[id].at("model_id"), second[id].at("model_id"));
  }
  EXPECT_GT(first[1].at("weights").at("bytes").get<int64_t>(), 100'000);
  EXPECT_GT(sent(first[1], "setup"), 100'000);
  // All of it is for its owner alone.
  for (const auto& entry : fs::recursive_directory_iterator(federation.file("keys"))) {
    if (entry.path().string().find(".store") == std::string::npos) continue;
    struct stat status {};
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 077, 0u) << entry.path();
  }
}

TEST(EndToEndStore, ADamagedShareIsANoteAndANewSetUp) {
  const TestFederation federation;
  expect_success(run_three(federation, party_run(federation)));
  for (const auto& entry : fs::directory_iterator(federation.file("keys/helper.store/weights"))) {
    std::string text = read_text(entry.path());
    text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
    write_text(entry.path(), text);
  }
  const auto again = expect_success(run_three(federation, party_run(federation)));
  expect_golden(federation);
  for (const Json& party : again) EXPECT_FALSE(party.at("weights").at("kept").get<bool>());
  ASSERT_EQ(again[2].at("notes").size(), 1u);
  EXPECT_NE(again[2].at("notes").at(0).get<std::string>().find("damaged"), std::string::npos);
}

TEST(EndToEndStore, APartyThatKeepsNothingIsNoObstacle) {
  const TestFederation federation;
  const fs::path path = federation.file("keys/federation.yaml");
  std::string text = read_text(path);
  const std::string key = "key: helper.key";
  text.insert(text.find(key) + key.size(), "\n    store: none");
  write_text(path, text);
  for (int i = 0; i < 2; ++i) {
    const auto results = expect_success(run_three(federation, party_run(federation)));
    expect_golden(federation);
    for (const Json& party : results) EXPECT_FALSE(party.at("weights").at("kept").get<bool>());
  }
  EXPECT_FALSE(fs::exists(federation.file("keys/helper.store")));
  const Finished refused = federation.start(preprocess(federation, 1)[2])->wait(20);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("store: none"), std::string::npos) << refused.err;
}

TEST(EndToEndStore, PartiesPreprocessAndRunOnlineAlone) {
  const TestFederation federation;
  const auto made = expect_success(run_three(federation, preprocess(federation, 3)));
  const Json plan = treville({"plan", "--json", federation.file("compiled").string()}).json();
  int64_t offline = 0;
  for (size_t id = 0; id < 3; ++id) {
    EXPECT_EQ(made[id].at("records").at("made"), 3);
    EXPECT_EQ(made[id].at("records").at("left"), 3);
    EXPECT_EQ(sent(made[id], "online"), 0);
    offline += sent(made[id], "offline");
    EXPECT_EQ(left(federation, static_cast<int>(id)), 3);
  }
  EXPECT_EQ(offline, 3 * plan.at("offline_bytes").get<int64_t>());

  std::set<int> used;
  for (int run = 0; run < 3; ++run) {
    const auto results = expect_success(run_three(federation, party_run(federation, {"--preprocessed"})));
    expect_golden(federation);
    int64_t online = 0;
    for (const Json& party : results) {
      EXPECT_EQ(party.at("seconds_are"), "online");
      EXPECT_EQ(party.at("inferences").at(0).at("record"), results[0].at("inferences").at(0).at("record"));
      EXPECT_EQ(party.at("weights").at("bytes"), 0);
      EXPECT_EQ(sent(party, "offline"), 0);
      EXPECT_LT(sent(party, "setup"), 400);
      online += sent(party, "online");
    }
    EXPECT_EQ(online, plan.at("online_bytes").get<int64_t>());
    EXPECT_TRUE(used.insert(results[0].at("inferences").at(0).at("record").get<int>()).second);
    for (int id = 0; id < 3; ++id) EXPECT_EQ(left(federation, id), 2 - run);
  }
  for (const Finished& party : run_three(federation, party_run(federation, {"--preprocessed"}))) {
    EXPECT_EQ(party.exit_code, 2) << party.err;
    EXPECT_NE(party.out.find("takes 1 preprocessed inference of"), std::string::npos) << party.out;
  }
  EXPECT_FALSE(fs::exists(federation.file("out.npy")));
}

TEST(EndToEndStore, APartyThatDiesWhilePreprocessingLeavesRecordsThatAllHave) {
  const TestFederation federation;
  Three arguments = preprocess(federation, 2000);
  for (Arguments& one : arguments) one.push_back("--progress-json");
  std::array<std::unique_ptr<Process>, 3> parties;
  for (size_t id = 0; id < 3; ++id) parties[id] = federation.start(arguments[id]);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (parties[2]->error_output().find("\"done\"") == std::string::npos && !parties[2]->has_ended() &&
         std::chrono::steady_clock::now() < deadline) {
    ::usleep(5000);
  }
  ::usleep(300'000);
  ASSERT_FALSE(parties[2]->has_ended()) << parties[2]->error_output();
  parties[2]->send(SIGKILL);
  for (size_t id = 0; id < 2; ++id) EXPECT_EQ(parties[id]->wait(20).exit_code, 3) << "party " << id;
  parties[2]->wait(5);
  expect_success(run_three(federation, preprocess(federation, 1)));  // the dead one finds its store in order
  const auto results = expect_success(run_three(federation, party_run(federation, {"--preprocessed"})));
  expect_golden(federation);
  EXPECT_EQ(results[0].at("inferences").at(0).at("record"), results[2].at("inferences").at(0).at("record"));
}

TEST(EndToEndStore, AFullDiskDropsTheRecordThatWasBeingWritten) {
  const TestFederation federation;
  expect_success(run_three(federation, preprocess(federation, 1)));
  const Three arguments = preprocess(federation, 2);
  // The helper may write files of 50 kB; its record takes three times as much.
  std::string command = "ulimit -f 100; exec '" TREVILLE_PROGRAM "'";
  for (const std::string& argument : arguments[2]) command += " '" + argument + "'";
  auto client = federation.start(arguments[0]), owner = federation.start(arguments[1]);
  Process helper({"sh", "-c", command}, federation.file(""));
  const Finished stopped = helper.wait(30);
  EXPECT_EQ(stopped.exit_code, 2) << stopped.err;
  EXPECT_NE(stopped.err.find("cannot write"), std::string::npos) << stopped.err;
  EXPECT_NE(stopped.err.find("File too large"), std::string::npos) << stopped.err;
  for (auto* party : {&client, &owner}) {
    const Finished told = (*party)->wait(30);
    EXPECT_EQ(told.exit_code, 3) << told.err;
    EXPECT_NE(told.err.find("cannot write"), std::string::npos) << told.err;
  }
  EXPECT_EQ(left(federation, 2), 1);
  const auto results = expect_success(run_three(federation, party_run(federation, {"--preprocessed"})));
  expect_golden(federation);
  EXPECT_EQ(results[2].at("inferences").at(0).at("record"), 0);
}

Arguments digit_model() {
  return {(digits() / "digits.pb").string(), "--calibrate", (digits() / "calibration.npy").string(), "--preprocess",
          "scale=1/255"};
}

TEST(EndToEndStore, RunKeepsTheWeightsInItsStore) {
  const Scratch scratch;
  const Arguments command =
      Arguments{"run", "--json", "--input", (digits() / "samples").string(), "--store", (scratch / "kept").string()} +
      digit_model();
  for (const bool kept : {false, true}) {
    const Finished finished = treville(command);
    ASSERT_EQ(finished.exit_code, 0) << finished.err;
    const Json run = finished.json();
    EXPECT_EQ(run.at("weights").at("kept"), kept);
    EXPECT_EQ(run.at("weights").at("bytes") == 0, kept);
    EXPECT_EQ(run.at("metered_bytes").at("setup").get<int64_t>() < 500, kept);
    EXPECT_EQ(run.at("seconds_are"), "offline and online");
    EXPECT_TRUE(run.at("seconds").at("online_median").is_null());
  }
}

TEST(EndToEndStore, RunTakesPreprocessedInferencesFromItsStore) {
  const Scratch scratch;
  const std::string store = (scratch / "kept").string();
  const Finished made = treville(Arguments{"preprocess", "--json", "--count", "21", "--store", store} + digit_model());
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const Arguments command =
      Arguments{"run", "--json", "--preprocessed", "--input", (digits() / "samples").string(), "--store", store} +
      digit_model();
  const Finished finished = treville(command);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const Json run = finished.json();
  EXPECT_EQ(run.at("inferences").size(), 20u);
  EXPECT_TRUE(run.at("plaintext").at("agrees").get<bool>());
  EXPECT_EQ(run.at("seconds_are"), "online");
  EXPECT_GT(run.at("seconds").at("online_median").get<double>(), 0);
  EXPECT_EQ(run.at("metered_bytes").at("online").get<int64_t>(),
            20 * run.at("bytes_per_inference").at("online").get<int64_t>());
  EXPECT_EQ(run.at("metered_bytes").at("offline"), 0);
  const Json list = treville({"preprocess", "--list", "--json", "--store", store}).json().at("records");
  ASSERT_EQ(list.size(), 3u);
  for (const Json& row : list) EXPECT_EQ(row.at("left"), 1);
  const Finished table = treville({"preprocess", "--list", "--store", store});
  EXPECT_EQ(table.exit_code, 0);
  EXPECT_NE(table.out.find("left"), std::string::npos);

  const Finished none = treville(command);
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.out.find("left are 1 at party 0, 1 at party 1 and 1 at party 2"), std::string::npos) << none.out;
  // The same store knows nothing of another program.
  Arguments other = command;
  other.insert(other.end(), {"--margin", "3"});
  const Finished refused = treville(other);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.out.find("left are 0 at party 0"), std::string::npos) << refused.out;
  EXPECT_NE(refused.out.find("of another program or model there is 1"), std::string::npos) << refused.out;
}

TEST(EndToEndStore, MistakesAreExplained) {
  const Scratch scratch;
  const std::string store = (scratch / "none").string(), input = (digits() / "samples.npy").string();
  const struct {
    Arguments command;
    const char* message;
  } mistakes[] = {
      {Arguments{"run", "--preprocessed", "--input", input} + digit_model(), "--preprocessed needs --store"},
      {{"preprocess", "--count", "1"}, "--store for three parties"},
      {{"preprocess", "--list"}, "--store for three parties"},
      {{"preprocess", "--list", "--store", store}, "there is no store"},
      {{"preprocess", "--store", store}, "MODEL is missing"},
      {{"preprocess", "--id", "1"}, "go together"},
      {Arguments{"preprocess", "--count", "0", "--store", store} + digit_model(), "--count"},
  };
  for (const auto& [command, message] : mistakes) {
    const Finished finished = treville(command);
    EXPECT_EQ(finished.exit_code, 2) << message;
    EXPECT_NE(finished.err.find(message), std::string::npos) << finished.err;
  }
  EXPECT_FALSE(fs::exists(store));
}

}  // namespace
}  // namespace treville::test
