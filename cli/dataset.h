// Samples as `eval`, `tune` and `compare` read them. Of a model with one input: a .npy array (batch first), an image, a
// folder of either, or a folder with one folder of images for each class (torchvision's ImageFolder), read when they
// are needed. Of several inputs: a .npz archive or a folder with an array for each, read whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accuracy/metrics.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "data/image.h"
#include "tensor/float_tensor.h"

namespace treville::cli {

class Dataset {
 public:
  // inputs are the model's, with their batch; a sample is one element of it (where the inputs have different first
  // dimensions, what one inference takes). limit 0: all samples.
  Dataset(const std::string& path, std::vector<NamedShape> inputs, Preprocess preprocess, int64_t limit);

  int64_t size() const { return static_cast<int64_t>(samples_.size()); }
  const std::string& name(int64_t sample) const { return samples_[static_cast<size_t>(sample)].name; }
  // batch is how many samples one inference takes.
  int64_t batch() const { return batch_; }
  // inference gives the samples from `first` on in the shapes of the model's inputs; what is missing at the end is
  // filled up from the front, and not to be counted.
  Inference inference(int64_t first);
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
  void add_arrays(const std::string& path);
  std::vector<float> values(const Sample& sample, size_t input);

  std::vector<NamedShape> inputs_;
  int64_t batch_;
  Preprocess preprocess_;
  std::vector<Sample> samples_;
  std::vector<FloatTensor> arrays_;  // by input, where the data is an array for each
  std::string held_path_;            // the file read last
  FloatTensor held_;
};

// LabelledData are the options that name samples and what they really are.
struct LabelledData {
  std::string data, labels;
  std::string metric_output;  // the output that the labels are of; empty: the first
  int64_t samples = 0;        // at most so many; 0: all

  void add_to(CLI::App& app);
  Dataset open(const std::vector<NamedShape>& inputs, const Preprocess& preprocess) const {
    return {data, inputs, preprocess, samples};
  }
  // metric_of is the place of --metric-output among a program's outputs.
  size_t metric_of(const Program& program) const;
  // truths come from --labels, else from the folders of the samples; none where neither says.
  std::vector<Truth> truths(const Dataset& opened) const;
};

// read_truths reads the true classes of `data`, or the answers to several yes-no questions:
//   .npy          integers [n], or 0/1 [n, questions]
//   other files   a class a line, or "file,class" (or with a space or tab) by the samples' names
// Throws UserError when there is not one for each sample.
std::vector<Truth> read_truths(const std::string& path, const Dataset& data);

}  // namespace treville::cli
