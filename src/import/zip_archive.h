// ZipArchive reads whole entries of a ZIP archive (a .keras file is one). The sizes in an archive come from who wrote
// it: what an entry unpacks to is bounded before anything is allocated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace treville::import {

class ZipArchive {
 public:
  // `bytes` is the whole file; `file` its name for messages. Throws UserError when it is no archive.
  ZipArchive(std::string bytes, std::string file);
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  // entry is absent when the archive has none of that name; UserError when it is damaged or larger than `most` bytes.
  std::optional<std::string> entry(const std::string& name, uint64_t most) const;

 private:
  struct Handle;
  std::string bytes_, file_;
  std::unique_ptr<Handle> handle_;
};

}  // namespace treville::import
