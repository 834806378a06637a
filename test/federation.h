// TestFederation: a compiled model (the digit model unless another is named), keys and a federation file on free
// loopback ports, in a scratch folder; and three real `treville party` processes on it.
#pragma once

#include <memory>

#include "test/process.h"

namespace treville::test {

class TestFederation {
 public:
  TestFederation();
  // model: what stands behind `treville compile`, but for the folder.
  explicit TestFederation(const Arguments& model);

  std::filesystem::path file(const std::string& name) const { return scratch_ / name; }
  int port(int party) const { return ports_[static_cast<size_t>(party)]; }
  // arguments of party `id`; `program` is a folder of this federation, and the client gets one input.
  Arguments arguments(int id, const Arguments& more = {}, const std::string& program = "compiled") const;
  // client adds the input `count` times.
  Arguments client(int count, const Arguments& more = {}) const;
  std::unique_ptr<Process> start(const Arguments& arguments) const;

 private:
  Scratch scratch_;
  std::vector<int> ports_;
};

}  // namespace treville::test
