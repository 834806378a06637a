// treville: secure inference of trained models between parties that do not trust each other. This file is the table
// of commands and the one place where errors become messages and exit codes.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/command.h"

namespace treville::cli {
namespace {

// Secrets of a party must not reach a core file or another process of the user.
void harden_process() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is an error of the write
  // Tensors come and go at the same sizes: keep their memory instead of returning it to the system each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

// printable replaces control characters: a message may quote a damaged file, which must not reach the terminal raw.
std::string printable(std::string text) {
  for (char& c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) c = '?';
  }
  return text;
}

int fail(bool json, int code, const std::string& kind, const std::string& message) {
  try {
    if (json) print_json(error_json(code, kind, message));
    fmt::print(stderr, "treville: {}\n", printable(message));
  } catch (const std::system_error&) {
    // Nobody reads: the exit code is all that is left to say.
  }
  return code;
}

// flush_output makes a full disk or a closed pipe an error instead of a lost result.
void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw UserError("cannot write the result to stdout: {}", std::strerror(errno));
  }
}

// unknown_names says which argument was not understood and what it may have meant.
std::string unknown_names(const CLI::App& app, const std::vector<std::string>& extras) {
  if (extras.empty()) return "unknown arguments";
  const std::string& name = extras.front();
  std::vector<std::string> held;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& known : option->get_lnames()) held.push_back("--" + known);
  }
  if (name.rfind("-", 0) != 0) {
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
      held.push_back(sub->get_name());
  }
  const std::vector<std::string_view> known(held.begin(), held.end());
  const std::string_view best = closest(name.substr(0, name.find('=')), known);
  std::string text = fmt::format("unknown {} '{}'", name.rfind("-", 0) == 0 ? "option" : "argument", name);
  if (!best.empty()) text += fmt::format("; did you mean '{}'?", best);
  if (best.empty()) text += ".";
  return text +
         fmt::format(" See treville {}{}--help.", app.get_parent() ? app.get_name() : "", app.get_parent() ? " " : "");
}

int run_command(int argc, char** argv) {
  CLI::App root("Secure inference of trained models between parties that do not trust each other.");
  root.name("treville");
  root.set_version_flag("--version", "treville " TREVILLE_VERSION);
  root.require_subcommand(1);
  root.fallthrough(false);
  const std::vector<Command> commands = {add_demo(root),      add_run(root),  add_inspect(root), add_compile(root),
                                         add_calibrate(root), add_plan(root), add_compare(root), add_eval(root),
                                         add_tune(root),      add_keys(root), add_party(root),   add_preprocess(root)};
  bool json = false;
  for (int i = 1; i < argc; ++i) json = json || std::strcmp(argv[i], "--json") == 0;
  const auto parsed_app = [&]() -> const CLI::App& {
    for (const Command& command : commands) {
      if (command.app->parsed()) return *command.app;
    }
    return root;
  };
  try {
    root.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return root.exit(success);  // --help and --version
  } catch (const CLI::ExtrasError&) {
    const CLI::App& app = parsed_app();
    return fail(json, kUserError, "user", unknown_names(app, app.remaining(true)));
  } catch (const CLI::ParseError& error) {
    if (argc == 1) {
      fmt::print("{}", root.help());
      return kUserError;
    }
    const CLI::App& app = parsed_app();
    const std::vector<std::string> unknown = app.remaining(true);
    if (&app != &root && !unknown.empty()) return fail(json, kUserError, "user", unknown_names(app, unknown));
    if (&app == &root && argc > 1) return fail(json, kUserError, "user", unknown_names(root, {argv[1]}));
    return fail(json, kUserError, "user", fmt::format("{}. See treville {} --help.", error.what(), app.get_name()));
  }
  for (const Command& command : commands) {
    if (!command.app->parsed()) continue;
    try {
      const int code = command.action();
      flush_output();
      return code;
    } catch (const UserError& error) {
      return fail(json, kUserError, "user", error.what());
    } catch (const PeerError& error) {
      return fail(json, kPeerError, "peer", error.what());
    } catch (const AttestationError& error) {
      return fail(json, kAttestationError, "attestation", error.what());
    } catch (const Interrupted&) {
      return fail(json, kInterrupted, "user", "interrupted");
    } catch (const std::system_error& error) {  // of std::filesystem, or of a closed stdout
      return fail(json, kUserError, "user", error.what());
    } catch (const std::bad_alloc&) {
      return fail(json, kUserError, "user", "out of memory; `treville plan` shows what a program needs");
    } catch (const std::exception& error) {
      return fail(json, kInternalError, "internal", error.what());
    }
  }
  return kInternalError;
}

}  // namespace
}  // namespace treville::cli

int main(int argc, char** argv) {
  treville::cli::harden_process();
  return treville::cli::run_command(argc, argv);
}
