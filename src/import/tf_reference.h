// How nodes of a GraphDef name what they read.
#pragma once

#include <string>

namespace treville::import {

// TfReference is an input as written: "name", "name:2", or "^name" for an order without data.
struct TfReference {
  std::string name;
  int output = 0;
  bool is_control = false;
};

TfReference parse_reference(const std::string& text);

}  // namespace treville::import
