// TensorBundle reads a TensorFlow checkpoint (format V2): PREFIX.index is a sorted table of what is stored where,
// PREFIX.data-0000i-of-0000n hold the elements. A variable may be stored in slices, as partitioned ones are.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tensor/float_tensor.h"

namespace treville::tf_format {
class BundleEntry;
}

namespace treville::import {

class TensorBundle {
 public:
  // Reads the index of the checkpoint `prefix`; `file` is the model's name for messages. Throws UserError when the
  // index is missing or damaged (every block has a checksum).
  TensorBundle(const std::filesystem::path& prefix, const std::string& file);
  ~TensorBundle();
  TensorBundle(TensorBundle&&) noexcept;

  bool has(const std::string& key) const;
  // read gives a tensor, or the part of it that `slice` describes: the full shape and one "start,length" or "-" for
  // each dimension ("10 4 0,5:-"); empty: all of it. Throws UserError when it is not there, its shard is missing or cut
  // short, its checksum is wrong, or its slices leave a gap.
  Constant read(const std::string& key, const std::string& slice = "") const;
  // read_string gives a tensor of one string.
  std::string read_string(const std::string& key) const;
  // names of the tensors, sorted.
  std::vector<std::string> names() const;

 private:
  struct Block;  // where a slice lies in its tensor
  const tf_format::BundleEntry& entry(const std::string& key) const;
  Constant read_entry(const tf_format::BundleEntry& entry, const std::string& key) const;
  Constant read_slices(const tf_format::BundleEntry& entry, const std::string& key) const;
  int64_t shard_bytes() const;  // of all shards together
  std::string where(const std::string& key) const;

  std::filesystem::path prefix_;
  std::string file_;
  int shards_ = 0;
  std::map<std::string, tf_format::BundleEntry> entries_;
};

}  // namespace treville::import
