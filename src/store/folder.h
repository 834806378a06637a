// The folder a party keeps things in, and the key that seals them: both readable by their owner alone.
#pragma once

#include <filesystem>
#include <string>

#include "base/files.h"
#include "crypto/seal.h"

namespace treville {

// make_private_folder makes a folder, and those above it, with mode 0700 where there is none. Throws UserError.
void make_private_folder(const std::filesystem::path& path);

// make_storage_key writes a new storage key: 64 hexadecimal digits, mode 0600. An existing file is never overwritten:
// UserError. storage_key reads it, or makes it where there is none. Throws UserError when the file is not such a key or
// when others may read it.
void make_storage_key(const std::filesystem::path& path);
SealKey storage_key(const std::filesystem::path& path);

// FolderLock keeps a second process of the same party out. Throws UserError when there is one.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_ = -1;
};

// LastingFile is a file open for writing whose every step that a crash can tell apart passes the hook. Errors are
// UserErrors that name the path.
class LastingFile {
 public:
  // create makes a file that must not be there; open opens one that is.
  static LastingFile create(const std::string& path, FileHook hook);
  static LastingFile open(const std::string& path, FileHook hook);
  LastingFile(LastingFile&& other) noexcept;
  LastingFile& operator=(LastingFile&&) = delete;
  ~LastingFile();

  void write(std::span<const std::byte> bytes);  // at the end of what create wrote so far
  void write_at(int64_t offset, std::span<const std::byte> bytes);
  void sync();
  const std::string& path() const { return path_; }

 private:
  LastingFile(std::string path, int flags, FileHook hook);
  [[noreturn]] void fail(const char* what) const;
  void pass(const char* point) const;
  std::string path_;
  FileHook hook_;
  int file_ = -1;
  int64_t end_ = 0;
};

// remove_file takes a file away, if it is there; what it held may outlive it on the disk.
void remove_file(const std::string& path, const FileHook& hook);

}  // namespace treville
