// The text form of a Program: what is printed, compared with golden files, hashed and sent. One canonical text per
// program: a header, a line per owned constant, a line per step. Reading is strict and bounded, since the text may come
// from anyone; a text that is accepted is exactly the one that printing gives back.
//
//   treville program 1
//   model "squeezenet"
//   ...
//   const conv1_w [3,3,3,64] ring=32 scale=11
//   %3 = relu %2 truncate=11 k=20 -> [1,111,111,64] scale=12 ring=32 masked mod=32 bound=31.5 layer="conv1/relu"
#pragma once

#include <string>
#include <string_view>

#include "program/program.h"

namespace treville {

inline constexpr int64_t kMaxProgramBytes = int64_t{64} << 20;

std::string to_text(const Program& program);
// parse_program reads a text and verifies the program; throws UserError with `source` and the line's number.
Program parse_program(std::string_view text, const std::string& source);
// read_program and write_program do the same with a file.
Program read_program(const std::string& path);
void write_program(const std::string& path, const Program& program);

}  // namespace treville
