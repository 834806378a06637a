// Files that are either complete or not there: written beside their place, synced, then renamed, and the folder synced
// after them, so that they also outlive a loss of power.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace treville {

// FileHook is told of every point at which a crash leaves something different on disk: "written", "synced",
// "renamed", ... with the file's path. Tests give one that stops there; everybody else gives none.
using FileHook = std::function<void(const char* point, const std::string& path)>;

// AtomicFile writes path.tmp-XXXXXX with the given permissions; commit puts it in place. Without commit nothing is
// left. All errors are UserErrors that name the path.
class AtomicFile {
 public:
  AtomicFile(std::string path, unsigned mode, FileHook hook = {});
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;
  void pass(const char* point) const;
  const std::string path_;
  std::string temporary_;
  FileHook hook_;
  int file_ = -1;
};

// sync_folder makes names made, changed or removed in a folder last. Throws UserError.
void sync_folder(const std::string& path);

// read_file returns a whole file of at most max_bytes; throws UserError.
std::string read_file(const std::string& path, int64_t max_bytes);

}  // namespace treville
