#include "cli/output_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "cli/inputs.h"
#include "data/npy.h"

namespace treville::cli {
namespace {

// append puts a value behind what is there along the first dimension.
void append(FloatTensor& joined, const FloatTensor& value) {
  joined.values.insert(joined.values.end(), value.values.begin(), value.values.end());
  if (joined.shape.rank() == 0) {
    joined.shape = Shape{static_cast<int64_t>(joined.values.size())};
  } else {
    joined.shape[0] += value.shape.rank() == 0 ? 1 : value.shape[0];
  }
}

NamedTensors joined(const std::vector<std::vector<NamedOutput>>& inferences) {
  NamedTensors arrays;
  for (const std::vector<NamedOutput>& outputs : inferences) {
    for (const NamedOutput& output : outputs) {
      const auto [found, is_first] = arrays.emplace(output.name, output.final);
      if (!is_first) append(found->second, output.final);
    }
  }
  return arrays;
}

}  // namespace

OutputFiles::OutputFiles(std::string option, const std::vector<std::string>& texts,
                         const std::vector<std::string>& names)
    : option_(std::move(option)) {
  if (!texts.empty() && names.empty()) throw UserError("{}: this party receives no output of the program", option_);
  for (const std::string& text : texts) add(text, names);
}

void OutputFiles::add(const std::string& text, const std::vector<std::string>& names) {
  File file{text, std::nullopt};
  if (const auto named = split_name(text, names)) {
    file = {named->second, named->first};
    if (is_archive(file.path))
      throw UserError("{}: an archive holds all outputs; give {} without a name", option_, file.path);
  } else if (const size_t equals = text.find('='); equals != std::string::npos && names.size() > 1) {
    const std::string name = text.substr(0, equals);
    throw UserError("{}: there is no output '{}'{}", option_, name, suggest_name(name, names));
  } else if (!is_archive(text)) {
    if (names.size() > 1)
      throw UserError("{}: there are {} outputs: {}. Name a .npz file for all, or give NAME=FILE.npy for each.",
                      option_, names.size(), fmt::join(names, ", "));
    file.name = names.front();
  }
  for (const File& other : files_) {
    if (other.path == file.path) throw UserError("{}: {} is given twice", option_, file.path);
    if (other.name == file.name)
      throw UserError("{}: {} is given twice", option_, file.name ? "output " + *file.name : "an archive");
  }
  check_writable(option_, file.path);
  files_.push_back(std::move(file));
}

void OutputFiles::write(const std::vector<std::vector<NamedOutput>>& inferences) const {
  if (files_.empty()) return;
  const NamedTensors arrays = joined(inferences);
  for (const File& file : files_) {
    if (file.name) {
      write_npy(file.path, arrays.at(*file.name));
    } else {
      write_npz(file.path, arrays);
    }
  }
}

}  // namespace treville::cli
