#include "test/onnx_node_case.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "compile/compile.h"
#include "compile/fold_constants.h"
#include "compile/infer_shapes.h"
#include "compile/reference.h"
#include "import/onnx.h"
#include "test/model_run.h"
#include "test/secure_options.h"

namespace treville::testing {
namespace {

using onnx_format::ModelProto;
using onnx_format::TensorProto;

constexpr int64_t kOldestOpset = 7;  // that the importer reads

template <class Message>
bool read_message(const std::filesystem::path& path, Message& message) {
  std::ifstream stream(path, std::ios::binary);
  return stream && message.ParseFromIstream(&stream);
}

// read_tensors reads <prefix>_0.pb, ...; declared are the model's inputs or outputs in the same order.
template <class Values>
std::vector<TensorProto> read_tensors(const std::filesystem::path& folder, const std::string& prefix,
                                      const Values& declared) {
  std::vector<TensorProto> tensors;
  for (int i = 0; i < declared.size(); ++i) {
    TensorProto tensor;
    const auto path = folder / fmt::format("{}_{}.pb", prefix, i);
    if (!read_message(path, tensor)) throw UserError("{}: expected a tensor", path.string());
    // The test data holds bfloat16 as the integers of its bits.
    if (declared[i].type().tensor_type().elem_type() == TensorProto::BFLOAT16)
      tensor.set_data_type(TensorProto::BFLOAT16);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

bool is_float(const TensorProto& tensor) {
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
    case TensorProto::DOUBLE:
    case TensorProto::FLOAT16:
    case TensorProto::BFLOAT16:
      return true;
    default:
      return false;
  }
}

// precision_of is the relative error of the expected values themselves.
double precision_of(const TensorProto& tensor) {
  return tensor.data_type() == TensorProto::FLOAT16    ? 0x1p-11
         : tensor.data_type() == TensorProto::BFLOAT16 ? 0x1p-7
                                                       : 0;
}

std::vector<bool> secret_inputs(const OnnxNodeCase& test, Secret secret) {
  std::vector<bool> chosen;
  int floats = 0;
  for (const TensorProto& input : test.inputs) {
    const int index = is_float(input) ? floats++ : -1;
    chosen.push_back(index >= 0 && (secret == Secret::kAll || (secret == Secret::kFirst && index == 0) ||
                                    (secret == Secret::kSecond && index == 1)));
  }
  return chosen;
}

// PreparedCase: the model with constants in the place of public inputs, and what is left to give.
struct PreparedCase {
  Graph graph;
  std::vector<FloatTensor> inputs;
};

PreparedCase prepare(const OnnxNodeCase& test, Secret secret) {
  ModelProto model = test.model;
  auto& graph = *model.mutable_graph();
  graph.clear_input();
  PreparedCase prepared;
  const std::vector<bool> is_secret = secret_inputs(test, secret);
  for (size_t i = 0; i < test.inputs.size(); ++i) {
    const auto& declared = test.model.graph().input(static_cast<int>(i));
    if (is_secret[i]) {
      *graph.add_input() = declared;
      prepared.inputs.push_back(std::get<FloatTensor>(import::decode_onnx_tensor(test.inputs[i], declared.name())));
    } else {
      TensorProto& constant = *graph.add_initializer();
      constant = test.inputs[i];
      constant.set_name(declared.name());
    }
  }
  ImportResult result = import::import_onnx(model, test.name, {});
  if (!result.unsupported.empty()) throw UserError("{}", result.unsupported[0].reason);
  verify(result.graph, "import");
  prepared.graph = std::move(result.graph);
  return prepared;
}

// is_truth_of_floats: the standard's booleans are floats 0 and 1 in the graph where floats are compared.
bool is_truth_of_floats(const TensorProto& expected, const Constant& found) {
  return expected.data_type() == TensorProto::BOOL && std::holds_alternative<FloatTensor>(found);
}

void check_float(const OnnxNodeCase& test, const PreparedCase& prepared, const Graph& graph) {
  const std::vector<Constant> outputs = float_run(graph, prepared.inputs);
  if (outputs.size() != test.outputs.size())
    throw Mismatch{fmt::format("expected {} outputs, found {}", test.outputs.size(), outputs.size())};
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Constant expected = import::decode_onnx_tensor(test.outputs[i], "expected output");
    const std::string what = fmt::format("float, output {}", i);
    if (is_truth_of_floats(test.outputs[i], outputs[i])) {
      compare(what, to_floats(expected), to_floats(outputs[i]), 0, 0);
      continue;
    }
    if (expected.index() != outputs[i].index()) throw Mismatch{what + ": floats where integers belong, or the reverse"};
    if (shape_of(expected) != shape_of(outputs[i]))
      throw Mismatch{fmt::format("{}: expected shape {}, found {}", what, to_string(shape_of(expected)),
                                 to_string(shape_of(outputs[i])))};
    if (const auto* ints = std::get_if<IntTensor>(&expected)) {
      if (ints->values != std::get<IntTensor>(outputs[i]).values) throw Mismatch{what + ": wrong integers"};
    } else {
      const double precision = std::max(1e-4, precision_of(test.outputs[i]));
      compare(what, std::get<FloatTensor>(expected), std::get<FloatTensor>(outputs[i]), precision, precision);
    }
  }
}

void check_protocol(const char* protocol, const OnnxNodeCase& test, const Compiled& compiled,
                    const std::map<std::string, RingTensor>& inputs, double share) {
  const std::vector<FloatTensor> outputs = revealed_outputs(protocol, compiled, inputs);
  if (outputs.size() != test.outputs.size())
    throw Mismatch{fmt::format("{}: expected {} outputs, found {}", protocol, test.outputs.size(), outputs.size())};
  for (size_t i = 0; i < outputs.size(); ++i) {
    const FloatTensor expected = to_floats(import::decode_onnx_tensor(test.outputs[i], "expected output"));
    compare(fmt::format("{}, output {}", protocol, i), expected, outputs[i],
            share * std::max(1.0, largest_magnitude({expected})), precision_of(test.outputs[i]));
  }
}

// check_secure throws UserError where the compiler refuses the model.
void check_secure(const OnnxNodeCase& test, const PreparedCase& prepared, double share) {
  const Compiled compiled = compile(prepared.graph, secure_options(prepared.inputs));
  const std::map<std::string, RingTensor> inputs = encode_inputs(compiled.program, prepared.graph, prepared.inputs);
  check_protocol("clear", test, compiled, inputs, share);
  check_protocol("porthos", test, compiled, inputs, share);
}

bool depends_on_secrets(const Graph& graph) {
  return std::none_of(graph.outputs.begin(), graph.outputs.end(),
                      [&](ValueId output) { return graph.constant(output) != nullptr; });
}

}  // namespace

std::optional<OnnxNodeCase> read_onnx_node_case(const std::filesystem::path& folder) {
  OnnxNodeCase test;
  test.name = folder.filename().string();
  if (!read_message(folder / "model.onnx", test.model)) throw UserError("{}: expected a model", folder.string());
  for (auto& set : *test.model.mutable_opset_import()) {
    if (!set.domain().empty()) return std::nullopt;
    // A test has the operator set in which its operation last changed, so it holds for all later ones as well.
    set.set_version(std::max<int64_t>(set.version(), kOldestOpset));
    test.opset = set.version();
  }
  const auto& graph = test.model.graph();
  const auto is_tensor = [](const auto& value) { return value.type().has_tensor_type(); };
  if (!std::all_of(graph.input().begin(), graph.input().end(), is_tensor) ||
      !std::all_of(graph.output().begin(), graph.output().end(), is_tensor)) {
    return std::nullopt;
  }
  for (const auto& node : graph.node()) test.ops.push_back(node.op_type());
  test.inputs = read_tensors(folder / "test_data_set_0", "input", graph.input());
  test.outputs = read_tensors(folder / "test_data_set_0", "output", graph.output());
  return test;
}

bool in_table(const OnnxNodeCase& test) {
  return std::all_of(test.ops.begin(), test.ops.end(), [](const std::string& op) { return import::has_onnx_row(op); });
}

std::vector<Secret> variants(const OnnxNodeCase& test) {
  const auto floats = std::count_if(test.inputs.begin(), test.inputs.end(), is_float);
  if (floats == 0) return {Secret::kNone};
  std::vector<Secret> result = {Secret::kFirst};
  if (floats < 2 || test.ops.size() != 1) return result;
  const std::set<std::string> either = {"Add", "Sub", "Mul"}, all = {"Add", "Sub", "Concat", "Sum"};
  if (either.contains(test.ops[0])) result.push_back(Secret::kSecond);
  if (all.contains(test.ops[0])) result.push_back(Secret::kAll);
  return result;
}

std::string suffix_of(Secret secret) {
  switch (secret) {
    case Secret::kNone:
    case Secret::kFirst:
      return "";
    case Secret::kSecond:
      return ":second";
    case Secret::kAll:
      return ":all";
  }
  return "";
}

Outcome run_onnx_node_case(const OnnxNodeCase& test, Secret secret) {
  Outcome outcome;
  try {
    const PreparedCase prepared = prepare(test, secret);
    outcome.operations = operations_of(prepared.graph);
    Graph graph = prepared.graph;
    infer_shapes(graph);
    fold_constants(graph);
    verify(graph, "fold_constants");
    check_float(test, prepared, graph);
    outcome.level = Level::kFloat;
    outcome.reason = "no output depends on a secret";
    if (prepared.inputs.empty() || !depends_on_secrets(graph)) return outcome;
    const Limit* limit = limit_of(test.name);
    check_secure(test, prepared, limit ? limit->share : kShare);
    outcome.level = limit ? Level::kFloat : Level::kSecure;
    outcome.reason = limit ? limit->reason : "";
    return outcome;
  } catch (const UserError& error) {
    outcome.reason = error.what();
    // What only computes with constants may still be folded.
    if (outcome.level == Level::kRefused && secret == Secret::kFirst) {
      Outcome folded = run_onnx_node_case(test, Secret::kNone);
      if (folded.level == Level::kFloat) folded.reason = outcome.reason;
      return folded;
    }
  } catch (const Mismatch& mismatch) {
    outcome.error = mismatch.message;
  } catch (const Error& error) {
    outcome.error = error.what();
  }
  return outcome;
}

}  // namespace treville::testing
