// A party that dies or freezes in the middle of a run: the other two notice within seconds, say who and where, and
// leave no output.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "test/federation.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kInferences = 1500;  // far more than the run gets to do
constexpr double kNoticeSeconds = 5;

struct Fault {
  int signal = SIGKILL;
  int victim = 0;
};

void PrintTo(const Fault& fault, std::ostream* out) {
  *out << (fault.signal == SIGKILL ? "Killed" : "Stopped") << "Party" << fault.victim;
}

class PartyFault : public testing::TestWithParam<Fault> {};

// wait_for_work waits until a party reports its first step.
bool wait_for_work(Process& process) {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (Clock::now() < deadline && !process.has_ended()) {
    if (process.error_output().find("\"done\"") != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

TEST_P(PartyFault, EndsTheOtherTwoWithAMessageAndNoOutput) {
  const Fault fault = GetParam();
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const TestFederation federation;
  const std::string count = std::to_string(kInferences);
  std::vector<std::unique_ptr<Process>> parties;
  parties.push_back(federation.start(federation.client(kInferences, {"--output", "out.npy", "--progress-json"})));
  parties.push_back(federation.start(federation.arguments(1, {"--count", count, "--progress-json"})));
  parties.push_back(federation.start(federation.arguments(2, {"--count", count, "--progress-json"})));
  for (auto& party : parties) ASSERT_TRUE(wait_for_work(*party)) << party->error_output();

  std::mt19937 random(seed);
  std::this_thread::sleep_for(std::chrono::milliseconds(random() % 700));
  const auto victim = static_cast<size_t>(fault.victim);
  ASSERT_FALSE(parties[victim]->has_ended())
      << "the run was over before the fault: " << parties[victim]->error_output();
  parties[victim]->send(fault.signal);
  const auto start = Clock::now();
  for (size_t i = 0; i < 3; ++i) {
    if (i == victim) continue;
    const double left = kNoticeSeconds - std::chrono::duration<double>(Clock::now() - start).count();
    const Finished finished = parties[i]->wait(left);
    EXPECT_FALSE(finished.timed_out) << "party " << i << " had not ended after " << kNoticeSeconds << " s";
    EXPECT_EQ(finished.exit_code, 3) << "party " << i << ": " << finished.err;
    const size_t message = finished.err.find("treville: ");
    ASSERT_NE(message, std::string::npos) << finished.err;
    const std::string text = finished.err.substr(message);
    EXPECT_NE(text.find("party " + std::to_string(victim)), std::string::npos) << "party " << i << ": " << text;
    EXPECT_NE(text.find("step"), std::string::npos) << "party " << i << ": " << text;
  }
  EXPECT_FALSE(fs::exists(federation.file("out.npy")));
}

INSTANTIATE_TEST_SUITE_P(EndToEnd, PartyFault,
                         testing::Values(Fault{SIGKILL, 0}, Fault{SIGKILL, 1}, Fault{SIGKILL, 2}, Fault{SIGSTOP, 0},
                                         Fault{SIGSTOP, 1}, Fault{SIGSTOP, 2}),
                         [](const auto& tested) { return testing::PrintToString(tested.param); });

}  // namespace
}  // namespace treville::test
