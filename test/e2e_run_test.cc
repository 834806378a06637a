// `treville run` on the digit samples, as a user sees it: three processes over TLS 1.3, the right predictions, and
// exactly the traffic, rounds and memory that `treville plan` announced.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "data/npy.h"
#include "test/process.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;

constexpr int kSamples = 20;

Arguments digit_model() {
  return {(digits() / "digits.pb").string(), "--calibrate", (digits() / "calibration.npy").string(), "--preprocess",
          "scale=1/255"};
}

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Arguments run_arguments() {
  return Arguments{"run",      "--json",
                   "--labels", (digits() / "labels.txt").string(),
                   "--input",  (digits() / "samples").string()} +
         digit_model();
}

// digit_run is one run on all samples; the tests below look at it.
const Json& digit_run() {
  static const Json result = [] {
    const Finished finished = treville(run_arguments(), 120);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return finished.json();
  }();
  return result;
}

const Json& digit_plan() {
  static const Json result = [] {
    const Scratch scratch;
    const std::string folder = (scratch / "compiled").string();
    const Finished compiled = treville(Arguments{"compile", "-o", folder, "--json"} + digit_model());
    EXPECT_EQ(compiled.exit_code, 0) << compiled.err;
    const Finished planned = treville({"plan", folder, "--json"});
    EXPECT_EQ(planned.exit_code, 0) << planned.err;
    Json plan = planned.json();
    plan["digest"] = compiled.json().value("digest", "");
    return plan;
  }();
  return result;
}

TEST(EndToEndRun, ThreeProcessesMeetOverMutualTls13) {
  const Json& run = digit_run();
  ASSERT_TRUE(run.is_object());
  const Json& processes = run.at("processes");
  ASSERT_EQ(processes.size(), 3u);
  std::set<int64_t> pids = {getpid()};
  std::map<int, Json> by_party;
  for (const Json& process : processes) {
    EXPECT_TRUE(pids.insert(process.at("pid").get<int64_t>()).second) << "two parties in one process";
    by_party[process.at("party")] = process;
  }
  ASSERT_EQ(by_party.size(), 3u);
  EXPECT_EQ(by_party[0]["name"], "client");
  EXPECT_EQ(by_party[1]["name"], "model-owner");
  EXPECT_EQ(by_party[2]["name"], "helper");
  for (const auto& [id, process] : by_party) {
    std::set<int> met;
    for (const Json& peer : process.at("peers")) {
      const int other = peer.at("party");
      met.insert(other);
      EXPECT_EQ(peer.at("tls"), "TLSv1.3");
      EXPECT_EQ(peer.at("name"), by_party[other].at("name"));
      EXPECT_EQ(peer.at("pid"), by_party[other].at("pid")) << "party " << id << " met another process";
    }
    EXPECT_EQ(met.size(), 2u);
    EXPECT_EQ(met.count(id), 0u);
    EXPECT_EQ(process.at("session"), by_party[0].at("session"));
  }
}

TEST(EndToEndRun, PredictsTheDigitInEachFileNameAndThePlaintextAgrees) {
  const Json& run = digit_run();
  ASSERT_TRUE(run.is_object());
  ASSERT_EQ(run.at("inferences").size(), static_cast<size_t>(kSamples));
  for (const Json& inference : run.at("inferences")) {
    const std::string name = inference.at("input");
    const Json& best = inference.at("outputs").at(0).at("predictions").at(0);
    EXPECT_EQ(best.at("label"), name.substr(0, 1)) << name;
    EXPECT_TRUE(inference.at("plaintext").at("agrees").get<bool>()) << name;
  }
  EXPECT_TRUE(run.at("plaintext").at("agrees").get<bool>());
}

TEST(EndToEndRun, AgreesWithTheProbabilitiesTensorFlowGave) {
  const Json& run = digit_run();
  ASSERT_TRUE(run.is_object());
  const FloatTensor golden = read_npy(digits() / "golden.npy"), logits = read_npy(digits() / "golden_logits.npy");
  ASSERT_EQ(golden.values.size(), static_cast<size_t>(kSamples * 10));
  for (size_t i = 0; i < kSamples; ++i) {
    const Json& output = run.at("inferences").at(i).at("outputs").at(0);
    ASSERT_EQ(output.at("values").size(), 10u);
    for (size_t c = 0; c < 10; ++c) {
      EXPECT_NEAR(output.at("values").at(c).get<float>(), golden.values[i * 10 + c], 0.005) << "sample " << i;
      EXPECT_NEAR(output.at("raw").at(c).get<float>(), logits.values[i * 10 + c], 0.02) << "sample " << i;
    }
  }
}

// traffic of a party by receiver and phase, as its process counted it.
int64_t bytes_sent(const Json& process, int to, const std::string& phase) {
  int64_t bytes = 0;
  for (const Json& row : process.at("traffic")) {
    if (row.at("to") == to && row.at("phase") == phase) bytes += row.at("bytes").get<int64_t>();
  }
  return bytes;
}

int64_t planned_bytes(const Json& plan, int from, int to, const std::string& phase) {
  int64_t bytes = 0;
  for (const Json& row : plan.at("pairs")) {
    if (row.at("from") == from && row.at("to") == to && row.at("phase") == phase)
      bytes += row.at("bytes").get<int64_t>();
  }
  return bytes;
}

TEST(EndToEndRun, SendsExactlyThePlannedBytes) {
  const Json &run = digit_run(), &plan = digit_plan();
  ASSERT_TRUE(run.is_object() && plan.is_object());
  EXPECT_EQ(run.at("program"), plan.at("digest"));
  EXPECT_GT(plan.at("online_bytes").get<int64_t>(), 0);
  for (const Json& process : run.at("processes")) {
    const int from = process.at("party");
    int64_t all = 0;
    for (int to = 0; to < 3; ++to) {
      for (const std::string phase : {"setup", "offline", "online"}) {
        const int64_t times = phase == "setup" ? 1 : kSamples;
        const int64_t sent = bytes_sent(process, to, phase);
        EXPECT_EQ(sent, times * planned_bytes(plan, from, to, phase))
            << "party " << from << " to " << to << ", " << phase;
        all += sent;
      }
    }
    EXPECT_EQ(all, process.at("tls").at("frames_sent").get<int64_t>()) << "party " << from;
    EXPECT_GT(process.at("tls").at("raw_sent").get<int64_t>(), all) << "TLS adds records to frames";
  }
  EXPECT_EQ(run.at("bytes_per_inference").at("online"), plan.at("online_bytes"));
  EXPECT_EQ(run.at("bytes_per_inference").at("offline"), plan.at("offline_bytes"));
  EXPECT_EQ(run.at("online_rounds"), plan.at("online_rounds"));
}

TEST(EndToEndRun, HoldsExactlyThePlannedMemory) {
  const Json &run = digit_run(), &plan = digit_plan();
  ASSERT_TRUE(run.is_object() && plan.is_object());
  for (const Json& walk : plan.at("memory")) {
    const int party = walk.at("party");
    bool found = false;
    for (const Json& peak : run.at("processes").at(static_cast<size_t>(party)).at("memory")) {
      if (peak.at("phase") != walk.at("phase")) continue;
      found = true;
      EXPECT_EQ(peak.at("peak_bytes"), walk.at("peak_bytes"))
          << "party " << party << ", " << walk.at("phase").get<std::string>() << " walk";
    }
    EXPECT_TRUE(found) << "party " << party << " has no " << walk.at("phase") << " walk";
  }
}

// Interface is a row of /proc/net/dev.
struct Interface {
  int64_t bytes = 0, packets = 0;
};

Interface loopback_row(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find("lo:");
    if (colon == std::string::npos) continue;
    Interface row;
    std::istringstream(line.substr(colon + 3)) >> row.bytes >> row.packets;
    return row;
  }
  return {};
}

TEST(EndToEndRun, RawTlsBytesAreWhatTheKernelCarried) {
  if (Process({"unshare", "-n", "true"}).wait(10).exit_code != 0) {
    GTEST_SKIP() << "a network namespace of its own needs root (unshare -n): the kernel's counters are not ours alone";
  }
  const Scratch scratch;
  std::string command = "ip link set lo up && exec 3>" + (scratch / "counters").string() + " && '" TREVILLE_PROGRAM "'";
  for (const std::string& argument : run_arguments()) command += " '" + argument + "'";
  command += " && cat /proc/net/dev >&3";
  const Finished finished = Process({"unshare", "-n", "sh", "-c", command}).wait(120);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const Interface carried = loopback_row(read_text(scratch / "counters"));
  ASSERT_GT(carried.packets, 0);
  int64_t raw_sent = 0, raw_received = 0;
  const Json run = finished.json();
  ASSERT_EQ(run.at("processes").size(), 3u);
  for (const Json& process : run.at("processes")) {
    raw_sent += process.at("tls").at("raw_sent").get<int64_t>();
    raw_received += process.at("tls").at("raw_received").get<int64_t>();
  }
  // Every packet of the loopback carries an Ethernet header, an IPv4 header and a TCP header with timestamps.
  constexpr int64_t kHeaders = 14 + 20 + 32;
  const auto payload = static_cast<double>(carried.bytes - kHeaders * carried.packets);
  EXPECT_NEAR(static_cast<double>(raw_sent) / payload, 1, 0.02) << raw_sent << " bytes, " << payload << " on the wire";
  EXPECT_NEAR(static_cast<double>(raw_received) / payload, 1, 0.02);
}

TEST(EndToEndRun, TheSameBytesFlowForEveryInput) {
  const Scratch scratch;
  FloatTensor blank;
  blank.shape = Shape({1, 28, 28, 1});
  blank.values.assign(28 * 28, 0);
  write_npy(scratch / "blank.npy", blank);
  const Finished finished =
      treville(Arguments{"run", "--json", "--no-check", "--input", (scratch / "blank.npy").string()} + digit_model());
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const Json run = finished.json();
  ASSERT_EQ(run.at("processes").size(), 3u);
  for (const Json& process : run.at("processes")) {
    const Json& other = digit_run().at("processes").at(process.at("party").get<size_t>());
    for (int to = 0; to < 3; ++to) {
      for (const char* phase : {"offline", "online"}) {
        EXPECT_EQ(kSamples * bytes_sent(process, to, phase), bytes_sent(other, to, phase));
      }
    }
  }
}

TEST(EndToEndRun, WritesTheOutputsOfAllInputsToOneFile) {
  const Scratch scratch;
  const Finished finished = treville(
      Arguments{"run", "--input", (digits() / "samples.npy").string(), "--write", (scratch / "out.npy").string()} +
      digit_model());
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const FloatTensor written = read_npy(scratch / "out.npy"), golden = read_npy(digits() / "golden.npy");
  ASSERT_EQ(written.shape, golden.shape);
  for (size_t i = 0; i < golden.values.size(); ++i) EXPECT_NEAR(written.values[i], golden.values[i], 0.005);
}

TEST(EndToEndRun, BothFormatsOfTheModelPredictTheSame) {
  const Finished finished = treville({"run", "--json", "--labels", (digits() / "labels.txt").string(), "--input",
                                      (digits() / "samples").string(), (digits() / "digits.onnx").string(),
                                      "--calibrate", (digits() / "samples").string(), "--preprocess", "scale=1/255"});
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const Json run = finished.json();
  ASSERT_EQ(run.at("inferences").size(), static_cast<size_t>(kSamples));
  for (const Json& inference : run.at("inferences")) {
    EXPECT_EQ(inference.at("outputs").at(0).at("predictions").at(0).at("label"),
              inference.at("input").get<std::string>().substr(0, 1));
  }
}

}  // namespace
}  // namespace treville::test
