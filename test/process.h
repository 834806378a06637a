// Subprocesses with deadlines, and scratch folders: what the end-to-end tests need to be the user of the program.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace treville::test {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

// Scratch is an empty folder that goes with the test.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Finished {
  int exit_code = -1;  // 128 + the signal's number when one ended it
  std::string out, err;
  bool timed_out = false;

  // json parses stdout, which must be one JSON value and nothing else; otherwise it is discarded().
  Json json() const { return Json::parse(out, nullptr, false); }
};

// Process runs a command with stdin closed and its output in files of a scratch folder. It is killed when it goes.
class Process {
 public:
  // folder is its working directory, temporary its TMPDIR; empty: as they are here.
  explicit Process(const Arguments& command, const std::filesystem::path& folder = {},
                   const std::filesystem::path& temporary = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void send(int signal) const;
  // wait waits for the end, at most so long; then it kills the process and says timed_out.
  Finished wait(double seconds);
  bool has_ended();
  // error_output is what it has written to stderr.
  std::string error_output() const;

 private:
  Scratch scratch_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

// treville runs the program with these arguments to its end.
Finished treville(const Arguments& arguments, double seconds = 60, const std::filesystem::path& folder = {},
                  const std::filesystem::path& temporary = {});
// treville_command puts the program in front of its arguments.
Arguments treville_command(const Arguments& arguments);

// free_ports gives distinct loopback ports that nobody uses, outside the range that outgoing connections take.
std::vector<int> free_ports(size_t count);

std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);

// digits is the folder of the repository's example model.
std::filesystem::path digits();

}  // namespace treville::test
