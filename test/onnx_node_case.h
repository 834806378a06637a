// OnnxNodeCase runs one of ONNX's own node tests: a model of one operation (or a few), with inputs and the outputs that
// the standard's reference gives. One input is taken as the secret, the others become constants of the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "onnx_format.pb.h"
#include "test/operations_survey.h"

namespace treville::testing {

// OnnxNodeCase: a test folder as read, with its first data set.
struct OnnxNodeCase {
  std::string name;  // "test_add"
  int64_t opset = 0;
  std::vector<std::string> ops;  // as ONNX calls them, one a node
  onnx_format::ModelProto model;
  std::vector<onnx_format::TensorProto> inputs, outputs;
};

// read_onnx_node_case is empty for tests that are not about tensors, that use another operator set than ONNX's own, or
// element types that the importer does not read.
std::optional<OnnxNodeCase> read_onnx_node_case(const std::filesystem::path& folder);
// in_table says whether the importer has a row for all operations of the test.
bool in_table(const OnnxNodeCase& test);

// Secret says which inputs are secret. Integer inputs never are.
enum class Secret : uint8_t { kNone, kFirst, kSecond, kAll };
// variants lists the ways to run a test; suffix_of tells them apart: "", ":second", ":all".
std::vector<Secret> variants(const OnnxNodeCase& test);
std::string suffix_of(Secret secret);

// Level: how far a test passes. kSecure implies kFloat.
enum class Level : uint8_t { kRefused, kFloat, kSecure };

// Outcome: reason says why the next level was refused (a UserError) or does not apply; error is empty unless a level
// that was not refused gave a wrong result.
struct Outcome {
  Level level = Level::kRefused;
  std::string reason;
  std::string error;
  Operations operations;  // of the imported model; none where the importer refused it
};

// run_onnx_node_case imports the model, compares its float meaning with the expected outputs (1e-4), then compiles it
// for the 64-bit ring and compares what the cleartext protocol and Porthos reveal (2^-8 of the largest output, or of
// 1).
Outcome run_onnx_node_case(const OnnxNodeCase& test, Secret secret);

}  // namespace treville::testing
