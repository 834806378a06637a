#include "cli/dataset.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/error.h"
#include "cli/results.h"
#include "data/npy.h"

namespace treville::cli {
namespace {

namespace fs = std::filesystem;

bool is_sample_file(const fs::path& path) { return is_image(path) || path.extension() == ".npy"; }

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::optional<int64_t> parse_class(std::string_view text) {
  int64_t label = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
  if (error != std::errc() || end != text.data() + text.size() || label < 0) return std::nullopt;
  return label;
}

std::vector<Truth> truths_of_array(const std::string& path) {
  const FloatTensor array = read_npy(path);
  const int rank = array.shape.rank();
  if (rank != 1 && rank != 2)
    throw UserError("{}: labels have shape [n] or [n, questions], found {}", path, to_string(array.shape));
  const bool one_class = rank == 1 || array.shape[1] == 1;
  const auto columns = static_cast<size_t>(one_class ? 1 : array.shape[1]);
  std::vector<Truth> truths(columns == 0 ? 0 : array.values.size() / columns);
  for (size_t i = 0; i < array.values.size(); ++i) {
    const float value = array.values[i];
    if (value < 0 || value != std::floor(value) || (!one_class && value > 1))
      throw UserError("{}: element {} is no {}", path, i, one_class ? "class" : "0 or 1");
    if (one_class) {
      truths[i].label = static_cast<int64_t>(value);
    } else {
      truths[i / columns].answers.push_back(static_cast<uint8_t>(value));
    }
  }
  return truths;
}

std::vector<Truth> truths_of_text(const std::string& path, const Dataset& data) {
  std::ifstream file(path);
  if (!file) throw UserError("{}: cannot open the labels", path);
  std::vector<Truth> in_order;
  std::map<std::string, int64_t> by_name;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const size_t cut = line.find_last_of(", \t");
    const auto label = parse_class(std::string_view(line).substr(cut == std::string::npos ? 0 : cut + 1));
    if (!label) {
      if (number == 1) continue;  // a header
      throw UserError("{}: line {} holds no class; write one number a line, or \"file,number\"", path, number);
    }
    if (cut == std::string::npos) {
      in_order.push_back({*label, {}});
    } else {
      by_name[line.substr(0, line.find_last_not_of(", \t", cut) + 1)] = *label;
    }
  }
  if (by_name.empty()) return in_order;
  if (!in_order.empty()) throw UserError("{}: some lines name a file and some do not", path);
  std::vector<Truth> truths;
  for (int64_t i = 0; i < data.size(); ++i) {
    const auto found = by_name.find(data.name(i));
    if (found == by_name.end()) throw UserError("{}: has no line for {}", path, data.name(i));
    truths.push_back({found->second, {}});
  }
  return truths;
}

}  // namespace

Dataset::Dataset(const std::string& path, std::vector<NamedShape> inputs, Preprocess preprocess, int64_t limit)
    : inputs_(std::move(inputs)), batch_(batch_of(inputs_)), preprocess_(std::move(preprocess)) {
  if (!fs::exists(path)) throw UserError("{}: there is no such file or folder", path);
  if (inputs_.size() > 1 || is_archive(path)) {
    add_arrays(path);
  } else if (fs::is_directory(path)) {
    add_folder(path);
  } else {
    add_file(path, std::nullopt);
  }
  if (limit > 0 && size() > limit) samples_.resize(static_cast<size_t>(limit));
  if (samples_.empty()) throw UserError("{}: holds no samples", path);
}

void Dataset::add_folder(const std::string& path) {
  int64_t classes = 0;
  for (const fs::path& entry : sorted_entries(path)) {
    if (!fs::is_directory(entry) && is_sample_file(entry)) add_file(entry.string(), std::nullopt);
    if (!fs::is_directory(entry)) continue;
    for (const fs::path& file : sorted_entries(entry))
      if (is_sample_file(file)) add_file(file.string(), classes);
    ++classes;
  }
  const auto in_class = [](const Sample& sample) { return sample.folder_class.has_value(); };
  if (std::any_of(samples_.begin(), samples_.end(), in_class) &&
      !std::all_of(samples_.begin(), samples_.end(), in_class))
    throw UserError("{}: holds samples and folders of samples; use one of both", path);
}

void Dataset::add_file(const std::string& path, std::optional<int64_t> folder_class) {
  const std::string file = fs::path(path).filename().string();
  if (is_image(path)) {
    samples_.push_back({path, file, 0, folder_class});
    return;
  }
  held_ = read_file_samples(path, inputs_.front(), preprocess_);
  held_path_ = path;
  for (int64_t row = 0; row < held_.shape[0]; ++row)
    samples_.push_back({path, held_.shape[0] == 1 ? file : fmt::format("{}[{}]", file, row), row, folder_class});
}

void Dataset::add_arrays(const std::string& path) {
  arrays_ = read_arrays(path, inputs_);
  const std::string file = fs::path(path).filename().string();
  const int64_t count = arrays_.front().shape[0] * batch_ / inputs_.front().shape[0];
  for (int64_t row = 0; row < count; ++row)
    samples_.push_back({path, fmt::format("{}[{}]", file, row), row, std::nullopt});
}

// values are those of one input: shape / batch elements.
std::vector<float> Dataset::values(const Sample& sample, size_t input) {
  if (arrays_.empty() && sample.path != held_path_) {
    held_ = read_file_samples(sample.path, inputs_.front(), preprocess_);
    held_path_ = sample.path;
  }
  const FloatTensor& from = arrays_.empty() ? held_ : arrays_[input];
  const auto size = static_cast<std::ptrdiff_t>(inputs_[input].shape.elements() / batch_);
  const std::ptrdiff_t begin = sample.row * size;
  if (begin + size > static_cast<std::ptrdiff_t>(from.values.size()))
    throw UserError("{}: has changed while it was read", sample.path);
  return {from.values.begin() + begin, from.values.begin() + begin + size};
}

Inference Dataset::inference(int64_t first) {
  Inference result{name(first), {}};
  for (size_t input = 0; input < inputs_.size(); ++input) {
    FloatTensor& tensor = result.values.emplace_back(inputs_[input].shape);
    auto to = tensor.values.begin();
    for (int64_t i = 0; i < batch_; ++i) {
      const std::vector<float> one = values(samples_[static_cast<size_t>((first + i) % size())], input);
      to = std::copy(one.begin(), one.end(), to);
    }
  }
  return result;
}

std::vector<Truth> Dataset::folder_truths() const {
  std::vector<Truth> truths;
  for (const Sample& sample : samples_)
    if (sample.folder_class) truths.push_back({sample.folder_class, {}});
  return truths;
}

void LabelledData::add_to(CLI::App& app) {
  app.add_option(
         "--data", data,
         "Samples: a .npy file (batch first), an image, a folder, or a folder of class folders; of several inputs "
         "a .npz archive, or a folder with NAME.npy for each")
      ->required();
  app.add_option(
      "--labels", labels,
      "True classes: .npy [n] (or 0/1 [n, questions]), or a text file with a class or \"file,class\" a line");
  app.add_option("--metric-output", metric_output,
                 "The output that the labels are of (default: the first); agreement and errors are over all outputs");
  app.add_option("--samples", samples, "Use the first N samples only")->check(CLI::Range(1, 100'000'000));
}

size_t LabelledData::metric_of(const Program& program) const {
  if (metric_output.empty()) return 0;
  const std::vector<std::string> names = output_names(program);
  const auto found = std::find(names.begin(), names.end(), metric_output);
  if (found == names.end())
    throw UserError("--metric-output: there is no output '{}'{}", metric_output, suggest_name(metric_output, names));
  return static_cast<size_t>(found - names.begin());
}

std::vector<Truth> LabelledData::truths(const Dataset& opened) const {
  return labels.empty() ? opened.folder_truths() : read_truths(labels, opened);
}

std::vector<Truth> read_truths(const std::string& path, const Dataset& data) {
  std::vector<Truth> truths = fs::path(path).extension() == ".npy" ? truths_of_array(path) : truths_of_text(path, data);
  const auto count = static_cast<size_t>(data.size());
  if (truths.size() < count) throw UserError("{}: has {} labels for {} samples", path, truths.size(), count);
  truths.resize(count);  // of the first samples, where --samples takes fewer
  return truths;
}

}  // namespace treville::cli
