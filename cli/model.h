// Models and labels as the command line names them: shared by run, compile, compare and demo.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/screen.h"
#include "compile/compile.h"
#include "data/image.h"
#include "import/import.h"

namespace treville::cli {

// ModelFile is a model and what its file leaves open: the options of every command that reads one.
struct ModelFile {
  std::string model;
  std::optional<int64_t> batch;
  std::vector<std::string> shapes;  // "input=1,224,224,3"
  std::string signature;            // of a SavedModel

  void add_to(CLI::App& app);
  // import_options throws UserError for a shape that cannot be read. A batch that is not given is 1.
  ImportOptions import_options() const;
};

// ModelOptions are the options of every command that compiles a model.
struct ModelOptions : ModelFile {
  std::string calibrate;
  std::string preprocess;
  std::string ranges = "calibrated";
  std::optional<int> ring;
  std::optional<int> bits;
  std::optional<int> margin;
  std::string input_range;
  std::vector<std::string> outputs;
  std::vector<std::string> dump_after;
  bool top1 = false;

  void add_to(CLI::App& app);
};

struct CompiledModel {
  Compiled compiled;
  std::vector<NamedShape> inputs;  // as the model's file has them; the program has the same in the same order
  std::string format;              // "TensorFlow frozen graph", "ONNX" or "TensorFlow Lite"
  double seconds = 0;              // import and compilation
};

// compile_model imports and compiles. Progress and --dump-after go to stderr.
CompiledModel compile_model(const ModelOptions& options);

// read_labels reads one class name a line; empty path, no labels.
std::vector<std::string> read_labels(const std::string& path);
// check_labels throws UserError unless there is one label for each value of one of the program's outputs: lists with
// and without a background class are easily mixed up, and then every name is wrong.
void check_labels(const std::vector<std::string>& labels, const std::string& path, const Program& program);

// check_writable throws UserError unless a file can be made at `path`: before hours of work, not after. An empty path
// stands for no file.
void check_writable(const std::string& option, const std::string& path);

struct Prediction {
  size_t index = 0;
  double value = 0;
  std::string label;
};
// top_classes gives the n largest values of a row, largest first.
std::vector<Prediction> top_classes(std::span<const float> values, size_t n, const std::vector<std::string>& labels);

// looks_like_probabilities tells whether all values are >= 0 and add up to one.
bool looks_like_probabilities(std::span<const float> values);

std::string describe_format(const std::string& format);

}  // namespace treville::cli
