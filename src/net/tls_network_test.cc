// TlsNetwork on loopback: parties are threads, connections are real. The helpers join sockets by hand; how parties find
// each other is tested with open_session.
#include "net/tls_network.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "net/faulty_network.h"
#include "net/local_network.h"
#include "party/keys.h"

namespace treville {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using Networks = std::array<std::unique_ptr<Network>, 3>;

constexpr PartyId kD = PartyId::kDealer, kE = PartyId::kEvaluator, kH = PartyId::kHelper;

struct Identity {
  TlsContext context;
  Digest fingerprint;
};

// identities are the keys of four parties, the last a stranger; made once.
const std::vector<Identity>& identities() {
  static const std::vector<Identity> made = [] {
    char directory[] = "/tmp/treville_tls_XXXXXX";
    CHECK(mkdtemp(directory) != nullptr, "no temporary directory");
    std::vector<Identity> list;
    for (const PartyFiles& files : make_keys(directory, {"dealer", "evaluator", "helper", "stranger"})) {
      list.push_back({TlsContext(files.certificate, files.key), certificate_fingerprint(files.certificate)});
    }
    std::filesystem::remove_all(directory);
    return list;
  }();
  return made;
}

// connected_sockets are the two ends of a TCP connection over loopback, on a port of the system's choice.
std::array<int, 2> connected_sockets(int buffer_bytes = 0) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  set_socket_buffers(listener, buffer_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  CHECK(::bind(listener, generic, length) == 0 && ::listen(listener, 1) == 0 &&
            ::getsockname(listener, generic, &length) == 0,
        "no port on loopback");
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  set_socket_buffers(client, buffer_bytes);
  CHECK(::connect(client, generic, length) == 0, "loopback does not connect");
  const int server = ::accept(listener, nullptr, nullptr);
  ::close(listener);
  return {client, server};
}

// complete runs a non-blocking step of a stream to its end.
TlsStream::Status complete(TlsStream& stream, const std::function<TlsStream::Result()>& step) {
  while (true) {
    const TlsStream::Status status = step().status;
    if (status != TlsStream::Status::kWantRead && status != TlsStream::Status::kWantWrite) return status;
    const short events = status == TlsStream::Status::kWantRead ? POLLIN : POLLOUT;
    pollfd descriptor{stream.socket(), events, 0};
    ::poll(&descriptor, 1, 5000);
  }
}

std::array<TlsStream, 2> connected_streams(PartyId client, PartyId server, int buffer_bytes = 0) {
  const auto c = static_cast<size_t>(index_of(client)), s = static_cast<size_t>(index_of(server));
  const std::array<int, 2> sockets = connected_sockets(buffer_bytes);
  std::array<TlsStream, 2> ends = {
      TlsStream(identities()[c].context, sockets[0], TlsStream::Side::kClient, {identities()[s].fingerprint}),
      TlsStream(identities()[s].context, sockets[1], TlsStream::Side::kServer, {identities()[c].fingerprint})};
  std::thread other([&] { complete(ends[1], [&] { return ends[1].handshake(); }); });
  EXPECT_EQ(complete(ends[0], [&] { return ends[0].handshake(); }), TlsStream::Status::kDone);
  other.join();
  return ends;
}

struct Sockets {
  int fd[3][3][2];  // of party, to peer, offline and online: for tests that cut them
};

std::array<std::unique_ptr<TlsNetwork>, 3> connect_three(const TlsNetworkOptions& options, int buffer_bytes = 0,
                                                         Sockets* sockets = nullptr) {
  std::array<std::vector<TlsPeer>, 3> peers;
  for (PartyId a : kAllParties) {
    for (PartyId b : kAllParties) {
      if (a >= b) continue;
      auto offline = connected_streams(a, b, buffer_bytes), online = connected_streams(a, b, buffer_bytes);
      if (sockets != nullptr) {
        auto& fd = sockets->fd;
        fd[index_of(a)][index_of(b)][0] = offline[0].socket(), fd[index_of(b)][index_of(a)][0] = offline[1].socket();
        fd[index_of(a)][index_of(b)][1] = online[0].socket(), fd[index_of(b)][index_of(a)][1] = online[1].socket();
      }
      peers[static_cast<size_t>(index_of(a))].push_back({b, std::move(offline[0]), std::move(online[0])});
      peers[static_cast<size_t>(index_of(b))].push_back({a, std::move(offline[1]), std::move(online[1])});
    }
  }
  std::array<std::unique_ptr<TlsNetwork>, 3> ends;
  for (PartyId party : kAllParties) {
    const auto i = static_cast<size_t>(index_of(party));
    ends[i] = std::make_unique<TlsNetwork>(party, std::move(peers[i]), options);
  }
  return ends;
}

template <class Ends>
Network& at(Ends& ends, PartyId party) {
  return *ends[static_cast<size_t>(index_of(party))];
}

Buffer pattern(size_t bytes, uint32_t seed) {
  Buffer buffer = Buffer::stored(bytes);
  for (size_t i = 0; i < bytes; ++i) buffer.data()[i] = static_cast<std::byte>((seed * 2654435761u + i * 40503u) >> 7);
  return buffer;
}

bool equal(const Buffer& a, const Buffer& b) {
  return a.bytes() == b.bytes() && (a.bytes() == 0 || std::memcmp(a.data(), b.data(), a.bytes()) == 0);
}

template <class F>
std::string peer_error_of(F&& f) {
  try {
    f();
  } catch (const PeerError& error) {
    return error.what();
  }
  return "no PeerError";
}

const std::vector<size_t> kSizes = {0, 1, 15, 16, 1000, 16383, 16384, 16385, 40000, 65536, 300001, 1 << 20};

// exchange sends frames of all sizes from D to E in every phase, and back online.
template <class Ends>
void exchange(Ends& ends) {
  std::thread sender([&] {
    uint32_t step = 0;
    for (Phase phase : {Phase::kSetup, Phase::kOffline, Phase::kOnline}) {
      for (size_t bytes : kSizes) {
        at(ends, kD).channel(kE, phase).send({1, step, 2, 3}, pattern(bytes, step));
        ++step;
      }
    }
  });
  uint32_t step = 0;
  for (Phase phase : {Phase::kSetup, Phase::kOffline, Phase::kOnline}) {
    for (size_t bytes : kSizes) {
      EXPECT_TRUE(equal(at(ends, kE).channel(kD, phase).receive({1, step, 2, 3}, bytes), pattern(bytes, step)));
      ++step;
    }
  }
  at(ends, kE).channel(kD, Phase::kOnline).send({}, pattern(100, 9));
  EXPECT_TRUE(equal(at(ends, kD).channel(kE, Phase::kOnline).receive({}, 100), pattern(100, 9)));
  sender.join();
}

TEST(TlsStream, SpeaksOnlyTls13WithAes128AndSeesThePeersName) {
  const std::array<TlsStream, 2> ends = connected_streams(kD, kH);
  EXPECT_EQ(ends[0].version(), "TLSv1.3");
  EXPECT_EQ(ends[0].cipher(), "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(ends[0].peer_name(), "helper");
  EXPECT_EQ(ends[1].peer_name(), "dealer");
  EXPECT_THAT(ends[0].peer_address(), HasSubstr("127.0.0.1:"));
}

TEST(TlsStream, ExportedKeysAgreeAtBothEndsAndDifferByLabelContextAndConnection) {
  const std::array<TlsStream, 2> first = connected_streams(kD, kE), second = connected_streams(kD, kE);
  const auto key = [](const TlsStream& stream, const char* name, std::string_view context) {
    return hex(stream.export_key(name, std::as_bytes(std::span(context))).bytes());
  };
  const std::string reference = key(first[0], "EXPORTER-a", "x");
  EXPECT_EQ(reference, key(first[1], "EXPORTER-a", "x"));
  EXPECT_NE(reference, key(first[0], "EXPORTER-b", "x"));
  EXPECT_NE(reference, key(first[0], "EXPORTER-a", "y"));
  EXPECT_NE(reference, key(second[0], "EXPORTER-a", "x"));
}

TEST(TlsStream, RefusesACertificateItWasNotToldOf) {
  const std::array<int, 2> sockets = connected_sockets();
  TlsStream client(identities()[3].context, sockets[0], TlsStream::Side::kClient, {identities()[1].fingerprint});
  TlsStream server(identities()[1].context, sockets[1], TlsStream::Side::kServer, {identities()[0].fingerprint});
  std::thread other([&] {
    // The client's own handshake completes in TLS 1.3; it learns of the refusal when it reads.
    std::byte byte;
    complete(client, [&] { return client.handshake(); });
    EXPECT_EQ(complete(client, [&] { return client.read({&byte, 1}); }), TlsStream::Status::kRefused);
    EXPECT_THAT(client.problem(), HasSubstr("alert"));
  });
  EXPECT_EQ(complete(server, [&] { return server.handshake(); }), TlsStream::Status::kRefused);
  server = TlsStream();
  other.join();
}

TEST(TlsStream, CarriesOnWithANewKey) {
  std::array<TlsStream, 2> ends = connected_streams(kD, kE);
  for (int round = 0; round < 3; ++round) {
    const Buffer sent = pattern(5000, 1);
    std::vector<std::byte> got(5000);
    EXPECT_EQ(ends[0].write(sent.as<std::byte>()).bytes, 5000u);
    EXPECT_EQ(ends[0].flush().status, TlsStream::Status::kDone);
    size_t bytes = 0;
    EXPECT_EQ(complete(ends[1],
                       [&] {
                         const TlsStream::Result result = ends[1].read(got);
                         bytes = result.bytes;
                         return result;
                       }),
              TlsStream::Status::kDone);
    EXPECT_EQ(bytes, 5000u);
    EXPECT_EQ(std::memcmp(got.data(), sent.data(), 5000), 0);
    ends[0].rekey();
  }
}

TEST(TlsNetwork, CarriesFramesOfEverySizeAndCountsThemLikeTheMemoryOne) {
  auto tls = connect_three({.keep_transcript = true});
  auto memory = make_local_networks({.keep_transcript = true});
  exchange(tls);
  exchange(memory);
  int64_t bytes = 0;
  for (Phase phase : {Phase::kSetup, Phase::kOffline, Phase::kOnline}) {
    EXPECT_EQ(at(tls, kD).transcript(kE, phase), at(memory, kD).transcript(kE, phase)) << name_of(phase);
    EXPECT_EQ(at(tls, kD).channel(kE, phase).sent(), at(memory, kD).channel(kE, phase).sent());
    EXPECT_EQ(at(tls, kE).channel(kD, phase).received(), at(tls, kD).channel(kE, phase).sent());
    bytes += at(tls, kD).channel(kE, phase).sent().bytes;
  }
  const TlsStats stats = tls[0]->stats();
  EXPECT_EQ(stats.frames_sent, bytes);
  EXPECT_EQ(tls[1]->stats().frames_received, bytes);
  EXPECT_GT(stats.raw_sent, bytes);
  EXPECT_LT(stats.raw_sent, bytes + bytes / 50 + 20000);  // records cost 22 bytes in 16 KiB, handshakes a few KB each
  EXPECT_GT(stats.handshake_bytes, 4000);
}

// The pattern of the protocol over the smallest buffers: both directions at once, bounded queues of one block, delay.
TEST(TlsNetwork, ProtocolPatternDoesNotDeadlockWithTinyBuffersAndDelay) {
  auto tls = connect_three({.offline_queue_bytes = 1}, 8192);
  Networks ends = {std::move(tls[0]), std::move(tls[1]), std::move(tls[2])};
  ends[2] = make_faulty_network(std::move(ends[2]), {Fault::Kind::kDelay, kE, Phase::kOnline, 3, milliseconds(200)});
  constexpr uint32_t kBlocks = 24;
  constexpr size_t kBytes = 100000;
  const auto stream = [&](PartyId from, PartyId to) {
    for (uint32_t i = 0; i < kBlocks; ++i) at(ends, from).channel(to, Phase::kOffline).send({0, i}, pattern(kBytes, i));
  };
  const auto online = [&](PartyId self, PartyId peer, PartyId source) {
    for (uint32_t i = 0; i < kBlocks; ++i) {
      at(ends, self).channel(peer, Phase::kOnline).send({0, i}, pattern(kBytes, i));
      EXPECT_TRUE(equal(at(ends, self).channel(source, Phase::kOffline).receive({0, i}, kBytes), pattern(kBytes, i)));
      EXPECT_TRUE(equal(at(ends, self).channel(peer, Phase::kOnline).receive({0, i}, kBytes), pattern(kBytes, i)));
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back(stream, kD, kH);
  threads.emplace_back(stream, kH, kE);
  threads.emplace_back(online, kH, kE, kD);
  online(kE, kH, kH);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(at(ends, kE).channel(kH, Phase::kOffline).received().messages, kBlocks);
}

TEST(TlsNetwork, OfflineSendBlocksWhenNobodyReadsAndOnlineDoesNot) {
  auto ends = connect_three({.offline_queue_bytes = 100000}, 8192);
  for (int i = 0; i < 40; ++i) at(ends, kD).channel(kE, Phase::kOnline).send({}, Buffer::stored(100000));
  std::atomic<int> sent{0};
  std::thread sender([&] {
    for (int i = 0; i < 40; ++i, ++sent) at(ends, kD).channel(kE, Phase::kOffline).send({}, pattern(100000, 0));
  });
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_LT(sent, 20);
  for (int i = 0; i < 40; ++i) at(ends, kE).channel(kD, Phase::kOffline).receive({}, 100000);
  sender.join();
  EXPECT_EQ(sent, 40);
}

TEST(TlsNetwork, WhatAPartySentBeforeItLeftStillArrives) {
  auto ends = connect_three({}, 8192);
  for (uint32_t i = 0; i < 10; ++i) at(ends, kD).channel(kE, Phase::kOffline).send({0, i}, pattern(200000, i));
  std::thread leaving([&] { ends[0].reset(); });
  for (uint32_t i = 0; i < 10; ++i) {
    EXPECT_TRUE(equal(at(ends, kE).channel(kD, Phase::kOffline).receive({0, i}, 200000), pattern(200000, i)));
  }
  leaving.join();
  EXPECT_THAT(peer_error_of([&] { at(ends, kE).channel(kD, Phase::kOnline).receive({}, 1); }),
              HasSubstr("party 0 (dealer) left the session while we were waiting for it"));
}

TEST(TlsNetwork, AbortTellsEveryPartyTheReason) {
  auto ends = connect_three({});
  at(ends, kE).set_step_name(Phase::kOffline, "step 12 relu conv1");
  std::string evaluator, own;
  std::thread waiting_e(
      [&] { evaluator = peer_error_of([&] { at(ends, kE).channel(kD, Phase::kOffline).receive({}, 1); }); });
  std::thread waiting_h([&] { own = peer_error_of([&] { at(ends, kH).channel(kD, Phase::kOnline).receive({}, 1); }); });
  std::this_thread::sleep_for(milliseconds(50));
  at(ends, kH).abort("the disk\x1b is full");
  waiting_e.join();
  waiting_h.join();
  EXPECT_EQ(
      evaluator,
      "party 1 (evaluator), offline, step 12 relu conv1: party 2 (helper) stopped the session: the disk  is full");
  EXPECT_THAT(own, HasSubstr("the disk"));
  EXPECT_THAT(peer_error_of([&] { at(ends, kD).channel(kE, Phase::kOnline).receive({}, 1); }),
              HasSubstr("party 2 (helper) stopped the session"));
}

TEST(TlsNetwork, UnexpectedFrameNamesBothAndReachesTheOthers) {
  auto ends = connect_three({});
  at(ends, kD).channel(kE, Phase::kOnline).send({1, 11}, pattern(4, 0));
  at(ends, kE).set_step_name(Phase::kOnline, "step 12 relu conv1");
  EXPECT_THAT(peer_error_of([&] {
                at(ends, kE).channel(kD, Phase::kOnline).receive({1, 12}, 8);
              }),
              AllOf(HasSubstr("step 12 relu conv1: expected inference 1, step 12"),
                    HasSubstr("got inference 1, step 11"), HasSubstr("different programs or versions")));
  EXPECT_THAT(peer_error_of([&] { at(ends, kH).channel(kD, Phase::kOffline).receive({}, 1); }),
              HasSubstr("party 1 (evaluator), online, step 12 relu conv1: expected"));
}

TEST(TlsNetwork, AFrameLongerThanAllowedIsRefusedBeforeItIsRead) {
  auto ends = connect_three({.max_frame_bytes = 1000});
  at(ends, kD).channel(kE, Phase::kOnline).send({}, pattern(1001, 0));
  EXPECT_THAT(peer_error_of([&] { at(ends, kE).channel(kD, Phase::kOnline).receive({}, 1001); }),
              HasSubstr("announced a frame of 1001 bytes, at most 1000"));
}

TEST(TlsNetwork, AKilledPeerIsNamedWithTheStep) {
  Sockets sockets;
  auto ends = connect_three({}, 0, &sockets);
  at(ends, kE).set_step_name(Phase::kOnline, "step 3 linear fc");
  // The kernel closes all connections of a killed process; shutting them down does the same from here.
  for (int peer : {0, 1}) {
    for (int connection : {0, 1}) ::shutdown(sockets.fd[2][peer][connection], SHUT_RDWR);
  }
  EXPECT_THAT(peer_error_of([&] { at(ends, kE).channel(kH, Phase::kOnline).receive({}, 1); }),
              AllOf(HasSubstr("party 1 (evaluator), online, step 3 linear fc"), HasSubstr("party 2 (helper)"),
                    HasSubstr("lost")));
}

TEST(TlsNetwork, ASilentPeerIsNoticedByItsMissingHeartbeatsAndABusyOneIsNot) {
  const TlsNetworkOptions lively = {.heartbeat = milliseconds(50), .liveness = milliseconds(400)};
  auto ends = connect_three(lively);
  std::thread busy([&] {  // computes for longer than the liveness limit
    std::this_thread::sleep_for(milliseconds(900));
    at(ends, kD).channel(kE, Phase::kOnline).send({}, pattern(5, 0));
  });
  EXPECT_TRUE(equal(at(ends, kE).channel(kD, Phase::kOnline).receive({}, 5), pattern(5, 0)));
  busy.join();
  EXPECT_GT(ends[0]->stats().heartbeats, 10);
  EXPECT_EQ(ends[0]->stats().frames_sent, 21);  // heartbeats are not frames of the session

  // A peer that is connected and never says anything: nobody serves the other end of these streams.
  auto offline = connected_streams(kD, kE), online = connected_streams(kD, kE);
  std::vector<TlsPeer> peers;
  peers.push_back({kE, std::move(offline[0]), std::move(online[0])});
  TlsNetwork alone(kD, std::move(peers), lively);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(peer_error_of([&] { alone.channel(kE, Phase::kOffline).receive({}, 1); }),
              HasSubstr("party 1 (evaluator) gave no sign of life for 0."));
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(1500));
}

TEST(FaultyNetwork, EveryFaultBecomesAPeerErrorAtTheReceiver) {
  const auto error_with = [](Fault::Kind kind) {
    Networks ends = make_local_networks({.deadline = milliseconds(150)});
    ends[0] = make_faulty_network(std::move(ends[0]), {kind, kE, Phase::kOnline, 1, milliseconds(300)});
    std::thread sender([&] {
      try {
        for (uint32_t i = 0; i < 3; ++i) at(ends, kD).channel(kE, Phase::kOnline).send({0, i}, pattern(10, i));
      } catch (const PeerError&) {
      }
    });
    const std::string text = peer_error_of([&] {
      for (uint32_t i = 0; i < 3; ++i) at(ends, kE).channel(kD, Phase::kOnline).receive({0, i}, 10);
    });
    sender.join();
    return text;
  };
  EXPECT_THAT(error_with(Fault::Kind::kDrop), HasSubstr("expected inference 0, step 1, part 0, block 0, 10 bytes"));
  EXPECT_THAT(error_with(Fault::Kind::kTruncate), HasSubstr("block 0, 9 bytes"));
  EXPECT_THAT(error_with(Fault::Kind::kCorruptTag), HasSubstr("got inference 0, step 2"));
  EXPECT_THAT(error_with(Fault::Kind::kClose), HasSubstr("party 0 (dealer) stopped the session"));
  EXPECT_THAT(error_with(Fault::Kind::kStall), HasSubstr("no sign of life"));
  EXPECT_THAT(error_with(Fault::Kind::kDelay), HasSubstr("no sign of life"));
}

}  // namespace
}  // namespace treville
