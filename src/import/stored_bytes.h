// stored_bytes reads the files that a model keeps its weights in beside its own: shards of checkpoints, of
// TensorFlow.js models, and external data of ONNX. A tensor may begin in one file and end in the next. Bytes are read
// in pieces, so that a model takes the memory of its weights and not twice that.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "import/tensor_data.h"

namespace treville::import {

// path_inside is folder/relative. The model is not trusted: UserError beginning with `where` when the path is absolute,
// goes up, or leads out of the folder through a symbolic link, and when there is no such file.
std::filesystem::path path_inside(const std::filesystem::path& folder, const std::string& relative,
                                  const std::string& where);

// ByteStream reads pieces of files one after the other as if they were one.
class ByteStream {
 public:
  struct Piece {
    std::filesystem::path path;
    int64_t offset = 0;
    int64_t length = 0;
  };
  // whole is a piece that covers all of a file.
  static Piece whole(const std::filesystem::path& path, const std::string& where);

  // `where` begins every message. Throws UserError when a piece is not in its file.
  ByteStream(std::vector<Piece> pieces, std::string where);

  int64_t left() const { return left_; }
  // read gives the next bytes; throws UserError when fewer are left.
  void read(char* to, int64_t bytes);
  const std::string& where() const { return where_; }
  // crc32c is the checksum of what was read since the beginning or the last start_crc32c, which turns it on.
  void start_crc32c();
  uint32_t crc32c() const { return crc_; }

 private:
  void open_piece();

  std::vector<Piece> pieces_;
  std::string where_;
  std::ifstream file_;
  size_t next_ = 0;       // the piece to open after this one
  int64_t in_piece_ = 0;  // bytes left in the open piece
  int64_t left_ = 0;
  bool sums_ = false;
  uint32_t crc_ = 0;
};

// for_each_element calls f with the next `count` little-endian elements of type T.
template <class T, class F>
void for_each_element(ByteStream& stream, int64_t count, F&& f) {
  constexpr int64_t kPiece = (1 << 16) / sizeof(T);
  std::vector<T> piece(static_cast<size_t>(std::min(count, kPiece)));
  while (count > 0) {
    const int64_t now = std::min(count, kPiece);
    stream.read(reinterpret_cast<char*>(piece.data()), now * static_cast<int64_t>(sizeof(T)));
    for (int64_t i = 0; i < now; ++i) f(piece[static_cast<size_t>(i)]);
    count -= now;
  }
}

// constant_from_stream reads a tensor of little-endian elements. The stream must hold at least as many; this is checked
// before memory is taken.
Constant constant_from_stream(ElementType type, const std::vector<int64_t>& dims, ByteStream& stream);

}  // namespace treville::import
