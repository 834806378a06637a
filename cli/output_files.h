// Files that a command writes a model's outputs to: one .npz archive for all of them, NAME=FILE.npy for each, or a
// plain .npy file where there is one output.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/results.h"

namespace treville::cli {

class OutputFiles {
 public:
  // `option` is what the user calls it, `texts` what it was given, `names` the outputs there will be. Throws UserError
  // for a name that is unknown or given twice, for a plain .npy file where there are several outputs, and where no file
  // can be made: before the work, not after.
  OutputFiles(std::string option, const std::vector<std::string>& texts, const std::vector<std::string>& names);
  // write writes the outputs of all inferences, joined along the first dimension.
  void write(const std::vector<std::vector<NamedOutput>>& inferences) const;

 private:
  struct File {
    std::string path;
    std::optional<std::string> name;  // the output; absent: all, in an archive
  };
  void add(const std::string& text, const std::vector<std::string>& names);

  std::string option_;
  std::vector<File> files_;
};

}  // namespace treville::cli
