// Small helpers that the importer's tests share.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "graph/graph.h"

namespace treville::import {

// TempFile is a file with the given bytes, gone with the object. Its name ends with `suffix`.
class TempFile {
 public:
  TempFile(const std::string& suffix, const std::string& bytes) {
    static int counter = 0;
    path_ = std::filesystem::temp_directory_path() / fmt::format("treville-{}-{}{}", getpid(), counter++, suffix);
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

using Files = std::map<std::string, std::string>;  // bytes by relative path

// TempFolder is a folder with the given files, gone with the object.
class TempFolder {
 public:
  explicit TempFolder(const Files& files) {
    static int counter = 0;
    path_ = std::filesystem::temp_directory_path() / fmt::format("treville-{}-folder-{}", getpid(), counter++);
    std::filesystem::create_directories(path_);
    for (const auto& [name, bytes] : files) {
      std::filesystem::create_directories((path_ / name).parent_path());
      std::ofstream(path_ / name, std::ios::binary) << bytes;
    }
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// user_error is the message of the UserError that `action` throws, or "no error".
template <class F>
std::string user_error(F&& action) {
  try {
    action();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

inline const Node& find_node(const Graph& graph, const std::string& name) {
  const auto found =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.name == name; });
  CHECK(found != graph.nodes.end(), "the graph has no node {}", name);
  return *found;
}

inline std::vector<std::string> names_of(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> names;
  for (ValueId id : ids) names.push_back(graph.value(id).name);
  return names;
}

inline std::vector<float> floats_of(const Graph& graph, ValueId id) {
  CHECK(graph.constant(id) != nullptr, "value {} is not constant", graph.value(id).name);
  return std::get<FloatTensor>(*graph.constant(id)).values;
}

inline std::vector<int64_t> ints_of(const Graph& graph, ValueId id) {
  CHECK(graph.constant(id) != nullptr, "value {} is not constant", graph.value(id).name);
  return std::get<IntTensor>(*graph.constant(id)).values;
}

}  // namespace treville::import
