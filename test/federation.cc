#include "test/federation.h"

#include <stdexcept>

#include "data/npy.h"

namespace treville::test {

namespace fs = std::filesystem;

namespace {

void need(const Finished& finished, const std::string& what) {
  if (finished.exit_code != 0) throw std::runtime_error(what + ": " + finished.err);
}

}  // namespace

TestFederation::TestFederation(const Arguments& model) : ports_(free_ports(3)) {
  Arguments compile = {"compile", "-o", (scratch_ / "compiled").string()};
  compile.insert(compile.end(), model.begin(), model.end());
  need(treville(compile), "compile");
  std::string addresses;
  for (const int port : ports_) addresses += (addresses.empty() ? "" : ",") + ("127.0.0.1:" + std::to_string(port));
  need(treville({"keys", (scratch_ / "keys").string(), "--addresses", addresses}), "keys");
}

TestFederation::TestFederation()
    : TestFederation(Arguments{(digits() / "digits.pb").string(), "--calibrate",
                               (digits() / "calibration.npy").string(), "--preprocess", "scale=1/255"}) {
  FloatTensor samples = read_npy(digits() / "samples.npy");
  samples.shape[0] = 1;
  samples.values.resize(28 * 28);
  write_npy(scratch_ / "input.npy", samples);
}

Arguments TestFederation::arguments(int id, const Arguments& more, const std::string& program) const {
  Arguments result = {"party",
                      "--id",
                      std::to_string(id),
                      "--federation",
                      file("keys/federation.yaml").string(),
                      "--program",
                      file(program).string()};
  result.insert(result.end(), more.begin(), more.end());
  return result;
}

Arguments TestFederation::client(int count, const Arguments& more) const {
  Arguments result = arguments(0, more);
  for (int i = 0; i < count; ++i) result.insert(result.end(), {"--input", file("input.npy").string()});
  return result;
}

std::unique_ptr<Process> TestFederation::start(const Arguments& arguments) const {
  return std::make_unique<Process>(treville_command(arguments), scratch_.path());
}

}  // namespace treville::test
