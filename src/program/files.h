// Files that are either complete or not there: written beside their place, synced, then renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace treville {

// AtomicFile writes path.tmp-XXXXXX with the given permissions; commit puts it in place. Without commit nothing is
// left. All errors are UserErrors that name the path.
class AtomicFile {
 public:
  AtomicFile(std::string path, unsigned mode);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;
  const std::string path_;
  std::string temporary_;
  int file_ = -1;
};

// read_file returns a whole file of at most max_bytes; throws UserError.
std::string read_file(const std::string& path, int64_t max_bytes);

}  // namespace treville
