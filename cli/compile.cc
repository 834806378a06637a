// treville compile: a model becomes a public program and private weights, as separate files.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command.h"
#include "cli/model.h"
#include "cli/results.h"
#include "cli/screen.h"
#include "cli/verdicts.h"

namespace treville::cli {
namespace {

struct Options {
  ModelOptions model;
  std::string directory;
  bool json = false;
};

int run_compile(const Options& options) {
  CompiledModel model = compile_model(options.model);
  const Program& program = model.compiled.program;
  const CompiledFiles files = write_compiled(options.directory, model);
  const VerdictCount verdicts = count_verdicts(program);
  if (options.json) {
    Json inputs = Json::array();
    for (const NamedShape& input : model.inputs)
      inputs.push_back({{"name", input.name}, {"shape", input.shape.dims()}});
    print_json({{"program", files.program},
                {"weights", files.weights},
                {"digest", files.digest},
                {"model", program.model},
                {"format", model.format},
                {"parameters", program.parameters},
                {"steps", program.steps.size()},
                {"ring", static_cast<int>(program.ring)},
                {"scheme", program.scheme},
                {"verdicts", to_json(verdicts)},
                {"input", inputs.front()},
                {"inputs", inputs},
                {"outputs", output_names(program)},
                {"seconds", model.seconds}});
    return kSuccess;
  }
  fmt::print("{}: {}, {} parameters, compiled in {}\n\n", program.model, model.format, human_count(program.parameters),
             human_seconds(model.seconds));
  print_files(files);
  fmt::print("  inputs   {}\n", describe(model.inputs));
  fmt::print("  outputs  {}\n", fmt::join(output_names(program), ", "));
  fmt::print("  numbers  ring Z_2^{}, {}\n", static_cast<int>(program.ring), program.scheme);
  fmt::print("  ranges   {}\n", describe(verdicts));
  if (program.scheme == "uncalibrated") {
    fmt::print(
        "\n  The ranges were not calibrated: 64-bit numbers with wide margins, at about twice the traffic.\n"
        "  Give --calibrate with a few samples that look like the inputs to come.\n");
  }
  fmt::print("\nNext: treville plan {} shows what a prediction costs.\n", options.directory);
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
