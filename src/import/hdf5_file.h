// Hdf5File reads the part of HDF5 that trained models are stored in: groups, numeric tensors (contiguous, or in chunks
// with deflate, shuffle and checksums) and string attributes. Links to other files are never followed. It is written
// anew, and not with the HDF5 library, because that library crashes on damaged files; here every address and length
// of the file is checked before it is used, and whatever the bytes, the answer is a value or one UserError.
//
// What current writers do not use for models (object headers with fractal heaps, other filters, other word sizes) is
// refused with advice.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tensor/float_tensor.h"

namespace treville::import {

class Hdf5File {
 public:
  // `bytes` is the whole file; `file` its name for messages.
  Hdf5File(std::string bytes, std::string file);

  static bool is_hdf5(std::string_view bytes);

  // Paths are separated by '/'; "" is the root group.
  bool exists(const std::string& path) const { return find(path).has_value(); }
  // children are the names in a group, sorted; none when there is no such group.
  std::vector<std::string> children(const std::string& path) const;
  // The attribute is absent when the object or the attribute is; UserError when it holds no strings.
  std::optional<std::string> string_attribute(const std::string& path, const std::string& name) const;
  std::optional<std::vector<std::string>> strings_attribute(const std::string& path, const std::string& name) const;
  // tensor throws UserError when there is no such tensor or it does not hold numbers.
  Constant tensor(const std::string& path) const;

 private:
  struct Message {
    uint16_t type;
    uint8_t flags;
    std::string_view data;
  };
  using Address = uint64_t;
  // Chunk is one stored block of a chunked tensor.
  struct Chunk {
    Address address = 0;
    uint64_t stored_bytes = 0;
    uint32_t skipped_filters = 0;
    std::vector<uint64_t> offsets;  // of its first element
  };

  std::optional<Address> find(const std::string& path) const;
  std::vector<Message> messages(Address header) const;
  void messages_v1(Address header, std::vector<Message>& found) const;
  void messages_v2(Address header, std::vector<Message>& found) const;
  const std::map<std::string, Address>& links(Address group) const;
  void read_symbols(Address tree, std::string_view heap, int above, std::map<std::string, Address>& found) const;
  std::optional<std::vector<std::string>> read_attribute(const Message& message, const std::string& name,
                                                         const std::string& where) const;
  std::string heap_object(Address collection, uint32_t index, size_t length) const;
  std::vector<Chunk> chunks_of(Address tree, size_t rank, const std::string& where) const;
  void check_cover(std::vector<Chunk>& chunks, const std::vector<int64_t>& dims,
                   const std::vector<uint64_t>& extent) const;
  std::string read_chunks(std::string_view layout, std::string_view filters, const std::vector<int64_t>& dims,
                          size_t element_bytes, const std::string& where) const;

  // bytes_at throws UserError when the file ends before.
  std::string_view bytes_at(Address at, uint64_t count) const;
  // visit bounds how many parts of the file one reader looks at: damaged trees may share their parts.
  void visit() const;
  [[noreturn]] void damaged(const std::string& what) const;

  std::string bytes_, file_;
  Address root_ = 0;
  mutable uint64_t visits_ = 0;
  mutable std::map<Address, std::map<std::string, Address>> links_;
};

}  // namespace treville::import
