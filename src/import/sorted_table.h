// sorted_table reads LevelDB's table files, the format of a checkpoint's index.
#pragma once

#include <map>
#include <string>

namespace treville::import {

// read_sorted_table gives all entries of the table whose bytes are `bytes`. The bytes are not trusted: checksums are
// verified, sizes are bounded. Throws UserError beginning with `where` when the table is damaged.
std::map<std::string, std::string> read_sorted_table(const std::string& bytes, const std::string& where);

}  // namespace treville::import
