#include "mpc/porthos/reduction.h"

#include <algorithm>
#include <bit>
#include <map>

#include "base/error.h"

namespace treville::porthos {
namespace {

using Piece = std::vector<int64_t>;

int depth_of(const Piece& piece) { return std::bit_width(piece.size() - 1); }

std::pair<Piece, Piece> split(const Piece& piece) {
  const auto half = static_cast<std::ptrdiff_t>(std::bit_floor(piece.size() - 1));
  return {Piece(piece.begin(), piece.begin() + half), Piece(piece.begin() + half, piece.end())};
}

// collect notes for each piece that a window needs the last level that reads it.
void collect(const Piece& piece, int reader, std::map<Piece, int>& last_reader) {
  const auto [it, is_new] = last_reader.try_emplace(piece, reader);
  it->second = std::max(it->second, reader);
  if (!is_new || piece.size() == 1) return;
  const auto [left, right] = split(piece);
  collect(left, depth_of(piece), last_reader);
  collect(right, depth_of(piece), last_reader);
}

}  // namespace

Reduction plan_reduction(const std::vector<std::vector<int64_t>>& windows) {
  std::map<Piece, int> last_reader;
  int depth = 0;
  for (const Piece& window : windows) {
    CHECK(!window.empty(), "a window without elements has no maximum");
    depth = std::max(depth, depth_of(window));
  }
  for (const Piece& window : windows) collect(window, depth + 1, last_reader);
  std::map<Piece, int64_t> row;
  for (const auto& [piece, reader] : last_reader) {
    if (piece.size() == 1) row.emplace(piece, piece.front());
  }
  Reduction plan;
  for (int level = 1; level <= depth; ++level) {
    ReductionLevel step;
    std::map<Piece, int64_t> next;
    for (const auto& [piece, reader] : last_reader) {
      if (depth_of(piece) != level) continue;
      const auto [left, right] = split(piece);
      next.emplace(piece, static_cast<int64_t>(step.left.size()));
      step.left.push_back(row.at(left));
      step.right.push_back(row.at(right));
    }
    for (const auto& [piece, at] : row) {
      if (last_reader.at(piece) <= level) continue;
      next.emplace(piece, static_cast<int64_t>(step.left.size() + step.carry.size()));
      step.carry.push_back(at);
    }
    plan.levels.push_back(std::move(step));
    row = std::move(next);
  }
  for (const Piece& window : windows) plan.outputs.push_back(row.at(window));
  return plan;
}

}  // namespace treville::porthos
