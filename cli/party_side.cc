#include "cli/party_side.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "net/tls_network.h"
#include "party/open_session.h"
#include "program/digest.h"
#include "program/text.h"
#include "run/local_run.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

fs::path in_folder(const std::string& path, const char* file) {
  return fs::is_directory(path) ? fs::path(path) / file : fs::path(path);
}

Json peers_json(const Session& session) {
  Json peers = Json::array();
  for (const PeerInfo& peer : session.peers) {
    peers.push_back({{"party", index_of(peer.party)},
                     {"name", peer.name},
                     {"address", peer.address},
                     {"tls", peer.tls_version},
                     {"cipher", peer.cipher},
                     {"pid", peer.process_id}});
  }
  return peers;
}

Json traffic_json(const Session& session) {
  Json rows = Json::array();
  for (const TrafficRow& row : session.network->sent_traffic()) {
    if (row.traffic.messages == 0) continue;
    rows.push_back({{"to", index_of(row.to)},
                    {"phase", name_of(row.phase)},
                    {"messages", row.traffic.messages},
                    {"bytes", row.traffic.bytes}});
  }
  return rows;
}

// weight_bytes is what the owner of the weights sent of them in this session.
int64_t weight_bytes(const PartySide& side, const Session& session) {
  if (session.self != PartyId::kEvaluator || session.weights_kept || session.online_only) return 0;
  int64_t bytes = 0;
  for (const WeightSpec& spec : weight_specs(side.program)) {
    bytes += weight_shape(spec.map).elements() * bytes_of(spec.ring);
  }
  return bytes;
}

}  // namespace

void PartyOptions::add_to(CLI::App& app) {
  app.add_option("--id", id, "0, 1 or 2, or the party's name in the federation file");
  app.add_option("--federation", federation, "The federation file (YAML)");
  app.add_option("--program", program, "program.treville, or the folder `treville compile` wrote");
  app.add_option("--weights", weights, "weights.treville (party 1; default: beside the program)");
  app.add_flag("--no-store", no_store, "Keep nothing between sessions (all parties must agree)");
  app.add_flag("--progress-json", progress_json, "Progress as JSON lines on stderr");
}

std::shared_ptr<Store> member_store(const Member& member) {
  if (member.store.empty() || member.key.empty() || !fs::exists(member.key)) return std::make_shared<Store>(member.id);
  return std::make_shared<Store>(member.store, member.storage_key, member.id);
}

PartySide load_party(const PartyOptions& options) {
  PartySide side;
  side.federation = load_federation(options.federation);
  side.self = find_member(side.federation, options.id);
  const fs::path program_path = in_folder(options.program, "program.treville");
  side.program = read_program(program_path);
  if (side.self == PartyId::kEvaluator) {
    const fs::path weights =
        options.weights.empty() ? program_path.parent_path() / "weights.treville" : fs::path(options.weights);
    side.weights = read_weights(weights, side.program);
  } else if (!options.weights.empty()) {
    throw UserError("--weights: party 1 owns the model; party {} must not have its weights", side.self);
  }
  if (!options.no_store) side.store = member_store(side.federation.member(side.self));
  return side;
}

// Parties compare a digest of the configuration, which tells nobody what differs: the number of inputs is what people
// get wrong, so this party says its own.
Session meet(const PartySide& side, const PartyOptions& options, const std::string& mode, int64_t count) {
  SessionOptions session_options;
  session_options.config = fmt::format("protocol=porthos {}={}{}", mode, count, side.store ? " store" : "");
  if (!options.json && !options.progress_json) {
    session_options.rendezvous.progress = [](const std::string& line) { fmt::print(stderr, "  {}\n", line); };
  }
  try {
    Session session = open_session(side.federation, side.self, digest(side.program), session_options);
    session.store = side.store;
    if (side.self == PartyId::kEvaluator) session.model = side.weights.id;
    return session;
  } catch (const PeerError& error) {
    const std::string message = error.what();
    if (message.find("configuration") == std::string::npos) throw;
    throw PeerError(
        "{}. Party {} runs porthos on {} input{}: --count must be the same at all parties, and so must the command, "
        "--preprocessed and --no-store (here: {}{})",
        message, side.self, count, count == 1 ? "" : "s", mode, side.store ? "" : ", --no-store");
  }
}

ProtocolPasses set_up(const PartySide& side, Session& session) {
  const bool owns_weights = session.self == PartyId::kEvaluator;
  std::vector<const RingTensor*> weights;
  if (owns_weights) weights = weight_pointers(side.program, side.weights.constants);
  return set_up_protocol("porthos", session, weight_specs(side.program), owns_weights ? &weights : nullptr);
}

Reporter::Reporter(const PartyOptions& options, const Program& program, int64_t count)
    : progress_(options.json || options.progress_json),
      as_json_(options.progress_json),
      steps_(static_cast<int64_t>(program.steps.size())),
      total_(steps_ * count) {}

StepObserver Reporter::observer(bool shows, int64_t inference) {
  StepObserver observer;
  if (!shows) return observer;
  observer.after = [this, inference](StepId id, const Step& step, const Shared*) {
    show(inference * steps_ + index_of(id) + 1, fmt::format("{} {}", name_of(step.body), step.layer));
  };
  return observer;
}

void Reporter::show(int64_t done, const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (!as_json_) {
    progress_.show(done, total_, what);
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (done < total_ && now - last_ < std::chrono::milliseconds(40)) return;
  last_ = now;
  fmt::print(stderr, "{}\n", Json({{"done", done}, {"total", total_}, {"what", what}}).dump());
  std::fflush(stderr);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int64_t largest_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

Json session_json(const PartySide& side, const Session& session) {
  Json result = {{"party", index_of(session.self)},
                 {"name", side.federation.member(session.self).name},
                 {"pid", getpid()},
                 {"model", side.program.model},
                 {"program", hex(session.program)},
                 {"protocol", "porthos"},
                 {"session", hex(session.id)},
                 {"peers", peers_json(session)},
                 {"traffic", traffic_json(session)},
                 {"weights",
                  {{"kept", session.weights_kept},
                   {"needed", session.self == PartyId::kEvaluator || !session.online_only},
                   {"bytes", weight_bytes(side, session)}}}};
  if (session.store) {
    result["model_id"] = hex(session.model);
    result["notes"] = session.store->weights().notes();
  }
  return result;
}

std::string weights_text(const PartySide& side, const Session& session) {
  if (session.online_only && session.self != PartyId::kEvaluator) return "not needed: the records hold what follows";
  if (session.online_only) return "not sent: the records hold what follows, 0 B";
  if (session.weights_kept) return "kept from an earlier session, 0 B sent";
  const int64_t bytes = weight_bytes(side, session);
  return bytes > 0 ? fmt::format("shared in this session, {} sent", human_bytes(bytes)) : "shared in this session";
}

void add_tls(Json& result, Session& session) {
  auto* tls = dynamic_cast<TlsNetwork*>(session.network.get());
  if (tls == nullptr) return;
  tls->flush();
  const TlsStats stats = tls->stats();
  result["tls"] = {{"raw_sent", stats.raw_sent},
                   {"raw_received", stats.raw_received},
                   {"frames_sent", stats.frames_sent},
                   {"frames_received", stats.frames_received},
                   {"handshake_bytes", stats.handshake_bytes},
                   {"heartbeats", stats.heartbeats}};
}

}  // namespace treville::cli
