#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace treville {

AtomicFile::AtomicFile(std::string path, unsigned mode, FileHook hook)
    : path_(std::move(path)), temporary_(path_ + ".tmp-XXXXXX"), hook_(std::move(hook)) {
  file_ = mkstemp(temporary_.data());
  if (file_ < 0) fail("create a file beside");
  if (fchmod(file_, static_cast<mode_t>(mode)) != 0) {
    const int reason = errno;
    close(file_);
    unlink(temporary_.c_str());
    errno = reason;
    fail("set the permissions of");
  }
}

AtomicFile::~AtomicFile() {
  if (file_ < 0) return;
  close(file_);
  unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  pass("written");
}

void AtomicFile::commit() {
  if (fsync(file_) != 0) fail("sync");
  pass("synced");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("replace");
  close(file_);
  file_ = -1;
  pass("renamed");
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  sync_folder(folder.empty() ? "." : folder);
  pass("folder synced");
}

void AtomicFile::pass(const char* point) const {
  if (hook_) hook_(point, path_);
}

void AtomicFile::fail(const char* what) const {
  throw UserError("cannot {} {}: {}", what, path_, std::strerror(errno));
}

void sync_folder(const std::string& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = folder >= 0 && fsync(folder) == 0;
  const int reason = errno;
  if (folder >= 0) close(folder);
  // Some file systems have no such call for a folder; they order names themselves.
  if (!synced && reason != EINVAL) throw UserError("cannot sync the folder {}: {}", path, std::strerror(reason));
}

std::string read_file(const std::string& path, int64_t max_bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw UserError("cannot open {}: {}", path, std::strerror(errno));
  const auto bytes = static_cast<int64_t>(file.tellg());
  if (bytes < 0) throw UserError("cannot read {}: it is not a regular file", path);
  if (bytes > max_bytes) throw UserError("{} has {} bytes, more than the {} expected at most", path, bytes, max_bytes);
  std::string text(static_cast<size_t>(bytes), '\0');
  file.seekg(0);
  if (!file.read(text.data(), bytes)) throw UserError("cannot read {}", path);
  return text;
}

}  // namespace treville
