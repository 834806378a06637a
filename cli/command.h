// A command is one verb of `treville`: its options on a CLI11 subcommand and the action that runs it. Each verb has a
// file of its own; main.cc is the table.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace treville::cli {

using Json = nlohmann::ordered_json;

// Exit codes, documented in docs/errors.md and stable.
enum ExitCode : int {
  kSuccess = 0,
  kDisagreement = 1,
  kUserError = 2,
  kPeerError = 3,
  kAttestationError = 4,
  kInternalError = 70,
  kInterrupted = 130,
};

// Interrupted: the user stopped the command, and it has cleaned up.
struct Interrupted {};

struct Command {
  CLI::App* app = nullptr;
  std::function<int()> action;
};

// new_command adds a subcommand with --json; `help` is its text: examples first, then what it does.
CLI::App* new_command(CLI::App& root, const std::string& name, const std::string& summary, const std::string& help,
                      bool& json);

// print_json writes the one object of --json to stdout.
void print_json(const Json& object);

// error_json is what --json prints when a command fails.
Json error_json(int code, const std::string& kind, const std::string& message);

Command add_run(CLI::App& root);
Command add_demo(CLI::App& root);
Command add_inspect(CLI::App& root);
Command add_compile(CLI::App& root);
Command add_calibrate(CLI::App& root);
Command add_plan(CLI::App& root);
Command add_party(CLI::App& root);
Command add_compare(CLI::App& root);
Command add_eval(CLI::App& root);
Command add_tune(CLI::App& root);
Command add_keys(CLI::App& root);
Command add_preprocess(CLI::App& root);

}  // namespace treville::cli
