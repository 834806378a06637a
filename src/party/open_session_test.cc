// Three parties, as threads, that find each other over loopback on ports of the system's choice.
#include "party/open_session.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"
#include "party/keys.h"

namespace treville {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

constexpr PartyId kD = PartyId::kDealer, kE = PartyId::kEvaluator, kH = PartyId::kHelper;

class OpenSession : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    char directory[] = "/tmp/treville_session_XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    make_keys(directory_, {"client", "owner", "aide", "stranger"});
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(directory_); }

  void SetUp() override {
    const char* names[] = {"client", "owner", "aide"};
    for (PartyId party : kAllParties) {
      const auto i = static_cast<size_t>(index_of(party));
      listeners_[i] = listen_at({"127.0.0.1", 0});
      Member& member = federation_.members[i];
      member.id = party;
      member.name = names[i];
      member.address = member.listen = {"127.0.0.1", listeners_[i].port};
      use_certificate(member, names[i]);
    }
    federation_.start_deadline = seconds(15);
    program_ = sha256("program");
  }

  static void use_certificate(Member& member, const std::string& name) {
    member.certificate = directory_ / (name + ".crt");
    member.key = directory_ / (name + ".key");
    member.fingerprint = certificate_fingerprint(member.certificate);
  }

  SessionOptions options_for(PartyId party) {
    SessionOptions options;
    options.network.keep_transcript = true;
    options.rendezvous.listening_socket = listeners_[static_cast<size_t>(index_of(party))].socket;
    options.rendezvous.stray_timeout = milliseconds(1000);
    return options;
  }

  // Outcome is what open_session gave one party: a session, or the text of its PeerError.
  struct Outcome {
    std::optional<Session> session;
    std::string error;
  };
  Outcome open(PartyId party, const Federation& federation, const Digest& program, const SessionOptions& options) {
    Outcome outcome;
    try {
      outcome.session = open_session(federation, party, program, options);
    } catch (const PeerError& error) {
      outcome.error = error.what();
    }
    return outcome;
  }
  std::array<Outcome, 3> open_all(std::vector<PartyId> order = {kD, kE, kH}, milliseconds between = milliseconds(0)) {
    std::array<Outcome, 3> outcomes;
    std::vector<std::thread> threads;
    for (PartyId party : order) {
      threads.emplace_back([this, party, &outcomes] {
        outcomes[static_cast<size_t>(index_of(party))] = open(party, federation_, program_, options_for(party));
      });
      std::this_thread::sleep_for(between);
    }
    for (std::thread& thread : threads) thread.join();
    return outcomes;
  }

  static inline std::filesystem::path directory_;
  Federation federation_;
  Digest program_{};
  std::array<Listener, 3> listeners_;
};

bool equal(const std::optional<Key>& a, const std::optional<Key>& b) {
  return a && b && std::ranges::equal(a->bytes(), b->bytes());
}

TEST_F(OpenSession, PartiesMeetInAnyOrderAndShareTheKeysOfTheirPairs) {
  std::array<Outcome, 3> outcomes = open_all({kH, kE, kD}, milliseconds(120));
  for (const Outcome& outcome : outcomes) ASSERT_TRUE(outcome.session) << outcome.error;
  const Session &d = *outcomes[0].session, &e = *outcomes[1].session, &h = *outcomes[2].session;
  EXPECT_EQ(d.id, e.id);
  EXPECT_EQ(d.id, h.id);
  EXPECT_NE(d.id, SessionId{});
  EXPECT_TRUE(equal(d.keys.dealer_evaluator, e.keys.dealer_evaluator));
  EXPECT_TRUE(equal(d.keys.weights, e.keys.weights));
  EXPECT_TRUE(equal(d.keys.dealer_helper, h.keys.dealer_helper));
  EXPECT_FALSE(equal(d.keys.dealer_evaluator, d.keys.weights));
  EXPECT_FALSE(e.keys.dealer_helper || h.keys.dealer_evaluator || h.keys.weights);
  ASSERT_EQ(e.peers.size(), 2u);
  EXPECT_EQ(e.peers[1].party, kH);
  EXPECT_EQ(e.peers[1].name, "aide");
  EXPECT_EQ(e.peers[1].tls_version, "TLSv1.3");
  EXPECT_EQ(e.peers[1].cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(e.peers[1].process_id, ::getpid());
  h.network->channel(kE, Phase::kOffline).send({}, Buffer::stored(1000));
  EXPECT_EQ(e.network->channel(kH, Phase::kOffline).receive({}, 1000).bytes(), 1000u);
}

TEST_F(OpenSession, KeysAndIdsDifferBetweenSessions) {
  std::array<Outcome, 3> first = open_all();
  for (size_t i = 0; i < 3; ++i) {
    listeners_[i] = listen_at({"127.0.0.1", 0});
    federation_.members[i].address.port = listeners_[i].port;
  }
  std::array<Outcome, 3> second = open_all();
  ASSERT_TRUE(first[0].session && second[0].session) << first[0].error << second[0].error;
  EXPECT_NE(first[0].session->id, second[0].session->id);
  EXPECT_FALSE(equal(first[0].session->keys.weights, second[0].session->keys.weights));
  EXPECT_FALSE(equal(first[0].session->keys.dealer_helper, second[0].session->keys.dealer_helper));
}

TEST_F(OpenSession, EveryPartyIsToldWhatDiffers) {
  const std::array<Digest, 3> programs = {program_, sha256("another"), program_};
  std::array<Outcome, 3> outcomes;
  std::vector<std::thread> threads;
  for (PartyId party : kAllParties) {
    const auto i = static_cast<size_t>(index_of(party));
    threads.emplace_back([&, party, i] { outcomes[i] = open(party, federation_, programs[i], options_for(party)); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Outcome& outcome : outcomes) {
    EXPECT_THAT(outcome.error, AllOf(HasSubstr("disagree. program: "), HasSubstr("party 1 (evaluator)")));
  }
}

TEST_F(OpenSession, ADifferentConfigurationIsNamed) {
  SessionOptions other = options_for(kE);
  other.config = "protocol: clear";
  std::array<Outcome, 2> outcomes;
  ::close(listeners_[2].socket);  // nobody there: what matters is that D and E disagree
  std::thread evaluator([&] { outcomes[1] = open(kE, federation_, program_, other); });
  outcomes[0] = open(kD, federation_, program_, options_for(kD));
  evaluator.join();
  EXPECT_THAT(outcomes[0].error, HasSubstr("disagree. configuration: "));
  EXPECT_THAT(outcomes[1].error, HasSubstr("disagree. configuration: "));
}

TEST_F(OpenSession, AMissingPartyIsNamedAtTheDeadline) {
  federation_.start_deadline = milliseconds(700);
  ::close(listeners_[2].socket);
  std::array<Outcome, 2> outcomes;
  std::vector<std::string> progress;
  SessionOptions telling = options_for(kD);
  telling.rendezvous.progress = [&](const std::string& text) { progress.push_back(text); };
  const auto start = std::chrono::steady_clock::now();
  std::thread evaluator([&] { outcomes[1] = open(kE, federation_, program_, options_for(kE)); });
  outcomes[0] = open(kD, federation_, program_, telling);
  evaluator.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(5));
  for (const Outcome& outcome : outcomes) {
    EXPECT_THAT(outcome.error, AllOf(HasSubstr("party 2 (helper) did not answer at 127.0.0.1:"), HasSubstr("refused")));
  }
  ASSERT_FALSE(progress.empty());
  EXPECT_THAT(progress[0], HasSubstr("waiting for party 2 (helper) at 127.0.0.1:"));
}

TEST_F(OpenSession, ThePartyThatIsCalledNamesWhoDidNotCall) {
  federation_.start_deadline = milliseconds(300);
  EXPECT_THAT(
      open(kH, federation_, program_, options_for(kH)).error,
      AllOf(HasSubstr("party 0 (dealer) did not call us at"), HasSubstr("party 1 (evaluator) did not call us")));
}

TEST_F(OpenSession, AWrongCertificateIsRejectedAtBothEnds) {
  Federation imposter = federation_;
  use_certificate(imposter.members[0], "stranger");  // D shows a certificate that E does not know
  federation_.start_deadline = milliseconds(1500);
  std::array<Outcome, 2> outcomes;
  std::thread evaluator([&] { outcomes[1] = open(kE, federation_, program_, options_for(kE)); });
  imposter.start_deadline = seconds(10);
  outcomes[0] = open(kD, imposter, program_, options_for(kD));
  evaluator.join();
  EXPECT_THAT(outcomes[0].error, HasSubstr("do not accept each other's certificates"));
  EXPECT_THAT(outcomes[1].error,
              AllOf(HasSubstr("party 0 (dealer) did not call us"), HasSubstr("Turned away: 127.0.0.1")));
}

int connect_to(uint16_t port) {
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return client;
}

TEST_F(OpenSession, StrayConnectionsNeitherHarmNorBlock) {
  // Before the parties, more strangers than are held at once: silent ones, health probes, garbage, half a TLS record.
  std::vector<int> strays;
  for (int i = 0; i < 48; ++i) {
    const int stray = connect_to(listeners_[static_cast<size_t>(1 + i % 2)].port);
    const std::string garbage = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const char half_record[] = {0x16, 0x03, 0x01, 0x40, 0x00, 0x01};
    if (i % 4 == 1) ::close(stray);
    if (i % 4 == 2) ::send(stray, garbage.data(), garbage.size(), MSG_NOSIGNAL);
    if (i % 4 == 3) ::send(stray, half_record, sizeof(half_record), MSG_NOSIGNAL);
    if (i % 4 != 1) strays.push_back(stray);
  }
  const auto start = std::chrono::steady_clock::now();
  std::array<Outcome, 3> outcomes = open_all();
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome.session) << outcome.error;
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(5));
  for (int stray : strays) ::close(stray);
}

TEST_F(OpenSession, APartyThatLeavesWhileOthersWaitIsNamed) {
  Federation impatient = federation_;
  impatient.start_deadline = milliseconds(500);
  std::array<Outcome, 2> outcomes;
  ::close(listeners_[2].socket);
  std::thread evaluator([&] { outcomes[1] = open(kE, federation_, program_, options_for(kE)); });
  outcomes[0] = open(kD, impatient, program_, options_for(kD));
  evaluator.join();
  EXPECT_THAT(outcomes[1].error, AllOf(HasSubstr("party 0 (dealer)"), HasSubstr("party 2 (helper) did not answer")));
}

TEST_F(OpenSession, MissingOwnFilesAreTheUsersToMend) {
  federation_.members[1].key.clear();
  EXPECT_THROW(open_session(federation_, kE, program_, options_for(kE)), UserError);
  for (const Listener& listener : listeners_) ::close(listener.socket);
}

TEST(Listener, AnAddressThatIsTakenIsTheUsersToMend) {
  const Listener first = listen_at({"127.0.0.1", 0});
  EXPECT_THROW(listen_at({"127.0.0.1", first.port}), UserError);
  ::close(first.socket);
}

TEST(Hello, SurvivesTheWireAndRefusesWhatIsNone) {
  Hello hello{kWireVersion, kH, Phase::kOnline, 12345, sha256("p"), sha256("c")};
  const HelloBytes bytes = encode(hello);
  const Hello read = decode(bytes);
  EXPECT_EQ(disagreement(hello, read), "");
  EXPECT_EQ(read.party, kH);
  EXPECT_EQ(read.phase, Phase::kOnline);
  EXPECT_EQ(read.process_id, 12345);
  for (size_t at : {size_t{0}, size_t{7}, size_t{12}, size_t{13}}) {  // magic, party, phase
    HelloBytes broken = bytes;
    broken[at] = std::byte{0xee};
    EXPECT_THROW(decode(broken), PeerError) << at;
  }
  HelloBytes newer = bytes;
  newer[8] = std::byte{2};
  EXPECT_THAT(disagreement(hello, decode(newer)), HasSubstr("we speak protocol version 1, it speaks 2"));
}

TEST(Hello, VerdictsAreBounded) {
  const std::vector<std::byte> stop =
      encode(Verdict{Verdict::Kind::kStop, {}, "no\x07 reason" + std::string(5000, 'x')});
  EXPECT_EQ(stop.size(), kVerdictHeadBytes + kMaxVerdictBytes);
  std::array<std::byte, kVerdictHeadBytes> head;
  std::copy_n(stop.begin(), head.size(), head.begin());
  ASSERT_EQ(verdict_length(head), kMaxVerdictBytes);
  EXPECT_THAT(decode(head, std::span(stop).subspan(head.size())).reason, testing::StartsWith("no  reason"));
  head[2] = head[3] = std::byte{0xff};
  EXPECT_THROW(verdict_length(head), PeerError);
  head = {std::byte{1}, std::byte{0}, std::byte{15}, std::byte{0}};  // ready with a short id
  EXPECT_THROW(verdict_length(head), PeerError);
}

}  // namespace
}  // namespace treville
