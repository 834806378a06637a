// treville preprocess: the offline phase of many inferences ahead of time, kept at each party; and what is left of it.
#include "run/preprocess.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/error.h"
#include "cli/command.h"
#include "cli/local_federation.h"
#include "cli/model.h"
#include "cli/party_side.h"
#include "cli/screen.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
  ModelOptions model;
  PartyOptions party;
  std::string store;
  std::optional<int> count;
  bool list = false;
};

struct Made {
  uint32_t first = 0;
  int64_t left = 0, bytes = 0;
  double handshake = 0, setup = 0, seconds = 0;
};

Json result_json(const PartySide& side, Session& session, const Made& made, int64_t count) {
  Json result = session_json(side, session);
  result["records"] = {{"made", count}, {"first", made.first}, {"left", made.left}, {"bytes", made.bytes}};
  result["seconds"] = {{"handshake", made.handshake}, {"setup", made.setup}, {"preprocessing", made.seconds}};
  add_tls(result, session);
  return result;
}

// preprocess_party is one party's side.
int preprocess_party(const Options& options) {
  const PartySide side = load_party(options.party);
  if (!side.store || !side.store->keeps()) {
    throw UserError("preprocessing fills a store: leave out --no-store, and 'store: none' in {}",
                    options.party.federation);
  }
  const int64_t count = options.count.value_or(1);
  Reporter reporter(options.party, side.program, count);
  Made made;
  auto start = Clock::now();
  Session session = meet(side, options.party, "preprocess", count);
  made.handshake = seconds_since(start);
  start = Clock::now();
  ProtocolPasses passes = set_up(side, session);
  made.setup = seconds_since(start);
  start = Clock::now();
  const std::unique_ptr<Records> records = side.store->records(session.program, session.model);
  PreprocessOptions work;
  work.first = made.first = agree_first(session, *records);
  work.count = count;
  work.observe = [&](int64_t record, Phase) { return reporter.observer(true, record); };
  if (session.self == PartyId::kEvaluator) {
    work.done = [&](int64_t done) { reporter.show(done * reporter.steps(), fmt::format("record {}", done)); };
  }
  preprocess("porthos", session, passes, side.program, *records, work);
  made.seconds = seconds_since(start);
  made.left = records->left();
  made.bytes = records->bytes();
  reporter.finish();
  if (options.party.json) {
    print_json(result_json(side, session, made, count));
    return kSuccess;
  }
  fmt::print("{}: party {} ({}), {} inference{} preprocessed in {}\n\n", side.program.model, session.self,
             side.federation.member(session.self).name, count, count == 1 ? "" : "s", human_seconds(made.seconds));
  fmt::print("  weights  {}\n", weights_text(side, session));
  fmt::print("  left     {} ({}) in {}\n", made.left, human_bytes(made.bytes), side.store->folder());
  fmt::print("\nNext: treville party --preprocessed, at all three parties\n");
  return kSuccess;
}

Json rows_json(PartyId party, const Store& store) {
  Json rows = Json::array();
  for (const Store::RecordFolder& row : store.list()) {
    rows.push_back({{"party", index_of(party)},
                    {"program", hex(row.program)},
                    {"model_id", hex(row.model)},
                    {"left", row.left},
                    {"bytes", row.bytes}});
  }
  return rows;
}

// list_records shows what is left in one party's store, or in the three of a local folder.
int list_records(const Options& options) {
  Json rows = Json::array();
  const auto add = [&](PartyId party, const std::string& folder, const std::string& key) {
    if (!fs::is_directory(folder) || !fs::exists(key)) {
      throw UserError("{}: there is no store. `treville preprocess` makes one.", folder);
    }
    for (Json& row : rows_json(party, Store(folder, key, party))) rows.push_back(std::move(row));
  };
  if (!options.party.federation.empty()) {
    const Federation federation = load_federation(options.party.federation);
    const Member& member = federation.member(find_member(federation, options.party.id));
    add(member.id, member.store, member.storage_key);
  } else {
    for (const PartyId party : kAllParties) {
      const LocalStore local = local_store(options.store, party);
      add(party, local.folder, local.key);
    }
  }
  if (options.party.json) {
    print_json({{"records", rows}});
    return kSuccess;
  }
  Table table({"party", "program", "model", "left", "size"});
  table.left(1);
  table.left(2);
  for (const Json& row : rows) {
    table.add({std::to_string(row["party"].get<int>()), row["program"].get<std::string>().substr(0, 12),
               row["model_id"].get<std::string>().substr(0, 12), std::to_string(row["left"].get<int64_t>()),
               human_bytes(row["bytes"].get<int64_t>())});
  }
  fmt::print("{}", table.text());
  return kSuccess;
}

// preprocess_here runs the three parties as processes of this machine, for `treville run --preprocessed`.
int preprocess_here(const Options& options) {
  CompiledModel model = compile_model(options.model);
  const int count = options.count.value_or(1);
  const Weights weights{random_model_id(), std::move(model.compiled.constants)};
  LocalJob job;
  job.command = "preprocess";
  job.program = &model.compiled.program;
  job.weights = &weights;
  job.count = count;
  job.store = options.store;
  LocalResult local;
  {
    Progress progress(options.party.json);
    local = run_local_parties(
        job, [&](int64_t done, int64_t total, const std::string& what) { progress.show(done, total, what); });
  }
  if (options.party.json) {
    print_json({{"model", model.compiled.program.model},
                {"program", local.parties[0]["program"]},
                {"count", count},
                {"seconds", local.seconds},
                {"processes", local.parties}});
    return kSuccess;
  }
  fmt::print("{} inference{} of {} preprocessed in {}\n\n", count, count == 1 ? "" : "s", model.compiled.program.model,
             human_seconds(local.parties[1]["seconds"]["preprocessing"].get<double>()));
  Table table({"party", "left", "size"});
  static constexpr const char* kRoles[] = {"0 client, dealer", "1 model owner", "2 helper"};
  for (size_t i = 0; i < 3; ++i) {
    const Json& records = local.parties[i]["records"];
    table.add(
        {kRoles[i], std::to_string(records["left"].get<int64_t>()), human_bytes(records["bytes"].get<int64_t>())});
  }
  fmt::print("{}", table.text());
  fmt::print("\nNext: treville run MODEL --input FILE --preprocessed --store {}, with the same options\n",
             options.store);
  return kSuccess;
}

int preprocess_command(const Options& options) {
  const bool is_party = !options.party.id.empty() || !options.party.federation.empty();
  if (is_party && (options.party.id.empty() || options.party.federation.empty())) {
    throw UserError("--id and --federation go together");
  }
  if (is_party == !options.store.empty()) {
    throw UserError(
        "give --id and --federation to be one party of a federation, or --store for three parties on this machine");
  }
  if (options.list) return list_records(options);
  if (is_party && options.party.program.empty()) throw UserError("--program is missing");
  if (is_party && !options.model.model.empty()) {
    throw UserError("{}: a party takes --program, which `treville compile` writes, and no model", options.model.model);
  }
  if (!is_party && options.model.model.empty()) throw UserError("MODEL is missing");
  return is_party ? preprocess_party(options) : preprocess_here(options);
}

}  // namespace

Command add_preprocess(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app = new_command(
      root, "preprocess", "The offline phase of many inferences ahead of time; or how much of it is left",
      "Examples:\n"
      "  treville preprocess model.onnx --calibrate photos/ --count 10 --store kept   # three parties on this machine\n"
      "  treville run model.onnx --calibrate photos/ --input photo.jpg --preprocessed --store kept\n"
      "  treville preprocess --list --store kept\n"
      "  treville preprocess --id 2 --federation federation.yaml --program program.treville --count 10\n"
      "  treville preprocess --id 2 --federation federation.yaml --list\n\n"
      "Everything that does not depend on an input is computed and kept at each party, sealed; `--preprocessed` then\n"
      "runs the online phase alone. A preprocessed inference is used once: before its first message every party\n"
      "erases the key of its record.",
      options->party.json);
  options->model.add_to(*app);
  app->get_option("MODEL")->required(false);
  options->party.add_to(*app);
  app->add_option("--store", options->store, "The folder of three local parties' stores");
  app->add_option("--count", options->count, "How many inferences (all parties must agree; default 1)")
      ->check(CLI::Range(1, 1'000'000));
  app->add_flag("--list", options->list, "Show how many preprocessed inferences are left");
  return {app, [options] { return preprocess_command(*options); }};
}

}  // namespace treville::cli
