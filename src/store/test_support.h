// Folders and files for the tests of the store.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "store/key_table.h"

namespace treville::store_test {

class Folder {
 public:
  Folder() {
    std::string pattern = testing::TempDir() + "/treville-store-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline StoreId id_of(uint8_t value) {
  StoreId id{};
  id[0] = std::byte{value};
  id[15] = std::byte{1};
  return id;
}

inline void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

}  // namespace treville::store_test
