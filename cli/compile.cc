// treville compile: a model becomes a public program and private weights, as separate files.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "base/error.h"
#include "cli/command.h"
#include "cli/model.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "crypto/hash.h"
#include "program/digest.h"
#include "program/text.h"
#include "program/weights.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  ModelOptions model;
  std::string directory;
  bool json = false;
};

int run_compile(const Options& options) {
  CompiledModel model = compile_model(options.model);
  const Program& program = model.compiled.program;
  const fs::path directory = options.directory;
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw UserError("{}: cannot make the folder: {}", directory.string(), error.message());
  const fs::path program_file = directory / "program.treville", weights_file = directory / "weights.treville";
  write_program(program_file, program);
  write_weights(weights_file, program, {random_model_id(), std::move(model.compiled.constants)});

  const std::string program_digest = hex(digest(program));
  if (options.json) {
    Json inputs = Json::array();
    for (const NamedShape& input : model.inputs)
      inputs.push_back({{"name", input.name}, {"shape", input.shape.dims()}});
    print_json({{"program", program_file.string()},
                {"weights", weights_file.string()},
                {"digest", program_digest},
                {"model", program.model},
                {"format", model.format},
                {"parameters", program.parameters},
                {"steps", program.steps.size()},
                {"ring", static_cast<int>(program.ring)},
                {"scheme", program.scheme},
                {"input", inputs.front()},
                {"inputs", inputs},
                {"outputs", output_names(program)},
                {"seconds", model.seconds}});
    return kSuccess;
  }
  fmt::print("{}: {}, {} parameters, compiled in {}\n\n", program.model, model.format, human_count(program.parameters),
             human_seconds(model.seconds));
  fmt::print("  program  {}   public: for all three parties\n", program_file.string());
  fmt::print("  weights  {}   private: for the model owner alone\n", weights_file.string());
  fmt::print("  digest   {}\n", program_digest);
  fmt::print("  inputs   {}\n", describe(model.inputs));
  fmt::print("  outputs  {}\n", fmt::join(output_names(program), ", "));
  fmt::print("  numbers  ring Z_2^{}, {}\n", static_cast<int>(program.ring), program.scheme);
  if (program.scheme == "uncalibrated") {
    fmt::print(
        "\n  The ranges were not calibrated: 64-bit numbers with wide margins, at about twice the traffic.\n"
        "  Give --calibrate with a few samples that look like the inputs to come.\n");
  }
  fmt::print("\nNext: treville plan {} shows what a prediction costs.\n", directory.string());
  return kSuccess;
}

}  // namespace

Command add_compile(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app =
      new_command(root, "compile", "Compile a model: the public program and the private weights",
                  "Examples:\n"
                  "  treville compile model.onnx -o compiled --calibrate photos/\n"
                  "  treville compile frozen.pb -o compiled --calibrate samples.npy --preprocess scale=1/255\n\n"
                  "Writes program.treville (architecture, shapes, scales and ranges: public) and\n"
                  "weights.treville (private, mode 0600) into the folder.",
                  options->json);
  options->model.add_to(*app);
  app->add_option("-o,--directory", options->directory, "The folder to write to")->required();
  return {app, [options] { return run_compile(*options); }};
}

}  // namespace treville::cli
