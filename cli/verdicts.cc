#include "cli/verdicts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "crypto/hash.h"
#include "program/digest.h"
#include "program/text.h"
#include "program/weights.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNamedLayers = 5;

}  // namespace

std::string describe(const VerdictCount& verdicts) {
  std::vector<std::string> parts;
  if (verdicts.proved > 0) parts.push_back(fmt::format("{} proved", verdicts.proved));
  if (verdicts.calibrated > 0)
    parts.push_back(
        fmt::format("{} calibrated with at least {:.1f} bits of margin", verdicts.calibrated, verdicts.least_margin));
  if (verdicts.unsafe > 0) {
    const size_t named = std::min(verdicts.unsafe_layers.size(), kNamedLayers);
    const auto first = verdicts.unsafe_layers.begin();
    parts.push_back(fmt::format("{} unsafe ({}{})", verdicts.unsafe,
                                fmt::join(first, first + static_cast<std::ptrdiff_t>(named), ", "),
                                named < verdicts.unsafe_layers.size() ? ", ..." : ""));
  }
  return parts.empty() ? "no step opens a value" : fmt::format("{}", fmt::join(parts, ", "));
}

Json to_json(const VerdictCount& verdicts) {
  return {{"proved", verdicts.proved},
          {"calibrated", verdicts.calibrated},
          {"unsafe", verdicts.unsafe},
          {"least_margin", verdicts.calibrated > 0 ? Json(verdicts.least_margin) : Json()},
          {"unsafe_layers", verdicts.unsafe_layers}};
}

const char* name_of(RangeVerdict verdict) {
  switch (verdict) {
    case RangeVerdict::kNone:
      return "none";
    case RangeVerdict::kProved:
      return "proved";
    case RangeVerdict::kCalibrated:
      return "calibrated";
    case RangeVerdict::kUnsafe:
      return "unsafe";
  }
  throw BugError("a verdict without a name");
}

CompiledFiles write_compiled(const std::string& directory, CompiledModel& model) {
  const Program& program = model.compiled.program;
  const fs::path folder = directory;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw UserError("{}: cannot make the folder: {}", directory, error.message());
  const fs::path program_file = folder / "program.treville", weights_file = folder / "weights.treville";
  write_program(program_file, program);
  write_weights(weights_file, program, {random_model_id(), std::move(model.compiled.constants)});
  return {program_file.string(), weights_file.string(), hex(digest(program))};
}

void print_files(const CompiledFiles& files) {
  fmt::print("  program  {}   public: for all three parties\n", files.program);
  fmt::print("  weights  {}   private: for the model owner alone\n", files.weights);
  fmt::print("  digest   {}\n", files.digest);
}

}  // namespace treville::cli
