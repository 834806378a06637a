#include "test/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace treville::test {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

Scratch::Scratch() {
  std::string pattern = (fs::temp_directory_path() / "treville-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a scratch folder");
  path_ = pattern;
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Process::Process(const Arguments& command, const fs::path& folder, const fs::path& temporary) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string out = (scratch_ / "out").string(), err = (scratch_ / "err").string();
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  std::vector<char*> argv;
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> environment;
  const std::string tmpdir = "TMPDIR=" + temporary.string();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (temporary.empty() || std::strncmp(*entry, "TMPDIR=", 7) != 0) environment.push_back(*entry);
  }
  if (!temporary.empty()) environment.push_back(const_cast<char*>(tmpdir.c_str()));
  environment.push_back(nullptr);
  const int error = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + command.front() + ": " + std::strerror(error));
}

Process::~Process() {
  if (ended_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Process::send(int signal) const { ::kill(pid_, signal); }

bool Process::has_ended() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return ended_;
}

Finished Process::wait(double seconds) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  Finished result;
  while (!has_ended()) {
    if (!result.timed_out && Clock::now() > deadline) {
      result.timed_out = true;
      send(SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  result.exit_code = WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
  result.out = read_text(scratch_ / "out");
  result.err = read_text(scratch_ / "err");
  return result;
}

std::string Process::error_output() const { return read_text(scratch_ / "err"); }

Arguments treville_command(const Arguments& arguments) {
  Arguments command = {TREVILLE_PROGRAM};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

Finished treville(const Arguments& arguments, double seconds, const fs::path& folder, const fs::path& temporary) {
  return Process(treville_command(arguments), folder, temporary).wait(seconds);
}

std::vector<int> free_ports(size_t count) {
  std::random_device random;
  std::vector<int> ports, sockets;
  for (int attempt = 0; ports.size() < count && attempt < 1000; ++attempt) {
    const int port = 20000 + static_cast<int>(random() % 12000);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    sockets.push_back(fd);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) ports.push_back(port);
  }
  for (const int fd : sockets) ::close(fd);
  if (ports.size() < count) throw std::runtime_error("no free ports");
  return ports;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

fs::path digits() { return fs::path(TREVILLE_SOURCE_DIR) / "examples" / "digits"; }

}  // namespace treville::test
