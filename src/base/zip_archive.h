// ZipArchive reads whole entries of a ZIP archive (a .keras file is one, and so is NumPy's .npz). The sizes in an
// archive come from who wrote it: what an entry unpacks to is bounded before anything is allocated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace treville {

class ZipArchive {
 public:
  // `bytes` is the whole file; `file` its name for messages. Throws UserError when it is no archive.
  ZipArchive(std::string bytes, std::string file);
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  // names lists the entries in the archive's order; UserError when there are more than `most`.
  std::vector<std::string> names(uint64_t most) const;
  // entry is absent when the archive has none of that name; UserError when it is damaged or larger than `most` bytes.
  std::optional<std::string> entry(const std::string& name, uint64_t most) const;

 private:
  struct Handle;
  std::string bytes_, file_;
  std::unique_ptr<Handle> handle_;
};

// zip_of gives the bytes of an archive that holds the entries, names and bytes, uncompressed and without times: the
// same entries always give the same bytes.
std::string zip_of(const std::vector<std::pair<std::string, std::string>>& entries);

}  // namespace treville
