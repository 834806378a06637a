// treville demo: the main job on the digit model of this repository, with nothing to choose.
#include <filesystem>

#include "base/error.h"
#include "cli/command.h"
#include "cli/run.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

// find_examples looks beside the program, which ./dev builds in build/PRESET of the checkout, and in this folder.
fs::path find_examples() {
  const fs::path program = fs::read_symlink("/proc/self/exe");
  for (const fs::path& root : {program.parent_path().parent_path().parent_path(), fs::current_path()}) {
    if (fs::exists(root / "examples/digits/digits.pb")) return root / "examples/digits";
  }
  throw UserError("the demo's model, examples/digits/digits.pb, is not here; run it from a checkout of treville");
}

struct Options {
  std::vector<std::string> images;
  bool paper = false;
  bool json = false;
};

int demo(const Options& options) {
  const fs::path digits = find_examples();
  RunOptions run;
  run.json = options.json;
  run.model.model = (digits / "digits.pb").string();
  run.model.calibrate = (digits / "calibration.npy").string();
  run.model.preprocess = options.paper ? "scale=1/255,invert=1" : "scale=1/255";
  run.labels = (digits / "labels.txt").string();
  run.inputs = options.images;
  if (run.inputs.empty()) run.inputs.push_back((digits / "samples").string());
  return run_model(run,
                   {"./dev demo my-digit.png          a picture of yours (white on black; --paper for ink on paper)",
                    "treville run MODEL --input FILE   a model of yours: TensorFlow, Keras, ONNX",
                    "treville --help                   everything else; the program is build/release/treville"});
}

}  // namespace

Command add_demo(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* app = new_command(root, "demo", "Classify handwritten digits securely between three local parties",
                              "Examples:\n"
                              "  treville demo\n"
                              "  treville demo my-digit.png\n"
                              "  treville demo photo-of-a-digit.jpg --paper\n\n"
                              "Runs the digit CNN of examples/digits on its 20 samples, or on your pictures.",
                              options->json);
  app->add_option("IMAGE", options->images, "Pictures of one digit each");
  app->add_flag("--paper", options->paper, "The digit is dark on light");
  return {app, [options] { return demo(*options); }};
}

}  // namespace treville::cli
