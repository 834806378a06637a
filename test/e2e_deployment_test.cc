// Three real parties as organisations run them: any order of starting, strangers at the door, and parties that do not
// agree on what they run.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <tuple>

#include "data/npy.h"
#include "test/federation.h"

namespace treville::test {
namespace {

namespace fs = std::filesystem;

void pause(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

void replace_in_file(const fs::path& path, const std::string& from, const std::string& to) {
  std::string text = read_text(path);
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << path << " has no " << from;
  text.replace(at, from.size(), to);
  write_text(path, text);
}

// shorten_deadline makes a missing party an error after `seconds`.
void shorten_deadline(const TestFederation& federation, int seconds) {
  const fs::path path = federation.file("keys/federation.yaml");
  write_text(path, read_text(path) + "deadlines:\n  start: " + std::to_string(seconds) + "\n");
}

TEST(EndToEndDeployment, PartiesStartInAnyOrder) {
  const TestFederation federation;
  const FloatTensor golden = read_npy(digits() / "golden.npy");
  std::array<int, 3> order = {0, 1, 2};
  do {
    SCOPED_TRACE(testing::PrintToString(order));
    fs::remove(federation.file("out.npy"));
    std::array<std::unique_ptr<Process>, 3> parties;
    for (const int id : order) {
      parties[static_cast<size_t>(id)] = federation.start(
          id == 0 ? federation.client(1, {"--json", "--output", "out.npy"}) : federation.arguments(id, {"--json"}));
      pause(150);
    }
    for (size_t id = 0; id < 3; ++id) {
      const Finished finished = parties[id]->wait(30);
      EXPECT_EQ(finished.exit_code, 0) << "party " << id << ": " << finished.err;
      const Json result = finished.json();
      ASSERT_TRUE(result.is_object()) << finished.out;
      EXPECT_EQ(result.at("party"), id);
      EXPECT_EQ(result.at("inferences").at(0).at("outputs").size(), id == 0 ? 1u : 0u)
          << "only the client sees an output";
    }
    const FloatTensor written = read_npy(federation.file("out.npy"));
    ASSERT_EQ(written.values.size(), 10u);
    for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(written.values[i], golden.values[i], 0.005);
  } while (std::next_permutation(order.begin(), order.end()));
}

// knock connects to a port and sends bytes; returns the socket, or -1 while nobody listens.
int knock(int port, const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(fd);
    return -1;
  }
  // The party may hang up on the garbage before all of it is sent.
  if (!bytes.empty()) std::ignore = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return fd;
}

int knock_when_open(int port, const std::string& bytes) {
  for (int i = 0; i < 2000; ++i) {
    const int fd = knock(port, bytes);
    if (fd >= 0) return fd;
    pause(5);
  }
  return -1;
}

TEST(EndToEndDeployment, StrangersAtTheDoorDoNoHarm) {
  const TestFederation federation;
  auto owner = federation.start(federation.arguments(1));
  auto helper = federation.start(federation.arguments(2));
  std::vector<int> strangers;
  for (const int port : {federation.port(1), federation.port(2)}) {
    strangers.push_back(knock_when_open(port, ""));
    strangers.push_back(knock_when_open(port, "GET / HTTP/1.1\r\n\r\n"));
    strangers.push_back(knock_when_open(port, std::string(70'000, '\x16')));
    strangers.push_back(knock_when_open(port, std::string("\x16\x03\x01\x02\x00\x01", 6)));  // a hello that never ends
    for (int i = 0; i < 40; ++i) strangers.push_back(knock_when_open(port, ""));             // more than are held
    Process anonymous({"sh", "-c",
                       "command -v openssl > /dev/null || exit 0; openssl s_client -connect 127.0.0.1:" +
                           std::to_string(port) + " -tls1_3"});
    anonymous.wait(10);
  }
  EXPECT_EQ(std::count(strangers.begin(), strangers.end(), -1), 0);
  auto client = federation.start(federation.client(1));
  for (auto* party : {&client, &owner, &helper}) {
    const Finished finished = (*party)->wait(30);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
  }
  for (const int fd : strangers) {
    if (fd >= 0) ::close(fd);
  }
}

// run_all starts the three and returns how they ended.
std::array<Finished, 3> run_all(const TestFederation& federation, const std::array<Arguments, 3>& arguments) {
  std::array<std::unique_ptr<Process>, 3> parties;
  for (size_t id = 0; id < 3; ++id) parties[id] = federation.start(arguments[id]);
  std::array<Finished, 3> results;
  for (size_t id = 0; id < 3; ++id) results[id] = parties[id]->wait(30);
  return results;
}

void expect_peer_errors(const std::array<Finished, 3>& results, const std::string& message) {
  for (size_t id = 0; id < 3; ++id) {
    EXPECT_EQ(results[id].exit_code, 3) << "party " << id << ": " << results[id].err;
    EXPECT_NE(results[id].err.find(message), std::string::npos) << "party " << id << ": " << results[id].err;
    EXPECT_EQ(results[id].out, "") << "party " << id;
  }
}

TEST(EndToEndDeployment, AnotherProgramAtOnePartyIsNamed) {
  const TestFederation federation;
  ASSERT_EQ(treville({"compile", (digits() / "digits.pb").string(), "-o", federation.file("other").string()}).exit_code,
            0);
  const auto results = run_all(federation, {federation.client(1, {"--output", "out.npy"}), federation.arguments(1),
                                            federation.arguments(2, {}, "other")});
  expect_peer_errors(results, "program");
  EXPECT_FALSE(fs::exists(federation.file("out.npy")));
}

TEST(EndToEndDeployment, AnotherCountAtOnePartyIsNamed) {
  const TestFederation federation;
  const auto results = run_all(federation, {federation.client(2, {"--output", "out.npy"}),
                                            federation.arguments(1, {"--count", "2"}), federation.arguments(2)});
  expect_peer_errors(results, "configuration");
  expect_peer_errors(results, "--count must be the same");
  EXPECT_NE(results[1].err.find("on 2 inputs"), std::string::npos) << results[1].err;
  EXPECT_NE(results[2].err.find("on 1 input:"), std::string::npos) << results[2].err;
  EXPECT_FALSE(fs::exists(federation.file("out.npy")));
}

TEST(EndToEndDeployment, AMissingPartyIsNamed) {
  const TestFederation federation;
  shorten_deadline(federation, 2);
  auto client = federation.start(federation.client(1)), owner = federation.start(federation.arguments(1));
  for (auto* party : {&client, &owner}) {
    const Finished finished = (*party)->wait(15);
    EXPECT_EQ(finished.exit_code, 3) << finished.err;
    EXPECT_NE(finished.err.find("party 2"), std::string::npos) << finished.err;
  }
}

TEST(EndToEndDeployment, AnotherKeyIsRefused) {
  const TestFederation federation;
  shorten_deadline(federation, 3);
  ASSERT_EQ(treville({"keys", federation.file("forged").string(), "--name", "helper"}).exit_code, 0);
  // The impostor has a certificate and key of its own for the helper's name; the others pin the helper's.
  const fs::path forged = federation.file("keys/forged.yaml");
  write_text(forged, read_text(federation.file("keys/federation.yaml")));
  replace_in_file(forged, "certificate: helper.crt", "certificate: ../forged/helper.crt");
  replace_in_file(forged, "key: helper.key", "key: ../forged/helper.key");
  Arguments impostor = federation.arguments(2);
  std::replace(impostor.begin(), impostor.end(), federation.file("keys/federation.yaml").string(), forged.string());
  const auto results =
      run_all(federation, {federation.client(1, {"--output", "out.npy"}), federation.arguments(1), impostor});
  for (size_t id = 0; id < 3; ++id) EXPECT_EQ(results[id].exit_code, 3) << "party " << id << ": " << results[id].err;
  EXPECT_FALSE(fs::exists(federation.file("out.npy")));
}

// user_error expects that a party refuses its own arguments at once.
void user_error(const TestFederation& federation, const Arguments& arguments, const std::string& message) {
  const Finished finished = federation.start(arguments)->wait(10);
  EXPECT_FALSE(finished.timed_out) << message;
  EXPECT_EQ(finished.exit_code, 2) << finished.err;
  EXPECT_NE(finished.err.find(message), std::string::npos) << finished.err;
  EXPECT_EQ(finished.out, "");
}

TEST(EndToEndDeployment, APartyChecksItsOwnFilesBeforeItCallsAnybody) {
  const TestFederation federation;
  ASSERT_EQ(treville({"compile", (digits() / "digits.pb").string(), "-o", federation.file("other").string()}).exit_code,
            0);
  const std::string other_weights = federation.file("other/weights.treville").string();
  const std::string input = federation.file("input.npy").string();
  user_error(federation, federation.arguments(1, {"--weights", other_weights}), "belong to another program");
  user_error(federation, federation.arguments(1, {"--weights", input}), "input.npy");
  user_error(federation, federation.arguments(1, {"--input", input}), "party 0 gives the input");
  user_error(federation, federation.arguments(2, {"--weights", other_weights}), "must not have");
  user_error(federation, federation.arguments(0), "--input is missing");
  user_error(federation, federation.client(2, {"--count", "3"}), "--count is 3");
  user_error(federation, federation.client(1, {"--output", "no/such/out.npy"}), "no/such");
  user_error(federation, federation.client(1, {"--labels", "nope.txt"}), "nope.txt");
  user_error(federation, federation.arguments(0, {"--input", "nope.npy"}), "nope.npy");
  user_error(federation, federation.arguments(7), "7");
  fs::remove(federation.file("compiled/weights.treville"));
  user_error(federation, federation.arguments(1), "weights.treville");
}

TEST(EndToEndDeployment, AFederationFileWithAMistakeIsExplained) {
  const TestFederation federation;
  const fs::path path = federation.file("keys/federation.yaml");
  const std::string good = read_text(path);
  const struct {
    const char *from, *to, *message;
  } mistakes[] = {
      {"address:", "adress:", "did you mean 'address'"},
      {"certificate: client.crt", "certificate: nope.crt", "nope.crt"},
      {"key: client.key", "key: nope.key", "nope.key"},
      {"key: client.key", "key: helper.key", "key"},
      {"id: 2", "id: 1", "listed twice"},
      {"id: 2", "id: 9", "id"},
      {"name: helper", "name: client", "client"},
      {"address: 127.0.0.1:", "address: 127.0.0.1;", "address"},
      {"parties:", "partys:", "parties"},
      {"parties:", "parties: [", "federation.yaml"},
  };
  for (const auto& mistake : mistakes) {
    SCOPED_TRACE(std::string(mistake.from) + " -> " + mistake.to);
    write_text(path, good);
    replace_in_file(path, mistake.from, mistake.to);
    user_error(federation, federation.client(1), mistake.message);
  }
}

}  // namespace
}  // namespace treville::test
