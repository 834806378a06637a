#include "store/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace treville {
namespace {

constexpr size_t kDigits = 2 * SealKey::kBytes;

[[noreturn]] void fail_at(const std::string& path) { throw UserError("{}: {}", path, std::strerror(errno)); }

// digit_value gives 0 to 15, or -1.
int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

SealKey parse_key(const std::string& text, const std::string& path) {
  SealKey key;
  bool good = text.size() == kDigits + 1 && text.back() == '\n';
  for (size_t i = 0; good && i < SealKey::kBytes; ++i) {
    const int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
    good = high >= 0 && low >= 0;
    key.writable()[i] = static_cast<std::byte>(high * 16 + low);
  }
  if (!good) throw UserError("{}: is no storage key, which is a line of {} hexadecimal digits", path, kDigits);
  return key;
}

}  // namespace

void make_private_folder(const std::filesystem::path& path) {
  if (path.empty() || std::filesystem::is_directory(path)) return;
  make_private_folder(path.parent_path());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail_at(path.string());
  if (!std::filesystem::is_directory(path)) throw UserError("{}: is there and is no folder", path.string());
  const std::filesystem::path above = path.parent_path();
  sync_folder(above.empty() ? "." : above.string());
}

void make_storage_key(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) {
    throw UserError("{}: is there already. What it seals is lost with it: remove it only with the store.",
                    path.string());
  }
  const SealKey key = SealKey::random();
  std::string text = hex(key.bytes()) + "\n";
  AtomicFile file(path.string(), 0600);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
  wipe(std::as_writable_bytes(std::span(text)));
}

SealKey storage_key(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) fail_at(path.string());
    make_storage_key(path);
  } else if ((status.st_mode & 077) != 0) {
    throw UserError("{}: others may read this storage key. Run: chmod 600 {}", path.string(), path.string());
  }
  std::string text = read_file(path.string(), 4096);
  SealKey key = parse_key(text, path.string());
  wipe(std::as_writable_bytes(std::span(text)));
  return key;
}

FolderLock::FolderLock(const std::filesystem::path& folder) {
  const std::string path = (folder / "lock").string();
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) fail_at(path);
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    const bool busy = errno == EWOULDBLOCK;
    const int reason = errno;
    ::close(file_);
    errno = reason;
    if (busy) throw UserError("{}: another process of this party is using it. Wait until it ends.", folder.string());
    fail_at(path);
  }
}

FolderLock::~FolderLock() { ::close(file_); }

LastingFile::LastingFile(std::string path, int flags, FileHook hook)
    : path_(std::move(path)),
      hook_(std::move(hook)),
      file_(::open(path_.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {
  if (file_ < 0) fail("open");
}
LastingFile::LastingFile(LastingFile&& other) noexcept
    : path_(std::move(other.path_)),
      hook_(std::move(other.hook_)),
      file_(std::exchange(other.file_, -1)),
      end_(other.end_) {}
LastingFile::~LastingFile() {
  if (file_ >= 0) ::close(file_);
}

LastingFile LastingFile::create(const std::string& path, FileHook hook) {
  return LastingFile(path, O_RDWR | O_CREAT | O_EXCL, std::move(hook));
}
LastingFile LastingFile::open(const std::string& path, FileHook hook) {
  return LastingFile(path, O_RDWR, std::move(hook));
}

void LastingFile::write(std::span<const std::byte> bytes) {
  write_at(end_, bytes);
  end_ += static_cast<int64_t>(bytes.size());
}

void LastingFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write");
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += written;
  }
  pass("written");
}

void LastingFile::sync() {
  if (::fsync(file_) != 0) fail("sync");
  pass("synced");
}

void LastingFile::fail(const char* what) const {
  throw UserError("cannot {} {}: {}", what, path_, std::strerror(errno));
}

void LastingFile::pass(const char* point) const {
  if (hook_) hook_(point, path_);
}

void remove_file(const std::string& path, const FileHook& hook) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail_at(path);
  if (hook) hook("removed", path);
}

}  // namespace treville
