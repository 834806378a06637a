#include "cli/local_federation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <set>

#include "base/error.h"
#include "data/npy.h"
#include "party/federation.h"
#include "party/keys.h"
#include "party/rendezvous.h"
#include "program/text.h"
#include "program/weights.h"
#include "store/folder.h"

extern char** environ;

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kNames = {"client", "model-owner", "helper"};

// TemporaryFolder is private to this user and goes with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "treville-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      throw UserError("cannot make a folder in {}: {}", fs::temp_directory_path().string(), std::strerror(errno));
    }
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// free_ports finds three loopback ports that nobody uses now. They lie below those that the system gives to outgoing
// connections, so that no connection made meanwhile takes one.
std::array<int, 3> free_ports() {
  std::array<int, 3> ports{};
  std::vector<FileDescriptor> held;
  std::random_device random;
  for (int attempt = 0; held.size() < ports.size(); ++attempt) {
    const auto port = static_cast<uint16_t>(20000 + random() % 12000);
    try {
      held.emplace_back(listen_at({"127.0.0.1", port}).socket);
      ports[held.size() - 1] = port;
    } catch (const UserError&) {
      if (attempt >= 100) throw;
    }
  }
  return ports;
}

struct Child {
  pid_t pid = -1;
  FileDescriptor out, err;
  std::string out_text, err_text, err_line;
  std::optional<int> status;
  bool ended_by_us = false;

  bool is_silent() const { return out.get() < 0 && err.get() < 0; }
};

// interrupted is set by SIGINT, SIGTERM and SIGHUP while an InterruptGuard lives, so that the folder and the children
// go before this process does.
volatile std::sig_atomic_t interrupted = 0;

class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &previous_[i]);
  }
  ~InterruptGuard() {
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous_[i], nullptr);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  static constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, 3> previous_{};
};

std::pair<FileDescriptor, FileDescriptor> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw UserError("cannot make a pipe: {}", std::strerror(errno));
  return {FileDescriptor(fds[0]), FileDescriptor(fds[1])};
}

Child start(const std::vector<std::string>& arguments) {
  Child child;
  auto [out_read, out_write] = make_pipe();
  auto [err_read, err_write] = make_pipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_write.get(), STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int error = ::posix_spawn(&child.pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw UserError("cannot start a party process: {}", std::strerror(error));
  child.out = std::move(out_read);
  child.err = std::move(err_read);
  return child;
}

// Children end with their parent, however it leaves.
class Children {
 public:
  ~Children() {
    for (Child& child : list) {
      if (child.status || child.pid < 0) continue;
      ::kill(child.pid, SIGKILL);
      ::waitpid(child.pid, nullptr, 0);
    }
  }
  std::vector<Child> list;
};

void take_error_output(Child& child, std::string_view text, const ProgressUpdate* progress) {
  for (const char c : text) {
    if (c != '\n') {
      child.err_line += c;
      continue;
    }
    const Json update = Json::parse(child.err_line, nullptr, false);
    if (update.is_object() && update.contains("done")) {
      if (progress != nullptr) (*progress)(update["done"], update["total"], update.value("what", ""));
    } else {
      child.err_text += child.err_line + "\n";
    }
    child.err_line.clear();
  }
}

// drain reads what a pipe has; closes it at its end.
void drain(FileDescriptor& fd, const std::function<void(std::string_view)>& take) {
  char buffer[65536];
  const ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
  if (count > 0) {
    take({buffer, static_cast<size_t>(count)});
  } else if (count == 0 || errno != EINTR) {
    fd.close();
  }
}

// read_some waits at most a moment for output of the children and takes it.
void read_some(Children& children, const ProgressUpdate& progress) {
  std::vector<pollfd> polls;
  std::vector<std::pair<size_t, bool>> owners;
  for (size_t i = 0; i < children.list.size(); ++i) {
    Child& child = children.list[i];
    for (const bool is_out : {true, false}) {
      const int fd = is_out ? child.out.get() : child.err.get();
      if (fd < 0) continue;
      polls.push_back({fd, POLLIN, 0});
      owners.emplace_back(i, is_out);
    }
  }
  constexpr int kMoment = 100;  // milliseconds
  if (::poll(polls.data(), polls.size(), kMoment) <= 0) return;
  for (size_t i = 0; i < polls.size(); ++i) {
    if (polls[i].revents == 0) continue;
    Child& child = children.list[owners[i].first];
    if (owners[i].second) {
      drain(child.out, [&](std::string_view text) { child.out_text += text; });
    } else {
      const ProgressUpdate* update = owners[i].first == 1 ? &progress : nullptr;
      drain(child.err, [&](std::string_view text) { take_error_output(child, text, update); });
    }
  }
}

// grace is how long the others get to end by themselves once one has failed. Who reports on a peer was told by it or
// waited for it, so the third party is about to do the same; any other failure is the root cause already.
std::chrono::milliseconds grace(int status) {
  const bool blames_peer = WIFEXITED(status) && WEXITSTATUS(status) == kPeerError;
  return std::chrono::seconds(blames_peer ? 8 : 1);
}

void wait_for(Children& children, const ProgressUpdate& progress) {
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> deadline;
  while (true) {
    bool all_ended = true;
    for (Child& child : children.list) {
      if (child.status) continue;
      int status = 0;
      if (!child.is_silent() || ::waitpid(child.pid, &status, 0) != child.pid) {
        all_ended = false;
        continue;
      }
      child.status = status;
      if (status == 0) continue;
      const auto until = Clock::now() + grace(status);
      deadline = deadline ? std::min(*deadline, until) : until;
    }
    if (all_ended) return;
    if (interrupted) throw Interrupted();
    if (deadline && Clock::now() > *deadline) {
      for (Child& child : children.list) {
        if (child.status || child.ended_by_us) continue;
        ::kill(child.pid, SIGKILL);
        child.ended_by_us = true;
      }
    }
    read_some(children, progress);
  }
}

[[noreturn]] void throw_as(const std::string& kind, const std::string& message) {
  if (kind == "user") throw UserError(message);
  if (kind == "peer") throw PeerError(message);
  if (kind == "attestation") throw AttestationError(message);
  throw BugError(message);
}

std::array<Json, 3> results_of(const Children& children) {
  std::array<Json, 3> results;
  std::string peer_message;
  for (size_t i = 0; i < 3; ++i) {
    const Child& child = children.list[i];
    if (child.ended_by_us) continue;
    results[i] = Json::parse(child.out_text, nullptr, false);
    if (WIFSIGNALED(*child.status)) {
      throw PeerError("party {} ({}) was ended by signal {} ({})", i, kNames[i], WTERMSIG(*child.status),
                      strsignal(WTERMSIG(*child.status)));
    }
    const bool failed = WEXITSTATUS(*child.status) != 0;
    if (!failed && results[i].is_object()) continue;
    if (!results[i].is_object() || !results[i].contains("error")) {
      throw BugError(fmt::format("party {} ({}) ended with code {}: {}", i, kNames[i], WEXITSTATUS(*child.status),
                                 child.err_text));
    }
    // Who only reports that another party left is not the cause.
    const Json& error = results[i]["error"];
    const std::string message = fmt::format("party {} ({}): {}", i, kNames[i], error.value("message", ""));
    if (error.value("kind", "") != "peer") throw_as(error.value("kind", ""), message);
    if (peer_message.empty()) peer_message = message;
  }
  if (!peer_message.empty()) throw PeerError(peer_message);
  return results;
}

void write_federation(const fs::path& folder, const std::string& store) {
  const std::vector<PartyFiles> files = make_keys(folder / "keys", kNames);
  const std::array<int, 3> ports = free_ports();
  std::ofstream file(folder / "federation.yaml");
  file << "parties:\n";
  for (size_t i = 0; i < 3; ++i) {
    file << fmt::format("  - id: {}\n    name: {}\n    address: 127.0.0.1:{}\n    certificate: {}\n    key: {}\n", i,
                        kNames[i], ports[i], files[i].certificate.string(), files[i].key.string());
    if (store.empty()) continue;
    const LocalStore local = local_store(store, static_cast<PartyId>(i));
    file << fmt::format("    store: {}\n    storage-key: {}\n", Json(local.folder).dump(), Json(local.key).dump());
  }
  if (!file.flush()) throw UserError("cannot write {}", (folder / "federation.yaml").string());
}

// add_inputs writes each input of a party to a file of all inferences, and names it.
void add_inputs(std::vector<std::string>& arguments, const LocalJob& job, PartyId party, const fs::path& folder) {
  const std::vector<NamedShape> inputs = inputs_of(*job.program);
  std::set<std::string> own;
  for (const NamedShape& input : inputs_of(*job.program, party)) own.insert(input.name);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (own.count(inputs[i].name) == 0) continue;
    FloatTensor all;
    all.shape = inputs[i].shape;
    all.shape[0] *= static_cast<int64_t>(job.inputs->size());
    for (const Inference& inference : *job.inputs) {
      const std::vector<float>& values = inference.values[i].values;
      all.values.insert(all.values.end(), values.begin(), values.end());
    }
    const fs::path file = folder / fmt::format("input-{}.npy", i);
    write_npy(file, all);
    arguments.insert(arguments.end(), {"--input", inputs[i].name + "=" + file.string()});
  }
}

}  // namespace

LocalStore local_store(const std::string& folder, PartyId party) {
  const fs::path own = fs::absolute(folder) / fmt::format("party-{}", party);
  return {own.string(), (own / "storage.key").string()};
}

LocalResult run_local_parties(const LocalJob& job, const ProgressUpdate& progress) {
  const InterruptGuard guard;
  const TemporaryFolder folder;
  write_federation(folder.path(), job.store);
  for (const PartyId party : kAllParties) {
    if (!job.store.empty()) make_private_folder(local_store(job.store, party).folder);
  }
  const fs::path program = folder.path() / "program.treville", weights = folder.path() / "weights.treville";
  write_program(program, *job.program);
  write_weights(weights, *job.program, *job.weights);

  const auto start_time = std::chrono::steady_clock::now();
  Children children;
  for (int id = 0; id < 3; ++id) {
    std::vector<std::string> arguments = {
        "treville",         job.command,      "--id",
        std::to_string(id), "--federation",   (folder.path() / "federation.yaml").string(),
        "--program",        program.string(), "--json",
        "--progress-json",  "--count",        std::to_string(job.inputs != nullptr ? job.inputs->size() : job.count)};
    arguments.insert(arguments.end(), job.arguments.begin(), job.arguments.end());
    if (job.store.empty()) arguments.push_back("--no-store");
    if (job.inputs != nullptr) add_inputs(arguments, job, static_cast<PartyId>(id), folder.path());
    if (id == 1) arguments.insert(arguments.end(), {"--weights", weights.string()});
    children.list.push_back(start(arguments));
  }
  wait_for(children, progress);
  LocalResult result;
  result.parties = results_of(children);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_time).count();
  return result;
}

}  // namespace treville::cli
