// Labelled samples as `eval` and `tune` read them: a .npy array (batch first), an image, a folder of either, or a
// folder with one folder of images for each class (torchvision's ImageFolder). Files are read when they are needed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accuracy/metrics.h"
#include "cli/command.h"
#include "data/image.h"
#include "tensor/float_tensor.h"

namespace treville::cli {

class Dataset {
 public:
  // shape is the model's input, with its batch; a sample is one element of it. limit 0: all samples.
  Dataset(const std::string& path, Shape shape, Preprocess preprocess, int64_t limit);

  int64_t size() const { return static_cast<int64_t>(samples_.size()); }
  const std::string& name(int64_t sample) const { return samples_[static_cast<size_t>(sample)].name; }
  // batch gives the samples from `first` on in the model's shape; what is missing at the end is filled up from the
  // front, and not to be counted.
  FloatTensor batch(int64_t first);
  // folder_truths has the class of every sample where classes are folders, in the order of their names; else nothing.
  std::vector<Truth> folder_truths() const;

 private:
  struct Sample {
    std::string path, name;
    int64_t row = 0;  // of its file
    std::optional<int64_t> folder_class;
  };
  void add_file(const std::string& path, std::optional<int64_t> folder_class);
  void add_folder(const std::string& path);
  std::vector<float> values(const Sample& sample);

  Shape shape_;
  Preprocess preprocess_;
  std::vector<Sample> samples_;
  std::string held_path_;  // the file read last
  FloatTensor held_;
};

// LabelledData are the options that name samples and what they really are.
struct LabelledData {
  std::string data, labels;
  int64_t samples = 0;  // at most so many; 0: all

  void add_to(CLI::App& app);
  Dataset open(const Shape& shape, const Preprocess& preprocess) const { return {data, shape, preprocess, samples}; }
  // truths come from --labels, else from the folders of the samples; none where neither says.
  std::vector<Truth> truths(const Dataset& opened) const;
};

// read_truths reads the true classes of `data`, or the answers to several yes-no questions:
//   .npy          integers [n], or 0/1 [n, questions]
//   other files   a class a line, or "file,class" (or with a space or tab) by the samples' names
// Throws UserError when there is not one for each sample.
std::vector<Truth> read_truths(const std::string& path, const Dataset& data);

}  // namespace treville::cli
